"""Rate limits of a running node with two loops: exact under concurrency, kept over a reload, and
recorded with the status that was sent."""

import json
import threading
import unittest

from harness import WeirTest, wait_for

NODE = """
[server]
workers = 2
[listen]
traffic = ["{traffic}"]
"""

ROUTES = """
[[routes]]
id = "limited"
pattern = "/limited/*"
upstreams = ["{upstream}"]
rate_limit = [{limit = LIMIT, window = "1h"}, {limit = 1000, window = "1h", per = "route"}]

[[routes]]
id = "keyed"
pattern = "/keyed/*"
upstreams = ["{upstream}"]
rate_limit = [
  {limit = 6, window = "1h"},
  {limit = 2, window = "1h", per = "header", header = "X-API-Key"},
]
"""


class RateLimit(WeirTest):
    CONFIG = NODE + ROUTES.replace("LIMIT", "40")

    def ask_from(self, address, count, path, *fields):
        """Each request on a connection of its own, so that both loops get some."""
        statuses = []
        for _ in range(count):
            with self.weir.client(source=(address, 0)) as client:
                statuses.append(client.ask(path, *fields).status)
        return statuses

    def recorded(self, path):
        rows = self.weir.sql("SELECT status, count(*) AS n FROM traffic_events"
                             f" WHERE path = '{path}' GROUP BY status ORDER BY status")
        return {row["status"]: row["n"] for row in rows}

    def test_eight_clients_at_once_get_exactly_what_the_limit_of_their_address_allows(self):
        statuses = []

        def ask():
            own = self.ask_from("127.0.0.2", 10, "/limited/a")
            statuses.extend(own)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(statuses), 80)
        self.assertEqual(statuses.count(200), 40)
        self.assertEqual(statuses.count(429), 40)
        wait_for(lambda: self.recorded("/limited/a") == {200: 40, 429: 40}, "all are recorded")
        self.assertEqual(self.ask_from("127.0.0.3", 1, "/limited/b"), [200], "another client")

        # The limit changes, and what was counted stays.
        self.weir.reload((NODE + ROUTES.replace("LIMIT", "41")).replace(
            "{upstream}", self.upstream.url))
        self.assertEqual(self.ask_from("127.0.0.2", 2, "/limited/c"), [200, 429])

    def test_a_header_has_a_limit_for_each_value_and_the_address_one_for_all(self):
        ask = self.ask_from
        self.assertEqual(ask("127.0.0.4", 3, "/keyed/a", "X-API-Key: one"), [200, 200, 429])
        self.assertEqual(ask("127.0.0.5", 1, "/keyed/a", "X-API-Key: one"), [429],
                         "from another address, too")
        for key in ("two", "three", "four", "five"):
            self.assertEqual(ask("127.0.0.4", 1, "/keyed/a", f"X-API-Key: {key}"), [200])
        self.assertEqual(ask("127.0.0.4", 1, "/keyed/a", "X-API-Key: six"), [429])

    def test_a_clients_limits_are_shown_and_reset(self):
        def limits():
            code, out, err = self.weir.run("limits", "status", "127.0.0.9", "--json")
            self.assertEqual(code, 0, err)
            return {row["id"]: row for row in json.loads(out)}
        self.assertEqual(self.ask_from("127.0.0.9", 40, "/limited/mine"), [200] * 40)
        self.assertEqual(self.ask_from("127.0.0.9", 1, "/limited/mine"), [429])
        own = limits()["route/limited/3600s/client/64"]
        self.assertEqual((own["limit"], own["used"], own["remaining"], own["own"]),
                         (40, 40, 0, True))
        self.assertGreater(own["retry_after_seconds"], 3500)
        whole = limits()["route/limited/3600s/route"]
        self.assertGreaterEqual(whole["used"], 40)
        self.assertFalse(whole["own"])
        code, out, err = self.weir.run("limits", "reset", "127.0.0.9")
        self.assertEqual((code, out), (0, "127.0.0.9: 2 limits were reset\n"), err)
        self.assertEqual(limits()["route/limited/3600s/client/64"]["used"], 0)
        self.assertGreaterEqual(limits()["route/limited/3600s/route"]["used"], whole["used"])
        self.assertEqual(self.ask_from("127.0.0.9", 1, "/limited/mine"), [200])
        code, _, err = self.weir.run("limits", "status", "nobody")
        self.assertEqual(code, 1)
        self.assertIn('"nobody" is not an address', err)

    def test_limits_of_a_key_and_of_a_whole_route_are_shown_and_reset(self):
        self.assertEqual(self.ask_from("127.0.0.10", 2, "/keyed/a", "X-API-Key: mine"), [200] * 2)
        self.assertEqual(self.ask_from("127.0.0.10", 1, "/keyed/a", "X-API-Key: mine"), [429])
        for subject, name in ((("--value", "mine"), "route/keyed/3600s/header/x-api-key"),
                              (("--route", "limited"), "route/limited/3600s/route")):
            self.ask_from("127.0.0.11", 1, "/limited/a")

            def used(subject=subject, name=name):
                code, out, err = self.weir.run("limits", "status", *subject, "--json")
                self.assertEqual(code, 0, err)
                return {row["id"].lower(): row["used"] for row in json.loads(out)}[name]
            self.assertGreaterEqual(used(), 1)
            code, out, err = self.weir.run("limits", "reset", *subject)
            self.assertEqual((code, out), (0, f"{subject[1]}: 1 limits were reset\n"), err)
            self.assertEqual(used(), 0)
        self.assertEqual(self.ask_from("127.0.0.10", 1, "/keyed/a", "X-API-Key: mine"), [200])
        self.assertNotIn("mine", self.weir.output())
        for wrong in ((), ("127.0.0.1", "--route", "limited"), ("nonsense",)):
            self.assertEqual(self.weir.run("limits", "status", *wrong)[0], 1)


if __name__ == "__main__":
    unittest.main()
