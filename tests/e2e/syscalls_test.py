"""How many system calls a proxied request costs the loop that carries it.

The floor, a loop that only forwards (bench/floor.cc), makes four per request, a receive and a send on
each side, and waits; Weir may make one more (design: no more than the floor plus one). Counted by
strace on the loop's thread, so this test needs the right to attach to a process of its own user.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from harness import WeirTest, wait_for

REQUESTS = 500
MOVES = ("recvfrom", "sendto", "recvmsg", "sendmsg", "read", "write", "readv", "writev")
FLOOR = 4.0
ROUNDS = 3


def loop_thread(pid):
    """The kernel takes connections before the loop runs, so it may not be there yet."""
    def find():
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
                if file.read().strip() == "loop-0":
                    return int(task)
        return None
    return wait_for(find, "a thread is named loop-0")


class Tracer:
    """Counts the calls of one thread while alive."""

    def __init__(self, thread):
        self.report = tempfile.NamedTemporaryFile(mode="r", encoding="utf-8")
        self.process = subprocess.Popen(
            ["strace", "-c", "-o", self.report.name, "-p", str(thread)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = ""
        for line in self.process.stderr:
            said += line
            if "attached" in line:
                return
        self.process.wait()
        self.process.stderr.close()
        raise unittest.SkipTest("strace may not attach here: " + said.strip())

    def calls(self):
        """Ends the count: {name: calls}."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        counts = {}
        for line in self.report.read().splitlines():
            found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
            if found and found.group(2) != "total":
                counts[found.group(2)] = int(found.group(1))
        self.report.close()
        return counts


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class SystemCallsTest(WeirTest):
    # Unwatched: a turn that strace makes a long one would be asked for its stack.
    CONFIG = """
[server]
workers = 1
stall_threshold = "0s"
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]
"""

    def count(self, ask):
        """One round within the limits will do: what else the machine does may add calls."""
        for number in range(1, ROUNDS + 1):
            try:
                return self.count_once(ask)
            except AssertionError:
                if number == ROUNDS:
                    raise

    def count_once(self, ask):
        with self.weir.client() as client:
            for _ in range(20):
                ask(client)
            tracer = Tracer(loop_thread(self.weir.process.pid))
            for _ in range(REQUESTS):
                ask(client)
            calls = tracer.calls()
        per_request = {name: count / REQUESTS for name, count in calls.items()}
        waits = per_request.pop("epoll_wait", 0.0)
        moves = sum(count for name, count in per_request.items() if name in MOVES)
        others = sum(per_request.values()) - moves
        said = ", ".join(f"{name} {count:.3f}" for name, count in per_request.items())
        print(f"\n  {self._testMethodName}: waits {waits:.3f}, {said}")
        # One request at a time: a wait for each side's bytes, and nothing to amortise them over.
        self.assertLessEqual(waits, 2.1, said)
        self.assertGreaterEqual(moves, FLOOR - 0.1, "strace did not see the loop: " + said)
        self.assertLessEqual(moves, FLOOR + 0.05, said)
        # What is left of the one that is allowed, for timers and the like.
        self.assertLessEqual(others, 0.05, said)

    def test_a_get_costs_no_more_than_the_floor(self):
        def ask(client):
            self.assertEqual(client.ask("/a", "Accept: */*", "User-Agent: test").status, 200)
        self.count(ask)

    def test_a_post_costs_no_more_than_the_floor(self):
        def ask(client):
            client.send(b"POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello")
            self.assertEqual(client.response().status, 200)
        self.count(ask)


if __name__ == "__main__":
    unittest.main()
