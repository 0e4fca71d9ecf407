"""Kills the process at every declared fault point, on its 1st, 2nd, … pass, while exchanges of
every kind go through, and compares what clients received with what was recorded.

Each walk uses one data directory: an epoch is killed, the next start takes over what it left and
is killed one pass later. The last epoch is not killed, drains, and is compared with everything that
clients received since the first. A path says its epoch, which is the pass: /x/length/e7-3 is the
third exchange of the epoch that was killed on the seventh pass.
"""

import json
import os
import re
import time
import unittest

from books import compare
from exchanges import Ledger, Script
from harness import ROOT, WEIR, Ended, Node, Upstream, free_port, wait_for
from keeping_walk_test import COMMAND_POINTS, OBJECT_POINTS

LATE = os.environ.get("WEIR_LATE", os.path.join(os.path.dirname(WEIR), "weir_commits_late"))
# How many passes of a point that threads pass all the time, whatever the exchanges.
PASSES = int(os.environ.get("WEIR_WALK_PASSES", "3"))

# Passed on a loop, once for each exchange: walked until a whole script goes through.
RESPONSE_POINTS = ["response.before_commit", "response.after_commit", "response.after_send"]
RING_POINTS = ["ring.before_commit", "ring.after_commit"]
COLLECTOR_POINTS = ["collector.before_count", "collector.after_count"]
# Passed on the storage thread and the consumer.
JOURNAL_POINTS = [
    "journal.before_write", "journal.after_write", "journal.before_sync", "journal.after_sync",
    "journal.before_release", "journal.after_release", "journal.before_segment_delete",
    "journal.after_segment_delete", "journal.before_ring_delete", "journal.after_ring_delete"]
CONSUMER_POINTS = [
    "consumer.before_commit", "consumer.after_commit", "derived.before_commit",
    "derived.after_commit", "snapshot.before_publish", "snapshot.after_publish"]
# What makes the consumer pass a point now, and not when its time has come.
NUDGES = {"derived": ("stats", "top"), "snapshot": ("jobs", "run", "path_snapshot")}
EVENTS_IN_SCRIPT_MIN = 30


def declared_points():
    """The names of all fault points in the sources."""
    names = set()
    for folder, _, files in os.walk(os.path.join(ROOT, "src")):
        for name in files:
            if not name.endswith((".h", ".cc")) or name.startswith("fault_point"):
                continue
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                text = file.read()
            names.update(re.findall(r'fault_point\(\s*"([^"]+)"', text))
            names.update(re.findall(r'\bkFault\w+\s*=\s*"([^"]+)"', text))
    return names


class WalkTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.upstream = Upstream()
        self.addCleanup(self.upstream.close)

    def node(self, **options):
        node = Node([("x", "/x/*", self.upstream.url, 'upgrade = ["websocket"]'),
                     ("dead", "/dead/*", f"http://127.0.0.1:{free_port()}", "")], **options)
        self.addCleanup(node.remove)
        return node

    def finish(self, node, ledger, context, whole_epoch=None):
        """Drains and compares the running node, ends it, and compares once more."""
        node.drain()
        compare(node, ledger, context, whole_epoch)
        node.stop()
        node.start_and_wait()
        node.drain()
        compare(node, ledger, f"{context}, after a graceful restart", whole_epoch)

    def walk_exchanges(self, point, binary=WEIR, passes=None):
        """Kills on pass 1, 2, … until a script ends unharmed (or `passes` were killed)."""
        node, ledger = self.node(binary=binary), Ledger()
        while True:
            ledger.epoch += 1
            fault = f"{point}:{ledger.epoch}"
            node.start(fault)
            self.assertTrue(node.wait_ready(), f"{fault}: ended before traffic: {node.output()}")
            ended_well = Script(node.port, ledger).run()
            if ended_well:
                node.wait_for_loops()  # A kill that is due comes before that.
            if not node.killed(patience=0.5 if ended_well else 10):
                self.assertTrue(ended_well, f"{fault}: connections broke without a kill")
                self.assertGreater(ledger.epoch, 1, f"{point} was never passed")
                break
            if ledger.epoch == passes:
                ledger.epoch += 1
                node.start_and_wait()
                break
        self.finish(node, ledger, f"killed at {point}, by passes", ledger.epoch)
        return ledger

    def walk_thread(self, point):
        """Kills on the first PASSES passes: under traffic, or at the end, after a SIGTERM.
        There are as many rings to delete as there are loops."""
        node, ledger = self.node(workers=PASSES), Ledger()
        for n in range(1, PASSES + 1):
            if "segment_delete" in point:
                self.leave_segments(node, ledger, n)
            self.kill_at(node, ledger, f"{point}:{n}")
        ledger.epoch += 1
        node.start_and_wait()
        self.assertTrue(Script(node.port, ledger).run())
        self.finish(node, ledger, f"killed at {point}", ledger.epoch)

    def leave_segments(self, node, ledger, count):
        """Kills before anything is consumed, until there are so many segments to delete."""
        for _ in range(4 * count):
            names = os.listdir(os.path.join(node.data, "journal")) if ledger.epoch else []
            if sum(name.startswith("segment-") for name in names) >= count:
                return
            self.kill_at(node, ledger, "consumer.before_commit:1")
        self.fail(f"no {count} segments are left")

    def kill_at(self, node, ledger, fault):
        ledger.epoch += 1
        node.start(fault)
        node.wait_ready()
        for _ in range(20):
            if node.killed(patience=0.02):
                return
            if not Script(node.port, ledger).run():
                self.assertTrue(node.killed(patience=10), f"{fault}: not killed, and broken")
                return
            if nudge := NUDGES.get(fault.split(".")[0]):
                node.run(*nudge)
        node.process.terminate()
        code = node.process.wait(30)
        self.assertEqual(code, -9, f"{fault} was not passed so often\n{node.output()}")


