"""Decides what the agent does about each event: a pure reactor over the ledger.

Each ``on_<event>`` returns entries and effects; the caller makes the entries durable with one write, and only
then carries the effects out. The executor has no clock, thread or file.

1. One operation at a time for each subject; legs of the same operation wait for one another.
2. A generation lower than the highest ever seen of a VM is refused.
3. The same leg asked again gets the same answer, or none while it runs.
"""

import itertools
from collections.abc import Iterable

from innkeeper_hostagent.draft import Draft
from innkeeper_hostagent.effects import Reaction, RunStep, Send
from innkeeper_hostagent.entries import Entry, LegAccepted, OperationsForgotten
from innkeeper_hostagent.ledger import Ledger
from innkeeper_hostagent.legs import Leg, LegKey, LegState
from innkeeper_hostagent.orders import disown_order, flaw_of, generation_of, is_ours, lacks_driver
from innkeeper_hostagent.protocol.messages import CarryOut, Disown, LegEnded
from innkeeper_plugins.vocabulary import DriverFacts, OperationId, Outcome, may_be_same

#: How many legs may wait for one subject.
MAX_WAITING = 8


class Executor:
    """The agent's decisions; holds the ledger and nothing else that changes."""

    def __init__(self, drivers: Iterable[DriverFacts]) -> None:
        """Start with an empty ledger.

        Args:
            drivers: What this host has; a leg that names another driver is refused.
        """
        self.ledger = Ledger()
        self._drivers = tuple(drivers)
        self._names = frozenset((driver.kind, driver.name) for driver in self._drivers)

    def on_carry_out(self, request: CarryOut, now_s: float) -> Reaction:
        """Take a leg on, refuse it, or answer what was answered before."""
        if self.knows(request):
            answer = self.ledger.answer((request.operation_id, request.leg, request.undo))
            return Reaction(effects=(Send(message=answer),)) if answer else Reaction()
        draft = Draft(self.ledger)
        if reason := self._refusal(request):
            draft.refuse(request, reason)
        else:
            self._accept(draft, request, now_s)
        return draft.reaction()

    def knows(self, request: CarryOut) -> bool:
        """Whether that leg has been taken on or refused before."""
        key = (request.operation_id, request.leg, request.undo)
        return key in self.ledger.legs or key in self.ledger.refused

    def on_cancel(self, operation_id: OperationId, now_s: float) -> Reaction:
        """Stop the operation's leg where there is a way back; anything else is left as it is."""
        draft = Draft(self.ledger)
        for key in tuple(self.ledger.of_operation.get(operation_id, ())):
            leg = self.ledger.legs.get(key)
            if leg is not None:
                draft.cancel(leg)
                draft.begin_next(leg.request.subject, now_s)
        return draft.reaction()

    def on_step_ended(self, run: RunStep, outcome: Outcome, now_s: float) -> Reaction:
        """Go on after a step; the end of a step that does not run changes nothing."""
        running = self._running(run)
        if running is None:
            return Reaction()
        draft = Draft(self.ledger)
        draft.finish_step(running, outcome)
        draft.begin_next(running.request.subject, now_s)
        return draft.reaction()

    def on_confirm(self, operations: Iterable[OperationId]) -> Reaction:
        """Forget operations of which every leg here has ended."""
        draft = Draft(self.ledger)
        known = tuple(op for op in operations if op not in self.ledger.forgotten and self._has_ended(op))
        if known:
            draft.record(OperationsForgotten(operations=known))
        return draft.reaction()

    def on_disown(self, disown: Disown, now_s: float) -> Reaction:
        """Switch the guest off and delete its files, unless a higher generation of it, or another VM, has been here."""
        held = self.ledger.vms.get(disown.vm_id)
        if self.ledger.generations.get(disown.vm_id, 0) > disown.generation:
            return Reaction()
        if held is not None and not may_be_same(held.uuid, disown.uuid):
            return Reaction()
        order = disown_order(disown, held, self._drivers)
        if (order.operation_id, order.leg, False) in self.ledger.legs:
            return Reaction()
        draft = Draft(self.ledger)
        for key in self._ahead(order.subject):
            draft.cancel(self.ledger.legs[key])
        self._accept(draft, order, now_s)
        return draft.reaction()

    def recover(self, entries: Iterable[Entry], now_s: float) -> Reaction:
        """Know again what the journal tells, and run again each step that began and did not end."""
        for entry in entries:
            self.ledger.apply(entry)
        draft = Draft(self.ledger)
        for key in tuple(self.ledger.busy.values()):
            draft.run_again(self.ledger.legs[key])
        for leg in [self.ledger.legs[key] for keys in self.ledger.waiting.values() for key in keys]:
            # How long it waited while nobody was here to count is not known.
            leg.deadline_s = None if _never_expires(leg.request) else float("-inf")
        for subject in tuple(self.ledger.waiting):
            draft.begin_next(subject, now_s)
        return draft.reaction()

    def unconfirmed(self) -> tuple[OperationId, ...]:
        """Return the operations that the controller has not confirmed, the oldest first."""
        return tuple(op for op in self.ledger.of_operation if not is_ours(op))

    def answers(self) -> tuple[LegEnded, ...]:
        """Return the answers of all legs that have ended and are not confirmed, to be sent again."""
        keys = (key for keys in self.ledger.of_operation.values() for key in keys if not is_ours(key[0]))
        return tuple(answer for key in keys if (answer := self.ledger.answer(key)) is not None)

    def _refusal(self, request: CarryOut) -> str:
        """Return why the leg is not taken on; empty where it is."""
        if request.operation_id in self.ledger.forgotten:
            return "forgotten"
        if flaw_of(request) or self._contradicts(request):
            return "malformed"
        if lacks_driver(request, self._names):
            return "unknown_driver"
        return self._untimely(request)

    def _contradicts(self, request: CarryOut) -> bool:
        """Whether the operation was about something else in another leg."""
        known = [self.ledger.legs.get(key) for key in self.ledger.of_operation.get(request.operation_id, ())]
        return any(
            leg.request.subject != request.subject or generation_of(leg.request) != generation_of(request)
            for leg in known
            if leg is not None
        )

    def _untimely(self, request: CarryOut) -> str:
        vm = request.vm
        held = self.ledger.vms.get(vm.vm_id) if vm is not None else None
        if vm is not None and held is not None and not may_be_same(vm.uuid, held.uuid):
            return "foreign_vm"
        if vm is not None and vm.generation < self.ledger.generations.get(vm.vm_id, 0):
            return "stale_generation"
        if not request.undo and (request.operation_id, request.leg, True) in self.ledger.legs:
            return "taken_back"
        if not request.undo and request.expires_in_s <= 0:
            return "expired"
        return "busy" if self._is_busy(request) else ""

    def _is_busy(self, request: CarryOut) -> bool:
        ahead = self._ahead(request.subject)
        if len(ahead) > MAX_WAITING:
            return True
        # What is ahead of a disowning is on its way out, and is nothing to be refused for.
        staying = itertools.takewhile(lambda key: not is_ours(key[0]), reversed(ahead))
        return any(key[0] != request.operation_id for key in staying)

    def _ahead(self, subject: str) -> list[LegKey]:
        """Return the legs of the subject that run or wait, in that order."""
        running = self.ledger.busy.get(subject)
        waiting = self.ledger.waiting.get(subject, ())
        return [*waiting] if running is None else [running, *waiting]

    def _accept(self, draft: Draft, request: CarryOut, now_s: float) -> None:
        forward = self.ledger.forward_of(request) if request.undo else None
        vm = request.vm
        newcomer = forward.newcomer if forward else vm is not None and vm.vm_id not in self.ledger.vms
        draft.record(LegAccepted(request=request, newcomer=newcomer))
        if not _never_expires(request):
            self.ledger.legs[request.operation_id, request.leg, False].deadline_s = now_s + request.expires_in_s
        if forward is not None:
            draft.cancel(forward)
        draft.begin_next(request.subject, now_s)

    def _running(self, run: RunStep) -> Leg | None:
        """Return the leg of which this very step runs."""
        for asked_with_undo in (False, True):
            found = self.ledger.legs.get((run.operation_id, run.leg, asked_with_undo))
            if found is not None and found.is_active:
                same = found.todo[0].step_id == run.step.step_id and (found.state is LegState.UNDOING) == run.undo
                return found if same else None
        return None

    def _has_ended(self, operation_id: OperationId) -> bool:
        keys = self.ledger.of_operation.get(operation_id, ())
        return bool(keys) and all(self.ledger.answer(key) is not None for key in keys)


def _never_expires(request: CarryOut) -> bool:
    return request.undo or is_ours(request.operation_id)
