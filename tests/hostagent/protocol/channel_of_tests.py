"""A controller's and agents' ends of the wire that write down all that happens to them."""

import asyncio
from contextlib import ExitStack

from innkeeper_hostagent.protocol import keys
from innkeeper_hostagent.protocol.gateway import Gateway
from innkeeper_hostagent.protocol.link import Link, Pauses
from innkeeper_hostagent.protocol.messages import Hello, Joined, Welcome
from innkeeper_hostagent.protocol.session import SessionLimits

#: Nothing in these tests takes as long; it only ends a test that would hang.
PATIENCE_S = 20.0
INTERVAL_S = 5.0
CONTROLLER_KEYS = keys.generate()
AGENT_KEYS = keys.generate()
HELLO = Hello(major=1, minor=0, agent_version="0.1.0", host_name="a")
PAUSES = Pauses(first_s=0.01, longest_s=0.05, refused_s=0.05)


class Diary:
    """Entries in the order in which they happened, and waiting for one to come."""

    def __init__(self):
        self.entries = []
        self._new = asyncio.Event()

    def write(self, *entry):
        self.entries.append(entry)
        self._new.set()

    async def until(self, *entry, times=1):
        async with asyncio.timeout(PATIENCE_S):
            while self.entries.count(entry) < times:
                self._new.clear()
                await self._new.wait()


async def until(holds):
    """Wait for a condition that nobody tells of."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - sockets and counters set no event
            await asyncio.sleep(0.002)


class Channel:
    """Makes both ends and closes what it made."""

    def __init__(self, endpoint="tcp://127.0.0.1:0", context=None):
        self.endpoint = endpoint
        self.context = context
        self.loop = asyncio.get_running_loop()
        self.failures = []
        self.loop.set_exception_handler(lambda _, context: self.failures.append(context))
        self.hosts = {AGENT_KEYS.public: 1}
        self.diary = Diary()
        self.stack = ExitStack()
        self.gateway = None
        self.answer = lambda host_id: Welcome(host_id=host_id, host_name=f"h{host_id}", heartbeat_interval_s=INTERVAL_S)
        self.join_answer = Joined(host_id=9, host_name="new")

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.stack.close()
        # What was still scheduled when the sockets were closed must do no harm.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert self.failures == []

    def open_gateway(self, *, interval_s=INTERVAL_S, limits=None):
        def on_connected(host_id, hello):
            self.diary.write("connected", host_id, hello.host_name)
            return self.answer(host_id)

        def on_join(public_key, message):
            self.diary.write("join", public_key, message.host_name)
            return self.join_answer

        self.gateway = Gateway(
            self.endpoint,
            CONTROLLER_KEYS,
            loop=self.loop,
            host_of_key=self.hosts.get,
            on_message=lambda host_id, message: self.diary.write("message", host_id, message),
            on_join=on_join,
            on_connected=on_connected,
            on_lost=lambda host_id: self.diary.write("lost", host_id),
            heartbeat_interval_s=interval_s,
            context=self.context,
            limits=limits or SessionLimits(resend_after_s=0.2),
        )
        self.gateway.start()
        self.endpoint = self.gateway.endpoint
        self.stack.callback(self.gateway.close)
        return self.gateway

    def open_link(self, agent_keys=AGENT_KEYS, *, server_key=CONTROLLER_KEYS.public, hello=HELLO, limits=None):
        link = Agent(self, agent_keys, server_key=server_key, hello=hello, limits=limits)
        self.stack.callback(link.close)
        link.start()
        return link


class Agent(Link):
    """A link with a diary."""

    def __init__(self, channel, agent_keys, *, server_key, hello, limits):
        self.diary = Diary()
        super().__init__(
            channel.endpoint,
            server_key,
            agent_keys,
            loop=channel.loop,
            hello=lambda: hello,
            on_welcome=lambda welcome: self.diary.write("welcome", welcome.host_name),
            on_refused=lambda refused: self.diary.write("refused", refused.code),
            on_message=lambda message: self.diary.write("message", message),
            on_lost=lambda: self.diary.write("lost"),
            context=channel.context,
            limits=limits or SessionLimits(resend_after_s=0.2),
            pauses=PAUSES,
        )


def run(scenario):
    """Run an asynchronous test to its end."""

    def test(*arguments, **named):
        asyncio.run(asyncio.wait_for(scenario(*arguments, **named), 2 * PATIENCE_S))

    test.__name__ = scenario.__name__
    test.__wrapped__ = scenario
    return test
