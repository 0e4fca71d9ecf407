"""Reads figures: processor time and memory from /proc, and what wrk and strace print.

Nothing here starts a process or keeps state, except Quiet, which compares two readings.
"""

import os
import re
from dataclasses import dataclass

TICKS = os.sysconf("SC_CLK_TCK")
_TIME_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}


@dataclass
class Load:
    """What wrk saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int  # Statuses other than 2xx and 3xx.
    failures: int  # Those, and socket errors.


def parse_wrk(text: str) -> Load:
    """Reads the output of `wrk --latency`. Raises ValueError if it is none."""
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", text)
    half = re.search(r"^\s+50%\s+([\d.]+)(us|ms|s|m)", text, re.M)
    tail = re.search(r"^\s+99%\s+([\d.]+)(us|ms|s|m)", text, re.M)
    if not (total and half and tail):
        raise ValueError(f"not the output of wrk --latency: {text!r}")
    refused = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    failures = refused
    if errors := re.search(r"Socket errors: (.*)", text):
        failures += sum(map(int, re.findall(r"\d+", errors.group(1))))
    return Load(
        requests=int(total.group(1)),
        seconds=float(total.group(2)) * _TIME_MS[total.group(3)] / 1000,
        p50_ms=float(half.group(1)) * _TIME_MS[half.group(2)],
        p99_ms=float(tail.group(1)) * _TIME_MS[tail.group(2)],
        refused=refused,
        failures=failures,
    )


def parse_strace(text: str) -> dict[str, int]:
    """Calls by name from `strace -c`."""
    row = r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)\s*$"
    calls = {name: int(count) for count, name in re.findall(row, text, re.M)}
    calls.pop("total", None)
    return calls


def stat_seconds(stat: str) -> float:
    """User and system time from the text of /proc/PID/stat. Its second field may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def process_seconds(pid: int) -> float:
    """User and system time of all threads, ended ones included."""
    with open(f"/proc/{pid}/stat") as file:
        return stat_seconds(file.read())


def thread_seconds(pid: int, prefix: str) -> dict[str, float]:
    """Processor time of each running thread whose name starts with `prefix`."""
    seconds = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        base = f"/proc/{pid}/task/{task}"
        try:
            with open(f"{base}/comm") as file:
                name = file.read().strip()
            if not name.startswith(prefix):
                continue
            with open(f"{base}/schedstat") as file:  # Nanoseconds; stat has ticks of 10 ms.
                nanoseconds = int(file.read().split()[0])
            seconds[name] = seconds.get(name, 0) + nanoseconds / 1e9
        except FileNotFoundError:
            continue  # The thread has ended.
    return seconds


def thread_ids(pid: int, prefix: str) -> list[int]:
    ids = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as file:
            if file.read().startswith(prefix):
                ids.append(int(task))
    return ids


def memory_bytes(pid: int, field: str) -> int:
    """A field of /proc/PID/status that is in kB: VmRSS, RssAnon, ..."""
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(rf"^{field}:\s+(\d+) kB", file.read(), re.M).group(1)) * 1024


def busy_seconds(stat: str) -> float:
    """Time that all processors spent on anything but idling, from the text of /proc/stat. Time
    stolen by the hypervisor counts: it disturbs a measurement like any other process."""
    user, nice, system, _, _, irq, softirq, steal = map(int, stat.split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


class Quiet:
    """How much processor time went to others between its making and `others()`."""

    def __init__(self, pids: list[int]):
        self._pids = pids
        self._busy, self._ours, self._wall = self._read()

    def _read(self) -> tuple[float, float, float]:
        with open("/proc/stat") as file:
            busy = busy_seconds(file.read())
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return busy, own + sum(map(process_seconds, self._pids)), times.elapsed

    def others(self) -> float:
        """Share of one processor, from 0; readings in ticks may put it slightly off."""
        busy, ours, wall = self._read()
        return max(0.0, ((busy - self._busy) - (ours - self._ours)) / max(wall - self._wall, 0.001))
