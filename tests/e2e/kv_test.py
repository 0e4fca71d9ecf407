"""`weir kv put` and `kv delete` on a running node and on the data directory of a stopped one."""

import json
import time
import unittest

from harness import Weir, run_weir, wait_for


class KvCommands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.weir = Weir("")
        cls.weir.wait_for_database()

    @classmethod
    def tearDownClass(cls):
        cls.weir.stop()

    def value(self, key):
        code, out, _ = self.weir.run("kv", "get", key)
        return out[:-1] if code == 0 else None

    def put(self, key, value, *more, stdin=""):
        self.assertEqual(self.weir.run("kv", "put", key, value, *more, stdin=stdin), (0, "", ""))

    def test_1_a_value_is_there_when_put_returns(self):
        for value in ("one", "two", "", "值 \"quoted\"\n"):
            self.put("k", value)
            self.assertEqual(self.value("k"), value)

    def test_2_a_dash_reads_standard_input_up_to_its_limit(self):
        most = "x" * (1024 * 1024)
        self.put("big", "-", stdin=most)
        self.assertEqual(self.value("big"), most)
        code, _, err = self.weir.run("kv", "put", "big", "-", stdin=most + "x")
        self.assertEqual(code, 1)
        self.assertIn("at most 1 MiB", err)
        self.assertEqual(self.value("big"), most)

    def test_3_a_key_with_a_time_to_live_goes_by_itself(self):
        self.put("long", "v", "--ttl", "1d")
        began = time.monotonic()
        self.put("short", "v", "--ttl", "3s")
        short = self.value("short")
        if time.monotonic() - began < 3:
            self.assertEqual(short, "v")
        wait_for(lambda: self.value("short") is None, "the key expires")
        self.assertEqual(self.value("long"), "v")
        keys = {row["key"]: row for row in json.loads(self.weir.run("kv", "list", "--json")[1])}
        self.assertNotIn("short", keys)
        self.assertGreater(keys["long"]["expires"], time.strftime("%Y-%m-%dT%H", time.gmtime()))

    def test_4_delete_removes_and_a_missing_key_is_no_error(self):
        self.put("gone", "v")
        for _ in range(2):
            self.assertEqual(self.weir.run("kv", "delete", "gone"), (0, "", ""))
            self.assertIsNone(self.value("gone"))

    def test_5_nonsense_is_refused_with_a_reason(self):
        for arguments, code, why in (
                (("put", "", "v"), 1, "1 to 512 bytes"),
                (("put", "k" * 513, "v"), 1, "1 to 512 bytes"),
                (("put", "k", "v", "--ttl", "soon"), 1, "no duration"),
                (("put", "k", "v", "--ttl", "0s"), 1, "no duration"),
                (("put", "k"), 2, "value is required")):
            refused, _, err = self.weir.run("kv", *arguments)
            self.assertEqual(refused, code, arguments)
            self.assertIn(why, err)
        self.put("k" * 512, "v")

    def test_6_a_stopped_node_is_written_directly_and_keeps_it(self):
        self.put("before", "v")
        self.weir.end()
        self.put("after", "-", stdin="w" * (1024 * 1024 + 1))
        self.assertEqual(self.value("before"), "v")
        self.assertEqual(len(self.value("after")), 1024 * 1024 + 1)
        self.assertEqual(self.weir.run("kv", "delete", "before"), (0, "", ""))
        self.assertIsNone(self.value("before"))

    def test_7_a_directory_that_is_none_is_refused(self):
        code, _, err = run_weir("kv", "put", "k", "v", "--data", self.weir.dir + "/none")
        self.assertEqual(code, 1)
        self.assertIn("no data directory", err)


if __name__ == "__main__":
    unittest.main()