class ResponseWalk(WalkTest):
    def test_kill_around_the_commit_and_the_last_send(self):
        for point in RESPONSE_POINTS:
            with self.subTest(point):
                ledger = self.walk_exchanges(point)
                self.assertGreater(ledger.epoch, EVENTS_IN_SCRIPT_MIN, point)


class RingWalk(WalkTest):
    def test_kill_around_the_commit_word(self):
        for point in RING_POINTS:
            with self.subTest(point):
                ledger = self.walk_exchanges(point)
                self.assertGreater(ledger.epoch, EVENTS_IN_SCRIPT_MIN, point)


class JournalWalk(WalkTest):
    def test_kill_in_the_journal(self):
        for point in JOURNAL_POINTS:
            with self.subTest(point):
                self.walk_thread(point)


class ConsumerWalk(WalkTest):
    def test_kill_in_the_consumer(self):
        for point in CONSUMER_POINTS:
            with self.subTest(point):
                self.walk_thread(point)


class CollectorWalk(WalkTest):
    """Without detail rows every exchange is counted in the table of its loop. A kill may misstate
    one exchange of a loop."""

    def test_kill_around_the_count(self):
        for point in COLLECTOR_POINTS:
            with self.subTest(point):
                self.walk_totals(point)

    def walk_totals(self, point):
        node, ledger = self.node(stats="detail = false"), Ledger()
        kills = 0
        for n in [1, 2, 5, 18, 30, None]:
            ledger.epoch += 1
            node.start(f"{point}:{n}" if n else None)
            self.assertTrue(node.wait_ready())
            if not Script(node.port, ledger).run():
                self.assertTrue(node.killed(patience=10))
                kills += 1
        self.assertEqual(kills, 5, f"{point} was not passed as often as exchanges were")
        self.check_totals(node, ledger, kills, f"killed at {point}")
        node.stop()
        node.start_and_wait()
        self.check_totals(node, ledger, kills, f"killed at {point}, after a graceful restart")
        self.assertEqual(node.value("SELECT COUNT(*) FROM traffic_events"), 0)

    def check_totals(self, node, ledger, kills, context):
        def counted():
            """Nothing where it fails, as it does before the database is there."""
            result = node.run("sql", "--json", "SELECT path, requests FROM path_stats_hourly "
                              "WHERE path NOT LIKE '\\_\\_%' ESCAPE '\\'")
            rows = json.loads(result.stdout) if result.returncode == 0 else []
            return {row["path"]: row["requests"] for row in rows}
        # The tables are merged into the hourly rows every second or so, those of earlier lives not
        # before the last one's.
        last = f"e{ledger.epoch}-{ledger.number}"
        wait_for(lambda: any(path.endswith(last) for path in counted()), f"{context}: {last}")
        until = time.monotonic() + 20
        while len(ledger.complete - counted().keys()) > kills and time.monotonic() < until:
            time.sleep(0.1)
        rows = counted()
        self.assertEqual({path: n for path, n in rows.items() if n != 1}, {}, context)
        known = ledger.sent | {"__unrouted__", "__malformed__"}
        self.assertEqual(sorted(rows.keys() - known), [], context)
        self.assertLessEqual(len(ledger.complete - rows.keys()), kills,
                             f"{context}: {sorted(ledger.complete - rows.keys())}")


class BrokenBuild(WalkTest):
    """A gateway that commits after the send must be caught, or these tests prove nothing."""

    def test_committing_after_the_send_is_caught_at_the_first_pass(self):
        with self.assertRaisesRegex(AssertionError, "received but not recorded: .*/e1-1'"):
            self.walk_exchanges("response.after_commit", binary=LATE, passes=1)


class Declared(unittest.TestCase):
    def test_every_declared_fault_point_is_walked(self):
        walked = RESPONSE_POINTS + RING_POINTS + COLLECTOR_POINTS + JOURNAL_POINTS + \
            CONSUMER_POINTS + OBJECT_POINTS + COMMAND_POINTS
        self.assertEqual(sorted(declared_points()), sorted(walked))


if __name__ == "__main__":
    unittest.main(verbosity=2)
