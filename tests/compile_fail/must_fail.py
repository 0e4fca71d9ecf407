#!/usr/bin/env python3
"""Compiles a file twice: it must compile, and with WEIR_MUST_FAIL defined it must not, with a message
that matches the regular expression on its first line ("// error: …"). The message matters: a file
that fails for another reason, such as a header that was renamed, would prove nothing.

Usage: must_fail.py FILE COMPILER [ARGUMENT …]
"""

import re
import subprocess
import sys


def main(file, *command):
    with open(file, encoding="utf-8") as source:
        wanted = re.fullmatch(r"// error: (.+)\n", source.readline())
    if not wanted:
        return f"{file}: the first line names no error"
    whole = subprocess.run([*command, file], capture_output=True, text=True, check=False)
    if whole.returncode != 0:
        return f"{file}: does not compile:\n{whole.stderr}"
    broken = subprocess.run([*command, "-DWEIR_MUST_FAIL", file], capture_output=True, text=True,
                            check=False)
    if broken.returncode == 0:
        return f"{file}: compiles with WEIR_MUST_FAIL"
    if not re.search(wanted.group(1), broken.stderr):
        return f"{file}: fails, but not with {wanted.group(1)!r}:\n{broken.stderr}"
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
