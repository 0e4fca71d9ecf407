"""What the end-to-end tests stand on: the real binary, upstreams that do whatever a test says, and
clients that send exactly the bytes a test says. Standard library only.

Nothing here sleeps for a fixed time: everything waits for a condition, with a limit. The limits are
wide, because the machine may have other work to do.
"""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import control
from ports import free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# AddressSanitizer keeps what was freed, 256 MiB of it by default: tests that measure memory ask for
# less. What the recording itself comes to hold (ring, page cache) is some 20 MiB.
SMALL_QUARANTINE = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:quarantine_size_mb=4"}
GROWN_BYTES_MAX = 48 << 20

WEIR = os.environ.get("WEIR", os.path.join(ROOT, "build", "dev", "weir"))
PATIENCE = 30.0  # Seconds until a wait has failed.
END_PATIENCE = 90.0  # Seconds for an end: what is under way, the last writes, the search for leaks.
STALLED = " is stalled and will take it up later"  # A loop, and a change; in the log.


def raise_descriptor_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def wait_for(condition, what, patience=PATIENCE):
    """Returns the first true value of condition(), asked every few milliseconds."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s in vain: {what}")
        time.sleep(0.005)


def reset(sock):
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Ended(Exception):
    """The other side closed the connection (b"" so far) or reset it."""


class Wire:
    """A connected socket with a read buffer. Both sides use it."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.buffer = b""
        self.received = 0  # Bytes.

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionError as error:
            raise Ended(str(error)) from error
        if not data:
            raise Ended("end of stream")
        self.buffer += data
        self.received += len(data)

    def read_until(self, mark):
        while mark not in self.buffer:
            self.fill()
        at = self.buffer.index(mark) + len(mark)
        taken, self.buffer = self.buffer[:at], self.buffer[at:]
        return taken

    def read_exactly(self, count):
        pieces, have = [self.buffer], len(self.buffer)
        while have < count:
            try:
                data = self.sock.recv(262144)
            except ConnectionError as error:
                raise Ended(str(error)) from error
            if not data:
                raise Ended(f"end of stream after {have} of {count} bytes")
            pieces.append(data)
            have += len(data)
            self.received += len(data)
        whole = b"".join(pieces)
        self.buffer = whole[count:]
        return whole[:count]

    def read_to_end(self):
        """All bytes until the end; raises Ended on a reset."""
        with contextlib.suppress(Ended):
            while True:
                self.fill()
        taken, self.buffer = self.buffer, b""
        return taken

    def read_chunked(self):
        """Returns (body, trailers)."""
        body = b""
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            body += self.read_exactly(size)
            assert self.read_exactly(2) == b"\r\n"
        trailers = []
        while True:
            line = self.read_until(b"\r\n")
            if line == b"\r\n":
                return body, trailers
            name, value = line[:-2].split(b":", 1)
            trailers.append((name.decode().lower(), value.strip().decode("latin-1")))

    def at_end(self):
        """True when the peer closed or reset, False when bytes came. Waits."""
        if self.buffer:
            return False
        try:
            self.fill()
        except Ended:
            return True
        return False

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Message:
    def __init__(self, head):
        self.head = head
        lines = head.decode("latin-1").split("\r\n")
        self.first = lines[0]
        self.fields = []
        for line in lines[1:]:
            if line:
                name, value = line.split(":", 1)
                self.fields.append((name.lower(), value.strip()))
        self.body = b""
        self.trailers = []

    def all(self, name):
        return [value for key, value in self.fields if key == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default


class Request(Message):
    @property
    def method(self):
        return self.first.split(" ")[0]

    @property
    def target(self):
        return self.first.split(" ")[1]

    @property
    def path(self):
        return self.target.split("?")[0]


class Response(Message):
    @property
    def status(self):
        return int(self.first.split(" ")[1])

    @property
    def json(self):
        return json.loads(self.body)


class Client(Wire):
    """A client's connection to Weir."""

    def __init__(self, address, source=None):
        if isinstance(address, str):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.connect(address)
        else:
            sock = socket.create_connection(address, PATIENCE, source_address=source)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock)

    def get(self, target, *fields, method="GET", host="test"):
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def post(self, target, body, *fields, method="POST"):
        self.get(target, f"Content-Length: {len(body)}", *fields, method=method)
        self.send(body)

    def response(self, method="GET", interim=None):
        """Reads one response; 1xx heads go to the list `interim`."""
        while True:
            response = Response(self.read_until(b"\r\n\r\n"))
            if response.status >= 200 or response.status == 101:
                break
            if interim is not None:
                interim.append(response)
        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        if response.get("transfer-encoding") == "chunked":
            response.body, response.trailers = self.read_chunked()
        elif response.get("content-length") is not None:
            response.body = self.read_exactly(int(response.get("content-length")))
        else:
            response.body = self.read_to_end()
        return response

    def ask(self, target, *fields, method="GET", host="test"):
        self.get(target, *fields, method=method, host=host)
        return self.response(method)


