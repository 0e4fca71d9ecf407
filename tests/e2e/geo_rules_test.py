"""Geographic rules of a running node: who is refused, what is recorded and counted of it, what a
reload and another database change, and that nothing that happens to the database's file harms.
Clients have addresses of their own: all of 127.0.0.0/8 is here."""

import json
import os
import signal
import tempfile
import time
import unittest

import mmdb
from harness import Client, Weir, run_weir, wait_for
from ports import free_port
from rules import RulesTest

LISTEN = """
[server]
workers = 2
[listen]
traffic = [{address = "{traffic}", client_address = "x-forwarded-for", trusted_proxies = ["127.0.0.99"]}]
admin = "127.0.0.1:{admin}"
"""

GEO = """
[geo]
database = "{database}"
database_refresh = "1s"
country_header = "CF-IPCountry"
[geo.groups]
alps = ["AT", "CH"]
"""

RULES = """
[[geo_rules]]
action = "block"
countries = ["CN"]
reason = "Policy."

[[geo_rules]]
action = "allow"
countries = ["CN"]
paths = ["/all/open/*"]

[[geo_rules]]
action = "block"
groups = ["alps"]
response = {status = 451, message = "Not in the mountains.", headers = {X-Law = "yes"}}

[[geo_rules]]
action = "block"
countries = ["KP"]
response = {status = 451, body = "<p>\u00dc</p>\\n", content_type = "text/html"}

[[geo_rules]]
id = "slow"
action = "throttle"
countries = ["FR"]
limit = 2
window = "1h"

[[geo_rules]]
action = "block"
countries = ["GB"]
enforce = false

[[geo_rules]]
action = "block"
cities = ["DE/S\u00c3O Berlin"]
"""

ROUTES = """
[[routes]]
id = "all"
pattern = "/all/*"
upstreams = ["{upstream}"]
"""

PLACES = {
    "127.0.0.2/32": mmdb.maxmind("CN", "Beijing"),
    "127.0.0.3/32": mmdb.maxmind("AT"),
    "127.0.0.4/32": mmdb.maxmind("FR"),
    "127.0.0.5/32": mmdb.maxmind("DE", "S\u00e3o  berlin"),
    "127.0.0.6/32": mmdb.maxmind("DE", "Bonn"),
    "127.0.0.7/32": mmdb.maxmind("GB"),
    "127.0.0.10/32": mmdb.maxmind("KP"),
}


