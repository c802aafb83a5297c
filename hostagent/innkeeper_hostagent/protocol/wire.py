"""Turns the messages of ``messages.py`` into MessagePack bytes and back, believing nothing that arrives.

It knows no session, socket or sender.

Decoding goes through ``msgpack``, which checks every declared length against a limit before it allocates anything, and
then ``msgspec.convert``: 9 us for a heartbeat, 20 us for a full advertisement of 2 KiB. Decoding by ``msgspec`` alone
would be four times as fast and allocates what a stranger's five bytes declare.
Encoding our own messages needs no limits, so ``msgspec`` does it, in a fifth of the time.
"""

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

#: Longest text in a message, bytes: a guest's user data is the longest.
MAX_TEXT_BYTES = 256 * 1024
#: Longest binary in a message, bytes: what a console printed at once.
MAX_BINARY_BYTES = 256 * 1024
#: Most elements in one list: the digests or guests of one host.
MAX_LIST_LENGTH = 16_384
#: Most pairs in one map.
MAX_MAP_LENGTH = 4_096

#: Plain values as MessagePack has them.
Plain: TypeAlias = "dict[object, Plain] | list[Plain] | str | bytes | int | float | bool | None"

#: How an IEEE infinity or NaN begins in MessagePack; other values that begin so exceed 1e38 and 1e303.
_HUGE_FLOAT_PREFIXES = (b"\xcb\x7f", b"\xcb\xff", b"\xca\x7f", b"\xca\xff")
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
        return msgspec.convert(_unpack(data), expected)
    except _REFUSALS as error:
        raise BadMessageError(f"not a message that is expected here: {error}") from error


def peek_major(data: bytes) -> int | None:
    """Return the protocol version that a ``hello`` or ``join`` of any version speaks; None for anything else."""
    try:
        opening = msgspec.convert(_unpack(data), _Opening)
    except _REFUSALS:
        return None
    return opening.major if opening.type in {"hello", "join"} else None


def is_reliable(message: AgentMessage | ControllerMessage) -> bool:
    """Whether the message is kept and sent again until the other end has made it durable.

    What is soon out of date is not; the last piece of a console's output is, since nothing follows that would tell.
    """
    if isinstance(message, ConsoleOutput):
        return message.ended
    return not isinstance(message, Heartbeat | Progress | StepStarted)


def _unpack(data: bytes) -> Plain:
    if len(data) > MAX_MESSAGE_BYTES:
        raise ValueError(f"{len(data)} bytes where {MAX_MESSAGE_BYTES} are allowed")
    plain: Plain = msgpack.unpackb(
        data,
        raw=False,
        strict_map_key=False,
        max_str_len=MAX_TEXT_BYTES,
        max_bin_len=MAX_BINARY_BYTES,
        max_array_len=MAX_LIST_LENGTH,
        max_map_len=MAX_MAP_LENGTH,
        max_ext_len=0,
    )
    # The scheduler compares numbers from hosts; a NaN would make every comparison false.
    if any(prefix in data for prefix in _HUGE_FLOAT_PREFIXES):
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
