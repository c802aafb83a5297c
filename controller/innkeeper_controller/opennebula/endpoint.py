"""``/RPC2`` and ``/RPC1`` as a bare ASGI application: a body in, a method carried out, an answer out.

No method is known here; whatever goes wrong is an answer or a fault, and never a traceback.
"""

from collections.abc import Callable
from typing import Any, Final

import structlog
from starlette.types import Receive, Scope, Send

from innkeeper_controller.api.body import DisconnectedError
from innkeeper_controller.api.traffic import Traffic
from innkeeper_controller.opennebula import arguments, wire
from innkeeper_controller.opennebula.desk import Desk
from innkeeper_controller.opennebula.faults import INTERNAL, MALFORMED, UNKNOWN_METHOD, FaultError
from innkeeper_controller.opennebula.legacy import METHODS_OF_1_4
from innkeeper_controller.opennebula.methods import METHODS
from innkeeper_controller.opennebula.methods.table import Call, Method
from innkeeper_controller.opennebula.refusals import code_of, sentence_of
from innkeeper_controller.opennebula.sessions import Sessions, is_of_1_4
from innkeeper_controller.records import Moment
from innkeeper_controller.turn import RefusalError

_log = structlog.get_logger("api")

PATHS: Final = frozenset({b"/RPC2", b"/RPC1", b"/RPC2/", b"/RPC1/"})
_OLD: Final = frozenset({b"/RPC1", b"/RPC1/"})
_OK: Final = 200
_BAD: Final = 400
_BROKEN: Final = 500
_NOT_ALLOWED: Final = 405
_TOO_LARGE: Final = 413
_UNAVAILABLE: Final = 503
_ENCODINGS: Final = frozenset({b"gzip", b"x-gzip"})


_XML: Final = (b"content-type", b"text/xml; charset=utf-8")


#: What of a body counts for nothing while it comes, and what all that are on their way may have beyond that.
#: Strangers can begin as many as there may be connections, and take their time.
_FREE_BYTES: Final = 64 * 1024
_MAX_READING_BYTES: Final = 256 * 1024 * 1024


class TooLargeError(Exception):
    """The body is longer than it may be; what is left of it is not read."""


class TooManyError(Exception):
    """Too much of other bodies is on its way."""


