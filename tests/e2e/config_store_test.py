"""Rules in the store: applied, refused, rolled back, kept over a kill, and in force under load without
a request that fails or mixes two versions."""

import base64
import glob
import json
import os
import pwd
import signal
import subprocess
import threading
import unittest

import harness
from harness import Upstream, Weir, WeirTest, wait_for

import control  # On the path that the harness adds.

NODE = """
[config]
source = "SOURCE"
[server]
workers = 2
[listen]
traffic = ["{traffic}"]
"""

RULES = """
[[routes]]
id = "kv"
pattern = "/kv/*"
upstreams = ["{upstream}"]
response_headers = {set = {X-A = "VERSION", X-B = "VERSION"}}
"""


class ConfigStore(WeirTest):
    CONFIG = NODE.replace("SOURCE", "store") + RULES.replace("VERSION", "first")

    def rules(self, version, more=""):
        path = os.path.join(self.weir.dir, "rules.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(RULES.replace("VERSION", version).replace("{upstream}", self.upstream.url) +
                       more)
        return path

    def change(self, *arguments, code=0):
        got, out, err = self.weir.run("config", *arguments, "--json")
        self.assertEqual(got, code, out + err)
        return json.loads(out)

    def history(self):
        return json.loads(self.weir.run("config", "history", "--json")[1])

    def headers(self):
        with self.weir.client() as client:
            answer = client.ask("/kv/a")
            return answer.status, answer.get("x-a"), answer.get("x-b")

    def check_in_force(self, answer, version):
        """At once; a loop that the answer names as stalled may need a moment."""
        if answer["stalled"]:
            self.weir.wait_for_loops()
        self.assertEqual(self.headers(), (200, version, version))

    def test_1_the_first_version_is_the_files(self):
        self.assertEqual(self.headers(), (200, "first", "first"))
        (first,) = self.history()
        self.assertEqual((first["version"], first["author"]), (1, "file"))
        code, toml, _ = self.weir.run("config", "history", "1")
        self.assertEqual(code, 0)
        self.assertIn("[[routes]]", toml)
        self.assertNotIn("[server]", toml)

    def test_2_what_is_applied_is_in_force_when_the_command_returns_and_after_a_kill(self):
        answer = self.change("apply", self.rules("second"), "--comment", "更新", "--expect", "1")
        self.assertEqual(answer["version"], 2)
        self.assertEqual(answer["changed"], ["routes.kv.response_headers.set"])
        self.check_in_force(answer, "second")
        self.weir.start_again(signal.SIGKILL)
        self.assertEqual(self.headers(), (200, "second", "second"))
        newest = self.history()[0]
        self.assertEqual((newest["version"], newest["comment"]), (2, "更新"))
        self.assertNotEqual(newest["author"], "")
        again = self.change("apply", self.rules("second"))
        self.assertEqual((again["version"], again["changed"]), (2, []))

    def test_3_a_stale_version_and_bad_rules_change_nothing(self):
        refused = self.change("apply", self.rules("third"), "--expect", "1", code=1)
        self.assertTrue(refused["conflict"])
        self.assertIn("version 1 was expected, 2 is in force", refused["error"])
        bad = self.rules("third", 'body_max = -1\n[server]\nworkers = 3\n')
        refused = self.change("apply", bad, code=1)
        keys = [problem["key"] for problem in refused["problems"]]
        self.assertEqual(keys, ["routes[0].body_max", "server"])
        self.assertEqual(refused["problems"][0]["file"], bad)
        code, out, err = self.weir.run("config", "apply", bad)
        self.assertEqual((code, out), (1, ""))
        self.assertIn("rules.toml:7:12: routes[0].body_max: ", err)
        self.assertIn("nothing has changed", err)
        self.assertEqual(self.headers(), (200, "second", "second"))
        with open(bad, "a", encoding="utf-8") as file:
            file.write("#" * (8 * 1024 * 1024))
        code, _, err = self.weir.run("config", "apply", bad)
        self.assertEqual(code, 1)
        self.assertIn("is larger than 8 MiB", err)
        self.assertEqual(len(self.history()), 2)

    def test_text_that_is_no_utf_8_is_refused_and_ends_nothing(self):
        run = subprocess.run([harness.WEIR.encode(), b"limits", b"status", b"\xff", b"--data",
                              self.weir.data.encode()], capture_output=True, timeout=60, check=False)
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn(b"is not an address", run.stderr)

    def test_4_a_rollback_is_a_new_version_with_the_old_rules(self):
        answer = self.change("rollback", "1")
        self.assertEqual(answer["version"], 3)
        self.check_in_force(answer, "first")
        refused = self.change("rollback", "99", code=1)
        self.assertIn("there is no such version", refused["error"])

    def test_5_a_reload_of_the_file_leaves_the_stored_rules(self):
        with open(self.weir.config, "a", encoding="utf-8") as file:
            file.write("[dns]\nrefresh = \"5s\"\n")
        before = json.loads(self.weir.run("status", "--json")[1])
        self.weir.reload()
        status = json.loads(self.weir.run("status", "--json")[1])
        self.assertGreater(status["configuration_version"], before["configuration_version"])
        self.assertEqual((status["rules_source"], status["rules_version"]), ("store", 3))
        self.assertEqual(self.headers(), (200, "first", "first"))

    def test_a_new_name_is_known_when_its_route_is_in_force(self):
        upstream = f"http://localhost:{self.upstream.port}"
        more = f'[[routes]]\nid = "named"\npattern = "/named"\nupstreams = ["{upstream}"]\n'
        answer = self.change("apply", self.rules("first", more))
        if answer["stalled"]:
            self.weir.wait_for_loops()
        with self.weir.client() as client:
            self.assertEqual(client.ask("/named").status, 200)
        self.change("rollback", "1")

    # A reload storm: 60 changes under load. Both fields are of one version in each response.
    def test_6_changes_under_load_drop_no_request_and_mix_no_two_versions(self):
        seen, failures, stop = set(), [], threading.Event()

        def load():
            with self.weir.client() as client:
                while not stop.is_set():
                    answer = client.ask("/kv/a")
                    pair = (answer.get("x-a"), answer.get("x-b"))
                    if answer.status != 200 or pair[0] != pair[1]:
                        failures.append((answer.status, pair))
                    seen.add(pair[0])

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(60):
            with open(self.rules(f"storm{number}"), "rb") as file:
                toml = base64.b64encode(file.read()).decode()
            answer = control.ask(self.weir.data, command="config.apply", author="storm", toml=toml)
            self.assertEqual(answer["version"], 4 + number)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(len(seen), 2)
        self.check_in_force(answer, "storm59")
        self.assertEqual(self.history()[0]["version"], 63)


