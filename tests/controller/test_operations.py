"""Operations from their first leg to their end: every effect of each report, and what a bad day makes of them."""

import msgspec
import pytest
from tests.controller.builders import (
    ADMIN,
    ANN,
    BARE,
    NOW_S,
    SEALED_DISK,
    SETTINGS,
    SHARED,
    TEMPLATE,
    a_host,
    a_network,
    a_reactor,
    a_site,
    a_vm,
    an_image,
    ask,
    ask_turn,
    change,
    digest,
    drivers,
    end_leg,
    finish,
    holder_of,
    leg_ended,
    now,
    operation_of,
    outcome_of,
    picture,
    refusal,
    say,
    script,
    sealed_result,
    sent,
    submit,
    told,
)

from innkeeper_controller import verify
from innkeeper_controller.legs import MAX_CLEANUP_TRIES
from innkeeper_controller.records import Event, OperationError, OperationStatus
from innkeeper_controller.settings import CONTROLLER
from innkeeper_hostagent.protocol.messages import (
    Admit,
    Cancel,
    CarryOut,
    Confirm,
    Hello,
    LegStatus,
    Progress,
    StepStarted,
)
from innkeeper_plugins.vocabulary import HostId, Outcome, VmState

replace = msgspec.structs.replace
HELLO = Hello(major=1, minor=0, agent_version="1", host_name="h")
EPILOG = VmState.EPILOG
BOOM = Outcome(
    ok=False,
    code="no_space",
    message="the disk is full",
    argv=("qemu-img", "create"),
    exit_status=1,
    stderr="No space left on device",
)


def deploying(reactor, template=TEMPLATE, host="h1"):
    """Return a VM whose first deployment runs."""
    vm = submit(reactor, template)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host=host)
    return vm


def start(reactor, state, verb, template=TEMPLATE, **params):
    """Return a VM that was at rest in a state and is busy now."""
    vm = a_vm(reactor, state, template=template)
    ask(reactor, f"vm.{verb}", vm_id=vm.vm_id, **params)
    return vm


def migrating(reactor, *, live, legs=0):
    """Return a VM on its way from host 1 to host 2 of which so many legs have ended well."""
    vm = start(reactor, VmState.RUNNING, "migrate", host="h2", live=live)
    for _ in range(legs):
        end_leg(reactor, vm)
    return vm


def carry_out(reactor, vm, *, leg=0, undo=False):
    """Return the order for a leg of the VM's operation."""
    operation = operation_of(reactor, vm)
    return CarryOut(
        operation_id=operation.operation_id,
        request_id="r1",
        leg=leg,
        subject=f"vm:{vm.vm_id}",
        kind=operation.kind.value,
        steps=operation.plan.legs[leg].steps,
        vm=operation.vm,
        expires_in_s=SETTINGS.leg_expires_in_s,
        undo=undo,
    )


def place(vm):
    return (vm.state, vm.host_id, vm.destination_id, vm.operation_id)


def ended(reactor, vm):
    operation = operation_of(reactor, vm)
    return (operation.status, operation.error.code if operation.error else "")


# --- the happy way


