"""Stays on hosts: what each move of a VM marks in them."""

import pytest
from tests.controller.builders import ANN, a_site, a_vm, ask, end_leg, finish, now, operation_of, put, say, submit

from innkeeper_controller import history
from innkeeper_controller.records import HistoryRecord
from innkeeper_hostagent.protocol.messages import LegStatus, StepStarted
from innkeeper_plugins.vocabulary import VmState

NAMES = ("began_at_s", "prolog", "running", "epilog", "ended_at_s")


def marks(stay: HistoryRecord) -> tuple:
    """Return when each part of a stay began and ended, in the order of ``NAMES``."""
    parts = [(getattr(stay, f"{name}_began_s"), getattr(stay, f"{name}_ended_s")) for name in NAMES[1:4]]
    return (stay.host_id, stay.began_at_s, *parts, stay.ended_at_s)


def stays(reactor, vm):
    return [marks(each) for each in reactor.cluster.history_of.get(vm.vm_id, ())]


def run_steps(reactor, vm, now_s):
    """Let every step of the VM's operation begin, a second after the other, and its legs end."""
    while (current := reactor.cluster.vms.get(vm.vm_id)) is not None and current.operation_id is not None:
        operation = operation_of(reactor, vm)
        leg = operation.plan.legs[operation.leg]
        for step in leg.steps:
            now_s += 1
            started = StepStarted(operation_id=operation.operation_id, leg=operation.leg, step_id=step.step_id)
            say(reactor, leg.host_id, started, now_s=now_s)
        end_leg(reactor, vm)
    return now_s


NONE = (None, None)


def test_a_deployment_opens_a_stay_and_its_guest_runs_from_its_boot_on():
    reactor = a_site()
    vm = submit(reactor)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1", now_s=2000.0)
    run_steps(reactor, vm, 2000.0)

    assert stays(reactor, vm) == [(1, 2000.0, (2000.0, 2002.0), (2002.0, None), NONE, None)]
    (stay,) = reactor.cluster.history_of[vm.vm_id]
    assert (stay.action, stay.actor, stay.request_id, stay.owner) == ("deploy", "root", "r1", "ann")
    assert (stay.cpu_cores, stay.memory_mib, stay.disks_mib, stay.vm_name) == (1.0, 512, 100, "web")


def test_a_failed_deployment_ends_its_stay():
    reactor = a_site()
    vm = submit(reactor)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1", now_s=2000.0)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={})

    assert stays(reactor, vm)[0][-1] is not None
    assert now(reactor, vm).host_id is None


#: ``(state, request, parameters, whether the last stay has ended)``
MOVES = [
    (VmState.RUNNING, "suspend", {}, [None]),
    (VmState.RUNNING, "poweroff", {"hard": True}, [None]),
    (VmState.RUNNING, "stop", {}, ["ended"]),
    (VmState.RUNNING, "undeploy", {"hard": True}, ["ended"]),
    (VmState.POWEROFF, "resume", {}, ["ended", None]),
    (VmState.SUSPENDED, "resume", {}, ["ended", None]),
    (VmState.RUNNING, "migrate", {"host": "h2"}, ["ended", None]),
    (VmState.RUNNING, "migrate", {"host": "h2", "live": True}, ["ended", None]),
    (VmState.POWEROFF, "migrate", {"host": "h2"}, ["ended", None]),
    (VmState.RUNNING, "reboot", {"hard": True}, [None]),
]


def with_stay(reactor, state):
    vm = a_vm(reactor, state)
    ran = {"running_began_s": 500.0, "running_ended_s": None if state is VmState.RUNNING else 600.0}
    shape = {"cpu_cores": 1.0, "vcpus": 1, "memory_mib": 512}
    put(reactor, HistoryRecord(vm_id=vm.vm_id, seq=0, host_id=1, host_name="h1", began_at_s=400.0, **ran, **shape))
    return vm


@pytest.mark.parametrize(("state", "verb", "params", "expected"), MOVES)
def test_a_stay_lasts_as_long_as_the_vm_is_on_the_host_and_its_guest_as_it_is(state, verb, params, expected):
    reactor = a_site()
    vm = with_stay(reactor, state)
    ask(reactor, f"vm.{verb}", vm_id=vm.vm_id, now_s=2000.0, **params)
    run_steps(reactor, vm, 2000.0)
    found = reactor.cluster.history_of[vm.vm_id]

    assert ["ended" if each.ended_at_s is not None else None for each in found] == expected
    current = now(reactor, vm)
    assert [each.host_id for each in found if each.ended_at_s is None] == [
        each for each in [current.host_id] if each is not None
    ]
    ran = current.state is VmState.RUNNING
    last = found[-1]
    assert (last.running_began_s is not None and last.running_ended_s is None) is ran
    assert last.action == operation_of(reactor, vm).kind


def test_a_cold_migration_shows_each_of_its_phases():
    reactor = a_site()
    vm = with_stay(reactor, VmState.RUNNING)
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2", now_s=2000.0)
    run_steps(reactor, vm, 2000.0)
    source, target = reactor.cluster.history_of[vm.vm_id]

    assert (source.running_ended_s, target.host_id) == (2002.0, 2)


def test_the_states_of_a_cold_migration_are_told_in_their_order():
    reactor = a_site()
    vm = with_stay(reactor, VmState.RUNNING)
    seen = [now(reactor, vm).state]
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2")
    while now(reactor, vm).operation_id is not None:
        operation = operation_of(reactor, vm)
        leg = operation.plan.legs[operation.leg]
        for step in leg.steps:
            say(
                reactor,
                leg.host_id,
                StepStarted(operation_id=operation.operation_id, leg=operation.leg, step_id=step.step_id),
            )
            seen.append(now(reactor, vm).state)
        end_leg(reactor, vm)

    assert list(dict.fromkeys(seen)) == [
        VmState.RUNNING,
        VmState.SAVE,
        VmState.MIGRATE,
        VmState.BOOT,
        VmState.EPILOG,
    ]


def test_another_share_of_the_host_begins_a_new_stay():
    reactor = a_site()
    vm = with_stay(reactor, VmState.RUNNING)
    before = reactor.cluster.history_of[vm.vm_id][-1]
    bigger = vm.spec.__class__(
        **{name: getattr(vm.spec, name) for name in vm.spec.__struct_fields__} | {"memory_mib": 1024}
    )
    after = vm.__class__(**{name: getattr(vm, name) for name in vm.__struct_fields__} | {"spec": bigger})
    ended, begun = history.follow(before, after, operation=None, host=reactor.cluster.hosts[1], now_s=3000.0)

    assert (ended.ended_at_s, ended.running_ended_s, ended.memory_mib) == (3000.0, 3000.0, 512)
    assert (begun.seq, begun.running_began_s, begun.memory_mib) == (1, 3000.0, 1024)


def test_nothing_new_makes_no_record():
    reactor = a_site()
    vm = submit(reactor)

    assert history.follow(None, vm, operation=None, host=None, now_s=1.0) == ()


def test_a_vm_that_is_done_leaves_a_stay_that_has_ended():
    reactor = a_site()
    vm = with_stay(reactor, VmState.RUNNING)
    ask(reactor, "vm.terminate", user=ANN, vm_id=vm.vm_id, hard=True)
    finish(reactor, vm)

    assert (reactor.cluster.history_of, reactor.cluster.history_records) == ({}, {})
