"""Kills the process at every durable action of the jobs that archive, clean up and compact, on its
1st, 2nd, … pass, until they end unharmed; afterwards every event is in one place, and all is done.

Each pass begins with a copy of one data directory: a day long ago with a part that is archived and
cleaned, and with late events, so that there is a part to write, to clean and to merge, and
an account of what was sampled out.
"""

import json
import os
import shutil
import socket
import sqlite3
import tempfile
import time
import unittest

from ageing import age
from exchanges import request
from harness import Node, Upstream, Wire

import clock  # On the path that the harness adds.
import control

OBJECT_POINTS = ["objects.before_put", "objects.after_put", "objects.before_remove",
                 "objects.after_remove"]
COMMAND_POINTS = ["command.before_run", "command.after_run"]
JOBS = ["archive", "clean_up", "compact"]
EACH = 12  # Requests before, and after, the first part.
DAYS = 4
LATER_H = 3  # So that late events are of other hours.
ALL = ["archive", "clean_up", "audit", "client_lists", "capacity_report", "retention", "compact",
       "dashboard_snapshot", "geo_snapshot", "path_snapshot", "alerts"]
CONFIGURATION = f"[jobs]\ndisabled = {json.dumps(ALL)}\n"


class Archive(Node):
    """A node whose data directory is put back to what it was made as."""

    def __init__(self, upstream):
        super().__init__([("x", "/x/*", upstream.url, "")],
                         stats='collect = "all"\nsampling_rate = 0.7')
        self.add_configuration(CONFIGURATION)
        self.made = tempfile.mkdtemp(prefix="weir-walk-")
        self.ids = []

    def make(self):
        clock.keep_clear_of_the_end_of(clock.HOUR_S, 60)
        database = os.path.join(self.data, "weir.db")
        self.serve_requests("127.0.0.1")
        age(database, 24 * DAYS)
        self.start_and_wait()
        assert self.run_jobs() == [], self.output()
        self.stop()
        self.serve_requests("127.0.0.2")
        age(database, 24 * DAYS + (LATER_H if time.gmtime().tm_hour >= LATER_H else -LATER_H))
        self.start_and_wait()
        self.ids = self.all_ids()
        self.stop()
        assert 0 < len(self.ids) < 2 * EACH, "some must be sampled out"
        shutil.rmtree(self.made)
        shutil.copytree(self.data, self.made)

    def serve_requests(self, client):
        self.start_and_wait()
        wire = Wire(socket.create_connection(("127.0.0.1", self.port), 5, (client, 0)))
        for number in range(EACH):
            wire.send(request("GET", f"/x/length/{number}"))
            wire.read_response()
        wire.close()
        self.drain()
        self.stop()

    def put_back(self):
        self.kill()
        shutil.rmtree(self.data)
        shutil.copytree(self.made, self.data)

    def ask(self, **question):
        """The server's answer; None when it ended."""
        while self.alive():
            try:
                return control.ask(self.data, **question)
            except (OSError, ValueError):
                time.sleep(0.005)  # It has just begun, or is about to end.
        return None

    def run_jobs(self):
        """What failed, each with its reason; None: the server ended."""
        failed = []
        for name in JOBS:
            asked = self.ask(command="jobs.run", name=name)
            if asked is None:
                return None
            job = {"phase": "asked"}
            while job["phase"] != "idle":
                listed = self.ask(command="jobs.list")
                if listed is None:
                    return None
                job = next(job for job in listed["jobs"] if job["name"] == name)
                time.sleep(0.005)
            if "error" in asked or job["last"]["status"] != "succeeded":
                failed.append((name, asked, job["last"]))
        return failed

    def all_ids(self):
        """Of every detail row, live or archived."""
        result = self.run("sql", "--from", "2020-01-01", "--json",
                          "SELECT id FROM traffic_events ORDER BY id")
        assert result.returncode == 0, result.stderr
        return [row["id"] for row in json.loads(result.stdout)]

    def look(self, statement):
        with sqlite3.connect(f"file:{self.data}/weir.db?mode=ro", uri=True) as connection:
            rows = connection.execute(statement).fetchall()
        connection.close()
        return rows

    def remove(self):
        super().remove()
        shutil.rmtree(self.made, ignore_errors=True)


class KeepingWalk(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.upstream = Upstream()
        cls.addClassCleanup(cls.upstream.close)
        cls.node = Archive(cls.upstream)
        cls.addClassCleanup(cls.node.remove)
        cls.node.make()

    def walk(self, point):
        """Returns how often it killed."""
        for nth in range(1, 1000):
            fault = f"{point}:{nth}"
            self.node.put_back()
            self.node.start(fault)
            done = self.node.run_jobs() if self.node.wait_ready() else None
            if done is None:
                self.assertTrue(self.node.killed(patience=10), f"{fault}: ended, and not by it")
                self.node.start_and_wait()
                done = self.node.run_jobs()
                self.check(done, fault)
                self.node.kill()
                continue
            self.check(done, f"{fault} was not passed")
            self.node.kill()
            print(point, nth - 1); return nth - 1
        self.fail(f"{point} is passed without end")

    def check(self, failed, context):
        node = self.node
        self.assertEqual(failed, [], f"{context}\n{node.output()}")
        self.assertEqual(node.all_ids(), node.ids, context)
        self.assertEqual(node.look(
            "SELECT (SELECT count(*) FROM events), (SELECT sum(requests) FROM hourly),"
            " (SELECT count(*) FROM obsolete_objects)"), [(0, 2 * EACH, 0)], context)
        self.assertEqual(node.look("SELECT record_count, status, d1_cleaned FROM archive_metadata"),
                         [(len(node.ids), "completed", 1)], context)
        audit = node.run("audit")
        self.assertEqual(audit.returncode, 0, f"{context}: {audit.stdout}{audit.stderr}")
        # The merged part and two accounts, each with its index, and nothing half written.
        self.assertEqual(len(os.listdir(os.path.join(node.data, "objects"))), 6, context)


class ObjectsWalk(KeepingWalk):
    def test_kill_around_every_object_that_is_put_or_removed(self):
        kills = {}
        for point in OBJECT_POINTS:
            with self.subTest(point):
                kills[point] = self.walk(point)
        # A part and its account, the merged part, each with an index; two parts removed likewise.
        self.assertGreaterEqual(min(kills.values()), 4, kills)


class CommandsWalk(KeepingWalk):
    def test_kill_around_every_command_to_the_database(self):
        for point in COMMAND_POINTS:
            with self.subTest(point):
                self.assertGreaterEqual(self.walk(point), 10, point)


del KeepingWalk  # Its methods are inherited; by itself it tests nothing.

if __name__ == "__main__":
    unittest.main(verbosity=2)