def test_a_deployment_asks_the_host_of_the_only_leg_and_tells_of_it():
    reactor = a_site()
    vm = submit(reactor)
    turn, answer = ask_turn(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1")

    assert sent(turn) == [(1, carry_out(reactor, vm))]
    assert turn.events == [
        Event(
            what="operation.started",
            subject="vm:0",
            at_s=NOW_S,
            actor="root",
            request_id="r1",
            operation_id="o0",
            detail={"kind": "deploy", "hosts": ["h1"]},
        ),
        Event(
            what="vm.state",
            subject="vm:0",
            at_s=NOW_S,
            actor="root",
            request_id="r1",
            detail={"old": "HOLD", "new": "PROLOG"},
        ),
    ]
    assert [change.kind for change in turn.changes] == ["operation", "history", "vm"]
    assert (answer.state, answer.operation_id) == ("PROLOG", "o0")
    assert place(now(reactor, vm)) == (VmState.PROLOG, 1, None, "o0")
    assert now(reactor, vm).spec.generation == 1


def test_the_first_step_of_the_next_phase_moves_the_vm():
    reactor = a_site()
    vm = deploying(reactor)
    prolog = say(reactor, 1, StepStarted(operation_id="o0", leg=0, step_id=0))
    boot = say(reactor, 1, StepStarted(operation_id="o0", leg=0, step_id=1), now_s=NOW_S + 5)

    assert (prolog.changes, prolog.events, prolog.sends) == ([], [], [])
    assert (told(boot), boot.sends) == ([("vm.state", "vm:0")], [])
    assert boot.events[0].detail == {"old": "PROLOG", "new": "BOOT"}
    assert (now(reactor, vm).state, now(reactor, vm).since_s) == (VmState.BOOT, NOW_S + 5)


def test_the_end_of_the_last_leg_tells_every_step_confirms_and_brings_the_vm_to_rest():
    reactor = a_site()
    vm = deploying(reactor)
    turn = end_leg(reactor, vm, results={1: {"deploy_id": "inn-0"}})

    assert sent(turn) == [(1, Confirm(operations=("o0",)))]
    assert [(event.what, event.detail) for event in turn.events] == [
        (
            "step.ended",
            {"host": "h1", "step": "0 PROLOG qcow2 clone disk.0", "undo": False, "outcome": {"ok": True}},
        ),
        (
            "step.ended",
            {
                "host": "h1",
                "step": "1 BOOT simulated deploy start the guest",
                "undo": False,
                "outcome": {"ok": True, "result": {"deploy_id": "inn-0"}},
            },
        ),
        ("operation.done", {"kind": "deploy"}),
        ("vm.state", {"old": "PROLOG", "new": "RUNNING"}),
    ]
    record = now(reactor, vm)
    assert place(record) == (VmState.RUNNING, 1, None, None)
    assert (record.deploy_id, record.last_operation_id) == ("inn-0", "o0")
    assert (operation_of(reactor, vm).status, operation_of(reactor, vm).ended_at_s) == (OperationStatus.DONE, NOW_S)


@pytest.mark.parametrize(
    ("verb", "state", "params", "expected"),
    [
        ("suspend", VmState.RUNNING, {}, VmState.SUSPENDED),
        ("resume", VmState.SUSPENDED, {}, VmState.RUNNING),
        ("resume", VmState.POWEROFF, {}, VmState.RUNNING),
        ("stop", VmState.RUNNING, {}, VmState.STOPPED),
        ("stop", VmState.SUSPENDED, {}, VmState.STOPPED),
        ("poweroff", VmState.RUNNING, {"hard": True}, VmState.POWEROFF),
        ("undeploy", VmState.RUNNING, {}, VmState.UNDEPLOYED),
        ("undeploy", VmState.POWEROFF, {}, VmState.UNDEPLOYED),
        ("reboot", VmState.RUNNING, {}, VmState.RUNNING),
        ("reboot", VmState.RUNNING, {"hard": True}, VmState.RUNNING),
        ("migrate", VmState.RUNNING, {"host": "h2"}, VmState.RUNNING),
        ("migrate", VmState.SUSPENDED, {"host": "h2"}, VmState.SUSPENDED),
        ("migrate", VmState.POWEROFF, {"host": "h2"}, VmState.POWEROFF),
        ("migrate", VmState.RUNNING, {"host": "h2", "live": True}, VmState.RUNNING),
    ],
)
@pytest.mark.parametrize("template", [TEMPLATE, BARE], ids=["disk", "bare"])
def test_an_operation_ends_where_its_route_says(verb, state, params, expected, template):
    reactor = a_site()
    vm = finish(reactor, start(reactor, state, verb, template, **params))

    moved = verb == "migrate"
    sealed = expected in {VmState.STOPPED, VmState.UNDEPLOYED}
    assert place(vm) == (expected, None if sealed else 2 if moved else 1, None, None)
    assert (vm.sealed_on, vm.saved) == (1 if sealed else None, expected in {VmState.SUSPENDED, VmState.STOPPED})
    assert vm.spec.generation == (2 if moved else 1)
    assert verify.findings(reactor.cluster) == ()


@pytest.mark.parametrize("verb", ["terminate", "shutdown"])
def test_an_end_leaves_nothing_of_the_vm_in_memory(verb):
    reactor = a_site()
    start(reactor, VmState.RUNNING, verb)
    turn = say(reactor, 1, leg_ended(reactor.cluster.operations["o0"]))

    assert told(turn)[-2:] == [("operation.done", "vm:0"), ("vm.state", "vm:0")]
    assert sent(turn) == [(1, Confirm(operations=("o0",)))]
    cluster = reactor.cluster
    assert (cluster.vms, cluster.operations, cluster.running, cluster.leases) == ({}, {}, {}, {})


def test_a_stopped_vm_remembers_its_files_and_where_they_are():
    reactor = a_site()
    vm = start(reactor, VmState.RUNNING, "stop")
    end_leg(reactor, vm, results={1: sealed_result(SEALED_DISK)})

    record = now(reactor, vm)
    assert (record.state, record.sealed, record.sealed_on, record.saved, record.host_id) == (
        VmState.STOPPED,
        (SEALED_DISK,),
        1,
        True,
        None,
    )


def test_a_stopped_vm_that_runs_elsewhere_remembers_no_files():
    reactor = a_site()
    vm = a_vm(reactor, VmState.STOPPED)
    ask(reactor, "vm.resume", vm_id=vm.vm_id)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h2")
    carried = script(operation_of(reactor, vm).plan)
    record = finish(reactor, vm)

    assert [host_id for host_id, _ in carried] == [2, 1]
    assert place(record) == (VmState.RUNNING, 2, None, None)
    assert (record.sealed, record.sealed_on, record.saved) == ((), None, False)


def test_a_cold_migration_is_planned_on_with_what_the_first_leg_found():
    reactor = a_site()
    vm = migrating(reactor, live=False)
    first = carry_out(reactor, vm)
    turn = end_leg(reactor, vm, results={1: sealed_result(SEALED_DISK)})

    assert first.steps == operation_of(reactor, vm).plan.legs[0].steps
    admit = Admit(public_key="h2", digests=(SEALED_DISK.sha256,), expires_in_s=3600.0)
    assert sent(turn) == [(1, admit), (2, carry_out(reactor, vm, leg=1))]
    record = now(reactor, vm)
    assert (record.host_id, record.destination_id, record.sealed) == (1, 2, (SEALED_DISK,))


def test_a_leg_that_fetches_is_let_in_by_every_holder_first():
    reactor = a_reactor(
        a_host(1, images=[digest("e")]), a_host(2, images=[digest("e")]), a_host(3), an_image(), a_network()
    )
    vm = submit(reactor)
    turn, _ = ask_turn(reactor, "vm.deploy", vm_id=vm.vm_id, host="h3")

    admit = Admit(public_key="h3", digests=(digest("e"),), expires_in_s=3600.0)
    assert sent(turn) == [(1, admit), (2, admit), (3, carry_out(reactor, vm))]


def test_an_upload_is_let_out_by_the_controllers_own_bulk_server():
    reactor = a_site()
    turn, image = ask_turn(
        reactor, "image.add", name="new", upload=True, sha256="f" * 64, size_bytes=7, host="h1", user=ANN
    )

    operation = reactor.cluster.operations[image.operation_id]
    assert sent(turn) == [
        (CONTROLLER, Admit(public_key="h1", digests=("f" * 64,), expires_in_s=3600.0)),
        (
            1,
            CarryOut(
                operation_id=operation.operation_id,
                request_id="r1",
                leg=0,
                subject="image:1",
                kind="import_image",
                steps=operation.plan.legs[0].steps,
                expires_in_s=SETTINGS.leg_expires_in_s,
            ),
        ),
    ]


def test_an_operation_without_any_step_is_done_at_once():
    shared = drivers(transfer=("qcow2",), abilities=SHARED)
    found = {}
    for verb, state, params in (
        ("stop", VmState.SUSPENDED, {}),
        ("migrate", VmState.SUSPENDED, {"host": "h2"}),
    ):
        reactor = a_reactor(a_host(1, has=shared), a_host(2, has=shared))
        vm = a_vm(reactor, state, template=BARE)
        turn, answer = ask_turn(reactor, f"vm.{verb}", vm_id=vm.vm_id, **params)
        found[verb, state] = (answer.state, answer.operation_id, now(reactor, vm).host_id, sent(turn))
        assert told(turn)[0] == ("operation.started", "vm:0")
        assert ("operation.done", "vm:0") in told(turn)
        assert verify.findings(reactor.cluster) == ()

    assert found == {
        ("stop", VmState.SUSPENDED): ("STOPPED", "", None, []),
        ("migrate", VmState.SUSPENDED): ("SUSPENDED", "", 2, []),
    }


# --- legs that end otherwise


@pytest.mark.parametrize(
    ("status", "state", "host_id", "how"),
    [
        (LegStatus.UNDONE, VmState.FAILED, None, OperationStatus.FAILED),
        (LegStatus.REFUSED, VmState.FAILED, None, OperationStatus.FAILED),
        (LegStatus.CANCELLED, VmState.HOLD, None, OperationStatus.CANCELLED),
        (LegStatus.FAILED, VmState.FAILED, 1, OperationStatus.FAILED),
    ],
)
def test_a_first_deployment_that_does_not_work(status, state, host_id, how):
    reactor = a_site()
    vm = deploying(reactor)
    turn = end_leg(reactor, vm, status, outcomes={0: BOOM}, reason="busy" if status is LegStatus.REFUSED else "")

    assert sent(turn) == [(1, Confirm(operations=("o0",)))]
    assert place(now(reactor, vm)) == (state, host_id, None, None)
    assert operation_of(reactor, vm).status is how
    assert verify.findings(reactor.cluster) == ()


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (LegStatus.UNDONE, VmState.RUNNING),
        (LegStatus.REFUSED, VmState.RUNNING),
        (LegStatus.CANCELLED, VmState.RUNNING),
        (LegStatus.FAILED, VmState.FAILED),
    ],
)
@pytest.mark.parametrize("verb", ["suspend", "stop", "poweroff", "undeploy", "reboot", "shutdown", "terminate"])
def test_an_operation_at_home_that_does_not_work_leaves_the_vm_running_or_failed(verb, status, state):
    reactor = a_site()
    vm = start(reactor, VmState.RUNNING, verb)
    end_leg(reactor, vm, status, outcomes={0: BOOM})

    assert place(now(reactor, vm)) == (state, 1, None, None)
    assert now(reactor, vm).error == ("the disk is full" if state is VmState.FAILED else "")


