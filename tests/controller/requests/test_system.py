"""Requests about the whole system, and about operations."""

import pytest
from tests.controller.builders import (
    ANN,
    BARE,
    SETTINGS,
    a_host,
    a_reactor,
    a_site,
    a_vm,
    ask,
    change,
    end_leg,
    refusal,
)

from innkeeper_controller.records import HostState
from innkeeper_controller.requests.system import Status, WhoAmI
from innkeeper_plugins.vocabulary import Capacity, HostId, VmState


def test_the_system_at_a_glance():
    reactor = a_reactor(
        a_host(1), a_host(2, state=HostState.DISABLED), a_host(3, connected=False), a_host(4, cpu_cores=0.1)
    )
    a_vm(reactor, template=BARE + "")
    a_vm(reactor, VmState.STOPPED, template=BARE)
    ask(reactor, "vm.suspend", vm_id=0)

    assert ask(reactor, "system.status", user=ANN) == Status(
        cluster_id=SETTINGS.cluster_id,
        scheduler="match-making",
        hosts={"on": 2, "disabled": 1, "lost": 1},
        vms={"SAVE": 1, "STOPPED": 1},
        operations=1,
        images=0,
        networks=0,
        capacity=Capacity(cpu_cores=16.1, memory_mib=3 * 16384),
        used=Capacity(cpu_cores=1.0, memory_mib=512),
    )


def test_who_somebody_is():
    assert ask(a_reactor(), "system.whoami", user=ANN) == WhoAmI(name="ann", role="user", user_id=2, groups=("users",))


def test_a_healthy_system_has_no_findings():
    reactor = a_site()
    a_vm(reactor)
    verdict = ask(reactor, "system.verify")

    assert (verdict.findings, verdict.checked) == ((), 4)


def test_findings_are_told():
    reactor = a_site()
    vm = a_vm(reactor)
    change(reactor, vm, host_id=HostId(9))

    assert [(each.check, each.subject) for each in ask(reactor, "system.verify").findings] == [("places", "vm:0")]


@pytest.mark.parametrize("operation_id", ["o7", "", "x", "o" * 1000])
def test_an_operation_that_memory_does_not_have_is_not_found(operation_id):
    error = refusal(lambda: ask(a_reactor(), "operation.show", operation_id=operation_id))

    assert error.code == "not_found"


def test_an_operation_that_has_ended_cannot_be_cancelled():
    reactor = a_site()
    vm = a_vm(reactor)
    ask(reactor, "vm.suspend", vm_id=vm.vm_id)
    end_leg(reactor, vm)
    error = refusal(lambda: ask(reactor, "operation.cancel", operation_id="o0"))

    assert (error.code, str(error)) == ("wrong_state", "Operation o0 has ended: done.")


def test_an_operation_says_which_host_it_waits_for():
    reactor = a_site()
    a_vm(reactor)
    ask(reactor, "vm.suspend", vm_id=0)
    there = ask(reactor, "operation.show", operation_id="o0").waits_for
    reactor.lost(HostId(1), 1.0)

    assert (there, ask(reactor, "operation.list")[0].waits_for) == ("", "h1")
