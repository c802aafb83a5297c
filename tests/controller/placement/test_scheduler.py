"""Waiting VMs and free hosts meet at once, one bad VM keeps nobody out, and every state is explained in plain words."""

import msgspec
import pytest
from tests.controller.builders import (
    ANN,
    BARE,
    BOB,
    NOW_S,
    a_host,
    a_network,
    a_reactor,
    a_vm,
    an_image,
    ask,
    change,
    digest,
    drivers,
    end_leg,
    finish,
    now,
    outcome_of,
    put,
    say,
    sent,
    submit,
    told,
)

from innkeeper_controller import verify
from innkeeper_controller.indexes.loads import OVERLAY_MIB
from innkeeper_controller.placement import departures, scheduler
from innkeeper_controller.placement.fitting import demand_of
from innkeeper_controller.placement.scheduler import BATCH
from innkeeper_controller.records import Datastore, HostState
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.scores import POLICIES
from innkeeper_hostagent.protocol.messages import (
    Advertise,
    CarryOut,
    Hello,
    ImagesChanged,
    LegStatus,
)
from innkeeper_plugins.vocabulary import DatastoreFacts, HostId, VmState

replace = msgspec.structs.replace
HELLO = Hello(major=1, minor=0, agent_version="1", host_name="h")
BOOM = outcome_of("no_space")


def waiting(reactor, template=BARE, **params):
    return submit(reactor, template, hold=False, **params)


def placed(reactor, *vms):
    """Let the scheduler run and return the host of each VM."""
    reactor.schedule(NOW_S)
    return [reactor.cluster.vms[vm.vm_id].host_id for vm in vms]


# --- meeting at once


def test_a_vm_that_waits_meets_a_free_host_in_the_turn_after_it_came():
    reactor = a_reactor(a_host(1))
    vm = waiting(reactor)
    turn = reactor.schedule(NOW_S)

    assert now(reactor, vm).host_id == 1
    assert [(host_id, type(message)) for host_id, message in sent(turn)] == [(1, CarryOut)]
    assert [(event.what, event.actor) for event in turn.events] == [
        ("operation.started", "scheduler"),
        ("vm.state", "scheduler"),
    ]


def test_nothing_is_done_twice():
    reactor = a_reactor(a_host(1))
    waiting(reactor)
    reactor.schedule(NOW_S)
    again = reactor.schedule(NOW_S)

    assert (again.changes, again.events, again.sends) == ([], [], [])


def better(reactor, what):
    host = reactor.cluster.hosts[HostId(1)]
    match what:
        case "a host comes":
            put(reactor, a_host(2))
        case "a host comes back":
            reactor.connected(HostId(1), HELLO, NOW_S)
        case "a host is enabled":
            ask(reactor, "host.enable", host="h1")
        case "a host becomes larger":
            say(reactor, 1, Advertise(advertisement=a_host(1).advertisement))
        case "a VM ends":
            ask(reactor, "vm.terminate", vm_id=0, hard=True)
            finish(reactor, reactor.cluster.vms[0])
        case "an image comes":
            say(reactor, 1, ImagesChanged(added=(digest("e"),)))
    return host


@pytest.mark.parametrize(
    ("what", "host", "template"),
    [
        ("a host comes", a_host(1, connected=False), BARE),
        ("a host comes back", a_host(1, connected=False), BARE),
        ("a host is enabled", a_host(1, state=HostState.DISABLED), BARE),
        ("a host becomes larger", a_host(1, memory_mib=600), BARE),
        ("a VM ends", a_host(1, memory_mib=600), BARE),
        ("an image comes", a_host(1), "NAME = web\nMEMORY = 512\nDISK = [ IMAGE = tiny ]\n"),
    ],
)
def test_a_vm_that_found_no_host_starts_as_soon_as_something_becomes_better(what, host, template):
    reactor = a_reactor(host, an_image())
    if host.advertisement.capacity.memory_mib == 600:
        a_vm(reactor, template=BARE)
    vm = waiting(reactor, template)
    first = placed(reactor, vm)
    better(reactor, what)

    assert (first, placed(reactor, vm)[0] is not None) == ([None], True)


def test_a_vm_that_fits_nowhere_is_not_looked_at_again_until_something_becomes_better():
    reactor = a_reactor(a_host(1, cpu_cores=0.5), a_host(2, connected=False))
    waiting(reactor)
    looked_at = [dict(reactor.cluster.unconsidered)]
    reactor.schedule(NOW_S)
    for _ in range(2):
        submit(reactor, BARE)
        reactor.lost(HostId(1), NOW_S)
        ask(reactor, "host.token", host="h2")
        reactor.schedule(NOW_S)
        looked_at.append(dict(reactor.cluster.unconsidered))

    assert looked_at == [{0: None}, {}, {}]
    assert not reactor.cluster.freed


