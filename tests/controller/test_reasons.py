"""Every state of a VM is explained in plain words, and what is told of a wait is what is in the way."""

import pytest
from tests.controller.builders import (
    BARE,
    NOW_S,
    SEALED_DISK,
    a_host,
    a_reactor,
    a_site,
    a_vm,
    an_image,
    ask,
    end_leg,
    finish,
    operation_of,
    outcome_of,
    say,
    script,
    submit,
)

from innkeeper_controller.records import HostState
from innkeeper_hostagent.protocol.messages import LegStatus, StepStarted
from innkeeper_plugins.vocabulary import HostId, VmState

BOOM = outcome_of("no_space")


def waiting(reactor, template=BARE, **params):
    return submit(reactor, template, hold=False, **params)


def why(reactor, vm, *, now_s=NOW_S):
    answer = ask(reactor, "vm.why", vm_id=vm.vm_id, now_s=now_s)
    return answer.reason, answer.advice


def busy(reactor, state, verb, **params):
    vm = a_vm(reactor, state)
    ask(reactor, f"vm.{verb}", vm_id=vm.vm_id, **params)
    return vm


def test_why_a_vm_waits_without_any_host():
    reactor = a_reactor()

    assert why(reactor, waiting(reactor)) == ("There is no host yet.", "Add one: inn host add NAME.")


def test_why_a_vm_waits_that_fits_nowhere():
    reactor = a_reactor(a_host(1, memory_mib=100), a_host(2, state=HostState.DISABLED))
    first, second = waiting(reactor), waiting(reactor)
    reactor.schedule(NOW_S)
    answer = ask(reactor, "vm.why", vm_id=second.vm_id)

    assert why(reactor, first) == (
        "None of 2 hosts can take it: host state keeps 1 out, memory 1.",
        "It starts by itself as soon as one can.",
    )
    assert (answer.queue_position, answer.counts) == (2, {"memory": 1, "host state": 1})
    assert [(each.host, each.fits, each.obstacles) for each in answer.hosts] == [
        ("h1", False, (("memory", "512 MiB of memory are needed, 100 MiB of 100 MiB are free"),)),
        ("h2", False, (("host state", "the host is disabled"),)),
    ]
    assert answer.nearest_miss == "h1 comes closest: 512 MiB of memory are needed, 100 MiB of 100 MiB are free."


def test_why_a_vm_waits_that_is_held():
    reactor = a_reactor(a_host(1), a_host(2, connected=False))

    assert why(reactor, submit(reactor, BARE)) == (
        "It is held; 1 of 2 hosts could take it.",
        "Give it to the scheduler: inn vm release 0; or choose: inn vm deploy 0 HOST.",
    )


def test_why_a_vm_waits_without_a_scheduler():
    reactor = a_reactor(a_host(1), scheduler="none")

    assert why(reactor, waiting(reactor)) == (
        "The scheduler is off; 1 of 1 hosts could take the VM.",
        "Deploy it by hand: inn vm deploy 0 HOST.",
    )


def test_why_a_vm_waits_that_is_about_to_be_placed():
    reactor = a_reactor(a_host(1))

    assert why(reactor, waiting(reactor)) == ("It fits and is about to be placed.", "")


def test_why_a_vm_waits_whose_image_is_out_of_reach():
    reactor = a_reactor(a_host(1), an_image())
    vm = waiting(reactor, "NAME = web\nMEMORY = 1\nDISK = [ IMAGE = tiny ]\n")

    assert why(reactor, vm) == (
        "Image tiny is on no host.",
        "It starts by itself as soon as a host that has it is there.",
    )


def test_why_a_vm_waits_whose_files_are_out_of_reach():
    reactor = a_reactor(a_host(1, connected=False), a_host(2))
    vm = a_vm(reactor, VmState.STOPPED, template=BARE)
    ask(reactor, "vm.resume", vm_id=vm.vm_id)

    assert why(reactor, vm) == (
        "Its files lie on host h1, which is lost.",
        "It starts by itself as soon as a host that has it is there.",
    )


def test_why_a_vm_is_busy():
    reactor = a_site()
    vm = busy(reactor, VmState.RUNNING, "suspend")
    under_way = why(reactor, vm)
    ask(reactor, "vm.cancel", vm_id=vm.vm_id)

    assert under_way == (
        "suspend is under way on host h1.",
        "Follow it: inn operation wait o0; cancel it: inn vm cancel 0.",
    )
    assert why(reactor, vm) == ("suspend is being cancelled on host h1.", "Follow it: inn operation wait o0.")


