"""One HTTP connection to the controller, kept open, and what its answers mean.

It knows no request by name: that is ``client.py``'s business.
"""

import contextlib
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from innkeeper_plugins.errors import InnkeeperError

#: What JSON decodes to: the one place where types end is the wire.
Json = Any

#: Where ``inn-controller`` listens unless it is told otherwise.
DEFAULT_ENDPOINT = "http://127.0.0.1:2633"
#: A connection that broke after it had worked is tried again after these pauses, with the same request id.
RETRY_PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0)
#: Longest answer that is read into memory.
MAX_ANSWER_BYTES = 256 * 1024 * 1024
#: Answers that mean that nobody decided: the controller is not there for the moment.
ABSENT_STATUSES = frozenset({502, 503, 504})

#: What a connection raises that is no use any more.
BROKEN = (OSError, http.client.HTTPException)


class RefusedError(InnkeeperError):
    """The controller refused the request, and nothing has changed; who asked must act."""

    def __init__(
        self, code: str, message: str, *, status: int = 0, mistakes: Iterable[Mapping[str, Json]] = ()
    ) -> None:
        """Keep the stable code, the sentence and each mistake (``message field line column suggestion``)."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.mistakes = tuple(mistakes)


class UnreachableError(InnkeeperError):
    """No answer from the controller; a change that was asked for may or may not have been made."""


def new_request_id() -> str:
    """Return an id that no request had before."""
    return os.urandom(12).hex()


class Link:
    """A connection to one endpoint with one token; made when it is first needed, and again when it broke."""

    def __init__(self, endpoint: str, token: str, *, timeout_s: float) -> None:
        """Connect nowhere yet.

        Raises:
            ValueError: the endpoint is no address.
        """
        split = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
        if split.scheme not in {"http", "https"} or not split.hostname:
            raise ValueError(f"{endpoint} is not an address like {DEFAULT_ENDPOINT}")
        self.endpoint = f"{split.scheme}://{split.netloc}"
        self.timeout_s = timeout_s
        #: Called with method, target, HTTP status, seconds and request id after each answer.
        self.heard: Callable[[str, str, int, float, str], None] | None = None
        self._host, self._port = split.hostname, split.port
        self._make = http.client.HTTPSConnection if split.scheme == "https" else http.client.HTTPConnection
        self._kept: http.client.HTTPConnection | None = None
        #: True once anything was heard: a break is then worth some patience.
        self._worked = False
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def close(self) -> None:
        """Let go of the connection; the next request makes a new one."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def request(self, method: str, target: str, *, body: object = None, request_id: str = "") -> Json:
        """Make one request and return its answer, decoded.

        Args:
            method: HTTP method.
            target: Path and query string.
            body: Bytes go as they are, anything else as JSON; None for none.
            request_id: Makes the request idempotent; by default a new one.

        Raises:
            RefusedError: the controller refused; nothing has changed.
            UnreachableError: there was no answer.
        """
        headers = self._headers | {"Accept": "application/json", "X-Request-Id": request_id or new_request_id()}
        payload, headers["Content-Type"] = _encode(body)
        began_s = time.monotonic()
        status, kind, content = self._exchange(method, target, payload, headers)
        if self.heard is not None:
            self.heard(method, target, status, time.monotonic() - began_s, headers["X-Request-Id"])
        return decode_answer(status, kind, content)

    def stream(self, target: str, headers: Mapping[str, str], *, silence_s: float | None) -> "Stream":
        """Open an answer that goes on, on a connection of its own.

        Raises:
            RefusedError: the controller refused.
            OSError, http.client.HTTPException: the connection broke.
        """
        connection = self._make(self._host, self._port, timeout=silence_s)
        try:
            connection.connect()
            stream = Stream(connection)
            stream.begin(target, {**self._headers, **headers})
        except BaseException:
            connection.close()
            raise
        self._worked = True
        return stream

    def send(self, target: str, chunks: Iterable[bytes], size_bytes: int) -> Json:
        """Put bytes, on a connection of its own, and return the answer, decoded.

        Raises:
            RefusedError: the controller refused, maybe before it had read everything.
            UnreachableError: the connection broke.
        """
        connection = self._make(self._host, self._port, timeout=self.timeout_s)
        headers = {
            **self._headers,
            "X-Request-Id": new_request_id(),
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size_bytes),
        }
        try:
            answer = _put(connection, target, chunks, headers)
            content = answer.read(MAX_ANSWER_BYTES)
        except BROKEN as broken:
            raise UnreachableError(f"The connection to {self.endpoint} broke during the upload: {broken}.") from broken
        finally:
            connection.close()
        return decode_answer(answer.status, answer.headers.get_content_type(), content)

    def _exchange(
        self, method: str, target: str, payload: bytes | None, headers: dict[str, str]
    ) -> tuple[int, str, bytes]:
        """Send and receive; over a connection that breaks, again, which the request id makes harmless."""
        for pause_s in (*RETRY_PAUSES_S, None):
            try:
                return self._exchange_once(method, target, payload, headers)
            except BROKEN as broken:
                self.close()
                if pause_s is None or not self._worked:
                    raise UnreachableError(_reason(self.endpoint, broken)) from broken
                time.sleep(pause_s)
        raise AssertionError("the last pause is None")

    def _exchange_once(
        self, method: str, target: str, payload: bytes | None, headers: dict[str, str]
    ) -> tuple[int, str, bytes]:
        if self._kept is None:
            self._kept = self._make(self._host, self._port, timeout=self.timeout_s)
            self._kept.connect()
            self._worked = True
        self._kept.request(method, target, body=payload, headers=headers)
        answer = self._kept.getresponse()
        return answer.status, answer.headers.get_content_type(), answer.read(MAX_ANSWER_BYTES)


