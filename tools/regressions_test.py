#!/usr/bin/env python3
"""docs/regressions.md names no test that does not exist, and leaves out none that is there for it.

Run by ctest as `regressions_test`.
"""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = "docs/regressions.md"

# As it is written in C++; with macros over two lines, too.
TEST = re.compile(r"\b(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)")


def tests_in_cpp(root):
    """`Suite.Fact` of every test in the sources."""
    paths = [path for folder in ("src", "tests") for ending in ("cc", "h")
             for path in (root / folder).rglob(f"*.{ending}")]
    return {f"{suite}.{fact}" for path in paths for suite, fact in TEST.findall(path.read_text())}


def tests_in_python(path):
    """`Class.test` of one file; an empty set if there is no such file."""
    tests, owner = set(), ""
    for line in path.read_text().splitlines() if path.is_file() else ():
        if found := re.match(r"class (\w+)", line):
            owner = found.group(1)
        elif found := re.match(r"    def (test_\w+)", line):
            tests.add(f"{owner}.{found.group(1)}")
    return tests


def rows(page):
    """The cells of each row of the one table on the page."""
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def named(page):
    return [name for cells in rows(page) for name in re.findall(r"`([^`]+)`", cells[-1])]


def missing(page, root):
    """Names of tests on the page that are nowhere."""
    cpp = tests_in_cpp(root)
    absent = []
    for name in named(page):
        file, _, test = name.rpartition(": ")
        if test not in (tests_in_python(root / file) if file else cpp):
            absent.append(name)
    return absent


class RegressionsTest(unittest.TestCase):
    def setUp(self):
        self.page = (ROOT / PAGE).read_text()

    def test_every_test_on_the_page_exists(self):
        self.assertEqual(missing(self.page, ROOT), [])

    def test_every_row_says_what_went_wrong_what_prevents_it_and_names_a_test(self):
        self.assertGreater(len(rows(self.page)), 30)
        for cells in rows(self.page):
            self.assertEqual(len(cells), 3, cells)
            self.assertTrue(all(cells), cells)
            self.assertRegex(cells[2], r"^`[^`]+`(, `[^`]+`)*$")

    def test_every_test_that_is_there_for_the_page_is_on_it(self):
        ours = {name for name in tests_in_cpp(ROOT) if name.startswith("RegressionsTest.")}
        self.assertGreater(len(ours), 5)
        self.assertEqual(ours - set(named(self.page)), set())

    def test_a_test_that_is_gone_is_found(self):
        page = ("| what | prevents | tests |\n|---|---|---|\n"
                "| a | b | `NoSuchTest.Fact`, `AuditTest.AnEmptyDatabaseBalances` |\n"
                "| c | d | `tools/regressions_test.py: RegressionsTest.test_gone` |\n"
                "| c | d | `tools/gone_test.py: RegressionsTest.test_a_test_that_is_gone_is_found` |\n"
                "| c | d | `tools/regressions_test.py: RegressionsTest.test_a_test_that_is_gone_is_found` |\n")
        self.assertEqual(missing(page, ROOT),
                         ["NoSuchTest.Fact", "tools/regressions_test.py: RegressionsTest.test_gone",
                          "tools/gone_test.py: RegressionsTest.test_a_test_that_is_gone_is_found"])


if __name__ == "__main__":
    unittest.main()
