"""What happens to events after they were recorded: figures of the consumer, snapshots, archive and
clean-up. Each part is like those of parts.py."""

import json
import shutil
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

from parts import PATH, Bench, Check
from servers import ServerError, Weir

ROOT = Path(__file__).resolve().parent.parent
MIB = 1 << 20
MANY_PATHS = 41_000  # Make a million hourly rows in 24 hours.
CALM_CONNECTIONS = 6  # Make about 20 000 requests a second here.
POLL_SECONDS = 0.004


def _measure(bench: Bench, program: Path, what: str, events: int) -> dict:
    """One start of pipeline_bench, alone on the proxy's core."""
    place = bench.fleet.directory / what
    command = ["taskset", "-c", str(bench.fleet.proxy_core), str(program), what, str(place)]
    try:
        done = subprocess.run(command + [str(events)], capture_output=True, text=True, timeout=1800)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if done.returncode != 0:
        raise ServerError(f"pipeline_bench {what}: {done.stderr}")
    figures = json.loads(done.stdout)
    bench.say(f"  {what}: " + ", ".join(f"{name} {value:,}" for name, value in figures.items()))
    return figures


def _build(target: str) -> Path:
    command = ["cmake", "--build", "--preset", "release", "--target", target]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return next((ROOT / "build/release").glob(f"**/{target}"))


def limiter(bench: Bench) -> dict:
    """The rate limiter alone: one client whom 1, 4 and 16 threads charge at once, and a million."""
    program = _build("limit_bench")
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=600, check=True)
    figures = json.loads(done.stdout)
    for threads, of in figures.items():
        bench.say(f"  {threads} threads: " + ", ".join(f"{name} {value}" for name, value in of.items()))
    # What contention costs: processor time a charge, as the threads share the same cores.
    worst = figures["16"]["hot_ns"] / figures["1"]["hot_ns"]
    bench.checks.append(Check("one hot client, 16 threads / 1", worst, 4, False, 2, "×"))
    return figures


def pipeline(bench: Bench) -> dict:
    """Consumer, memory, snapshot, archive and clean-up, each on one core."""
    program = _build("pipeline_bench")
    small, large = (1_000_000, 1_000_000) if bench.quick else (1_000_000, 10_000_000)
    consumer = _measure(bench, program, "consumer", large)
    memory = _measure(bench, program, "memory", large)
    many = _measure(bench, program, "queries", MANY_PATHS)
    usual = _measure(bench, program, "queries", 1000)
    keeping = _measure(bench, program, "keeping", small)
    whole = keeping if bench.quick else _measure(bench, program, "keeping", large)
    bench.checks += [
        Check("consumer, events/s on one core", consumer["per_second"], 150e3, True, 300e3, "/s"),
        Check("bytes written per event", consumer["bytes_per_event"], 1000, False, None, "B"),
        Check("memory, all paths distinct", memory["peak_bytes"] / MIB, 512, False, None, "MiB"),
        Check("longest step before the first snapshot", many["read_ahead_ms"], 100, False, None, "ms"),
        Check("snapshot, 1 M hourly rows", many["snapshot_ms"], 500, False, 80, "ms"),
        Check("top list, 1 000 paths", usual["top_ms"], 100, False, None, "ms"),
        Check("dashboard, 1 000 paths", usual["dashboard_ms"], 100, False, None, "ms"),
        Check("archive of 1 M rows", keeping["archive_seconds"], 60, False, 10, "s"),
        Check("archive, memory grown", whole["archive_grown_bytes"] / MIB, 64, False, 32, "MiB"),
        Check("clean-up, rows deleted/s", whole["delete_per_second"], 500e3, True, None, "/s"),
        Check("clean-up, longest command", whole["longest_command_ms"], 100, False, None, "ms"),
        Check("loading 1 M archived rows for a query", keeping["load_seconds"], 60, False, None, "s"),
        Check("loading, memory grown", whole["load_grown_bytes"] / MIB, 64, False, None, "MiB"),
    ]
    queries = {"usual": usual, "many": many}
    return {"consumer": consumer, "memory": memory, "queries": queries, "keeping": [keeping, whole]}


class _NewestRow(threading.Thread):
    """Looks again and again how old the newest committed event is."""

    def __init__(self, database: Path):
        super().__init__()
        self.database = database
        self.ended = threading.Event()
        self.lags_ms: list[tuple[float, float]] = []  # Events' milliseconds, and their lag.

    def run(self):
        database = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, isolation_level=None)
        newest = None
        while not self.ended.is_set():
            row = database.execute("SELECT ts_ms FROM events ORDER BY seq DESC LIMIT 1").fetchone()
            now = time.time() * 1000
            if row and newest is not None and row[0] > newest:
                # Those that came since the last look, evenly spread: the middle one stands for all.
                self.lags_ms.append((row[0] - newest, now - (row[0] + newest) / 2))
            if row:
                newest = max(newest or 0, row[0])
            time.sleep(POLL_SECONDS)
        database.close()


def _percentile(weighted: list[tuple[float, float]], share: float) -> float:
    total = sum(weight for weight, _ in weighted)
    seen = 0.0
    for weight, value in sorted(weighted, key=lambda pair: pair[1]):
        seen += weight
        if seen >= share * total:
            return value
    raise ServerError("no event was committed while looking")


def latency(bench: Bench) -> dict:
    """From the arrival of a request to its row in the database, at about 20 000 requests a second."""
    server: Weir = bench.fleet.weir(bench.fleet.proxy_core)
    server.start()
    server.get()
    server.wait_drained()
    watcher = _NewestRow(server.data / "weir.db")
    command = ["taskset", "-c", str(bench.fleet.load_core), "wrk", "-t1", f"-c{CALM_CONNECTIONS}"]
    command += [f"-d{5 if bench.quick else 20}s", f"http://127.0.0.1:{server.port}{PATH}"]
    watcher.start()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    finally:
        watcher.ended.set()
        watcher.join()
    bench.fleet.remove(server)
    rate = float(done.stdout.split("Requests/sec:")[1].split()[0])
    p50, p99 = _percentile(watcher.lags_ms, 0.5), _percentile(watcher.lags_ms, 0.99)
    bench.say(f"  at {rate:,.0f} requests/s: median {p50:.0f} ms, p99 {p99:.0f} ms")
    bench.checks.append(Check("arrival to committed row, p99", p99, 1000, False, 300, "ms"))
    return {"rate": rate, "p50_ms": p50, "p99_ms": p99}


PARTS = {"limiter": (limiter, True), "pipeline": (pipeline, True), "latency": (latency, True)}
