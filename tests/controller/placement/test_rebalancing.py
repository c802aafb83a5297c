"""VMs that are moved so that hosts are used better: as asked, unattended within limits, and never against others."""

from random import Random

import msgspec
import pytest
from tests.controller.builders import (
    ANN,
    BARE,
    NOW_S,
    a_host,
    a_reactor,
    a_vm,
    ask,
    ask_turn,
    change,
    end_leg,
    finish,
    leg_ended,
    now,
    operation_of,
    picture,
    put,
    refusal,
    say,
    told,
    turn_of,
)

from innkeeper_controller.placement import rebalancing
from innkeeper_controller.placement.movables import recent_moves
from innkeeper_controller.records import HostState, Lock
from innkeeper_controller.scheduling.moves.making_room import Move, Room
from innkeeper_controller.scheduling.options import BalanceOptions, Options
from innkeeper_controller.scheduling.wishes import Relation, Term, Wishes
from innkeeper_hostagent.protocol.messages import LegStatus
from innkeeper_plugins.vocabulary import HostId, PciWish, VmId, VmState

_replace = msgspec.structs.replace


def uneven(vms=4, hosts=2, **balance):
    """Return a reactor with all VMs on the first host, two cores each."""
    settings = {"scheduling": Options(balance=BalanceOptions(**balance))} if balance else {}
    reactor = a_reactor(*(a_host(number) for number in range(1, hosts + 1)), **settings)
    for _ in range(vms):
        a_vm(reactor, VmState.RUNNING, template=BARE.replace("CPU = 1", "CPU = 2").replace("512", "4096"))
    return reactor


def busy(reactor):
    """Return the VMs that are being moved, and where to."""
    return {vm.vm_id: vm.destination_id for vm in reactor.cluster.vms.values() if vm.operation_id}


def homes(reactor):
    return {vm.vm_id: vm.host_id for vm in reactor.cluster.vms.values()}


def tick(reactor, now_s=NOW_S):
    return reactor.tick(now_s)


def work(reactor, now_s=NOW_S):
    """Let all moves end well, and what follows on them."""
    for _ in range(50):
        for vm_id in busy(reactor):
            finish(reactor, reactor.cluster.vms[vm_id])
        tick(reactor, now_s)
        if not busy(reactor):
            return


def test_a_plan_says_what_could_be_moved_and_moves_nothing():
    reactor = uneven()
    before = picture(reactor.cluster)

    plan = ask(reactor, "balance.plan", goal="even")
    assert [(move.vm_id, move.vm, move.source, move.target) for move in plan.moves] == [
        (0, "bare", "h1", "h2"),
        (1, "bare", "h1", "h2"),
    ]
    assert (plan.before, plan.after, plan.version) == (0.5, 0.0, reactor.cluster.fleet.version())
    assert picture(reactor.cluster) == before


def test_an_applied_plan_is_carried_out_a_few_moves_at_a_time_and_tells_of_its_end():
    reactor = uneven(vms=6, hosts=3, max_at_once=1)
    plan = ask(reactor, "balance.plan")
    moves = [msgspec.to_builtins(each) for each in plan.moves]
    turn, run = ask_turn(reactor, "balance.apply", version=plan.version, moves=moves)

    assert (len(plan.moves), len(run.going), run.left) == (4, 1, 3)
    assert "balance.begun" in dict(told(turn))
    assert busy(reactor) == {0: 2}
    finish(reactor, reactor.cluster.vms[VmId(0)])
    tick(reactor)
    assert len(busy(reactor)) == 1
    work(reactor)
    assert sorted(homes(reactor).values()) == [1, 1, 2, 2, 3, 3]
    assert ask(reactor, "balance.show").goal == ""


def test_a_plan_that_saw_another_state_is_refused():
    reactor = uneven()
    plan = ask(reactor, "balance.plan")
    a_vm(reactor, VmState.RUNNING, host_id=2, template=BARE)
    moves = [msgspec.to_builtins(each) for each in plan.moves]

    error = refusal(lambda: ask(reactor, "balance.apply", version=plan.version, moves=moves))
    assert (error.code, "inn balance --plan" in str(error)) == ("stale", True)
    assert busy(reactor) == {}


def test_a_plan_is_made_and_begun_at_once_where_none_is_given():
    reactor = uneven(vms=2)

    assert ask(reactor, "balance.apply", goal="even").going[0].target == "h2"
    assert ask(reactor, "balance.plan", goal="even").moves == ()
    assert refusal(lambda: ask(reactor, "balance.apply", goal="consolidate")) is None
    work(reactor)
    assert sorted(homes(reactor).values()) == [1, 2]
    ask(reactor, "balance.apply", goal="consolidate")
    assert refusal(lambda: ask(reactor, "balance.apply", goal="even")) is None
    work(reactor)
    assert len(set(homes(reactor).values())) == 1