class Versions(unittest.TestCase):
    """What is in force, what a version changed, and who did."""

    TEXT = NODE.replace("SOURCE", "store") + RULES.replace("VERSION", "one")

    def node(self, text):
        upstream = Upstream()
        self.addCleanup(upstream.close)
        weir = Weir(text.replace("{upstream}", upstream.url))
        self.addCleanup(weir.stop)
        return weir

    def rows(self, weir, *arguments):
        code, out, err = weir.run("config", *arguments, "--json")
        self.assertEqual(code, 1, err)
        return {row["key"]: (row["before"], row["after"]) for row in json.loads(out)}

    def test_versions_can_be_compared_and_shown(self):
        weir = self.node(self.TEXT)
        self.assertEqual(weir.run("ip-rules", "add", "192.0.2.9", "--action", "block")[0], 0)
        self.assertEqual(weir.run("ip-rules", "add", "192.0.2.8", "--action", "block")[0], 0)
        blocked = ("", 'action = "block"')
        self.assertEqual(self.rows(weir, "history", "2", "--diff"), {"ip_rules.192.0.2.9": blocked})
        self.assertEqual(self.rows(weir, "diff", "1", "3"),
                         {"ip_rules.192.0.2.9": blocked, "ip_rules.192.0.2.8": blocked})
        self.assertEqual(self.rows(weir, "diff", weir.config, "2"), {"ip_rules.192.0.2.9": blocked})
        self.assertEqual(self.rows(weir, "diff", "2", weir.config),
                         {"ip_rules.192.0.2.9": blocked[::-1]})
        self.assertIn("routes.kv", self.rows(weir, "history", "1", "--diff"))
        self.assertEqual(weir.run("config", "diff", "1", weir.config)[0], 0)
        self.assertEqual(weir.run("config", "diff", "1", "99")[0], 2)
        code, out, _ = weir.run("config", "show", weir.config)
        self.assertEqual(code, 0)
        self.assertIn('match = ["192.0.2.9", "192.0.2.8"]', out)
        self.assertIn("[server]", out)

    def test_an_edited_file_counts_at_a_start_until_the_store_is_changed(self):
        weir = self.node(self.TEXT.replace('"store"', '"file"'))
        wait_for(lambda: "one" in weir.run("config", "history", "1")[1], "version 1")

        def edit(before, after):
            with open(weir.config, encoding="utf-8") as file:
                text = file.read()
            self.assertIn(before, text)
            with open(weir.config, "w", encoding="utf-8") as file:
                file.write(text.replace(before, after))

        def seen():
            with weir.client() as client:
                return client.ask("/kv/a").get("x-a")
        edit('"file"', '"store"')
        edit('"one"', '"two"')
        weir.start_again(signal.SIGTERM)
        self.assertEqual(seen(), "two", "the switch comes with another rule")
        self.assertEqual(weir.status()["rules_version"], 2)
        edit('"two"', '"three"')
        weir.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "are not in force" in weir.output(), "the warning")
        self.assertEqual(seen(), "two")
        self.assertEqual(weir.run("ip-rules", "add", "192.0.2.9", "--action", "block")[0], 0)
        weir.start_again(signal.SIGTERM)
        self.assertEqual(seen(), "two", "others have changed the rules since")
        self.assertIn("those of version 3 are", weir.output())

    def test_the_author_is_who_the_operating_system_says(self):
        weir = self.node(self.TEXT)
        with open(weir.config, encoding="utf-8") as file:
            text = file.read()
        rules = text[text.index("[[routes]]"):].replace('"one"', '"two"')
        toml = base64.b64encode(rules.encode()).decode()
        answer = control.ask(weir.data, command="config.apply", author="a\nb", toml=toml)
        self.assertIn("makes no sense", answer["error"])
        answer = control.ask(weir.data, command="config.apply", author="somebody", toml=toml)
        self.assertEqual(answer["version"], 2)
        (newest, _) = json.loads(weir.run("config", "history", "--json")[1])
        me = pwd.getpwuid(os.getuid()).pw_name
        self.assertEqual(newest["author"], "somebody" if os.getuid() == 0 else me)


