"""Serves bytes by digest, over a CURVE socket of its own, to those that have been admitted.

It runs in a thread of its own and decides nothing: whom to admit to what, its owner says.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final

import zmq

from innkeeper_hostagent.protocol import connections, sockets, wire, zap
from innkeeper_hostagent.protocol.bulk.admissions import Admissions
from innkeeper_hostagent.protocol.bulk.manifest import chunk_length, data_runs, part_of, read_exactly
from innkeeper_hostagent.protocol.bulk.messages import (
    CHUNK_BYTES,
    MAX_PART_BYTES,
    AskChunk,
    BulkAnswer,
    BulkRequest,
    Chunk,
    Describe,
    NotServed,
)
from innkeeper_hostagent.protocol.bulk.shelf import Book, Opener, Shelf
from innkeeper_hostagent.protocol.bulk.waiting import WaitingRoom
from innkeeper_hostagent.protocol.errors import BadMessageError
from innkeeper_hostagent.protocol.keys import KeyPair
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.vocabulary import Digest

_DOMAIN: Final = b"innkeeper-bulk"
#: Answers kept for one peer that does not read; more than it may ask for at once.
_HIGH_WATER_MARK: Final = 64
_TIDY_MS: Final = 5_000
#: Requests taken before keys are looked at again.
_BATCH: Final = 16


class BulkServer:
    """A listening bulk socket and its thread."""

    def __init__(
        self, endpoint: str, keys: KeyPair, *, open_digest: Opener, context: sockets.Context | None = None
    ) -> None:
        """Listen and serve until ``close``.

        Args:
            endpoint: Where to listen; port 0 takes any free one.
            keys: What the socket answers with.
            open_digest: Gives the file of a digest, as a path or open, called on the server's thread; None for one
                that is not here. Files that are given open are closed here. A manifest that ``beside_of`` the file
                is used, and that of a file given as a path is kept there.
            context: Used for ``inproc`` only: a context has one ZAP handler, and this server brings its own.

        Raises:
            EndpointError: the endpoint cannot be listened on; nothing runs.
            UnsuitableLibraryError: ZeroMQ is too old.
        """
        self.public_key = keys.public
        #: ``chunks``, ``data_bytes`` that went out; ``not_admitted``, ``not_served``, ``turned_away``, ``malformed``,
        #: ``connections``, ``handshakes``...
        self.counters: Counter[str] = Counter()
        self._admissions = Admissions()
        self._waiting = WaitingRoom()
        self._shelf = Shelf(open_digest)
        self._is_closing = False
        self._is_inproc = endpoint.startswith("inproc://")
        with ExitStack() as undo:
            if context is None or not self._is_inproc:
                context = sockets.new_context()
                undo.callback(context.term)
            self._zap = self._closing(undo, zap.handler_socket(context)) if not self._is_inproc else None
            self._socket = self._closing(undo, self._made_socket(context, endpoint, keys))
            self._monitor = None if self._is_inproc else undo.enter_context(connections.monitored(self._socket))
            self.endpoint = sockets.listen(self._socket, endpoint)
            self._wake = os.eventfd(0, os.EFD_CLOEXEC)
            undo.callback(os.close, self._wake)
            self._undo = undo.pop_all()
        self._thread: threading.Thread | None = threading.Thread(target=self._run, name="innkeeper-bulk", daemon=True)
        self._thread.start()

    def admit(self, public_key: str, digests: Iterable[str], expires_in_s: float) -> None:
        """Let the key fetch these digests for a while, from now on; from any thread."""
        until_s = time.monotonic() + expires_in_s
        self._admissions.admit(public_key, [Digest(digest) for digest in digests], until_s)
        if self._thread is not None:
            os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Serve nobody any more. Twice is fine."""
        if self._thread is not None:
            self._is_closing = True
            os.eventfd_write(self._wake, 1)
            self._thread.join()
            self._thread = None
            self._shelf.close()
            self._undo.close()

    @staticmethod
    def _closing(undo: ExitStack, socket: sockets.Socket) -> sockets.Socket:
        undo.callback(socket.close, linger=0)
        return socket

    @staticmethod
    def _made_socket(context: sockets.Context, endpoint: str, keys: KeyPair) -> sockets.Socket:
        return sockets.listening_socket(
            context,
            endpoint,
            keys,
            domain=_DOMAIN,
            max_message_bytes=MAX_PART_BYTES,
            high_water_mark=_HIGH_WATER_MARK,
        )

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._wake, zmq.POLLIN)
        poller.register(self._socket, zmq.POLLIN)
        for socket in (self._zap, self._monitor):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        while not self._is_closing:
            ready = dict(poller.poll(_TIDY_MS))
            if self._wake in ready:
                os.eventfd_read(self._wake)
            if self._zap is not None:
                self._look_after_the_door(self._zap, is_asked=self._zap in ready)
            if self._monitor is not None and self._monitor in ready:
                connections.count(self.counters, self._monitor.recv_multipart(copy=False))
            if self._socket in ready:
                self._on_requests()
            self._shelf.tidy(time.monotonic())

    def _look_after_the_door(self, handler: sockets.Socket, *, is_asked: bool) -> None:
        now_s = time.monotonic()
        if is_asked:
            request = handler.recv_multipart()
            public_key = zap.key_in(request, _DOMAIN)
            if public_key is None:
                zap.answer(handler, request, zap.Verdict.REFUSED)
            else:
                self._waiting.enter(request, public_key, now_s)
        for welcome in self._waiting.admitted(lambda public_key: self._admissions.is_known(public_key, now_s)):
            zap.answer(handler, welcome, zap.Verdict.ADMITTED)
        for late in self._waiting.given_up(now_s):
            self.counters["turned_away"] += 1
            zap.answer(handler, late, zap.Verdict.LATER)

    def _on_requests(self) -> None:
        for _ in range(_BATCH):
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            route, request = parts[0].bytes, parts[-1]
            public_key = route.decode("ascii", "replace") if self._is_inproc else zap.user_id_of(request)
            self._on_request(route, public_key, request.bytes)

    def _on_request(self, route: bytes, public_key: str, data: bytes) -> None:
        try:
            request: BulkRequest = wire.decode(data, BulkRequest)
        except BadMessageError:
            self.counters["malformed"] += 1
            return
        if not self._admissions.is_admitted(public_key, request.digest, time.monotonic()):
            self.counters["not_admitted"] += 1
            self._answer(route, _not_served(request, "not_admitted", "the controller has not let this host in, yet"))
            return
        try:
            self._serve(route, request)
        except (OSError, InnkeeperError) as error:
            self.counters["not_served"] += 1
            self._answer(route, _not_served(request, "unreadable", str(error)))

    def _serve(self, route: bytes, request: BulkRequest) -> None:
        book = self._shelf.book(request.digest, time.monotonic())
        if book is None:
            self.counters["not_served"] += 1
            self._answer(route, _not_served(request, "unknown", "this host does not have it"))
        elif isinstance(request, Describe):
            self._answer(route, self._description(book, request))
        else:
            self._answer_chunk(route, book, request)

    def _description(self, book: Book, request: Describe) -> BulkAnswer:
        if book.manifest is None:
            if book.problem:
                return _not_served(request, "unreadable", book.problem)
            self._shelf.prepare(book)
            return book.preparing()
        part = part_of(book.manifest, book.digest, request.part)
        return part or _not_served(request, "unknown", f"its manifest has no part {request.part}")

    def _answer_chunk(self, route: bytes, book: Book, request: AskChunk) -> None:
        length = chunk_length(book.size_bytes, request.index) if request.index >= 0 else 0
        if length == 0:
            self._answer(route, _not_served(request, "unknown", f"it has no chunk {request.index}"))
            return
        start, descriptor = request.index * CHUNK_BYTES, book.file.fileno()
        runs = tuple(data_runs(descriptor, start, length))
        data = b"".join(read_exactly(descriptor, start + offset, count) for offset, count in runs)
        if self._answer(route, Chunk(digest=request.digest, index=request.index, runs=runs), data):
            self.counters["chunks"] += 1
            self.counters["data_bytes"] += len(data)

    def _answer(self, route: bytes, message: BulkAnswer, *data: bytes) -> bool:
        """Send; who asked and does not read, or has gone, asks again."""
        try:
            self._socket.send_multipart([route, wire.encode(message), *data], zmq.NOBLOCK, copy=False)
        except zmq.Again:
            self.counters["congested"] += 1
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self.counters["unreachable"] += 1
        else:
            return True
        return False


def _not_served(request: BulkRequest, code: str, message: str) -> NotServed:
    return NotServed(digest=request.digest, code=code, message=message)
