"""Alerts: what fires, who is told, and how often.

Goal: traffic beyond a threshold is one message to the webhook, in its format, and stays one over runs
and a restart within the cooldown; no private address is reached unless allowed; nothing that is
printed holds the webhook's secret.
"""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import threading
import unittest

from harness import Client, Upstream, Weir, WeirTest, wait_for

import clock  # On the path that the harness adds.

SECRET = "/hook/token-0123456789"
# A key and the certificate that it signed for itself: for localhost, and trusted by nobody.
SELF_SIGNED = """
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpsj1EDbce0vnksr0
KMPomvc/7oFw7xZ3qhm7DyEMqZehRANCAASnQMM+ITQXVnm/VthbNOj7fFLpAgHg
p8i+UGtWXp99Rx41yuy4tCMZYMtPPueoE71RLfNyUmVLSewzAFBdozq7
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUF8x0WaRmKDztytCpJuGbUx2c+yIwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNjIxMTk1MVoYDzIxMjYxMTAy
MjExOTUxWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASnQMM+ITQXVnm/VthbNOj7fFLpAgHgp8i+UGtWXp99Rx41yuy4tCMZ
YMtPPueoE71RLfNyUmVLSewzAFBdozq7o28wbTAdBgNVHQ4EFgQUWDBv8pDUiFuI
doKRf+5KbA8kPiowHwYDVR0jBBgwFoAUWDBv8pDUiFuIdoKRf+5KbA8kPiowDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgNrfbq5yXhFJ7o6ZkpKmOqTTU3N6g6RWS/yqjiteQHXUCIQDV
H3RgWlPxzCMnT9oqsF+xeTwmT9l2PVJRyROJscdFQQ==
-----END CERTIFICATE-----
"""
CONFIG = """
[stats]
traffic_threshold = 5
[triggers]
crons = {{alerts = "0 0 1 1 *"}}
{alerts}
[[routes]]
id = "all"
pattern = "/**"
upstreams = ["{upstream}"]
"""


class Receiver(Upstream):
    """A webhook that answers what a test says and keeps what came."""

    def __init__(self):
        super().__init__()
        self.messages = []
        self.status, self.body = "200 OK", b"ok"
        self.release = threading.Event()  # Of a status None: then there is no answer.
        self.on(SECRET)(self.take)

    def take(self, wire, head):
        request = wire.read_body(head)
        self.messages.append(json.loads(request.body))
        if self.status is None:
            self.release.wait(60)
            wire.close()
        else:
            wire.answer(self.body, status=self.status)


