"""How messages are framed in both directions, whatever the other side speaks."""

import socket
import threading
import time
import unittest

import harness
from harness import Ended, WeirTest

CONFIG = """
[limits]
header_timeout = "TIMEOUT"
body_timeout = "TIMEOUT"
keep_alive_timeout = "5s"
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]
"""


class FramingTest(WeirTest):
    CONFIG = CONFIG.replace("TIMEOUT", "10s")

    def test_keeps_connections_alive_on_both_sides(self):
        accepted = self.upstream.accepted
        with self.weir.client() as client:
            for i in range(5):
                self.assertEqual(client.ask(f"/keep{i}").json["target"], f"/keep{i}")
        self.assertLessEqual(self.upstream.accepted - accepted, 1)

    def test_answers_pipelined_requests_in_order(self):
        with self.weir.client() as client:
            client.send(b"".join(b"GET /p%d HTTP/1.1\r\nHost: t\r\n\r\n" % i for i in range(64)))
            for i in range(64):
                self.assertEqual(client.response().json["target"], f"/p{i}")

    def test_answers_pipelined_requests_without_a_route_in_order(self):
        with self.weir.client() as client:
            client.send(b"GET /api/health HTTP/1.1\r\nHost: t\r\n\r\n" * 100)
            for _ in range(100):
                self.assertEqual(client.response().json["status"], "healthy")

    def test_takes_a_long_user_agent_origin_and_cookie(self):
        for size in (100, 1000, 4000):
            answer = self.ask("/ua", "User-Agent: " + "u" * size, "Origin: http://" + "o" * size)
            fields = dict(answer.json["fields"])
            self.assertEqual(fields["user-agent"], "u" * size)

    def test_closes_after_a_refusal_whose_head_came_in_pieces(self):
        with self.weir.client() as client:
            client.send(b"GET /%00 HTTP/1.1\r\nHost: t\r\n")
            time.sleep(0.05)
            client.send(b"Connection: close\r\n\r\n")
            self.assertEqual(client.response().status, 400)
            self.assertTrue(client.at_end())

    def test_head_has_no_body(self):
        with self.weir.client() as client:
            client.get("/head", method="HEAD")
            answer = client.response("HEAD")
            self.assertEqual(answer.status, 200)
            self.assertGreater(int(answer.get("content-length")), 0)
            self.assertEqual(client.ask("/next").status, 200)

    def test_204_and_304_have_no_body(self):
        @self.upstream.on("/304")
        def not_modified(wire, _):
            wire.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"x\"\r\n\r\n")

        @self.upstream.on("/204")
        def no_content(wire, _):
            wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")

        with self.weir.client() as client:
            for path, status in (("/304", 304), ("/204", 204), ("/304", 304)):
                answer = client.ask(path)
                self.assertEqual(answer.status, status)
            self.assertEqual(answer.get("etag"), '"x"')
            self.assertEqual(client.ask("/204").get("content-length"), None)

    def test_passes_interim_responses(self):
        @self.upstream.on("/hints")
        def hints(wire, request):
            wire.read_body(request)
            wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
            wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n")
            wire.answer(b"ok")

        with self.weir.client() as client:
            interim = []
            client.get("/hints")
            self.assertEqual(client.response(interim=interim).body, b"ok")
            self.assertEqual([i.get("link") for i in interim], ["</a.css>", "</b.css>"])
            client.send(b"GET /hints HTTP/1.0\r\nHost: t\r\n\r\n")
            self.assertEqual(client.response(interim=interim).body, b"ok")
            self.assertEqual(len(interim), 2)

    def test_expect_continue_waits_for_the_upstream(self):
        @self.upstream.on("/expect")
        def expect(wire, request):
            wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            wire.read_body(request)
            wire.answer(request.body)

        with self.weir.client() as client:
            client.get("/expect", "Expect: 100-continue", "Content-Length: 5", method="PUT")
            self.assertEqual(client.read_until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n")
            client.send(b"hello")
            self.assertEqual(client.response().body, b"hello")
            self.assertEqual(client.ask("/after").status, 200)

    def test_expect_continue_refused_by_the_upstream(self):
        @self.upstream.on("/refuse")
        def refuse(wire, _):
            wire.answer(b"no", status="417 Expectation Failed")
            wire.close()

        with self.weir.client() as client:
            client.get("/refuse", "Expect: 100-continue", "Content-Length: 5", method="PUT")
            interim = []
            answer = client.response(interim=interim)
            self.assertEqual((answer.status, answer.body, interim), (417, b"no", []))
            self.assertEqual(answer.get("connection"), "close")
            client.sock.shutdown(socket.SHUT_WR)
            self.assertTrue(client.at_end())

    def test_chunked_both_ways_with_trailers(self):
        @self.upstream.on("/chunked")
        def chunked(wire, request):
            wire.read_body(request)
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
            for piece in (request.body[:3], request.body[3:]):
                wire.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            wire.send(b"0\r\nX-Sum: 42\r\nX-Got: %s\r\n\r\n" %
                      dict(request.trailers).get("x-in", "none").encode())

        with self.weir.client() as client:
            for _ in range(3):
                client.get("/chunked", "Transfer-Encoding: chunked", method="POST")
                client.send(b"5;ext=1\r\nhello\r\n")
                client.send(b"6\r\n world\r\n0\r\nX-In: 7\r\n\r\n")
                answer = client.response()
                self.assertEqual(answer.body, b"hello world")
                self.assertEqual(answer.trailers, [("x-sum", "42"), ("x-got", "7")])
        self.assertEqual(self.upstream.seen("/chunked")[0].get("transfer-encoding"), "chunked")

    def test_http_1_0_client_gets_a_close_delimited_response(self):
        @self.upstream.on("/stream")
        def stream(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")

        with self.weir.client() as client:
            client.send(b"GET /stream HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\n\r\n")
            answer = client.response()
            self.assertEqual(answer.body, b"hello")
            self.assertIsNone(answer.get("transfer-encoding"))
            self.assertEqual(answer.get("connection"), "close")

    def test_http_1_0_client_may_keep_its_connection(self):
        with self.weir.client() as client:
            for _ in range(2):
                client.send(b"GET /k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                answer = client.response()
                self.assertEqual(answer.get("connection"), "keep-alive")
                self.assertEqual(answer.json["target"], "/k")
            client.send(b"GET /k HTTP/1.0\r\n\r\n")
            self.assertEqual(client.response().status, 200)
            self.assertTrue(client.at_end())

    def test_close_delimited_upstream_becomes_chunked(self):
        @self.upstream.on("/until-close")
        def until_close(wire, _):
            wire.send(b"HTTP/1.0 200 OK\r\n\r\nhello")
            wire.close()

        with self.weir.client() as client:
            answer = client.ask("/until-close")
            self.assertEqual(answer.body, b"hello")
            self.assertEqual(answer.get("transfer-encoding"), "chunked")
            self.assertEqual(client.ask("/alive").status, 200)

    def test_one_byte_at_a_time(self):
        with self.weir.client() as client:
            message = (b"POST /drip HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                       b"3\r\nabc\r\n0\r\n\r\n")
            for i in range(len(message)):
                client.send(message[i:i + 1])
            self.assertEqual(client.response().json["body"], "abc")

    def test_upstream_answers_one_byte_at_a_time(self):
        message = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   b"3\r\nabc\r\n3\r\ndef\r\n0\r\nX-T: 1\r\n\r\n")

        @self.upstream.on("/drops")
        def drops(wire, _):
            wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(message)):
                wire.send(message[i:i + 1])

        answer = self.ask("/drops")
        self.assertEqual((answer.body, answer.trailers), (b"abcdef", [("x-t", "1")]))

    def test_half_close_after_the_request_is_answered(self):
        @self.upstream.on("/half")
        def half(wire, _):
            time.sleep(0.1)
            wire.answer(b"x" * 100000)

        with self.weir.client() as client:
            client.get("/half")
            client.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(len(client.response().body), 100000)
            self.assertTrue(client.at_end())

    def test_half_close_after_pipelined_requests_answers_all(self):
        with self.weir.client() as client:
            client.send(b"".join(b"GET /h%d HTTP/1.1\r\nHost: t\r\n\r\n" % i for i in range(16)))
            client.sock.shutdown(socket.SHUT_WR)
            for i in range(16):
                self.assertEqual(client.response().json["target"], f"/h{i}")
            self.assertTrue(client.at_end())

    def test_early_response_with_unread_body(self):
        @self.upstream.on("/early")
        def early(wire, _):
            wire.answer(b"enough", status="403 Forbidden")
            wire.close()

        with self.weir.client() as client:
            client.get("/early", "Content-Length: 1000000", method="POST")
            client.send(b"x" * 1000)
            answer = client.response()
            self.assertEqual((answer.status, answer.body), (403, b"enough"))
            self.assertEqual(answer.get("connection"), "close")
            client.send(b"x" * 10000)
            client.sock.shutdown(socket.SHUT_WR)
            self.assertTrue(client.at_end())


class SlowClientTest(WeirTest):
    CONFIG = CONFIG.replace("TIMEOUT", "1s")

    def test_slow_head_is_answered_408(self):
        with self.weir.client() as client:
            client.send(b"GET /slow HTTP/1.1\r\nHo")
            answer = client.response()
            self.assertEqual((answer.status, answer.json["code"]), (408, "incomplete"))
            self.assertEqual(answer.get("connection"), "close")

    def test_slow_body_is_answered_408(self):
        @self.upstream.on("/slowbody")
        def slow(wire, request):
            wire.read_body(request)

        with self.weir.client() as client:
            client.get("/slowbody", "Content-Length: 10", method="POST")
            client.send(b"abc")
            self.assertEqual(client.response().status, 408)

    def test_a_connection_that_says_nothing_is_closed(self):
        with self.weir.client() as client:
            self.assertTrue(client.at_end())


class LargeBodyTest(WeirTest):
    ENV = harness.SMALL_QUARANTINE
    CONFIG = """
[limits]
header_timeout = "5s"
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]
"""

    def test_uploads_on_a_fresh_connection(self):
        for size in (65536, 1 << 20):
            for _ in range(4):
                with self.weir.client() as client:
                    client.post(f"/up{size}", b"u" * size, "Connection: close")
                    self.assertEqual(client.response().json["bytes"], size)

    def test_streams_64_mib_down_and_up_in_bounded_memory(self):
        size = 64 << 20
        piece = bytes(range(256)) * 256

        @self.upstream.on("/down")
        def down(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // len(piece)):
                wire.send(piece)

        @self.upstream.on("/up")
        def up(wire, request):
            left, ok = size, True
            while left:
                ok = wire.read_exactly(len(piece)) == piece and ok
                left -= len(piece)
            wire.answer(b"same" if ok else b"differs")

        before = self.weir.resident_bytes()
        with self.weir.client() as client:
            client.get("/down")
            head = client.read_until(b"\r\n\r\n")
            self.assertIn(b"Content-Length: %d" % size, head)
            for _ in range(size // len(piece)):
                self.assertEqual(client.read_exactly(len(piece)), piece)
            client.get("/up", f"Content-Length: {size}", method="PUT")
            for _ in range(size // len(piece)):
                client.send(piece)
            self.assertEqual(client.response().body, b"same")
        self.assertLess(self.weir.resident_bytes() - before, harness.GROWN_BYTES_MAX)

    def test_a_reader_that_stops_stops_the_upstream(self):
        sent = [0]

        @self.upstream.on("/endless")
        def endless(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
            wire.sock.settimeout(PATIENCE_SHORT)
            while True:
                wire.send(b"e" * 65536)
                sent[0] += 65536

        with self.weir.client() as client:
            client.get("/endless")
            before = -1
            while before != sent[0] or sent[0] == 0:
                before = sent[0]
                time.sleep(0.2)
            self.assertLess(sent[0], 32 << 20)
        harness.wait_for(lambda: self.upstream.open == 0, "the upstream connection to end")

    def test_a_slow_upstream_stops_the_upload(self):
        release = threading.Event()

        @self.upstream.on("/stuck")
        def stuck(wire, request):
            release.wait(20)
            wire.read_body(request)
            wire.answer(b"%d" % len(request.body))

        body = b"s" * (24 << 20)
        with self.weir.client() as client:
            client.get("/stuck", f"Content-Length: {len(body)}", method="POST")
            client.sock.settimeout(0.5)
            sent = 0
            try:
                while sent < len(body):
                    sent += client.sock.send(body[sent:sent + 262144])
            except TimeoutError:
                pass
            self.assertLess(sent, len(body))
            client.sock.settimeout(harness.PATIENCE)
            release.set()
            client.send(body[sent:])
            self.assertEqual(client.response().body, b"%d" % len(body))


PATIENCE_SHORT = 5.0

if __name__ == "__main__":
    unittest.main()
