"""A host on which VMs do not start gets none for a while, longer each time; no VM bans the fleet."""

import msgspec
import pytest
from tests.controller.builders import (
    ANN,
    BARE,
    NOW_S,
    a_host,
    a_reactor,
    a_site,
    a_vm,
    ask,
    change,
    end_leg,
    finish,
    leg_ended,
    now,
    operation_of,
    outcome_of,
    say,
    submit,
    told,
)

from innkeeper_controller.placement import bans
from innkeeper_controller.records import Failures
from innkeeper_controller.scheduling.options import BanOptions
from innkeeper_hostagent.protocol.messages import LegStatus
from innkeeper_plugins.vocabulary import HostId, VmState

replace = msgspec.structs.replace
OPTIONS = BanOptions(first_s=30.0, at_most_s=100.0)


def failures_of(reactor, host_id=1):
    return reactor.cluster.hosts[HostId(host_id)].failures


def counts(reactor):
    return {int(each.host_id): each.failures.count if each.failures else 0 for each in reactor.cluster.hosts.values()}


def a_template(number=0):
    return f"NAME = t{number}\nCPU = 1\nMEMORY = 64\nDISK = [ IMAGE = tiny ]\n"


def begin(reactor, host="h1", template="", user=ANN):
    """Let a VM be deployed by hand, as people may even on a banned host."""
    vm = submit(reactor, template or a_template(reactor.cluster.next_id("vm")), user=user)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host=host)
    return vm


def fail(reactor, vm, code="no_space", *, now_s=NOW_S, status=LegStatus.UNDONE, step=0):
    """Let a step of the VM's present leg fail; return what happened."""
    operation = operation_of(reactor, vm)
    leg = operation.plan.legs[operation.leg]
    outcomes = {leg.steps[step].step_id: outcome_of(code)}
    return say(reactor, leg.host_id, leg_ended(operation, status, outcomes=outcomes), now_s=now_s)


def again(reactor, vm, host):
    ask(reactor, "vm.recover", vm_id=vm.vm_id, how="retry")
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host=host)


@pytest.mark.parametrize(("before", "length_s"), [(0, 30.0), (1, 60.0), (2, 100.0), (2000, 100.0)])
def test_each_failure_of_a_row_bans_for_twice_as_long_up_to_a_limit(before, length_s):
    old = Failures(count=before, at_s=1.0, banned_until_s=0.0) if before else None

    assert bans.after_failure(old, 500.0, "no space", OPTIONS) == Failures(
        count=before + 1, at_s=500.0, banned_until_s=500.0 + length_s, message="no space"
    )


def test_failures_of_what_began_before_the_ban_are_one_with_it():
    first = bans.after_failure(None, 500.0, "a", OPTIONS)

    assert bans.after_failure(first, 520.0, "b", OPTIONS) == replace(first, at_s=520.0, message="b")


def test_an_operator_who_wants_no_bans_gets_none():
    options = BanOptions(first_s=0.0)

    assert bans.after_failure(None, 500.0, "a", options).banned_until_s == 0.0


@pytest.mark.parametrize(("now_s", "until_s"), [(529.9, 530.0), (530.0, 0.0), (900.0, 0.0)])
def test_a_ban_that_is_over_is_lifted_and_the_count_is_kept(now_s, until_s):
    banned = bans.after_failure(None, 500.0, "a", OPTIONS)

    assert bans.lift(banned, now_s) == replace(banned, banned_until_s=until_s)


def test_a_deployment_that_fails_bans_its_host_and_says_why():
    reactor = a_site()
    turn = fail(reactor, begin(reactor))
    event = next(each for each in turn.events if each.what == "host.banned")

    assert failures_of(reactor) == Failures(
        count=1, at_s=NOW_S, banned_until_s=NOW_S + 30.0, message="it says no_space"
    )
    assert (event.subject, event.detail) == (
        "host:1",
        {"until_s": NOW_S + 30.0, "failures": 1, "why": "it says no_space"},
    )
    assert failures_of(reactor, 2) is None


def test_a_start_that_succeeds_ends_the_row_and_the_ban():
    reactor = a_site()
    good = begin(reactor)
    fail(reactor, begin(reactor))
    finish(reactor, good)

    assert (failures_of(reactor), reactor.cluster.banned) == (None, set())


def test_a_ban_that_is_over_is_lifted_at_the_tick_and_the_next_is_longer():
    reactor = a_site()
    fail(reactor, begin(reactor))
    reactor.cluster.freed = False
    early = told(reactor.tick(NOW_S + 29))
    turn = reactor.tick(NOW_S + 30)
    lifted, freed = failures_of(reactor), reactor.cluster.freed
    fail(reactor, begin(reactor), now_s=NOW_S + 31)

    assert (early, told(turn), lifted.count, lifted.banned_until_s, freed) == (
        [],
        [("host.ban_lifted", "host:1")],
        1,
        0.0,
        True,
    )
    assert (failures_of(reactor).count, failures_of(reactor).banned_until_s) == (2, NOW_S + 31 + 60)
    assert told(reactor.tick(NOW_S + 32)) == []


@pytest.mark.parametrize("code", sorted(bans.NOT_THE_HOSTS))
def test_what_is_not_the_hosts_fault_is_not_counted(code):
    reactor = a_site()
    fail(reactor, begin(reactor), code)

    assert counts(reactor) == {1: 0, 2: 0}