def test_an_error_has_the_drivers_own_words():
    reactor = a_site()
    vm = deploying(reactor)
    turn = end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: BOOM})

    error = OperationError(
        code="no_space",
        message="the disk is full",
        host="h1",
        step_id=0,
        step="qcow2 clone",
        argv=("qemu-img", "create"),
        exit_status=1,
        stderr="No space left on device",
    )
    assert operation_of(reactor, vm).error == error
    assert now(reactor, vm).error == "the disk is full"
    failed = next(event for event in turn.events if event.what == "operation.failed")
    assert failed.detail == {"kind": "deploy", "error": msgspec.to_builtins(error)}
    (step,) = (event.detail for event in turn.events if event.what == "step.ended")
    assert step["outcome"] == msgspec.to_builtins(BOOM)


def test_of_several_failed_steps_the_first_is_the_reason():
    reactor = a_site()
    vm = deploying(reactor)
    end_leg(reactor, vm, LegStatus.FAILED, outcomes={1: outcome_of("refused"), 0: BOOM})

    assert operation_of(reactor, vm).error.code == "no_space"


def test_a_refused_leg_says_which_host_refused_and_why():
    reactor = a_site()
    vm = deploying(reactor)
    end_leg(reactor, vm, LegStatus.REFUSED, outcomes={}, reason="stale_generation")

    assert operation_of(reactor, vm).error == OperationError(
        code="stale_generation", message="Host h1 refused the plan: stale_generation.", host="h1"
    )


def test_a_cancelled_leg_without_a_failed_step_says_so():
    reactor = a_site()
    vm = deploying(reactor)
    end_leg(reactor, vm, LegStatus.CANCELLED, outcomes={})

    assert operation_of(reactor, vm).error == OperationError(code="cancelled", message="Cancelled as asked.", host="h1")


@pytest.mark.parametrize("status", [LegStatus.UNDONE, LegStatus.REFUSED, LegStatus.CANCELLED])
def test_a_second_leg_that_does_not_work_has_the_first_one_taken_back(status):
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=1)
    turn = end_leg(reactor, vm, status, outcomes={2: BOOM})
    undoing = operation_of(reactor, vm)
    back = end_leg(reactor, vm, outcomes={})

    assert sent(turn) == [(1, carry_out_undo(reactor, vm, undoing))]
    assert (undoing.status, undoing.leg) == (OperationStatus.UNDOING, 0)
    assert sent(back) == [(1, Confirm(operations=("o0",))), (2, Confirm(operations=("o0",)))]
    assert place(now(reactor, vm)) == (VmState.RUNNING, 1, None, None)
    how = OperationStatus.CANCELLED if status is LegStatus.CANCELLED else OperationStatus.FAILED
    assert operation_of(reactor, vm).status is how
    assert reactor.cluster.used[HostId(2)].memory_mib == 0


def carry_out_undo(reactor, vm, operation):
    return CarryOut(
        operation_id=operation.operation_id,
        request_id="r1",
        leg=operation.leg,
        subject=f"vm:{vm.vm_id}",
        kind=operation.kind.value,
        steps=operation.plan.legs[operation.leg].steps,
        vm=operation.vm,
        expires_in_s=SETTINGS.leg_expires_in_s,
        undo=True,
    )


