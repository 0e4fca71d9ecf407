"""Ports for servers under test.

A port from the kernel's own range, asked for and given back, may be taken by any outgoing connection
or any other test before the server binds it, or while it restarts; and a port that nobody should
answer on may get somebody. These come from below that range, and a lock file keeps every other
process of these tests away from a port as long as the process that asked for it lives.
"""

import errno
import fcntl
import os
import random
import socket
import tempfile

_FOLDER = os.path.join(tempfile.gettempdir(), f"weir-test-ports-{os.getuid()}")
_FIRST = 10_000
_locks = []  # Open as long as this process lives.


def _first_ephemeral():
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        return int(file.read().split()[0])


def _lock(port):
    lock = open(os.path.join(_FOLDER, str(port)), "w", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _unused(port):
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:  # Any other: a machine without IPv6.
                    return False
    return True


def free_port():
    """A TCP port that nobody uses, of IPv4 and IPv6, and that no other test will use."""
    os.makedirs(_FOLDER, exist_ok=True)
    for port in random.sample(range(_FIRST, _first_ephemeral()), 1000):
        lock = _lock(port)
        if lock is None:
            continue
        if _unused(port):
            _locks.append(lock)
            return port
        lock.close()
    raise AssertionError("no free port")