class Alerts(unittest.TestCase):
    def setUp(self):
        clock.keep_clear_of_the_end_of(clock.TRAFFIC_WINDOW_S, 40)
        self.upstream = Upstream()
        self.addCleanup(self.upstream.close)
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)

    def config(self, alerts="", webhook='format = "generic"\nallow_private = true\n'):
        text = f'[alerts]\n{alerts}\n[alerts.webhook]\nurl = "{self.receiver.url}{SECRET}"\n{webhook}'
        return CONFIG.format(alerts=text, upstream=self.upstream.url)

    def serve(self, *arguments, **options):
        self.weir = Weir(self.config(*arguments, **options))
        self.addCleanup(self.stop, self.weir)
        self.run_job()  # Else the run that each start makes may come at any moment.

    def stop(self, weir):
        self.assertNotIn("token-0123456789", weir.output())
        weir.stop()

    def run_job(self):
        """One evaluation, with a database and the state of the traffic at hand."""
        wait_for(lambda: self.status()["traffic"], "the traffic's state is loaded")
        code, out, err = self.weir.run("jobs", "run", "alerts")
        self.assertEqual((code, err), (0, ""))
        return out

    def command(self, *arguments):
        code, out, err = self.weir.run(*arguments)
        self.assertNotIn("token-0123456789", out + err)
        return code, out, err

    def status(self):
        return json.loads(self.command("status", "--json")[1])

    def listed(self):
        code, out, _ = self.command("alerts", "list", "--json")
        answer = json.loads(out)
        self.assertEqual(code, 3 if answer["alerts"] else 0)
        return answer

    def ask(self, count, status=200):
        total = self.status()["traffic"]["total_requests"]
        with self.weir.client() as client:
            for _ in range(count):
                self.assertEqual(client.ask("/a").status, status)
        wait_for(lambda: self.status()["traffic"]["total_requests"] == total + count,
                 f"{count} requests are observed")

    def ids(self):
        return [message.get("id") for message in self.receiver.messages]

    def test_traffic_beyond_its_threshold_is_told_once_over_runs_and_restarts(self):
        self.serve()
        self.assertEqual(self.listed()["alerts"], [])
        self.assertEqual(self.receiver.messages, [])
        self.ask(7)
        out = self.run_job()
        self.assertIn("1 alerts are raised, 1 messages were delivered, 0 not", out)
        self.assertEqual(self.ids(), ["traffic-threshold"])
        message = self.receiver.messages[0]
        self.assertEqual((message["event"], message["severity"], message["value"]),
                         ("raised", "warning", 7))
        self.assertLess(abs(message["since"] - message["timestamp"]), 10_000)
        self.run_job()
        self.assertEqual(len(self.receiver.messages), 1)

        listed = self.listed()
        self.assertEqual(listed["summary"], {"total": 1, "critical": 0, "warning": 1, "info": 0})
        alert = listed["alerts"][0]
        self.assertEqual((alert["id"], alert["link"]), ("traffic-threshold", "/dashboard"))
        self.assertGreaterEqual(alert["notified"], alert["since"])
        status = self.status()
        self.assertEqual([each["id"] for each in status["alerts"]], ["traffic-threshold"])
        self.assertEqual(status["webhook"]["delivered"], 1)
        self.assertEqual(status["webhook"]["url"], self.receiver.url + "/***")
        text = self.command("status")[1]
        self.assertRegex(text, r"traffic-threshold +warning +7 requests")
        self.assertRegex(text, r"webhook +http://127.0.0.1:\d+/\*\*\*, answered 200: ok")
        self.assertIn("no alarms", text)
        self.assertRegex(self.command("alerts", "list")[1], r"traffic-threshold +warning +20")

        for number in (signal.SIGTERM, signal.SIGKILL):
            self.weir.start_again(number)
            self.run_job()
            self.assertEqual([each["id"] for each in self.listed()["alerts"]],
                             ["traffic-threshold"])
            self.assertEqual(len(self.receiver.messages), 1)
        raised = re.findall(r"alert traffic-threshold: warning", self.weir.output())
        self.assertEqual(len(raised), 1)

    def test_feishu_and_slack_get_one_message_in_their_forms(self):
        for form, path in (("feishu", ("content", "text")), ("slack", ("text",))):
            with self.subTest(form):
                receiver = self.receiver = Receiver()
                self.addCleanup(receiver.close)
                receiver.body = b'{"code":0,"msg":"success"}'
                self.serve(webhook=f'format = "{form}"\nallow_private = true\n')
                self.ask(6)
                self.run_job()
                self.run_job()
                self.assertEqual(len(receiver.messages), 1)
                message = receiver.messages[0]
                if form == "feishu":
                    self.assertEqual(message["msg_type"], "text")
                for name in path:
                    message = message[name]
                self.assertRegex(message, r"^\[warning\] \S+: Traffic above its threshold\n6 req")

    def test_feishu_says_in_its_body_that_it_took_nothing(self):
        self.receiver.body = b'{"code":19024,"msg":"Key Words Not Found"}'
        self.serve(webhook='format = "feishu"\nallow_private = true\n')
        code, _, err = self.command("alerts", "test")
        self.assertEqual(code, 1)
        self.assertIn("Key Words Not Found", err)

    def test_a_client_of_many_requests_is_told_by_its_hash(self):
        self.serve("ip_spike = 3")
        self.ask(4)
        sql = "SELECT client FROM client_daily WHERE requests = 4"
        row = wait_for(lambda: self.weir.sql(sql), "the client's requests are written", 60)[0]
        self.run_job()
        name = f"ip-traffic-spike-{row['client'] % 2**64:016x}"
        self.assertEqual(self.ids(), [name])
        self.assertEqual(self.receiver.messages[0]["severity"], "warning")
        self.assertEqual(self.listed()["alerts"][0]["link"],
                         "/ip-monitor?search=" + name.removeprefix("ip-traffic-spike-"))

    def test_no_private_address_is_reached_unless_allowed_and_status_says_why(self):
        self.serve(webhook="")
        self.ask(6)
        self.assertIn("0 messages were delivered, 1 not", self.run_job())
        self.assertEqual((self.receiver.messages, self.receiver.accepted), ([], 0))

        def alarm():
            found = [each["text"] for each in self.status()["alarms"] if each["name"] == "webhook"]
            return found and found[0]
        self.assertEqual(wait_for(alarm, "the alarm is raised"),
                         f"alerts do not reach {self.receiver.url}/***: 127.0.0.1 is a loopback"
                         " address; alerts.webhook.allow_private = true allows it")
        self.assertEqual(self.command("status")[0], 3)
        code, _, err = self.command("alerts", "test")
        self.assertEqual(code, 1)
        self.assertIn("127.0.0.1 is a loopback address", err)
        self.run_job()
        self.assertEqual([each["id"] for each in self.listed()["alerts"]], ["traffic-threshold"],
                         "a webhook that fails is nothing to tell the webhook")

        # Allowed by a reload: what was not told is, and the alarm is over.
        self.weir.reload(self.config())
        self.assertEqual(self.command("alerts", "test")[:2],
                         (0, f"delivered to {self.receiver.url}/***: answered 200: ok\n"))
        self.assertEqual(alarm(), [])
        self.assertIn("test", self.ids())

    def test_a_webhook_that_fails_is_an_alarm_and_what_was_not_told_is_told_later(self):
        self.receiver.status, self.receiver.body = "403 Forbidden", b"no " + SECRET.encode()
        self.serve()
        self.ask(6)
        self.run_job()
        self.assertEqual(self.ids(), ["traffic-threshold"])
        alarms = wait_for(lambda: self.status()["alarms"], "the alarm is raised")
        self.assertEqual([alarm["name"] for alarm in alarms], ["webhook"])
        self.assertTrue(alarms[0]["text"].endswith("answered 403: no ***"), alarms)
        self.assertEqual(self.listed()["alerts"][0]["notified"], None)
        self.receiver.status = "200 OK"
        self.weir.start_again(signal.SIGTERM)  # Else the next try is a minute away.
        self.run_job()
        self.assertEqual(self.ids(), ["traffic-threshold"] * 2)
        self.assertNotEqual(self.listed()["alerts"][0]["notified"], None)

    def test_a_certificate_that_nobody_trusts_ends_it_before_anything_is_sent(self):
        self.serve()
        pem = os.path.join(self.weir.dir, "self-signed.pem")
        with open(pem, "w", encoding="ascii") as file:
            file.write(SELF_SIGNED)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        seen = []

        def serve_tls(listener):
            with contextlib.suppress(OSError):  # Which the end of the listener is, too.
                while True:
                    sock, _ = listener.accept()
                    try:
                        with context.wrap_socket(sock, server_side=True) as wrapped:
                            seen.append(wrapped.recv(65536))
                    except OSError:
                        seen.append(b"")

        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=serve_tls, args=(listener,), daemon=True).start()
            url = f"https://localhost:{listener.getsockname()[1]}"
            self.weir.reload(self.config().replace(self.receiver.url, url))
            code, _, err = self.command("alerts", "test")
            wait_for(lambda: seen, "somebody came")
            listener.shutdown(socket.SHUT_RDWR)
        self.assertEqual(code, 1)
        self.assertRegex(err, rf"not delivered to {url}/\*\*\*: .*certificate")
        self.assertEqual(b"".join(seen), b"")

    def test_the_end_of_the_process_does_not_wait_for_a_webhook(self):
        self.receiver.status = None
        self.addCleanup(self.receiver.release.set)
        self.serve(webhook='allow_private = true\ntimeout = "30s"\n')
        self.ask(6)
        waiting = threading.Thread(target=self.weir.run, args=("jobs", "run", "alerts"))
        waiting.start()
        wait_for(lambda: self.receiver.messages, "the message is on its way")
        self.weir.process.send_signal(signal.SIGTERM)
        self.weir.process.wait(20)
        waiting.join()

    def test_metrics_and_the_history_of_jobs(self):
        self.weir = Weir(self.config().replace("[stats]", '[listen]\ntraffic = ["{traffic}"]\n'
                                               'admin = "unix:{dir}/admin.sock"\n[stats]'))
        self.addCleanup(self.stop, self.weir)
        self.run_job()
        self.ask(6)
        self.run_job()
        with Client(self.weir.dir + "/admin.sock") as client:
            metrics = client.ask("/metrics").body.decode()
        self.assertIn('weir_alert{id="traffic-threshold",severity="warning"} 1\n', metrics)
        self.assertIn('weir_webhook_total{result="delivered"} 1\n', metrics)
        self.assertIn('weir_webhook_total{result="unreachable"} 0\n', metrics)
        runs = json.loads(self.command("jobs", "history", "alerts", "--json")[1])
        self.assertEqual([(run["trigger"], run["status"]) for run in runs],
                         [("manual", "succeeded")] * 2, "runs by schedule leave no trace")


class WithoutWebhook(WeirTest):
    CONFIG = CONFIG.replace("{alerts}", "").replace("{{", "{").replace("}}", "}")

    def test_alerts_fire_and_nobody_is_told(self):
        code, out, err = self.weir.run("alerts", "test")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("alerts.webhook.url is empty", err)
        self.assertEqual(self.weir.run("alerts", "list")[:2], (0, "no alerts\n"))

    def test_without_a_server_there_is_nothing_to_ask(self):
        for arguments in (("alerts", "list"), ("alerts", "test")):
            code, out, err = self.weir.run(*arguments, "--data", "/nonexistent")[:3]
            self.assertNotEqual(code, 0)
            self.assertEqual(out, "")


if __name__ == "__main__":
    unittest.main()