def test_a_second_leg_that_could_not_be_taken_back_fails_the_vm_where_it_was():
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=1)
    turn = end_leg(reactor, vm, LegStatus.FAILED, outcomes={2: BOOM})

    assert sent(turn) == [(1, Confirm(operations=("o0",))), (2, Confirm(operations=("o0",)))]
    assert place(now(reactor, vm)) == (VmState.FAILED, 1, None, None)


@pytest.mark.parametrize("status", [LegStatus.FAILED, LegStatus.UNDONE, LegStatus.REFUSED, LegStatus.CANCELLED])
def test_an_undo_that_does_not_work_fails_the_vm_with_the_first_reason(status):
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=1)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={2: BOOM})
    end_leg(reactor, vm, status, outcomes={0: outcome_of("guest_missing")})

    assert place(now(reactor, vm)) == (VmState.FAILED, 1, None, None)
    assert ended(reactor, vm) == (OperationStatus.FAILED, "no_space")


def test_a_failed_live_migration_has_its_preparation_taken_back():
    reactor = a_site()
    vm = migrating(reactor, live=True, legs=1)
    turn = end_leg(reactor, vm, LegStatus.UNDONE, outcomes={1: BOOM})
    end_leg(reactor, vm, outcomes={})

    assert [(host_id, type(message), message.undo) for host_id, message in sent(turn)] == [(2, CarryOut, True)]
    assert place(now(reactor, vm)) == (VmState.RUNNING, 1, None, None)


def test_a_leg_is_not_taken_back_once_a_step_without_a_way_back_has_run():
    """A guest that was started from its saved memory elsewhere is not restored at home as well."""
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=2)
    operation = operation_of(reactor, vm)

    assert operation.leg == 2
    end_leg(reactor, vm, LegStatus.FAILED, outcomes={4: BOOM})
    assert operation_of(reactor, vm).status is OperationStatus.RUNNING


def test_files_out_of_reach_after_the_first_leg_take_it_back():
    reactor = a_site()
    vm = migrating(reactor, live=False)
    host = reactor.cluster.hosts[HostId(1)]
    change(reactor, host, advertisement=replace(host.advertisement, holder=None))
    turn = end_leg(reactor, vm, results={1: sealed_result(SEALED_DISK)})
    back = end_leg(reactor, vm, outcomes={})

    assert [(host_id, message.undo) for host_id, message in sent(turn)] == [(1, True)]
    assert (ended(reactor, vm), place(now(reactor, vm))) == (
        (OperationStatus.FAILED, "cannot_plan"),
        (VmState.RUNNING, 1, None, None),
    )
    assert sent(back) == [(1, Confirm(operations=("o0",)))]


def test_a_migration_that_was_taken_back_forgets_the_files_that_it_sealed():
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=1)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={2: BOOM})
    end_leg(reactor, vm, outcomes={})

    assert (now(reactor, vm).sealed, now(reactor, vm).sealed_on) == ((), None)


def test_a_stopped_vm_that_could_not_be_brought_back_keeps_its_files():
    reactor = a_site()
    vm = a_vm(reactor, VmState.STOPPED)
    ask(reactor, "vm.resume", vm_id=vm.vm_id)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h2")
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: BOOM})

    record = now(reactor, vm)
    assert (place(record), record.sealed, record.sealed_on, record.saved) == (
        (VmState.FAILED, None, None, None),
        (SEALED_DISK,),
        1,
        True,
    )


@pytest.mark.parametrize(
    ("verb", "state", "where"), [("stop", "RUNNING", VmState.RUNNING), ("undeploy", "RUNNING", VmState.FAILED)]
)
def test_a_vm_does_not_give_its_host_up_where_nobody_knows_its_files(verb, state, where):
    reactor = a_site()
    vm = start(reactor, VmState(state), verb)
    end_leg(reactor, vm, results={1: {"files": "nonsense"}})
    if now(reactor, vm).operation_id:
        end_leg(reactor, vm, outcomes={})

    assert (place(now(reactor, vm)), ended(reactor, vm)) == (
        (where, 1, None, None),
        (OperationStatus.FAILED, "cannot_plan"),
    )


# --- clean up


def test_a_clean_up_is_tried_again_and_then_left_over():
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=2)
    turns = [end_leg(reactor, vm, LegStatus.FAILED, outcomes={}) for _ in range(MAX_CLEANUP_TRIES)]

    tries = [[(host_id, type(message)) for host_id, message in sent(turn)] for turn in turns]
    assert tries == [[(1, CarryOut)]] * (MAX_CLEANUP_TRIES - 1) + [[(1, Confirm), (2, Confirm)]]
    assert told(turns[-1]) == [("vm.leftover", "vm:0"), ("operation.done", "vm:0"), ("vm.state", "vm:0")]
    assert turns[-1].events[0].detail == {"host": "h1"}
    assert place(now(reactor, vm)) == (VmState.RUNNING, 2, None, None)


def test_a_clean_up_that_works_at_the_second_try_leaves_nothing_over():
    reactor = a_site()
    vm = migrating(reactor, live=True, legs=2)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={2: BOOM})
    again = operation_of(reactor, vm)
    turn = end_leg(reactor, vm)

    assert script(again.plan)[-1] == (1, ["3 EPILOG qcow2 postmigrate all disks"])
    assert "vm.leftover" not in [event.what for event in turn.events]
    assert place(now(reactor, vm)) == (VmState.RUNNING, 2, None, None)


# --- late, repeated and foreign reports


def everything(reactor):
    return picture(reactor.cluster)


@pytest.mark.parametrize(
    ("name", "report", "host_id"),
    [
        ("of another host", {}, 2),
        ("of a later leg", {"leg": 1}, 1),
        ("of an undo that nobody asked for", {"undo": True}, 1),
        ("of a leg before the first", {"leg": -1}, 1),
    ],
)
def test_a_report_that_does_not_belong_here_changes_nothing(name, report, host_id):
    reactor = a_site()
    vm = deploying(reactor)
    before = everything(reactor)
    turn = say(reactor, host_id, leg_ended(operation_of(reactor, vm), **report))

    assert (everything(reactor), turn.changes, turn.events, turn.sends) == (before, [], [], [])


