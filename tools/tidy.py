#!/usr/bin/env python3
"""Checks what compilers and clang-tidy cannot: layering and house rules. Run by ctest as `tidy`.

Prints "path:line: rule: message" for each finding and exits 1 if there is any.
Usage: tools/tidy.py [root]
"""

import re
import sys
from pathlib import Path

# Token -> (what to use instead, path prefixes that implement the alternative).
BANNED = {
    r"\bstd::thread\b|\bstd::jthread\b": ("loop::Mailbox between the threads app/ starts", ("src/app/",)),
    r"\bsystem_clock::now\b|\bsteady_clock::now\b": ("an injected base::Clock", ("src/os/",)),
    r"\bstd::random_device\b|\brand\(": ("an injected base::Random", ("src/os/",)),
    r"\bgetenv\(": ("config::Config", ("src/app/", "src/base/fault_point.cc")),
    r"\bshared_ptr<(?!const )": ("one owner; share only immutable objects", ()),
    r"\bthrow\b|\bcatch \(": ("base::Result", ("src/app/", "src/cli/command_line.cc")),
    r"\bco_(await|return|yield)\b": ("an explicit state machine (decision 0002: g++ 12.2 miscompiles them)", ()),
    r"\bstd::mutex\b": ("base::Mutex, which clang can check", ("src/base/thread_annotations.h", "src/base/rendezvous.h")),
    r"\bsleep_for\b": ("a loop::Timers alarm", ()),
}
# Promises of the architecture: the left module must not reach the right ones, even indirectly.
UNREACHABLE = {
    "gateway": {"journal", "sqlite", "kv", "objects", "stats", "pipeline", "admin"},  # Traffic never waits for storage.
    "http": {"os", "loop", "net"},  # Protocol code does no I/O.
}
TEST_ONLY_SUFFIXES = ("_test.cc", "_bench.cc", "_fuzz.cc")
FILE_LINES_MAX = 600


def modules(root: Path) -> dict[str, list[str]]:
    """Declared dependencies of each module, in the bottom-up order of the root CMakeLists.txt."""
    declared = {}
    listed = re.search(r"set\(WEIR_MODULES([^)]*)\)", (root / "CMakeLists.txt").read_text())
    for name in listed.group(1).split():
        cmake = root / "src" / name / "CMakeLists.txt"
        if not cmake.exists():
            continue
        depends = re.search(r"DEPENDS\s+([a-z_\s]+?)\s*(?:[A-Z)]|$)", cmake.read_text())
        declared[name] = depends.group(1).split() if depends else []
    return declared


def reachable(module: str, declared: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    for dependency in declared.get(module, []):
        found |= {dependency} | reachable(dependency, declared)
    return found


def check_modules(root: Path, declared: dict[str, list[str]]):
    for module, forbidden in UNREACHABLE.items():
        for target in sorted(reachable(module, declared) & forbidden):
            yield f"src/{module}/CMakeLists.txt", 1, "layering", f"{module} must not reach {target}"
    for path in sorted((root / "src").rglob("*.cc")):
        cmake = path.relative_to(root).parts[1]
        if path.name not in (root / "src" / cmake / "CMakeLists.txt").read_text():
            yield path.relative_to(root).as_posix(), 1, "unlisted", "no CMakeLists.txt builds this file"


def check_file(path: str, text: str, declared: dict[str, list[str]]):
    module = path.split("/")[1]
    is_test = path.endswith(TEST_ONLY_SUFFIXES)
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield FILE_LINES_MAX, "length", f"{len(lines)} lines; split the file"
    for number, line in enumerate(lines, 1):
        code = line.split("//")[0]
        if include := re.match(r'#include "(\w+)/(.+)"', line):
            target = include.group(1)
            if target != module and target not in declared[module]:
                yield number, "layering", f"{module} does not declare DEPENDS {target}"
            if target != module and include.group(2).startswith("internal/"):
                yield number, "layering", f"{target}/internal is private to {target}"
        if re.search(r"\bTODO\b(?!\((perf|cleanup|test|#\d+)\): )", line):
            yield number, "todo", "write TODO(perf|cleanup|test|#issue): what"
        for token, (instead, allowed) in BANNED.items():
            if not is_test and re.search(token, code) and not path.startswith(allowed):
                yield number, "banned", f"{re.search(token, code).group(0)}: use {instead}"
    if path.endswith(".h"):
        for match in re.finditer(r"^((?://.*\n)*)(?:template .*\n)?class (?!WEIR_)\w+[^;]*?\{", text, re.M):
            if "Threading:" not in match.group(1) and "consteval" not in text[match.end():match.end() + 200]:
                number = text[: match.end()].count("\n") + 1
                yield number, "doc", "a public class says its Threading:"


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    declared = modules(root)
    findings = [*check_modules(root, declared)]
    for path in sorted(p for p in (root / "src").rglob("*") if p.suffix in (".h", ".cc")):
        name = path.relative_to(root).as_posix()
        findings += [(name, *finding) for finding in check_file(name, path.read_text(), declared)]
    for name, number, rule, message in findings:
        print(f"{name}:{number}: {rule}: {message}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