class Stream:
    """An answer that goes on; may be closed by another thread than the one that reads it."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        """Take over a connection that is open."""
        self._connection = connection
        #: Kept beside the connection, which forgets it once the server says that this answer is the last.
        self._socket: socket.socket = connection.sock
        self._answer: http.client.HTTPResponse | None = None
        self._reading = threading.Lock()

    def begin(self, target: str, headers: Mapping[str, str]) -> None:
        """Send the request and read the head of the answer.

        Raises:
            RefusedError: the controller refused.
        """
        self._connection.request("GET", target, headers=headers)
        self._answer = self._connection.getresponse()
        if self._answer.status >= http.client.BAD_REQUEST:
            kind = self._answer.headers.get_content_type()
            decode_answer(self._answer.status, kind, self._answer.read(MAX_ANSWER_BYTES))

    def header(self, name: str) -> str:
        """Return a header of the answer; empty where there is none."""
        return self._begun.headers.get(name, "")

    def lines(self) -> Iterator[bytes]:
        """Give line after line, until the answer or the connection ends."""
        yield from self._begun

    def read(self) -> bytes:
        """Return what has come as soon as something has; empty at the end."""
        with self._reading:
            return b"" if self._begun.closed else self._begun.read1(65536)

    def close(self) -> None:
        """Let go of the connection; who reads in another thread sees its end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        # The reader, woken by the end of the connection, lets go before its file is taken away.
        with self._reading:
            if self._answer is not None:
                self._answer.close()
            self._connection.close()

    @property
    def _begun(self) -> http.client.HTTPResponse:
        assert self._answer is not None, "begin comes first"
        return self._answer


def _encode(body: object) -> tuple[bytes | None, str]:
    if body is None or isinstance(body, bytes):
        return body, "application/octet-stream"
    return json.dumps(body).encode(), "application/json"


def _put(
    connection: http.client.HTTPConnection, target: str, chunks: Iterable[bytes], headers: dict[str, str]
) -> http.client.HTTPResponse:
    try:
        connection.request("PUT", target, body=chunks, headers=headers)
    except (BrokenPipeError, ConnectionResetError):
        # A refusal may come before the last byte; only where there is none the connection is broken.
        return connection.getresponse()
    return connection.getresponse()


def _reason(endpoint: str, broken: Exception) -> str:
    if isinstance(broken, TimeoutError):
        return f"{endpoint} does not answer."
    if isinstance(broken, ConnectionRefusedError):
        return f"Nothing listens at {endpoint}."
    reason = getattr(broken, "reason", "") or getattr(broken, "strerror", "") or broken or type(broken).__name__
    hint = " It may speak http, not https." if reason == "WRONG_VERSION_NUMBER" else ""
    return f"{endpoint} cannot be reached: {reason}.{hint}"


def decode_answer(status: int, kind: str, content: bytes) -> Json:
    """Return what an answer says: decoded JSON, or text.

    Raises:
        RefusedError: it is a refusal.
        UnreachableError: a gateway or a stopping controller answered for it.
    """
    if kind.endswith("json"):
        try:
            decoded = json.loads(content) if content else None
        except ValueError as error:
            raise UnreachableError("The answer is not from an Innkeeper controller: it is no JSON.") from error
    else:
        decoded = content.decode("utf-8", "replace")
    if status < http.client.BAD_REQUEST:
        return decoded
    refusal = decoded.get("error", decoded) if isinstance(decoded, dict) else {}
    message = refusal.get("message") or f"The endpoint answered {status} {http.client.responses.get(status, '')}."
    if status in ABSENT_STATUSES:
        raise UnreachableError(message)
    raise RefusedError(
        refusal.get("code", "bad_answer"), message, status=status, mistakes=refusal.get("mistakes") or ()
    )


def parse_events(lines: Iterable[bytes]) -> Iterator[tuple[str, str, Json]]:
    """Give ``(id, name, decoded data)`` of each server-sent event; comments and empty ones are passed over."""
    number, name = "", ""
    data: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data:
                yield number, name, json.loads("\n".join(data))
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "id":
            number = value
        elif field == "event":
            name = value