def test_a_report_of_an_earlier_leg_changes_nothing():
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=1)
    before = everything(reactor)
    turn = say(reactor, 1, leg_ended(operation_of(reactor, vm), leg=0))

    assert (everything(reactor), turn.changes, turn.sends) == (before, [], [])


def test_a_late_end_of_a_leg_that_is_being_taken_back_changes_nothing():
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=1)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={2: BOOM})
    before = everything(reactor)
    turn = say(reactor, 1, leg_ended(operation_of(reactor, vm), leg=0, undo=False))

    assert (everything(reactor), turn.changes, turn.sends) == (before, [], [])


@pytest.mark.parametrize("known", [True, False], ids=["ended", "never heard of"])
def test_a_report_of_what_does_not_run_is_confirmed_and_changes_nothing(known):
    reactor = a_site()
    vm = deploying(reactor)
    operation = operation_of(reactor, vm)
    end_leg(reactor, vm)
    before = everything(reactor)
    report = leg_ended(operation if known else replace(operation, operation_id="o77"), LegStatus.UNDONE)
    turn = say(reactor, 1, report)

    assert (everything(reactor), turn.changes, turn.events) == (before, [], [])
    assert sent(turn) == [(1, Confirm(operations=(report.operation_id,)))]


@pytest.mark.parametrize(
    "message",
    [
        StepStarted(operation_id="o0", leg=0, step_id=99),
        StepStarted(operation_id="o0", leg=1, step_id=0),
        StepStarted(operation_id="o9", leg=0, step_id=0),
        Progress(operation_id="o9", step_id=0, done_bytes=1, total_bytes=2),
        Progress(operation_id="o0", step_id=99, done_bytes=1, total_bytes=2),
    ],
)
def test_news_of_a_step_that_the_leg_does_not_have_changes_nothing(message):
    reactor = a_site()
    deploying(reactor)
    say(reactor, 1, StepStarted(operation_id="o0", leg=0, step_id=0))
    before = everything(reactor)
    turn = say(reactor, 1, message)

    assert (everything(reactor), turn.changes, turn.events, turn.sends) == (before, [], [], [])


def test_a_late_step_of_an_earlier_phase_does_not_move_the_vm_back():
    reactor = a_site()
    vm = deploying(reactor)
    say(reactor, 1, StepStarted(operation_id="o0", leg=0, step_id=1))
    turn = say(reactor, 1, StepStarted(operation_id="o0", leg=0, step_id=0))

    assert (turn.changes, now(reactor, vm).state) == ([], VmState.BOOT)


def test_progress_is_shown_and_forgotten_at_the_end():
    reactor = a_site()
    vm = deploying(reactor)
    say(reactor, 1, StepStarted(operation_id="o0", leg=0, step_id=0))
    turn = say(reactor, 1, Progress(operation_id="o0", step_id=0, done_bytes=3, total_bytes=9))
    shown = ask(reactor, "operation.show", operation_id="o0")
    end_leg(reactor, vm)

    assert turn.changes == []
    assert (shown.step, shown.done_bytes, shown.total_bytes) == ("0 PROLOG qcow2 clone disk.0", 3, 9)
    assert reactor.cluster.progress == {}


# --- cancel


def test_a_cancel_is_passed_on_and_ends_when_the_host_has_taken_it_back():
    reactor = a_site()
    vm = deploying(reactor)
    turn, _ = ask_turn(reactor, "vm.cancel", vm_id=vm.vm_id)
    back = end_leg(reactor, vm, LegStatus.CANCELLED, outcomes={})

    assert (sent(turn), told(turn)) == ([(1, Cancel(operation_id="o0"))], [("operation.cancel", "vm:0")])
    assert told(back)[0] == ("operation.cancelled", "vm:0")
    assert place(now(reactor, vm)) == (VmState.HOLD, None, None, None)


def test_a_cancel_that_comes_too_late_changes_nothing_about_the_end():
    reactor = a_site()
    vm = deploying(reactor)
    ask(reactor, "vm.cancel", vm_id=vm.vm_id)
    end_leg(reactor, vm)

    assert place(now(reactor, vm)) == (VmState.RUNNING, 1, None, None)
    assert operation_of(reactor, vm).status is OperationStatus.DONE


def test_a_cancel_that_came_too_late_for_one_leg_stops_the_next():
    reactor = a_site()
    vm = migrating(reactor, live=False)
    ask(reactor, "vm.cancel", vm_id=vm.vm_id)
    turn = end_leg(reactor, vm, results={1: sealed_result(SEALED_DISK)})
    end_leg(reactor, vm, LegStatus.CANCELLED, outcomes={})
    end_leg(reactor, vm, outcomes={})

    assert [(host_id, type(message)) for host_id, message in sent(turn)] == [(1, Admit), (2, CarryOut), (2, Cancel)]
    assert place(now(reactor, vm)) == (VmState.RUNNING, 1, None, None)
    assert operation_of(reactor, vm).status is OperationStatus.CANCELLED


def test_a_cancel_whose_undo_failed_leaves_the_vm_failed():
    reactor = a_site()
    vm = start(reactor, VmState.RUNNING, "suspend")
    ask(reactor, "vm.cancel", vm_id=vm.vm_id)
    end_leg(reactor, vm, LegStatus.FAILED, outcomes={0: BOOM})

    assert (now(reactor, vm).state, ended(reactor, vm)) == (VmState.FAILED, (OperationStatus.FAILED, "no_space"))


def test_a_cancel_reaches_a_host_that_is_away_when_it_comes_back():
    reactor = a_site()
    vm = deploying(reactor)
    reactor.lost(HostId(1), NOW_S)
    turn, _ = ask_turn(reactor, "vm.cancel", vm_id=vm.vm_id)
    back, _ = reactor.connected(HostId(1), HELLO, NOW_S)

    assert sent(turn) == []
    assert sent(back) == [(1, carry_out(reactor, vm)), (1, Cancel(operation_id="o0"))]


