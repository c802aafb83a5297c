"""The reaction to one event while it grows: the moves of legs that several events share.

Each entry becomes true in the ledger at once; nothing leaves the process here.
"""

from innkeeper_hostagent.effects import CancelStep, Effect, Reaction, RunStep, Send, TidyUp, WriteScript
from innkeeper_hostagent.entries import (
    CancelHeard,
    Entry,
    LegClosed,
    LegRefused,
    OperationsForgotten,
    StepBegan,
    StepFinished,
)
from innkeeper_hostagent.ledger import Ledger
from innkeeper_hostagent.legs import TAKEN_BACK, Leg, LegEvent, LegState
from innkeeper_hostagent.orders import is_ours
from innkeeper_hostagent.protocol.messages import CarryOut, LegEnded, LegStatus, StepStarted
from innkeeper_hostagent.undo import spares_shared
from innkeeper_plugins.steps import Step
from innkeeper_plugins.vocabulary import Outcome


class Draft:
    """The reaction to one event while it grows; each entry becomes true at once in memory."""

    __slots__ = ("_effects", "_entries", "_ledger")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._entries: list[Entry] = []
        self._effects: list[Effect] = []

    def reaction(self) -> Reaction:
        """Return what has come together."""
        return Reaction(entries=tuple(self._entries), effects=tuple(self._effects))

    def record(self, entry: Entry) -> None:
        """Let the entry become true and be written."""
        self._ledger.apply(entry)
        self._entries.append(entry)

    def refuse(self, request: CarryOut, reason: str) -> None:
        """Answer that the leg is not taken on, and remember it so that a late copy is not either."""
        key = (request.operation_id, request.leg, request.undo)
        if reason != "forgotten":
            self.record(LegRefused(operation_id=key[0], leg=key[1], undo=key[2], reason=reason))
        answer = self._ledger.answer(key) or LegEnded(
            operation_id=key[0], leg=key[1], undo=key[2], status=LegStatus.REFUSED, outcomes={}, reason=reason
        )
        self._effects.append(Send(message=answer))

    def cancel(self, leg: Leg) -> None:
        """Stop the leg where it can be stopped; what takes something back never is."""
        operation_id, number, undo = leg.key
        if undo or is_ours(operation_id):
            return
        if leg.state is LegState.QUEUED:
            self.close(leg, LegEvent.CANCEL)
        elif leg.state is LegState.RUNNING and not leg.is_past_final:
            self.record(CancelHeard(operation_id=operation_id, leg=number, undo=undo))
            self._effects.append(CancelStep(operation_id=operation_id, leg=number, step_id=leg.todo[0].step_id))

    def close(self, leg: Leg, event: LegEvent, reason: str = "") -> None:
        """End a leg of which no step has begun."""
        operation_id, number, undo = leg.key
        self.record(LegClosed(operation_id=operation_id, leg=number, undo=undo, event=event, reason=reason))
        self._on_ended(leg)

    def finish_step(self, leg: Leg, outcome: Outcome) -> None:
        """Take the end of the leg's running step down, and begin what follows or end the leg."""
        operation_id, number, undo = leg.key
        step_id = leg.todo[0].step_id
        self.record(StepFinished(operation_id=operation_id, leg=number, undo=undo, step_id=step_id, outcome=outcome))
        if leg.state is LegState.ENDED:
            self._on_ended(leg)
        else:
            self._begin_step(leg, leg.todo[0])

    def begin_next(self, subject: str, now_s: float) -> None:
        """Begin what waits for the subject, if it is free."""
        while subject not in self._ledger.busy and (queue := self._ledger.waiting.get(subject)):
            self._begin(self._ledger.legs[queue[0]], now_s)

    def run_again(self, leg: Leg) -> None:
        """Run the leg's step once more after a crash; one that was told to stop is told again."""
        self._run(leg)
        if leg.state is LegState.CANCELLING:
            step_id = leg.todo[0].step_id
            self._effects.append(CancelStep(operation_id=leg.key[0], leg=leg.key[1], step_id=step_id))

    def _begin(self, leg: Leg, now_s: float) -> None:
        if leg.deadline_s is not None and now_s > leg.deadline_s:
            self.close(leg, LegEvent.EXPIRE, reason="expired")
        elif leg.request.undo:
            self._begin_undo(leg)
        elif not leg.request.steps:
            self.close(leg, LegEvent.NOTHING_TO_DO)
        else:
            if not is_ours(leg.request.operation_id):
                self._effects.append(WriteScript(request=leg.request))
            self._begin_step(leg, leg.todo[0])

    def _begin_undo(self, leg: Leg) -> None:
        forward = self._ledger.forward_of(leg.request)
        if forward is not None and forward.verdict not in TAKEN_BACK and forward.is_past_final:
            self.close(leg, LegEvent.NO_WAY_BACK, reason="final")
        elif todo := self._ledger.undo_list(leg.request):
            self._begin_step(leg, todo[0], todo=tuple(todo))
        else:
            self.close(leg, LegEvent.NOTHING_TO_UNDO)

    def _begin_step(self, leg: Leg, step: Step, *, todo: tuple[Step, ...] = ()) -> None:
        operation_id, number, undo = leg.key
        self.record(StepBegan(operation_id=operation_id, leg=number, undo=undo, step_id=step.step_id, todo=todo))
        self._run(leg)

    def _run(self, leg: Leg) -> None:
        operation_id, number, _ = leg.key
        step = leg.todo[0]
        forwards = leg.state is not LegState.UNDOING
        ours = is_ours(operation_id)
        spare_shared = ours or (not forwards and spares_shared(step, leg.request.steps, leg.request.vm))
        if forwards and not ours:
            self._effects.append(Send(message=StepStarted(operation_id=operation_id, leg=number, step_id=step.step_id)))
        self._effects.append(
            RunStep(
                operation_id=operation_id,
                leg=number,
                step=step,
                vm=leg.request.vm,
                undo=not forwards,
                spare_shared=spare_shared,
            )
        )

    def _on_ended(self, leg: Leg) -> None:
        operation_id = leg.request.operation_id
        vm = leg.request.vm
        if vm is not None and vm.vm_id not in self._ledger.vms:
            self._effects.append(TidyUp(vm=vm))
        if is_ours(operation_id):
            self.record(OperationsForgotten(operations=(operation_id,)))
        else:
            self._effects.append(Send(message=leg.ended()))
