"""Upstreams that fail in every way, and what becomes of the exchange: another attempt, 502, 503, 504,
or a response that is cut."""

import os
import re
import socket
import struct
import tempfile
import threading
import time
import unittest

import harness
from harness import Ended, Upstream, WeirTest

CONFIG = """
[[routes]]
id = "refused"
pattern = "/refused/*"
upstreams = ["http://127.0.0.1:{closed}"]
[[routes]]
id = "name"
pattern = "/name/*"
upstreams = ["http://does-not-exist.invalid:80"]
[[routes]]
id = "once"
pattern = "/once/*"
upstreams = ["{upstream}"]
retry_attempts = 1
[[routes]]
id = "hasty"
pattern = "/hasty/*"
upstreams = ["{upstream}"]
retry_attempts = 1
timeouts = { first_byte = "300ms" }
[[routes]]
id = "idle"
pattern = "/idle/*"
upstreams = ["{upstream}"]
timeouts = { idle = "300ms" }
[[routes]]
id = "total"
pattern = "/total/*"
upstreams = ["{upstream}"]
timeouts = { total = "2s" }
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]
timeouts = { first_byte = "5s" }
"""


class FailingUpstreamTest(WeirTest):
    @classmethod
    def setUpClass(cls):
        cls.CONFIG = CONFIG.replace("{closed}", str(harness.free_port()))
        super().setUpClass()

    def fails(self, path, status, code, **options):
        answer = self.ask(path, **options)
        self.assertEqual((answer.status, answer.json["code"]), (status, code))
        self.assertEqual(answer.json["requestId"], answer.get("x-request-id"))
        return answer

    def cut(self, path):
        """The response must be seen as incomplete."""
        with self.weir.client() as client:
            client.get(path)
            with self.assertRaises(Ended):
                client.response()

    def test_refused(self):
        self.fails("/refused/x", 502, "upstream_refused")

    def test_a_name_that_does_not_resolve(self):
        answer = self.fails("/name/x", 503, "no_upstream")
        self.assertEqual(answer.get("retry-after"), "1")

    def test_closes_without_an_answer(self):
        @self.upstream.on("/once/close")
        def close(wire, _):
            wire.close()
        self.fails("/once/close", 502, "upstream_closed")

    def test_resets_without_an_answer(self):
        @self.upstream.on("/once/reset")
        def reset(wire, _):
            harness.reset(wire.sock)
        self.fails("/once/reset", 502, "upstream_closed")

    def test_says_nothing_in_time(self):
        @self.upstream.on("/hasty/silent")
        def silent(wire, _):
            wire.fill()
        began = time.monotonic()
        self.fails("/hasty/silent", 504, "upstream_timeout")
        self.assertLess(time.monotonic() - began, 10)

    def test_drips_its_head_without_end(self):
        @self.upstream.on("/hasty/drip")
        def drip(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nA: ")
            while True:
                wire.send(b"a")
                time.sleep(0.05)
        began = time.monotonic()
        self.fails("/hasty/drip", 504, "upstream_timeout")
        self.assertLess(time.monotonic() - began, 10)

    def test_total_timeout(self):
        @self.upstream.on("/total/slow")
        def slow(wire, _):
            wire.fill()

        @self.upstream.on("/total/drip")
        def drip(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while True:
                wire.send(b"a")
                time.sleep(0.02)
        self.fails("/total/slow", 504, "total_timeout")
        self.cut("/total/drip")

    def test_garbage_is_502(self):
        answers = {
            "text": b"hello\r\n\r\n",
            "tls": b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
            "bad-status": b"HTTP/1.1 2000 OK\r\n\r\n",
            "status-99": b"HTTP/1.1 099 OK\r\n\r\n",
            "version": b"HTTP/2.0 200 OK\r\n\r\n",
            "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            "folded": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "both": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "nul": b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
            "huge": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70000 + b"\r\n\r\n",
            "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   b"Connection: upgrade\r\n\r\n",
            "interims": b"HTTP/1.1 102 Processing\r\n\r\n" * 17,
        }
        for name, data in answers.items():
            @self.upstream.on(f"/once/{name}")
            def garbage(wire, _, data=data):
                wire.send(data)
                wire.fill()
            with self.subTest(name):
                self.fails(f"/once/{name}", 502, "upstream_malformed")

    def test_a_partial_head_is_502(self):
        @self.upstream.on("/once/partial")
        def partial(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nCont")
            wire.close()
        self.fails("/once/partial", 502, "upstream_malformed")

    def test_a_short_body_is_cut(self):
        @self.upstream.on("/short")
        def short(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            wire.close()

        @self.upstream.on("/short-chunked")
        def short_chunked(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            wire.close()

        @self.upstream.on("/bad-chunk")
        def bad_chunk(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n")

        @self.upstream.on("/reset-inside")
        def reset_inside(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            time.sleep(0.05)
            harness.reset(wire.sock)
        for path in ("/short", "/short-chunked", "/bad-chunk", "/reset-inside"):
            with self.subTest(path):
                self.cut(path)

    def test_a_short_body_is_cut_for_http_1_0_too(self):
        @self.upstream.on("/short10")
        def short(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            time.sleep(0.05)
            wire.close()
        with self.weir.client() as client:
            client.send(b"GET /short10 HTTP/1.0\r\n\r\n")
            client.read_until(b"\r\n\r\n")
            with self.assertRaisesRegex(Ended, "reset"):
                while True:
                    client.fill()

    def test_idle_timeout_inside_a_body(self):
        @self.upstream.on("/idle/stall")
        def stall(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            wire.fill()
        self.cut("/idle/stall")

    def test_a_body_longer_than_announced_ends_where_it_was_announced(self):
        @self.upstream.on("/long")
        def long(wire, _):
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n"
                      b"Content-Length: 6\r\n\r\npoison")
        with self.weir.client() as client:
            self.assertEqual(client.ask("/long").body, b"abc")
            for _ in range(3):
                self.assertEqual(client.ask("/after").json["target"], "/after")

    def test_retries_what_is_idempotent(self):
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
            seen = []

            @self.upstream.on("/flaky")
            def flaky(wire, request, seen=seen):
                request = wire.read_body(request)
                seen.append(request.body)
                if len(seen) < 3:
                    return wire.close()
                wire.answer(b"" if request.method == "HEAD" else b"third")
            with self.weir.client() as client:
                body = b"again" if method == "PUT" else b""
                if body:
                    client.post("/flaky", body, method=method)
                else:
                    client.get("/flaky", method=method)
                self.assertEqual(client.response(method).status, 200)
                self.assertEqual(seen, [body] * 3)

    def test_never_repeats_a_post_that_was_sent(self):
        @self.upstream.on("/post")
        def post(wire, request):
            wire.read_body(request)
            wire.close()
        for method in ("POST", "PATCH", "PURGE"):
            before = len(self.upstream.seen("/post"))
            with self.weir.client() as client:
                client.post("/post", b"body", method=method)
                self.assertEqual(client.response().status, 502)
            self.assertEqual(len(self.upstream.seen("/post")) - before, 1)

    def test_never_repeats_a_body_that_the_buffer_does_not_hold(self):
        @self.upstream.on("/bigput")
        def bigput(wire, request):
            wire.read_body(request)
            wire.close()
        before = len(self.upstream.seen("/bigput"))
        with self.weir.client() as client:
            client.post("/bigput", b"b" * 100000, method="PUT")
            self.assertEqual(client.response().status, 502)
        self.assertEqual(len(self.upstream.seen("/bigput")) - before, 1)

    def test_never_retries_after_a_byte_was_passed_on(self):
        @self.upstream.on("/hint")
        def hint(wire, request):
            wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            time.sleep(0.05)
            wire.close()
        before = len(self.upstream.seen("/hint"))
        self.assertEqual(self.ask("/hint").status, 502)
        self.assertEqual(len(self.upstream.seen("/hint")) - before, 1)

    def test_survives_the_race_with_a_closing_keep_alive_connection(self):
        @self.upstream.on("/racy")
        def racy(wire, _):
            # Closes the connection as soon as the next request arrives on it.
            wire.answer(b"first")
            wire.fill()
            wire.close()
        with self.weir.client() as client:
            for _ in range(5):
                self.assertEqual(client.ask("/racy").body, b"first")
                self.assertEqual(client.ask("/plain").status, 200)

    def test_stops_sending_when_the_upstream_stops_reading(self):
        @self.upstream.on("/half-read")
        def half(wire, _):
            wire.answer(b"enough", status="413 Content Too Large", fields=["Connection: close"])
            time.sleep(0.1)
            harness.reset(wire.sock)
        for _ in range(5):
            with self.weir.client() as client:
                client.get("/half-read", "Content-Length: 50000000", method="POST")
                answer = client.response()
                self.assertEqual((answer.status, answer.body), (413, b"enough"))


class ChoosingTest(unittest.TestCase):
    """Weights, ejection, limits: with upstreams of their own."""

    def start(self, config, count, **urls):
        self.upstreams = [Upstream() for _ in range(count)]
        for i, upstream in enumerate(self.upstreams):
            config = config.replace(f"{{u{i}}}", upstream.url)
            self.addCleanup(upstream.close)
        weir = harness.Weir(config)
        self.addCleanup(weir.stop)
        return weir

    def test_weights(self):
        weir = self.start("""
[[routes]]
id = "w"
pattern = "/**"
upstreams = [{ url = "{u0}", weight = 3 }, { url = "{u1}", weight = 1 }]
""", 2)
        with weir.client() as client:
            for _ in range(80):
                self.assertEqual(client.ask("/w").status, 200)
        self.assertEqual([len(u.requests) for u in self.upstreams], [60, 20])

    def test_ejects_after_failures_and_takes_back(self):
        weir = self.start("""
[listen]
traffic = ["{traffic}"]
admin = "unix:{dir}/admin"
[[routes]]
id = "e"
pattern = "/**"
upstreams = ["{u0}", "http://127.0.0.1:{dead}"]
passive_health = { failures = 2, ejected_for = "300ms" }
""".replace("{dead}", str(harness.free_port())), 1)

        def failures():
            with harness.Client(os.path.join(weir.dir, "admin")) as client:
                text = client.ask("/metrics").body.decode()
            found = re.search(r'^weir_upstream_failures_total{loop="0"} (\d+)$', text, re.M)
            return int(found.group(1)) if found else None
        began = time.monotonic()
        with weir.client() as client:
            for _ in range(60):
                self.assertEqual(client.ask("/e").status, 200)
            seen = harness.wait_for(failures, "the dead one was tried")
            self.assertLessEqual(seen, 2 * (1 + (time.monotonic() - began) / 0.3))
            harness.wait_for(lambda: client.ask("/e").status == 200 and (failures() or 0) > seen,
                             "the dead one is tried again")

    def test_max_connections_makes_exchanges_wait(self):
        weir = self.start("""
[server]
workers = 2
[[routes]]
id = "m"
pattern = "/**"
max_connections = 2
upstreams = ["{u0}"]
timeouts = { connect = "8s" }
""", 1)

        lock, busy, busy_max = threading.Lock(), 0, 0

        @self.upstreams[0].on("/m")
        def slow(wire, _):
            nonlocal busy, busy_max
            with lock:
                busy += 1
                busy_max = max(busy, busy_max)
            time.sleep(0.02)
            with lock:
                busy -= 1
            wire.answer(b"ok")
        results = []

        def run():
            with weir.client() as client:
                for _ in range(5):
                    results.append(client.ask("/m").status)
        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [200] * 40)
        self.assertEqual(busy_max, 2)

    def test_max_connections_is_503_when_none_comes_free(self):
        weir = self.start("""
[[routes]]
id = "m"
pattern = "/**"
max_connections = 1
upstreams = ["{u0}"]
timeouts = { connect = "200ms" }
""", 1)
        hold = threading.Event()
        self.addCleanup(hold.set)

        @self.upstreams[0].on("/hold")
        def holds(wire, _):
            hold.wait(10)
            wire.answer(b"held")
        with weir.client() as first, weir.client() as second:
            first.get("/hold")
            harness.wait_for(lambda: self.upstreams[0].seen("/hold"), "the first request")
            for _ in range(3):  # Exchanges are reused: none remembers how long another waited.
                began = time.monotonic()
                answer = second.ask("/x")
                self.assertEqual((answer.status, answer.json["code"]), (503, "upstream_busy"))
                self.assertGreater(time.monotonic() - began, 0.15)
            hold.set()
            self.assertEqual(first.response().body, b"held")
            self.assertEqual(second.ask("/x").status, 200)

    def test_ipv6_and_unix_upstreams_and_listeners(self):
        with tempfile.TemporaryDirectory() as folder:
            six, local = Upstream(socket.AF_INET6), Upstream(path=os.path.join(folder, "up"))
            self.addCleanup(six.close)
            self.addCleanup(local.close)
            six_port, other = harness.free_port(), harness.free_port()
            weir = self.start(f"""
[listen]
traffic = ["{{traffic}}", "[::1]:{six_port}", "127.0.0.1:{other}", "unix:{folder}/in"]
admin = "127.0.0.1:0"
[[routes]]
id = "six"
pattern = "/six/*"
upstreams = ["{six.url}"]
[[routes]]
id = "local"
pattern = "/**"
upstreams = ["{local.url}"]
""", 0)
            for address in (weir.address, ("::1", six_port), ("127.0.0.1", other), f"{folder}/in"):
                with harness.Client(address) as client:
                    fields = dict(client.ask("/six/x").json["fields"])
                    self.assertEqual(fields["host"], f"[::1]:{six.port}")
                    self.assertEqual(dict(client.ask("/l").json["fields"])["host"], "localhost")


class ProbedTest(unittest.TestCase):
    def test_a_probe_takes_an_upstream_out_and_back(self):
        good, bad = Upstream(), Upstream()
        self.addCleanup(good.close)
        self.addCleanup(bad.close)
        sick = [False]

        @bad.on("/healthz")
        def health(wire, _):
            wire.answer(b"", status="503 No" if sick[0] else "200 OK")
        weir = harness.Weir(f"""
[server]
workers = 2
[[routes]]
id = "p"
pattern = "/**"
upstreams = ["{good.url}", "{bad.url}"]
health = {{ path = "/healthz", interval = "400ms", timeout = "400ms", healthy_after = 2, unhealthy_after = 2 }}
""")
        self.addCleanup(weir.stop)

        def asked():
            before = len(bad.seen("/x"))
            with weir.client() as client:
                for _ in range(4):
                    self.assertEqual(client.ask("/x").status, 200)
            return len(bad.seen("/x")) - before
        harness.wait_for(lambda: asked() == 2, "both to be asked")
        began, before = time.monotonic(), len(bad.seen("/healthz"))
        sick[0] = True
        harness.wait_for(lambda: asked() == 0, "the sick one to be taken out")
        sick[0] = False
        harness.wait_for(lambda: asked() == 2, "the healthy one to be taken back")
        time.sleep(1)
        probes = len(bad.seen("/healthz")) - before
        # Once per node, not per loop.
        self.assertLess(probes, (time.monotonic() - began) / 0.4 * 1.5 + 2)


if __name__ == "__main__":
    unittest.main()
