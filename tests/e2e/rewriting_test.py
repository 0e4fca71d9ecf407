"""What Weir changes on the way: fields, hosts, paths, addresses; redirects, CORS, tunnels."""

import base64
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import Ended, Upstream, Weir, WeirTest

CONFIG = """
[[routes]]
id = "strip"
pattern = "/strip/*"
strip_prefix = true
upstreams = ["{upstream}"]
[[routes]]
id = "rewrite"
pattern = "/rewrite/*"
rewrite = "/v2"
host = "preserve"
upstreams = ["{upstream}"]
[[routes]]
id = "literal"
pattern = "/literal/*"
host = "literal api.example.com"
proxy_headers = true
upstreams = ["{upstream}"]
request_headers = { set = { "X-Set" = "one" }, add = { "X-Add" = "two" }, remove = ["X-Gone"] }
response_headers = { set = { "X-Set" = "out" }, remove = ["X-Secret"] }
[[routes]]
id = "redirect"
pattern = "/old/*"
redirect = { status = 308, location = "https://new.example.com$path$query" }
[[routes]]
id = "cors"
pattern = "/cors/*"
upstreams = ["{upstream}"]
cors = { origins = ["https://ok.example.com"], methods = ["GET", "PUT"], credentials = true }
[[routes]]
id = "by-host"
pattern = "/**"
hosts = ["other.example.com"]
priority = -1
redirect = { status = 302, location = "https://elsewhere.example.com/" }
[[routes]]
id = "ws"
pattern = "/ws/*"
upgrade = ["websocket"]
upstreams = ["{upstream}"]
[[routes]]
id = "ws-idle"
pattern = "/idle/*"
upgrade = ["websocket"]
upstreams = ["{upstream}"]
timeouts = { tunnel_idle = "300ms" }
[[routes]]
id = "all"
pattern = "/api/**"
upstreams = ["{upstream}"]
"""


def fields_of(answer):
    return answer.json["fields"]


def values(answer, name):
    return [value for key, value in fields_of(answer) if key == name]