def test_what_is_being_taken_back_or_cleaned_up_cannot_be_cancelled():
    undoing, cleaning = a_site(), a_site()
    one = migrating(undoing, live=False, legs=1)
    end_leg(undoing, one, LegStatus.UNDONE, outcomes={2: BOOM})
    two = migrating(cleaning, live=False, legs=2)
    refused = [
        refusal(lambda: ask(undoing, "vm.cancel", vm_id=0)),
        refusal(lambda: ask(cleaning, "vm.cancel", vm_id=0)),
    ]

    assert [(each.code, str(each)) for each in refused] == [
        ("wrong_state", "Operation o0 is being taken back already."),
        ("wrong_state", "Operation o0 has done its work and only cleans up."),
    ]
    assert (now(undoing, one).operation_id, now(cleaning, two).operation_id) == ("o0", "o0")


def test_a_host_that_comes_back_is_not_told_to_cancel_a_clean_up():
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=1)
    ask(reactor, "vm.cancel", vm_id=vm.vm_id)
    turn = end_leg(reactor, vm)
    back, _ = reactor.connected(HostId(1), HELLO, NOW_S)

    assert [type(message) for _, message in sent(turn)] == [CarryOut]
    assert [type(message) for _, message in sent(back)] == [CarryOut]


def test_an_operation_can_be_cancelled_twice():
    reactor = a_site()
    vm = deploying(reactor)
    sends = [sent(ask_turn(reactor, "operation.cancel", operation_id="o0")[0]) for _ in range(2)]

    assert sends == [[(1, Cancel(operation_id="o0"))]] * 2
    assert now(reactor, vm).operation_id == "o0"


# --- the end of a VM that is busy


def test_a_busy_vm_is_cancelled_first_and_ended_then():
    reactor = a_site()
    vm = start(reactor, VmState.RUNNING, "suspend")
    turn, answer = ask_turn(reactor, "vm.terminate", user=ANN, vm_id=vm.vm_id)
    follow = end_leg(reactor, vm, LegStatus.CANCELLED, outcomes={})
    end_leg(reactor, vm)

    assert (sent(turn), answer.operation_id) == ([(1, Cancel(operation_id="o0"))], "o0")
    assert [(host_id, type(message)) for host_id, message in sent(follow)] == [(1, Confirm), (1, CarryOut)]
    started = next(event for event in follow.events if event.what == "operation.started")
    assert (started.detail["kind"], started.actor) == ("terminate", "ann")
    assert reactor.cluster.vms == {}


def test_a_busy_vm_that_arrives_before_it_can_be_cancelled_is_ended_all_the_same():
    reactor = a_site()
    vm = deploying(reactor)
    ask(reactor, "vm.terminate", vm_id=vm.vm_id)
    end_leg(reactor, vm)

    operation = operation_of(reactor, vm)
    assert (operation.kind, operation.actor) == ("terminate", "root")


def test_an_end_that_does_not_work_is_not_tried_for_ever():
    reactor = a_site()
    vm = deploying(reactor)
    ask(reactor, "vm.terminate", vm_id=vm.vm_id)
    end_leg(reactor, vm)
    turn = end_leg(reactor, vm, LegStatus.FAILED, outcomes={0: BOOM})
    later = end_leg(reactor, vm, LegStatus.FAILED, outcomes={0: BOOM})

    assert [type(message) for _, message in sent(turn)] == [Confirm]
    assert [type(message) for _, message in sent(later)] == [Confirm]
    assert (place(now(reactor, vm)), now(reactor, vm).end_asked_by) == ((VmState.FAILED, 1, None, None), "")


def test_what_cannot_be_cancelled_any_more_ends_first():
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=2)
    turn, _ = ask_turn(reactor, "vm.terminate", vm_id=vm.vm_id)
    follow = end_leg(reactor, vm)

    assert sent(turn) == []
    assert [(host_id, type(message)) for host_id, message in sent(follow)] == [
        (1, Confirm),
        (2, Confirm),
        (2, CarryOut),
    ]


@pytest.mark.parametrize("verb", ["terminate", "shutdown"])
def test_a_vm_that_ends_already_is_not_ended_again(verb):
    reactor = a_site()
    start(reactor, VmState.RUNNING, verb)
    refused = refusal(lambda: ask(reactor, "vm.terminate", vm_id=0))

    assert (refused.code, str(refused)) == ("wrong_state", "VM 0 is being ended already (o0).")


# --- hosts that go and come


def test_an_operation_waits_for_its_host_and_is_asked_for_again_when_it_is_back():
    reactor = a_site()
    vm = a_vm(reactor)
    reactor.lost(HostId(1), NOW_S)
    turn, _ = ask_turn(reactor, "vm.suspend", vm_id=vm.vm_id)
    back, welcome = reactor.connected(HostId(1), HELLO, NOW_S)

    assert sent(turn) == []
    assert sent(back) == [(1, carry_out(reactor, vm))]
    assert welcome.confirmed == ()


def test_a_host_that_comes_back_during_an_undo_is_asked_for_the_undo():
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=1)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={2: BOOM})
    back, _ = reactor.connected(HostId(1), HELLO, NOW_S)

    assert [(host_id, message.undo, message.leg) for host_id, message in sent(back)] == [(1, True, 0)]


def test_a_host_hears_which_operations_it_may_forget():
    reactor = a_site()
    vm = deploying(reactor)
    end_leg(reactor, vm)
    ask(reactor, "vm.suspend", vm_id=vm.vm_id)
    hello = replace(HELLO, operations=("o0", "o1", "o77"))

    assert reactor.connected(HostId(1), hello, NOW_S)[1].confirmed == ("o0", "o77")


def test_a_host_that_comes_back_lets_those_in_again_that_fetch_from_it():
    reactor = a_reactor(a_host(1, images=[digest("e")]), a_host(2), an_image(), a_network())
    deploying(reactor, host="h2")
    reactor.lost(HostId(1), NOW_S)
    back, _ = reactor.connected(HostId(1), HELLO, NOW_S)

    assert sent(back) == [(1, Admit(public_key="h2", digests=(digest("e"),), expires_in_s=3600.0))]


