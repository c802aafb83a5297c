"""Reads the body of a request within its limits of size and time."""

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Message, Receive

from innkeeper_controller.turn import RefusalError


class DisconnectedError(Exception):
    """The client has gone; there is nobody to answer."""


async def read_body(receive: Receive, *, max_bytes: int, timeout_s: float) -> bytes:
    """Return the whole body.

    Raises:
        RefusalError: ``too_large``, or ``bad_request`` where it did not arrive in time.
        DisconnectedError: the client has gone.
    """
    try:
        async with asyncio.timeout(timeout_s):
            message = _checked(await receive())
            if not message.get("more_body"):
                return bytes(_within(message["body"], max_bytes))
            collected = bytearray(message["body"])
            while message.get("more_body"):
                _within(collected, max_bytes)
                message = _checked(await receive())
                collected += message["body"]
            return bytes(_within(collected, max_bytes))
    except TimeoutError as error:
        raise RefusalError("bad_request", f"The body did not arrive within {timeout_s:g} s.") from error


async def chunks_of(receive: Receive, *, timeout_s: float) -> AsyncIterator[bytes]:
    """Give the parts of a body as they come; each within ``timeout_s``.

    Raises:
        RefusalError: ``bad_request`` where nothing came in time.
        DisconnectedError: the client has gone.
    """
    more = True
    while more:
        try:
            async with asyncio.timeout(timeout_s):
                message = _checked(await receive())
        except TimeoutError as error:
            raise RefusalError("bad_request", f"Nothing came for {timeout_s:g} s.") from error
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
