"""A load generator that is not ours counts what it received; the database must say the same."""

import re
import subprocess
import unittest

from harness import WEIR, Node, fast_binary
from nginx import Nginx


class H2loadTest(unittest.TestCase):
    def test_every_request_is_one_row(self):
        binary = fast_binary()
        requests = 20_000 if binary == WEIR else 200_000  # The sanitizers are slow.
        nginx = Nginx()
        self.addCleanup(nginx.close)
        node = Node([("x", "/x/*", nginx.url, "")], binary=binary, workers=2,
                    journal='ring_bytes = "64MiB"')
        self.addCleanup(node.remove)
        node.start_and_wait()
        result = subprocess.run(
            ["h2load", "--h1", "-n", str(requests), "-c", "32",
             f"http://127.0.0.1:{node.port}/x/length/a"],
            text=True, capture_output=True, timeout=200, check=True)
        done = int(re.search(r"(\d+) succeeded", result.stdout).group(1))
        self.assertEqual(done, requests, result.stdout)
        status = node.drain()
        self.assertEqual((status["lost"], status["degraded"]), (0, 0))
        self.assertEqual(node.value("SELECT COUNT(*) FROM traffic_events"), requests)
        self.assertEqual(node.value("SELECT SUM(requests) FROM path_stats_hourly"), requests)
        node.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
