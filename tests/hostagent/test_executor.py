"""What the executor decides about each event, one conversation a test."""

from dataclasses import dataclass, field

import msgspec
import pytest
from tests.hostagent.orders_of_tests import (
    BOOT,
    BROKEN,
    DRIVERS,
    OK,
    PROLOG,
    a_disk,
    a_vm,
    cancel,
    clone,
    context,
    delete,
    deploy,
    fetch,
    migrate,
    order,
    prolog,
    restore,
    save,
)

from innkeeper_hostagent.effects import CancelStep, Reaction, RunStep, Send, TidyUp, WriteScript
from innkeeper_hostagent.entries import (
    CancelHeard,
    LegAccepted,
    LegRefused,
    OperationsForgotten,
    StepBegan,
    StepFinished,
)
from innkeeper_hostagent.executor import Executor
from innkeeper_hostagent.legs import EDGES, IllegalLegEventError, LegEvent, LegState, advance
from innkeeper_hostagent.protocol.messages import Disown, LegEnded, LegStatus, StepStarted
from innkeeper_plugins.steps import (
    AttachDisk,
    AttachNic,
    Cancel,
    Delete,
    DetachDisk,
    DetachNic,
    Postmigrate,
    Premigrate,
    SaveImage,
    undo_of,
)
from innkeeper_plugins.vocabulary import ImageId, Nic, OperationId, Outcome, VmId, VmState

OP = OperationId("o1")
PLUGGED = {"step_id": 0, "phase": VmState.RUNNING, "driver": "simulated"}


@dataclass
class Host:
    """An executor with a memory of what it wanted done."""

    executor: Executor = field(default_factory=lambda: Executor(DRIVERS))
    effects: list = field(default_factory=list)
    journal: list = field(default_factory=list)

    def take(self, reaction: Reaction) -> Reaction:
        self.journal += reaction.entries
        self.effects += reaction.effects
        return reaction

    def asks(self, request, now_s=0.0):
        return self.take(self.executor.on_carry_out(request, now_s))

    def running(self) -> RunStep:
        return next(effect for effect in reversed(self.effects) if isinstance(effect, RunStep))

    def ends(self, outcome=OK, now_s=0.0):
        return self.take(self.executor.on_step_ended(self.running(), outcome, now_s))

    def answers(self):
        return [e.message for e in self.effects if isinstance(e, Send) and isinstance(e.message, LegEnded)]

    def ran(self):
        return [effect.step for effect in self.effects if isinstance(effect, RunStep)]


def run(step, *, undo=False, leg=0, operation_id="o1", vm=None, spare_shared=False) -> RunStep:
    return RunStep(
        operation_id=OperationId(operation_id),
        leg=leg,
        step=step,
        vm=vm or a_vm(),
        undo=undo,
        spare_shared=spare_shared,
    )


def began(step_id: int, *, undo=False) -> StepBegan:
    return StepBegan(operation_id=OP, leg=0, undo=undo, step_id=step_id)


def finished(step_id: int, outcome: Outcome = OK, *, undo=False) -> StepFinished:
    return StepFinished(operation_id=OP, leg=0, undo=undo, step_id=step_id, outcome=outcome)


def started(step_id: int, leg: int = 0) -> Send:
    return Send(message=StepStarted(operation_id=OP, leg=leg, step_id=step_id))


def ended(
    status: LegStatus, outcomes: dict | None = None, *, undo=False, reason="", operation_id=OP, leg=0
) -> LegEnded:
    return LegEnded(
        operation_id=operation_id, leg=leg, undo=undo, status=status, outcomes=outcomes or {}, reason=reason
    )


def test_a_leg_of_three_steps_costs_four_writes_and_tells_of_each_step():
    host = Host()

    reactions = [host.asks(order()), host.ends(), host.ends(), host.ends()]

    assert reactions == [
        Reaction(
            entries=(LegAccepted(request=order(), newcomer=True), began(0)),
            effects=(WriteScript(request=order()), started(0), run(clone(0))),
        ),
        Reaction(entries=(finished(0), began(1)), effects=(started(1), run(context(1)))),
        Reaction(entries=(finished(1), began(2)), effects=(started(2), run(deploy(2)))),
        Reaction(entries=(finished(2),), effects=(Send(message=ended(LegStatus.DONE, {0: OK, 1: OK, 2: OK})),)),
    ]