def test_only_one_plan_is_carried_out_at_a_time():
    reactor = uneven(vms=6, max_at_once=1)
    ask(reactor, "balance.apply", goal="even")

    assert refusal(lambda: ask(reactor, "balance.apply", goal="even")).code == "busy"


@pytest.mark.parametrize("params", [{"goal": "evn"}, {"max_moves": 0}, {"max_moves": 100_000}])
def test_nonsense_is_refused(params):
    reactor = uneven()

    assert refusal(lambda: ask(reactor, "balance.plan", **params)).code == "bad_request"


def test_moves_that_nobody_planned_so_are_refused():
    reactor = uneven()
    version = reactor.cluster.fleet.version()
    twice = [{"vm_id": 0, "source_id": 1, "target_id": 2}] * 2
    unknown = [{"vm_id": 99, "source_id": 1, "target_id": 2}]

    for moves in (twice, unknown):
        assert refusal(lambda moves=moves: ask(reactor, "balance.apply", version=version, moves=moves)).code == (
            "bad_request"
        )


def test_only_administrators_move_the_vms_of_others():
    reactor = uneven()

    for name in ("balance.plan", "balance.apply", "balance.show", "balance.stop"):
        assert refusal(lambda name=name: ask(reactor, name, user=ANN)).code == "forbidden"


def test_a_move_that_fails_ends_the_plan_with_the_reason():
    reactor = uneven(max_at_once=1)
    ask(reactor, "balance.apply", goal="even")
    (vm_id,) = busy(reactor)
    vm = reactor.cluster.vms[vm_id]
    while now(reactor, vm).operation_id:
        end_leg(
            reactor, vm, LegStatus.FAILED if operation_of(reactor, vm).status.value == "running" else LegStatus.DONE
        )
    turn = tick(reactor)

    (event,) = [each for each in turn.events if each.what == "balance.ended"]
    assert (event.detail["made"], event.detail["left"]) == (0, 2 - 1)
    assert event.detail["why"].startswith(f"VM {vm_id} was not moved: ")
    assert busy(reactor) == {}


def test_a_stopped_plan_begins_no_more_moves_and_ends_with_those_under_way():
    reactor = uneven(vms=6, max_at_once=1)
    ask(reactor, "balance.apply", goal="even")

    assert ask(reactor, "balance.stop").stopped == "root stopped it"
    work(reactor)
    assert sorted(homes(reactor).values()) == [1, 1, 1, 1, 1, 2]
    assert refusal(lambda: ask(reactor, "balance.stop")).code == "wrong_state"


def test_a_host_that_is_taken_out_meanwhile_ends_the_plan():
    reactor = uneven(vms=6, max_at_once=1)
    ask(reactor, "balance.apply", goal="even")
    (vm_id,) = busy(reactor)
    ask(reactor, "host.disable", host="h2")
    finish(reactor, reactor.cluster.vms[vm_id])
    turn = tick(reactor)

    (event,) = [each for each in turn.events if each.what == "balance.ended"]
    assert event.detail["why"].endswith("h2 cannot take it any more: the host is disabled")


def test_vms_that_are_locked_busy_rescheduled_at_rest_or_tied_to_devices_stay():
    reactor = uneven(vms=6)
    vms = reactor.cluster.vms
    put(reactor, _replace(vms[VmId(0)], lock=Lock(level="manage", owner="ann", at_s=NOW_S)))
    put(reactor, _replace(vms[VmId(1)], resched=True))
    put(reactor, _replace(vms[VmId(2)], state=VmState.POWEROFF))
    put(
        reactor,
        _replace(
            vms[VmId(3)],
            spec=_replace(vms[VmId(3)].spec, pci_addresses=("0000:01:00.0",), pci=(PciWish(vendor="10de"),)),
        ),
    )
    ask(reactor, "vm.poweroff", vm_id=4)

    assert [move.vm_id for move in ask(reactor, "balance.plan", goal="even").moves] == [5]


def test_hosts_that_are_drained_are_left_to_that():
    reactor = uneven()
    change(reactor, reactor.cluster.hosts[HostId(1)], state=HostState.DRAINING)

    assert ask(reactor, "balance.plan", goal="even").moves == ()


def test_vms_that_others_have_to_be_with_stay():
    reactor = uneven(vms=2)
    vms = reactor.cluster.vms
    put(reactor, _replace(vms[VmId(0)], wishes=Wishes(terms=(Term(relation=Relation.TOGETHER, vm_ids=(VmId(1),)),))))

    assert 1 not in [move.vm_id for move in ask(reactor, "balance.plan", goal="even").moves]


# --- unattended


def test_nothing_is_moved_unattended_unless_the_operator_says_so():
    reactor = uneven()
    for later_s in (0, 301, 10_000):
        tick(reactor, NOW_S + later_s)

    assert busy(reactor) == {}


