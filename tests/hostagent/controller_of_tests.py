"""A tiny controller on the real gateway: enrols hosts, remembers what they say, asks what a test wants asked."""

import asyncio

from innkeeper_hostagent.protocol import keys
from innkeeper_hostagent.protocol.gateway import Gateway
from innkeeper_hostagent.protocol.join import JoinToken, digest, new_secret
from innkeeper_hostagent.protocol.messages import Goodbye, Heartbeat, Joined, LegEnded, Refused, Welcome


class Controller:
    def __init__(self, *, endpoint="tcp://127.0.0.1:0", heartbeat_interval_s=5.0, keys_=None):
        self.keys = keys_ or keys.generate()
        self.hosts = {}
        self.names = {}
        self.secrets = {}
        self.said = []
        self.hellos = []
        self.confirmed = ()
        self.refusal = None
        self.cluster_id = ""
        self.keep_heartbeats = False
        self.lost = []
        self._heard = asyncio.Event()
        self._interval_s = heartbeat_interval_s
        self.gateway = Gateway(
            endpoint,
            self.keys,
            loop=asyncio.get_running_loop(),
            host_of_key=self.hosts.get,
            on_message=self._on_message,
            on_join=self._on_join,
            on_connected=self._on_connected,
            on_lost=self._on_lost,
            heartbeat_interval_s=heartbeat_interval_s,
        )
        self.gateway.start()

    def token(self, name):
        secret = new_secret()
        self.secrets[digest(secret)] = name
        return JoinToken(self.gateway.endpoint, self.keys.public, secret).text()

    def enrol(self, public_key, name="h1"):
        host_id = len(self.hosts) + 1
        self.hosts[public_key] = host_id
        self.names[host_id] = name

    async def wait_for(self, found):
        """Return the first thing that ``found`` finds in what was said; it may have been said before."""
        async with asyncio.timeout(10):
            while (result := next((message for message in self.said if found(message)), None)) is None:
                self._heard.clear()
                await self._heard.wait()
        return result

    async def hear(self, kind):
        return await self.wait_for(lambda message: isinstance(message, kind))

    async def ask(self, order):
        """Give the order, and return the answer to it."""
        self.gateway.send(1, order)
        return await self.wait_for(
            lambda message: (
                isinstance(message, LegEnded)
                and (message.operation_id, message.leg, message.undo) == (order.operation_id, order.leg, order.undo)
            )
        )

    def forget_what_was_said(self):
        self.said.clear()

    def close(self):
        self.gateway.close()

    def _note(self, message):
        self.said.append(message)
        self._heard.set()

    def _on_message(self, host_id, message):
        if self.keep_heartbeats or not isinstance(message, Heartbeat):
            self._note(message)
        self.gateway.confirm(host_id)

    def _on_join(self, public_key, message):
        if public_key in self.hosts:
            host_id = self.hosts[public_key]
            return Joined(host_id=host_id, host_name=self.names[host_id], cluster_id=self.cluster_id)
        name = self.secrets.pop(digest(message.token), None)
        if name is None:
            return Refused(code="bad_token", message="this token is not known")
        self.enrol(public_key, name)
        return Joined(host_id=self.hosts[public_key], host_name=name, cluster_id=self.cluster_id)

    def _on_connected(self, host_id, hello):
        if self.refusal is not None:
            return self.refusal
        self.hellos.append(hello)
        self._note(hello)
        return Welcome(
            host_id=host_id,
            host_name=self.names[host_id],
            heartbeat_interval_s=self._interval_s,
            confirmed=self.confirmed,
        )

    def _on_lost(self, host_id):
        self.lost.append(host_id)
        self._note(Goodbye(reason="lost"))
