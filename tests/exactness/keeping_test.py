"""What a node keeps: percentiles and clients of what was counted, and days that are archived, proven
and then deleted, with the commands an operator uses.
"""

import gzip
import json
import os
import socket
import sqlite3
import subprocess
import unittest

from ageing import age
from exchanges import request
from harness import Node, Upstream, Wire, wait_for

import clock  # On the path that the harness adds.

DAYS = 4


class Keeping(unittest.TestCase):
    def setUp(self):
        clock.keep_clear_of_the_end_of(clock.DAY_S, 120)
        self.upstream = Upstream()
        self.addCleanup(self.upstream.close)
        self.node = Node([("x", "/x/*", self.upstream.url, "")])
        self.addCleanup(self.node.remove)
        self.node.start_and_wait()

    def ask(self, count):
        wire = Wire(socket.create_connection(("127.0.0.1", self.node.port), 5))
        for _ in range(count):
            wire.send(request("GET", "/x/length/same"))
            status, _ = wire.read_response()
            self.assertEqual(status, 200)
        wire.close()

    def json(self, *arguments):
        result = self.node.run(*arguments, "--json")
        self.assertEqual(result.returncode, 0, result.stderr + self.node.output())
        return json.loads(result.stdout)

    def run_job(self, name):
        result = self.node.run("jobs", "run", name)
        self.assertEqual(result.returncode, 0, result.stderr + self.node.output())
        return result.stdout.strip()

    def wait_for_jobs(self):
        """A start catches up what it missed, here the first run of every job."""
        wait_for(lambda: (jobs := self.json("jobs", "list")) and all(job["last"] for job in jobs),
                 "jobs are caught up")

    def test_top_paths_have_percentiles_and_clients_as_soon_as_they_are_asked_for(self):
        self.ask(20)
        self.node.drain()
        top = self.json("stats", "top")
        self.assertEqual([path["path"] for path in top], ["/x/length/same"])
        self.assertEqual((top[0]["requests"], top[0]["errors"], top[0]["unique_clients"]), (20, 0, 1))
        self.assertGreater(top[0]["p50_ms"], 0)
        self.assertLessEqual(top[0]["p50_ms"], top[0]["p99_ms"])
        self.assertLessEqual(top[0]["p99_ms"], top[0]["max_ms"] * 1.01)
        clients = self.node.sql("SELECT requests, errors FROM client_daily")
        self.assertEqual(clients, [{"requests": 20, "errors": 0}])

    def test_what_was_not_written_before_a_kill_is_folded_again_once(self):
        self.ask(30)
        self.node.drain()
        self.node.kill()
        self.node.start_and_wait()
        self.ask(5)
        self.node.drain()
        self.assertEqual(self.json("stats", "top")[0]["requests"], 35)
        self.assertEqual(self.node.value("SELECT sum(requests) FROM client_daily"), 35)

    def test_jobs_run_at_the_times_of_the_configuration(self):
        self.node.stop()
        self.node.add_configuration('[triggers]\ncrons = {archive = "15 4 * * SUN"}\n')
        self.node.start_and_wait()
        jobs = {job["name"]: job for job in self.json("jobs", "list")}
        self.assertEqual(jobs["archive"]["schedule"], "15 4 * * SUN")
        self.assertRegex(jobs["archive"]["next"], "T04:15:00.000Z$")
        self.assertEqual(jobs["clean_up"]["schedule"], "0 3 * * *")

    def test_a_database_that_grew_too_large_is_an_alarm_and_not_only_a_line(self):
        self.node.stop()
        with open(self.node.config, "r+", encoding="utf-8") as file:
            text = file.read().replace("[stats]\n", '[stats]\ndisk_max = "64KiB"\n')
            file.seek(0)
            file.write(text)
        self.node.start_and_wait()
        # The start catches up on the report, among others.
        text = wait_for(lambda: self.node.alarms().get("disk"), "the alarm")
        self.assertIn("more than stats.disk_max", text)
        self.assertEqual(self.node.run("status").returncode, 3, "scripts see it, too")

    def test_the_hours_are_what_the_events_say_and_are_set_right_when_they_are_not(self):
        self.ask(25)
        self.node.drain()
        rebuild = ("stats", "rebuild", "--from-archive")
        checked = self.json(*rebuild, "--check")
        self.assertEqual((checked["days"], checked["differing"], checked["skipped"]), (1, 0, []))
        self.assertGreater(checked["rows"], 0)
        self.assertGreater(checked["sketches"], 0)
        refused = self.node.run(*rebuild)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--check", refused.stderr)

        self.node.stop()
        database = sqlite3.connect(os.path.join(self.node.data, "weir.db"))
        with database:
            database.execute("UPDATE hourly SET requests = requests + 7")
        database.close()
        self.assertEqual(self.node.run(*rebuild, "--check").returncode, 1)
        set_right = self.node.run(*rebuild)
        self.assertEqual(set_right.returncode, 0, set_right.stderr)
        self.assertIn("were set right", set_right.stdout)
        self.assertEqual(self.node.run(*rebuild, "--check").returncode, 0)
        self.node.start_and_wait()
        self.assertEqual(self.node.value("SELECT sum(requests) FROM path_stats_hourly"), 25)

    def test_an_old_day_is_archived_proven_and_deleted(self):
        self.ask(40)
        self.node.drain()
        self.node.stop()
        age(os.path.join(self.node.data, "weir.db"), 24 * DAYS)
        self.node.start_and_wait()
        self.ask(3)
        self.node.drain()
        self.wait_for_jobs()
        self.run_job("archive")
        listed = self.json("objects", "list", "traffic-events/")
        keys = [item["key"] for item in listed if item["key"].endswith(".jsonl.gz")]
        self.assertEqual(len(keys), 1, listed)
        checked = self.json("objects", "verify", keys[0])
        self.assertEqual(checked["rows"], 40)
        got = subprocess.run([self.node.binary, "objects", "get", keys[0], "--data", self.node.data],
                             capture_output=True, check=True, timeout=60)
        rows = [json.loads(line) for line in gzip.decompress(got.stdout).splitlines()]
        self.assertEqual({row["path"] for row in rows}, {"/x/length/same"})
        self.assertEqual(len({row["id"] for row in rows}), 40)

        # Nothing is deleted that the sketches do not hold yet: the job has them written first.
        self.ask(1)
        self.run_job("clean_up")
        self.assertEqual(self.node.value("SELECT count(*) FROM traffic_events"), 4)
        self.assertEqual(self.node.sql("SELECT record_count, status, d1_cleaned FROM archive_metadata"),
                         [{"record_count": 40, "status": "completed", "d1_cleaned": 1}])
        self.assertIn("1 days archived, 1 of them cleaned", self.run_job("capacity_report"))
        history = self.json("jobs", "history", "archive")
        self.assertEqual(history[0]["status"], "succeeded")  # The stop above may interrupt one before.
        self.assertEqual(self.node.run("jobs", "run", "nonsense").returncode, 1)

    def test_a_statement_with_days_sees_archived_and_live_events_together(self):
        self.ask(40)
        self.node.drain()
        self.node.stop()
        age(os.path.join(self.node.data, "weir.db"), 24 * DAYS)
        self.node.start_and_wait()
        self.ask(3)
        self.node.drain()
        self.wait_for_jobs()
        statement = "SELECT * FROM traffic_events ORDER BY id"
        ranged = ("sql", "--from", "2020-01-01")
        counts = "SELECT event_date, count(*) AS n FROM traffic_events GROUP BY 1 ORDER BY 1"
        self.run_job("archive")
        before = self.json(*ranged, statement)
        self.assertEqual(len(before), 43)
        self.run_job("clean_up")
        self.assertEqual(self.node.value("SELECT count(*) FROM traffic_events"), 3)
        self.assertEqual(self.json(*ranged, statement), before)
        (old, _), (today, _) = [tuple(day.values()) for day in self.json(*ranged, counts)]
        self.assertEqual(self.json("sql", "--to", old, counts), [{"event_date": old, "n": 40}])
        self.assertEqual(self.json("sql", "--from", today, counts), [{"event_date": today, "n": 3}])
        self.node.stop()
        self.assertEqual(self.json(*ranged, statement), before)

        for days, complaint in ((("--from", "yesterday"), "yesterday: not a date such as"),
                                (("--from", today, "--to", old), "is after --to")):
            refused = self.node.run("sql", *days, counts)
            self.assertEqual((refused.returncode, refused.stdout), (2, ""))
            self.assertIn(complaint, refused.stderr)
        refused = self.node.run(*ranged, "DELETE FROM archived_events")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("only one statement that reads", refused.stderr)

        key = self.json("sql", "SELECT r2_path FROM archive_metadata")[0]["r2_path"]
        objects = os.path.join(self.node.data, "objects")
        for name in os.listdir(objects):
            with open(os.path.join(objects, name), "r+b") as file:
                first = file.read(20)
                file.seek(10)
                file.write(bytes(byte ^ 0x55 for byte in first[10:]))
        refused = self.node.run(*ranged, statement, "--json")
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertIn(key, refused.stderr)
        self.assertEqual(self.json("sql", "--from", today, counts), [{"event_date": today, "n": 3}])


if __name__ == "__main__":
    unittest.main()
