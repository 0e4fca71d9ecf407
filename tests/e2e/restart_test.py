"""Restarts and reloads under load: an operator does them, and no client can tell.

Goal: not one connection refused, reset or cut, every response complete, and every exchange in the
database once. Method: this process is the supervisor. Like systemd it holds the listening socket
and passes it on (LISTEN_FDS), and hears READY=1 and STOPPING=1 (NOTIFY_SOCKET). Clients of several
kinds run without a pause while Weir is replaced on the same socket and data directory, or reads its
configuration again. Paths are unique, so that each row can be told from the others.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import Client, Ended, Upstream, wait_for

import control  # On the path that the harness adds.

PATIENCE = 60.0  # A start with sanitizers on a busy machine takes its time.
RESTARTS = 3
RELOADS = 8
REST_S = 0.4  # A server that is about to end leaves a connection at rest alone for 0.5 s.

CONFIG = """
[server]
workers = 2
[listen]
traffic = ["fd:web"]
admin = "127.0.0.1:0"
[stats]
collect = "all"
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]
response_headers = {{ set = {{ "X-Version" = "{version}" }} }}
"""


class Supervisor:
    """What systemd does for a service with a socket unit and Type=notify."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.dir = tempfile.mkdtemp(prefix="weir-restart-")
        self.config = os.path.join(self.dir, "weir.toml")
        self.data = os.path.join(self.dir, "data")
        self.log = os.path.join(self.dir, "log")
        self.process = None
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1024)
        self.address = self.listener.getsockname()
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(os.path.join(self.dir, "notify"))
        self.notices.settimeout(PATIENCE)

    def configure(self, version):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(upstream=self.upstream.url, version=version))

    def start(self):
        """Starts Weir and waits until it says that it is ready."""
        # LISTEN_PID is the process that becomes Weir: only the shell in between knows its number.
        script = 'export LISTEN_PID=$$; exec "$0" "$@" 3<&0 </dev/null'
        environment = dict(os.environ, LISTEN_FDS="1", LISTEN_FDNAMES="web",
                           NOTIFY_SOCKET=self.notices.getsockname(),
                           ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS="print_stacktrace=1")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", script, harness.WEIR, "serve", "--config", self.config,
                 "--data", self.data],
                stdin=self.listener, stdout=log, stderr=subprocess.STDOUT, env=environment)
        self.expect("READY=1")

    def stop(self):
        """Ends Weir gracefully; its exit code must be clean."""
        self.process.send_signal(signal.SIGTERM)
        self.expect("STOPPING=1")
        code = self.process.wait(PATIENCE)
        if code != 0:
            raise AssertionError(f"weir ended with {code}:\n{self.output()}")

    def expect(self, notice):
        try:
            said = self.notices.recv(256).decode()
        except TimeoutError as error:
            raise AssertionError(f"no {notice}:\n{self.output()}") from error
        if said != notice:
            raise AssertionError(f"{said} instead of {notice}:\n{self.output()}")

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()[-8000:]

    def recorded(self):
        """{path: number of rows}, from the data directory of a Weir that has ended."""
        result = subprocess.run(
            [harness.WEIR, "sql", "--json", "--data", self.data,
             "SELECT raw_path AS path, COUNT(*) AS times FROM exchanges GROUP BY raw_path"],
            text=True, capture_output=True, timeout=PATIENCE, check=True)
        return {row["path"]: row["times"] for row in json.loads(result.stdout)}

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.listener.close()
        self.notices.close()
        output = self.output()
        shutil.rmtree(self.dir, ignore_errors=True)
        if "Sanitizer" in output or "runtime error" in output:
            raise AssertionError(f"weir complained:\n{output}")


