"""Exchanges of every kind, as a script: each is sent once, on a path of its own, and noted when its
response was received complete.
"""

import socket
import struct

from harness import BIG, Ended, Wire

PIPELINED = 16


class Ledger:
    """What clients sent and what they received complete, by path."""

    def __init__(self):
        self.sent = set()
        self.complete = set()
        self.epoch = 0
        self.number = 0

    def path(self, kind, prefix="/x"):
        self.number += 1
        path = f"{prefix}/{kind}/e{self.epoch}-{self.number}"
        assert path not in self.sent
        self.sent.add(path)
        return path


def request(method, path, *fields, version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", "Host: test", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Script:
    """Runs every kind once against a port. A dead server ends it early."""

    def __init__(self, port, ledger):
        self.port = port
        self.ledger = ledger

    def run(self):
        """True when every exchange came to its end."""
        try:
            for step in (self.on_one_connection, self.pipelined, self.http_1_0, self.upload,
                         self.tunnel, self.aborted_by_client, self.aborted_by_upstream,
                         self.malformed):
                wire = self.connect()
                try:
                    step(wire)
                finally:
                    wire.close()
        except Ended:
            return False
        return True

    def connect(self):
        try:
            sock = socket.create_connection(("127.0.0.1", self.port), 5)
        except OSError as error:
            raise Ended(str(error)) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Wire(sock)

    def ask(self, wire, kind, expected, method="GET", prefix="/x"):
        path = self.ledger.path(kind, prefix)
        wire.send(request(method, path))
        status, body = wire.read_response(method)
        self.ledger.complete.add(path)
        assert status == expected, f"{path}: {status}, not {expected}"
        return body

    def on_one_connection(self, wire):
        assert self.ask(wire, "length", 200) == b"hello"
        assert self.ask(wire, "chunked", 200) == BIG[:131072]
        assert self.ask(wire, "close", 200) == BIG[:1000]
        self.ask(wire, "length", 200, method="HEAD")
        self.ask(wire, "empty", 204)
        self.ask(wire, "fresh", 304)
        self.ask(wire, "interim", 200)
        self.ask(wire, "missing", 404)
        self.ask(wire, "failing", 500)
        self.ask(wire, "nothing", 404, prefix="/unrouted")
        self.ask(wire, "nothing", 502, prefix="/dead")
        assert self.ask(wire, "big", 200) == BIG
        assert self.ask(wire, "bigchunked", 200) == BIG

    def pipelined(self, wire):
        kinds = ["length", "chunked", "empty", "missing"] * (PIPELINED // 4)
        paths = [self.ledger.path(kind) for kind in kinds]
        wire.send(b"".join(request("GET", path) for path in paths))
        for path in paths:
            wire.read_response()
            self.ledger.complete.add(path)

    def http_1_0(self, wire):
        path = self.ledger.path("length")
        wire.send(request("GET", path, "Connection: keep-alive", version="1.0"))
        wire.read_response()
        self.ledger.complete.add(path)
        path = self.ledger.path("chunked")
        wire.send(request("GET", path, version="1.0"))
        wire.read_head()
        # From here on an end of the stream is all that ends the response, whoever makes it.
        self.ledger.complete.add(path)
        wire.read_to_end()

    def upload(self, wire):
        path = self.ledger.path("length")
        wire.send(request("POST", path, f"Content-Length: {len(BIG)}", "Expect: 100-continue"))
        wire.send(BIG)
        wire.read_response()
        self.ledger.complete.add(path)

    def tunnel(self, wire):
        path = self.ledger.path("tunnel")
        wire.send(request("GET", path, "Connection: Upgrade", "Upgrade: websocket"))
        status, _ = wire.read_response()
        self.ledger.complete.add(path)
        assert status == 101, f"{path}: {status}"
        wire.send(b"ping")
        assert wire.read_exactly(4) == b"ping"

    def aborted_by_client(self, wire):
        wire.send(request("GET", self.ledger.path("slow")))
        wire.read_until(b"\r\n\r\n")
        # A reset, so that the server hears of it.
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def aborted_by_upstream(self, wire):
        wire.send(request("GET", self.ledger.path("cut")))
        wire.read_until(b"\r\n\r\n")
        try:
            wire.read_exactly(1000)
        except Ended:
            return
        raise AssertionError("a cut body came whole")

    def malformed(self, wire):
        """Recorded under __malformed__; its own path is not known to the server."""
        wire.send(b"GET / HTTP/1.1\r\nHost : test\r\n\r\n")
        status, _ = wire.read_response()
        assert status == 400, status
