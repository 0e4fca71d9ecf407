"""Bytes that could be read in two ways, clients that misbehave, limits: answered as the RFCs say, and
never passed on."""

import contextlib
import os
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import Ended, WeirTest

CONFIG = """
[limits]
header_bytes_max = "8KiB"
target_bytes_max = "4KiB"
header_count_max = 50
header_timeout = "60s"
keep_alive_timeout = "60s"
[[routes]]
id = "small"
pattern = "/small/*"
body_max = "1KiB"
upstreams = ["{upstream}"]
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]
"""

GET = b"GET /never HTTP/1.1\r\nHost: t\r\n"
POST = b"POST /never HTTP/1.1\r\nHost: t\r\n"

# What is sent, and the status it must get. None of it may reach the upstream.
REFUSED = {
    "bare LF after the request line": (b"GET /never HTTP/1.1\nHost: t\r\n\r\n", 400),
    "bare LF after a field": (b"GET /never HTTP/1.1\r\nHost: t\nA: b\r\n\r\n", 400),
    "bare CR": (b"GET /never HTTP/1.1\r\nHost: t\rA: b\r\n\r\n", 400),
    "folded line": (GET + b"A: b\r\n c\r\n\r\n", 400),
    "space before colon": (GET + b"A : b\r\n\r\n", 400),
    "space before Content-Length's colon": (POST + b"Content-Length : 3\r\n\r\nabc", 400),
    "NUL in a value": (GET + b"A: b\0c\r\n\r\n", 400),
    "NUL in the target": (b"GET /ne\0ver HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "no Host": (b"GET /never HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (GET + b"Host: t\r\n\r\n", 400),
    "Host with a path": (b"GET /never HTTP/1.1\r\nHost: t/x\r\n\r\n", 400),
    "Host with userinfo": (b"GET /never HTTP/1.1\r\nHost: a@t\r\n\r\n", 400),
    "two equal Content-Lengths": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "two Content-Lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "list of Content-Lengths": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "signed Content-Length": (POST + b"Content-Length: +3\r\n\r\nabc", 400),
    "hex Content-Length": (POST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    "empty Content-Length": (POST + b"Content-Length: \r\n\r\n", 400),
    "huge Content-Length": (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
    "Content-Length and chunked": (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked and Content-Length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked not last": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    "unknown coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked with a tab inside": (POST + b"Transfer-Encoding: chun\tked\r\n\r\n0\r\n\r\n", 400),
    "quoted coding": (POST + b"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400),
    "chunked from HTTP/1.0": (
        b"POST /never HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/1.2": (b"GET /never HTTP/1.2\r\nHost: t\r\n\r\n", 505),
    "no version": (b"GET /never\r\n\r\n", 400),
    "lower-case version": (b"GET /never http/1.1\r\nHost: t\r\n\r\n", 400),
    "two spaces": (b"GET  /never HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "bad method": (b"G@T /never HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "field without a colon": (GET + b"nothing\r\n\r\n", 400),
    "field without a name": (GET + b": b\r\n\r\n", 400),
    "control character in a value": (GET + b"A: \x01\r\n\r\n", 400),
    "backslash in the path": (b"GET /never\\x HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "escaped backslash": (b"GET /never/%5Cx HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "escaped NUL": (b"GET /never/%00 HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "escaped line end": (b"GET /never/%0d%0aX:%20y HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "broken escape": (b"GET /never/%zz HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "fragment": (b"GET /never#x HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "dot segment behind %2F": (b"GET /never/..%2Fx HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "CONNECT": (b"CONNECT never:443 HTTP/1.1\r\nHost: never:443\r\n\r\n", 405),
    "TRACE": (b"TRACE /never HTTP/1.1\r\nHost: t\r\n\r\n", 405),
    "TRACE of the health path": (b"TRACE /api/health HTTP/1.1\r\nHost: t\r\n\r\n", 405),
    "long target": (b"GET /" + b"n" * 5000 + b" HTTP/1.1\r\nHost: t\r\n\r\n", 414),
    "long head": (GET + b"A: " + b"a" * 9000 + b"\r\n\r\n", 431),
    "many fields": (GET + b"A: b\r\n" * 51 + b"\r\n", 431),
    "too large a body": (
        b"POST /small/never HTTP/1.1\r\nHost: t\r\nContent-Length: 1025\r\n\r\n" + b"x" * 1025, 413),
}

# Broken after a head that is passed on: refused, and the connection closed.
BROKEN_BODIES = {
    "bad chunk size": b"g\r\n",
    "negative chunk size": b"-1\r\n",
    "chunk size with a space": b"3 \r\nabc\r\n0\r\n\r\n",
    "overflowing chunk size": b"fffffffffffffffff\r\n",
    "bare LF after a chunk size": b"3\nabc\r\n0\r\n\r\n",
    "chunk longer than said": b"3\r\nabcd\r\n0\r\n\r\n",
    "forbidden trailer": b"0\r\nContent-Length: 5\r\n\r\n",
    "bad trailer": b"0\r\nno colon\r\n\r\n",
}


class RefusedTest(WeirTest):
    CONFIG = CONFIG

    def test_refuses_what_could_be_read_two_ways_and_never_passes_it_on(self):
        for name, (data, status) in REFUSED.items():
            for pieces in (1, 2):
                with self.subTest(name, pieces=pieces), self.weir.client() as client:
                    half = len(data) // 2 if pieces == 2 else len(data)
                    client.send(data[:half])
                    if pieces == 2:
                        time.sleep(0.002)
                        client.send(data[half:])
                    answer = client.response()
                    self.assertEqual(answer.status, status)
                    self.assertIn("code", answer.json)
                    self.assertIn("requestId", answer.json)
                    if status == 405:
                        self.assertIn("GET", answer.get("allow"))
        self.assertNotIn(b"never", bytes(self.upstream.raw))
        self.assertNotIn(b"/small/never", bytes(self.upstream.raw))

    def test_closes_where_framing_is_in_doubt(self):
        with self.weir.client() as client:
            client.send(POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"
                        b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n")
            answer = client.response()
            self.assertEqual((answer.status, answer.get("connection")), (400, "close"))
            self.assertTrue(client.at_end())
        self.assertEqual(self.upstream.seen("/smuggled"), [])

    def test_keeps_the_connection_after_a_refused_path(self):
        with self.weir.client() as client:
            self.assertEqual(client.ask("/%00").status, 400)
            self.assertEqual(client.ask("/ok").status, 200)

    def test_broken_chunks_are_refused(self):
        @self.upstream.on("/broken")
        def broken(wire, request):
            wire.read_body(request)

        for name, body in BROKEN_BODIES.items():
            with self.subTest(name), self.weir.client() as client:
                client.send(b"POST /broken HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
                client.send(body + b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n")
                answer = client.response()
                self.assertEqual((answer.status, answer.get("connection")), (400, "close"))
        self.assertEqual(self.upstream.seen("/smuggled"), [])

    def test_a_chunked_body_over_the_limit_is_refused(self):
        @self.upstream.on("/small/chunked")
        def small(wire, request):
            wire.read_body(request)

        for size, status in ((1024, 200), (1025, 413)):
            with self.weir.client() as client:
                path = "/small/fits" if status == 200 else "/small/chunked"
                client.get(path, "Transfer-Encoding: chunked", method="POST")
                client.send(b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"c" * size))
                self.assertEqual(client.response().status, status)

    def test_limits_hold_at_the_limit(self):
        with self.weir.client() as client:
            client.post("/small/x", b"x" * 1024)
            self.assertEqual(client.response().status, 200)
            self.assertEqual(client.ask("/" + "n" * 4095).status, 200)
            client.send(GET.replace(b"never", b"fine") + b"A: b\r\n" * 49 + b"\r\n")
            self.assertEqual(client.response().status, 200)

    def test_curl_reads_the_413_of_an_upload_that_is_too_large(self):
        with tempfile.NamedTemporaryFile() as file:
            os.truncate(file.name, 101 << 20)
            for extra in ([], ["-H", "Expect:"], ["-H", "Expect:"], ["-H", "Expect:"]):
                result = subprocess.run(
                    ["curl", "-s", "-w", "%{http_code}", "-T", file.name, *extra,
                     f"http://127.0.0.1:{self.weir.port}/upload"],
                    capture_output=True, timeout=20, check=False)
                self.assertIn(b"body_too_large", result.stdout)
                self.assertTrue(result.stdout.endswith(b"413"), result.stdout)
        self.assertEqual(self.upstream.seen("/upload"), [])


class MisbehavingClientTest(WeirTest):
    CONFIG = CONFIG
    ENV = harness.SMALL_QUARANTINE

    def test_pipelining_without_reading_costs_bounded_memory(self):
        before = self.weir.resident_bytes()
        for path in (b"/api/health", b"/none%00"):
            with self.weir.client() as client:
                client.sock.settimeout(0.5)
                sent, data = 0, b"GET " + path + b" HTTP/1.1\r\nHost: t\r\n\r\n"
                data *= 2000
                try:
                    while sent < 64 << 20:
                        sent += client.sock.send(data)
                except (TimeoutError, ConnectionError):
                    pass
                self.assertLess(sent, 64 << 20)
        self.assertLess(self.weir.resident_bytes() - before, harness.GROWN_BYTES_MAX)

    def test_ten_thousand_idle_connections_cost_little(self):
        count = min(10_000, harness.raise_descriptor_limit() - 200)
        self.ask("/warm")
        before = self.weir.resident_bytes()
        clients = []
        try:
            for _ in range(count):
                sock = socket.socket()
                sock.connect(self.weir.address)
                clients.append(sock)
            for sock in clients[:2000]:
                sock.send(b"GET /idle HT")
            for sock in clients[2000:3000]:
                sock.send(b"GET /api/health HTTP/1.1\r\nHost: t\r\n\r\n")
            self.assertEqual(self.ask("/still").status, 200)
            grown = self.weir.resident_bytes() - before
            self.assertLess(grown / count, 8192)  # AddressSanitizer's share included.
        finally:
            for sock in clients:
                sock.close()
        self.assertEqual(self.ask("/after").status, 200)

    def test_a_client_that_goes_away_frees_the_upstream(self):
        gone = threading.Event()

        @self.upstream.on("/abort")
        def abort(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            try:
                while True:
                    wire.send(b"a" * 65536)
            finally:
                gone.set()

        client = self.weir.client()
        client.get("/abort")
        client.read_exactly(100000)
        harness.reset(client.sock)
        self.assertTrue(gone.wait(harness.PATIENCE))

    def test_a_client_that_goes_away_while_uploading_frees_the_upstream(self):
        gone = threading.Event()

        @self.upstream.on("/abort-up")
        def abort(wire, request):
            try:
                wire.read_body(request)
            finally:
                gone.set()

        client = self.weir.client()
        client.get("/abort-up", "Content-Length: 1000", method="POST")
        client.send(b"x" * 10)
        harness.wait_for(lambda: self.upstream.seen("/abort-up"), "the upload to begin")
        client.close()
        self.assertTrue(gone.wait(harness.PATIENCE))

    def test_garbage_after_a_response_is_refused(self):
        with self.weir.client() as client:
            client.send(b"GET /one HTTP/1.1\r\nHost: t\r\n\r\n\x16\x03\x01\x02\x00\x01\x00")
            self.assertEqual(client.response().status, 200)
            client.send(b"\r\n\r\n")
            self.assertEqual(client.response().status, 400)
            self.assertTrue(client.at_end())


class LimitedConnectionsTest(WeirTest):
    CONFIG = """
[limits]
connections_max = 5
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]
"""

    def taken(self):
        """A client that was answered; None where there was no place for it."""
        client = self.client()
        with contextlib.suppress(Ended, ConnectionError):
            self.assertEqual(client.ask("/in").status, 200)
            return client
        client.close()
        return None

    def test_refuses_connections_over_the_limit_and_takes_them_again(self):
        # One that is closed counts until the loop has seen it.
        clients = [harness.wait_for(self.taken, "a free place") for _ in range(5)]
        with self.weir.client() as sixth:
            self.assertTrue(sixth.at_end())
        for client in clients:
            client.close()
        harness.wait_for(self.taken, "a place is free again")


if __name__ == "__main__":
    unittest.main()