def test_vms_are_placed_in_the_order_in_which_they_came():
    reactor = a_reactor(a_host(1, memory_mib=512))
    vms = [waiting(reactor) for _ in range(3)]

    assert placed(reactor, *vms) == [1, None, None]


# --- one bad VM


def test_a_vm_that_fits_nowhere_keeps_nobody_out():
    reactor = a_reactor(a_host(1))
    huge, small = waiting(reactor, "NAME = huge\nMEMORY = 999999\n"), waiting(reactor)

    assert placed(reactor, huge, small) == [None, 1]


def test_a_vm_whose_image_is_out_of_reach_keeps_nobody_out():
    """It fits the only host and would fill it; then no plan can be made for it."""
    reactor = a_reactor(a_host(1, memory_mib=512), an_image(), a_network())
    bad = waiting(reactor, "NAME = bad\nMEMORY = 512\nDISK = [ IMAGE = tiny ]\n")
    good = waiting(reactor)

    assert placed(reactor, bad, good) == [None, 1]


def test_a_vm_whose_files_are_out_of_reach_keeps_nobody_out():
    reactor = a_reactor(a_host(1, connected=False), a_host(2, memory_mib=512))
    bad = a_vm(reactor, VmState.STOPPED, template=BARE)
    ask(reactor, "vm.resume", vm_id=bad.vm_id)
    good = waiting(reactor)

    assert placed(reactor, bad, good) == [None, 2]


def test_a_vm_whose_plan_cannot_be_made_for_the_best_host_gets_another():
    """The image is on a host that serves nobody: only there can it be used."""
    mute = a_host(2, images=[digest("e")], state=HostState.ON)
    mute = replace(mute, advertisement=replace(mute.advertisement, holder=None))
    reactor = a_reactor(a_host(1, cpu_cores=2.0), mute, an_image(), policy="balanced")
    vm = waiting(reactor, "NAME = web\nCPU = 2\nMEMORY = 512\nDISK = [ IMAGE = tiny ]\n")

    assert Placer(reactor.cluster.fleet, POLICIES["balanced"]).choose(demand_of(reactor.cluster, vm)).host_id == 1
    assert placed(reactor, vm) == [2]


def test_a_vm_for_which_no_plan_can_be_made_anywhere_keeps_nobody_out_and_is_left_in_peace():
    mute = a_host(2, images=[digest("e")], state=HostState.DISABLED)
    mute = replace(mute, advertisement=replace(mute.advertisement, holder=None))
    reactor = a_reactor(a_host(1, memory_mib=512), mute, an_image())
    bad = waiting(reactor, "NAME = bad\nMEMORY = 512\nDISK = [ IMAGE = tiny ]\n")
    good = waiting(reactor)

    assert placed(reactor, bad, good) == [None, 1]
    assert reactor.cluster.unconsidered == {}


def test_however_many_fit_nowhere_those_behind_them_are_placed_as_soon_as_all_were_looked_at():
    reactor = a_reactor(a_host(1))
    waiting(reactor, "NAME = huge\nMEMORY = 999999\n", count=BATCH + 1)
    vm = waiting(reactor)

    assert [placed(reactor, vm), placed(reactor, vm)] == [[None], [1]]


def test_a_vm_in_hold_is_left_alone():
    reactor = a_reactor(a_host(1))
    vm = submit(reactor, BARE)

    assert placed(reactor, vm) == [None]
    ask(reactor, "vm.release", vm_id=vm.vm_id)
    assert placed(reactor, vm) == [1]


def test_a_vm_that_is_held_while_it_waits_is_left_alone():
    reactor = a_reactor(a_host(1))
    vm = waiting(reactor)
    ask(reactor, "vm.hold", vm_id=vm.vm_id)

    assert placed(reactor, vm) == [None]


def test_without_a_scheduler_vms_wait_for_people():
    reactor = a_reactor(a_host(1), scheduler="none")
    vm = waiting(reactor)
    turn = reactor.schedule(NOW_S)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1")

    assert (turn.changes, now(reactor, vm).host_id) == ([], 1)


def test_a_first_deployment_that_failed_is_not_tried_for_ever():
    reactor = a_reactor(a_host(1))
    vm = waiting(reactor)
    reactor.schedule(NOW_S)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: BOOM})
    turn = reactor.schedule(NOW_S)

    assert (now(reactor, vm).state, turn.changes) == (VmState.FAILED, [])


@pytest.mark.parametrize(("policy", "expected"), [("packing", [1, 1, 1]), ("striping", [1, 2, 1])])
def test_the_policy_decides_where_vms_gather(policy, expected):
    reactor = a_reactor(a_host(1), a_host(2), policy=policy)
    vms = [waiting(reactor) for _ in range(3)]

    assert placed(reactor, *vms) == expected