class RewritingTest(WeirTest):
    CONFIG = CONFIG

    def test_paths_and_hosts(self):
        answer = self.ask("/strip/a/%7Eb?c=%2F", host="front.example.com")
        self.assertEqual(answer.json["target"], "/a/~b?c=%2F")
        self.assertEqual(values(answer, "host"), [f"127.0.0.1:{self.upstream.port}"])
        self.assertEqual(values(answer, "x-forwarded-host"), ["front.example.com"])
        answer = self.ask("/rewrite/x/../a?q", host="front.example.com")
        self.assertEqual(answer.json["target"], "/v2/a?q")
        self.assertEqual(values(answer, "host"), ["front.example.com"])
        answer = self.ask("/literal/a", "X-Gone: 1", "X-Set: 0", "x-set: 9")
        self.assertEqual(values(answer, "host"), ["api.example.com"])
        self.assertEqual(values(answer, "x-set"), ["one"])
        self.assertEqual(values(answer, "x-add"), ["two"])
        self.assertEqual(values(answer, "x-gone"), [])

    def test_response_fields(self):
        @self.upstream.on("/literal/fields")
        def answer_fields(wire, _):
            wire.answer(b"ok", fields=["X-Secret: s", "X-Set: in", "Connection: X-Hop", "X-Hop: 1",
                                       "Keep-Alive: timeout=5", "x-proxy-by: someone",
                                       "Set-Cookie: a", "Set-Cookie: b", "X-Request-ID: theirs"])
        answer = self.ask("/literal/fields", "X-Request-ID: mine-1")
        self.assertEqual(answer.get("x-secret"), None)
        self.assertEqual(answer.all("x-set"), ["out"])
        self.assertEqual(answer.get("x-hop"), None)
        self.assertEqual(answer.get("keep-alive"), None)
        self.assertEqual(answer.all("set-cookie"), ["a", "b"])
        self.assertEqual(answer.all("x-request-id"), ["mine-1"])
        self.assertEqual(answer.get("via"), "1.1 weir")
        self.assertEqual(answer.all("x-proxy-by"), ["api-gateway"])
        self.assertEqual(answer.get("x-proxy-route"), "/literal/*")
        self.assertEqual(set(json.loads(answer.get("x-proxy-timing"))), {"total", "upstream"})
        self.assertEqual(self.ask("/strip/x").get("x-proxy-by"), None)

    def test_removes_hop_by_hop_fields(self):
        answer = self.ask("/api/hop", "Connection: keep-alive, X-Mine", "X-Mine: 1", "Keep-Alive: 5",
                          "TE: trailers", "Proxy-Authorization: x", "Proxy-Connection: close",
                          "Upgrade: h2c", "HTTP2-Settings: AAA", "X-Kept: 1")
        names = {name for name, _ in fields_of(answer)}
        self.assertEqual(names & {"x-mine", "keep-alive", "te", "proxy-authorization", "upgrade",
                                  "proxy-connection", "http2-settings", "connection"}, set())
        self.assertEqual(values(answer, "x-kept"), ["1"])
        self.assertEqual(values(answer, "via"), ["1.1 weir"])

    def test_untrusted_peers_cannot_say_who_they_are(self):
        answer = self.ask("/api/who", "X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6",
                          "X-Real-IP: 6.6.6.6", "CF-Connecting-IP: 6.6.6.6",
                          "True-Client-IP: 6.6.6.6", "X-Client-IP: 6.6.6.6",
                          "X-Forwarded-Proto: https", "X-Forwarded-Host: evil",
                          "X-Forwarded-Port: 1", "X-Request-ID: bad id!")
        self.assertEqual(values(answer, "x-forwarded-for"), ["127.0.0.1"])
        self.assertEqual(values(answer, "x-forwarded-proto"), ["http"])
        self.assertEqual(values(answer, "x-forwarded-host"), ["test"])
        self.assertNotIn("6.6.6.6", str(fields_of(answer)))
        self.assertRegex(values(answer, "x-request-id")[0], r"^\d{13}-[0-9a-f]{20}$")
        self.assertEqual(values(answer, "x-request-id")[0], answer.get("x-request-id"))

    def test_redirects(self):
        answer = self.ask("/old/a/b?c=d")
        self.assertEqual((answer.status, answer.get("location")),
                         (308, "https://new.example.com/old/a/b?c=d"))
        answer = self.ask("/anything", host="other.example.com")
        self.assertEqual(answer.get("location"), "https://elsewhere.example.com/")

    def test_no_route(self):
        answer = self.ask("/nothing")
        self.assertEqual((answer.status, answer.json["code"]), (404, "no_route"))

    def test_cors_where_the_route_answers_it(self):
        preflight = ["Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: X-A"]
        answer = self.ask("/cors/x", "Origin: https://ok.example.com", *preflight, method="OPTIONS")
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.get("access-control-allow-origin"), "https://ok.example.com")
        self.assertEqual(answer.get("access-control-allow-methods"), "GET, PUT")
        self.assertEqual(answer.get("access-control-allow-headers"), "X-A")
        self.assertEqual(answer.get("access-control-allow-credentials"), "true")
        answer = self.ask("/cors/x", "Origin: https://evil.example.com", *preflight,
                          method="OPTIONS")
        self.assertIsNone(answer.get("access-control-allow-origin"))
        answer = self.ask("/cors/x", "Origin: https://ok.example.com")
        self.assertEqual(answer.all("access-control-allow-origin"), ["https://ok.example.com"])
        answer = self.ask("/api/x", "Origin: https://ok.example.com", *preflight, method="OPTIONS")
        self.assertEqual((answer.status, answer.json["method"]), (200, "OPTIONS"))

    def tunnel(self, path="/ws/echo"):
        @self.upstream.on(path)
        def echo(wire, request):
            self.assertEqual(request.get("upgrade"), "websocket")
            wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n"
                      b"Connection: Upgrade\r\n\r\nhi")
            wire.send(wire.buffer)
            while True:
                wire.buffer = b""
                wire.fill()
                if wire.buffer.endswith(b"bye"):
                    return wire.close()
                wire.send(wire.buffer)
        return self.client()

    UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")

    def test_tunnels_carry_bytes_both_ways_also_those_right_after_the_head(self):
        client = self.tunnel()
        client.send(b"GET /ws/echo HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\n"
                    b"Upgrade: websocket\r\n\r\nearly")
        answer = client.response()
        self.assertEqual((answer.status, answer.get("upgrade")), (101, "websocket"))
        self.assertEqual(client.read_exactly(7), b"hiearly")
        data = os.urandom(1 << 20)
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        self.assertEqual(client.read_exactly(len(data)), data)
        sender.join()
        client.send(b"bye")
        self.assertTrue(client.at_end())

    def test_idle_tunnels_end(self):
        client = self.tunnel("/idle/echo")
        self.assertEqual(client.ask("/idle/echo", *self.UPGRADE).status, 101)
        self.assertEqual(client.read_exactly(2), b"hi")
        began = time.monotonic()
        self.assertTrue(client.at_end())
        self.assertLess(time.monotonic() - began, 10)

    def test_a_tunnel_whose_upstream_ended_survives_what_the_client_still_sends(self):
        @self.upstream.on("/ws/flood")
        def flood(wire, _):
            wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                      b"Connection: Upgrade\r\n\r\n")
            try:
                wire.sock.settimeout(0.3)
                wire.send(b"f" * (8 << 20))
            except TimeoutError:
                pass
            wire.close()
        clients = [self.client() for _ in range(3)]
        for client in clients:
            client.get("/ws/flood", *self.UPGRADE)
        for _ in range(20):
            time.sleep(0.05)
            for client in clients:
                try:
                    client.send(b"still here")
                except ConnectionError:
                    pass
        self.assertEqual(self.ask("/api/alive").status, 200)

    def test_upgrades_only_where_the_route_says_so(self):
        answer = self.ask("/api/ws", *self.UPGRADE)
        self.assertEqual(values(answer, "upgrade"), [])
        answer = self.ask("/ws/h2", "Connection: upgrade", "Upgrade: h2c")
        self.assertEqual(values(answer, "upgrade"), [])

    def test_a_switch_to_something_else_is_502(self):
        @self.upstream.on("/ws/other")
        def other(wire, _):
            wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n"
                      b"Connection: Upgrade\r\n\r\n")
            wire.fill()
        self.assertEqual(self.ask("/ws/other", *self.UPGRADE).status, 502)


