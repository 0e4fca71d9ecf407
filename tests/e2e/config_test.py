"""`weir config` on files: what is wrong, what is in force, what would change."""

import json
import os
import tempfile
import unittest

from harness import run_weir

ROUTE = """
[[routes]]
id = "kv"
pattern = "/kv/*"
upstreams = ["http://127.0.0.1:9000"]
"""


class Config(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_what_is_shown_loads_to_the_same_and_needs_no_reading_between_the_lines(self):
        file = self.file("weir.toml", ROUTE + "rate_limit = {limit = 7}\n")
        code, shown, err = run_weir("config", "show", file)
        self.assertEqual((code, err), (0, ""))
        self.assertIn('keep_alive_timeout = "', shown)
        self.assertIn("limit = 7", shown)
        again = self.file("shown.toml", shown)
        self.assertEqual(run_weir("config", "diff", file, again), (0, "nothing differs\n", ""))
        settings = {each["key"]: each for each in
                    json.loads(run_weir("config", "show", file, "--json")[1])}
        self.assertTrue(settings["server.workers"]["restart"])
        self.assertEqual(settings["routes.kv.pattern"]["value"], '"/kv/*"')

    def test_a_difference_has_both_values_and_says_when_it_takes_effect(self):
        before = self.file("a.toml", ROUTE + '[[routes]]\nid = "old"\npattern = "/old"\n'
                           'upstreams = ["http://127.0.0.1:9000"]\n')
        after = self.file("b.toml", "[server]\nworkers = 3\n" + ROUTE + "body_max = 5\n"
                          '[[ip_rules]]\nmatch = ["192.0.2.1"]\naction = "block"\n')
        code, out, err = run_weir("config", "diff", before, after, "--json")
        self.assertEqual((code, err), (1, ""))
        rows = {row["key"]: (row["before"], row["after"], row["takes effect"])
                for row in json.loads(out)}
        self.assertEqual(rows, {
            "server.workers": ("0", "3", "after a restart"),
            "ip_rules.192.0.2.1": ("", 'action = "block"', "at once"),
            "routes.kv.body_max": ('"100MiB"', '"5B"', "at once"),
            "routes.old": ('"/old"', "", "at once")})
        self.assertIn("after a restart", run_weir("config", "diff", before, after)[1])

    def test_files_that_are_not_good_are_named_with_the_place(self):
        good = self.file("good.toml", ROUTE)
        bad = self.file("bad.toml", ROUTE + "body_max = -1\n")
        for arguments, expected in ((("check", bad), 1), (("show", bad), 1),
                                    (("diff", good, bad), 2), (("diff", bad, good), 2)):
            code, out, err = run_weir("config", *arguments)
            self.assertEqual(code, expected, arguments)
            self.assertIn("bad.toml:6:12: routes[0].body_max", out + err)
        self.assertEqual(run_weir("config", "show", os.path.join(self.folder, "none.toml"))[0], 1)

    def explain(self, file, *arguments):
        code, out, err = run_weir("config", "explain", "--config", file, *arguments, "--json")
        self.assertEqual(err, "")
        return code, json.loads(out)

    def test_an_explanation_names_what_a_request_meets_and_who_answers(self):
        file = self.file("weir.toml", """
[global]
rate_limit = {window = 10}
[[ip_rules]]
match = ["203.0.113.0/24"]
action = "block"
[[path_rules]]
id = "search"
pattern = "/kv/search/*"
rate_limit = {limit = 5}
""" + ROUTE + "strip_prefix = true\n")
        code, told = self.explain(file, "GET", "/kv/search/%61?q=1")
        self.assertEqual((code, told["answer"], told["status"]), (0, "upstream", None))
        self.assertEqual((told["path"], told["route"], told["path_rule"]),
                         ("/kv/search/a", "kv", "search"))
        self.assertEqual(told["upstream_target"], "/search/a?q=1")
        (limit,) = told["rate_limits"]
        self.assertEqual(limit["limit"], {"value": 5, "from": "path rule"})
        self.assertEqual(limit["window_seconds"], {"value": 10, "from": "global"})
        self.assertEqual(limit["per"], {"value": "client", "from": "built in"})

        code, told = self.explain(file, "GET", "/kv/a", "--ip", "203.0.113.7")
        self.assertEqual((code, told["answer"], told["status"]), (1, "ip_blocked", 403))
        self.assertEqual(told["ip_rule"], {"match": "203.0.113.0/24", "action": "block"})
        code, told = self.explain(file, "GET", "http://host.test/kv/a\\b")
        self.assertEqual((code, told["malformed"]), (1, "path_backslash"))
        code, told = self.explain(file, "GET", "/kv/a", "--header", "Host: a", "--header", "Host: b")
        self.assertEqual((code, told["malformed"]), (1, "host_repeated"))

        code, out, _ = run_weir("config", "explain", "--config", file, "GET", "/kv/search/x")
        self.assertEqual(code, 0)
        self.assertIn("5 in 10s per client   (limit: path rule, window: global)", out)
        self.assertIn("sent to http://127.0.0.1:9000 as /search/x", out)

    def test_what_cannot_be_explained_is_said_with_exit_code_2(self):
        bad = self.file("bad.toml", ROUTE + "body_max = -1\n")
        for arguments in (("--config", bad, "GET", "/"), ("GET", "/"),
                          ("--config", self.file("good.toml", ROUTE), "GET", "/", "--ip", "nobody")):
            code, out, err = run_weir("config", "explain", *arguments)
            self.assertEqual((code, out), (2, ""), arguments)
            self.assertNotEqual(err, "")


if __name__ == "__main__":
    unittest.main()
