"""What an operator does about exactness: the audit, and dead letters that are counted after all."""

import json
import os
import socket
import sqlite3
import unittest

from exchanges import request
from harness import Node, Upstream, Wire, wait_for

import clock  # On the path that the harness adds.

INTEGER_MAX = 2**63 - 1


class Audit(unittest.TestCase):
    def setUp(self):
        self.upstream = Upstream()
        self.addCleanup(self.upstream.close)
        self.node = Node([("x", "/x/*", self.upstream.url, "")])
        self.addCleanup(self.node.remove)
        self.node.start_and_wait()

    def ask(self, count):
        wire = Wire(socket.create_connection(("127.0.0.1", self.node.port), 5))
        for _ in range(count):
            wire.send(request("GET", "/x/length/same"))
            self.assertEqual(wire.read_response()[0], 200)
        wire.close()

    def json(self, *arguments, code=0):
        result = self.node.run(*arguments, "--json")
        self.assertEqual(result.returncode, code, result.stdout + result.stderr + self.node.output())
        return json.loads(result.stdout)

    def change(self, sql):
        """Behind the back of a stopped node."""
        with sqlite3.connect(os.path.join(self.node.data, "weir.db")) as connection:
            self.assertGreater(connection.execute(sql).rowcount, 0, sql)
        connection.close()

    def test_a_node_balances_running_and_stopped_and_what_is_missing_is_found(self):
        self.ask(25)
        self.node.drain()

        def audit():
            """None while something is skipped: it is not ready, or takes too long."""
            told = self.json("audit")
            return None if "skipped" in [each["verdict"] for each in told["findings"]] else told
        running = wait_for(audit, "nothing is skipped")
        self.assertTrue(running["balanced"], running)
        self.assertGreaterEqual(len(running["findings"]), 15)
        self.assertEqual({each["verdict"] for each in running["findings"]}, {"agrees"}, running)
        result = self.node.run("jobs", "run", "audit")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("sums agree", result.stdout)

        self.node.stop()
        self.assertTrue(self.json("audit")["balanced"])
        self.change("UPDATE hourly SET requests = requests - 1")
        found = self.json("audit", code=1)
        self.assertFalse(found["balanced"])
        wrong = [each for each in found["findings"] if each["verdict"] == "DIFFERS"]
        self.assertIn("the hours of every day add up to its ledger", [each["identity"] for each in wrong])
        self.assertIn("NOT BALANCED", self.node.run("audit").stdout)

        self.node.start_and_wait()
        self.node.run("jobs", "run", "audit")
        wait_for(lambda: "audit" in self.node.alarms(), "the alarm is raised")

    def test_dead_letters_are_listed_and_counted_once_when_nothing_stands_in_their_way(self):
        clock.keep_clear_of_the_end_of(clock.HOUR_S, 60)
        self.ask(2)
        self.node.drain()
        self.node.stop()
        for table in ("hourly", "totals"):
            self.change(f"UPDATE {table} SET us_sum = {INTEGER_MAX}")
        self.node.start_and_wait()
        self.ask(3)
        wait_for(lambda: len(self.json("queues", "dead-letters")) == 3, "three events are set aside")
        letters = self.json("queues", "dead-letters")
        self.assertEqual({letter["path"] for letter in letters}, {"/x/length/same"})
        waiting = {row["queue"]: row["waiting"] for row in self.json("queues", "list")}
        self.assertEqual(waiting["dead-letters"], 3)
        wait_for(lambda: "dead_letters" in self.node.alarms(), "the alarm is raised")
        self.assertEqual(self.json("queues", "replay", "--all", code=1)["refused"], 3)

        self.node.stop()
        for table in ("hourly", "totals"):
            self.change(f"UPDATE {table} SET us_sum = 2000")
        self.change("UPDATE events SET us = 1")
        self.node.start_and_wait()
        first = str(letters[0]["id"])
        self.assertEqual(self.json("queues", "replay", first)["replayed"], 1)
        self.assertEqual(self.json("queues", "replay", "--all")["replayed"], 2)
        self.assertEqual(self.json("queues", "replay", "--all")["replayed"], 0)
        self.assertEqual(self.node.value("SELECT sum(requests) FROM hourly"), 5)
        self.assertEqual(self.node.value("SELECT count(*) FROM traffic_events"), 5)
        self.assertTrue(self.json("audit")["balanced"])
        wait_for(lambda: (status := self.node.status()) and status["alarms"] == [],
                 "no alarm is left")

    def test_letters_must_be_named_or_all_of_them_asked_for(self):
        self.assertEqual(self.node.run("queues", "purge").returncode, 2)
        self.assertEqual(self.node.run("queues", "purge", "--all", "5").returncode, 2)
        self.assertEqual(self.json("queues", "purge", "--all")["purged"], 0)
        self.node.stop()
        self.assertEqual(self.node.run("queues", "purge", "--all").returncode, 1)
        self.assertEqual(self.json("queues", "dead-letters"), [])


if __name__ == "__main__":
    unittest.main()
