"""All that the executor knows, changed by journal entries and by nothing else.

``apply`` is the same at run time and when the journal is read again, so reading it again gives the same state.
It decides nothing, does no I/O and reads no clock.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from innkeeper_hostagent.entries import (
    CancelHeard,
    Entry,
    LegAccepted,
    LegClosed,
    LegNamed,
    LegRefused,
    OperationsForgotten,
    StepBegan,
    StepFinished,
    Tables,
)
from innkeeper_hostagent.legs import TAKEN_BACK, Leg, LegEvent, LegKey, LegState
from innkeeper_hostagent.protocol.messages import CarryOut, LegEnded, LegStatus
from innkeeper_hostagent.undo import undo_steps
from innkeeper_plugins.steps import Delete, Postmigrate, Step, StepBase
from innkeeper_plugins.vocabulary import OperationId, Outcome, Vm, VmId

#: How many forgotten operations are remembered, so that a late copy of one of their legs is refused.
MAX_FORGOTTEN = 4096

_Key = TypeVar("_Key")


class Ledger:
    """Legs by key, and what outlives them; read freely, change only through ``apply``."""

    __slots__ = ("_entries", "busy", "forgotten", "generations", "legs", "of_operation", "refused", "vms", "waiting")

    def __init__(self) -> None:
        #: In the order in which they were accepted.
        self.legs: dict[LegKey, Leg] = {}
        #: ``{leg: reason}``
        self.refused: dict[LegKey, str] = {}
        self.of_operation: dict[OperationId, list[LegKey]] = {}
        #: ``{subject: the leg of which a step runs}``
        self.busy: dict[str, LegKey] = {}
        #: ``{subject: legs in the order in which they will begin}``
        self.waiting: dict[str, list[LegKey]] = {}
        #: Highest generation ever seen.
        self.generations: dict[VmId, int] = {}
        #: VMs that have something on this host.
        self.vms: dict[VmId, Vm] = {}
        #: An ordered set, the oldest first.
        self.forgotten: dict[OperationId, None] = {}
        self._entries: dict[LegKey, list[Entry]] = {}

    def apply(self, entry: Entry) -> None:
        """Let the entry become true."""
        APPLY[type(entry)](self, entry)

    def find(self, entry: LegNamed) -> Leg:
        """Return the leg that the entry is about.

        Raises:
            KeyError: there is none.
        """
        return self.legs[entry.operation_id, entry.leg, entry.undo]

    def answer(self, key: LegKey) -> LegEnded | None:
        """Return what to tell of a leg that has ended or was refused; None for any other."""
        if key in self.refused:
            operation_id, number, undo = key
            return LegEnded(
                operation_id=operation_id,
                leg=number,
                undo=undo,
                status=LegStatus.REFUSED,
                outcomes={},
                reason=self.refused[key],
            )
        leg = self.legs.get(key)
        return leg.ended() if leg is not None and leg.state is LegState.ENDED else None

    def snapshot(self) -> tuple[Entry, ...]:
        """Return entries from which an empty ledger becomes equal to this one."""
        tables = Tables(generations=dict(self.generations), vms=tuple(self.vms.values()), forgotten=(*self.forgotten,))
        return (*(entry for entries in self._entries.values() for entry in entries), tables)

    def remember(self, key: LegKey, entry: Entry) -> None:
        """Keep the entry for the snapshot until its operation is forgotten."""
        self._entries.setdefault(key, []).append(entry)

    def note(self, key: LegKey) -> None:
        """Count the leg among those of its operation."""
        self.of_operation.setdefault(key[0], []).append(key)

    @property
    def open_legs(self) -> int:
        """How many legs run or wait."""
        return len(self.busy) + sum(len(queue) for queue in self.waiting.values())

    def forward_of(self, request: CarryOut) -> Leg | None:
        """Return the leg that the request wants taken back; None where this host never took it on."""
        return self.legs.get((request.operation_id, request.leg, False))

    def undo_list(self, request: CarryOut) -> list[Step]:
        """Return what a request for an undo has to run.

        A leg that this host refused, or never heard of though it holds the VM, has nothing to take back. Where
        neither leg nor VM is known the journal may have been lost, and every step is taken back.
        """
        forward = self.forward_of(request)
        if forward is not None:
            taken_back = forward.verdict in TAKEN_BACK
            return [] if taken_back else undo_steps(forward.ran, forward.request.steps, forward.request.vm)
        refused = (request.operation_id, request.leg, False) in self.refused
        held = request.vm is not None and request.vm.vm_id in self.vms
        return [] if refused or held else undo_steps(request.steps, request.steps, request.vm)


def _on_leg_accepted(ledger: Ledger, entry: LegAccepted) -> None:
    request = entry.request
    leg = Leg(request=request, newcomer=entry.newcomer, todo=list(request.steps))
    ledger.legs[leg.key] = leg
    ledger.note(leg.key)
    ledger.remember(leg.key, entry)
    ledger.waiting.setdefault(request.subject, []).append(leg.key)
    if request.vm is not None:
        vm_id = request.vm.vm_id
        ledger.generations[vm_id] = max(request.vm.generation, ledger.generations.get(vm_id, 0))
        if not request.undo:
            ledger.vms[vm_id] = request.vm


def _on_leg_refused(ledger: Ledger, entry: LegRefused) -> None:
    key = (entry.operation_id, entry.leg, entry.undo)
    ledger.refused[key] = entry.reason
    ledger.note(key)
    ledger.remember(key, entry)


def _on_leg_closed(ledger: Ledger, entry: LegClosed) -> None:
    leg = ledger.find(entry)
    leg.advance(entry.event)
    leg.reason = entry.reason
    ledger.remember(leg.key, entry)
    _leave_queue(ledger, leg)
    _on_ended(ledger, leg)


def _on_step_began(ledger: Ledger, entry: StepBegan) -> None:
    leg = ledger.find(entry)
    ledger.remember(leg.key, entry)
    if leg.state is LegState.QUEUED:
        if leg.request.undo:
            leg.todo = list(entry.todo)
        leg.advance(LegEvent.BEGIN_UNDO if leg.request.undo else LegEvent.BEGIN)
        leg.deadline_s = None
        _leave_queue(ledger, leg)
        ledger.busy[leg.request.subject] = leg.key


def _on_step_finished(ledger: Ledger, entry: StepFinished) -> None:
    leg = ledger.find(entry)
    step = leg.todo[0]
    ledger.remember(leg.key, entry)
    if leg.state is LegState.UNDOING:
        _on_undo_finished(leg, step, entry.outcome)
    else:
        _on_forward_finished(leg, step, entry.outcome)
    if entry.outcome.ok and leg.request.vm is not None and _empties(step):
        ledger.vms.pop(leg.request.vm.vm_id, None)
    if leg.state is LegState.ENDED:
        ledger.busy.pop(leg.request.subject, None)
        _on_ended(ledger, leg)


def _on_forward_finished(leg: Leg, step: Step, outcome: Outcome) -> None:
    leg.outcomes[step.step_id] = outcome
    leg.ran.append(step)
    del leg.todo[0]
    if leg.state is LegState.CANCELLING and leg.is_past_final:
        leg.advance(LegEvent.CANCEL_TOO_LATE)
    if not outcome.ok:
        leg.advance(LegEvent.STEP_FAILED_PAST_FINAL if leg.is_past_final else LegEvent.STEP_FAILED)
    else:
        leg.advance(LegEvent.STEP_DONE if leg.todo else LegEvent.LAST_STEP_DONE)
    if leg.state is LegState.UNDOING:
        leg.todo = undo_steps(leg.ran, leg.request.steps, leg.request.vm)
        if not leg.todo:
            leg.advance(LegEvent.LAST_UNDO_DONE)


def _on_undo_finished(leg: Leg, step: Step, outcome: Outcome) -> None:
    if leg.request.undo or not outcome.ok:
        leg.outcomes[step.step_id] = _both(leg.outcomes.get(step.step_id), outcome)
    if not outcome.ok:
        leg.advance(LegEvent.UNDO_FAILED)
        return
    del leg.todo[0]
    leg.advance(LegEvent.UNDO_DONE if leg.todo else LegEvent.LAST_UNDO_DONE)


def _both(first: Outcome | None, undo: Outcome) -> Outcome:
    """Return one outcome for a step that failed and could not be taken back either."""
    if first is None or first.ok or undo.ok:
        return undo
    message = f"{first.message}; taking it back failed as well ({undo.code}): {undo.message}"
    return Outcome(
        ok=False,
        code=first.code,
        message=message,
        argv=first.argv,
        exit_status=first.exit_status,
        stderr=first.stderr,
        duration_s=first.duration_s + undo.duration_s,
    )


def _empties(step: StepBase) -> bool:
    """Whether nothing of the VM is left on this host after the step."""
    return isinstance(step, Postmigrate) or (isinstance(step, Delete) and step.disk_id is None)


def _on_ended(ledger: Ledger, leg: Leg) -> None:
    """Let go of a VM that came with the leg and has been taken back with it."""
    if leg.newcomer and leg.is_taken_back and leg.request.vm is not None:
        ledger.vms.pop(leg.request.vm.vm_id, None)


def _leave_queue(ledger: Ledger, leg: Leg) -> None:
    queue = ledger.waiting[leg.request.subject]
    queue.remove(leg.key)
    if not queue:
        del ledger.waiting[leg.request.subject]


def _on_cancel_heard(ledger: Ledger, entry: CancelHeard) -> None:
    leg = ledger.find(entry)
    leg.advance(LegEvent.CANCEL)
    ledger.remember(leg.key, entry)


def _on_operations_forgotten(ledger: Ledger, entry: OperationsForgotten) -> None:
    for operation_id in entry.operations:
        for key in ledger.of_operation.pop(operation_id, ()):
            ledger.legs.pop(key, None)
            ledger.refused.pop(key, None)
            ledger._entries.pop(key, None)  # noqa: SLF001 - the table's functions are the ledger's own
        ledger.forgotten[operation_id] = None
    _drop_oldest(ledger.forgotten, MAX_FORGOTTEN)


def _drop_oldest(table: dict[_Key, None], limit: int) -> None:
    while len(table) > limit:
        del table[next(iter(table))]


def _on_tables(ledger: Ledger, entry: Tables) -> None:
    ledger.generations = dict(entry.generations)
    ledger.vms = {vm.vm_id: vm for vm in entry.vms}
    ledger.forgotten = dict.fromkeys(entry.forgotten)


#: ``{entry: what becomes true}``; each function takes its own kind of entry.
APPLY: dict[type, Callable[[Ledger, Any], None]] = {
    LegAccepted: _on_leg_accepted,
    LegRefused: _on_leg_refused,
    LegClosed: _on_leg_closed,
    StepBegan: _on_step_began,
    StepFinished: _on_step_finished,
    CancelHeard: _on_cancel_heard,
    OperationsForgotten: _on_operations_forgotten,
    Tables: _on_tables,
}
