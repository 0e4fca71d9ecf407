"""Starts and stops what is measured: the upstream, the peers, the floor and Weir.

Every server listens on a free port of 127.0.0.1, lives in its own directory, runs one worker, and
is ended by its process id.
"""

import http.client
import json
import resource
import shutil
import socket
import subprocess
import time
from pathlib import Path

import readings

BODY = '{"items":["' + "x" * 1011 + '"]}'  # 1024 bytes.
PATH = "/kv/item"
READY_SECONDS = 15
DRAIN_SECONDS = 180

NGINX_UPSTREAM = """
worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  default_type application/json;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ return 200 '{body}'; }}
  }}
}}
"""
# As users run it: access log in JSON, buffered, and a rate limit that does not bite.
NGINX_PROXY = """
worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
worker_rlimit_nofile {files};
events {{ worker_connections {files}; }}
http {{
  log_format json escape=json '{{"time":"$time_iso8601","client":"$remote_addr",'
    '"method":"$request_method","path":"$uri","status":$status,"bytes":$bytes_sent,'
    '"seconds":$request_time,"upstream":"$upstream_addr",'
    '"upstream_seconds":"$upstream_response_time","agent":"$http_user_agent"}}';
  access_log {dir}/access.log json buffer=64k flush=1s;
  limit_req_zone $binary_remote_addr zone=clients:10m rate={rate};
  limit_req_status 429;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  upstream items {{
    server 127.0.0.1:{upstream};
    keepalive 256;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      limit_req zone=clients {burst};
      proxy_pass http://items;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""
# The same: a stick table that counts each client's requests, and a log, to a ring in memory.
HAPROXY = """
global
  nbthread 1
  no strict-limits
  maxconn {clients}
  log ring@requests format rfc5424 local0
ring requests
  format rfc5424
  maxlen 1200
  size 1048576
defaults
  mode http
  log global
  option httplog
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
frontend traffic
  bind 127.0.0.1:{port} backlog 4096
  stick-table type ip size 100k expire 60s store http_req_rate({period})
  http-request track-sc0 src
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {limit} }}
  default_backend items
backend items
  server item 127.0.0.1:{upstream}
