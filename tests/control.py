"""Asks a running server through its control socket, as the commands of weir do."""

import json
import os
import socket


def ask(data, **question):
    """The server's answer; OSError or ValueError where none comes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(os.path.join(data, "control.sock"))
        sock.sendall(json.dumps(question).encode() + b"\n")
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return json.loads(answer)
