"""Open consoles: what the guest prints goes out, what is typed goes in, and every ending is told."""

import asyncio
import queue

from innkeeper_hostagent.consoles import MAX_CHUNK_BYTES, Consoles
from innkeeper_hostagent.protocol.messages import ConsoleOutput
from innkeeper_plugins.errors import DriverError


class Guest:
    """A console that echoes in upper case."""

    def __init__(self, *printed):
        self.printed = queue.Queue()
        for data in printed:
            self.printed.put(data)
        self.closed = False

    def read(self, timeout_s):
        try:
            return self.printed.get(timeout=timeout_s)
        except queue.Empty:
            return b""

    def write(self, data):
        if data == b"\x04":
            raise DriverError("the guest hung up")
        self.printed.put(data.upper())

    def close(self):
        self.closed = True


def played(scenario, *, max_open=4):
    async def run():
        sent = asyncio.Queue()
        consoles = Consoles(loop=asyncio.get_running_loop(), send=sent.put_nowait, max_open=max_open)

        async def told():
            while True:
                output = await asyncio.wait_for(sent.get(), 10)
                if output.data or output.ended:
                    return output

        await scenario(consoles, told)

    asyncio.run(run())


def printed(data, stream_id=1):
    return ConsoleOutput(stream_id=stream_id, data=data)


def ended(reason, stream_id=1):
    return ConsoleOutput(stream_id=stream_id, ended=True, reason=reason)


def test_what_the_guest_prints_and_what_is_typed_pass_through_until_it_is_closed():
    guest = Guest(b"login: ")

    async def scenario(consoles, told):
        consoles.open(1, lambda: guest)
        assert await told() == printed(b"login: ")
        consoles.type(1, b"root")
        assert await told() == printed(b"ROOT")
        consoles.close(1)
        assert await told() == ended("closed")
        consoles.type(1, b"too late")

    played(scenario)
    assert guest.closed


def test_a_console_that_ends_or_fails_or_never_opens_says_why():
    def refuse():
        raise DriverError("VM 7 does not run", code="guest_missing")

    async def scenario(consoles, told):
        consoles.open(1, lambda: Guest(None))
        assert await told() == ended("the console has ended")
        consoles.open(2, Guest)
        consoles.type(2, b"\x04")
        assert await told() == ended("the guest hung up", 2)
        consoles.open(3, refuse)
        assert await told() == ended("VM 7 does not run", 3)

    played(scenario)


def test_a_flood_is_cut_into_messages_that_the_wire_takes():
    async def scenario(consoles, told):
        consoles.open(1, lambda: Guest(b"x" * (MAX_CHUNK_BYTES + 1)))
        assert [len((await told()).data) for _ in range(2)] == [MAX_CHUNK_BYTES, 1]
        consoles.close_all()
        assert await told() == ended("closed")

    played(scenario)


def test_only_so_many_consoles_are_open_at_once_and_the_same_stream_is_one():
    async def scenario(consoles, told):
        consoles.open(1, Guest)
        consoles.open(1, Guest)
        consoles.open(2, Guest)
        assert (await told()).stream_id == 2
        consoles.close(1)
        assert await told() == ended("closed")

    played(scenario, max_open=1)
