"""What waits is looked at again when a host became better, and not for each word that a host says."""

import msgspec
import pytest
from tests.controller.builders import (
    BARE,
    NOW_S,
    a_host,
    a_reactor,
    ask,
    change,
    digest,
    drivers,
    say,
    submit,
)

from innkeeper_controller.cluster import HOPE_INTERVAL_S
from innkeeper_controller.indexes import hopes
from innkeeper_controller.inventory import Allowance
from innkeeper_controller.records import Failures
from innkeeper_hostagent.protocol.messages import Advertise
from innkeeper_plugins.vocabulary import Capacity, DatastoreFacts, HostId, VmState

replace = msgspec.structs.replace
TOLD = a_host(images=[digest("e")]).advertisement
BIG = "NAME = big\nCPU = 9\nMEMORY = 512\n"


def with_cores(cores):
    return Advertise(advertisement=replace(TOLD, capacity=Capacity(cpu_cores=cores, memory_mib=16384)))


def looks(reactor, now_s):
    """Let time pass and the scheduler run; return whether it looked at all that wait."""
    reactor.tick(now_s)
    before = reactor.cluster.freed or bool(reactor.cluster.bettered)
    reactor.schedule(now_s)
    return before and not reactor.cluster.freed and not reactor.cluster.bettered


@pytest.mark.parametrize(
    "values",
    [
        {"capacity": Capacity(cpu_cores=9, memory_mib=1)},
        {"capacity": Capacity(cpu_cores=1, memory_mib=16385)},
        {"drivers": drivers(abilities=("shared",))},
        {"bridges": ("br0",)},
        {"facts": {"ARCH": "arm64"}},
        {"holder": None},
        {"images": (digest("e"), digest("f"))},
        {"datastores": (DatastoreFacts(name="default", total_mib=100_000, free_mib=50_001),)},
        {"datastores": ()},
    ],
)
def test_more_room_and_whatever_has_a_name_gives_hope(values):
    assert hopes.is_better(TOLD, replace(TOLD, **values))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"capacity": Capacity(cpu_cores=7, memory_mib=16000)},
        {"images": ()},
        {"datastores": (DatastoreFacts(name="default", total_mib=100_000, free_mib=49_999),)},
    ],
)
def test_what_only_became_less_gives_none(values):
    assert not hopes.is_better(TOLD, replace(TOLD, **values))


def test_what_waits_goes_where_a_host_grew_at_once():
    reactor = a_reactor(a_host())
    vm = submit(reactor, BIG, hold=False)
    reactor.schedule(NOW_S)
    say(reactor, 1, with_cores(16))
    reactor.schedule(NOW_S)

    assert reactor.cluster.vms[vm.vm_id].host_id == 1


def test_a_host_that_changes_its_mind_each_second_wakes_those_who_wait_now_and_then():
    reactor = a_reactor(a_host())
    submit(reactor, BIG, hold=False)
    reactor.schedule(NOW_S)
    looked = []
    for second in range(12):
        say(reactor, 1, with_cores(8 - second % 2), now_s=NOW_S + second)
        looked.append(looks(reactor, NOW_S + second))

    assert sum(looked) <= 12 / HOPE_INTERVAL_S
    assert any(looked)


def test_a_hope_that_came_too_early_is_not_lost():
    reactor = a_reactor(a_host())
    vm = submit(reactor, BIG, hold=False)
    say(reactor, 1, with_cores(8.5))
    reactor.schedule(NOW_S)
    say(reactor, 1, with_cores(16), now_s=NOW_S + 1)
    reactor.schedule(NOW_S + 1)
    early = reactor.cluster.vms[vm.vm_id].state
    reactor.tick(NOW_S + HOPE_INTERVAL_S)
    reactor.schedule(NOW_S + HOPE_INTERVAL_S)

    assert (early, reactor.cluster.vms[vm.vm_id].host_id) == (VmState.PENDING, 1)


@pytest.mark.parametrize(
    ("values", "hope"),
    [
        ({"allowances": {"cpu": Allowance(allocation_ratio=2.0)}}, True),
        ({"failures": None}, True),
        ({"failures": Failures(count=1, at_s=1.0, banned_until_s=0.0)}, True),
        ({"failures": Failures(count=2, at_s=2.0, banned_until_s=NOW_S + 9)}, False),
        ({"join_token_sha256": "x"}, False),
    ],
)
def test_what_people_allow_and_the_end_of_a_ban_give_hope_at_once(values, hope):
    reactor = a_reactor(a_host())
    failures = Failures(count=1, at_s=1.0, banned_until_s=NOW_S + 1)
    host = change(reactor, reactor.cluster.hosts[HostId(1)], failures=failures)
    reactor.cluster.freed = False
    change(reactor, host, **values)

    assert reactor.cluster.freed is hope


def test_what_is_allowed_of_a_cluster_is_a_hope_of_all_its_hosts():
    reactor = a_reactor(a_host(1), a_host(2))
    ask(reactor, "vm.submit", template=BARE)
    reactor.schedule(NOW_S)
    change(reactor, reactor.cluster.clusters[0], allowances={"cpu": Allowance(allocation_ratio=2.0)})

    assert reactor.cluster.freed


def test_a_host_that_is_away_gives_none():
    reactor = a_reactor(a_host(connected=False))
    reactor.cluster.freed = False
    say(reactor, 1, with_cores(16))

    assert (reactor.cluster.freed, reactor.cluster.bettered) == (False, {})
