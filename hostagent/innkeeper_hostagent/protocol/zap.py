"""Answers libzmq's question whether a key may come in (ZAP, RFC 27); whom to let in, its callers decide.

A connection's user id is the CURVE key that libzmq has checked, and every message that came over it bears that id.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final

import zmq
from zmq.utils import z85

from innkeeper_hostagent.protocol.sockets import Context, Socket, listen

_ENDPOINT: Final = "inproc://zeromq.zap.01"
_VERSION: Final = b"1.0"
_KEY_BYTES: Final = 32
#: Routing id, delimiter, version, request id, domain, address, identity, mechanism, key.
_REQUEST_PARTS: Final = 9


class Verdict(Enum):
    """What to tell libzmq of a key: status code and text."""

    ADMITTED = (b"200", b"OK")
    #: libzmq says nothing to the peer, whose dialler tries again by itself once its handshake has timed out.
    LATER = (b"300", b"not now")
    #: libzmq says so to the peer, which then gives up.
    REFUSED = (b"400", b"not known here")


def handler_socket(context: Context) -> Socket:
    """Return the socket on which libzmq asks; there is one in a context.

    Raises:
        EndpointError: the context has one already.
    """
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.LINGER, 0)
    listen(socket, _ENDPOINT)
    return socket


def key_in(request: Sequence[bytes], domain: bytes) -> str | None:
    """Return the key, as Z85 text, that wants to come in to the domain; None where nobody may.

    Args:
        request: The parts that came on the handler's socket.
        domain: The only domain that anybody is let in to.
    """
    if len(request) != _REQUEST_PARTS or request[2] != _VERSION:
        return None
    asked_domain, mechanism, key = request[4], request[7], request[8]
    if asked_domain != domain or mechanism != b"CURVE" or len(key) != _KEY_BYTES:
        return None
    return z85.encode(key).decode("ascii")


def answer(handler: Socket, request: Sequence[bytes], verdict: Verdict) -> None:
    """Tell libzmq whether the one who asked may come in; its user id is then the key."""
    status, text = verdict.value
    user_id = z85.encode(request[-1]) if verdict is Verdict.ADMITTED else b""
    handler.send_multipart([*request[:2], _VERSION, request[3], status, text, user_id, b""])


def user_id_of(frame: zmq.Frame) -> str:
    """Return the key that the message's connection was let in with; empty where none was checked."""
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""