class DefaultWindow(unittest.TestCase):
    """Rules are checked with the defaults that they will be in force with. Two limits of one window
    and client are one entry of the limiter, charged twice."""

    LIMITS = 'rate_limit = [{limit = 100}, {limit = 5, window = "10s"}]\n'

    def set_window(self, weir):
        """In a file whose own rules are good with it; those in the store are not."""
        with open(weir.config, encoding="utf-8") as file:
            text = file.read()
        with open(weir.config, "w", encoding="utf-8") as file:
            file.write(text.replace(self.LIMITS, "") + '[vars]\nDEFAULT_RATE_WINDOW = "10"\n')

    def test_two_limits_that_are_one_with_the_default_are_refused_however_they_come(self):
        upstream = Upstream()
        self.addCleanup(upstream.close)
        weir = Weir((NODE.replace("SOURCE", "store") + RULES).replace("{upstream}", upstream.url) +
                    self.LIMITS, env={"DEFAULT_RATE_WINDOW": "20"})
        self.addCleanup(weir.stop)
        code, _, err = weir.run("config", "rollback", "1")
        self.assertEqual(code, 0, err)
        rules = os.path.join(weir.dir, "rules.toml")
        with open(rules, "w", encoding="utf-8") as file:
            file.write(RULES.replace("{upstream}", upstream.url) +
                       self.LIMITS.replace("10s", "20s"))
        code, _, err = weir.run("config", "apply", rules)
        self.assertEqual(code, 1, err)
        self.assertIn("counts the same", err)
        with open(rules, "w", encoding="utf-8") as file:
            file.write(RULES.replace("{upstream}", upstream.url) +
                       self.LIMITS.replace("10s", "60s"))
        self.assertEqual(weir.run("config", "apply", rules)[0], 0)
        code, _, err = weir.run("ip-rules", "add", "192.0.2.9", "--action", "block")
        self.assertEqual(code, 0, err)
        self.assertEqual(weir.run("config", "rollback", "1")[0], 0)
        self.assertEqual(json.loads(weir.run("status", "--json")[1])["rules_version"], 4)
        self.set_window(weir)
        weir.process.send_signal(signal.SIGTERM)
        weir.process.wait(60)
        run = subprocess.run([harness.WEIR, "serve", "--config", weir.config, "--data", weir.data],
                             capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("version 4:", run.stderr)
        self.assertIn("counts the same", run.stderr)

    def test_a_reload_that_makes_them_one_is_refused(self):
        upstream = Upstream()
        self.addCleanup(upstream.close)
        weir = Weir((NODE.replace("SOURCE", "store") + RULES).replace("{upstream}", upstream.url) +
                    self.LIMITS)
        self.addCleanup(weir.stop)
        self.set_window(weir)
        weir.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "version 1 stays in force" in weir.output(), "the refusal")
        self.assertIn("version 1 of the rules", weir.output())
        with weir.client() as client:
            self.assertEqual(client.ask("/kv/a").status, 200)


def newest_version(weir):
    """The file that holds it."""
    def versions():  # One that is being written begins with ~.
        return glob.glob(os.path.join(glob.escape(weir.data), "config", "[!~]*"))
    return max(wait_for(versions, "a version is stored"))


