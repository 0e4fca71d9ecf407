"""`weir smoke` proves the flow step by step; `weir tail` shows it as it happens."""

import json
import os
import signal
import subprocess
import threading

from harness import WEIR, WeirTest, wait_for

MARKERS = ("📦 Queue Batch", "📊 Grouped into", "✅ Aggregated", "💾 批量 upsert", "🔄 触发 KV 快照刷新")


class Follower:
    """A running `weir tail`, and the lines it printed."""

    def __init__(self, weir, *arguments):
        before = followers(weir)
        self.process = subprocess.Popen(
            [WEIR, "tail", "--data", weir.data, *arguments], text=True, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        wait_for(lambda: followers(weir) == before + 1, "the server has a follower more")

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(10)
        self.reader.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


def followers(weir):
    return json.loads(weir.run("status", "--json")[1])["followers"]


class Flow(WeirTest):
    CONFIG = """
[smoke]
enabled = true
[[routes]]
id = "kv"
pattern = "/kv/*"
upstreams = ["{upstream}"]
"""

    def smoke(self, *arguments):
        code, out, err = self.weir.run("smoke", "--json", *arguments)
        report = json.loads(out)
        return code, {step["step"]: step for step in report["steps"]}, report, err

    def test_every_step_of_the_flow_holds_for_the_built_in_route(self):
        code, steps, report, err = self.smoke("--count", "60")
        # Times are for benchmarks: what a busy machine and sanitizers take says little.
        self.assertEqual([step for step in report["steps"] if not step["ok"]
                          and not step["target"].endswith(" ms")], [], err)
        self.assertEqual(report["ok"], code == 0)
        self.assertEqual(steps["sent and answered"]["measured"], "60 × 200")
        self.assertEqual(steps["detail rows in SQL"]["measured"], "60 rows")
        self.assertEqual(steps["hourly rows of /__weir/smoke"]["measured"], "grew by 60")
        self.assertIn("snapshot every 10 batches", steps)

    def test_a_path_through_an_upstream_is_proven_under_its_template(self):
        _, steps, _, err = self.smoke("--path", "/kv/42", "--count", "5",
                                      "--url", f"http://127.0.0.1:{self.weir.port}")
        self.assertTrue(steps["hourly rows of /kv/{id}"]["ok"], err)
        self.assertEqual(steps["hourly rows of /kv/{id}"]["measured"], "grew by 5")
        self.assertTrue(steps["snapshot:latest has the path"]["ok"])

    def test_what_is_not_recorded_in_detail_is_not_proven(self):
        code, steps, report, _ = self.smoke("--path", "/no/route", "--count", "1")
        self.assertEqual((code, report["ok"]), (1, False))
        self.assertEqual(steps["sent and answered"]["measured"], "1 × 404")
        self.assertFalse(steps["detail rows in SQL"]["ok"])

    def test_a_follower_sees_the_markers_verbatim_and_the_events(self):
        tail = Follower(self.weir)
        events = Follower(self.weir, "--json", "--grep", '"path":"/kv/seen"')
        for _ in range(3):
            self.ask("/kv/seen")
        self.smoke("--count", "12")
        wait_for(lambda: all(any(line.startswith(mark) for line in tail.lines)
                             for mark in MARKERS), "every marker begins a line")
        wait_for(lambda: len(events.lines) == 3, "the events that were asked for")
        wait_for(lambda: any(" event   GET /kv/seen 200 " in line for line in tail.lines),
                 "the event is a line")
        for event in map(json.loads, events.lines):
            self.assertEqual((event["type"], event["path"], event["status"]), ("event", "/kv/seen", 200))
        self.assertEqual(tail.interrupt(), -signal.SIGINT)
        events.interrupt()
        wait_for(lambda: followers(self.weir) == 0, "nobody follows")

    def test_a_ninth_follower_is_refused(self):
        tails = [Follower(self.weir) for _ in range(8)]
        code, out, err = self.weir.run("tail")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("8 others follow already", err)
        for tail in tails:
            tail.interrupt()

    def test_without_a_server_there_is_nothing_to_prove_or_follow(self):
        for command in ("smoke", "tail"):
            done = subprocess.run([WEIR, command, "--data", os.path.join(self.weir.dir, "none")],
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("no server runs", done.stderr)


if __name__ == "__main__":
    import unittest
    unittest.main()
