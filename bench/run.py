#!/usr/bin/env python3
"""Measures Weir against nginx, HAProxy and the floor, and checks what design promises.

Usage: bench/run.py [--quick] [--rounds N] [--only PART,...] [--json FILE] [--weir PATH]
Exit code: 0 all figures hold, 1 one does not or something failed, 2 the machine was too noisy.
Needs nginx, haproxy, wrk, strace, taskset, cmake, ninja and a C++ compiler; two processors.
See docs/performance.md.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import parts
import pipeline
from parts import Bench, TooNoisy
from servers import Fleet, ServerError

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("nginx", "haproxy", "wrk", "strace", "taskset", "cmake", "ninja")
FILES = 65536
PARTS = parts.PARTS | pipeline.PARTS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="few, short runs: a first look")
    parser.add_argument("--rounds", type=int, help="rounds to keep (31; with --quick 9)")
    parser.add_argument("--seconds", type=int, help="length of one run (1)")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--weir", type=Path, default=ROOT / "build/release/weir", metavar="PATH")
    parser.add_argument("--without-weir", action="store_true", help="only peers and floor")
    parser.add_argument(
        "--others-max",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="drop a run in which others used more of one core (0.05)",
    )
    chosen = parser.parse_args()
    chosen.rounds = chosen.rounds or (9 if chosen.quick else 31)
    chosen.seconds = chosen.seconds or 1
    chosen.only = chosen.only.split(",")
    if unknown := set(chosen.only) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return chosen


def build_helpers() -> Path:
    build = ROOT / "build/bench"
    configure = ["cmake", "-S", str(ROOT / "bench"), "-B", str(build), "-G", "Ninja"]
    for command in (configure, ["cmake", "--build", str(build)]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return build


def first_line(*command: str) -> str:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, **streams, text=True, timeout=10)
    return done.stdout.strip().split("\n")[0]


def machine(weir: Path | None) -> dict:
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control")
    return {
        "cpu": cpu,
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "congestion_control": congestion.read_text().strip(),
        "nginx": first_line("nginx", "-v").removeprefix("nginx version: "),
        "haproxy": " ".join(first_line("haproxy", "-v").split()[:3]),
        "weir": first_line(str(weir), "--version") if weir else None,
    }


def print_proxied(figures: dict):
    columns = ("req/CPU-s", "process", "req/s", "p50 ms", "p99 ms", "RSS MiB", "core used")
    print(f"\n{'proxied (median)':20}" + "".join(f"{each:>11}" for each in columns))
    for name, m in figures["median"].items():
        numbers = (
            f"{m['per_loop_second']:,.0f}",
            f"{m['per_process_second']:,.0f}",
            f"{m['rate']:,.0f}",
            f"{m['p50_ms']:.2f}",
            f"{m['p99_ms']:.2f}",
            f"{m['rss_bytes'] / 2**20:.1f}",
            f"{m['core_used']:.0%}",
        )
        print(f"{name:20}" + "".join(f"{each:>11}" for each in numbers))
    if "best_peer" in figures:
        for key, what in (("ratio_loops", "loops"), ("ratio_process", "process")):
            ratios = " ".join(f"{each:.2f}" for each in figures[key])
            print(f"weir's {what} / {figures['best_peer']}, by round: {ratios}")


def print_checks(bench: Bench):
    if not bench.checks:
        return
    print(f"\n{'figure':40}{'measured':>12}{'bound':>12}{'aim':>10}")
    for check in bench.checks:
        sign = "≥" if check.at_least else "≤"
        aim = "" if check.aim is None else f"{check.aim:g}"
        value, bound = f"{check.value:.2f} {check.unit}", f"{sign} {check.bound:g} {check.unit}"
        verdict = "" if check.holds() else "  MISSED"
        print(f"{check.name:40}{value:>12}{bound:>12}{aim:>10}{verdict}")


def measure(bench: Bench, names: list[str]) -> dict:
    figures = {}
    for name, (part, needs_weir) in PARTS.items():
        if name not in names or (needs_weir and not bench.fleet.weir_path):
            continue
        bench.say(f"{name}: {part.__doc__.splitlines()[0]}")
        try:
            figures[name] = part(bench)
        except TooNoisy as noise:
            bench.too_noisy.append(str(noise))
            bench.say(f"  too noisy: {noise}")
    return figures


def prepare(chosen: argparse.Namespace) -> tuple[Path, tuple[int, int]]:
    """Checks tools and limits, builds the helpers; returns their directory and the two cores."""
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        raise ServerError(f"not installed: {', '.join(missing)}")
    if not chosen.without_weir and not os.access(chosen.weir, os.X_OK):
        raise ServerError(f"{chosen.weir} is not there; build it, or measure --without-weir")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise ServerError("two processors are needed: one for the proxy, one for the load")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for files in (max(FILES, hard), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            break
        except (ValueError, PermissionError):
            continue
    return build_helpers(), (cores[0], cores[1])


def run(chosen: argparse.Namespace) -> int:
    build, cores = prepare(chosen)
    weir = None if chosen.without_weir else chosen.weir.resolve()
    about = machine(weir)
    print(", ".join(f"{key} {value}" for key, value in about.items() if value))
    place = Path(tempfile.mkdtemp(prefix="run-", dir=build))
    place.chmod(0o755)  # nginx's worker drops its privileges.
    with Fleet(place, build / "floor", weir, cores) as fleet:
        bench = Bench(fleet, chosen.rounds, chosen.seconds, chosen.others_max, chosen.quick)
        figures = measure(bench, chosen.only)
    if "proxied" in figures:
        print_proxied(figures["proxied"])
    print_checks(bench)
    if chosen.json:
        checks = [asdict(check) | {"holds": check.holds()} for check in bench.checks]
        everything = {"machine": about, "figures": figures, "checks": checks}
        chosen.json.write_text(json.dumps(everything | {"too_noisy": bench.too_noisy}, indent=1))
    if not all(check.holds() for check in bench.checks):
        return 1
    return 2 if bench.too_noisy else 0


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Unwinds, which ends the servers.
    try:
        return run(arguments())
    except (ServerError, subprocess.SubprocessError, OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1


if __name__ == "__main__":
    sys.exit(main())