def test_a_host_that_nothing_is_fetched_from_is_asked_for_nothing():
    reactor = a_site()
    deploying(reactor)

    assert sent(reactor.connected(HostId(2), HELLO, NOW_S)[0]) == []


def test_a_vm_is_busy_with_one_operation_at_a_time():
    reactor = a_site()
    start(reactor, VmState.RUNNING, "suspend")
    before = everything(reactor)
    refused = [
        refusal(lambda verb=verb, params=params: ask(reactor, f"vm.{verb}", vm_id=0, **params))
        for verb, params in (("suspend", {}), ("migrate", {"host": "h2"}), ("hold", {}), ("deploy", {"host": "h1"}))
    ]

    text = "VM 0 is busy with suspend (o0); wait for it (`inn operation wait o0`) or cancel it (`inn vm cancel 0`)."
    assert [(each.code, str(each)) for each in refused] == [("busy", text)] * 4
    assert everything(reactor) == before


# --- hosts that are deleted for good


def drop_host(reactor, host_id):
    """Lose a host and delete it by force."""
    reactor.lost(HostId(host_id), NOW_S)
    return ask_turn(reactor, "host.delete", host=f"h{host_id}", force=True)[0]


ANEW = "The host that had all of it was deleted; `inn vm recover 0 --retry` starts it anew."


@pytest.mark.parametrize(
    "state",
    [
        VmState.RUNNING,
        VmState.UNKNOWN,
        VmState.SUSPENDED,
        VmState.POWEROFF,
        VmState.STOPPED,
        VmState.UNDEPLOYED,
        VmState.FAILED,
    ],
)
def test_a_vm_whose_host_is_deleted_has_failed_and_can_be_started_anew(state):
    reactor = a_site()
    vm = a_vm(reactor, state)
    turn = drop_host(reactor, 1)
    record = now(reactor, vm)
    ask(reactor, "vm.recover", vm_id=vm.vm_id, how="retry")

    assert (place(record), record.sealed, record.sealed_on, record.saved) == (
        (VmState.FAILED, None, None, None),
        (),
        None,
        False,
    )
    assert record.error == ANEW
    assert ("vm.state" in [event.what for event in turn.events]) is (state is not VmState.FAILED)
    assert now(reactor, vm).state is VmState.PENDING
    assert verify.findings(reactor.cluster) == ()


@pytest.mark.parametrize("verb", ["release", "hold"])
def test_a_waiting_vm_whose_files_were_on_a_deleted_host_has_failed(verb):
    """It would get new, empty disks otherwise, and nobody would be told."""
    reactor = a_site(scheduler="none")
    vm = a_vm(reactor, VmState.STOPPED)
    ask(reactor, "vm.resume", vm_id=vm.vm_id)
    if verb == "hold":
        ask(reactor, "vm.hold", vm_id=vm.vm_id)
    drop_host(reactor, 1)

    record = now(reactor, vm)
    assert (place(record), record.sealed_on, record.error) == ((VmState.FAILED, None, None, None), None, ANEW)


@pytest.mark.parametrize("verb", ["suspend", "stop", "poweroff", "undeploy", "reboot"])
def test_an_operation_on_a_deleted_host_fails_with_its_vm(verb):
    reactor = a_site()
    vm = start(reactor, VmState.RUNNING, verb)
    turn = drop_host(reactor, 1)

    assert ended(reactor, vm) == (OperationStatus.FAILED, "host_gone")
    assert operation_of(reactor, vm).error.message == "Host h1 was deleted."
    assert (place(now(reactor, vm)), sent(turn)) == ((VmState.FAILED, None, None, None), [])
    assert verify.findings(reactor.cluster) == ()


def test_a_first_deployment_on_a_deleted_host_has_failed():
    reactor = a_site()
    vm = deploying(reactor)
    drop_host(reactor, 1)

    assert (place(now(reactor, vm)), now(reactor, vm).error) == (
        (VmState.FAILED, None, None, None),
        "Host h1 was deleted.",
    )


@pytest.mark.parametrize("verb", ["terminate", "shutdown"])
def test_a_vm_that_was_ending_on_a_deleted_host_is_done(verb):
    reactor = a_site()
    start(reactor, VmState.RUNNING, verb)
    drop_host(reactor, 1)

    assert (reactor.cluster.vms, reactor.cluster.leases, reactor.cluster.running) == ({}, {}, {})


def test_an_end_that_was_asked_for_follows_when_the_host_is_deleted():
    reactor = a_site()
    vm = start(reactor, VmState.RUNNING, "suspend")
    reactor.lost(HostId(1), NOW_S)
    ask(reactor, "vm.terminate", vm_id=vm.vm_id)
    drop_host(reactor, 1)

    assert (reactor.cluster.vms, reactor.cluster.leases) == ({}, {})


def test_a_guest_is_brought_back_at_home_where_its_destination_was_deleted():
    """It is not failed, for then it could be started once more while it still runs."""
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=1)
    turn = drop_host(reactor, 2)
    undoing = place(now(reactor, vm))
    end_leg(reactor, vm, outcomes={})

    assert [(host_id, message.undo) for host_id, message in sent(turn)] == [(1, True)]
    assert undoing[1:] == (1, 2, "o0")
    assert place(now(reactor, vm)) == (VmState.RUNNING, 1, None, None)
    assert ended(reactor, vm) == (OperationStatus.FAILED, "host_gone")
    assert verify.findings(reactor.cluster) == ()


def test_a_live_migration_whose_destination_is_deleted_while_it_is_prepared_leaves_the_guest_alone():
    reactor = a_site()
    vm = migrating(reactor, live=True)
    turn = drop_host(reactor, 2)

    assert [type(message) for _, message in sent(turn)] == [Confirm]
    assert place(now(reactor, vm)) == (VmState.RUNNING, 1, None, None)


