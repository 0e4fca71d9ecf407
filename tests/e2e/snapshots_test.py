"""What jobs publish in the key-value store: the dashboard's overview, traffic by node, paths."""

import calendar
import json
import time

from harness import WeirTest, wait_for


class Snapshots(WeirTest):
    CONFIG = """
[server]
workers = 1
node = "gw-1"

[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]

[[routes]]
id = "more"
pattern = "/more/*"
upstreams = ["{upstream}"]
rate_limit = {limit = 1000}
"""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A start catches up the first run of every job; a run by hand would find them waiting.
        wait_for(lambda: (jobs := cls.jobs()) and all(job["last"] for job in jobs),
                 "jobs are caught up")
        cls.upstream.on("/fails")(lambda wire, _: wire.answer(b"no", status="503 Service Unavailable"))
        with cls.weir.client() as client:
            for _ in range(8):
                client.ask("/works")
            for _ in range(2):
                client.ask("/fails")

    @classmethod
    def jobs(cls):
        code, out, _ = cls.weir.run("jobs", "list", "--json")
        return json.loads(out) if code == 0 else []

    def run_job(self, name):
        code, out, err = self.weir.run("jobs", "run", name)
        # Its own time may have come just now.
        self.assertTrue(code == 0 or "conflict" in err or "waits" in err or "runs" in err, err)
        return out

    def value(self, key):
        code, out, _ = self.weir.run("kv", "get", key)
        return json.loads(out) if code == 0 else None

    def after(self, job, key, done):
        """The value of `key` as soon as it is what `done` says after a run of `job`."""
        def look():
            self.run_job(job)
            value = self.value(key)
            return value if value and done(value) else None
        return wait_for(look, f"{job} publishes {key}")

    def expiry_s(self, key):
        _, out, _ = self.weir.run("kv", "list", key, "--json")
        text = {row["key"]: row["expires"] for row in json.loads(out)}[key]
        return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - time.time()

    def test_the_dashboard_has_the_last_24_hours(self):
        snapshot = self.after("dashboard_snapshot", "dashboard:snapshot:latest",
                              lambda value: value["data"]["traffic"]["totalRequests24h"] == 10)
        self.assertEqual(snapshot["version"], "1.0")
        self.assertLess(abs(snapshot["timestamp"] / 1000 - time.time()), 60)
        data = snapshot["data"]
        self.assertNotIn("degraded", data)
        traffic = data["traffic"]
        self.assertEqual((traffic["activeIPs24h"], traffic["trendVsPrevDay"]), (1, 100.0))
        self.assertEqual(traffic["peakRpm"], 10)
        self.assertEqual(data["topPaths"],
                         [{"path": "/works", "requests": 8, "errors": 0, "errorRate": 0.0},
                          {"path": "/fails", "requests": 2, "errors": 2, "errorRate": 1.0}])
        self.assertEqual(data["reliability"]["errorRate"], 20.0)
        self.assertGreater(data["reliability"]["avgResponseTime"], 0)
        self.assertGreater(data["reliability"]["p95ResponseTime"], 0)
        self.assertEqual(data["configuration"], {"totalPaths": 2, "pathsWithCache": 0,
                                                 "pathsWithRateLimit": 1, "pathsWithGeo": 0})
        wait_for(lambda: self.value("dashboard:overview:v1") ==
                 self.value("dashboard:snapshot:latest")["data"], "both keys are of one run")
        self.assertGreater(self.expiry_s("dashboard:snapshot:latest"), 19 * 60)

    def test_traffic_is_counted_by_the_node_it_came_to(self):
        geo = self.after("geo_snapshot", "geo:traffic:latest",
                         lambda value: value["edges"] and value["edges"][0]["request_count"] == 10)
        self.assertEqual(geo["edges"], [{"country": None, "edge_colo": "gw-1", "request_count": 10,
                                         "error_count": 2}])
        self.assertEqual(geo["timestamp"] - geo["since"], 30 * 60 * 1000)
        self.assertGreater(self.expiry_s("geo:traffic:latest"), 9 * 60)

    def test_the_consumer_is_asked_for_the_snapshot_of_the_paths(self):
        latest = self.after("path_snapshot", "snapshot:latest",
                            lambda value: sum(item["requests"] for item in value) == 10)
        self.assertEqual({item["path"]: item["requests"] for item in latest},
                         {"/works": 8, "/fails": 2})


if __name__ == "__main__":
    import unittest
    unittest.main()