class UpstreamWire(Wire):
    """An upstream's end of one connection."""

    def read_head(self):
        return Request(self.read_until(b"\r\n\r\n"))

    def read_body(self, request):
        if request.get("transfer-encoding") == "chunked":
            request.body, request.trailers = self.read_chunked()
        else:
            request.body = self.read_exactly(int(request.get("content-length", "0")))
        return request

    def read_request(self):
        return self.read_body(self.read_head())

    def answer(self, body=b"", status="200 OK", fields=()):
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
        self.send(("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body)


def describe(request):
    """The default answer: what the upstream saw."""
    return json.dumps({
        "method": request.method,
        "target": request.target,
        "fields": request.fields,
        "trailers": request.trailers,
        "body": request.body.decode("latin-1") if len(request.body) < 65536 else "",
        "bytes": len(request.body),
    }).encode()


class Upstream:
    """A server on a port of its own; each connection is served by a thread.

    `handlers[path](wire, request_head)` decides what happens to a request for that path; without
    one the answer is describe(). A handler may do anything to the wire; when it returns the
    connection serves its next request, unless it closed the wire.
    """

    def __init__(self, family=socket.AF_INET, path=None):
        self.handlers = {}
        self.requests = []  # Heads, in order of arrival.
        self.raw = bytearray()  # Every byte that came, in order of arrival.
        self.accepted = 0
        self.ended = 0  # Connections whose client side ended.
        self.open = 0
        self.open_max = 0
        self.lock = threading.Lock()
        self.on_accept = None  # on_accept(sock) -> False: closes the connection.
        if path:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(path)
            self.url = f"http+unix:{path}"
        else:
            self.listener = socket.socket(family, socket.SOCK_STREAM)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
            self.port = self.listener.getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}" if family == socket.AF_INET \
                else f"http://[::1]:{self.port}"
        self.listener.listen(1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def on(self, path):
        def register(handler):
            self.handlers[path] = handler
            return handler
        return register

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.accepted += 1
                self.open += 1
                self.open_max = max(self.open_max, self.open)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        wire = UpstreamWire(sock)
        try:
            if self.on_accept and self.on_accept(sock) is False:
                return
            while sock.fileno() >= 0:
                wire.sock.settimeout(60)
                head = wire.read_head()
                with self.lock:
                    self.requests.append(head)
                    self.raw += head.head
                handler = self.handlers.get(head.path)
                if handler:
                    handler(wire, head)
                else:
                    request = wire.read_body(head)
                    wire.answer(describe(request), fields=["Content-Type: application/json"])
        except (Ended, OSError, TimeoutError):
            pass
        finally:
            sock.close()
            with self.lock:
                self.ended += 1
                self.open -= 1

    def seen(self, path):
        with self.lock:
            return [request for request in self.requests if request.path == path]

    def close(self):
        self.listener.close()


def run_weir(*arguments, stdin=""):
    """(exit code, standard output, standard error) of a command; output as text."""
    done = subprocess.run([WEIR, *arguments], input=stdin, text=True, capture_output=True,
                          timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


class Weir:
    """The real binary with a configuration of its own. `{traffic}` in `config` becomes a free
    address, also in `self.address`."""

    def __init__(self, config, env=None):
        self.dir = tempfile.mkdtemp(prefix="weir-e2e-")
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.config = os.path.join(self.dir, "weir.toml")
        self.write(config)
        self.log = open(os.path.join(self.dir, "log"), "wb")
        self.environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
                            "UBSAN_OPTIONS": "print_stacktrace=1", **(env or {})}
        self._start()

    def _start(self):
        self.process = subprocess.Popen(
            [WEIR, "serve", "--config", self.config, "--data", self.data],
            stdout=self.log, stderr=subprocess.STDOUT, env=self.environment)
        wait_for(lambda: self._accepts() and self.status(), "weir accepts and answers commands", 60)

    def start_again(self, signal_number):
        """Ends the process with the signal, and starts it on the same data."""
        self.process.send_signal(signal_number)
        self.process.wait(END_PATIENCE)
        self._start()

    def reload(self, config=None):
        """Has it read its configuration again, `config` if given, and waits until it is in force."""
        if config is not None:
            self.write(config)
        before = self._reloads()
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self._reloads() > before, "the reload")
        if STALLED in self.output():
            self.wait_for_loops()

    def _reloads(self):
        return len(re.findall(r"version \d+ is in force", self.output()))

    def wait_for_loops(self):
        wait_for(lambda: control.loops_answer(self.data), "every loop answers")

    def wait_for_database(self):
        """It is opened after the start, by the consumer of events."""
        wait_for(lambda: (self.status() or {}).get("traffic"), "the database is open")

    def write(self, config):
        text = config.replace("{traffic}", f"127.0.0.1:{self.port}").replace("{dir}", self.dir)
        if "[listen]" not in text:
            text = f'[listen]\ntraffic = ["127.0.0.1:{self.port}"]\nadmin = "127.0.0.1:0"\n' + text
        if "workers" not in text:
            text = '[server]\nworkers = 1\ndrain_timeout = "2s"\n' + text
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text)

    def _accepts(self):
        if self.process.poll() is not None:
            raise AssertionError("weir ended at once:\n" + self.output())
        try:
            socket.create_connection(self.address, 1).close()
            return True
        except OSError:
            return False

    def output(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def client(self, **options):
        return Client(self.address, **options)

    def alive(self):
        return self.process.poll() is None

    @property
    def data(self):
        return os.path.join(self.dir, "data")

    def run(self, *arguments, stdin=""):
        """A command of the same binary on this data directory."""
        return run_weir(*arguments, "--data", self.data, stdin=stdin)

    def status(self):
        return control.status(self.data)

    def sql(self, statement):
        """The rows; none where it fails, as it does before the database is there."""
        code, out, _ = self.run("sql", "--json", statement)
        return json.loads(out) if code == 0 else []

    def end(self):
        """Ends it gracefully and leaves its directory for a look, until stop()."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(END_PATIENCE)

    def stop(self):
        """Ends it gracefully; its exit code and what the sanitizers say must be clean."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(END_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = "did not end on SIGTERM"
        output = self.output()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        if code != 0 or "Sanitizer" in output or "runtime error" in output:
            raise AssertionError(f"weir ended with {code}:\n{output[-8000:]}")


class WeirTest(unittest.TestCase):
    """One Weir and one Upstream for all tests of a class. CONFIG may use {upstream}, {dir}."""

    CONFIG = ""
    ENV = {}

    @classmethod
    def setUpClass(cls):
        cls.upstream = Upstream()
        config = cls.CONFIG.replace("{upstream}", cls.upstream.url)
        cls.weir = Weir(config, cls.ENV)

    @classmethod
    def tearDownClass(cls):
        cls.upstream.close()
        cls.weir.stop()

    def client(self, **options):
        client = self.weir.client(**options)
        self.addCleanup(client.close)
        return client

    def ask(self, target, *fields, **options):
        with self.weir.client() as client:
            return client.ask(target, *fields, **options)

    def tearDown(self):
        self.assertTrue(self.weir.alive(), "weir died:\n" + self.weir.output()[-8000:])