def test_a_live_migration_whose_destination_is_deleted_while_the_guest_moves_waits_for_what_its_host_says():
    reactor = a_site()
    vm = migrating(reactor, live=True, legs=1)
    turn = drop_host(reactor, 2)
    waiting = place(now(reactor, vm))
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={1: BOOM})

    assert (sent(turn), waiting[1:]) == ([], (1, 2, "o0"))
    assert place(now(reactor, vm)) == (VmState.RUNNING, 1, None, None)
    assert verify.findings(reactor.cluster) == ()


def test_a_guest_that_had_gone_to_a_deleted_host_has_failed():
    reactor = a_site()
    vm = migrating(reactor, live=True, legs=1)
    drop_host(reactor, 2)
    finish(reactor, vm)

    assert (place(now(reactor, vm)), now(reactor, vm).error) == ((VmState.FAILED, None, None, None), ANEW)
    assert verify.findings(reactor.cluster) == ()


def test_a_guest_that_may_have_left_a_deleted_host_is_looked_for_where_it_went():
    reactor = a_site()
    vm = migrating(reactor, live=True, legs=1)
    turn = drop_host(reactor, 1)

    assert [(host_id, type(message)) for host_id, message in sent(turn)] == [(2, Confirm)]
    assert place(now(reactor, vm)) == (VmState.FAILED, 2, None, None)
    ask(reactor, "vm.recover", vm_id=vm.vm_id, how="rollback")
    assert place(now(reactor, vm)) == (VmState.UNKNOWN, 2, None, None)


def test_a_guest_that_has_left_a_deleted_host_runs_where_it_is():
    for live in (True, False):
        reactor = a_site()
        vm = migrating(reactor, live=live, legs=2)
        drop_host(reactor, 1)

        assert place(now(reactor, vm)) == (VmState.RUNNING, 2, None, None)
        assert verify.findings(reactor.cluster) == ()


def test_a_migration_that_has_all_it_needs_of_a_deleted_host_goes_on():
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=1)
    waiting = (drop_host(reactor, 1), place(now(reactor, vm)))
    end_leg(reactor, vm)

    assert (sent(waiting[0]), waiting[1][2:]) == ([], (2, "o0"))
    assert place(now(reactor, vm)) == (VmState.RUNNING, 2, None, None)
    assert verify.findings(reactor.cluster) == ()


def test_a_migration_that_still_needed_a_deleted_host_fails_with_its_vm():
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=1)
    drop_host(reactor, 1)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={2: BOOM})

    assert (place(now(reactor, vm)), now(reactor, vm).error) == ((VmState.FAILED, None, None, None), ANEW)
    assert verify.findings(reactor.cluster) == ()


def test_a_half_finished_arrival_is_looked_for_where_it_is_when_its_old_host_was_deleted():
    reactor = a_site()
    vm = migrating(reactor, live=False, legs=1)
    drop_host(reactor, 1)
    end_leg(reactor, vm, LegStatus.FAILED, outcomes={2: BOOM})

    assert place(now(reactor, vm)) == (VmState.FAILED, 2, None, None)


def test_a_stopped_vm_on_its_way_back_follows_what_became_of_its_files():
    found = []
    for status in (LegStatus.DONE, LegStatus.UNDONE):
        reactor = a_site()
        vm = a_vm(reactor, VmState.STOPPED)
        ask(reactor, "vm.resume", vm_id=vm.vm_id)
        ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h2")
        drop_host(reactor, 1)
        end_leg(reactor, vm, status, **({} if status is LegStatus.DONE else {"outcomes": {0: BOOM}}))
        found.append((place(now(reactor, vm)), now(reactor, vm).sealed_on))
        assert verify.findings(reactor.cluster) == ()

    assert found == [((VmState.RUNNING, 2, None, None), None), ((VmState.FAILED, None, None, None), None)]


def test_a_stopped_vm_keeps_its_files_where_the_host_that_it_was_to_come_to_is_deleted():
    reactor = a_site()
    vm = a_vm(reactor, VmState.STOPPED)
    ask(reactor, "vm.resume", vm_id=vm.vm_id)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h2")
    drop_host(reactor, 2)

    record = now(reactor, vm)
    assert (place(record), record.sealed_on, record.sealed) == ((VmState.FAILED, None, None, None), 1, (SEALED_DISK,))


def test_an_import_on_a_deleted_host_has_failed():
    reactor = a_site()
    image = ask(reactor, "image.add", name="new", path="x.qcow2", host="h1", user=ANN)
    reactor.lost(HostId(1), NOW_S)
    ask(reactor, "host.delete", host="h1", force=True)

    assert (reactor.cluster.images[image.image_id].state, reactor.cluster.running) == ("error", {})
    assert reactor.cluster.images[image.image_id].error == "Host h1 was deleted."
    assert ask(reactor, "image.delete", image="new", user=ANN).name == "new"


def test_the_deletion_of_an_image_goes_on_without_a_deleted_host():
    reactor = a_site()
    ask(reactor, "image.delete", image="tiny", user=ANN)
    drop_host(reactor, 1)
    waiting = dict(reactor.cluster.images)
    say(reactor, 2, leg_ended(reactor.cluster.operations["o0"]))

    assert (len(waiting), reactor.cluster.images) == (1, {})


def test_a_holder_is_told_by_its_own_key_and_not_by_what_the_plan_says():
    reactor = a_site()
    host = reactor.cluster.hosts[HostId(2)]
    change(reactor, host, advertisement=replace(host.advertisement, images=(), holder=None))
    vm = deploying(reactor, host="h2")
    steps = operation_of(reactor, vm).plan.legs[0].steps

    assert steps[0].holders == (holder_of("h1"),)


def test_what_an_operation_was_asked_by_and_when_is_kept():
    reactor = a_site()
    vm = submit(reactor)
    ask(reactor, "vm.deploy", user=ADMIN, vm_id=vm.vm_id, host="h1", now_s=NOW_S + 3)

    operation = operation_of(reactor, vm)
    assert (operation.actor, operation.request_id, operation.started_at_s, operation.origin) == (
        "root",
        "r1",
        NOW_S + 3,
        "HOLD",
    )