def test_vms_are_moved_unattended_once_in_a_while_and_hosts_no_more_often_than_is_allowed():
    reactor = uneven(vms=4, goal="even", every_s=100, max_per_host_and_hour=1, cool_down_s=0)
    tick(reactor, NOW_S)
    assert busy(reactor) == {}
    tick(reactor, NOW_S + 100)
    assert len(busy(reactor)) == 1
    work(reactor, NOW_S + 101)
    assert sorted(homes(reactor).values()) == [1, 1, 1, 2]
    for later_s in range(200, 3_600, 100):
        tick(reactor, NOW_S + later_s)
        assert busy(reactor) == {}
    tick(reactor, NOW_S + 3_900)
    assert len(busy(reactor)) == 1


def test_what_was_moved_counts_after_a_restart_too():
    reactor = uneven(vms=4, goal="even", every_s=100, max_per_host_and_hour=1)
    tick(reactor, NOW_S)
    tick(reactor, NOW_S + 100)
    work(reactor, NOW_S + 101)

    stays = reactor.cluster.history_of
    assert any(len(each) > 1 for each in stays.values())
    assert recent_moves(reactor.cluster, NOW_S - 1) == {1: 1, 2: 1}
    assert recent_moves(reactor.cluster, NOW_S + 10_000) == {}


def test_a_vm_that_was_moved_stays_for_a_while():
    reactor = uneven(vms=2, goal="even", every_s=100, max_per_host_and_hour=0, cool_down_s=1_000)
    tick(reactor, NOW_S)
    tick(reactor, NOW_S + 100)
    (vm_id,) = busy(reactor)
    work(reactor, NOW_S + 101)
    other = next(vm for vm in reactor.cluster.vms.values() if vm.vm_id != vm_id)
    put(reactor, _replace(other, host_id=HostId(2)))

    tick(reactor, NOW_S + 200)
    assert list(busy(reactor)) == [other.vm_id]


def test_a_plan_that_gains_too_little_is_not_begun():
    reactor = uneven(vms=2, goal="even", every_s=100, minimum_gain=0.9)
    tick(reactor, NOW_S)
    tick(reactor, NOW_S + 100)

    assert busy(reactor) == {}


@pytest.mark.parametrize("number", range(4))
def test_limits_hold_over_hours_whatever_comes_and_goes(number):
    random = Random(number)
    reactor = uneven(
        vms=6,
        hosts=4,
        goal=random.choice(("even", "consolidate")),
        every_s=60,
        max_per_host_and_hour=2,
        max_at_once=2,
        cool_down_s=900,
        minimum_gain=0.0,
    )
    begun = []
    for now_s in range(int(NOW_S), int(NOW_S) + 3 * 3_600, 30):
        before = busy(reactor)
        tick(reactor, now_s)
        for vm_id in busy(reactor).keys() - before.keys():
            vm = reactor.cluster.vms[vm_id]
            begun.append((now_s, vm_id, {vm.host_id, vm.destination_id}))
        assert len(busy(reactor)) <= 2
        for vm_id in list(busy(reactor)):
            if random.random() < 0.7:
                operation = operation_of(reactor, reactor.cluster.vms[vm_id])
                say(reactor, operation.plan.legs[operation.leg].host_id, leg_ended(operation), now_s=now_s)
        shake(reactor, random)

    assert begun
    for now_s, vm_id, hosts in begun:
        within = [each for each in begun if now_s <= each[0] < now_s + 3_600]
        assert all(sum(host_id in each[2] for each in within) <= 2 for host_id in hosts)
        assert [each[1] for each in begun if now_s <= each[0] < now_s + 900].count(vm_id) == 1


def shake(reactor, random):
    """Let a VM come now and then."""
    if random.random() < 0.1 and len(reactor.cluster.vms) < 14:
        a_vm(reactor, VmState.RUNNING, host_id=random.randint(1, 4), template=BARE)


# --- room for one more


def test_it_is_said_who_would_have_to_move_for_a_vm_that_waits():
    reactor = a_reactor(a_host(1), a_host(2))
    for host_id, cores in ((1, 4), (1, 1), (2, 6)):
        a_vm(reactor, VmState.RUNNING, host_id=host_id, template=BARE.replace("CPU = 1", f"CPU = {cores}"))
    wanted = a_vm(reactor, VmState.PENDING, template=BARE.replace("CPU = 1", "CPU = 4"))
    before = picture(reactor.cluster)

    assert rebalancing.room_for(turn_of(reactor), wanted) == Room(
        host_id=HostId(1), moves=(Move(vm_id=VmId(1), source_id=HostId(1), target_id=HostId(2)),)
    )
    assert picture(reactor.cluster) == before
