"""Counts the connections of a listening socket: who never gets beyond the handshake leaves no other trace.

libzmq drops garbage, wrong keys and messages that are too long by itself; it decides nothing here.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from innkeeper_hostagent.protocol.sockets import Socket

#: ``{what libzmq tells: what it is counted as}``; connections without a handshake were nobody's.
_COUNTED: Final[Mapping[int, str]] = {
    zmq.EVENT_ACCEPTED: "connections",
    zmq.EVENT_HANDSHAKE_SUCCEEDED: "handshakes",
    zmq.EVENT_DISCONNECTED: "disconnections",
}


@contextlib.contextmanager
def monitored(socket: Socket) -> Iterator[Socket]:
    """Give the socket on which libzmq tells of the connections of another one, which has to be closed later."""
    monitor = socket.get_monitor_socket(sum(_COUNTED))
    try:
        yield monitor
    finally:
        socket.disable_monitor()
        monitor.close(linger=0)


def count(counters: Counter[str], parts: Sequence[zmq.Frame]) -> None:
    """Count what a message of the monitor tells."""
    told = parse_monitor_message([part.bytes for part in parts])
    what = _COUNTED.get(told["event"])
    if what is not None:
        counters[what] += 1
