"""Which host speaks in which session now, and which sessions are over for good.

It sends nothing and asks nobody; the gateway acts on what it says.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from innkeeper_hostagent.protocol.frames import Frame, Kind, Role, instance_of
from innkeeper_hostagent.protocol.messages import ControllerMessage
from innkeeper_hostagent.protocol.session import Session

#: Agents that one key has been seen with and that have been told to stop; more are forgotten, the oldest first.
_MAX_SUPERSEDED: Final = 8


class Standing(Enum):
    """What a frame's session is to the host that sent it."""

    #: The one that counts.
    CURRENT = "current"
    #: The beginning of a session that has not been seen before.
    NEW = "new"
    #: Of an agent that another one with the same key has taken over from.
    SUPERSEDED = "superseded"
    #: Over, or never begun here.
    STALE = "stale"


@dataclass(slots=True, eq=False)
class Peer:
    """A host with an open session."""

    host_id: int
    public_key: str
    #: Where ROUTER finds the connection that the last frame came over.
    route: bytes
    session: Session
    #: Not to be looked after before this.
    due_s: float = 0.0
    #: What is to be sent after the ``Welcome``; None once that has been queued.
    held: list[ControllerMessage] | None = field(default_factory=list)


class Roster:
    """The open sessions by host, and a short memory of ended ones."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.peers: dict[int, Peer] = {}
        #: ``{host_id: (instance, attempt)}`` of the last session, open or not.
        self._last: dict[int, tuple[bytes, int]] = {}
        self._superseded: dict[int, list[bytes]] = {}

    def standing(self, host_id: int, frame: Frame) -> Standing:
        """Say what the frame's session is to the host."""
        peer = self.peers.get(host_id)
        if peer is not None and peer.session.session_id == frame.session_id:
            return Standing.CURRENT
        instance, attempt = instance_of(frame.session_id)
        if instance in self._superseded.get(host_id, ()):
            return Standing.SUPERSEDED
        last_instance, last_attempt = self._last.get(host_id, (b"", 0))
        # An agent that has acknowledged something had a session with a controller that has since restarted.
        opens = frame.kind is Kind.RELIABLE and frame.sequence == 1 and frame.acknowledged == 0
        is_late = instance == last_instance and attempt <= last_attempt
        if not opens or is_late or frame.sender is not Role.AGENT:
            return Standing.STALE
        return Standing.NEW

    def admit(self, peer: Peer) -> Peer | None:
        """Make the peer's session the one that counts; return the one of another agent that it takes over from."""
        instance, attempt = instance_of(peer.session.session_id)
        last_instance, _ = self._last.get(peer.host_id, (instance, 0))
        replaced = self.peers.get(peer.host_id)
        if last_instance != instance:
            self._remember_superseded(peer.host_id, last_instance)
        self._last[peer.host_id] = (instance, attempt)
        self.peers[peer.host_id] = peer
        return replaced if last_instance != instance else None

    def remove(self, host_id: int) -> Peer | None:
        """End the host's session; return it, or None where there was none."""
        return self.peers.pop(host_id, None)

    def _remember_superseded(self, host_id: int, instance: bytes) -> None:
        instances = self._superseded.setdefault(host_id, [])
        instances.append(instance)
        del instances[:-_MAX_SUPERSEDED]
