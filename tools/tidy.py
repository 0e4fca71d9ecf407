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
    r"\bstd::(recursive_|shared_|timed_)?mutex\b|\bstd::condition_variable\w*": (
        "base::Mutex, which clang can check", ("src/base/thread_annotations.h", "src/base/rendezvous.h")),
    r"\bsleep_(for|until)\b": ("a loop::Alarm", ("src/app/command_output.cc", "src/app/operator_commands.cc", "src/app/queue_commands.cc", "src/app/smoke.cc")),  # A command may wait; a loop may not.
    r"\bstd::regex\b": ("config::Pattern: a std::regex can take exponential time, and recurses", ()),
    r"\b(strto(l|ll|ul|ull|d|f)|ato(i|l|ll|f)|sto(i|l|ll|ul|ull|d))\(": (
        "std::from_chars: no locale, no errno, and it says where it stopped", ()),
    r"\b(localtime|gmtime|mktime|strftime)(_r)?\(": ("codec/iso_time.h: UTC only", ("src/stats/internal/schema.cc",)),
    r"\b(system|popen)\(": ("nothing: no shell is ever started", ()),
    r"\bstd::(cout|cerr|cin)\b": ("base::Logger, or app/log.h", ()),
}
# Promises of the architecture: the left module must not reach the right ones, even indirectly.
UNREACHABLE = {
    "gateway": {"journal", "sqlite", "kv", "objects", "stats", "pipeline", "admin"},  # Traffic never waits for storage.
    "http": {"os", "loop", "net"},  # Protocol code does no I/O.
}
TEST_ONLY_SUFFIXES = ("_test.cc", "_bench.cc", "_fuzz.cc", "_contract.h")
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


def fakes_of(root: Path, module: str) -> list[str]:
    """Modules whose fakes (weir_x_testing) the module's tests are linked with."""
    links = re.search(r"TEST_LINKS\s+([\w:\s]+?)\s*(?:[A-Z]{2}|\))", (root / "src" / module / "CMakeLists.txt").read_text())
    return re.findall(r"weir_(\w+)_testing", links.group(1)) if links else []