class Unreadable(unittest.TestCase):
    """What cannot be read, or makes no sense, is refused and ends nothing."""

    def test_a_configuration_that_became_a_directory_is_refused_and_traffic_goes_on(self):
        upstream = Upstream()
        self.addCleanup(upstream.close)
        weir = Weir((NODE.replace("SOURCE", "file") + RULES).replace("{upstream}", upstream.url))
        self.addCleanup(weir.stop)
        os.unlink(weir.config)
        os.mkdir(weir.config)
        weir.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "cannot be read" in weir.output(), "the refusal")
        with weir.client() as client:
            self.assertEqual(client.ask("/kv/a").status, 200)
        code, _, err = harness.run_weir("config", "show", weir.config)
        self.assertEqual(code, 1)
        self.assertIn("cannot be read", err)
        answer = control.ask(weir.data, command="limits", ip="192.0.2.1", reset="yes")
        self.assertIn("limits", answer)

    def test_a_damaged_version_does_not_end_the_history_of_the_file(self):
        upstream = Upstream()
        self.addCleanup(upstream.close)
        weir = Weir((NODE.replace("SOURCE", "file") + RULES).replace("{upstream}", upstream.url))
        self.addCleanup(weir.stop)
        newest = newest_version(weir)
        with open(newest, "r+b") as file:
            file.truncate(os.path.getsize(newest) - 5)
        with open(weir.config, encoding="utf-8") as file:
            text = file.read()
        with open(weir.config, "w", encoding="utf-8") as file:
            file.write(text.replace('"VERSION"', '"next"'))
        weir.process.send_signal(signal.SIGHUP)
        wait_for(lambda: '"next"' in weir.run("config", "history", "2")[1], "version 2")


class ExplainStored(unittest.TestCase):
    def test_config_explain_tells_of_the_rules_in_force(self):
        upstream = Upstream()
        self.addCleanup(upstream.close)
        weir = Weir((NODE.replace("SOURCE", "store") + RULES).replace("{upstream}", upstream.url))
        self.addCleanup(weir.stop)
        asked = ("config", "explain", "GET", "/kv/a", "--config", weir.config, "--ip", "192.0.2.9")
        self.assertEqual(weir.run(*asked)[0], 0)
        self.assertEqual(weir.run("ip-rules", "add", "192.0.2.9", "--action", "block")[0], 0)
        code, out, _ = weir.run(*asked)
        self.assertEqual(code, 1)
        self.assertIn("192.0.2.9", out)
        run = subprocess.run([harness.WEIR, *asked, "--data", os.path.join(weir.dir, "none")],
                             capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(run.returncode, 0)
        self.assertIn("these are the file's", run.stderr)


class ConfigFile(unittest.TestCase):
    def test_with_the_file_as_source_its_reloads_are_the_history_and_nothing_is_applied(self):
        upstream = Upstream()
        self.addCleanup(upstream.close)
        weir = Weir((NODE.replace("SOURCE", "file") + RULES.replace("VERSION", "one"))
                    .replace("{upstream}", upstream.url))
        self.addCleanup(weir.stop)

        def history():
            code, out, _ = weir.run("config", "history", "--json")
            return json.loads(out) if code == 0 else []
        # The first version is stored when the server runs already.
        first = wait_for(history, "the first version is noted")
        self.assertEqual([row["author"] for row in first], ["file"])
        with open(weir.config, encoding="utf-8") as file:
            text = file.read()
        with open(weir.config, "w", encoding="utf-8") as file:
            file.write(text.replace('"one"', '"two"'))
        weir.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(history()) == 2, "the reload is noted")
        self.assertIn('"two"', weir.run("config", "history", "2")[1])
        code, _, err = weir.run("config", "apply", weir.config)
        self.assertEqual(code, 1)
        self.assertIn('config.source is "file"', err)

    def test_a_damaged_newest_version_stops_the_start_with_the_reason(self):
        upstream = Upstream()
        self.addCleanup(upstream.close)
        weir = Weir((NODE.replace("SOURCE", "store") + RULES).replace("{upstream}", upstream.url))
        newest = newest_version(weir)
        weir.process.send_signal(signal.SIGTERM)
        weir.process.wait(60)
        with open(newest, "r+b") as file:
            file.seek(20)
            file.write(b"\xff\xfe")
        run = subprocess.run([harness.WEIR, "serve", "--config", weir.config, "--data",
                              weir.data],
                             capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("the newest version of the rules, 1, cannot be read", run.stderr)


if __name__ == "__main__":
    unittest.main()
