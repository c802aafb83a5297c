"""The controller as its hosts meet it: what agents say goes to the reactor, what they are told is durable before.

It decides nothing and opens no socket: the gateway calls its ``on_`` methods and carries what it sends.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from innkeeper_controller.outbox import Outbox
from innkeeper_controller.pipeline import Pipeline
from innkeeper_controller.reactor import Reactor
from innkeeper_controller.records import Moment
from innkeeper_controller.settings import CONTROLLER
from innkeeper_controller.turn import Turn
from innkeeper_hostagent.protocol.messages import (
    AgentMessage,
    Confirm,
    ConsoleOutput,
    ControllerMessage,
    Heartbeat,
    Hello,
    Join,
    Progress,
    Refused,
    Welcome,
)
from innkeeper_plugins.vocabulary import HostId

#: What is noted in memory and nowhere else.
_REMEMBERED_ONLY: Final = (Heartbeat, Progress)


class Links(Protocol):
    """The way to the agents: what is needed of the gateway."""

    def send(self, host_id: int, message: ControllerMessage) -> None:
        """Queue a message; nothing where the host is not there."""
        ...

    def confirm(self, host_id: int) -> None:
        """Acknowledge all that the host said so far."""
        ...

    def answer_join(self, public_key: str, message: ControllerMessage) -> None:
        """Answer a host that wants to be enrolled."""
        ...


class HostLinks:
    """All hosts at once; every method has to be called on the loop's thread."""

    def __init__(self, reactor: Reactor, pipeline: Pipeline, *, clock: Callable[[], Moment]) -> None:
        """Prepare; ``links`` has to be set before the first host can be heard."""
        self.links: Links | None = None
        #: Get what guests print, and hosts that are lost.
        self.on_console_output: Callable[[HostId, ConsoleOutput], None] = lambda _host_id, _message: None
        self.on_host_lost: Callable[[HostId], None] = lambda _host_id: None
        #: Gets what the controller's own bulk server has to do.
        self.on_own_message: Callable[[ControllerMessage], None] = lambda _message: None
        self._reactor, self._pipeline, self._clock = reactor, pipeline, clock
        #: ``{host: messages of it that are not durable yet}``
        self._undurable: Counter[HostId] = Counter()

    def host_of_key(self, public_key: str) -> int | None:
        """Return the host that the key belongs to."""
        return self._reactor.cluster.host_of_key.get(public_key)

    def on_message(self, host_id: int, message: AgentMessage) -> None:
        """Take what a host said."""
        host = HostId(host_id)
        if isinstance(message, ConsoleOutput):
            self.on_console_output(host, message)
            if message.ended and not self._undurable[host]:
                self._open_links.confirm(host)
            return
        if isinstance(message, _REMEMBERED_ONLY) and not self._undurable[host] and not self._pipeline.trouble:
            # Thousands come each second. They change no record, so there is nothing that they would have to wait for.
            self._pipeline.attempt(lambda: self._reactor.message(host, message, self._clock()))
            self._open_links.confirm(host)
            return
        self._hear(host, lambda: self._reactor.message(host, message, self._clock()))

    def on_join(self, public_key: str, message: Join) -> None:
        """Take the wish of a host to be enrolled; ``Links.answer_join`` follows."""

        def reaction(outbox: Outbox) -> None:
            made = self._pipeline.attempt(lambda: self._reactor.joined(public_key, message, self._clock()))
            if made is not None:
                self._pipeline.add(outbox, made[0])
                outbox.joins.append((public_key, made[1]))

        self._pipeline.react(reaction)

    def on_connected(self, host_id: int, hello: Hello) -> Welcome | Refused:
        """Open a host's session; what it said before comes first."""
        host = HostId(host_id)
        answer: Welcome | Refused = Refused(code="internal", message="the controller has a fault; see its log")

        def reaction(outbox: Outbox) -> None:
            nonlocal answer
            outbox.heard[host] += 1
            made = self._pipeline.attempt(lambda: self._reactor.connected(host, hello, self._clock()))
            if made is None:
                return
            turn, answer = made
            if isinstance(answer, Welcome) and answer.confirmed:
                # The welcome goes out at once; that the agent may forget something has to be durable before.
                turn.send(host, Confirm(operations=answer.confirmed))
                answer = msgspec.structs.replace(answer, confirmed=())
            self._pipeline.add(outbox, turn)

        self._undurable[host] += 1
        self._pipeline.react_now(reaction)
        return answer

    def on_lost(self, host_id: int) -> None:
        """Take that a host's session has ended."""
        host = HostId(host_id)
        self.on_host_lost(host)
        self._hear(host, lambda: self._reactor.lost(host, self._clock()))

    def send(self, host_id: HostId, message: ControllerMessage) -> None:
        """Send what neither changes anything nor tells of what is not durable."""
        self._open_links.send(host_id, message)

    def release(self, outbox: Outbox) -> None:
        """Send what is durable, and acknowledge what hosts said."""
        for host_id, message in outbox.sends:
            if host_id == CONTROLLER:
                self.on_own_message(message)
            else:
                self._open_links.send(host_id, message)
        for host, count in outbox.heard.items():
            self._undurable[host] -= count
            # Acknowledging takes in all that the host said so far, so nothing of it may be on its way to the disk.
            if not self._undurable[host]:
                del self._undurable[host]
                self._open_links.confirm(host)
        for public_key, answer in outbox.joins:
            self._open_links.answer_join(public_key, answer)

    @property
    def _open_links(self) -> Links:
        assert self.links is not None, "set before the first host is heard"
        return self.links

    def _hear(self, host: HostId, make_turn: Callable[[], Turn]) -> None:
        def reaction(outbox: Outbox) -> None:
            outbox.heard[host] += 1
            turn = self._pipeline.attempt(make_turn)
            if turn is not None:
                self._pipeline.add(outbox, turn)

        self._undurable[host] += 1
        self._pipeline.react(reaction)
