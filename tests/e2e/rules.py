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

    def metric(self, name, action):
        with Client(self.admin) as client:
            text = client.ask("/metrics").body.decode()
        return int(re.search(rf'^{name}{{action="{action}"}} (\d+)$', text, re.M).group(1))
