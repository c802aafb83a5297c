"""The life of a leg, consecutive steps of a plan on this host: the one table of its moves, and what a leg remembers.

The law:
1. A leg runs its steps one after the other; each has ended before the next begins.
2. A step that fails, or a cancel, turns the leg round: what was done is taken back, last first.
3. Past a step marked ``final`` there is no way back: a cancel is too late, and a failure ends the leg ``failed``.
4. Taking back stops at the first undo that fails: the disks of a guest that may still run are not touched.
5. ENDED is the end, and asks for the same answer for ever.

No state is set anywhere else; nothing here does I/O, reads a clock or chooses what is taken back.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from innkeeper_hostagent.protocol.messages import CarryOut, LegEnded, LegStatus
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.steps import Step, verb_of
from innkeeper_plugins.vocabulary import OperationId, Outcome


class LegState(StrEnum):
    """Where a leg is."""

    #: Accepted; waits for its subject to be free.
    QUEUED = "queued"
    RUNNING = "running"
    #: Its running step has been told to stop.
    CANCELLING = "cancelling"
    UNDOING = "undoing"
    ENDED = "ended"


class LegEvent(StrEnum):
    """What can happen to a leg."""

    BEGIN = "begin"
    #: The leg was asked for with ``undo``.
    BEGIN_UNDO = "begin_undo"
    NOTHING_TO_DO = "nothing_to_do"
    NOTHING_TO_UNDO = "nothing_to_undo"
    #: Its undo was asked for, but a final step has run.
    NO_WAY_BACK = "no_way_back"
    EXPIRE = "expire"
    CANCEL = "cancel"
    #: It was told to stop, and its final step had already run: it goes on.
    CANCEL_TOO_LATE = "cancel_too_late"
    #: A step ended well and others follow.
    STEP_DONE = "step_done"
    LAST_STEP_DONE = "last_step_done"
    STEP_FAILED = "step_failed"
    #: A step failed after a final one had run.
    STEP_FAILED_PAST_FINAL = "step_failed_past_final"
    UNDO_DONE = "undo_done"
    LAST_UNDO_DONE = "last_undo_done"
    UNDO_FAILED = "undo_failed"


_QUEUED, _RUNNING, _CANCELLING = LegState.QUEUED, LegState.RUNNING, LegState.CANCELLING
_UNDOING, _ENDED = LegState.UNDOING, LegState.ENDED

#: ``{(state, event): (next state, verdict)}``; the verdict is the status that the leg will end with, None keeps it.
EDGES: dict[tuple[LegState, LegEvent], tuple[LegState, LegStatus | None]] = {
    (_QUEUED, LegEvent.BEGIN): (_RUNNING, None),
    (_QUEUED, LegEvent.BEGIN_UNDO): (_UNDOING, LegStatus.DONE),
    (_QUEUED, LegEvent.NOTHING_TO_DO): (_ENDED, LegStatus.DONE),
    (_QUEUED, LegEvent.NOTHING_TO_UNDO): (_ENDED, LegStatus.DONE),
    (_QUEUED, LegEvent.NO_WAY_BACK): (_ENDED, LegStatus.FAILED),
    (_QUEUED, LegEvent.EXPIRE): (_ENDED, LegStatus.REFUSED),
    (_QUEUED, LegEvent.CANCEL): (_ENDED, LegStatus.CANCELLED),
    (_RUNNING, LegEvent.STEP_DONE): (_RUNNING, None),
    (_RUNNING, LegEvent.LAST_STEP_DONE): (_ENDED, LegStatus.DONE),
    (_RUNNING, LegEvent.STEP_FAILED): (_UNDOING, LegStatus.UNDONE),
    (_RUNNING, LegEvent.STEP_FAILED_PAST_FINAL): (_ENDED, LegStatus.FAILED),
    (_RUNNING, LegEvent.CANCEL): (_CANCELLING, LegStatus.CANCELLED),
    (_CANCELLING, LegEvent.STEP_DONE): (_UNDOING, None),
    (_CANCELLING, LegEvent.LAST_STEP_DONE): (_UNDOING, None),
    (_CANCELLING, LegEvent.STEP_FAILED): (_UNDOING, None),
    (_CANCELLING, LegEvent.CANCEL_TOO_LATE): (_RUNNING, LegStatus.DONE),
    (_UNDOING, LegEvent.UNDO_DONE): (_UNDOING, None),
    (_UNDOING, LegEvent.LAST_UNDO_DONE): (_ENDED, None),
    (_UNDOING, LegEvent.UNDO_FAILED): (_ENDED, LegStatus.FAILED),
}

#: States in which a step of the leg runs.
ACTIVE = frozenset({LegState.RUNNING, LegState.CANCELLING, LegState.UNDOING})
#: Verdicts of a leg of which nothing is left; a leg asked for with ``undo`` ends ``done`` instead.
TAKEN_BACK = frozenset({LegStatus.UNDONE, LegStatus.CANCELLED, LegStatus.REFUSED})


class IllegalLegEventError(InnkeeperError):
    """The table has no such edge: our own code is wrong; nothing has changed."""


def advance(state: LegState, event: LegEvent) -> tuple[LegState, LegStatus | None]:
    """Return the next state and the verdict, None where the verdict stays.

    Raises:
        IllegalLegEventError: the table has no such edge.
    """
    try:
        return EDGES[state, event]
    except KeyError:
        raise IllegalLegEventError(f"a leg that is {state} knows no {event}") from None


#: Operation, number of the leg, and whether its undo was asked for.
LegKey = tuple[OperationId, int, bool]


@dataclass(slots=True)
class Leg:
    """A leg that was accepted, until its operation is forgotten; only the ledger changes what the journal tells."""

    request: CarryOut
    #: Nothing of the VM was on this host before.
    newcomer: bool = False
    state: LegState = LegState.QUEUED
    verdict: LegStatus = LegStatus.DONE
    reason: str = ""
    #: Not to be begun after this moment, seconds of the caller's clock, which no journal tells; None for no limit.
    deadline_s: float | None = None
    #: Steps still to be run in their order; the first one runs while the leg is active.
    todo: list[Step] = field(default_factory=list)
    #: Steps that ended, in their order; of them only the last may have failed.
    ran: list[Step] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    @property
    def key(self) -> LegKey:
        """How the leg is found."""
        return (self.request.operation_id, self.request.leg, self.request.undo)

    @property
    def is_active(self) -> bool:
        """Whether one of its steps runs."""
        return self.state in ACTIVE

    @property
    def is_taken_back(self) -> bool:
        """Whether nothing is left of it, or of the leg that its undo was asked for."""
        return self.verdict in TAKEN_BACK or (self.request.undo and self.verdict is LegStatus.DONE)

    @property
    def is_past_final(self) -> bool:
        """Whether there is no way back any more."""
        return any(verb_of(step).final and self.outcomes[step.step_id].ok for step in self.ran)

    def advance(self, event: LegEvent) -> None:
        """Move along the table.

        Raises:
            IllegalLegEventError: the table has no such edge; nothing has changed.
        """
        self.state, verdict = advance(self.state, event)
        if verdict is not None:
            self.verdict = verdict

    def ended(self) -> LegEnded:
        """Return the answer to give for a leg that has ended."""
        assert self.state is LegState.ENDED, self.key
        operation_id, number, undo = self.key
        return LegEnded(
            operation_id=operation_id,
            leg=number,
            undo=undo,
            status=self.verdict,
            outcomes=dict(self.outcomes),
            reason=self.reason,
        )
