"""Answers libzmq's question whether a key may come in (ZAP, RFC 27); whom to let in, its callers decide.

A connection's user id is the CURVE key that libzmq has checked, and every message that came over it bears that id.
"""

from collections.abc import Callable, Sequence
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
    #: libzmq closes the connection without a word, and a dialler tries again by itself.
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


def answer(request: Sequence[bytes], domain: bytes, verdict_of: Callable[[str], Verdict]) -> list[bytes] | None:
    """Return the answer to libzmq's question; None where the question is none.

    Args:
        request: The parts that came on the handler's socket.
        domain: The only domain that anybody is let in to.
        verdict_of: Says of the Z85 text of a key whether it may come in.
    """
    if len(request) != _REQUEST_PARTS or request[2] != _VERSION:
        return None
    asked_domain, mechanism, key = request[4], request[7], request[8]
    if asked_domain != domain or mechanism != b"CURVE" or len(key) != _KEY_BYTES:
        return _reply(request, Verdict.REFUSED, b"")
    user_id = z85.encode(key)
    return _reply(request, verdict_of(user_id.decode("ascii")), user_id)


def _reply(request: Sequence[bytes], verdict: Verdict, user_id: bytes) -> list[bytes]:
    status, text = verdict.value
    return [*request[:2], _VERSION, request[3], status, text, user_id, b""]


def user_id_of(frame: zmq.Frame) -> str:
    """Return the key that the message's connection was let in with; empty where none was checked."""
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""
