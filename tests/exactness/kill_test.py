"""SIGKILL at random instants under concurrent load, many times on one data directory.

Goal: every response that a client received complete is recorded, and nothing is recorded twice.
Method: one thread drives all connections and notes the moment each response was complete. Once the
epoch's time is up it kills the process in the middle of the traffic, at most 5 ms after a response
was received, and reads what the kernel still holds. Paths are unique: /x/e7c3n120.
WEIR_KILLS= says how often (50), WEIR_SEED= repeats the instants.
"""

import os
import random
import selectors
import socket
import time
import unittest

from books import compare
from exchanges import Ledger
from harness import Node, fast_binary
from nginx import Nginx

KILLS = int(os.environ.get("WEIR_KILLS", "50"))
SEED = int(os.environ.get("WEIR_SEED", str(random.randrange(1 << 32))))
CONNECTIONS = 24
LAST_MS = 5


class Connection:
    """Keeps `depth` requests in flight; the paths of those unanswered, oldest first."""

    def __init__(self, load, number, depth):
        self.load = load
        self.number = number
        self.depth = depth
        self.waiting = []
        self.buffer = b""
        self.requests = 0
        self.sock = socket.create_connection(("127.0.0.1", load.port), 5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self):
        paths = []
        while len(self.waiting) + len(paths) < self.depth:
            self.requests += 1
            kind = ("length", "chunked", "empty", "missing")[self.requests % 4]
            paths.append(f"/x/{kind}/e{self.load.ledger.epoch}c{self.number}n{self.requests}")
        self.load.ledger.sent.update(paths)
        self.waiting += paths
        self.sock.sendall(b"".join(b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n" % path.encode()
                                   for path in paths))

    def receive(self):
        """Takes what is there; False at the end of the stream."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.buffer += data
        while self.take():
            self.load.ledger.complete.add(self.waiting.pop(0))
            self.load.completed_at = time.monotonic()
        return bool(data)

    def take(self):
        """Takes one complete response from the buffer."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        end += 4
        head = self.buffer[:end].lower()
        if head.startswith(b"http/1.1 204"):
            pass
        elif b"transfer-encoding: chunked" in head:
            last = self.buffer.find(b"0\r\n\r\n", end)
            if last < 0:
                return False
            end = last + 5
        else:
            at = head.index(b"content-length: ") + 16
            end += int(head[at:head.index(b"\r", at)])
        if len(self.buffer) < end:
            return False
        self.buffer = self.buffer[end:]
        return True


class Load:
    """One epoch's clients."""

    def __init__(self, port, ledger, dice):
        self.port = port
        self.ledger = ledger
        self.completed_at = 0.0
        self.connections = [Connection(self, number, dice.choice([1, 1, 1, 4]))
                            for number in range(CONNECTIONS)]

    def run(self, node, seconds, delay):
        """Drives the load for `seconds` and `delay` after the response that came last by then, then
        kills the node. Returns how long before the kill the last response had been received."""
        with selectors.DefaultSelector() as selector:
            for connection in self.connections:
                connection.sock.setblocking(False)
                connection.send()
                selector.register(connection.sock, selectors.EVENT_READ, connection)
            end = time.monotonic() + seconds
            kill_at = None
            while True:
                for key, _ in selector.select(0.0005):
                    if not key.data.receive():
                        raise AssertionError("a connection ended before the kill\n" + node.output())
                    key.data.send()
                now = time.monotonic()
                if now > end + 20:
                    raise AssertionError("no response for 20 s\n" + node.output())
                if now > end and kill_at is None:
                    kill_at = self.completed_at + delay
                if kill_at and now >= kill_at and now - self.completed_at < LAST_MS / 1000:
                    break
        killed_at = time.monotonic()
        node.kill()
        before = killed_at - self.completed_at
        for connection in self.connections:
            connection.sock.setblocking(True)
            connection.sock.settimeout(5)
            while connection.receive():
                pass
            connection.sock.close()
        return before


class KillTest(unittest.TestCase):
    def test_whatever_a_client_received_is_recorded_once(self):
        dice = random.Random(SEED)
        nginx = Nginx()
        self.addCleanup(nginx.close)
        node = Node([("x", "/x/*", nginx.url, "")], binary=fast_binary(), workers=2,
                    stats='collect = "routes"', journal='ring_bytes = "4MiB"')
        self.addCleanup(node.remove)
        ledger = Ledger()
        context = f"WEIR_SEED={SEED} WEIR_KILLS={KILLS}"
        late = []
        for _ in range(KILLS):
            ledger.epoch += 1
            node.start_and_wait()
            load = Load(node.port, ledger, dice)
            before = load.run(node, dice.uniform(0.02, 0.3), dice.uniform(0, 0.003))
            if before > LAST_MS / 1000:
                late.append(f"epoch {ledger.epoch}: {before * 1000:.1f} ms")
            if ledger.epoch % 10 == 0:
                # Not only at the end: what is found here happened in the last ten epochs.
                node.start_and_wait()
                node.drain()
                events = compare(node, ledger, f"{context}, after epoch {ledger.epoch}")
                node.kill()
        # The load generator itself may have been put off by a busy machine; rarely.
        self.assertLessEqual(len(late), KILLS // 10, f"{context}: too long before the kill: {late}")
        node.start_and_wait()
        node.drain()
        events = compare(node, ledger, context)
        node.stop()
        print(f"{KILLS} kills, {len(ledger.complete)} responses received, {events} recorded, "
              f"{len(ledger.sent) - len(ledger.complete)} in flight; {context}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
