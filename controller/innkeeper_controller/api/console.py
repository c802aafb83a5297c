"""Guests' consoles over HTTP: what a guest prints is one endless answer, what is typed is one request each.

The host speaks in numbered streams; one ends with its reader, its guest or its host, or when it is read too slowly.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from innkeeper_controller import access
from innkeeper_controller.access import Right
from innkeeper_controller.api import queries
from innkeeper_controller.api.body import read_body
from innkeeper_controller.api.endpoints import Endpoint
from innkeeper_controller.api.identity import Caller
from innkeeper_controller.records import User
from innkeeper_controller.requests import find
from innkeeper_controller.requests.table import Who
from innkeeper_controller.shell import Controller
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_hostagent.protocol.messages import CloseConsole, ConsoleInput, ConsoleOutput, OpenConsole
from innkeeper_plugins.vocabulary import HostId, VmId

#: What may wait for one reader.
MAX_BUFFERED_BYTES: Final = 1024 * 1024
#: What may be typed at once.
MAX_INPUT_BYTES: Final = 64 * 1024
#: A host that refuses a console does so within this; after it the answer begins, whether or not the guest prints.
_REFUSES_WITHIN_S: Final = 1.0
_BYTES: Final = "application/octet-stream"


@dataclass(slots=True)
class Stream:
    """One open console."""

    stream_id: int
    host_id: HostId
    vm_id: VmId
    user_name: str
    news: asyncio.Event = field(default_factory=asyncio.Event)
    pieces: deque[bytes] = field(default_factory=deque)
    buffered_bytes: int = 0
    ended: bool = False
    #: Why it ended; empty where it is not worth a word.
    reason: str = ""

    def put(self, data: bytes) -> bool:
        """Keep what was printed; False where the reader leaves too much of it."""
        self.pieces.append(data)
        self.buffered_bytes += len(data)
        self.news.set()
        return self.buffered_bytes <= MAX_BUFFERED_BYTES

    def take(self) -> bytes:
        """Return what was printed since the last time."""
        data = b"".join(self.pieces)
        self.pieces.clear()
        self.buffered_bytes = 0
        self.news.clear()
        return data

    def end(self, reason: str) -> None:
        """Let the reader come to the end."""
        self.ended = True
        self.reason = self.reason or reason
        self.news.set()


class Consoles:
    """All open consoles, and the handlers."""

    def __init__(self, controller: Controller, *, entropy: Callable[[int], bytes], max_open: int) -> None:
        """Take over what hosts say of consoles."""
        self._controller = controller
        self._entropy = entropy
        self._max_open = max_open
        self._streams: dict[int, Stream] = {}
        controller.hosts.on_console_output = self.on_output
        controller.hosts.on_host_lost = self.on_host_lost

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._streams)

    def on_output(self, host_id: HostId, message: ConsoleOutput) -> None:
        """Take what a guest printed; a host speaks only of streams that are its own."""
        stream = self._streams.get(message.stream_id)
        if stream is None or stream.host_id != host_id:
            self._controller.counters["console_strangers"] += 1
            return
        if message.data and not stream.put(message.data):
            stream.end("what it prints is not read fast enough")
        if message.ended:
            self._streams.pop(stream.stream_id, None)
            stream.end(message.reason)

    def on_host_lost(self, host_id: HostId) -> None:
        """End the consoles of a host that is gone."""
        for stream in [each for each in self._streams.values() if each.host_id == host_id]:
            del self._streams[stream.stream_id]
            stream.end("its host is not connected any more")

    def close(self) -> None:
        """End all of them."""
        for stream in list(self._streams.values()):
            self._hang_up(stream)
            stream.end("the controller stops")

    async def read(self, request: Request, caller: Caller) -> Response:
        """Open a console and stream it."""
        queries.check_names(request, ())
        # What is seen here tells the client that the VM runs, and where: that has to be durable.
        await self._controller.pipeline.settled()
        stream = self._open(_number(request, "vm_id"), caller)
        await _news_of(stream)
        if stream.ended and not stream.pieces:
            self._hang_up(stream)
            raise RefusalError("unreachable", f"The console of VM {stream.vm_id} did not open: {stream.reason}.")
        headers = {"X-Console-Stream": str(stream.stream_id), "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._printed(stream), media_type=_BYTES, headers=headers)

    async def write(self, request: Request, caller: Caller) -> Response:
        """Type."""
        queries.check_names(request, ())
        vm_id, stream_id = _number(request, "vm_id"), _number(request, "stream_id")
        stream = self._streams.get(stream_id)
        user = _user(caller)
        if stream is None or stream.vm_id != vm_id or stream.ended:
            raise RefusalError("not_found", f"Console {stream_id} of VM {vm_id} is not open; open it anew.")
        if stream.user_name != user.name:
            raise RefusalError("forbidden", f"Console {stream_id} was opened by somebody else; open one of your own.")
        data = await read_body(request.receive, max_bytes=MAX_INPUT_BYTES)
        if data:
            self._controller.hosts.send(stream.host_id, ConsoleInput(stream_id=stream_id, data=data))
        return Response(b"{}", media_type="application/json")

    def _open(self, vm_id: int, caller: Caller) -> Stream:
        """Ask the host for a console.

        Raises:
            RefusalError: the VM is not there, not the caller's, or on no host that is connected.
        """
        if len(self._streams) >= self._max_open:
            raise RefusalError("too_many", f"{len(self._streams)} consoles are open already; close one.")
        reactor, user = self._controller.reactor, _user(caller)
        turn = Turn(reactor.cluster, reactor.settings, 0.0, user.name, user=user)
        vm = find.vm(turn, vm_id)
        access.authorize(turn, Right.MANAGE, vm)
        host = reactor.cluster.hosts.get(vm.host_id) if vm.host_id is not None else None
        if host is None:
            raise RefusalError("wrong_state", f"VM {vm_id} is {vm.state} and on no host; it has no console.")
        if not host.connected:
            raise RefusalError("unreachable", f"Host {host.name} is not connected; start its agent.")
        stream = Stream(self._new_number(), host.host_id, vm.vm_id, user.name)
        self._streams[stream.stream_id] = stream
        opening = OpenConsole(stream_id=stream.stream_id, vm_id=vm.vm_id, generation=vm.spec.generation)
        self._controller.hosts.send(host.host_id, opening)
        return stream

    def _new_number(self) -> int:
        """Return a number that nobody can guess: whoever knows it may type."""
        return int.from_bytes(self._entropy(6), "big")

    def _hang_up(self, stream: Stream) -> None:
        if self._streams.pop(stream.stream_id, None) is not None:
            self._controller.hosts.send(stream.host_id, CloseConsole(stream_id=stream.stream_id))

    async def _printed(self, stream: Stream) -> AsyncIterator[bytes]:
        try:
            while True:
                await stream.news.wait()
                ended = stream.ended
                data = stream.take()
                if data:
                    yield data
                if ended:
                    break
            if stream.reason:
                yield f"\r\n[console closed: {stream.reason}]\r\n".encode()
        finally:
            self._hang_up(stream)


async def _news_of(stream: Stream) -> None:
    """Wait for the first word of a console, but not for long: a guest may have nothing to say."""
    try:
        async with asyncio.timeout(_REFUSES_WITHIN_S):
            await stream.news.wait()
    except TimeoutError:
        return


def _user(caller: Caller) -> User:
    assert caller.user is not None, "the table lets users only"
    return caller.user


def _number(request: Request, name: str) -> int:
    text: str = request.path_params[name]
    if not (text.isascii() and text.isdecimal()):
        raise RefusalError("bad_request", f"Parameter {name} has to be a number, not {text!r}.")
    return int(text)


ENDPOINTS: Final = (
    Endpoint(
        name="console.read",
        method="GET",
        path="/v1/vms/{vm_id}/console",
        who=Who.USER,
        summary="Open a guest's serial console and read it; X-Console-Stream names it for what is typed.",
        handler=Consoles.read,
        gives=_BYTES,
    ),
    Endpoint(
        name="console.write",
        method="POST",
        path="/v1/vms/{vm_id}/console/{stream_id}/input",
        who=Who.USER,
        summary="Type into a console that is open.",
        handler=Consoles.write,
        takes=_BYTES,
    ),
)
