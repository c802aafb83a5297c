"""Reads the body of a request within its limit; how long it may take, the server decides."""

from collections.abc import AsyncIterator

from starlette.types import Message, Receive

from innkeeper_controller.turn import RefusalError


class DisconnectedError(Exception):
    """The client has gone; there is nobody to answer."""


async def read_body(receive: Receive, *, max_bytes: int) -> bytes:
    """Return the whole body; the server ends connections that are silent for too long.

    Raises:
        RefusalError: ``too_large``.
        DisconnectedError: the client has gone.
    """
    message = _checked(await receive())
    if not message.get("more_body"):
        return bytes(_within(message["body"], max_bytes))
    collected = bytearray(message["body"])
    while message.get("more_body"):
        _within(collected, max_bytes)
        message = _checked(await receive())
        collected += message["body"]
    return bytes(_within(collected, max_bytes))


async def chunks_of(receive: Receive) -> AsyncIterator[bytes]:
    """Give the parts of a body as they come.

    Raises:
        DisconnectedError: the client has gone.
    """
    more = True
    while more:
        message = _checked(await receive())
        if message["body"]:
            yield message["body"]
        more = message.get("more_body", False)


def _checked(message: Message) -> Message:
    if message["type"] == "http.disconnect":
        raise DisconnectedError
    return message


def _within(body: bytes | bytearray, max_bytes: int) -> bytes | bytearray:
    if len(body) > max_bytes:
        raise RefusalError("too_large", f"The body is longer than {max_bytes} bytes.")
    return body
