"""weir ip-rules on a running node: what a command adds or takes out is in force when it returns; lists
come in whole or not at all; nobody's change is lost."""

import json
import os
import signal
import subprocess
import threading
import unittest

import harness
from harness import Upstream, Weir
from rules import RulesTest

CONFIG = """
[config]
source = "store"
[server]
workers = 2
[listen]
traffic = ["{traffic}"]
admin = "127.0.0.1:{admin}"

[[routes]]
id = "all"
pattern = "/all/*"
upstreams = ["{upstream}"]
"""

# Addresses that nobody in these tests has.
MANY = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(50_000)]


class IpRuleCommands(RulesTest):
    CONFIG = CONFIG

    def command(self, *arguments, stdin=None, code=0):
        """The answer of a change as JSON; of a refused one what it said."""
        run = subprocess.run([harness.WEIR, "ip-rules", *arguments, "--json", "--data",
                              self.weir.data], input=stdin, capture_output=True, text=True,
                             timeout=120, check=False)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        if code != 0:
            return run.stderr
        answer = json.loads(run.stdout)
        if "stalled" in answer and answer["stalled"]:
            self.weir.wait_for_loops()
        return answer

    def export(self, *arguments):
        code, out, err = self.weir.run("ip-rules", "export", *arguments)
        self.assertEqual(code, 0, err)
        return out

    def entries(self):
        return {(row["match"], row["action"]): row for row in self.command("list")}

    def status_of(self, address):
        return self.ask_from(address, "/all/x").status

    def version(self):
        return json.loads(self.weir.run("config", "history", "--json")[1])[0]["version"]

    def test_what_is_added_is_refused_at_once_and_what_is_removed_passes_at_once(self):
        self.assertEqual(self.status_of("127.0.1.1"), 200)
        before = self.version()
        answer = self.command("add", "127.0.1.1", "127.0.1.2/31", "127.0.1.1/32", "--action",
                              "block", "--for", "1h", "--reason", "Scans: \"x\", é",
                              "--comment", "by hand")
        self.assertEqual((answer["version"], answer["added"], answer["repeated"]),
                         (before + 1, 2, 1))
        refused = self.ask_from("127.0.1.1", "/all/x")
        self.assertEqual(refused.status, 403)
        self.assertIn("Scans: ", refused.body.decode())
        self.assertEqual([self.status_of(f"127.0.1.{last}") for last in (2, 3, 4)], [403, 403, 200])
        row = self.entries()["127.0.1.1", "block"]
        self.assertEqual((row["reason"], row["enforce"], row["expired"]),
                         ("Scans: \"x\", é", True, False))
        answer = self.command("remove", "127.0.1.1")
        self.assertEqual((answer["version"], answer["removed"]), (before + 2, 1))
        self.assertEqual([self.status_of(f"127.0.1.{last}") for last in (1, 2)], [200, 403])
        self.assertEqual(json.loads(self.weir.run("config", "history", "--json")[1])[1]["comment"],
                         "by hand")

    def test_what_makes_no_sense_is_named_and_changes_nothing(self):
        self.command("add", "127.0.2.1", "--action", "block", "--reason", "first")
        before = self.version()
        said = self.command("add", "127.0.2.1", "127.0.2.2", "--action", "block", code=1)
        self.assertIn('127.0.2.1 has this action already (block, "first"); to change it, '
                      "weir ip-rules remove 127.0.2.1 --action block first", said)
        said = self.command("add", "127.0.2.9/24", "x", "--action", "block", code=1)
        self.assertIn("the network is 127.0.2.0/24", said)
        self.assertIn('"x" is not an address or prefix', said)
        self.assertIn("--limit: is missing", self.command("add", "::1", "--action", "throttle",
                                                          "--window", "1m", code=1))
        self.assertIn("has passed", self.command("add", "::1", "--action", "block", "--expires",
                                                 "2020-01-01T00:00:00Z", code=1))
        said = self.command("remove", "127.0.2.1", "127.0.2.0/24", code=1)
        self.assertIn("127.0.2.0/24 is in no rule", said)
        self.assertIn("is in no rule of this action",
                      self.command("remove", "127.0.2.1", "--action", "allow", code=1))
        self.assertIn("no rule has the reason", self.command("remove", "--reason", "none", code=1))
        self.assertEqual(self.version(), before)
        self.assertEqual(self.status_of("127.0.2.1"), 403)

    def test_a_throttle_a_dry_run_and_an_expired_entry_are_what_they_say(self):
        self.command("add", "127.0.3.1", "--action", "throttle", "--limit", "1", "--window", "1h")
        self.assertEqual([self.status_of("127.0.3.1") for _ in range(2)], [200, 429])
        self.command("add", "127.0.3.2", "--action", "block", "--dry-run")
        self.assertEqual(self.status_of("127.0.3.2"), 200)
        self.command("import", "-", stdin="match,action,expires\n"
                                          "127.0.3.3,block,2020-01-01T00:00:00Z\n")
        self.assertTrue(self.entries()["127.0.3.3", "block"]["expired"])
        self.command("add", "127.0.3.3", "--action", "block")
        self.assertEqual(self.status_of("127.0.3.3"), 403)
        self.assertNotIn("127.0.3.2", self.export("--format", "plain"))

    def test_fifty_thousand_come_in_at_once_and_a_list_replaces_what_has_its_label(self):
        others = self.entries()
        text = "; a list\n" + "\n".join(MANY) + "\ndeny 127.0.4.1;\n" + MANY[7] + "/32\n"
        answer = self.command("import", "-", "--reason", "big list", "--replace", stdin=text)
        self.assertEqual((answer["added"], answer["removed"], answer["repeated"]), (50_001, 0, 1))
        self.assertEqual(self.status_of("127.0.4.1"), 403)
        again = self.command("import", "-", "--reason", "big list", stdin=text)
        self.assertEqual((again["version"], again["added"], again["present"]),
                         (answer["version"], 0, 50_001))
        short = "\n".join(MANY[:100]) + "\n127.0.4.2\n"
        after = self.command("import", "-", "--reason", "big list", "--replace", stdin=short)
        self.assertEqual((after["version"], after["added"], after["removed"]),
                         (answer["version"] + 1, 101, 50_001))
        self.assertEqual([self.status_of(f"127.0.4.{last}") for last in (1, 2)], [200, 403])
        self.assertEqual(len(self.entries()), len(others) + 101)
        removed = self.command("remove", "--reason", "big list")
        self.assertEqual(removed["removed"], 101)
        self.assertEqual(self.entries(), others)

    def test_a_bad_list_is_refused_whole_with_every_line_of_it(self):
        before = self.version()
        path = os.path.join(self.weir.dir, "bad.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write("127.0.5.1\nexample.com\n# fine\n10.0.0.1/8\ndeny all;\n")
        said = self.command("import", path, code=1)
        for line, what in ((2, "is not an address or prefix"), (4, "the network is 10.0.0.0/8"),
                           (5, "nginx's last resort")):
            self.assertRegex(said, rf"bad.txt:{line}:\d+: .*{what}")
        self.assertIn("refused, nothing has changed", said)
        for text, what in (("", "has no addresses"), ("# nothing\n", "has no addresses")):
            self.assertIn(what, self.command("import", "-", "--replace", "--reason", "x",
                                             stdin=text, code=1))
        self.assertIn("--replace needs --reason",
                      self.command("import", "-", "--replace", stdin="127.0.5.1\n", code=1))
        self.assertEqual((self.version(), self.status_of("127.0.5.1")), (before, 200))

    def test_what_is_exported_imports_to_the_same_rules(self):
        self.command("add", "127.0.6.1", "2001:db8::/32", "--action", "block", "--reason", "a,\"b\"",
                     "--expires", "2999-01-01T00:00:00Z")
        self.command("add", "127.0.6.1", "--action", "allow")
        wanted = self.entries()
        for form in ("csv", "toml"):
            text = self.export("--format", form)
            for match, action in wanted:
                self.command("remove", match, "--action", action)
            self.assertEqual(self.command("list"), [])
            self.command("import", "-", "--format", form, stdin=text)
            self.assertEqual(self.entries(), wanted)
            self.assertEqual(self.status_of("127.0.6.1"), 403)

    def test_concurrent_changes_all_end_up_in_force(self):
        addresses = [f"127.0.7.{last}" for last in range(1, 7)]
        failures = []

        def add(address):
            code, out, err = self.weir.run("ip-rules", "add", address, "--action", "block")
            if code != 0:
                failures.append(out + err)
        threads = [threading.Thread(target=add, args=(address,)) for address in addresses]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.weir.wait_for_loops()
        self.assertEqual([self.status_of(address) for address in addresses], [403] * 6)


class RulesOfTheFile(unittest.TestCase):
    def test_they_are_shown_and_not_changed_and_what_would_be_is_printed(self):
        upstream = Upstream()
        self.addCleanup(upstream.close)
        weir = Weir("""
[listen]
traffic = ["{traffic}"]
[[ip_rules]]
match = ["192.0.2.1", "192.0.2.2"]
action = "block"
[[routes]]
id = "all"
pattern = "/all/*"
upstreams = ["{upstream}"]
""".replace("{upstream}", upstream.url))
        self.addCleanup(weir.stop)
        rows = json.loads(weir.run("ip-rules", "list", "--json")[1])
        self.assertEqual([row["match"] for row in rows], ["192.0.2.1", "192.0.2.2"])
        code, _, err = weir.run("ip-rules", "remove", "192.0.2.1")
        self.assertEqual(code, 1)
        self.assertIn('config.source is "file"', err)
        self.assertIn("--print", err)
        code, out, _ = weir.run("ip-rules", "remove", "192.0.2.1", "--print")
        self.assertEqual((code, out.strip()),
                         (0, '[[ip_rules]]\nmatch = ["192.0.2.2"]\naction = "block"'))
        weir.process.send_signal(signal.SIGSTOP)  # As one that is too busy to answer.
        asked = [subprocess.Popen([harness.WEIR, *command, "--data", weir.data],
                                  stderr=subprocess.PIPE, text=True)
                 for command in (["ip-rules", "list"], ["limits", "bans"], ["jobs", "list"])]
        for command in asked:
            self.assertIn("the server does not answer", command.communicate(timeout=60)[1])
            self.assertEqual(command.returncode, 1)
        weir.process.send_signal(signal.SIGCONT)
        weir.process.send_signal(signal.SIGTERM)
        weir.process.wait(60)
        self.assertEqual(json.loads(weir.run("ip-rules", "list", "--json")[1]), rows)
        code, _, err = weir.run("ip-rules", "add", "192.0.2.3", "--action", "block")
        self.assertEqual(code, 2)
        self.assertIn("no server runs", err)


if __name__ == "__main__":
    unittest.main()
