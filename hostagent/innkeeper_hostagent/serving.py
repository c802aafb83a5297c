"""Serves this host's images and sealed files to hosts that the controller has let in, by digest."""

import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from innkeeper_hostagent.config import BulkConfig
from innkeeper_hostagent.performer import Equipment
from innkeeper_hostagent.protocol.bulk import BulkServer
from innkeeper_hostagent.protocol.keys import KeyPair
from innkeeper_hostagent.protocol.messages import Admit
from innkeeper_hostagent.protocol.sockets import Context
from innkeeper_plugins.vocabulary import Holder

_ANY_HOST: Final = frozenset({"*", "0.0.0.0", "[::]", "::"})  # noqa: S104 - compared with, not bound to


class Server:
    """The bulk socket, if the host is to have one."""

    def __init__(
        self,
        config: BulkConfig,
        keys: KeyPair,
        equipment: Equipment,
        *,
        controller: str,
        context: "Context | None",
    ) -> None:
        """Open nothing yet.

        Args:
            config: ``[bulk]``.
            keys: What the socket answers with.
            equipment: Where the bytes are.
            controller: Endpoint of the controller, towards which others are taken to be as well.
            context: ZeroMQ's, to be shared.
        """
        self._config = config
        self._keys = keys
        self._equipment = equipment
        self._controller = controller
        self._context = context
        self._server: BulkServer | None = None

    def start(self) -> None:
        """Listen, where the configuration says so.

        Raises:
            EndpointError: the endpoint cannot be listened on.
        """
        if self._config.listen:
            self._server = BulkServer(
                self._config.listen, self._keys, open_digest=self._open_digest, context=self._context
            )

    @property
    def holder(self) -> Holder | None:
        """Where others fetch from; None where this host serves nobody."""
        if self._server is None:
            return None
        endpoint = self._config.advertise or advertised(self._server.endpoint, self._controller)
        return Holder(endpoint=endpoint, public_key=self._server.public_key)

    def admit(self, message: Admit) -> None:
        """Let a host fetch those digests for a while."""
        if self._server is not None:
            self._server.admit(message.public_key, message.digests, message.expires_in_s)

    def _open_digest(self, digest: str) -> Path | None:
        return self._equipment.caches.find(digest) or self._equipment.seals.find(digest)

    def close(self) -> None:
        """Serve nobody any more."""
        if self._server is not None:
            self._server.close()
            self._server = None


def advertised(bound: str, controller_endpoint: str) -> str:
    """Return what others dial to reach the endpoint that was bound.

    One that was bound on every address is told with the address that this host has towards its controller.
    """
    parts = urlsplit(bound)
    if parts.scheme != "tcp" or parts.netloc.rpartition(":")[0] not in _ANY_HOST:
        return bound
    address = _address_towards(controller_endpoint)
    host = f"[{address}]" if ":" in address else address
    return f"tcp://{host}:{parts.netloc.rpartition(':')[2]}"


def _address_towards(endpoint: str) -> str:
    """Ask the kernel which of this host's addresses it would use; nothing is sent."""
    parts = urlsplit(endpoint)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except (OSError, IndexError):
        return socket.gethostname()
