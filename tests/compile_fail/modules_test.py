#!/usr/bin/env python3
"""The rules of modules that the build checks: cmake/weir_module.cmake refuses a module that depends
on a higher one, and compiles every public header alone.

Usage: modules_test.py CMAKE COMPILER
"""

import os
import subprocess
import sys
import tempfile
import unittest

CMAKE, COMPILER = sys.argv[1:3]
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "modules")


class ModulesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = folder.name

    def configure(self, broken=""):
        return self.run_cmake("-S", SOURCE, "-B", self.build, "-G", "Ninja", f"-DBREAK={broken}",
                              f"-DCMAKE_CXX_COMPILER={COMPILER}")

    def compile_headers(self):
        return self.run_cmake("--build", self.build, "--target", "all_verify_interface_header_sets")

    @staticmethod
    def run_cmake(*arguments):
        done = subprocess.run([CMAKE, *arguments], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_a_header_that_is_not_self_contained_does_not_build(self):
        status, output = self.configure()
        self.assertEqual(status, 0, output)
        status, output = self.compile_headers()
        self.assertEqual(status, 0, output)
        status, output = self.configure("header")
        self.assertEqual(status, 0, output)
        status, output = self.compile_headers()
        self.assertNotEqual(status, 0)
        self.assertRegex(output, r"low\.h.*error: .*string")

    def test_a_module_that_depends_on_a_higher_one_is_refused(self):
        status, output = self.configure("upward")
        self.assertNotEqual(status, 0)
        self.assertRegex(" ".join(output.split()), "'high' is not a lower module")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
