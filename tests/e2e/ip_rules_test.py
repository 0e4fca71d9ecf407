"""IP rules of a running node: who is refused, what is recorded and counted of it, and that a reload
puts new rules in force at once. Clients have addresses of their own: all of 127.0.0.0/8 is here."""

import signal
import threading
import time
import unittest

from harness import Client, wait_for
from rules import RulesTest

LISTEN = """
[server]
workers = 2
[listen]
traffic = ["{traffic}"]
admin = "127.0.0.1:{admin}"
"""

RULES = """
[[ip_rules]]
match = ["127.0.0.2"]
action = "block"
reason = "Scanned."

[[ip_rules]]
match = ["127.0.0.3"]
action = "throttle"
limit = 2
window = "1h"

[[ip_rules]]
match = ["127.0.0.4/30"]
action = "block"

[[ip_rules]]
match = ["127.0.0.5"]
action = "allow"

[[ip_rules]]
match = ["127.0.0.8"]
action = "block"
enforce = false

[[ip_rules]]
match = ["127.0.0.9"]
action = "block"
expires = "2020-01-01T00:00:00Z"
"""

ROUTES = """
[[routes]]
id = "all"
pattern = "/all/*"
upstreams = ["{upstream}"]
"""


def more_rule(match, action="block"):
    return f'[[ip_rules]]\nmatch = ["{match}"]\naction = "{action}"\n'


class IpRules(RulesTest):
    CONFIG = LISTEN + RULES + ROUTES

    def reload(self, rules):
        self.write(LISTEN + rules + ROUTES)
        self.weir.reload()

    def denied(self, action):
        return self.metric("weir_ip_rules_denied_total", action)

    def wait_for_denied(self, action, count):
        wait_for(lambda: self.denied(action) == count, f"{count} denied by {action}")

    def recorded(self, path, count):
        """The statuses of a path's events, sorted: events of two loops have no order in time."""
        def statuses():
            rows = self.weir.sql("SELECT path, status FROM traffic_events ORDER BY status")
            found = [row["status"] for row in rows if row["path"] == path]
            return found if len(found) >= count else None
        return wait_for(statuses, f"{count} events of {path}", 30)

    def test_a_blocked_client_gets_403_and_never_reaches_the_upstream(self):
        before = self.denied("block")
        response = self.ask_from("127.0.0.2", "/all/blocked")
        self.assertEqual(response.status, 403)
        self.assertEqual(response.get("content-type"), "application/json")
        request_id = response.get("x-request-id")
        self.assertEqual(response.json, {
            "error": "Forbidden", "message": "Access denied by IP access control",
            "reason": "Scanned.", "rulePattern": "127.0.0.2/32", "code": "ip_blocked",
            "requestId": request_id})
        self.assertEqual(self.ask_from("127.0.0.1", "/all/blocked").status, 200)
        self.assertEqual(len(self.upstream.seen("/all/blocked")), 1)
        self.assertEqual(self.recorded("/all/blocked", 2), [200, 403])
        self.wait_for_denied("block", before + 1)

    def test_a_throttled_client_gets_429_above_its_limit_whatever_its_connection(self):
        responses = [self.ask_from("127.0.0.3", "/all/throttled") for _ in range(4)]
        self.assertEqual([response.status for response in responses], [200, 200, 429, 429])
        body = responses[2].json
        self.assertEqual((body["code"], body["limit"], body["window"], body["remaining"]),
                         ("ip_throttled", 2, 3600, 0))
        self.assertGreater(int(responses[2].get("retry-after")), 3500)
        self.assertEqual(self.ask_from("127.0.0.1", "/all/throttled").status, 200)
        self.assertEqual(self.recorded("/all/throttled", 5), [200, 200, 200, 429, 429])
        self.wait_for_denied("throttle", 2)

    def test_the_more_specific_rule_decides(self):
        self.assertEqual(self.ask_from("127.0.0.4", "/all/in").status, 403)
        self.assertEqual(self.ask_from("127.0.0.5", "/all/in").status, 200)
        self.assertEqual(self.ask_from("127.0.0.6", "/all/in").status, 403)
        self.assertEqual(self.ask_from("127.0.0.9", "/all/in").status, 200, "the rule has expired")

    def test_a_dry_run_is_counted_and_changes_nothing(self):
        before = self.metric("weir_ip_rules_dry_run_total", "block")
        self.assertEqual(self.ask_from("127.0.0.8", "/all/dry").status, 200)
        wait_for(lambda: self.metric("weir_ip_rules_dry_run_total", "block") == before + 1,
                 "the dry run is counted")
        self.assertEqual(self.recorded("/all/dry", 1), [200])

    def test_a_header_that_nobody_trusted_wrote_opens_nothing(self):
        with self.weir.client(source=("127.0.0.2", 0)) as client:
            for name in ("X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP", "Forwarded"):
                value = "for=127.0.0.5" if name == "Forwarded" else "127.0.0.5"
                self.assertEqual(client.ask("/all/spoofed", f"{name}: {value}").status, 403, name)

    def test_no_rule_locks_an_operator_out(self):
        for path in ("/metrics", "/api/health"):
            with Client(self.admin, source=("127.0.0.2", 0)) as client:
                self.assertEqual(client.ask(path).status, 200, path)
        self.assertEqual(self.ask_from("127.0.0.2", "/api/health").status, 200)

    def test_a_reload_puts_rules_in_force_at_once_and_drops_no_connection(self):
        arrived, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        @self.upstream.on("/all/long")
        def _(wire, head):
            arrived.set()
            release.wait(30)
            wire.answer(b"done")

        with self.weir.client(source=("127.0.0.20", 0)) as idle, \
                self.weir.client(source=("127.0.0.20", 0)) as busy:
            self.assertEqual(idle.ask("/all/reload").status, 200)
            busy.get("/all/long")
            self.assertTrue(arrived.wait(10))
            self.reload(RULES + more_rule("127.0.0.16/28"))
            self.assertEqual(idle.ask("/all/reload").status, 403)
            release.set()
            self.assertEqual(busy.response().body, b"done", "it began before the rule")
            self.assertEqual(busy.ask("/all/reload").status, 403)
            self.reload(RULES)
            for client in (idle, busy):
                self.assertEqual(client.ask("/all/reload").status, 200)
        self.assertEqual(self.recorded("/all/reload", 5), [200, 200, 200, 403, 403])

    def test_a_wrong_rule_is_refused_by_name_and_the_old_ones_stay(self):
        self.write(LISTEN + RULES + more_rule("127.0.0.1/8") + ROUTES)
        self.weir.process.send_signal(signal.SIGHUP)
        wait_for(lambda: 'ip_rules[6].match[0]: "127.0.0.1/8" has bits after its prefix; '
                 "the network is 127.0.0.0/8" in self.weir.output(), "the refusal")
        self.assertEqual(self.ask_from("127.0.0.2", "/all/kept").status, 403)
        self.assertEqual(self.ask_from("127.0.0.1", "/all/kept").status, 200)

    def test_a_rule_ends_at_its_time_without_a_reload(self):
        expires = int(time.time()) + 3
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))
        self.reload(RULES + more_rule("127.0.0.30") + f'expires = "{stamp}"\n')
        with self.weir.client(source=("127.0.0.30", 0)) as client:
            if time.time() < expires - 0.5:
                self.assertEqual(client.ask("/all/expiring").status, 403)
            wait_for(lambda: client.ask("/all/expiring").status == 200, "the rule's end")
            self.assertGreaterEqual(time.time(), expires)


if __name__ == "__main__":
    unittest.main()