class TrustTest(unittest.TestCase):
    """Each listener names one source of the client's address."""

    @classmethod
    def setUpClass(cls):
        cls.upstream = Upstream()
        cls.ports = {}
        listeners = ['{ address = "{traffic}" }']
        for source in ("x-forwarded-for", "forwarded", "cf-connecting-ip", "x-real-ip",
                       "proxy_protocol"):
            cls.ports[source] = harness.free_port()
            listeners.append(
                f'{{ address = "127.0.0.1:{cls.ports[source]}", client_address = "{source}", '
                f'trusted_proxies = ["127.0.0.1/32", "10.0.0.0/8"] }}')
        cls.weir = Weir(f"""
[listen]
traffic = [{", ".join(listeners)}]
admin = "127.0.0.1:0"
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{cls.upstream.url}"]
""")
        with cls.weir.client() as client:  # Whoever is answered by one finds all of them open.
            client.ask("/x")

    @classmethod
    def tearDownClass(cls):
        cls.upstream.close()
        cls.weir.stop()

    def ask(self, source, *fields, before=b"", peer="127.0.0.1"):
        with harness.Client(("127.0.0.1", self.ports[source]), source=(peer, 0)) as client:
            client.send(before)
            return client.ask("/x", *fields)

    def test_trusted_proxies_append_to_the_chain(self):
        long = ", ".join(["203.0.113.7"] * 200)
        for chain in ("203.0.113.7", "6.6.6.6, 203.0.113.7, 10.1.2.3", long):
            answer = self.ask("x-forwarded-for", f"X-Forwarded-For: {chain}",
                              "X-Forwarded-Proto: https", "X-Forwarded-Host: public")
            self.assertEqual(values(answer, "x-forwarded-for"), [f"{chain}, 127.0.0.1"])
            self.assertEqual(values(answer, "x-forwarded-proto"), ["https"])
            self.assertEqual(values(answer, "x-forwarded-host"), ["public"])
        answer = self.ask("x-forwarded-for", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2",
                          "X-Forwarded-For: 3.3.3.3")
        self.assertEqual(values(answer, "x-forwarded-for"),
                         ["1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1"])

    def test_peers_that_are_no_proxy_are_not_believed(self):
        answer = self.ask("x-forwarded-for", "X-Forwarded-For: 6.6.6.6", peer="127.0.0.2")
        self.assertEqual(values(answer, "x-forwarded-for"), ["127.0.0.2"])

    def test_other_sources_state_the_client(self):
        for source, field in (("forwarded", 'Forwarded: for=6.6.6.6, for="203.0.113.7:80"'),
                              ("cf-connecting-ip", "CF-Connecting-IP: 203.0.113.7"),
                              ("x-real-ip", "X-Real-IP: 203.0.113.7")):
            answer = self.ask(source, field)
            self.assertEqual(values(answer, "x-forwarded-for"), ["203.0.113.7"])
        # Behind what the client sent stands what the proxy added.
        answer = self.ask("x-real-ip", "X-Real-IP: 6.6.6.6", "X-Real-IP: 203.0.113.7:80")
        self.assertEqual(values(answer, "x-forwarded-for"), ["203.0.113.7"])
        for garbage in ("[::1]junk", "192.0.2.1:", "192.0.2.1:8 0", "unknown"):
            answer = self.ask("x-real-ip", f"X-Real-IP: {garbage}")
            self.assertEqual(values(answer, "x-forwarded-for"), ["127.0.0.1"])

    def test_proxy_protocol_both_versions(self):
        v1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 1234 80\r\n"
        v2 = (b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", 12 + 5) +
              socket.inet_aton("203.0.113.7") + socket.inet_aton("198.51.100.1") +
              struct.pack(">HH", 1234, 80) + b"\x04\x00\x02ab")
        for before in (v1, v2):
            answer = self.ask("proxy_protocol", before=before)
            self.assertEqual(values(answer, "x-forwarded-for"), ["203.0.113.7"])
        for local in (b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"):
            answer = self.ask("proxy_protocol", before=local)
            self.assertEqual(values(answer, "x-forwarded-for"), ["127.0.0.1"])

    def test_behind_the_proxy_protocol_forwarding_fields_are_the_clients_own(self):
        answer = self.ask("proxy_protocol", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https",
                          "X-Forwarded-Host: evil", "X-Forwarded-Port: 443",
                          before=b"PROXY TCP4 203.0.113.7 198.51.100.1 1234 80\r\n")
        self.assertEqual(values(answer, "x-forwarded-for"), ["203.0.113.7"])
        self.assertEqual(values(answer, "x-forwarded-proto"), ["http"])
        self.assertEqual(values(answer, "x-forwarded-host"), ["test"])
        self.assertEqual(values(answer, "x-forwarded-port"), [])

    def test_proxy_protocol_is_mandatory_and_believed_from_proxies_only(self):
        with self.assertRaises((Ended, ConnectionError)):
            self.ask("proxy_protocol")
        with self.assertRaises((Ended, ConnectionError)):
            self.ask("proxy_protocol", before=b"PROXY UNKNOWN\r\n", peer="127.0.0.2")


@unittest.skipUnless(shutil.which("nginx"), "nginx is not installed")
class NginxTest(unittest.TestCase):
    def test_serves_files_of_a_real_nginx(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            data = os.urandom(3 << 20)
            with open(os.path.join(folder, "file.bin"), "wb") as file:
                file.write(data)
            os.chmod(os.path.join(folder, "file.bin"), 0o644)
            port = harness.free_port()
            with open(os.path.join(folder, "nginx.conf"), "w", encoding="utf-8") as file:
                file.write(f"""
daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
events {{}}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;
  server {{ listen 127.0.0.1:{port}; root {folder}; }} }}""")
            nginx = subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf"],
                                     stderr=subprocess.DEVNULL)
            weir = Weir(f'[[routes]]\nid = "n"\npattern = "/**"\n'
                        f'upstreams = ["http://127.0.0.1:{port}"]\n')
            try:
                with weir.client() as client:
                    harness.wait_for(lambda: client.ask("/file.bin").status == 200, "nginx")
                    answer = client.ask("/file.bin")
                    self.assertEqual(answer.body, data)
                    etag = answer.get("etag")
                    self.assertEqual(client.ask("/file.bin", f"If-None-Match: {etag}").status, 304)
                    part = client.ask("/file.bin", "Range: bytes=10-19")
                    self.assertEqual((part.status, part.body), (206, data[10:20]))
                    packed = client.ask("/file.bin", "Accept-Encoding: gzip")
                    self.assertEqual(packed.get("transfer-encoding"), "chunked")
                    self.assertEqual(client.ask("/none").status, 404)
            finally:
                nginx.terminate()
                nginx.wait()
                weir.stop()


NODE = """
const http = require('http'), crypto = require('crypto');
const server = http.createServer((request, response) => {
  response.setHeader('Trailer', 'X-Bytes');
  let bytes = 0;
  request.on('data', (piece) => { bytes += piece.length; response.write(piece); });
  request.on('end', () => { response.addTrailers({'X-Bytes': String(bytes)}); response.end(); });
});
server.on('upgrade', (request, socket, head) => {
  const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  const accept = crypto.createHash('sha1').update(key).digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\n' +
      'Connection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n');
  let data = head;
  const echo = () => {
    while (data.length >= 6 && data.length >= 6 + (data[1] & 127)) {
      const length = data[1] & 127, mask = data.subarray(2, 6);
      const text = Buffer.from(data.subarray(6, 6 + length));
      for (let i = 0; i < length; i++) text[i] ^= mask[i % 4];
      data = data.subarray(6 + length);
      socket.write(Buffer.concat([Buffer.from([0x81, length]), text]));
    }
  };
  socket.on('data', (piece) => { data = Buffer.concat([data, piece]); echo(); });
  socket.on('error', () => {});
  echo();
});
server.listen(+process.argv[1], '127.0.0.1');
"""


@unittest.skipUnless(shutil.which("node"), "Node.js is not installed")
class NodeTest(unittest.TestCase):
    def test_streams_and_websockets_with_node(self):
        port = harness.free_port()
        node = subprocess.Popen(["node", "-e", NODE, str(port)])
        weir = Weir(f'[[routes]]\nid = "n"\npattern = "/**"\nupgrade = ["websocket"]\n'
                    f'upstreams = ["http://127.0.0.1:{port}"]\n')
        try:
            with weir.client() as client:
                harness.wait_for(lambda: client.ask("/").status == 200, "node")
                client.get("/", "Transfer-Encoding: chunked", method="POST")
                for _ in range(50):
                    client.send(b"2710\r\n" + b"n" * 10000 + b"\r\n")
                client.send(b"0\r\n\r\n")
                answer = client.response()
                self.assertEqual(answer.body, b"n" * 500000)
                self.assertEqual(answer.trailers, [("x-bytes", "500000")])
            key = base64.b64encode(os.urandom(16)).decode()

            def frame(text):
                mask = os.urandom(4)
                return bytes([0x81, 0x80 | len(text)]) + mask + bytes(
                    byte ^ mask[i % 4] for i, byte in enumerate(text))
            with weir.client() as client:
                client.get("/chat", "Connection: Upgrade", "Upgrade: websocket",
                           "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
                answer = client.response()
                self.assertEqual(answer.status, 101)
                guid = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                self.assertEqual(answer.get("sec-websocket-accept"), base64.b64encode(
                    hashlib.sha1(guid.encode()).digest()).decode())
                for text in (b"hello", b"x" * 125):
                    client.send(frame(text))
                    self.assertEqual(client.read_exactly(2 + len(text))[2:], text)
        finally:
            node.terminate()
            node.wait()
            weir.stop()


if __name__ == "__main__":
    unittest.main()