"""
WEIR = """
[server]
workers = {workers}
[listen]
traffic = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"
[stats]
record = {record}
{rules}
[[routes]]
id = "items"
pattern = "/kv/*"
upstreams = ["http://127.0.0.1:{upstream}"]
{limits}
"""
# Two that do not bite.
LIMITS = """rate_limit = [{limit = 1_000_000_000, window = 60},
  {limit = 1_000_000_000, window = "1h", per = "route"}]"""
DENYING_LIMIT = 'rate_limit = {limit = 1, window = "31d"}'


def guard_rules(database: Path) -> str:
    """10,000 IP rules, 500 geographic rules, half of them of paths, and 1000 path rules, of which
    the requests of a benchmark meet none. `database` says that they come from Germany."""
    rules = [f'[geo]\ndatabase = "{database}"']
    for number in range(10_000):
        address = f"198.{18 + number // 65536}.{number // 256 % 256}.{number % 256}"
        rules.append(f'[[ip_rules]]\nmatch = ["{address}"]\naction = "block"')
    countries = ("FR", "IT", "ES", "CN", "JP", "US", "BR", "IN", "ZA", "AU")
    for number in range(500):
        scope = f'paths = ["/kv/{number}/*"]' if number % 2 else ""
        country = countries[number % len(countries)]
        rules.append(f'[[geo_rules]]\ncountries = ["{country}"]\naction = "block"\n{scope}')
    for number in range(1000):
        rules.append(f'[[path_rules]]\nid = "rule-{number}"\npattern = "/kv/{number}/*"\n'
                     "rate_limit = {limit = 10}")
    return "\n".join(rules)


class ServerError(Exception):
    """A server did not start, answer or stop as it must."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def file_limit() -> int:
    """Open files a server may have; children inherit it."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Server:
    """One running server. `pid` is the process that carries the traffic."""

    def __init__(self, name: str, command: list[str], port: int, directory: Path, core: int | None):
        self.name, self.command, self.port, self.directory = name, command, port, directory
        self.core = core
        self.process: subprocess.Popen | None = None
        self.pid = 0

    def start(self) -> "Server":
        pinned = [] if self.core is None else ["taskset", "-c", str(self.core)]
        with open(self.directory / "output.log", "ab") as output:
            self.process = subprocess.Popen(
                pinned + self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            self._wait_until_ready()
        except ServerError:
            self.stop()
            raise
        self.pid = self._worker()
        return self

    def _worker(self) -> int:
        """nginx carries traffic in its only child, the others in the process itself."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = file.read().split()
        return int(children[0]) if self.name.startswith(("nginx", "upstream")) else pid

    def _wait_until_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        last = "no answer"
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if self.get() == 200:
                    return
                last = "not 200"
            except (OSError, http.client.HTTPException) as error:
                last = repr(error)
            time.sleep(0.02)
        output = (self.directory / "output.log").read_text(errors="replace")[-2000:]
        command = " ".join(self.command)
        raise ServerError(f"{self.name} does not answer ({last}): {command}\n{output}")

    def get(self) -> int:
        """Status of one request through the server."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", PATH)
            response = connection.getresponse()
            body = response.read()
            if response.status == 200 and body != BODY.encode():
                raise ServerError(f"{self.name} changed the body")
            return response.status
        finally:
            connection.close()

    def stop(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def loop_seconds(self) -> float:
        """Processor time of the threads that carry traffic: of a peer, the whole process."""
        return readings.process_seconds(self.pid)

    def wait_drained(self):
        """Peers leave no work behind."""


class Weir(Server):
    def __init__(self, *arguments, data: Path):
        super().__init__(*arguments)
        self.data = data

    def loop_seconds(self) -> float:
        loops = readings.thread_seconds(self.pid, "loop-")
        if not loops:
            raise ServerError("no thread of weir is named loop-*")
        return sum(loops.values())

    def backlog(self) -> int:
        command = [self.command[0], "status", "--data", str(self.data), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        try:
            return int(json.loads(done.stdout)["journal"]["backlog_records"])
        except (ValueError, KeyError, TypeError) as error:
            text = (done.stdout + done.stderr)[:1000]
            raise ServerError(f"weir status: no journal.backlog_records ({error!r}): {text}")

    def wait_drained(self):
        """Until the database holds all that was answered. Asks twice: a record may be on its way
        between two places of which each is read on its own."""
        deadline = time.monotonic() + DRAIN_SECONDS
        zeros = 0
        while zeros < 2:
            if time.monotonic() > deadline:
                raise ServerError(f"weir's backlog is not zero after {DRAIN_SECONDS} s")
            zeros = zeros + 1 if self.backlog() == 0 else 0
            time.sleep(0.1)


class Fleet:
    """Makes servers below one directory and ends all of them on leaving."""

    def __init__(self, directory: Path, floor: Path, weir: Path | None, cores: tuple[int, int]):
        """`cores`: where the measured servers run, and where load and upstream do."""
        self.directory, self.floor_path, self.weir_path = directory, floor, weir
        self.proxy_core, self.load_core = cores
        self._servers: list[Server] = []
        self._made = 0
        self.upstream: Server | None = None

    def __enter__(self) -> "Fleet":
        self.upstream = self._nginx("upstream", NGINX_UPSTREAM, self.load_core, body=BODY)
        try:
            self.upstream.start()
        except ServerError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in reversed(self._servers):
            server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def pids(self) -> list[int]:
        return [server.pid for server in self._servers if server.process is not None]

    def remove(self, server: Server):
        server.stop()
        self._servers.remove(server)
        shutil.rmtree(server.directory, ignore_errors=True)

    def _place(self, name: str) -> Path:
        self._made += 1
        place = self.directory / f"{self._made}-{name}"
        place.mkdir()
        return place

    def _keep(self, server: Server) -> Server:
        self._servers.append(server)
        return server

    def _nginx(self, name: str, template: str, core: int | None, **values) -> Server:
        port, place = free_port(), self._place(name)
        config = place / "nginx.conf"
        config.write_text(template.format(dir=place, port=port, files=file_limit(), **values))
        command = ["nginx", "-c", str(config), "-e", str(place / "error.log")]
        return self._keep(Server(name, command, port, place, core))

    def nginx(self, core: int | None, denying: bool = False) -> Server:
        limit = {"rate": "1r/m", "burst": ""} if denying else \
            {"rate": "1000000r/s", "burst": "burst=1000000 nodelay"}
        return self._nginx("nginx", NGINX_PROXY, core, upstream=self.upstream.port, **limit)

    def haproxy(self, core: int | None, denying: bool = False) -> Server:
        port, place = free_port(), self._place("haproxy")
        config = place / "haproxy.cfg"
        values = {"port": port, "upstream": self.upstream.port, "clients": file_limit() - 1000}
        values |= {"limit": 1, "period": "1h"} if denying else {"limit": 10**8, "period": "10s"}
        config.write_text(HAPROXY.format(**values))
        command = ["haproxy", "-db", "-f", str(config)]
        return self._keep(Server("haproxy", command, port, place, core))

    def floor(self, core: int | None) -> Server:
        port = free_port()
        command = [str(self.floor_path), str(port), str(self.upstream.port)]
        return self._keep(Server("floor", command, port, self._place("floor"), core))

    def weir(self, core: int | None, workers: int = 1, record: bool = True, name: str = "",
             rules: str = "", limits: str = "") -> Weir:
        port, place = free_port(), self._place("weir")
        config, data = place / "weir.toml", place / "data"
        data.mkdir()
        config.write_text(
            WEIR.format(
                workers=workers,
                port=port,
                admin=free_port(),
                record=str(record).lower(),
                upstream=self.upstream.port,
                rules=rules,
                limits=limits,
            )
        )
        name = name or ("weir" if record else "weir, not recording")
        command = [str(self.weir_path), "serve", "--config", str(config), "--data", str(data)]
        return self._keep(Weir(name, command, port, place, core, data=data))

    def all(self, core: int | None) -> list[Server]:
        """Peers, floor and, if there is one, Weir; not started."""
        servers = [self.nginx(core), self.haproxy(core), self.floor(core)]
        return servers + ([self.weir(core)] if self.weir_path else [])
