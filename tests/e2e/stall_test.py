"""A data loop that stalls: it is counted, shown and logged. strace holds the loop's thread up within
a system call, as a slow disk or a long computation would."""

import json
import os
import re
import shutil
import signal
import subprocess
import unittest

import harness
from harness import WeirTest, wait_for
from syscalls_test import loop_thread

STALL_MS = 1000
THRESHOLD = "200ms"
CONFIG = """
[server]
workers = 1
stall_threshold = "%s"
[listen]
traffic = ["{traffic}"]
admin = "unix:{dir}/admin"
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]
"""


class StallHelper(WeirTest):
    def hold_up_one_request(self):
        thread = loop_thread(self.weir.process.pid)
        with self.weir.client() as client:
            client.ask("/warm-up")
            tracer = subprocess.Popen(
                ["strace", "-o", "/dev/null", "-e", "trace=recvfrom", "-e",
                 f"inject=recvfrom:delay_enter={STALL_MS * 1000}:when=1", "-p", str(thread)],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            said = ""
            for line in tracer.stderr:
                said += line
                if "attached" in line:
                    break
            else:
                tracer.wait()
                tracer.stderr.close()
                raise unittest.SkipTest("strace may not attach here: " + said.strip())
            client.ask("/held-up")
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=30)

    def status(self, *options):
        code, out, err = self.weir.run("status", *options)
        self.assertIn(code, (0, 3), err)  # 3: there are alarms.
        return out

    def stalls(self):
        return json.loads(self.status("--json"))["stalls"]

    def metrics(self):
        with harness.Client(os.path.join(self.weir.dir, "admin")) as client:
            return client.ask("/metrics").body.decode()


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class StallTest(StallHelper):
    CONFIG = CONFIG % THRESHOLD
    LONGEST_MS_MIN = STALL_MS / 2  # The watchdog looks now and then, and may be late itself.

    def test_a_stall_is_counted_shown_and_logged_once(self):
        before = self.stalls()[0]["count"]
        self.hold_up_one_request()
        wait_for(lambda: "loop-0 stalled for" in self.weir.output(), "a line in the log")
        stalls = wait_for(lambda: (found := self.stalls()[0])["longest_ms"] >= self.LONGEST_MS_MIN and
                          found, "its length is known")
        self.assertEqual(stalls["loop"], "loop-0")
        self.assertGreater(stalls["count"], before)
        self.assertRegex(self.status(), r"stalls of loop-0\s+\d+, the longest [\d.]+ ms")
        metrics = self.metrics()
        counted = re.search(r'weir_loop_stalls_total\{loop="0"\} (\d+)', metrics)
        self.assertGreaterEqual(int(counted.group(1)), stalls["count"])
        longest = re.search(r'weir_loop_longest_stall_seconds\{loop="0"\} ([\d.e+-]+)', metrics)
        self.assertGreaterEqual(float(longest.group(1)), self.LONGEST_MS_MIN / 1000)


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class UnwatchedTest(StallHelper):
    CONFIG = CONFIG % "0s"

    def test_a_threshold_of_zero_watches_nothing_until_a_reload_sets_one(self):
        self.hold_up_one_request()
        self.assertEqual(self.stalls(), [{"loop": "loop-0", "count": 0, "longest_ms": 0.0}])
        self.weir.reload((CONFIG % THRESHOLD).replace("{upstream}", self.upstream.url))
        self.hold_up_one_request()
        wait_for(lambda: self.stalls()[0]["count"] > 0, "the stall is counted")


if __name__ == "__main__":
    unittest.main()
