"""`weir stats clients` and `weir stats client`: what single clients did, of a running node and of a
stopped one's directory."""

import json
import signal
import time
import unittest

from harness import WeirTest, wait_for

CONFIG = """
[[ip_rules]]
match = ["127.0.0.3"]
action = "block"
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]
"""


class StatsClients(WeirTest):
    CONFIG = CONFIG

    def ask_from(self, address, path, count):
        with self.weir.client(source=(address, 0)) as client:
            for _ in range(count):
                client.ask(path)

    def clients(self, *arguments):
        code, out, err = self.weir.run("stats", "clients", "--json", *arguments)
        self.assertEqual(code, 0, err)
        return {row["address"]: row for row in json.loads(out)}

    def client(self, which):
        code, out, err = self.weir.run("stats", "client", which, "--json")
        self.assertEqual(code, 0, err)
        return json.loads(out)

    def test_1_each_client_is_told_with_what_it_did(self):
        self.weir.wait_for_database()
        self.ask_from("127.0.0.2", "/a", 5)
        self.ask_from("127.0.0.2", "/b", 2)
        self.ask_from("127.0.0.3", "/a", 3)
        rows = wait_for(lambda: (found := self.clients("--days", "2")) and
                        sum(row["requests"] for row in found.values()) == 10 and found,
                        "all are counted")
        busy, blocked = rows["127.0.0.2"], rows["127.0.0.3"]
        self.assertEqual((busy["requests"], busy["success"], busy["errors"], busy["success_rate"]),
                         (7, 7, 0, 100.0))
        self.assertEqual((blocked["requests"], blocked["errors"], blocked["blocked"],
                          blocked["success"], blocked["refused_rate"]), (3, 3, 3, 0, 100.0))
        self.assertFalse(busy["suspicious"])
        self.assertEqual(list(self.clients("--days", "2", "--sort", "errors"))[0], "127.0.0.3")
        found = self.clients("--days", "2", "--search", busy["client"][:5])
        self.assertIn("127.0.0.2", found)
        self.assertEqual(self.clients("--date", "2020-01-01", "--days", "7"), {},
                         "an old date is not everything since")
        for text in ("ab", "xyz", "0" * 17):
            code, _, err = self.weir.run("stats", "clients", "--search", text)
            self.assertEqual(code, 1)
            self.assertIn("3 to 16 hexadecimal digits", err)

    def test_2_one_client_is_found_by_its_address_and_by_its_hash(self):
        by_address = self.client("127.0.0.2")
        self.assertEqual(self.client(by_address["client"]), by_address)
        self.assertEqual(by_address["requests"], 7)
        self.assertEqual(sum(day["requests"] for day in by_address["days"]), 7)
        self.assertLessEqual(by_address["days"][-1]["date"], time.strftime("%Y-%m-%d", time.gmtime()))
        self.assertEqual(by_address["paths"], [{"path": "/a", "requests": 5},
                                               {"path": "/b", "requests": 2}])
        code, _, err = self.weir.run("stats", "client", "192.0.2.99")
        self.assertEqual(code, 1)
        self.assertIn("192.0.2.99: no requests in the 7 days", err)
        code, _, err = self.weir.run("stats", "client", "somebody")
        self.assertEqual(code, 1)
        self.assertIn("neither an address nor a hash", err)

    def test_3_a_stopped_nodes_directory_tells_the_same_as_tables(self):
        before = self.client("127.0.0.2")
        self.weir.end()
        self.assertEqual(self.client("127.0.0.2"), before)
        code, out, err = self.weir.run("stats", "clients", "--days", "2")
        self.assertEqual(code, 0, err)
        self.assertIn("success_rate", out.splitlines()[0])
        self.assertRegex(out, r"127\.0\.0\.3 +3 +3 +3 +0 +0 +0\.0 +100\.0 +100\.0")
        code, out, err = self.weir.run("stats", "client", "127.0.0.3")
        self.assertEqual(code, 0, err)
        self.assertIn("3, 0.0 % success, 100.0 % errors, 100.0 % refused", out)
        self.weir.start_again(signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
