"""Turns the messages of ``messages.py`` into MessagePack bytes and back, believing nothing that arrives.

It knows no session, socket or sender.

``msgspec`` decodes and validates in one pass, in a tenth of the time that ``msgpack`` with ``msgspec.convert`` takes,
but has no limits to set: that it refuses a list of four thousand million elements before it makes room for them
(0.22 does) is promised nowhere. Only lists and maps with 32-bit counts could do harm, and no message needs one. So
bytes in which such a count may be (it may as well be part of a number or a text) go the long way, where ``msgpack``
checks every count against a limit; and so do those in which a number may be that is not finite.
"""

import functools
import math
from typing import Any, TypeAlias

import msgpack  # type: ignore[import-untyped]  # it ships no types
import msgspec

from innkeeper_hostagent.protocol.errors import BadMessageError
from innkeeper_hostagent.protocol.messages import (
    MAX_MESSAGE_BYTES,
    AgentMessage,
    ConsoleOutput,
    ControllerMessage,
    Heartbeat,
    Progress,
    StepStarted,
)
from innkeeper_plugins.vocabulary import Value

#: Most elements in a list or pairs in a map: all that a 16-bit count can say.
MAX_COUNT = 65_535

#: Plain values as MessagePack has them.
Plain: TypeAlias = "dict[object, Plain] | list[Plain] | str | bytes | int | float | bool | None"

#: How an IEEE infinity or NaN begins in MessagePack; other values that begin so exceed 1e38 and 1e303.
_HUGE_FLOAT_PREFIXES = (b"\xcb\x7f", b"\xcb\xff", b"\xca\x7f", b"\xca\xff")
#: How a list or map with a 32-bit count begins.
_LONG_PREFIXES = (b"\xdd", b"\xdf")
_ENCODER = msgspec.msgpack.Encoder()
#: What the unpacker and the conversion raise; most of theirs are ``ValueError`` underneath.
_REFUSALS = (ValueError, TypeError, OverflowError, RecursionError, msgpack.exceptions.UnpackException)


class _Opening(msgspec.Struct, frozen=True):
    """What ``hello`` and ``join`` have in every protocol version."""

    type: str
    major: int


def encode(message: Value) -> bytes:
    """Return the message as MessagePack."""
    return _ENCODER.encode(message)


def decode_agent_message(data: bytes) -> AgentMessage:
    """Return the message that an agent sent.

    Raises:
        BadMessageError: the bytes are not exactly one message that an agent may send.
    """
    message: AgentMessage = decode(data, AgentMessage)
    return message


def decode_controller_message(data: bytes) -> ControllerMessage:
    """Return the message that the controller sent.

    Raises:
        BadMessageError: the bytes are not exactly one message that the controller may send.
    """
    message: ControllerMessage = decode(data, ControllerMessage)
    return message


def decode(data: bytes, expected: Any) -> Any:  # noqa: ANN401 - a union of message types has no type of its own
    """Return the one message of a closed set, a union of message types, that the bytes are.

    Raises:
        BadMessageError: the bytes are not exactly one of them.
    """
    try:
        if len(data) > MAX_MESSAGE_BYTES:
            raise ValueError(f"{len(data)} bytes where {MAX_MESSAGE_BYTES} are allowed")
        if any(prefix in data for prefix in _LONG_PREFIXES + _HUGE_FLOAT_PREFIXES):
            return msgspec.convert(_unpack(data), expected)
        return _decoder(expected).decode(data)
    except _REFUSALS as error:
        raise BadMessageError(f"not a message that is expected here: {error}") from error


def peek_major(data: bytes) -> int | None:
    """Return the protocol version that a ``hello`` or ``join`` of any version speaks; None for anything else."""
    try:
        opening = decode(data, _Opening)
    except BadMessageError:
        return None
    return opening.major if opening.type in {"hello", "join"} else None


def is_reliable(message: AgentMessage | ControllerMessage) -> bool:
    """Whether the message is kept and sent again until the other end has made it durable.

    What is soon out of date is not; the last piece of a console's output is, since nothing follows that would tell.
    """
    if isinstance(message, ConsoleOutput):
        return message.ended
    return not isinstance(message, Heartbeat | Progress | StepStarted)


@functools.cache
def _decoder(expected: Any) -> msgspec.msgpack.Decoder[Any]:  # noqa: ANN401 - as in ``decode``
    return msgspec.msgpack.Decoder(expected)


def _unpack(data: bytes) -> Plain:
    plain: Plain = msgpack.unpackb(
        data,
        raw=False,
        strict_map_key=False,
        max_str_len=MAX_MESSAGE_BYTES,
        max_bin_len=MAX_MESSAGE_BYTES,
        max_array_len=MAX_COUNT,
        max_map_len=MAX_COUNT,
        max_ext_len=0,
    )
    # The scheduler compares numbers from hosts; a NaN would make every comparison false.
    _refuse_endless_numbers(plain)
    return plain


def _refuse_endless_numbers(plain: Plain) -> None:
    if isinstance(plain, float) and not math.isfinite(plain):
        raise ValueError("a number that is not finite")
    if isinstance(plain, dict):
        for value in plain.values():
            _refuse_endless_numbers(value)
    elif isinstance(plain, list):
        for value in plain:
            _refuse_endless_numbers(value)
