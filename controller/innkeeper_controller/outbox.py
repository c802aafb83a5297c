"""What one loop turn has to write, and what may leave the process once that is durable; sends nothing itself."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from innkeeper_controller.records import Event
from innkeeper_controller.store.rows import STATE_CHANGED, Answer, Transaction
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_hostagent.protocol.messages import ControllerMessage
from innkeeper_plugins.vocabulary import HostId

#: An answer's JSON, or why there is none.
Reply = bytes | RefusalError


@dataclass(slots=True)
class Outbox:
    """The turns of one loop turn, in order, and their effects."""

    #: Number of the batch once it was handed to the writer.
    number: int = 0
    transactions: list[Transaction] = field(default_factory=list)
    sends: list[tuple[HostId, ControllerMessage]] = field(default_factory=list)
    joins: list[tuple[str, ControllerMessage]] = field(default_factory=list)
    replies: list[tuple[asyncio.Future[bytes], Reply]] = field(default_factory=list)
    #: ``{host: messages of it that were reacted to}``
    heard: Counter[HostId] = field(default_factory=Counter)

    def add(self, turn: Turn, *, first_seq: int, answer: Answer | None = None) -> int:
        """Take a turn over and return how many events it has; one that changed nothing leaves nothing to write."""
        self.sends += turn.sends
        events = turn.events
        if turn.changes and not events:
            first = turn.changes[0]
            turn.event(STATE_CHANGED, f"{first.kind}:{first.key}")
        if events or answer is not None:
            owners = [_owner(turn, event) for event in events]
            self.transactions.append(Transaction(turn.changes, events, owners, first_seq, answer))
        return len(events)

    def absorb(self, later: "Outbox") -> None:
        """Take over the effects of a later loop turn that has nothing to write but saw what this one writes."""
        self.sends += later.sends
        self.joins += later.joins
        self.replies += later.replies
        self.heard.update(later.heard)

    def answer_all(self) -> None:
        """Give every reply to the one who waits for it."""
        for waiting, reply in self.replies:
            if waiting.done():
                continue
            if isinstance(reply, RefusalError):
                waiting.set_exception(reply)
            else:
                waiting.set_result(reply)


def _owner(turn: Turn, event: Event) -> str:
    """Return who owns what the event is about; empty where only administrators may read it."""
    kind, _, number = event.subject.partition(":")
    if kind == "user":
        return number
    if kind not in {"vm", "image", "network", "template"} or not number.isdecimal():
        return ""
    record = turn.cluster.get(kind, int(number)) or _changed(turn, kind, int(number))
    return str(getattr(record, "owner", ""))


def _changed(turn: Turn, kind: str, key: int) -> object:
    """Return what the turn made of a record that memory has let go of."""
    for change in turn.changes:
        if change.kind == kind and change.key == key:
            return change.new or change.old
    return None
