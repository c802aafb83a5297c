"""Hosts that say nonsense get no VMs, tell the operator once, and break nothing."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.controller.builders import BARE, NOW_S, a_host, a_reactor, a_vm, say, submit

from innkeeper_controller import agents, sanity
from innkeeper_controller.indexes import hopes
from innkeeper_hostagent.protocol.messages import Advertise, Heartbeat, Observed
from innkeeper_plugins.vocabulary import (
    Advertisement,
    Capacity,
    DatastoreFacts,
    HostId,
    NumaNode,
    Observation,
    PciDevice,
    PowerState,
    VmState,
)

replace = msgspec.structs.replace
TOLD = a_host().advertisement
NAN, INF = math.nan, math.inf


def with_capacity(cpu_cores=8.0, memory_mib=16384):
    return replace(TOLD, capacity=Capacity(cpu_cores=cpu_cores, memory_mib=memory_mib))


def place(name="default", total_mib=9, free_mib=1):
    return DatastoreFacts(name=name, total_mib=total_mib, free_mib=free_mib)


def events(turn):
    return [(event.what, event.detail.get("why")) for event in turn.events]


def test_what_makes_sense_is_taken_as_it_is():
    assert sanity.sane(TOLD) == (TOLD, {})
    assert sanity.sane(TOLD)[0] is TOLD


@pytest.mark.parametrize(
    ("told", "kept", "nonsense"),
    [
        (with_capacity(-4.0), with_capacity(0.0), {"cores": "that it has -4 cores"}),
        (with_capacity(NAN), with_capacity(0.0), {"cores": "that it has nan cores"}),
        (with_capacity(INF), with_capacity(0.0), {"cores": "that it has inf cores"}),
        (with_capacity(1e30), with_capacity(0.0), {"cores": "that it has 1e+30 cores"}),
        (with_capacity(memory_mib=-1), with_capacity(memory_mib=0), {"memory": "that it has -1 MiB of memory"}),
        (
            with_capacity(memory_mib=2**60),
            with_capacity(memory_mib=0),
            {"memory": "that it has 1152921504606846976 MiB of memory"},
        ),
        (
            replace(TOLD, datastores=(place(free_mib=-1), place("fast"))),
            replace(TOLD, datastores=(place("fast"),)),
            {"datastore default": "that datastore default has -1 MiB free of 9 MiB"},
        ),
        (
            replace(TOLD, datastores=(place(free_mib=3), place("fast"), place(free_mib=8))),
            replace(TOLD, datastores=(place(free_mib=3), place("fast"))),
            {},
        ),
        (
            replace(TOLD, facts={"LOAD": NAN, "ARCH": "x", "HEAT": INF}),
            replace(TOLD, facts={"ARCH": "x"}),
            {"fact LOAD": "that LOAD is nan", "fact HEAT": "that HEAT is inf"},
        ),
        (
            replace(TOLD, numa=(NumaNode(node_id=0, cores=((0,),), memory_mib=-1),)),
            TOLD,
            {"nodes": "that it has NUMA nodes which cannot be"},
        ),
    ],
)
def test_nonsense_becomes_nothing_and_is_told(told, kept, nonsense):
    assert sanity.sane(told) == (kept, nonsense)


def node(node_id=0, cores=((0, 4), (1, 5)), **values):
    return NumaNode(node_id=node_id, cores=cores, memory_mib=1024, **values)


@pytest.mark.parametrize(
    "nodes",
    [
        (node(), node(1)),
        (node(), node(0, ((2,),))),
        (node(-1),),
        (node(cores=((-1,),)),),
        (node(hugepages={2048: -1}),),
        (node(hugepages={0: 1}),),
    ],
)
def test_nodes_that_share_processors_or_have_less_than_nothing_are_none(nodes):
    assert sanity.sane(replace(TOLD, numa=nodes)) == (TOLD, {"nodes": "that it has NUMA nodes which cannot be"})


def test_a_device_is_there_once():
    first, second = (
        PciDevice(address=address, vendor="10de", device="1", device_class="0300") for address in ("a", "b")
    )
    twice = replace(TOLD, pci=(first, second, replace(first, vendor="8086")), numa=(node(),))

    assert sanity.sane(twice) == (replace(twice, pci=(first, second)), {})


NUMBERS = st.floats() | st.integers(-(2**63), 2**64 - 1)
WHOLE = st.integers(-(2**63), 2**64 - 1)


@given(
    cores=st.floats(),
    memory=WHOLE,
    places=st.lists(st.tuples(st.sampled_from("ab"), WHOLE, WHOLE), max_size=4),
    facts=st.dictionaries(st.sampled_from("AB"), NUMBERS | st.just("x86_64")),
)
def test_whatever_a_host_says_is_sane_once_and_for_all_and_can_be_stored(cores, memory, places, facts):
    told = replace(
        with_capacity(cores, memory),
        datastores=tuple(place(name, total, free) for name, total, free in places),
        facts=facts,
    )
    kept, _ = sanity.sane(told)

    assert sanity.sane(kept) == (kept, {})
    assert msgspec.json.decode(msgspec.json.encode(kept), type=Advertisement) == kept
    assert not hopes.is_better(kept, kept)


def test_the_operator_is_told_once_and_the_host_gets_no_vm():
    reactor = a_reactor(a_host())
    vm = submit(reactor, BARE, hold=False)
    turns = [
        say(reactor, 1, Advertise(advertisement=with_capacity(-4.0 - second)), now_s=NOW_S + second)
        for second in range(4)
    ]
    reactor.schedule(NOW_S + 4)

    assert [events(turn) for turn in turns] == [
        [("host.nonsense", "Host h1 says that it has -4 cores; it gets no VMs until it says something sensible.")],
        [],
        [],
        [],
    ]
    assert reactor.cluster.nonsense == {1: ("that it has -7 cores",)}
    assert reactor.cluster.vms[vm.vm_id].state is VmState.PENDING


def test_a_host_that_comes_to_its_senses_gets_vms_again():
    reactor = a_reactor(a_host())
    vm = submit(reactor, BARE, hold=False)
    say(reactor, 1, Advertise(advertisement=with_capacity(NAN)))
    reactor.schedule(NOW_S)
    say(reactor, 1, Advertise(advertisement=TOLD))
    reactor.schedule(NOW_S)

    assert (reactor.cluster.nonsense, reactor.cluster.vms[vm.vm_id].host_id) == ({}, 1)


def test_nonsense_of_another_kind_is_told_too_and_the_same_again_after_an_hour():
    reactor = a_reactor(a_host())
    one, two = Advertise(advertisement=with_capacity(NAN)), Advertise(advertisement=with_capacity(memory_mib=-1))
    told = [
        events(say(reactor, 1, message, now_s=NOW_S + after_s))
        for message, after_s in ((one, 0), (two, 1), (one, 2), (two, 3), (one, agents.TOLD_AGAIN_S))
    ]

    assert [len(each) for each in told] == [1, 1, 0, 0, 1]


def test_much_nonsense_fits_one_sentence():
    nonsense = {f"fact F{number}": f"that F{number} is nan" for number in range(5)}

    assert sanity.sentence("h1", nonsense) == (
        "Host h1 says that F0 is nan and that F1 is nan and that F2 is nan (and 2 more like it); "
        "that is left out until it says something sensible."
    )


def test_a_load_that_cannot_be_is_no_load():
    reactor = a_reactor(a_host())
    say(reactor, 1, Heartbeat(cpu_used_cores=NAN, memory_used_mib=-1, datastores=(place(free_mib=-1), place("b"))))

    assert reactor.cluster.load[HostId(1)] == Heartbeat(cpu_used_cores=0.0, memory_used_mib=0, datastores=(place("b"),))


def test_a_guest_that_used_what_cannot_be_used_nothing():
    reactor = a_reactor(a_host())
    vm = a_vm(reactor, template=BARE)
    seen = Observation(vm_id=vm.vm_id, generation=1, power=PowerState.RUNNING, cpu_time_s=NAN, memory_mib=-5)
    say(reactor, 1, Observed(guests=(seen,), complete=False))

    assert reactor.cluster.observed[vm.vm_id] == replace(seen, cpu_time_s=0.0, memory_mib=0)


@pytest.mark.parametrize("cores", [NAN, INF, -1.0, 1e30])
def test_what_is_stored_of_a_host_can_be_read_again(cores):
    reactor = a_reactor(a_host())
    facts = {"LOAD": NAN}
    say(reactor, 1, Advertise(advertisement=replace(with_capacity(cores), facts=facts)))
    stored = reactor.cluster.hosts[HostId(1)].advertisement

    assert msgspec.json.decode(msgspec.json.encode(stored), type=Advertisement) == stored