class Load:
    """Clients that ask one thing after the other until they are stopped, each on a thread."""

    def __init__(self, address, upstream):
        self.address = address
        self.upstream = upstream
        self.lock = threading.Lock()
        self.completed = []  # Paths whose response came complete.
        self.connections = {}  # Client name -> connections made.
        self.problems = []
        self.stopping = threading.Event()
        self.threads = []

    def start(self, name, ask, keep):
        self.connections[name] = 0
        thread = threading.Thread(target=self._run, args=(name, ask, keep), daemon=True)
        self.threads.append(thread)
        thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(PATIENCE)
            if thread.is_alive():
                self.problems.append("a client never came to its end")

    def count(self):
        with self.lock:
            return len(self.completed)

    def _run(self, name, ask, keep):
        client, number = None, 0
        while not self.stopping.is_set():
            number += 1
            path = f"/{name}/n{number}"
            began = time.monotonic()
            try:
                if client is None:
                    client = Client(self.address)
                    client.sock.settimeout(PATIENCE)
                    self.connections[name] += 1
                    rested_since = began
                received = client.received
                close = ask(client, path, keep)
            except (Ended, OSError, ValueError) as error:
                if client and isinstance(error, (Ended, ConnectionError)) and \
                        client.received == received and time.monotonic() - rested_since > REST_S:
                    # This thread was held up, and came too late for a connection at rest. Had the
                    # server taken the request, the books would differ.
                    client.close()
                    client = None
                    continue
                self.problems.append(f"{path}, request {number}: {error!r}")
                return
            rested_since = began  # Or later: a thread may be held up while it reads.
            with self.lock:
                self.completed.append(path)
            if close:
                if not client.at_end():
                    self.problems.append(f"{path}: bytes after the last response")
                client.close()
                client = None
        if client is not None:
            client.close()

    # The kinds of exchanges. Each returns whether the connection ends with it.

    @staticmethod
    def _check(response, path, body):
        if response.status != 200 or body not in response.body:
            raise ValueError(f"{path}: {response.status} {response.body[:200]}")
        return response.get("connection") == "close"

    def get(self, client, path, keep):
        client.get(path, *([] if keep else ["Connection: close"]))
        return self._check(client.response(), path, path.encode())

    def post(self, client, path, keep):
        body = path.encode() * 20000  # More than one read takes, so it is in flight for a while.
        client.post(path, body, *([] if keep else ["Connection: close"]))
        return self._check(client.response(), path, b'"bytes": %d' % len(body))

    def stream(self, client, path, keep):
        """Its response is under way for longer than a connection at rest is left alone."""
        @self.upstream.on(path)
        def slow(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(7):
                wire.send(b"5\r\nhello\r\n")
                time.sleep(0.1)
            wire.send(b"0\r\n\r\n")
        client.get(path, *([] if keep else ["Connection: close"]))
        return self._check(client.response(), path, b"hello" * 7)


class RestartTest(unittest.TestCase):
    def setUp(self):
        self.upstream = Upstream()
        self.addCleanup(self.upstream.close)
        self.supervisor = Supervisor(self.upstream)
        self.addCleanup(self.supervisor.close)
        self.supervisor.configure(version=1)
        self.supervisor.start()
        self.load = Load(self.supervisor.address, self.upstream)
        self.addCleanup(self.load.stop)
        for kind in (self.load.get, self.load.post, self.load.stream):
            for i in range(2):
                self.load.start(f"{kind.__name__}-fresh{i}", kind, keep=False)
                self.load.start(f"{kind.__name__}-kept{i}", kind, keep=True)

    def wait_for_responses(self, count):
        """Waits until `count` more responses have come."""
        wanted = self.load.count() + count
        wait_for(lambda: self.load.count() >= wanted or self.load.problems, "responses", PATIENCE)
        self.assertEqual(self.load.problems, [], self.supervisor.output())

    def ask(self, path, client=None):
        """One exchange of the test's own, counted with the load's."""
        with client or Client(self.supervisor.address) as wire:
            wire.sock.settimeout(PATIENCE)
            response = wire.ask(path)
        with self.load.lock:
            self.load.completed.append(path)
        return response

    def check_books(self):
        """Ends everything. Each request got its response, and each has one row."""
        self.load.stop()
        self.assertEqual(self.load.problems, [], self.supervisor.output())
        self.supervisor.stop()
        self.assertEqual(self.supervisor.recorded(), {path: 1 for path in self.load.completed})

    def test_a_restart_under_load_refuses_resets_and_forgets_nothing(self):
        for restart in range(RESTARTS):
            self.wait_for_responses(100)
            self.supervisor.stop()
            # Nobody accepts, and still nobody is refused: the socket is the supervisor's.
            waiting = Client(self.supervisor.address)
            self.supervisor.start()
            self.assertEqual(self.ask(f"/waited/n{restart}", waiting).status, 200)
        self.wait_for_responses(100)
        self.check_books()

    def test_a_reload_under_load_drops_no_connection_and_holds_for_the_next_request(self):
        for version in range(2, RELOADS + 2):
            self.wait_for_responses(20)
            self.supervisor.configure(version)
            self.supervisor.process.send_signal(signal.SIGHUP)
            wait_for(lambda: f"version {version} is in force" in self.supervisor.output(),
                     "the reload", PATIENCE)
            if harness.STALLED in self.supervisor.output():
                wait_for(lambda: control.loops_answer(self.supervisor.data), "every loop answers")
            self.assertEqual(self.ask(f"/asked/n{version}").get("x-version"), str(version))
        self.wait_for_responses(20)
        self.check_books()
        kept = {name: made for name, made in self.load.connections.items() if "kept" in name}
        self.assertEqual(kept, {name: 1 for name in kept})


if __name__ == "__main__":
    unittest.main()