def test_why_a_vm_is_busy_with_what_cannot_be_cancelled():
    reactor = a_site()
    undone, cleaned = (busy(reactor, VmState.RUNNING, "migrate", host="h2") for _ in range(2))
    end_leg(reactor, undone)
    end_leg(reactor, undone, LegStatus.UNDONE, outcomes={2: BOOM})
    end_leg(reactor, cleaned)
    end_leg(reactor, cleaned)

    assert why(reactor, undone) == (
        "migrate is being taken back on host h1.",
        "Follow it: inn operation wait o0.",
    )
    assert why(reactor, cleaned) == ("migrate is under way on host h1.", "Follow it: inn operation wait o1.")


def test_why_a_vm_waits_for_a_host_that_is_lost():
    reactor = a_site()
    vm = busy(reactor, VmState.RUNNING, "suspend")
    reactor.lost(HostId(1), NOW_S)

    assert why(reactor, vm, now_s=NOW_S + 7) == (
        "suspend waits for host h1, which has been lost for 7 s.",
        (
            "Start its agent again (systemctl start inn-agent on h1); if the machine is dead for certain: "
            "inn host delete h1 --force."
        ),
    )


def test_why_a_vm_has_failed():
    reactor = a_site()
    vm = busy(reactor, VmState.HOLD, "deploy", host="h1")
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: BOOM})

    assert why(reactor, vm) == (
        "deploy failed: it says no_space",
        "Mend the cause, then inn vm recover 0 --retry; or --rollback; or inn vm terminate 0.",
    )


def test_why_a_vm_has_failed_whose_host_was_deleted_long_after_its_last_operation():
    reactor = a_site()
    vm = busy(reactor, VmState.HOLD, "deploy", host="h1")
    finish(reactor, vm)
    reactor.lost(HostId(1), NOW_S)
    ask(reactor, "host.delete", host="h1", force=True)

    assert why(reactor, vm)[0] == (
        "It has failed: The host that had all of it was deleted; `inn vm recover 0 --retry` starts it anew."
    )


@pytest.mark.parametrize(
    ("state", "reason", "advice"),
    [
        (VmState.RUNNING, "It is RUNNING on host h1.", ""),
        (VmState.SUSPENDED, "It is SUSPENDED on host h1.", "Let it go on: inn vm resume 0."),
        (VmState.POWEROFF, "It is POWEROFF on host h1.", "Let it go on: inn vm resume 0."),
        (VmState.STOPPED, "It is STOPPED; its files lie on host h1.", "Let it go on: inn vm resume 0."),
        (VmState.UNDEPLOYED, "It is UNDEPLOYED; its files lie on host h1.", "Let it go on: inn vm resume 0."),
    ],
)
def test_why_a_vm_rests(state, reason, advice):
    reactor = a_site()

    assert why(reactor, a_vm(reactor, state)) == (reason, advice)


def test_why_a_vm_rests_whose_host_has_just_been_lost():
    reactor = a_site()
    vm = a_vm(reactor, VmState.RUNNING)
    reactor.lost(HostId(1), NOW_S)

    assert why(reactor, vm, now_s=NOW_S + 3)[0] == "It is RUNNING on host h1. The host has been lost for 3 s."


def test_why_a_vm_rests_whose_last_operation_did_not_work():
    reactor = a_site()
    vm = busy(reactor, VmState.RUNNING, "suspend")
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: BOOM})

    assert why(reactor, vm)[0] == (
        "It is RUNNING on host h1. Its last operation, suspend, did not work: it says no_space"
    )


def test_why_a_vm_is_unknown():
    reactor = a_site()
    vm = a_vm(reactor, VmState.UNKNOWN)
    back = why(reactor, vm)
    reactor.lost(HostId(1), NOW_S)

    assert back == ("Host h1 is connected, but has not said yet whether the guest runs.", "")
    assert why(reactor, vm, now_s=NOW_S + 61) == (
        "Nothing is known of the guest: host h1 has been lost for 61 s.",
        "Start its agent again; if the machine is dead for certain: inn host delete h1 --force.",
    )


@pytest.mark.parametrize("state", [each for each in VmState if each is not VmState.DONE])
def test_every_state_is_explained(state):
    reactor = a_site()
    vm = a_vm(reactor, state, sealed=(SEALED_DISK,))
    answer = ask(reactor, "vm.why", vm_id=vm.vm_id)

    assert (answer.state, answer.reason != "") == (state, True)


def test_why_shows_the_operation_with_the_step_that_runs():
    reactor = a_site()
    vm = busy(reactor, VmState.HOLD, "deploy", host="h1")
    say(reactor, 1, StepStarted(operation_id="o0", leg=0, step_id=0))
    answer = ask(reactor, "vm.why", vm_id=vm.vm_id)

    assert (answer.operation.step, answer.operation.kind) == ("0 PROLOG qcow2 clone disk.0", "deploy")
    assert script(operation_of(reactor, vm).plan)[0][1][0] == answer.operation.step
