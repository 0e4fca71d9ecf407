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
            "ip_rules": ("", "1 rules", "at once"),
            "routes.kv.body_max": ('"100MiB"', '"5B"', "at once"),
            "routes.old": ("/old", "", "at once")})
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


if __name__ == "__main__":
    unittest.main()