def test_a_failed_step_is_taken_back_with_all_before_it_and_the_tool_s_words_are_kept():
    host = Host()
    host.asks(order())
    host.ends()
    host.ends()

    reactions = [host.ends(BROKEN), host.ends(), host.ends()]

    everything = Delete(step_id=1, phase=PROLOG, driver="qcow2")
    assert reactions == [
        Reaction(
            entries=(finished(2, BROKEN), began(2)),
            effects=(run(Cancel(step_id=2, phase=BOOT, driver="simulated"), undo=True),),
        ),
        Reaction(entries=(finished(2), began(1)), effects=(run(everything, undo=True),)),
        Reaction(
            entries=(finished(1),),
            effects=(
                TidyUp(vm=a_vm()),
                Send(message=ended(LegStatus.UNDONE, {0: OK, 1: OK, 2: BROKEN})),
            ),
        ),
    ]


def test_a_failed_undo_ends_the_leg_failed_and_leaves_the_disks_of_a_guest_that_may_run():
    host = Host()
    host.asks(order())
    host.ends()
    host.ends()
    host.ends(BROKEN)

    stuck = Outcome(ok=False, code="timeout", message="still there")
    host.ends(stuck)

    both = Outcome(
        ok=False,
        code="tool_failed",
        message="qemu-img failed; taking it back failed as well (timeout): still there",
        stderr="no luck",
    )
    assert host.answers() == [ended(LegStatus.FAILED, {0: OK, 1: OK, 2: both})]
    assert host.ran()[-1] == Cancel(step_id=2, phase=BOOT, driver="simulated")


def test_a_failure_before_anything_was_made_ends_the_leg_at_once():
    host = Host()
    host.asks(order((fetch(0), clone(1))))

    host.ends(BROKEN)

    assert host.answers() == [ended(LegStatus.UNDONE, {0: BROKEN})]
    assert host.executor.ledger.vms == {}


def test_a_failure_past_a_final_step_ends_the_leg_failed_and_nothing_is_taken_back():
    host = Host()
    host.asks(order((migrate(0), cancel(1)), kind="migrate_live"))
    host.ends()

    host.ends(BROKEN)

    assert host.answers() == [ended(LegStatus.FAILED, {0: OK, 1: BROKEN})]
    assert host.ran() == [migrate(0), cancel(1)]


def test_a_final_step_that_fails_itself_is_undone_as_any_other():
    host = Host()
    host.asks(order((migrate(0),), kind="migrate_live"))

    host.ends(BROKEN)

    assert host.answers() == [ended(LegStatus.UNDONE, {0: BROKEN})]


def test_taking_back_never_deletes_disks_that_the_leg_did_not_make():
    """A VM whose disks were there before: remaking its context and failing to boot leaves them alone."""
    host = Host()
    host.asks(order((context(0), deploy(1)), kind="resume"))
    host.ends()

    host.ends(BROKEN)
    host.ends()

    assert host.ran()[2:] == [Cancel(step_id=1, phase=BOOT, driver="simulated")]
    assert host.answers() == [ended(LegStatus.UNDONE, {0: OK, 1: BROKEN})]


def test_deleting_everything_runs_last_and_replaces_the_single_deletions_of_its_driver():
    vm = a_vm(disks=(a_disk(0), a_disk(1)))
    host = Host()
    host.asks(order((clone(0, 0), context(1), clone(2, 1)), vm=vm))
    host.ends()
    host.ends()

    host.ends(BROKEN)

    assert host.running() == run(Delete(step_id=1, phase=PROLOG, driver="qcow2"), undo=True, vm=vm)


def test_the_same_leg_asked_again_is_silent_while_it_runs_and_answered_when_it_has_ended():
    host = Host()
    host.asks(order((clone(0),)))

    assert host.asks(order((clone(0),))) == Reaction()
    host.ends()
    answer = ended(LegStatus.DONE, {0: OK})
    assert host.asks(order((clone(0),))) == Reaction(effects=(Send(message=answer),))