# --- what a VM asks of a host


def test_a_host_needs_the_datastore_that_an_image_is_fetched_into():
    reactor = a_reactor(
        a_host(1), a_host(2, datastores=("default", "images")), Datastore(name="images"), an_image(datastore="images")
    )
    change(reactor, reactor.cluster.hosts[HostId(2)], advertisement=with_images(reactor, 2, digest("e")))
    vm = waiting(reactor, "NAME = web\nMEMORY = 512\nDISK = [ IMAGE = tiny, DATASTORE = default ]\n")

    assert demand_of(reactor.cluster, vm).datastores == {"default": OVERLAY_MIB, "images": 0}
    assert placed(reactor, vm) == [2]


def with_images(reactor, host_id, *images):
    return replace(reactor.cluster.hosts[HostId(host_id)].advertisement, images=images)


def test_room_is_asked_for_what_a_disk_really_takes():
    reactor = a_reactor(a_host(1), Datastore(name="copies", driver="copy"), an_image())
    vm = submit(
        reactor,
        "NAME = web\nMEMORY = 1\nDISK = [ IMAGE = tiny ]\nDISK = [ IMAGE = tiny, SIZE = 300, DATASTORE = copies ]\n"
        "DISK = [ TYPE = fs, SIZE = 40 ]\nDISK = [ TYPE = swap, SIZE = 2 ]\n",
    )

    assert demand_of(reactor.cluster, vm).datastores == {"default": OVERLAY_MIB + 40 + 2, "copies": 300}
    assert demand_of(reactor.cluster, vm).transfer_drivers == {"qcow2", "copy"}


def test_a_vm_without_disks_asks_for_a_directory_only():
    reactor = a_reactor(a_host(1))
    demand = demand_of(reactor.cluster, submit(reactor, BARE))

    assert (demand.datastores, demand.images, demand.bridges) == ({"default": 0}, {}, frozenset())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, ""),
        ({"connected": False}, "lost"),
        ({"state": HostState.DISABLED}, "disabled"),
        ({"state": HostState.DRAINING}, "draining"),
        ({"state": HostState.JOINING, "connected": False}, "joining"),
    ],
)
def test_a_host_is_usable_only_while_it_is_there_and_on(values, reason):
    reactor = a_reactor(a_host(1, **values))
    view = reactor.cluster.fleet.views[reactor.cluster.fleet.row_of[HostId(1)]]

    assert (view.usable, view.unusable_reason) == (not reason, reason)


# --- drain


def draining(*states, hosts=None, **settings):
    reactor = a_reactor(*(hosts or (a_host(1), a_host(2))), **settings)
    vms = [a_vm(reactor, state, template=BARE) for state in states]
    ask(reactor, "host.drain", host="h1")
    return reactor, vms


def kinds(reactor, vms):
    return [
        reactor.cluster.operations[vm.operation_id].kind if (vm := now(reactor, each)).operation_id else None
        for each in vms
    ]


def test_a_draining_host_is_emptied_live_where_vms_run():
    reactor, vms = draining(
        VmState.RUNNING, VmState.SUSPENDED, VmState.POWEROFF, VmState.FAILED, VmState.STOPPED, VmState.UNKNOWN
    )
    reactor.tick(NOW_S)

    assert kinds(reactor, vms) == ["migrate_live", "migrate", "migrate", None, None, None]
    assert {now(reactor, vm).destination_id for vm in vms} == {2, None}
    for vm in vms:
        finish(reactor, vm)
    assert [now(reactor, vm).host_id for vm in vms] == [2, 2, 2, 1, None, 1]
    assert verify.findings(reactor.cluster) == ()


def test_guests_that_cannot_move_live_are_saved_and_carried():
    still = drivers()
    still = (still[0], replace(still[1], capabilities=("save",)))
    reactor, vms = draining(VmState.RUNNING, hosts=(a_host(1, has=still), a_host(2, has=still)))
    reactor.tick(NOW_S)

    assert kinds(reactor, vms) == ["migrate"]


def test_a_draining_host_whose_vms_nobody_can_take_keeps_them():
    reactor, vms = draining(VmState.RUNNING, hosts=(a_host(1), a_host(2, memory_mib=100)))
    turn = reactor.tick(NOW_S)

    assert (turn.changes, turn.events, kinds(reactor, vms)) == ([], [], [None])


def test_no_more_is_moved_than_the_other_hosts_can_take():
    reactor, vms = draining(VmState.RUNNING, VmState.RUNNING, hosts=(a_host(1), a_host(2, memory_mib=600)))
    reactor.tick(NOW_S)

    assert kinds(reactor, vms) == ["migrate_live", None]
    assert verify.findings(reactor.cluster) == ()