class Endpoint:
    """The ASGI application."""

    def __init__(
        self, desk: Desk, sessions: Sessions, traffic: Traffic, *, clock: Callable[[], Moment], max_bytes: int
    ) -> None:
        """Keep whom to ask.

        Args:
            desk: What methods work with.
            sessions: Know who calls.
            traffic: Counts.
            clock: Gives the moment, to measure.
            max_bytes: Longest body, before and after it was inflated.
        """
        self._desk, self._sessions, self._traffic = desk, sessions, traffic
        self._clock, self._max_bytes = clock, max_bytes
        self._reading_bytes = 0

    def close(self) -> None:
        """End the threads behind it."""
        self._sessions.close()
        self._desk.intake.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["method"] != "POST":
            await _send(
                send, _NOT_ALLOWED, wire.fault(MALFORMED, "XML-RPC is asked by POST."), more=((b"allow", b"POST"),)
            )
            return
        began_s = self._clock()
        try:
            body = await self._body(scope, receive)
        except DisconnectedError:
            return
        except TooLargeError:
            fault = wire.fault(MALFORMED, f"A call may have {self._max_bytes} bytes.")
            # What is still on its way would only be thrown away.
            await _send(send, _TOO_LARGE, fault, more=((b"connection", b"close"),))
            return
        except TooManyError:
            fault = wire.fault(MALFORMED, "Too many long calls are on their way; ask again in a moment.")
            await _send(send, _UNAVAILABLE, fault, more=((b"connection", b"close"),))
            return
        except FaultError as error:
            await _send(send, _OK, wire.fault(error.code, str(error)))
            return
        name, answer, status = await self._answered(body, old=scope["raw_path"] in _OLD)
        await _send(send, _OK, *answer)
        self._traffic.count(name, status, self._clock() - began_s)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | bytearray:
        """Return the body, inflated.

        Raises:
            TooLargeError: it is longer than it may be; no more than that was read.
            TooManyError: too much is being read.
            FaultError: it is encoded in a way that is not known, or badly.
            DisconnectedError: the client has gone.
        """
        encoding = b""
        for header, value in scope["headers"]:
            if header == b"content-length" and value.isdigit() and int(value) > self._max_bytes:
                raise TooLargeError
            if header == b"content-encoding":
                encoding = value.strip().lower()
        body = await self._read(receive)
        if encoding in _ENCODINGS:
            return wire.inflated(body, self._max_bytes)
        if encoding not in {b"", b"identity"}:
            raise FaultError(MALFORMED, "Of encodings, gzip alone is understood.")
        return body

    async def _read(self, receive: Receive) -> bytes | bytearray:
        """Return the whole body; nothing of it is there twice."""
        whole = bytearray()
        counted_bytes = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise DisconnectedError
                body: bytes = message["body"]
                if len(whole) + len(body) > self._max_bytes:
                    raise TooLargeError
                if not whole and not message.get("more_body"):
                    return body
                whole += body
                if not message.get("more_body"):
                    return whole
                more_bytes = max(len(whole) - _FREE_BYTES, 0) - counted_bytes
                if self._reading_bytes + more_bytes > _MAX_READING_BYTES:
                    raise TooManyError
                self._reading_bytes += more_bytes
                counted_bytes += more_bytes
        finally:
            self._reading_bytes -= counted_bytes

    async def _answered(self, body: bytes | bytearray, *, old: bool) -> tuple[str, list[bytes], int]:
        """Return the method's name, the answer, and a status for those who count."""
        name = ""
        try:
            name, given = wire.read_call(body)
            if name in _OPEN:
                return name, [_OPEN[name](given)], _OK
            method = METHODS.get(name)
            if method is None or (old and name not in METHODS_OF_1_4):
                return "unknown", [wire.fault(UNKNOWN_METHOD, "Method not defined.")], _BAD
            # Clients of 1.4 that can be told no path, like Haizea's driver, give themselves away by their session.
            old = old or (self._sessions.takes_sha1 and is_of_1_4(given[0] if given else None))
            return name, await self._carried_out(method, given, old=old), _OK
        except FaultError as fault:
            return name or "unknown", [wire.fault(fault.code, str(fault))], _BAD
        except Exception:  # noqa: BLE001 - whatever it was, the client is told, and the log has all of it
            # One call that we cannot answer must not become a broken connection without a word.
            _log.exception("xmlrpc.broke", method=name)
            return name or "unknown", [wire.fault(INTERNAL, "The controller has a fault; its log tells more.")], _BROKEN

    async def _carried_out(self, method: Method, given: tuple[Any, ...], *, old: bool) -> list[bytes]:
        values: dict[str, Any] = {}
        try:
            session = given[0] if given else None
            user = self._sessions.known(session, old=old) or await self._sessions.user_of(session, old=old)
            values = arguments.read(method.arguments, given[1:])
            value = await method.act(Call(self._desk, user, values, old))
        except RefusalError as refusal:
            number = _named_by(values) if method.about else -1
            about = f"{method.about} [{number}]" if method.about and number >= 0 else ""
            message = sentence_of(refusal, method.name, about)
            if old:
                return [wire.short_failure(message)]
            return [wire.failure(message, code_of(refusal, makes_new=method.makes_new), number)]
        return wire.short_success(value) if old else wire.success(value)


def _named_by(values: dict[str, Any]) -> int:
    """Return the number of the thing that a call is about; -1 where it names none."""
    return next((each for each in values.values() if isinstance(each, int) and not isinstance(each, bool)), -1)


def _list_methods(_given: tuple[Any, ...]) -> bytes:
    return wire.plain(wire.text_list([*METHODS, *_OPEN]))


def _help(given: tuple[Any, ...]) -> bytes:
    method = METHODS.get(str(given[0]) if given else "")
    if method is None:
        raise FaultError(UNKNOWN_METHOD, "Method not defined.")
    words = ", ".join(f"{each.kind} {each.name}" for each in method.arguments)
    text = f"{method.name}(string session{', ' if words else ''}{words}) -> {method.gives}. {method.note}".strip()
    return wire.plain(b"<string>%b</string>" % wire.escaped(text))


def _signature(given: tuple[Any, ...]) -> bytes:
    method = METHODS.get(str(given[0]) if given else "")
    if method is None:
        raise FaultError(UNKNOWN_METHOD, "Method not defined.")
    kinds = ["array", "string", *("int" if " " in each.kind else each.kind for each in method.arguments)]
    kinds = ["boolean" if each == "bool" else each for each in kinds]
    return wire.plain(b"<array><data><value>%b</value></data></array>" % wire.text_list(kinds))


#: Methods that need no session, as servers of that kind have them; they answer the value alone.
_OPEN: Final[dict[str, Callable[[tuple[Any, ...]], bytes]]] = {
    "system.listMethods": _list_methods,
    "system.methodHelp": _help,
    "system.methodSignature": _signature,
}


async def _send(send: Send, status: int, *pieces: bytes, more: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    length = b"%d" % sum(map(len, pieces))
    await send({"type": "http.response.start", "status": status, "headers": [_XML, (b"content-length", length), *more]})
    for piece in pieces[:-1]:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": pieces[-1]})