def test_the_end_of_a_step_that_does_not_run_changes_nothing():
    host = Host()
    host.asks(order())
    first = host.running()
    host.ends()

    assert host.executor.on_step_ended(first, OK, 0.0) == Reaction()
    assert host.executor.on_step_ended(run(context(1), undo=True), OK, 0.0) == Reaction()
    assert host.executor.on_step_ended(run(context(1), operation_id="o2"), OK, 0.0) == Reaction()


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (order(operation_id="o2", vm=a_vm(generation=4)), "stale_generation"),
        (order(operation_id="o2", vm=a_vm(generation=6)), "busy"),
        (order(operation_id="o2", vm=a_vm(9), expires_in_s=0.0), "expired"),
        (order((cancel(0),), operation_id="disown:9:1", vm=a_vm(9)), "malformed"),
        (order((clone(0), clone(0)), operation_id="o2", vm=a_vm(9)), "malformed"),
        (order((clone(0, 5),), operation_id="o2", vm=a_vm(9)), "malformed"),
        (
            order((Cancel(step_id=0, phase=BOOT, driver="xen"),), operation_id="o2", vm=a_vm(9)),
            "unknown_driver",
        ),
        (
            msgspec.structs.replace(
                order(operation_id="o2", vm=a_vm(9)),
                steps=(SaveImage(step_id=0, phase=VmState.POWEROFF, driver="agent", disk_id=0, image_id=ImageId(1)),),
                subject="image:1",
                vm=None,
            ),
            "malformed",
        ),
        (
            order((AttachDisk(disk_id=5, **PLUGGED),), operation_id="o2", vm=a_vm(9)),
            "malformed",
        ),
        (
            order((DetachNic(nic_id=5, **PLUGGED),), operation_id="o2", vm=a_vm(9)),
            "malformed",
        ),
    ],
)
def test_what_cannot_be_taken_on_is_refused_with_a_reason_that_a_late_copy_gets_as_well(request_, reason):
    host = Host()
    host.asks(order(vm=a_vm(generation=5)))

    first = host.asks(request_)
    for _ in range(2):
        host.ends()
    second = host.asks(request_)

    answer = Send(message=ended(LegStatus.REFUSED, reason=reason, operation_id=request_.operation_id))
    refused = LegRefused(operation_id=request_.operation_id, leg=0, undo=False, reason=reason)
    assert first == Reaction(entries=(refused,), effects=(answer,))
    assert second == Reaction(effects=(answer,))


def test_a_vm_that_is_not_the_subject_is_malformed():
    host = Host()
    request = order()
    wrong = type(request)(**{name: getattr(request, name) for name in request.__struct_fields__} | {"subject": "vm:8"})

    host.asks(wrong)

    assert host.answers() == [ended(LegStatus.REFUSED, reason="malformed")]


def test_the_next_leg_of_the_operation_waits_for_the_one_that_runs():
    host = Host()
    host.asks(order((clone(0),)))
    waiting = host.asks(order((deploy(1),), leg=1))

    reaction = host.ends()

    assert waiting.effects == ()
    assert reaction.effects == (
        Send(message=ended(LegStatus.DONE, {0: OK})),
        WriteScript(request=order((deploy(1),), leg=1)),
        started(1, leg=1),
        run(deploy(1), leg=1),
    )


def test_a_leg_that_waited_too_long_is_refused():
    host = Host()
    host.asks(order((clone(0),)))
    host.asks(order((deploy(1),), leg=1, expires_in_s=5.0))

    host.ends(now_s=6.0)

    assert host.answers()[1] == ended(LegStatus.REFUSED, reason="expired", leg=1)


@pytest.mark.parametrize("disks", [(a_disk(0), a_disk(1)), (a_disk(1),)])
def test_a_disk_that_could_not_be_plugged_in_is_taken_out_and_deleted_and_all_else_of_the_vm_stays(disks):
    host = Host()
    attach = AttachDisk(disk_id=1, **(PLUGGED | {"step_id": 2}))
    host.asks(order((clone(0, 1), context(1), attach), vm=a_vm(disks=disks)))
    host.ends()
    host.ends()
    before = len(host.effects)

    host.ends(BROKEN)
    for _ in range(2):
        host.ends()

    assert [effect.step for effect in host.effects[before:] if isinstance(effect, RunStep)] == [
        DetachDisk(disk_id=1, **(PLUGGED | {"step_id": 2})),
        undo_of(clone(0, 1)),
    ]


