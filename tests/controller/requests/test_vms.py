"""Requests about VMs that only look: lists, details, transfer scripts; and finding what is named."""

import pytest
from tests.controller.builders import (
    ANN,
    BARE,
    BOB,
    NOW_S,
    a_site,
    a_vm,
    ask,
    end_leg,
    finish,
    now,
    outcome_of,
    picture,
    refusal,
    say,
    submit,
)

from innkeeper_hostagent.protocol.messages import LegStatus, Observed
from innkeeper_plugins.vocabulary import Observation, PowerState, VmState


def ids(reactor, **params):
    return [each.vm_id for each in ask(reactor, "vm.list", **params)]


def a_crowd():
    reactor = a_site(scheduler="none")
    a_vm(reactor, VmState.RUNNING, template=BARE)
    a_vm(reactor, VmState.RUNNING, host_id=2, template=BARE)
    submit(reactor, BARE, user=BOB, name="other")
    submit(reactor, BARE, hold=False)
    return reactor


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"state": "running"}, [0, 1]),
        ({"state": "PENDING"}, [3]),
        ({"host": "h2"}, [1]),
        ({"host": "1"}, [0]),
        ({"owner": "bob"}, [2]),
        ({"owner": "nobody"}, []),
        ({"name": "the"}, [2]),
        ({"after": 1}, [2, 3]),
        ({"limit": 2}, [0, 1]),
        ({"after": 0, "limit": 1}, [1]),
        ({"limit": 0}, [0]),
        ({"limit": -5}, [0]),
        ({"after": 3}, []),
        ({"state": "running", "host": "h1", "owner": "ann"}, [0]),
    ],
)
def test_vms_are_listed_by_number_filtered_and_paged(params, expected):
    assert ids(a_crowd(), **params) == expected


def test_pages_go_over_everything_once():
    reactor = a_crowd()
    seen, after = [], -1
    while page := ids(reactor, after=after, limit=3):
        seen += page
        after = page[-1]

    assert seen == [0, 1, 2, 3]


def test_a_state_that_there_is_not_is_refused_with_those_that_there_are():
    error = refusal(lambda: ask(a_crowd(), "vm.list", state="dead"))

    assert (error.code, str(error).startswith("'dead' is no state; use one of PENDING, HOLD,")) == ("bad_request", True)


def test_a_vm_is_listed_with_what_people_look_for():
    reactor = a_site()
    vm = a_vm(reactor)
    ask(reactor, "vm.suspend", vm_id=vm.vm_id)
    (shown,) = ask(reactor, "vm.list")

    assert (shown.name, shown.owner, shown.state, shown.host, shown.ips, shown.operation, shown.memory_mib) == (
        "web",
        "ann",
        "SAVE",
        "h1",
        ("10.0.0.1",),
        "suspend",
        512,
    )


def test_a_vm_is_shown_with_all_that_is_known_of_it():
    reactor = a_site()
    vm = a_vm(reactor, template=BARE + 'SCHED_REQUIREMENTS = "ARCH = x86_64"\nRANK = FREE_CPU\nNOTE = x\n')
    seen = Observation(vm_id=vm.vm_id, generation=1, power=PowerState.RUNNING, cpu_time_s=3.5, memory_mib=77)
    say(reactor, 1, Observed(guests=(seen,)))
    ask(reactor, "vm.suspend", vm_id=vm.vm_id, user=ANN)
    shown = ask(reactor, "vm.show", vm_id=vm.vm_id, user=ANN)

    assert (shown.requirements, shown.rank, shown.attributes) == ("ARCH = x86_64", "FREE_CPU", {"NOTE": "x"})
    assert (shown.cpu_time_s, shown.memory_used_mib, shown.generation) == (3.5, 77, 1)
    assert (shown.last_operation.kind, shown.last_operation.steps_total, shown.operation_id) == ("suspend", 1, "o0")
    assert shown.spec == now(reactor, vm).spec


def test_the_transfer_script_of_the_present_or_last_operation_is_shown_with_its_hosts():
    reactor = a_site()
    vm = a_vm(reactor)
    none_yet = refusal(lambda: ask(reactor, "vm.plan", vm_id=vm.vm_id))
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2", live=True)
    running = ask(reactor, "vm.plan", vm_id=vm.vm_id)
    finish(reactor, vm)
    ask(reactor, "host.delete", host="h1")
    ended = ask(reactor, "vm.plan", vm_id=vm.vm_id)

    assert (none_yet.code, str(none_yet)) == (
        "not_found",
        "VM 0 has had no operation yet, so there is no transfer script.",
    )
    assert (running.kind, running.status, running.lines) == (
        "migrate_live",
        "running",
        (
            ("h2", "0 PROLOG qcow2 premigrate all disks"),
            ("h1", "1 MIGRATE simulated migrate live to sim://h2 with its disks"),
            ("h1", "2 EPILOG qcow2 postmigrate all disks"),
        ),
    )
    assert (ended.status, ended.lines[0][0]) == ("done", "h2")


@pytest.mark.parametrize(
    ("vm_id", "text"),
    [
        (0, "VM 0 is DONE; `inn vm history 0` tells its life."),
        (7, "There is no VM 7."),
        (-1, "There is no VM -1."),
        (2**70, f"There is no VM {2**70}."),
    ],
)
@pytest.mark.parametrize("request_name", ["vm.show", "vm.why", "vm.plan", "vm.suspend", "vm.terminate", "vm.cancel"])
def test_a_vm_that_is_not_there_is_not_found_and_one_that_was_is_said_to_have_been(vm_id, text, request_name):
    reactor = a_site()
    ask(reactor, "vm.terminate", vm_id=submit(reactor, BARE).vm_id)
    before = picture(reactor.cluster)
    error = refusal(lambda: ask(reactor, request_name, vm_id=vm_id))

    assert (error.code, str(error)) == ("not_found", text)
    assert picture(reactor.cluster) == before


def test_what_has_begun_is_answered_with_its_operation():
    reactor = a_site()
    vm = a_vm(reactor)
    begun = ask(reactor, "vm.suspend", vm_id=vm.vm_id)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: outcome_of("no_space")})
    held = ask(reactor, "vm.terminate", vm_id=submit(reactor, BARE).vm_id)

    assert (begun.vm_id, begun.state, begun.operation_id) == (0, "SAVE", "o0")
    assert (held.state, held.operation_id) == ("DONE", "")


def test_a_deleted_host_is_shown_by_its_number():
    reactor = a_site()
    vm = a_vm(reactor)
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2", live=True)
    end_leg(reactor, vm)
    end_leg(reactor, vm)
    reactor.cluster.hosts.pop(1)

    assert ask(reactor, "vm.show", vm_id=vm.vm_id).host == "host 1"


def test_a_vm_shows_since_when_it_is_in_its_state():
    reactor = a_site()
    vm = a_vm(reactor)
    ask(reactor, "vm.suspend", vm_id=vm.vm_id, now_s=NOW_S + 9)

    assert ask(reactor, "vm.show", vm_id=vm.vm_id).since_s == NOW_S + 9
