"""What the exactness tests stand on: the real binary on a data directory that outlives it, an
upstream that answers in every shape HTTP knows, and clients that note which responses they received
complete. Standard library only; everything is on loopback and in a temporary directory.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import control
from ports import free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.environ.get("WEIR", os.path.join(ROOT, "build", "dev", "weir"))
PATIENCE = 30.0  # Seconds until a wait has failed.


def fast_binary():
    """The release build where there is one of these very sources, else the build under test."""
    release = os.path.join(ROOT, "build", "release", "weir")
    if not os.path.exists(release):
        return WEIR
    newest = max(os.stat(os.path.join(folder, name)).st_mtime
                 for folder, _, names in os.walk(os.path.join(ROOT, "src")) for name in names)
    return release if os.stat(release).st_mtime > newest else WEIR


def wait_for(condition, what, patience=PATIENCE):
    """Returns the first true value of condition(), asked every few milliseconds."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s in vain: {what() if callable(what) else what}")
        time.sleep(0.005)


class Node:
    """One data directory and one port, and the processes that serve them one after the other."""

    def __init__(self, routes, binary=WEIR, workers=1, stats='collect = "all"', journal=""):
        self.binary = binary
        self.dir = tempfile.mkdtemp(prefix="weir-exact-")
        self.data = os.path.join(self.dir, "data")
        self.port = free_port()
        self.process = None
        self.config = os.path.join(self.dir, "weir.toml")
        self.log = os.path.join(self.dir, "log")
        text = [f"[server]\nworkers = {workers}\ndrain_timeout = \"2s\"",
                f'[listen]\ntraffic = ["127.0.0.1:{self.port}"]\nadmin = "127.0.0.1:0"',
                f'[journal]\n{journal or RING_SMALL}', f"[stats]\n{stats}"]
        for name, pattern, upstream, more in routes:
            text.append(f'[[routes]]\nid = "{name}"\npattern = "{pattern}"\n'
                        f'upstreams = ["{upstream}"]\n{more}')
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("\n".join(text).replace("{dir}", self.dir) + "\n")

    def add_configuration(self, text):
        """Before the next start."""
        with open(self.config, "a", encoding="utf-8") as file:
            file.write(text)

    def start(self, fault=None):
        assert not self.alive(), "the last one still runs"
        environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
        environment.pop("WEIR_FAULT", None)
        if fault:
            environment["WEIR_FAULT"] = fault
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--config", self.config, "--data", self.data],
                stdout=log, stderr=subprocess.STDOUT, env=environment)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def wait_ready(self):
        """True when it accepts and answers commands, False when it ended before."""
        def ready():
            if not self.alive():
                return "ended"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                return None
            return "ready" if self.status() else None
        return wait_for(ready, lambda: "weir accepts and answers\n" + self.output()) == "ready"

    def start_and_wait(self):
        self.start()
        if not self.wait_ready():
            raise AssertionError("weir did not start:\n" + self.output())

    def kill(self):
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def killed(self, patience=0.0):
        """True when it ended by SIGKILL; any other end is an error."""
        try:
            code = self.process.wait(patience) if patience else self.process.poll()
        except subprocess.TimeoutExpired:
            return False
        if code is None:
            return False
        if code != -signal.SIGKILL:
            raise AssertionError(f"weir ended with {code}:\n{self.output()}")
        return True

    def stop(self):
        """Ends it gracefully; its exit code and what the sanitizers say must be clean."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            code = "no end on SIGTERM"
        if code != 0:
            raise AssertionError(f"weir ended with {code}:\n{self.output()}")

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()[-6000:]

    def status(self):
        """Its status; None while it does not answer. Asked as `weir status --json` asks, without a
        process for each look: most tests look until something has happened."""
        return control.status(self.data)

    def wait_for_loops(self):
        """Returns when every loop has done what came to it before, or the process has ended."""
        wait_for(lambda: control.loops_answer(self.data) or not self.alive(), "every loop answers")

    def alarms(self):
        status = self.status()
        return {alarm["name"]: alarm["text"] for alarm in status["alarms"]} if status else {}

    def run(self, *arguments):
        return subprocess.run([self.binary, *arguments, "--data", self.data], text=True,
                              capture_output=True, timeout=120, check=False)

    def sql(self, statement):
        result = self.run("sql", "--json", statement)
        if result.returncode != 0:
            raise AssertionError(f"weir sql {statement!r}: {result.stderr}\n{self.output()}")
        return json.loads(result.stdout)

    def value(self, statement):
        return next(iter(self.sql(statement)[0].values()))

    def drain(self, patience=120):
        """Waits until everything recorded so far is in the database. The status is as of the last
        step of the storage thread, so several looks, more than one step apart, must agree."""
        quiet = 0
        end = time.monotonic() + patience
        while quiet < 3:
            status = self.status()
            idle = status and status["journal"]["backlog_records"] == 0 \
                and not status["journal"]["recovering"]
            quiet = quiet + 1 if idle else 0
            if time.monotonic() > end or not self.alive():
                raise AssertionError(f"not drained: {status}\n{self.output()}")
            time.sleep(0.08)
        return status

    def remove(self):
        if self.process is not None:
            self.kill()
        output = self.output() if os.path.exists(self.log) else ""
        shutil.rmtree(self.dir, ignore_errors=True)
        complaint = re.search(r".*(Sanitizer|runtime error|assertion failed).*", output)
        if complaint:
            raise AssertionError(f"weir complained: {output}")


RING_SMALL = 'ring_bytes = "1MiB"\nsegment_bytes = "1MiB"'


class Ended(Exception):
    """The other side ended the connection too early."""


class Wire:
    """A connected socket with a read buffer. Both sides use it."""

    def __init__(self, sock):
        sock.settimeout(PATIENCE)
        self.sock = sock
        self.buffer = b""

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Ended(str(error)) from error

    def fill(self):
        try:
            data = self.sock.recv(262144)
        except TimeoutError:
            raise
        except OSError as error:
            raise Ended(str(error)) from error
        if not data:
            raise Ended("end of stream")
        self.buffer += data

    def read_until(self, mark):
        while mark not in self.buffer:
            self.fill()
        at = self.buffer.index(mark) + len(mark)
        taken, self.buffer = self.buffer[:at], self.buffer[at:]
        return taken

    def read_exactly(self, count):
        while len(self.buffer) < count:
            self.fill()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def read_chunked(self):
        body = b""
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            body += self.read_exactly(size)
            self.read_exactly(2)
        while self.read_until(b"\r\n") != b"\r\n":
            pass
        return body

    def read_to_end(self):
        """A reset is an error, an end is not."""
        while True:
            try:
                data = self.sock.recv(262144)
            except ConnectionError as error:
                raise Ended(str(error)) from error
            if not data:
                taken, self.buffer = self.buffer, b""
                return taken
            self.buffer += data

    def read_head(self):
        """(first line, {lower-case name: value})"""
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return lines[0], fields

    def read_response(self, method="GET"):
        """(status, body), without interim responses."""
        while True:
            first, fields = self.read_head()
            status = int(first.split(" ")[1])
            if status >= 200 or status == 101:
                break
        if method == "HEAD" or status in (101, 204, 304):
            return status, b""
        if fields.get("transfer-encoding") == "chunked":
            return status, self.read_chunked()
        if "content-length" in fields:
            return status, self.read_exactly(int(fields["content-length"]))
        return status, self.read_to_end()

    def close(self):
        self.sock.close()


BIG = b"0123456789abcdef" * 65536  # 1 MiB


class Upstream:
    """Answers as the second segment of the path says: /x/chunked/… is answered chunked."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(256)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(Wire(sock),), daemon=True).start()

    def _serve(self, wire):
        try:
            going = True
            while going:
                first, fields = wire.read_head()
                method, target, _ = first.split(" ")
                if fields.get("expect") == "100-continue":
                    wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                if fields.get("transfer-encoding") == "chunked":
                    wire.read_chunked()
                else:
                    wire.read_exactly(int(fields.get("content-length", 0)))
                going = self._answer(wire, method, target.split("/")[2])
        except (Ended, OSError, TimeoutError):
            pass
        finally:
            wire.close()

    @staticmethod
    def _answer(wire, method, kind):
        def plain(body, status="200 OK"):
            wire.send(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(body)) +
                      (body if method != "HEAD" else b""))
            return True

        if kind == "big":
            return plain(BIG)
        if kind == "missing":
            return plain(b"not here", "404 Not Found")
        if kind == "failing":
            return plain(b"broken", "500 Internal Server Error")
        if kind in ("chunked", "bigchunked"):
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(16 if kind == "bigchunked" else 2):
                wire.send(b"10000\r\n" + BIG[:65536] + b"\r\n")
            wire.send(b"0\r\n\r\n")
        elif kind == "close":
            wire.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BIG[:1000])
            return False
        elif kind == "empty":
            wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif kind == "fresh":
            wire.send(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n")
        elif kind == "interim":
            wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            return plain(b"hints")
        elif kind == "slow":  # Half of a body; the rest never comes.
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + BIG[:500])
            wire.fill()  # Until the other side gives up.
            return False
        elif kind == "cut":
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + BIG[:500])
            return False
        elif kind == "tunnel":
            wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                      b"Upgrade: websocket\r\n\r\n")
            while True:
                wire.fill()
                wire.send(wire.buffer)
                wire.buffer = b""
        else:
            return plain(b"hello")
        return True