@pytest.mark.parametrize("status", [LegStatus.UNDONE, LegStatus.CANCELLED])
def test_a_vm_that_could_not_be_moved_is_tried_again_later_and_otherwise(status):
    reactor, vms = draining(VmState.RUNNING)
    reactor.tick(NOW_S)
    end_leg(reactor, vms[0], status, outcomes={0: BOOM})
    found = []
    for later_s in (0, departures.DRAIN_RETRY_S - 1, departures.DRAIN_RETRY_S):
        reactor.tick(NOW_S + later_s)
        found += kinds(reactor, vms)

    assert found == [None, None, "migrate"]


def test_a_host_that_is_away_is_not_drained():
    reactor, vms = draining(VmState.RUNNING)
    reactor.lost(HostId(1), NOW_S)
    reactor.tick(NOW_S)

    assert kinds(reactor, vms) == [None]


def test_a_drained_host_gets_no_vms():
    reactor, _ = draining(hosts=(a_host(1),))
    vm = waiting(reactor)

    assert placed(reactor, vm) == [None]


def test_a_host_that_only_fills_up_says_nothing_new_to_those_who_wait():
    reactor = a_reactor(a_host(1))
    told_now = replace(
        reactor.cluster.hosts[HostId(1)].advertisement,
        datastores=(DatastoreFacts(name="default", total_mib=100_000, free_mib=7),),
    )
    vm = waiting(reactor, "NAME = web\nMEMORY = 1\nDISK = [ TYPE = fs, SIZE = 100 ]\n")
    turn = say(reactor, 1, Advertise(advertisement=told_now))

    assert told(turn) == []
    assert placed(reactor, vm) == [None]


# --- what is told of those who wait


def test_what_is_told_of_one_that_waits_is_asked_anew_in_time_though_nothing_else_happens():
    full = a_host(1, cpu_cores=0.5)
    reactor = a_reactor(a_host(1, connected=False))
    vm = waiting(reactor)
    reactor.schedule(NOW_S)
    first = reactor.cluster.waits[vm.vm_id]
    put(reactor, full)
    reactor.schedule(NOW_S + 1)
    soon = reactor.cluster.waits[vm.vm_id]
    reactor.tick(NOW_S + 59)
    reactor.schedule(NOW_S + 59)
    still = reactor.cluster.waits[vm.vm_id]
    reactor.tick(NOW_S + 61)
    reactor.schedule(NOW_S + 61)

    assert (
        first
        == soon
        == still
        == "The only host cannot take it: host state keeps it out; h1 comes closest: the host is lost."
    )
    assert (
        reactor.cluster.waits[vm.vm_id]
        == "The only host cannot take it: cpu keeps it out; h1 comes closest, it lacks 0.5 cores."
    )


def test_what_is_told_of_a_gang_stays_as_long_as_it_is_and_is_asked_anew_in_time():
    reactor = a_reactor(a_host(1))
    vms = [waiting(reactor, BARE.replace("= 1\n", "= 1000\n") + "GANG = [ NAME = mpi, SIZE = 2 ]\n") for _ in range(2)]
    found = []
    for later_s in (0, 10, 20, 70, 80):
        reactor.cluster.freed = True
        reactor.tick(NOW_S + later_s)
        reactor.schedule(NOW_S + later_s)
        found.append({reactor.cluster.waits[vm.vm_id] for vm in vms})

    assert all(each == found[0] for each in found), found


def test_vms_alike_that_fit_nowhere_are_explained_once_and_others_anew(monkeypatch):
    reactor = a_reactor(a_host(1))
    asked = []
    why_waits = scheduler.why_waits
    monkeypatch.setattr(scheduler, "why_waits", lambda *args: asked.append(args[1].vm_id) or why_waits(*args))
    for cores in (100, 100, 50):
        submit(reactor, f"CPU = {cores}\nMEMORY = 64\n", hold=False)
    reactor.schedule(NOW_S)

    assert asked == [0, 2]
    told = [reactor.cluster.waits[vm_id] for vm_id in range(3)]
    assert ["lacks 92 cores" in words for words in told] == [True, True, False]
    assert "lacks 42 cores" in told[2]


def test_a_gang_that_never_fits_holds_up_nobody_behind_it():
    reactor = a_reactor(a_host(1))
    large = f"{BARE}GANG = [ NAME = mpi, SIZE = {BATCH} ]\n"
    gang = ask(reactor, "vm.submit", user=ANN, template=large, count=BATCH).vm_ids
    other = submit(reactor, BARE, user=BOB, hold=False)
    for number in range(3):
        reactor.schedule(NOW_S + number)

    assert now(reactor, other).state is VmState.BOOT
    assert (reactor.cluster.freed, reactor.cluster.unconsidered) == (False, {})
    assert set(gang) == set(reactor.cluster.waits)