@pytest.mark.parametrize("code", ["no_space", "tool_failed", "timeout", "driver_bug", "a_code_of_another_driver"])
@pytest.mark.parametrize("status", [LegStatus.UNDONE, LegStatus.FAILED])
def test_what_may_be_its_fault_is(code, status):
    reactor = a_site()
    fail(reactor, begin(reactor), code, status=status)

    assert counts(reactor) == {1: 1, 2: 0}


@pytest.mark.parametrize(("reason", "count"), [("no_space", 1), ("expired", 0), ("stale_generation", 0), ("busy", 0)])
def test_a_leg_that_is_refused_counts_where_the_host_lacks_something(reason, count):
    reactor = a_site()
    end_leg(reactor, begin(reactor), LegStatus.REFUSED, outcomes={}, reason=reason)

    assert counts(reactor)[1] == count


def test_what_a_person_cancelled_is_not_counted():
    reactor = a_site()
    cancelled, late = begin(reactor), begin(reactor)
    for vm in (cancelled, late):
        ask(reactor, "vm.cancel", vm_id=vm.vm_id)
    end_leg(reactor, cancelled, LegStatus.CANCELLED, outcomes={})
    fail(reactor, late)

    assert counts(reactor)[1] == 0


def test_a_vm_that_fails_everywhere_bans_one_host():
    reactor = a_site(hosts=4)
    vm = begin(reactor, "h1")
    fail(reactor, vm)
    for host in ("h2", "h3", "h4", "h1"):
        again(reactor, vm, host)
        fail(reactor, vm, "tool_failed")

    assert counts(reactor) == {1: 1, 2: 0, 3: 0, 4: 0}


def test_a_hundred_vms_of_one_bad_template_ban_one_host():
    reactor = a_site(hosts=4)
    for number in range(8):
        vm = begin(reactor, f"h{number % 4 + 1}", a_template())
        fail(reactor, vm, "tool_failed", now_s=NOW_S + number)

    assert counts(reactor) == {1: 1, 2: 0, 3: 0, 4: 0}


def test_a_template_that_starts_elsewhere_is_cleared_and_the_hosts_are_to_blame_again():
    reactor = a_site(hosts=3)
    fail(reactor, begin(reactor, "h1", a_template()))
    finish(reactor, begin(reactor, "h3", a_template()))
    fail(reactor, begin(reactor, "h2", a_template()))

    assert counts(reactor) == {1: 1, 2: 1, 3: 0}


def test_suspicions_end_and_are_few():
    reactor = a_site()
    fail(reactor, begin(reactor, "h1", a_template()))
    fail(reactor, begin(reactor, "h2", a_template()), now_s=NOW_S + bans.SUSPECTED_FOR_S)
    for _ in range(bans.MAX_SUSPECTS + 3):
        fail(reactor, begin(reactor, "h1"))

    assert counts(reactor)[2] == 1
    assert len(reactor.cluster.suspicions) == bans.MAX_SUSPECTS


def test_a_guest_that_does_not_go_on_counts_against_the_host_that_it_is_on():
    reactor = a_site()
    vm = a_vm(reactor, VmState.POWEROFF, template=BARE)
    ask(reactor, "vm.resume", vm_id=vm.vm_id)
    fail(reactor, vm, "tool_failed")

    assert (counts(reactor), now(reactor, vm).state) == ({1: 1, 2: 0}, VmState.POWEROFF)


def test_a_migration_counts_against_the_host_that_it_goes_to_only():
    reactor = a_site()
    vm = a_vm(reactor, VmState.POWEROFF)
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2")
    at_source = operation_of(reactor, vm)
    while operation_of(reactor, vm).plan.legs[operation_of(reactor, vm).leg].host_id != 2:
        end_leg(reactor, vm)
    fail(reactor, vm)
    other = a_vm(reactor, VmState.POWEROFF)
    ask(reactor, "vm.migrate", vm_id=other.vm_id, host="h2")
    fail(reactor, other)

    assert at_source.plan.legs[0].host_id == 1
    assert counts(reactor) == {1: 0, 2: 1}


@pytest.mark.parametrize("verb", ["suspend", "poweroff", "reboot"])
def test_other_operations_count_nothing(verb):
    reactor = a_site()
    vm = a_vm(reactor)
    ask(reactor, f"vm.{verb}", vm_id=vm.vm_id)
    fail(reactor, vm, "tool_failed")

    assert counts(reactor) == {1: 0, 2: 0}


def test_enabling_a_host_forgives_it():
    reactor = a_reactor(a_host())
    host = reactor.cluster.hosts[HostId(1)]
    change(reactor, host, failures=Failures(count=3, at_s=NOW_S, banned_until_s=NOW_S + 90))
    ask(reactor, "host.enable", host="h1")

    assert (failures_of(reactor), reactor.cluster.banned, reactor.cluster.freed) == (None, set(), True)


def test_a_deleted_host_is_banned_no_more():
    reactor = a_site()
    host = reactor.cluster.hosts[HostId(1)]
    change(reactor, host, failures=Failures(count=3, at_s=NOW_S, banned_until_s=NOW_S + 90))
    ask(reactor, "host.delete", host="h1", force=True)
    reactor.tick(NOW_S + 100)

    assert reactor.cluster.banned == set()
