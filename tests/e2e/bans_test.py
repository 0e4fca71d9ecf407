"""Bans of a running node with two loops, and what rate limits and bans know after it was killed or
ended: who is refused stays refused. Clients have addresses of their own: all of 127.0.0.0/8 is
here."""

import itertools
import json
import os
import re
import signal
import unittest

from harness import wait_for
from rules import RulesTest

NODE = """
[server]
workers = 2
[listen]
traffic = ["{traffic}"]
admin = "127.0.0.1:{admin}"

[[routes]]
id = "all"
pattern = "/all/*"
upstreams = ["{upstream}"]

[[routes]]
id = "limited"
pattern = "/limited/*"
upstreams = ["{upstream}"]
rate_limit = {limit = 3, window = "1h"}

[[ip_rules]]
match = ["127.0.0.9"]
action = "allow"
"""

BANS = """
[[ban_rules]]
id = "scanning"
on = ["404"]
count = 5
window = "1h"
ban = "1h"
"""

SHORT = """
[[ban_rules]]
id = "short"
on = ["denied"]
count = 2
window = "60s"
ban = "8s"
reason = "Slow down."
"""


class Bans(RulesTest):
    CONFIG = NODE + BANS + SHORT
    fresh = (f"127.0.3.{last}" for last in itertools.count(1))  # Nothing came from them yet.

    def scan(self, address, count, path="/none"):
        """Each request on a connection of its own, so that both loops get some."""
        return [self.ask_from(address, path).status for _ in range(count)]

    def limits(self, *arguments):
        code, out, err = self.weir.run("limits", *arguments, "--json")
        self.assertEqual(code, 0, err)
        return json.loads(out)

    def bans(self, address):
        """The rules that ban it. The command fails where a loop did not answer in time."""
        def listed():
            code, out, _ = self.weir.run("limits", "bans", "--json")
            return out if code == 0 else None
        bans = json.loads(wait_for(listed, "every loop names its bans"))
        return [ban["rule"] for ban in bans if ban["ip"] == address]

    def count(self, name):
        """Of both loops: one that does not answer in time is left out."""
        def values():
            found = re.findall(rf'^{name}{{loop="\d+"}} (\d+)$', self.metrics(), re.M)
            return found if len(found) == 2 else None
        return sum(map(int, wait_for(values, f"{name} of each loop")))

    def wait_until_saved(self):
        """The first save may have begun before this, the second has not."""
        path = os.path.join(self.weir.data, "limits")
        for _ in range(2):
            before = os.path.getmtime(path) if os.path.exists(path) else 0
            self.ask_from(next(self.fresh), "/limited/saved")
            wait_for(lambda: os.path.exists(path) and os.path.getmtime(path) > before, "a save")

    def test_a_scanner_is_banned_across_loops_after_exactly_so_many_answers(self):
        self.assertEqual(self.scan("127.0.0.2", 8), [404] * 5 + [403] * 3)
        refused = self.ask_from("127.0.0.2", "/all/other")
        self.assertEqual(refused.status, 403)
        self.assertEqual(refused.json["code"], "banned")
        self.assertGreater(int(refused.get("retry-after")), 3500)
        self.assertEqual(self.ask_from("127.0.0.3", "/all/other").status, 200)
        self.assertEqual(len(self.upstream.seen("/all/other")), 1)
        self.assertEqual(self.bans("127.0.0.2"), ["scanning"])
        self.assertEqual(self.limits("reset", "127.0.0.2")["reset"] > 0, True)
        self.assertEqual(self.ask_from("127.0.0.2", "/all/other").status, 200)
        self.assertEqual(self.bans("127.0.0.2"), [])

    def test_a_ban_ends_by_itself(self):
        self.assertEqual(self.scan("127.0.0.4", 6, "/limited/a"),
                         [200] * 3 + [429] * 2 + [403])
        self.assertEqual(self.ask_from("127.0.0.4", "/all/b").json["reason"], "Slow down.")
        wait_for(lambda: self.ask_from("127.0.0.4", "/all/b").status == 200, "the ban's end")

    def test_who_is_allowed_is_never_banned(self):
        self.assertEqual(self.scan("127.0.0.9", 8), [404] * 8)
        self.assertEqual(self.ask_from("127.0.0.9", "/all/allowed").status, 200)

    def test_who_was_refused_is_refused_by_the_next_process(self):
        for number, ending in (("5", signal.SIGKILL), ("6", signal.SIGTERM)):
            banned, limited = f"127.0.1.{number}", f"127.0.2.{number}"
            self.assertEqual(self.scan(banned, 5), [404] * 5)
            self.assertEqual(self.scan(limited, 2, "/limited/kept"), [200] * 2)
            if ending == signal.SIGKILL:
                self.wait_until_saved()
            self.weir.start_again(ending)
            wait_for(self.admin_answers, "the admin listener answers")
            self.assertEqual(self.ask_from(banned, "/all/kept").status, 403)
            self.assertEqual(self.scan(limited, 2, "/limited/kept"), [200, 429])
            used = {row["id"]: row["used"] for row in self.limits("status", limited)}
            self.assertEqual(used["route/limited/3600s/client/64"], 3)

    def test_a_damaged_file_is_said_and_stops_nothing(self):
        self.wait_until_saved()
        self.weir.process.send_signal(signal.SIGKILL)
        self.weir.process.wait(60)
        with open(os.path.join(self.weir.data, "limits"), "r+b") as file:
            file.seek(3)
            file.write(b"?")
        self.weir.start_again(signal.SIGTERM)
        self.assertIn("its beginning is damaged", self.weir.output())
        self.assertEqual(self.ask_from("127.0.0.7", "/limited/damaged").status, 200)

    def test_bans_are_counted(self):
        started, denied = self.count("weir_bans_started_total"), self.count("weir_ban_denied_total")
        self.assertEqual(self.scan("127.0.0.8", 7), [404] * 5 + [403] * 2)
        wait_for(lambda: self.count("weir_bans_started_total") == started + 1, "a ban")
        wait_for(lambda: self.count("weir_ban_denied_total") == denied + 2, "two requests")


if __name__ == "__main__":
    unittest.main()