class GeoTest(RulesTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.file = os.path.join(folder.name, "places.mmdb")
        cls.replace(PLACES)
        cls.geo = GEO.replace("{database}", cls.file)
        cls.CONFIG = LISTEN + cls.geo + RULES + ROUTES
        super().setUpClass()

    @classmethod
    def replace(cls, places):
        with open(cls.file + ".next", "wb") as out:
            out.write(places if isinstance(places, bytes) else mmdb.database(places))
        os.rename(cls.file + ".next", cls.file)

    def reload(self, text):
        self.write(LISTEN + text + ROUTES)
        self.weir.reload()

    def status(self):
        code, out, err = self.weir.run("status", "--json")
        self.assertIn(code, (0, 3), err)  # 3: there are alarms.
        return json.loads(out)

    def alarms(self):
        return {alarm["name"]: alarm["text"] for alarm in self.status()["alarms"]}

    def recorded(self, path, count):
        """(status, country, city, geo_action) of a path's events, sorted."""
        def rows():
            found = sorted((row["status"], row["country"] or "", row["city"] or "",
                            row["geo_action"] or "")
                           for row in self.weir.sql("SELECT path, status, country, city, geo_action"
                                                    " FROM traffic_events") if row["path"] == path)
            return found if len(found) >= count else None
        return wait_for(rows, f"{count} events of {path}", 30)


class GeoRules(GeoTest):
    def test_a_blocked_country_gets_403_and_never_reaches_the_upstream(self):
        before = self.metric("weir_geo_denied_total", "block")
        response = self.ask_from("127.0.0.2", "/all/blocked")
        self.assertEqual(response.status, 403)
        self.assertEqual(response.get("content-type"), "application/json")
        body = response.json
        self.assertRegex(body.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(body, {
            "error": "Access denied from your region", "country": "CN", "reason": "Policy.",
            "code": "geo_blocked", "requestId": response.get("x-request-id")})
        self.assertEqual(self.ask_from("127.0.0.6", "/all/blocked").status, 200)
        self.assertEqual(len(self.upstream.seen("/all/blocked")), 1)
        self.assertEqual(self.recorded("/all/blocked", 2),
                         [(200, "DE", "Bonn", ""), (403, "CN", "Beijing", "blocked")])
        wait_for(lambda: self.metric("weir_geo_denied_total", "block") >= before + 1, "the count")

    def test_an_answer_of_the_rules_own(self):
        response = self.ask_from("127.0.0.3", "/all/own")
        self.assertEqual(response.status, 451)
        self.assertEqual(response.json["error"], "Not in the mountains.")
        self.assertEqual(response.get("x-law"), "yes")

    def test_a_body_of_the_rules_own_is_sent_as_it_is(self):
        response = self.ask_from("127.0.0.10", "/all/page")
        self.assertEqual((response.status, response.get("content-type"), response.body),
                         (451, "text/html", b"<p>\xc3\x9c</p>\n"))

    def test_the_rule_of_a_path_decides_before_that_for_everything(self):
        self.assertEqual(self.ask_from("127.0.0.2", "/all/open/a").status, 200)
        self.assertEqual(self.recorded("/all/open/a", 1), [(200, "CN", "Beijing", "allowed")])
        self.assertEqual(self.ask_from("127.0.0.2", "/nowhere").status, 403, "before 404")
        self.assertEqual(self.ask_from("127.0.0.6", "/nowhere").status, 404)

    def test_a_throttled_country_gets_429_above_its_limit(self):
        responses = [self.ask_from("127.0.0.4", "/all/throttled") for _ in range(3)]
        self.assertEqual([response.status for response in responses], [200, 200, 429])
        self.assertEqual(responses[2].json["code"], "geo_throttled")
        self.assertEqual(self.recorded("/all/throttled", 3),
                         [(200, "FR", "", "allowed"), (200, "FR", "", "allowed"),
                          (429, "FR", "", "throttled")])
        code, out, err = self.weir.run("limits", "status", "127.0.0.4", "--json")
        self.assertEqual(code, 0, err)
        used = {row["id"]: row["used"] for row in json.loads(out)}
        self.assertEqual(used["geo_rule/slow"], 2)

    def test_a_city_is_blocked_however_it_is_written(self):
        self.assertEqual(self.ask_from("127.0.0.5", "/all/city").status, 403)
        self.assertEqual(self.ask_from("127.0.0.6", "/all/city").status, 200)

    def test_a_dry_run_is_counted_and_changes_nothing(self):
        self.assertEqual(self.ask_from("127.0.0.7", "/all/dry").status, 200)
        wait_for(lambda: self.metric("weir_geo_dry_run_total", "block") == 1, "the dry run")
        self.assertEqual(self.recorded("/all/dry", 1), [(200, "GB", "", "")])

    def test_a_header_that_nobody_trusted_wrote_changes_nothing(self):
        for fields in (["CF-IPCountry: DE"], ["X-Forwarded-For: 127.0.0.6"],
                       ["cf-ipcountry: DE", "X-Forwarded-For: 127.0.0.6"]):
            self.assertEqual(self.ask_from("127.0.0.2", "/all/spoofed", *fields).status, 403, fields)
        self.assertEqual(self.ask_from("127.0.0.6", "/all/kept_out", "CF-IPCountry: CN").status, 200)
        self.assertIsNone(self.upstream.seen("/all/kept_out")[0].get("cf-ipcountry"))

    def test_a_trusted_proxy_names_the_address_or_the_country(self):
        self.assertEqual(
            self.ask_from("127.0.0.99", "/all/proxy", "X-Forwarded-For: 127.0.0.2").status, 403)
        self.assertEqual(
            self.ask_from("127.0.0.99", "/all/proxy", "X-Forwarded-For: 127.0.0.6").status, 200)
        self.assertEqual(
            self.ask_from("127.0.0.99", "/all/proxy", "X-Forwarded-For: 127.0.0.6",
                          "CF-IPCountry: CN").status, 403)

    def test_no_rule_locks_an_operator_out(self):
        for path in ("/metrics", "/api/health"):
            with Client(self.admin, source=("127.0.0.2", 0)) as client:
                self.assertEqual(client.ask(path).status, 200, path)
        self.assertEqual(self.ask_from("127.0.0.2", "/api/health").status, 200)

    def test_config_explain_says_what_a_rule_does_and_why(self):
        def explain(ip, path, *arguments):
            return run_weir("config", "explain", "--config", self.weir.config, "GET", path, "--ip", ip,
                            *arguments)
        code, out, err = explain("127.0.0.5", "/all/x", "--json")
        told = json.loads(out)
        self.assertEqual((code, err), (1, ""))
        self.assertEqual((told["answer"], told["status"], told["country"], told["city"]),
                         ("geo_blocked", 403, "DE", "S\u00e3o  berlin"))
        self.assertEqual(told["geo_rule"], {"action": "block", "rule": 6, "id": ""})
        _, out, _ = explain("127.0.0.4", "/all/x")
        self.assertIn("throttle by geo_rules[4] slow\n", out)
        code, out, _ = explain("127.0.0.7", "/all/x", "--json")
        told = json.loads(out)
        self.assertEqual((code, told["geo_dry_run"]["rule"], told["geo_rule"]["action"]),
                         (0, 5, "allow"))

    def test_status_names_the_database(self):
        geo = self.status()["geo"]
        self.assertEqual((geo["rules"], geo["loaded"], geo["type"], geo["problem"]),
                         (7, True, "Test-Places", ""))
        code, out, _ = self.weir.run("status")
        self.assertEqual(code, 0)
        self.assertIn("Test-Places of 2025-10-09T08:53:20.000Z", out)


class GeoReloads(GeoTest):
    def tearDown(self):
        self.replace(PLACES)
        self.reload(self.geo + RULES)
        wait_for(lambda: self.ask_from("127.0.0.2", "/all/x").status == 403, "the old rules")

    def test_a_reload_holds_at_once_for_connections_that_are_open(self):
        with self.weir.client(source=("127.0.0.6", 0)) as client:
            self.assertEqual(client.ask("/all/reload").status, 200)
            self.reload(self.geo + RULES + '[[geo_rules]]\naction = "block"\ncountries = ["de"]\n')
            self.assertEqual(client.ask("/all/reload").status, 403)

    def test_a_default_of_block_needs_no_rules(self):
        self.reload(self.geo.replace("[geo]", '[geo]\ndefault_action = "block"'))
        for address in ("127.0.0.6", "127.0.0.1"):
            self.assertEqual(self.ask_from(address, "/all/default").status, 403)

    def test_a_wrong_rule_is_refused_by_name_and_the_old_ones_stay(self):
        self.write(LISTEN + self.geo + RULES.replace('"CN"', '"CHN"', 1) + ROUTES)
        self.weir.process.send_signal(signal.SIGHUP)
        wait_for(lambda: 'geo_rules[0].countries[0]: "CHN" is no country' in self.weir.output(),
                 "the refusal")
        self.assertEqual(self.ask_from("127.0.0.2", "/all/kept").status, 403)

    def test_another_database_is_taken_up_without_a_reload(self):
        with self.weir.client(source=("127.0.0.8", 0)) as client:
            self.assertEqual(client.ask("/all/new").status, 200)
            self.replace({**PLACES, "127.0.0.8/32": mmdb.maxmind("CN")})
            wait_for(lambda: client.ask("/all/new").status == 403, "the new database")

    def test_a_damaged_or_missing_file_leaves_the_old_database_in_use_and_raises_an_alarm(self):
        for spoil in (lambda: self.replace(b"garbage"), lambda: os.remove(self.file)):
            spoil()
            text = wait_for(lambda: self.alarms().get("geo_database"), "the alarm")
            self.assertIn("the database read before is in use", text)
            wait_for(lambda: "alarm geo_database: " in self.weir.output(), "its line in the log")
            self.assertEqual(self.ask_from("127.0.0.2", "/all/damaged").status, 403)
            self.replace(PLACES)
            wait_for(lambda: "geo_database" not in self.alarms(), "the end of the alarm")

    def test_truncating_the_file_in_place_harms_nothing(self):
        with open(self.file, "r+b") as file:
            file.truncate(0)
        for _ in range(20):
            self.assertEqual(self.ask_from("127.0.0.2", "/all/truncated").status, 403)
        wait_for(lambda: self.alarms().get("geo_database"), "the alarm")
        self.assertEqual(self.ask_from("127.0.0.2", "/all/truncated").status, 403)
        self.assertTrue(self.weir.alive())

    def test_a_rule_starts_and_ends_at_its_time_without_a_reload(self):
        def put_in_force(starts, expires):
            stamps = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (starts, expires)]
            self.reload(self.geo + '[[geo_rules]]\naction = "block"\ncountries = ["DE"]\n'
                        f'starts = "{stamps[0]}"\nexpires = "{stamps[1]}"\n')

        def ask_until(client, status, at):
            """It changes at that time, and not before."""
            wait_for(lambda: client.ask("/all/timed").status == status, f"{status} from then on")
            self.assertGreaterEqual(time.time(), at)

        with self.weir.client(source=("127.0.0.6", 0)) as client:
            starts = int(time.time()) + 3
            put_in_force(starts, starts + 3600)
            ask_until(client, 403, starts)
            expires = int(time.time()) + 3
            put_in_force(starts, expires)
            ask_until(client, 200, expires)

    def test_rules_that_name_cities_say_so_where_none_is_known(self):
        self.assertNotIn("geo_no_cities", self.alarms())
        self.replace({"127.0.0.2/32": mmdb.maxmind("CN")})
        wait_for(lambda: "geo_no_cities" in self.alarms(), "the alarm")
        self.replace(PLACES)
        wait_for(lambda: "geo_no_cities" not in self.alarms(), "its end")

    def test_without_any_source_of_countries_rules_that_need_them_say_so(self):
        self.reload(RULES.replace('"alps"', '"gdpr"'))
        wait_for(lambda: "geo_no_countries" in self.alarms(), "the alarm")
        self.assertEqual(self.ask_from("127.0.0.2", "/all/unknown").status, 200)


class WithoutADatabase(unittest.TestCase):
    def test_a_node_starts_without_the_file_says_so_and_takes_it_up_when_it_comes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "places.mmdb")
            weir = Weir(LISTEN.replace("{admin}", str(free_port()))
                        + GEO.replace("{database}", path) + RULES)
            self.addCleanup(weir.stop)
            with weir.client(source=("127.0.0.2", 0)) as client:
                self.assertEqual(client.ask("/nowhere").status, 404)
                wait_for(lambda: f"alarm geo_database: {path} is not there; no country is known"
                         in weir.output(), "the alarm")
                with open(path, "wb") as out:
                    out.write(mmdb.database(PLACES))
                wait_for(lambda: client.ask("/nowhere").status == 403, "the database")

    def test_rules_and_the_database_that_they_need_are_in_force_together(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "places.mmdb")
            with open(path, "wb") as out:
                # Large enough that reading it takes its time.
                out.write(mmdb.database(PLACES, unused_bytes=16 << 20))
            listen = LISTEN.replace("{admin}", str(free_port()))
            weir = Weir(listen)
            self.addCleanup(weir.stop)
            with weir.client(source=("127.0.0.2", 0)) as client:
                self.assertEqual(client.ask("/nowhere").status, 404)
                weir.reload(listen + GEO.replace("{database}", path) + RULES)
                before, _, _ = weir.output().partition("version 2 is in force")
                if ", read in " not in before:  # No reload waits for longer than a second.
                    wait_for(lambda: ", read in " in weir.output(), "the database is read")
                    weir.wait_for_loops()
                self.assertEqual(client.ask("/nowhere").status, 403)


if __name__ == "__main__":
    unittest.main()
