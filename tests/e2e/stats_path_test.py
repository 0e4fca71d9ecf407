"""`weir stats path`: the hours of one path and their sum."""

import json
import time

from harness import PATIENCE, WeirTest


class StatsPath(WeirTest):
    CONFIG = """
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]
"""

    def stats(self, *arguments):
        return self.weir.run("stats", "path", *arguments)

    def path_json(self, path):
        code, out, err = self.stats(path, "--json")
        self.assertEqual(code, 0, err)
        return json.loads(out)

    def test_every_request_that_was_answered_is_in_its_hour_and_in_the_sum(self):
        began = time.strftime("%Y-%m-%dT%H", time.gmtime())
        with self.weir.client() as client:
            for number in range(7):
                client.ask(f"/users/{number}")
        self.upstream.on("/users/8")(lambda wire, _: wire.answer(b"no", status="503 Service Unavailable"))
        self.ask("/users/8")
        found = self.wait_for_requests("/users/{id}", 8)
        self.assertEqual(found["path"], "/users/{id}")
        self.assertGreaterEqual(found["hours"][0]["hour"], began)
        self.assertEqual(sum(hour["requests"] for hour in found["hours"]), 8)
        total = found["sum"]
        self.assertEqual((total["errors"], total["unique_clients"]), (1, 1))
        self.assertGreater(total["p50_ms"], 0)
        self.assertLessEqual(total["p50_ms"], total["p95_ms"])
        self.assertLessEqual(total["p95_ms"], total["p99_ms"])
        self.assertLessEqual(total["p99_ms"], total["max_ms"] * 1.011)
        code, out, _ = self.stats("/users/{id}")
        self.assertEqual(code, 0)
        lines = [line.split() for line in out.splitlines()]
        self.assertEqual(lines[0][:3], ["hour", "requests", "errors"])
        self.assertEqual(lines[-1][:3], ["sum", "8", "1"])

    def test_a_route_that_is_switched_off_leaves_its_statistics(self):
        self.ask("/kept/1")
        self.wait_for_requests("/kept/{id}", 1)
        self.weir.reload(self.CONFIG.replace("{upstream}", self.upstream.url) + "enabled = false\n")
        self.assertEqual(self.ask("/kept/2").status, 404)
        self.assertEqual(self.path_json("/kept/{id}")["sum"]["requests"], 1)
        rows = json.loads(self.weir.run("sql", "SELECT path FROM traffic_events", "--json")[1])
        self.assertIn({"path": "/kept/1"}, rows)
        self.weir.reload(self.CONFIG.replace("{upstream}", self.upstream.url))

    def wait_for_requests(self, path, count):
        end = time.monotonic() + PATIENCE
        while True:
            code, out, err = self.stats(path, "--json")
            total = json.loads(out)["sum"] if code == 0 else {}
            # Estimates of what was committed between the flush and the answer come with the next one.
            if total.get("requests") == count and total["unique_clients"] is not None:
                return json.loads(out)
            self.assertLess(time.monotonic(), end, out + err)

    def test_a_path_nobody_asked_for_is_refused_with_names_that_look_like_it(self):
        self.ask("/orders/open")
        self.wait_for_requests("/orders/open", 1)
        code, out, err = self.stats("/order/open")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("/order/open: no requests in the last 24 hours; paths like it:\n  /orders/open", err)
        code, _, err = self.stats("zzz", "--json")
        self.assertEqual(code, 1)
        self.assertNotIn("like it", err)


if __name__ == "__main__":
    import unittest
    unittest.main()
