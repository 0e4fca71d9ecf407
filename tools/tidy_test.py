#!/usr/bin/env python3
"""Every rule of tidy.py finds what it must find, and passes what it must pass.

Method: a small tree that is clean, in a temporary folder; each case changes one file in two ways,
one that must be found, by its rule and line, and one that must not. Run by ctest as `tidy_test`.
"""

import contextlib
import io
import re
import sys
import tempfile
import unittest
from pathlib import Path

import tidy

# A tree in which every rule has something to look at.
CLEAN = {
    "CMakeLists.txt": "set(WEIR_MODULES\n  base os sqlite\n  http gateway app)\nNAME tidy COMMAND tools/tidy.py\n"
                      "NAME tidy_test COMMAND tidy_test.py\n",
    "src/base/CMakeLists.txt": "weir_module(base\n  HEADERS clock.h\n  SOURCES clock.cc\n  TESTS clock_test.cc)\n",
    "src/base/clock.h": "#pragma once\n\n// Threading: any thread.\nclass Clock {\n};\n",
    "src/base/clock.cc": '#include "base/clock.h"\n',
    "src/base/clock_test.cc": '#include "base/clock.h"\n',
    "src/base/internal/parts.h": "#pragma once\n",
    "src/os/CMakeLists.txt": "weir_module(os\n  HEADERS fd.h\n  DEPENDS base)\n",
    "src/os/fd.h": "#pragma once\n",
    "src/sqlite/CMakeLists.txt": "weir_module(sqlite\n  DEPENDS base os)\n",
    "src/http/CMakeLists.txt": "weir_module(http\n  SOURCES uri.cc\n  DEPENDS base\n  FUZZERS uri_fuzz.cc)\n",
    "src/http/uri.cc": '#include "base/clock.h"\n',
    "src/http/uri_fuzz.cc": "",
    "tests/corpus/http/uri_fuzz/one": "/",
    "src/gateway/CMakeLists.txt": "weir_module(gateway\n  SOURCES gateway.cc\n  DEPENDS base http\n  LINKS fmt::fmt)\n",
    "src/gateway/gateway.cc": '#include <vector>\n\n#include "base/clock.h"\n',
    "src/app/CMakeLists.txt": "weir_module(app\n  SOURCES main.cc\n  DEPENDS base os sqlite gateway)\n",
    "src/app/main.cc": "",
    "tests/CMakeLists.txt": "foreach(test hostile upstream)\n",
    "tests/e2e/hostile_test.py": "",
    "tests/e2e/upstream_test.py": "",
    "tools/tidy.py": "",
    "tools/tidy_test.py": "",
}

LIBRARY = "src/gateway/gateway.cc"

# token rule -> (what must be found, what must pass, where even the first must pass)
TOKENS = {
    "std::thread": ("std::thread worker;", "std::this_thread::yield();", "src/app/main.cc"),
    "std::jthread": ("std::jthread worker;", "my_jthread worker;", "src/app/main.cc"),
    "system_clock::now": ("auto t = std::chrono::system_clock::now();", "std::chrono::system_clock::time_point t;", "src/os/clock.cc"),
    "steady_clock::now": ("auto t = std::chrono::steady_clock::now();", "auto t = clock.monotonic();", "src/os/clock.cc"),
    "std::random_device": ("std::random_device device;", "base::Random random;", "src/os/random.cc"),
    "rand(": ("int x = rand();", "int x = operand(1);", "src/os/random.cc"),
    "getenv(": ('std::getenv("HOME");', "environment(1);", "src/app/main.cc"),
    "shared_ptr<": ("std::shared_ptr<Route> route;", "std::shared_ptr<const Route> route;", None),
    "throw": ("throw 1;", "rethrown = 1;", "src/app/main.cc"),
    "catch (": ("} catch (const Error&) {", "catch_all();", "src/cli/command_line.cc"),
    "co_await": ("co_await read();", "co_author();", None),
    "co_return": ("co_return;", "return;", None),
    "std::mutex": ("std::mutex mutex;", "base::Mutex mutex;", "src/base/rendezvous.h"),
    "std::shared_mutex": ("std::shared_mutex mutex;", "shared_mutex_count = 1;", "src/base/rendezvous.h"),
    "std::condition_variable": ("std::condition_variable ready;", "condition_variables = 1;", "src/base/rendezvous.h"),
    "sleep_for": ("std::this_thread::sleep_for(x);", "asleep_forever();", None),
    "sleep_until": ("std::this_thread::sleep_until(x);", "sleep_until_ready();", None),
    "std::regex": ("const std::regex pattern;", "const std::regex_constants x;", None),
    "strtol(": ("strtol(text, nullptr, 10);", "std::from_chars(a, b, n);", None),
    "std::stoi(": ("int n = std::stoi(text);", "history(1);", None),
    "atol(": ("std::atol(text);", "format_atoll = 1;", None),
    "localtime(": ("std::localtime(&t);", "localtime = 1;", None),
    "gmtime_r(": ("gmtime_r(&t, &parts);", "my_gmtime_r(&t);", None),
    "system(": ('system("ls");', "address.to_system(storage);", None),
    "popen(": ('popen("ls", "r");', "repopen(1);", None),
    "std::cout": ("std::cout << 1;", "std::count(a, b, 1);", None),
}


class TidyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = Path(folder.name)
        cls.write(CLEAN)

    @classmethod
    def write(cls, files):
        """path -> text, or None, which removes the file and the folders that it leaves empty."""
        for name, text in files.items():
            path = cls.root / name
            if text is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                continue
            path.unlink()
            while not any((path := path.parent).iterdir()):
                path.rmdir()

    def findings(self, changes):
        """(file, line, rule) of each finding in the clean tree with `changes` written into it."""
        self.write(changes)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = tidy.main(self.root)
        self.write({name: CLEAN.get(name) for name in changes})
        lines = output.getvalue().splitlines()
        self.assertEqual(status, 1 if lines else 0)
        return [(name, int(number), rule.strip())
                for name, number, rule, _ in (line.split(":", 3) for line in lines)]

    def check(self, found, passed, expected):
        self.assertEqual(self.findings(found), [expected])
        self.assertEqual(self.findings(passed), [])

    def test_the_clean_tree_is_clean(self):
        self.assertEqual(self.findings({}), [])

    def test_this_very_tree_is_read(self):
        # A checker that looks at nothing finds nothing.
        root = Path(tidy.__file__).parent.parent
        self.assertGreater(len(tidy.modules(root)), 10)

    def test_an_include_of_a_module_that_is_not_declared(self):
        clean = CLEAN[LIBRARY]
        self.check({LIBRARY: clean + '#include "os/fd.h"\n'}, {LIBRARY: clean + '#include "gateway/own.h"\n'},
                   (LIBRARY, 4, "layering"))

    def test_a_fake_of_a_module_that_is_not_linked(self):
        build = "src/base/CMakeLists.txt"
        linked = CLEAN[build].replace("  TESTS", "  TEST_LINKS weir_os_testing\n  TESTS")
        test = {"src/base/clock_test.cc": '#include "os/testing/fake_files.h"\n'}
        self.check(test, test | {build: linked}, ("src/base/clock_test.cc", 1, "layering"))

    def test_an_include_of_another_modules_internals(self):
        clean = CLEAN["src/base/clock.cc"]
        self.check({LIBRARY: '#include "base/internal/parts.h"\n'},
                   {"src/base/clock.cc": clean + '#include "base/internal/parts.h"\n'}, (LIBRARY, 1, "layering"))

    def test_a_module_that_reaches_what_it_must_not(self):
        build = "src/gateway/CMakeLists.txt"
        self.check({build: CLEAN[build].replace("DEPENDS base", "DEPENDS base sqlite")},
                   {build: CLEAN[build].replace("DEPENDS base", "DEPENDS base os")}, (build, 1, "layering"))

    def test_a_module_that_reaches_what_it_must_not_through_another(self):
        build = "src/http/CMakeLists.txt"
        found = self.findings({build: CLEAN[build].replace("DEPENDS base", "DEPENDS base sqlite")})
        self.assertEqual(sorted(found), [("src/gateway/CMakeLists.txt", 1, "layering"), (build, 1, "layering")])

    def test_a_folder_that_is_no_module(self):
        self.check({"src/extra/notes.txt": ""}, {"src/base/notes.txt": ""}, ("src/extra", 1, "layering"))

    def test_a_source_or_test_that_nobody_builds(self):
        for name in ("src/base/lock.cc", "src/base/lock_test.cc", "src/base/testing/fake.cc",
                     "src/base/ock.cc"):  # The last one is the end of a name that is listed.
            build = "src/base/CMakeLists.txt"
            with self.subTest(name):
                self.check({name: "", build: CLEAN[build] + "# clock.cc lock.ccc\n"},
                           {name: "", build: CLEAN[build] + f"# {name.removeprefix('src/base/')}\n"},
                           (name, 1, "unlisted"))

    def test_a_test_of_the_whole_that_nobody_builds(self):
        self.check({"tests/integration/node_test.cc": ""},
                   {"tests/integration/node_test.cc": "", "tests/integration/CMakeLists.txt": "node_test.cc"},
                   ("tests/integration/node_test.cc", 1, "unlisted"))

    def test_a_python_test_that_nobody_runs(self):
        for name, build in (("tests/e2e/drain_test.py", "tests/CMakeLists.txt"),
                            ("tools/run_test.py", "CMakeLists.txt")):
            with self.subTest(name):
                self.check({name: ""}, {name: "", build: CLEAN[build] + f"# {Path(name).stem}\n"},
                           (name, 1, "unlisted"))
        self.assertEqual(self.findings({"tests/e2e/harness.py": ""}), [])

    def test_a_public_header_that_nobody_compiles_alone(self):
        header = "#pragma once\n"
        self.check({"src/base/lock.h": header},
                   {"src/base/internal/lock.h": header, "src/base/testing/lock.h": header,
                    "src/base/lock_contract.h": header},
                   ("src/base/lock.h", 1, "unlisted"))

    def test_a_source_that_does_not_include_its_own_header_first(self):
        self.check({"src/base/clock.cc": '// Time.\n#include <ctime>\n#include "base/clock.h"\n'},
                   {"src/base/clock.cc": '// Time.\n#include "base/clock.h"\n#include <ctime>\n'},
                   ("src/base/clock.cc", 2, "own-header"))

    def test_a_fuzzer_without_a_corpus(self):
        self.check({"tests/corpus/http/uri_fuzz/one": None}, {"tests/corpus/http/uri_fuzz/two": "/"},
                   ("src/http/uri_fuzz.cc", 1, "unlisted"))

    def test_a_file_one_line_too_long(self):
        self.check({LIBRARY: "int x;\n" * (tidy.FILE_LINES_MAX + 1)}, {LIBRARY: "int x;\n" * tidy.FILE_LINES_MAX},
                   (LIBRARY, tidy.FILE_LINES_MAX, "length"))

    def test_a_todo_without_its_form(self):
        for bad in ("TODO: later", "TODO(me): later", "TODO(perf) later", "TODO(#x): later"):
            for good in ("TODO(perf): later", "TODO(cleanup): later", "TODO(test): later", "TODO(#12): later"):
                with self.subTest(bad=bad, good=good):
                    self.check({LIBRARY: f"\n// {bad}\n"}, {LIBRARY: f"\n// {good}\n"}, (LIBRARY, 2, "todo"))

    def test_a_nolint_without_its_check(self):
        for bad, good in (("// NOLINT", "// NOLINT(misc-no-recursion)"),
                          ("// NOLINT: why", "// NOLINT(misc-no-recursion): why"),
                          ("// NOLINTNEXTLINE", "// NOLINTNEXTLINE(misc-no-recursion)"),
                          ("// NOLINTBEGIN()", "// NOLINTBEGIN(misc-no-recursion)")):
            with self.subTest(bad):
                self.check({LIBRARY: f"int x; {bad}\n"}, {LIBRARY: f"int x; {good}\n"}, (LIBRARY, 1, "nolint"))

    def test_banned_tokens(self):
        for name, (bad, good, allowed) in TOKENS.items():
            with self.subTest(name):
                self.check({LIBRARY: f"\n{bad}\n"}, {LIBRARY: f"\n{good}\n"}, (LIBRARY, 2, "banned"))
                # Comments and tests may name it.
                self.assertEqual(self.findings({LIBRARY: f"// {bad}\n", "src/base/clock_test.cc": f"{bad}\n"}), [])
                if allowed:
                    found = self.findings({allowed: f"#pragma once\n{bad}\n"})
                    self.assertNotIn("banned", [rule for _, _, rule in found])

    def test_every_banned_token_has_a_case(self):
        for token in tidy.BANNED:
            self.assertTrue(any(re.search(token, bad) for bad, _, _ in TOKENS.values()), token)

    def test_a_token_behind_the_slashes_of_a_url_is_seen(self):
        self.assertEqual(self.findings({LIBRARY: 'f("http://x", std::stoi(y));\n'}), [(LIBRARY, 1, "banned")])

    def test_a_header_without_pragma_once(self):
        header = "src/os/fd.h"
        self.check({header: "// First.\n#pragma once\n"}, {header: "#pragma once\n// Second.\n"}, (header, 1, "doc"))

    def test_a_class_that_does_not_say_its_threading(self):
        header = "src/os/fd.h"
        for bad, good in (
                ("// Owns.\nclass Fd {\n", "// Threading: any thread.\nclass Fd {\n"),
                ("// Owns.\ntemplate <typename T>\nclass Fd {\n",
                 "// Threading: any thread.\ntemplate <typename T>\nclass Fd {\n"),
                ("class Fd final : public Base {\n", "class Fd;\n"),
                ("class Fd {\n", "struct Fd {\n"),
                ("class Fd {\n", "class Fd {\n public:\n  consteval Fd() {}\n")):
            with self.subTest(bad=bad, good=good):
                found = self.findings({header: f"#pragma once\n{bad}"})
                self.assertEqual([(name, rule) for name, _, rule in found], [(header, "doc")])
                self.assertEqual(self.findings({header: f"#pragma once\n{good}"}), [])

    def test_a_name_that_is_not_in_snake_case(self):
        build = "src/base/CMakeLists.txt"
        for name in ("Lock.cc", "spin-lock.cc", "lock.cpp.cc"):
            with self.subTest(name):
                self.check({f"src/base/{name}": "", build: CLEAN[build] + f"# {name}\n"},
                           {"src/base/spin_lock2.cc": "", build: CLEAN[build] + "# spin_lock2.cc\n"},
                           (f"src/base/{name}", 1, "name"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