def test_a_network_card_that_could_not_be_plugged_in_leaves_a_vm_without_disks_its_directory():
    host = Host()
    nic = Nic(nic_id=1, network="lan", mac="02:00:0a:00:00:07")
    attach = AttachNic(nic_id=1, **(PLUGGED | {"step_id": 1}))
    host.asks(order((context(0), attach), vm=a_vm(disks=(), nics=(nic,))))
    host.ends()
    before = len(host.effects)

    host.ends(BROKEN)
    host.ends()

    assert [effect.step for effect in host.effects[before:] if isinstance(effect, RunStep)] == [
        DetachNic(nic_id=1, **(PLUGGED | {"step_id": 1})),
    ]


def test_a_cancel_stops_the_step_and_takes_the_leg_back():
    host = Host()
    host.asks(order())
    host.ends()

    reaction = host.take(host.executor.on_cancel(OP, 0.0))
    stopped = Outcome(ok=False, code="cancelled", message="stopped")
    host.ends(stopped)
    host.ends()

    assert reaction == Reaction(
        entries=(CancelHeard(operation_id=OP, leg=0, undo=False),),
        effects=(CancelStep(operation_id=OP, leg=0, step_id=1),),
    )
    assert host.answers() == [ended(LegStatus.CANCELLED, {0: OK, 1: stopped})]
    assert host.ran()[-1] == Delete(step_id=1, phase=PROLOG, driver="qcow2")


def test_a_cancel_that_comes_when_the_last_step_is_as_good_as_done_still_takes_the_leg_back():
    host = Host()
    host.asks(order((clone(0),)))
    host.executor.on_cancel(OP, 0.0)

    host.ends()
    host.ends()

    assert host.answers() == [ended(LegStatus.CANCELLED, {0: OK})]


def test_a_cancel_past_a_final_step_is_too_late_and_the_leg_goes_on():
    host = Host()
    host.asks(order((delete(0), fetch(1))))
    host.executor.on_cancel(OP, 0.0)
    host.ends()

    assert host.executor.on_cancel(OP, 0.0) == Reaction()
    host.ends()
    assert host.answers() == [ended(LegStatus.DONE, {0: OK, 1: OK})]


def test_a_cancel_of_something_unknown_or_ended_or_being_undone_changes_nothing():
    host = Host()
    assert host.executor.on_cancel(OP, 0.0) == Reaction()

    host.asks(order((clone(0),)))
    host.ends(BROKEN)
    assert host.executor.on_cancel(OP, 0.0) == Reaction()
    host.ends()
    assert host.executor.on_cancel(OP, 0.0) == Reaction()


def test_a_cancel_ends_a_waiting_leg_at_once():
    host = Host()
    host.asks(order((clone(0),)))
    host.asks(order((deploy(1),), leg=1))

    host.take(host.executor.on_cancel(OP, 0.0))

    assert host.answers() == [ended(LegStatus.CANCELLED, leg=1)]


def test_a_leg_that_was_done_is_taken_back_when_that_is_asked():
    host = Host()
    host.asks(order((save(0),), kind="suspend"))
    host.ends()

    host.asks(order((save(0),), kind="suspend", undo=True))
    host.ends()

    assert host.ran() == [save(0), restore(0, VmState.SAVE)]
    assert host.answers()[1] == ended(LegStatus.DONE, {0: OK}, undo=True)


def test_taking_back_what_was_taken_back_or_refused_or_never_begun_runs_nothing():
    host = Host()
    host.asks(order((clone(0),), vm=a_vm(generation=2)))
    host.asks(order((delete(0),), operation_id="o2", vm=a_vm(generation=2)))
    host.ends(BROKEN)
    host.ends()
    steps_before = len(host.ran())

    host.asks(order((clone(0),), undo=True, vm=a_vm(generation=2)))
    host.asks(order((delete(0),), operation_id="o2", undo=True, vm=a_vm(generation=2)))

    assert len(host.ran()) == steps_before
    assert host.answers()[2:] == [
        ended(LegStatus.DONE, undo=True),
        ended(LegStatus.DONE, undo=True, operation_id="o2"),
    ]


def test_an_undo_of_an_unknown_leg_of_an_unknown_vm_takes_back_every_step():
    """The journal was lost; the files may still be there."""
    host = Host()
    host.asks(order(undo=True))
    host.ends()
    host.ends()

    assert [type(step) for step in host.ran()] == [Cancel, Delete]
    assert host.answers() == [ended(LegStatus.DONE, {1: OK, 2: OK}, undo=True)]


