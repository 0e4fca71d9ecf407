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


def status(data):
    """What `weir status --json` prints; None where no answer comes: it has just begun, or ends."""
    try:
        return ask(data, command="status")
    except (OSError, ValueError):
        return None


def loops_answer(data):
    """True when every loop has answered this, and so has done all that it was told before. A loop that
    was said to be stalled takes up a change before it answers."""
    try:
        return ask(data, command="bans")["complete"]
    except (OSError, ValueError):
        return False
