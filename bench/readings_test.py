"""Tests of readings.py on recorded outputs. Run: python3 -m unittest readings_test"""

import os
import unittest

import readings

WRK = """Running 3s test @ http://127.0.0.1:9110/kv/1
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   410.11us  103.50us   3.05ms   83.81%
    Req/Sec    75.06k     3.31k   78.67k    83.33%
  Latency Distribution
     50%  390.00us
     75%  433.00us
     90%  492.00us
     99%    1.36ms
  224019 requests in 3.00s, 252.08MB read
Requests/sec:  74667.37
Transfer/sec:     84.02MB
"""
STRACE = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 47.79    0.164069          22      7180           writev
 33.13    0.113755          15      7180         3 recvfrom
  1.27    0.004358          19       225           epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    0.343319          18     14585         3 total
"""


class Wrk(unittest.TestCase):
    def test_reads_requests_and_percentiles_in_milliseconds(self):
        load = readings.parse_wrk(WRK)
        self.assertEqual((load.requests, load.seconds), (224019, 3.0))
        self.assertAlmostEqual(load.p50_ms, 0.39)
        self.assertAlmostEqual(load.p99_ms, 1.36)
        self.assertEqual(load.failures, 0)

    def test_counts_statuses_and_socket_errors_as_failures(self):
        bad = WRK + "  Socket errors: connect 1, read 2, write 3, timeout 4\n"
        bad += "  Non-2xx or 3xx responses: 5\n"
        self.assertEqual(readings.parse_wrk(bad).failures, 15)
        self.assertEqual(readings.parse_wrk(bad).refused, 5)

    def test_refuses_other_text(self):
        with self.assertRaises(ValueError):
            readings.parse_wrk("unable to connect to 127.0.0.1:1 Connection refused")


class Strace(unittest.TestCase):
    def test_counts_calls_with_and_without_errors_and_no_total(self):
        calls = {"writev": 7180, "recvfrom": 7180, "epoll_wait": 225}
        self.assertEqual(readings.parse_strace(STRACE), calls)


class Proc(unittest.TestCase):
    def test_a_name_with_spaces_and_brackets_does_not_shift_the_fields(self):
        stat = "7 (a ) (b) R 1 7 7 0 -1 4194304 0 0 0 0 250 50 9 9 20 0 1 0 1 1 1\n"
        self.assertAlmostEqual(readings.stat_seconds(stat), 300 / readings.TICKS)

    def test_steal_is_busy_and_waiting_for_disks_is_not(self):
        self.assertAlmostEqual(
            readings.busy_seconds("cpu  1 2 4 1000 1000 8 16 32 0 0\ncpu0 ...") * readings.TICKS, 63
        )

    def test_own_processor_time_is_not_others(self):
        quiet = readings.Quiet([])
        before = os.times().user
        while os.times().user - before < 0.2:
            pass
        busy, ours, _ = quiet._read()
        self.assertGreaterEqual(ours - quiet._ours, 0.2)
        self.assertGreaterEqual(busy - quiet._busy, 0.1)

    def test_finds_threads_by_name(self):
        with open("/proc/self/comm") as file:
            name = file.read().strip()
        self.assertIn(os.getpid(), readings.thread_ids(os.getpid(), name))
        self.assertIn(name, readings.thread_seconds(os.getpid(), name))


if __name__ == "__main__":
    unittest.main()
