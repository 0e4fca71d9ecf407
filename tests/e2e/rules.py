"""What the tests of rules share: a node with an admin listener, and clients with addresses of their
own, because all of 127.0.0.0/8 is here."""

import re

from harness import Client, WeirTest, wait_for
from ports import free_port


class RulesTest(WeirTest):
    """CONFIG has {admin} for the admin listener's port."""

    @classmethod
    def setUpClass(cls):
        cls.admin = ("127.0.0.1", free_port())
        cls.CONFIG = cls.CONFIG.replace("{admin}", str(cls.admin[1]))
        super().setUpClass()
        wait_for(cls.admin_answers, "the admin listener answers")

    @classmethod
    def admin_answers(cls):
        try:
            with Client(cls.admin) as client:
                return client.ask("/api/health").status == 200
        except ConnectionRefusedError:
            return False

    def ask_from(self, address, path, *fields):
        with self.weir.client(source=(address, 0)) as client:
            return client.ask(path, *fields)

    def write(self, text):
        for name, value in (("{upstream}", self.upstream.url), ("{admin}", str(self.admin[1]))):
            text = text.replace(name, value)
        self.weir.write(text)

    def metrics(self):
        with Client(self.admin) as client:
            return client.ask("/metrics").body.decode()

    def metric(self, name, action):
        """The largest of three looks: a loop that does not answer in time is left out of a sum."""
        line = re.compile(rf'^{name}{{action="{action}"}} (\d+)$', re.M)
        return max(int(line.search(self.metrics()).group(1)) for _ in range(3))
