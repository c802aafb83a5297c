"""The frame around every message on the control channel: which session, which number, what has arrived.

It only lays out and takes apart; what a frame means, ``session.py`` says.

    byte 0       0x1B, which also stands for the layout's version
    byte 1       kind (bits 0-3) and sender: 0x10 set where the controller sent it
    bytes 2-13   session: instance of the agent (8 bytes), number of the connection attempt (4 bytes)
    bytes 14-21  sequence: counts the reliable frames from 1, and the casual ones apart from them; 0 in the other kinds
    bytes 22-29  acknowledged: every reliable frame up to this one is durable at the sender
    then         the message, in the kinds that carry one

Numbers are big-endian. This layout is the same in all protocol versions, so that a refusal can always be read.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

from innkeeper_hostagent.protocol.errors import BadFrameError
from innkeeper_hostagent.protocol.messages import MAX_MESSAGE_BYTES

_HEADER = struct.Struct("!BB12sQQ")
_SIGNATURE = 0x1B
_KIND_MASK = 0x0F
_CONTROLLER_BIT = 0x10
_SESSION = struct.Struct("!8sI")

HEADER_BYTES = _HEADER.size
INSTANCE_BYTES = 8
SESSION_ID_BYTES = _SESSION.size
MAX_FRAME_BYTES = HEADER_BYTES + MAX_MESSAGE_BYTES


class Role(IntEnum):
    """Which end of the channel."""

    AGENT = 0
    CONTROLLER = _CONTROLLER_BIT


class Kind(IntEnum):
    """What a frame is for."""

    #: A message that is sent again until it is acknowledged.
    RELIABLE = 1
    #: A message that may get lost.
    CASUAL = 2
    #: No message: says that the sender lives and what it has made durable.
    KEEPALIVE = 3
    #: No message: the sender knows no such session; begin a new one.
    RESET = 4


class Frame(NamedTuple):
    """A frame taken apart."""

    kind: Kind
    sender: Role
    session_id: bytes
    sequence: int
    acknowledged: int
    message: bytes


# Looked up by hundreds a second: calling an enumeration takes five times as long.
_KINDS = {kind.value: kind for kind in Kind}
_ROLES = {role.value: role for role in Role}
_WITH_MESSAGE = (Kind.RELIABLE, Kind.CASUAL)


def session_id(instance: bytes, attempt: int) -> bytes:
    """Return the id of an agent's ``attempt``-th session, counted from 1 since it started.

    Args:
        instance: Eight random bytes that the agent drew when it started.
        attempt: Later ones are higher, so that a late frame of an earlier one is known to be late.
    """
    return _SESSION.pack(instance, attempt)


def instance_of(session: bytes) -> tuple[bytes, int]:
    """Return the agent's instance and the number of the attempt."""
    instance, attempt = _SESSION.unpack(session)
    return instance, attempt


def pack(
    kind: Kind, sender: Role, session: bytes, *, sequence: int = 0, acknowledged: int = 0, message: bytes = b""
) -> bytes:
    """Return the frame's bytes."""
    return _HEADER.pack(_SIGNATURE, kind | sender, session, sequence, acknowledged) + message


def parse(data: bytes) -> Frame:
    """Take a frame apart.

    Raises:
        BadFrameError: the bytes are no frame: too short or long, another layout, a kind that does not exist.
    """
    if not HEADER_BYTES <= len(data) <= MAX_FRAME_BYTES:
        raise BadFrameError(f"{len(data)} bytes are no frame")
    signature, flags, session, sequence, acknowledged = _HEADER.unpack_from(data)
    kind = _KINDS.get(flags & _KIND_MASK)
    if signature != _SIGNATURE or kind is None or flags & ~(_KIND_MASK | _CONTROLLER_BIT):
        raise BadFrameError(f"unknown frame {signature:#04x} {flags:#04x}")
    if (sequence > 0) != (kind in _WITH_MESSAGE) or (len(data) > HEADER_BYTES and kind not in _WITH_MESSAGE):
        raise BadFrameError(f"{kind.name} with sequence {sequence} and {len(data)} bytes")
    return Frame(kind, _ROLES[flags & _CONTROLLER_BIT], session, sequence, acknowledged, data[HEADER_BYTES:])