def test_an_undo_of_an_unknown_leg_of_a_vm_that_is_here_touches_nothing():
    host = Host()
    host.asks(order((clone(0),)))
    host.ends()

    host.asks(order((clone(0),), operation_id="o2", undo=True))

    assert host.ran() == [clone(0)]


def test_a_leg_whose_undo_has_been_asked_never_begins():
    host = Host()
    host.asks(order(undo=True))
    host.ends()
    host.ends()

    host.asks(order())

    assert host.answers()[1] == ended(LegStatus.REFUSED, reason="taken_back")


def test_taking_back_a_leg_past_its_final_step_fails():
    host = Host()
    host.asks(order((delete(0),), kind="terminate"))
    host.ends()

    host.asks(order((delete(0),), kind="terminate", undo=True))

    assert host.answers()[1] == ended(LegStatus.FAILED, undo=True, reason="final")


def test_an_undo_asked_while_the_leg_runs_cancels_it_first():
    host = Host()
    host.asks(order((clone(0),)))
    host.asks(order((clone(0),), undo=True))
    host.ends()
    host.ends()

    assert host.answers() == [
        ended(LegStatus.CANCELLED, {0: OK}),
        ended(LegStatus.DONE, undo=True),
    ]


def test_a_confirmed_operation_is_forgotten_and_a_late_copy_of_it_refused():
    host = Host()
    host.asks(order((clone(0),)))
    host.ends()

    confirmed = host.executor.on_confirm([OP, OperationId("never heard of")])
    late = host.asks(order((clone(0),)))

    assert confirmed == Reaction(entries=(OperationsForgotten(operations=(OP,)),))
    assert host.executor.unconfirmed() == ()
    assert late == Reaction(effects=(Send(message=ended(LegStatus.REFUSED, reason="forgotten")),))


def test_an_operation_that_runs_is_not_forgotten():
    host = Host()
    host.asks(order())

    assert host.executor.on_confirm([OP]) == Reaction()
    assert host.executor.unconfirmed() == (OP,)


def test_a_disowned_guest_is_switched_off_and_its_files_deleted_and_nobody_is_told():
    host = Host()
    host.asks(order((clone(0),)))
    host.ends()
    host.executor.on_confirm([OP])
    host.effects.clear()

    host.take(host.executor.on_disown(Disown(vm_id=VmId(7), generation=1), 0.0))
    host.ends()
    host.ends()

    name = "disown:7:1"
    assert host.effects == [
        run(cancel(0), operation_id=name, spare_shared=True),
        run(delete(1), operation_id=name, spare_shared=True),
        TidyUp(vm=a_vm()),
    ]
    assert host.executor.ledger.vms == {}
    assert host.executor.ledger.busy == {}


def test_a_guest_of_a_higher_generation_is_never_disowned():
    host = Host()
    host.asks(order((clone(0),), vm=a_vm(generation=3)))

    assert host.executor.on_disown(Disown(vm_id=VmId(7), generation=2), 0.0) == Reaction()


def test_a_vm_that_another_controller_gave_the_same_number_is_neither_disowned_nor_ordered_about():
    host = Host()
    host.asks(order((clone(0),)))
    host.ends()
    theirs = msgspec.structs.replace(a_vm(generation=9), uuid="theirs")
    host.asks(order((clone(0),), operation_id="o2", vm=theirs))

    assert host.executor.on_disown(Disown(vm_id=VmId(7), generation=9, uuid="theirs"), 0.0) == Reaction()
    assert host.answers()[1].reason == "foreign_vm"
    assert host.executor.ledger.vms == {7: a_vm()}


def test_disowning_a_vm_cancels_what_is_done_to_it_and_a_new_generation_waits_for_the_end():
    host = Host()
    host.asks(order((clone(0),)))
    host.take(host.executor.on_disown(Disown(vm_id=VmId(7), generation=1), 0.0))
    host.asks(order((clone(0),), operation_id="o2", vm=a_vm(generation=2)))

    while host.executor.ledger.busy:
        host.ends()

    assert host.answers() == [
        ended(LegStatus.CANCELLED, {0: OK}),
        ended(LegStatus.DONE, {0: OK}, operation_id=OperationId("o2")),
    ]


