"""The measurements. Each part is a function of a Bench that returns its figures as a dictionary and
adds to `bench.checks` what design promises about them."""

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import database
import readings
from servers import (DENYING_LIMIT, LIMITS, PATH, Fleet, Server, ServerError, Weir, file_limit,
                     guard_rules)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/e2e"))
import mmdb  # The tests' writer.

CONNECTIONS = 32
IDLE_CONNECTIONS = 10_000
TRIES = 3  # Of one run, until the machine was quiet.
QUIET_WAIT_SECONDS = 20  # Before a run, for others to finish.
REQUEST = f"GET {PATH} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


class TooNoisy(Exception):
    """Other processes used too much of the machine for the figures to mean anything."""


@dataclass
class Check:
    """One promised figure."""

    name: str
    value: float
    bound: float
    at_least: bool  # Else: at most.
    aim: float | None = None
    unit: str = ""

    def holds(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass
class Sample:
    """One run of the load generator against one server."""

    requests: int
    rate: float  # Requests per second.
    p50_ms: float
    p99_ms: float
    loop_seconds: float
    process_seconds: float  # Until the backlog is empty.
    rss_bytes: int
    others: float  # Processor time of others, as a share of one processor.

    @property
    def per_loop_second(self) -> float:
        return self.requests / self.loop_seconds

    @property
    def per_process_second(self) -> float:
        return self.requests / self.process_seconds


@dataclass
class Bench:
    fleet: Fleet
    rounds: int
    seconds: int
    others_max: float
    quick: bool
    checks: list[Check] = field(default_factory=list)
    too_noisy: list[str] = field(default_factory=list)

    def say(self, text: str):
        print(text, flush=True)


def run_wrk(bench: Bench, server: Server, seconds: int, denied: bool = False) -> readings.Load:
    """`denied`: every request is to be refused, and none to fail otherwise."""
    command = ["taskset", "-c", str(bench.fleet.load_core), "wrk", "-t1", f"-c{CONNECTIONS}"]
    command += [f"-d{seconds}s", "--latency", f"http://127.0.0.1:{server.port}{PATH}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    load = readings.parse_wrk(done.stdout + done.stderr)
    if denied and load.failures == load.refused >= load.requests - 1:
        return load
    if load.failures or denied:
        raise ServerError(f"{server.name} failed {load.failures} of {load.requests} requests")
    return load


def sample(bench: Bench, server: Server, denied: bool) -> Sample:
    quiet = readings.Quiet(bench.fleet.pids())
    loop, process = server.loop_seconds(), readings.process_seconds(server.pid)
    load = run_wrk(bench, server, bench.seconds, denied)
    others = quiet.others()
    loop = server.loop_seconds() - loop
    server.wait_drained()
    return Sample(
        requests=load.requests,
        rate=load.requests / load.seconds,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        loop_seconds=loop,
        process_seconds=readings.process_seconds(server.pid) - process,
        rss_bytes=readings.memory_bytes(server.pid, "VmRSS"),
        others=others,
    )


def await_quiet(bench: Bench):
    """Returns once others have left the machine alone for a moment, or after a while anyway."""
    deadline = time.monotonic() + QUIET_WAIT_SECONDS
    while time.monotonic() < deadline:
        quiet = readings.Quiet(bench.fleet.pids())
        time.sleep(0.5)
        if quiet.others() <= bench.others_max:
            return


def quiet_sample(bench: Bench, server: Server, denied: bool) -> Sample | None:
    """A sample taken while others left the machine alone, or None after TRIES noisy ones."""
    for _ in range(TRIES):
        await_quiet(bench)
        taken = sample(bench, server, denied)
        if taken.others <= bench.others_max:
            return taken
        bench.say(f"    {server.name}: others used {taken.others:.0%} of a core, run dropped")
    return None


def interleaved(
    bench: Bench, part: str, servers: list[Server], denied: bool = False
) -> list[dict[str, Sample]]:
    """Rounds in which every server had a quiet run. The order turns from round to round.

    A shared machine's speed moves from second to second, by more than what is to be told apart: so
    runs are short, the servers of a round stand close together in time, and rounds are many."""
    kept: list[dict[str, Sample]] = []
    for server in servers:
        run_wrk(bench, server, 1, denied)
        server.wait_drained()
    for turn in range(bench.rounds * 2):
        if len(kept) == bench.rounds:
            break
        first = turn % len(servers)
        taken = {}
        for server in servers[first:] + servers[:first]:
            taken[server.name] = quiet_sample(bench, server, denied)
            if taken[server.name] is None:
                break
        if None not in taken.values():
            kept.append({server.name: taken[server.name] for server in servers})
            figures = (f"{name} {each.per_loop_second:,.0f}" for name, each in kept[-1].items())
            bench.say(f"  round {len(kept)}: " + ", ".join(figures))
    if len(kept) * 2 < bench.rounds:
        raise TooNoisy(f"{part}: {len(kept)} quiet rounds of {bench.rounds}")
    return kept


def _median_of(rounds: list[dict[str, Sample]], name: str) -> dict[str, float]:
    def median(of) -> float:
        return statistics.median(of(each[name]) for each in rounds)

    return {
        "per_loop_second": median(lambda s: s.per_loop_second),
        "per_process_second": median(lambda s: s.per_process_second),
        "rate": median(lambda s: s.rate),
        "p50_ms": median(lambda s: s.p50_ms),
        "p99_ms": median(lambda s: s.p99_ms),
        "rss_bytes": median(lambda s: s.rss_bytes),
        "core_used": median(lambda s: s.loop_seconds / (s.requests / s.rate)),
    }


def proxied(bench: Bench) -> dict:
    """Requests per processor second of Weir, the peers and the floor."""
    servers = bench.fleet.all(bench.fleet.proxy_core)
    try:
        for server in servers:
            server.start()
        rounds = interleaved(bench, "proxied", servers)
    finally:
        for server in servers:
            bench.fleet.remove(server)
    figures = {
        "rounds": [{name: asdict(each) for name, each in one.items()} for one in rounds],
        "median": {server.name: _median_of(rounds, server.name) for server in servers},
    }
    if bench.fleet.weir_path:
        peers = ("nginx", "haproxy")
        # The best peer of the whole run: the better of two noisy ones, round by round, would
        # be a peer that does not exist.
        best = max(peers, key=lambda name: figures["median"][name]["per_loop_second"])
        loops = [one["weir"].per_loop_second / one[best].per_loop_second for one in rounds]
        whole = [one["weir"].per_process_second / one[best].per_loop_second for one in rounds]
        figures |= {"best_peer": best, "ratio_loops": loops, "ratio_process": whole}
        bench.checks += [
            Check(f"proxied, loops / {best}", statistics.median(loops), 1.15, True, 1.25, "×"),
            Check(f"proxied, process / {best}", statistics.median(whole), 0.85, True, 1.0, "×"),
        ]
    return figures


def recording(bench: Bench) -> dict:
    """What recording adds to a loop's processor time: interleaved runs with it on and off."""
    servers = [bench.fleet.weir(bench.fleet.proxy_core, record=on) for on in (True, False)]
    try:
        for server in servers:
            server.start()
        rounds = interleaved(bench, "recording", servers)
    finally:
        for server in servers:
            bench.fleet.remove(server)
    on, off = (server.name for server in servers)
    shares = [1 - one[on].per_loop_second / one[off].per_loop_second for one in rounds]
    bench.checks.append(
        Check("recording's share of a loop", statistics.median(shares) * 100, 5, False, 3, "%")
    )
    return {"share": shares, "median": {name: _median_of(rounds, name) for name in (on, off)}}


def _rounds_of(bench: Bench, part: str, servers: list[Server], denied: bool = False):
    """Of servers that live for these rounds alone."""
    try:
        for server in servers:
            server.start()
        return interleaved(bench, part, servers, denied)
    finally:
        for server in servers:
            bench.fleet.remove(server)


def _ratios(rounds: list[dict[str, Sample]], name: str) -> tuple[str, list[float]]:
    """The better peer of the whole run, and the loops' figure of `name` against it."""
    best = max(
        ("nginx", "haproxy"),
        key=lambda peer: statistics.median(one[peer].per_loop_second for one in rounds),
    )
    return best, [one[name].per_loop_second / one[best].per_loop_second for one in rounds]


def _side_by_side(bench: Bench, one: Server, other: Server, denied: bool) -> list[list[float]]:
    """Microseconds of the loops per request, of two servers that share a core and are asked at the
    same time: whatever slows the machine slows both, which no two runs after each other can say.
    `denied`: the other one refuses every request."""
    runs = ((one, False), (other, denied))
    rounds = []
    try:
        for server, refuses in runs:
            server.start()
            run_wrk(bench, server, 1, refuses)
        with ThreadPoolExecutor(len(runs)) as pool:
            for _ in range(bench.rounds):
                await_quiet(bench)
                before = [server.loop_seconds() for server, _ in runs]
                asked = [pool.submit(run_wrk, bench, server, 2 * bench.seconds, refuses)
                         for server, refuses in runs]
                counts = [load.result().requests for load in asked]
                after = [server.loop_seconds() for server, _ in runs]
                rounds.append([1e6 * (end - begin) / count
                               for begin, end, count in zip(before, after, counts)])
                for server, _ in runs:
                    server.wait_drained()
    finally:
        for server, _ in runs:
            bench.fleet.remove(server)
    pairs = " ".join(f"{one_us:.1f}/{other_us:.1f}" for one_us, other_us in rounds)
    bench.say(f"  side by side, us: {one.name}/{other.name} {pairs}")
    return rounds


def guards(bench: Bench) -> dict:
    """What all guards add to a request, and what a denied one costs, against the peers."""
    fleet, core = bench.fleet, bench.fleet.proxy_core
    database = fleet.directory / "places.mmdb"
    database.write_bytes(mmdb.database({"127.0.0.0/8": mmdb.maxmind("DE")}))
    guarded = {"rules": guard_rules(database), "limits": LIMITS}
    admitted = _rounds_of(
        bench,
        "guards, admitted",
        [fleet.nginx(core), fleet.haproxy(core), fleet.weir(core, **guarded)],
    )
    denied = _rounds_of(
        bench,
        "guards, denied",
        [fleet.nginx(core, denying=True), fleet.haproxy(core, denying=True),
         fleet.weir(core, limits=DENYING_LIMIT)],
        denied=True,
    )
    costs = _side_by_side(
        bench, fleet.weir(core), fleet.weir(core, name="weir, guarded", **guarded), False)
    added = [guarded_us - proxied_us for proxied_us, guarded_us in costs]
    denying = fleet.weir(core, name="weir, denying", limits=DENYING_LIMIT)
    costs = _side_by_side(bench, fleet.weir(core), denying, True)
    shares = [denied_us / proxied_us for proxied_us, denied_us in costs]
    best, admitted_ratio = _ratios(admitted, "weir")
    best_denying, denied_ratio = _ratios(denied, "weir")
    bench.checks += [
        Check("all guards, added to a request", statistics.median(added), 1.5, False, None, "µs"),
        Check(f"guarded, loops / {best}", statistics.median(admitted_ratio), 1.15, True, None, "×"),
        Check(f"denied, loops / {best_denying}", statistics.median(denied_ratio), 1.15, True, None,
              "×"),
        Check("denied against proxied", statistics.median(shares), 0.5, False, None, "×"),
    ]
    return {"added_us": added, "admitted": admitted_ratio, "denied": denied_ratio,
            "denied_against_proxied": shares}


def _ask(connection: socket.socket) -> bytes:
    """One request, answered completely: head and body."""
    connection.sendall(REQUEST)
    answer = b""
    while True:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("closed before the answer was complete")
        answer += piece
        head, end, body = answer.partition(b"\r\n\r\n")
        if end:
            length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
            if len(body) >= int(length):
                return answer


def idle(bench: Bench) -> dict:
    """Memory of connections that made one request and stay open."""
    count = min(IDLE_CONNECTIONS, file_limit() - 1000)
    figures: dict = {"connections": count, "bytes": {}}
    for server in bench.fleet.all(None):
        server.start()
        connections = []
        try:
            for _ in range(8):  # What the first requests allocate once is not a connection's.
                server.get()
            before = readings.memory_bytes(server.pid, "RssAnon")
            for _ in range(count):
                address = ("127.0.0.1", server.port)
                connections.append(socket.create_connection(address, timeout=5))
                _ask(connections[-1])
            after = readings.memory_bytes(server.pid, "RssAnon")
            _ask(connections[0])  # The oldest is still served.
        finally:
            for connection in connections:
                connection.close()
            bench.fleet.remove(server)
        figures["bytes"][server.name] = (after - before) / count
        bench.say(f"  {server.name}: {(after - before) / count:,.0f} bytes a connection")
    if bench.fleet.weir_path:
        value = figures["bytes"]["weir"]
        bench.checks.append(Check("idle connection, user memory", value, 4096, False, 1024, "B"))
    return figures


def _first_response_ms(server: Server) -> float:
    """From spawning the process to the first 200 through it, asking without pause."""
    output = os.open(server.directory / "output.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
        began = time.perf_counter()
        program = server.command[0]
        pid = os.posix_spawnp(program, server.command, os.environ, file_actions=actions)
        try:
            while time.perf_counter() - began < 15:
                try:
                    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as asked:
                        if _ask(asked).startswith(b"HTTP/1.1 200"):
                            return (time.perf_counter() - began) * 1000
                except OSError:
                    time.sleep(0.00005)
            raise ServerError(f"{server.name} did not answer within 15 s of its start")
        finally:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
    finally:
        os.close(output)


def startup(bench: Bench) -> dict:
    """Start to first proxied response: new, restarted, and with a large database."""
    repeats = 5 if bench.quick else 15
    figures = {}

    def note(name: str, values: list[float]):
        figures[name] = {"median_ms": statistics.median(values), "max_ms": max(values)}
        bench.say(f"  {name}: {statistics.median(values):.1f} ms, at most {max(values):.1f} ms")

    for server in bench.fleet.all(None):
        if not isinstance(server, Weir):
            note(server.name, [_first_response_ms(server) for _ in range(repeats)])
        bench.fleet.remove(server)
    if not bench.fleet.weir_path:
        return figures
    fresh = []
    for _ in range(repeats):
        server = bench.fleet.weir(None, workers=0)
        fresh.append(_first_response_ms(server))
        bench.fleet.remove(server)
    note("weir, empty data directory", fresh)
    server = bench.fleet.weir(None, workers=0)
    _first_response_ms(server)
    note("weir, restarted", [_first_response_ms(server) for _ in range(repeats)])
    if not bench.quick:
        server.start()
        run_wrk(bench, server, 1)
        server.wait_drained()
        server.stop()
        rows = database.grow(server.data / "weir.db", database.GIGABYTE)
        values = [_first_response_ms(server) for _ in range(repeats)]
        note(f"weir, {rows:,} events in 1 GB", values)
        median = statistics.median(values)
        bench.checks.append(Check("start, 1 GB database", median, 100, False, 8, "ms"))
    else:
        median = statistics.median(fresh)
        bench.checks.append(Check("start, empty database", median, 100, False, 8, "ms"))
    bench.fleet.remove(server)
    return figures


def _loops_seconds(server: Server) -> list[float]:
    """Processor time of each loop while 32 connections make the same number of requests, one at a
    time. Under full load the kernel shares the processor evenly among the loops, whatever
    connections each has."""
    address = ("127.0.0.1", server.port)
    connections = [socket.create_connection(address, timeout=5) for _ in range(CONNECTIONS)]
    try:
        for connection in connections * 20:  # Past what the first requests cost once.
            _ask(connection)
        before = readings.thread_seconds(server.pid, "loop-")
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:
            for connection in connections:
                _ask(connection)
        after = readings.thread_seconds(server.pid, "loop-")
    finally:
        for connection in connections:
            connection.close()
    return [after[name] - before[name] for name in after]


def balance(bench: Bench) -> dict:
    """How evenly 32 connections fall on 8 loops. Each start deals them anew."""
    ratios = []
    for _ in range(3 if bench.quick else 7):
        server = bench.fleet.weir(None, workers=8).start()
        used = _loops_seconds(server)
        if len(used) != 8:
            raise ServerError(f"8 workers make {len(used)} threads named loop-*")
        ratios.append(max(used) / statistics.mean(used))
        bench.fleet.remove(server)
        bench.say(f"  busiest loop {ratios[-1]:.2f} × the mean")
    bench.checks.append(Check("busiest of 8 loops / mean, worst", max(ratios), 1.5, False, 1, "×"))
    return {"busiest_to_mean": ratios}


def _count_calls(bench: Bench, server: Server, thread: int) -> dict[str, float]:
    """System calls of one thread per request."""
    server.get()
    report = server.directory / "strace.txt"
    command = ["strace", "-c", "-o", str(report), "-p", str(thread)]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        while b"attached" not in (line := tracer.stderr.readline()):
            if not line:
                raise ServerError("strace cannot attach")
        load = run_wrk(bench, server, 2)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    calls = readings.parse_strace(report.read_text())
    return {name: count / load.requests for name, count in calls.items()}


def syscalls(bench: Bench) -> dict:
    """System calls of the thread that carries traffic, per request."""
    figures = {}
    for server in bench.fleet.all(bench.fleet.proxy_core):
        server.start()
        threads = readings.thread_ids(server.pid, "loop-") if server.name == "weir" else []
        calls = _count_calls(bench, server, threads[0] if threads else server.pid)
        figures[server.name] = calls
        bench.fleet.remove(server)
        listed = (f"{name} {count:.2f}" for name, count in calls.items() if count >= 0.005)
        bench.say(f"  {server.name}: {sum(calls.values()):.2f} = " + ", ".join(listed))
    if bench.fleet.weir_path:
        more = sum(figures["weir"].values()) - sum(figures["floor"].values())
        bench.checks.append(Check("system calls above the floor", more, 1, False, 0))
    return figures


# In the order in which they run. The second value: needs Weir.
PARTS = {
    "proxied": (proxied, False),
    "recording": (recording, True),
    "guards": (guards, True),
    "idle": (idle, False),
    "startup": (startup, False),
    "balance": (balance, True),
    "syscalls": (syscalls, False),
}