def reachable(module: str, declared: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    for dependency in declared.get(module, []):
        found |= {dependency} | reachable(dependency, declared)
    return found


def build_file_of(path: Path, root: Path) -> Path | None:
    """The nearest CMakeLists.txt beside or above the file, below the root."""
    for folder in path.relative_to(root).parents:
        if folder != Path(".") and (root / folder / "CMakeLists.txt").exists():
            return root / folder / "CMakeLists.txt"
    return None


def check_listed(root: Path, path: Path, word: str, what: str):
    """One finding unless the build file that is in charge of the file names it."""
    build_file = build_file_of(path, root)
    if build_file is None or not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", build_file.read_text()):
        yield path.relative_to(root).as_posix(), 1, "unlisted", what


def check_modules(root: Path, declared: dict[str, list[str]]):
    for module, forbidden in UNREACHABLE.items():
        for target in sorted(reachable(module, declared) & forbidden):
            yield f"src/{module}/CMakeLists.txt", 1, "layering", f"{module} must not reach {target}"
    for folder in sorted(path for path in (root / "src").iterdir() if path.is_dir()):
        if folder.name not in declared:
            yield f"src/{folder.name}", 1, "layering", "no module of CMakeLists.txt, or without one of its own"


def check_lists(root: Path):
    """Every source is built, every header compiled alone, every test run, every fuzzer has a corpus."""
    for path in sorted((root / "src").rglob("*.cc")) + sorted((root / "tests").rglob("*.cc")):
        yield from check_listed(root, path, path.name, "no CMakeLists.txt builds this file")
    for path in sorted((root / "src").rglob("*.h")):
        private = {"internal", "testing"} & set(path.relative_to(root).parts)
        if not private and not path.name.endswith(TEST_ONLY_SUFFIXES):
            yield from check_listed(root, path, path.name, "not among HEADERS: nobody compiles it alone")
    for path in sorted((root / "tests").rglob("*_test.py")) + sorted((root / "tools").glob("*_test.py")):
        build_file = root / "CMakeLists.txt" if path.parent.name == "tools" else build_file_of(path, root)
        names = re.findall(r"[\w-]+", build_file.read_text()) if build_file else []
        if path.stem not in names and path.stem.removesuffix("_test") not in names:
            yield path.relative_to(root).as_posix(), 1, "unlisted", "no CMakeLists.txt runs this test"
    for path in sorted((root / "src").rglob("*_fuzz.cc")):
        corpus = root / "tests/corpus" / path.relative_to(root).parts[1] / path.stem
        if not corpus.is_dir() or not any(corpus.iterdir()):
            yield path.relative_to(root).as_posix(), 1, "unlisted", f"no corpus in {corpus.relative_to(root)}"


def check_own_headers(root: Path):
    """A source includes its own header first, which shows that the header stands alone: the build
    compiles alone only the headers without a source."""
    for path in sorted((root / "src").rglob("*.cc")):
        if not path.with_suffix(".h").exists():
            continue
        own = path.with_suffix(".h").relative_to(root / "src").as_posix()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.startswith("#include"):
                if line != f'#include "{own}"':
                    yield path.relative_to(root).as_posix(), number, "own-header", f'include "{own}" first'
                break


def check_file(path: str, text: str, declared: dict[str, list[str]], fakes: dict[str, list[str]]):
    module = path.split("/")[1]
    is_test = path.endswith(TEST_ONLY_SUFFIXES)
    lines = text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield FILE_LINES_MAX, "length", f"{len(lines)} lines; split the file"
    for number, line in enumerate(lines, 1):
        code = re.split(r"(?<!:)//", line)[0]  # Not at the slashes of a URL.
        if include := re.match(r'#include "(\w+)/(.+)"', line):
            target = include.group(1)
            usable = declared.get(module, []) + (fakes.get(module, []) if is_test else [])
            if target != module and target not in usable:
                yield number, "layering", f"{module} does not declare DEPENDS {target}"
            if target != module and include.group(2).startswith("internal/"):
                yield number, "layering", f"{target}/internal is private to {target}"
        if re.search(r"\bTODO\b(?!\((perf|cleanup|test|#\d+)\): )", line):
            yield number, "todo", "write TODO(perf|cleanup|test|#issue): what"
        if re.search(r"\bNOLINT(NEXTLINE|BEGIN|END)?\b(?!\([a-z])", line):
            yield number, "nolint", "name the check: NOLINT(check-name)"
        for token, (instead, allowed) in BANNED.items():
            if not is_test and re.search(token, code) and not path.startswith(allowed):
                yield number, "banned", f"{re.search(token, code).group(0)}: use {instead}"
    if not re.fullmatch(r"[a-z0-9_]+\.(h|cc)", Path(path).name):
        yield 1, "name", "files are named in snake_case"
    if path.endswith(".h"):
        if not text.startswith("#pragma once\n"):
            yield 1, "doc", "a header begins with #pragma once"
        for match in re.finditer(r"^((?://.*\n)*)(?:template .*\n)?class (?!WEIR_)\w+[^;]*?\{", text, re.M):
            if "Threading:" not in match.group(1) and "consteval" not in text[match.end():match.end() + 200]:
                number = text[: match.end()].count("\n") + 1
                yield number, "doc", "a public class says its Threading:"


def main(root: Path) -> int:
    declared = modules(root)
    fakes = {module: fakes_of(root, module) for module in declared}
    findings = [*check_modules(root, declared), *check_lists(root), *check_own_headers(root)]
    for path in sorted(p for p in (root / "src").rglob("*") if p.suffix in (".h", ".cc")):
        name = path.relative_to(root).as_posix()
        findings += [(name, *finding) for finding in check_file(name, path.read_text(), declared, fakes)]
    for name, number, rule, message in findings:
        print(f"{name}:{number}: {rule}: {message}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent))
