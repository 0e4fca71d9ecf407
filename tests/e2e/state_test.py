"""What a node remembers across restarts: traffic figures that are no statistic.

Goal: after an orderly restart the total and the peak are what they were, and go on from there.
"""

import concurrent.futures
import os
import signal
import subprocess
import unittest

import harness
from harness import Upstream, Weir, wait_for

import clock  # On the path that the harness adds.

CONFIG = """
[stats]
traffic_threshold = 5
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]
"""


class KeepingWeir(Weir):
    def wait_for_total(self, total):
        """What the status says of the traffic, when all figures of it hold so many requests."""
        def look():
            traffic = (self.status() or {}).get("traffic")
            counts = traffic and (traffic["total_requests"], traffic["clients"]["requests"])
            return traffic if counts == (total, total) else None
        return wait_for(look, f"{total} requests are observed", 60)


class StateTest(unittest.TestCase):
    def setUp(self):
        self.upstream = Upstream()
        self.addCleanup(self.upstream.close)
        self.weir = KeepingWeir(CONFIG.replace("{upstream}", self.upstream.url))
        self.addCleanup(self.weir.stop)

    def ask(self, count):
        with self.weir.client() as client:
            for number in range(count):
                self.assertEqual(client.ask(f"/users/{number + 1000}").status, 200)

    def count(self, *operation):
        run = subprocess.run([harness.WEIR, "counter", *operation, "--data", self.weir.data],
                             capture_output=True, text=True, timeout=60, check=False)
        return int(run.stdout) if run.returncode == 0 else run.stderr

    def test_no_two_changes_of_the_counter_print_the_same_and_none_is_lost_by_a_kill(self):
        self.weir.wait_for_database()
        self.assertEqual(self.count(), 0)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            printed = list(pool.map(lambda _: self.count("increment"), range(12)))
        self.assertEqual(sorted(printed), list(range(1, 13)))
        self.weir.start_again(signal.SIGKILL)
        self.weir.wait_for_database()
        self.assertEqual(self.count(), 12)
        self.assertEqual([self.count("decrement"), self.count("reset"), self.count("decrement")],
                         [11, 0, -1])
        self.weir.process.send_signal(signal.SIGTERM)
        self.weir.process.wait(60)
        self.assertIn("no server runs", self.count("increment"))

    def test_totals_and_peak_outlive_an_orderly_restart(self):
        clock.keep_clear_of_the_end_of(clock.TRAFFIC_WINDOW_S, 10)
        self.ask(7)
        before = self.weir.wait_for_total(7)
        self.assertEqual(before["peak_rpm"], 7)
        self.assertTrue(before["auto_cache"])
        self.assertEqual(before["clients"]["requests"], 7)
        self.assertEqual(before["clients"]["paths"], 1)  # All under /users/{id}.
        self.weir.start_again(signal.SIGTERM)
        after = self.weir.wait_for_total(7)
        self.assertEqual(after["current_rpm"], 0)
        for name in ("peak_rpm", "auto_cache", "clients"):
            self.assertEqual(after[name], before[name])
        self.ask(2)
        later = self.weir.wait_for_total(9)
        self.assertEqual((later["peak_rpm"], later["missed"]), (7, 0))
        text = self.weir.run("status")[1]
        self.assertRegex(text, r"traffic total_requests +9\b")


if __name__ == "__main__":
    unittest.main()
