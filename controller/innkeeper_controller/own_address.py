"""Finds out how others reach this machine, for sockets that are bound to all of its addresses; sends nothing."""

import socket
from typing import Final

from innkeeper_controller.config import split_endpoint

_ANY: Final = frozenset({"*", "0.0.0.0", "[::]"})  # noqa: S104 - compared with, not bound to

#: Nobody has this address (RFC 5737): asking the kernel for the way to it tells the address of the default route.
_NOBODY: Final = ("192.0.2.1", 9)


def advertised(listen: str) -> str:
    """Return the endpoint that others dial to reach the one that is listened on."""
    host, port = split_endpoint(listen)
    return f"tcp://{_own() if host in _ANY else host}:{port}"


def beside(endpoint: str, listen: str) -> str:
    """Return the endpoint for ``listen`` at the host that ``endpoint`` names, where it listens on all addresses."""
    host, port = split_endpoint(listen)
    return f"tcp://{split_endpoint(endpoint)[0] if host in _ANY else host}:{port}"


def _own() -> str:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(_NOBODY)
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()
