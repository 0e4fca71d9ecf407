"""A real nginx as upstream, answering out of its configuration."""

import os
import shutil
import socket
import subprocess
import tempfile

from harness import free_port, wait_for

CONFIG = """
daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 10000000; chunked_transfer_encoding on;
  client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;
  uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ return 200 "hello"; }}
    location /x/empty/ {{ return 204; }}
    location /x/missing/ {{ return 404 "not here"; }}
    # A server-side include makes the length unknown, so nginx sends it chunked.
    location /x/chunked/ {{ ssi on; ssi_types *; root {dir}; try_files /chunked.html =404; }}
  }}
}}
"""


class Nginx:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="weir-exact-nginx-")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        path = os.path.join(self.dir, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(dir=self.dir, port=self.port))
        with open(os.path.join(self.dir, "chunked.html"), "w", encoding="utf-8") as file:
            file.write("<!--#echo var=\"request_method\" -->" + "x" * 2000)
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = subprocess.Popen([program, "-c", path, "-p", self.dir],
                                        stderr=subprocess.DEVNULL)
        wait_for(self._accepts, "nginx accepts")

    def _accepts(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