def test_a_vm_is_disowned_in_the_generation_that_is_given_up():
    host = Host()
    host.asks(order((clone(0),)))
    host.ends()

    host.take(host.executor.on_disown(Disown(vm_id=VmId(7), generation=4), 0.0))

    assert host.running().vm == a_vm(generation=4)
    assert host.executor.ledger.generations == {7: 4}


def test_a_disowned_vm_on_shared_storage_keeps_its_shared_disks():
    host = Host()
    vm = a_vm(disks=(a_disk(driver="shared"),))
    host.asks(order((deploy(0),), vm=vm))
    host.ends()

    host.take(host.executor.on_disown(Disown(vm_id=VmId(7), generation=1), 0.0))
    for _ in range(3):
        host.ends()

    assert host.ran()[1:] == [
        cancel(0),
        Postmigrate(step_id=1, phase=VmState.EPILOG, driver="shared"),
        delete(2),
    ]


def test_a_failed_preparation_of_a_migration_spares_what_the_source_still_uses():
    prepare = (Premigrate(step_id=0, phase=PROLOG, driver="qcow2"), context(1), fetch(2))
    host = Host()
    host.asks(order(prepare, kind="migrate_live"))
    host.ends()
    host.ends()

    host.ends(BROKEN)
    host.ends()

    assert host.effects[-2:] == [
        run(Postmigrate(step_id=0, phase=PROLOG, driver="qcow2"), undo=True),
        run(delete(1, phase=PROLOG), undo=True, spare_shared=True),
    ]


def test_every_driver_is_asked_about_a_disowned_vm_that_is_not_known():
    host = Host()
    host.take(host.executor.on_disown(Disown(vm_id=VmId(99), generation=3), 0.0))
    for _ in range(3):
        host.ends()

    assert host.ran() == [
        cancel(0),
        Postmigrate(step_id=1, phase=VmState.EPILOG, driver="shared"),
        delete(2),
    ]


def test_an_executor_that_read_the_journal_runs_the_open_step_again_and_goes_on():
    host = Host()
    host.asks(order())
    host.ends()

    again = Host()
    recovered = again.take(again.executor.recover(host.journal, 0.0))
    again.ends()
    again.ends()

    assert recovered == Reaction(effects=(started(1), run(context(1))))
    assert again.answers() == [ended(LegStatus.DONE, {0: OK, 1: OK, 2: OK})]


def test_a_step_that_was_told_to_stop_is_told_again_after_a_crash():
    host = Host()
    host.asks(order())
    host.take(host.executor.on_cancel(OP, 0.0))

    again = Host()

    assert again.executor.recover(host.journal, 0.0).effects == (
        started(0),
        run(clone(0)),
        CancelStep(operation_id=OP, leg=0, step_id=0),
    )


def test_a_leg_that_waited_at_the_crash_has_expired_and_an_undo_has_not():
    host = Host()
    host.asks(order((clone(0),)))
    host.asks(order((deploy(1),), leg=1))
    host.asks(order((clone(0),), undo=True))

    again = Host()
    again.take(again.executor.recover(host.journal, 0.0))
    while again.executor.ledger.busy:
        again.ends()

    assert again.answers() == [
        ended(LegStatus.CANCELLED, {0: OK}),
        ended(LegStatus.REFUSED, reason="expired", leg=1),
        ended(LegStatus.DONE, undo=True),
    ]


def test_an_empty_leg_is_done_at_once():
    host = Host()
    host.asks(order(()))

    assert host.answers() == [ended(LegStatus.DONE)]


def test_prolog_of_the_builders_is_what_the_tests_above_assume():
    assert prolog() == (clone(0), context(1), deploy(2))


def test_every_edge_leads_somewhere_and_every_other_pair_is_refused():
    for state in LegState:
        for event in LegEvent:
            if (state, event) in EDGES:
                assert advance(state, event) == EDGES[state, event]
            else:
                with pytest.raises(IllegalLegEventError, match=f"a leg that is {state} knows no {event}"):
                    advance(state, event)


def test_every_state_is_reached_and_left_and_every_event_used():
    assert {to for to, _ in EDGES.values()} | {LegState.QUEUED} == set(LegState)
    assert {state for state, _ in EDGES} == set(LegState) - {LegState.ENDED}
    assert {event for _, event in EDGES} == set(LegEvent)
