"""Nodes, processors and pages: nothing is held twice, and what is refused really does not fit."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innkeeper_controller.scheduling.nodes import holdings, numa
from innkeeper_controller.scheduling.nodes.shortage import Shortage
from innkeeper_plugins.vocabulary import NumaCell, NumaNode, NumaWish, PinPolicy, Vm, VmId

CORE, THREAD, SHARED, NONE = PinPolicy.CORE, PinPolicy.THREAD, PinPolicy.SHARED, PinPolicy.NONE
#: Two nodes of two cores of two threads.
SMALL = (
    NumaNode(node_id=0, cores=((0, 4), (1, 5)), memory_mib=1024, hugepages={2048: 100}),
    NumaNode(node_id=1, cores=((2, 6), (3, 7)), memory_mib=2048),
)


def wish(policy=THREAD, nodes=1, hugepage_mib=0):
    return NumaWish(pin_policy=policy, nodes=nodes, hugepage_mib=hugepage_mib)


def make_vm(asked, cells, vcpus=1, memory_mib=1):
    return Vm(
        vm_id=VmId(1),
        name="vm",
        uuid="",
        generation=1,
        cpu_cores=1.0,
        vcpus=vcpus,
        memory_mib=memory_mib,
        hypervisor="libvirt",
        numa=asked,
        numa_cells=cells,
    )


def placed(asked, vcpus, memory_mib, nodes=SMALL, vms=(), **more):
    return numa.assign(asked, vcpus, memory_mib, nodes, holdings.held_by(vms), **more)


def filled(nodes, asked, memory_mib=1):
    """Return the VMs that came, one after the other, those that did not fit left out."""
    vms = []
    for each, vcpus in asked:
        cells = placed(each, vcpus, memory_mib, nodes, vms)
        if not isinstance(cells, Shortage):
            vms.append(make_vm(each, cells, vcpus, memory_mib))
    return vms


def test_threads_of_a_guest_are_on_whole_cores_of_the_node_that_it_fills_most():
    assert placed(wish(), 2, 512) == (NumaCell(cell_id=0, host_node=0, vcpus=(0, 1), memory_mib=512, cpus=(0, 4)),)


def test_a_guest_with_cores_of_its_own_leaves_their_other_threads_idle():
    first = placed(wish(CORE), 2, 512)
    assert first == (NumaCell(cell_id=0, host_node=0, vcpus=(0, 1), memory_mib=512, cpus=(0, 1)),)

    others = filled(SMALL, [(wish(CORE), 2), *[(wish(), 1)] * 9])
    assert [vm.numa_cells[0].cpus for vm in others] == [(0, 1), (2,), (6,), (3,), (7,)]


def test_guests_that_share_are_spread_over_what_nobody_has_for_himself():
    vms = filled(SMALL[:1], [(wish(), 1), *[(wish(SHARED), 2)] * 3])

    assert [vm.numa_cells[0].cpus for vm in vms] == [(0,), (1, 4), (4, 5), (1, 5)]
    assert placed(wish(SHARED), 9, 1, SMALL[:1], vms)[0].cpus == (1, 4, 5)
    assert placed(wish(), 1, 1, SMALL[:1], vms) == Shortage(
        message="1 free processor on one node is needed; node 0 has 0 free processors", shortfall=1.0
    )


def test_nodes_of_a_guest_are_on_different_nodes_of_the_host():
    cells = placed(wish(THREAD, nodes=2), 4, 600)

    assert cells == (
        NumaCell(cell_id=0, host_node=0, vcpus=(0, 1), memory_mib=300, cpus=(0, 4)),
        NumaCell(cell_id=1, host_node=1, vcpus=(2, 3), memory_mib=300, cpus=(2, 6)),
    )


def test_a_guest_that_is_not_pinned_still_has_its_memory_from_one_node():
    vms = [make_vm(wish(NONE), placed(wish(NONE), 4, 700), 4, 700)]

    assert vms[0].numa_cells == (NumaCell(cell_id=0, host_node=0, vcpus=(0, 1, 2, 3), memory_mib=700),)
    assert placed(wish(NONE), 1, 700, vms=vms)[0].host_node == 1


def test_huge_pages_are_counted_by_size_and_ordinary_memory_without_them():
    asked = wish(THREAD, hugepage_mib=2)
    vms = [make_vm(asked, placed(asked, 1, 150), memory_mib=150)]

    assert vms[0].numa_cells[0].host_node == 0
    assert holdings.idle_pages_mib(SMALL, holdings.held_by(vms)) == 50
    assert placed(asked, 1, 52, vms=vms) == Shortage(
        message="26 free pages of 2 MiB on one node are needed; node 0 has 25 free pages of 2 MiB, "
        "node 1 has 0 free pages of 2 MiB",
        shortfall=1 / 26,
    )
    assert placed(wish(THREAD), 1, 825, SMALL[:1]) == Shortage(
        message="825 MiB of memory on one node are needed; node 0 has 824 MiB of memory", shortfall=1 / 825
    )
    assert placed(asked, 1, 51) == Shortage(message="51 MiB of memory are no whole pages of 2 MiB")


def test_the_node_of_the_guest_s_devices_is_preferred():
    assert placed(wish(), 1, 1, near=frozenset({1}))[0].host_node == 1
    assert placed(wish(), 1, 1, near=frozenset({7}))[0].host_node == 0


@pytest.mark.parametrize(
    ("asked", "vcpus", "memory_mib", "nodes", "message"),
    [
        (wish(CORE), 3, 1, SMALL[:1], "3 free cores on one node are needed; node 0 has 2 free cores"),
        (wish(CORE), 1, 1, (), "1 node is needed, the host has told of none"),
        (wish(CORE, nodes=3), 3, 3, SMALL, "3 nodes are needed, the host has 2"),
        (wish(CORE, nodes=2), 1, 3, SMALL, "1 processor cannot be split over 2 nodes"),
        (
            wish(CORE, nodes=2),
            4,
            2400,
            SMALL,
            "1200 MiB of memory on each of 2 nodes are needed; node 0 has 824 MiB of memory, node 1 has them",
        ),
        (
            wish(THREAD),
            5,
            1025,
            SMALL,
            (
                "5 free processors and 1025 MiB of memory on one node are needed; "
                "node 0 has 4 free processors and 824 MiB of memory, node 1 has 4 free processors"
            ),
        ),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_needed_and_what_there_is(asked, vcpus, memory_mib, nodes, message):
    found = placed(asked, vcpus, memory_mib, nodes)

    assert isinstance(found, Shortage)
    assert found.message == message
    assert 0 < found.shortfall <= 1


def test_nodes_that_make_no_sense_let_nobody_in():
    nonsense = NumaNode(node_id=-1, cores=((), ()), memory_mib=-5, hugepages={2048: -7})

    assert isinstance(placed(wish(THREAD), 1, 1, (nonsense,)), Shortage)
    assert isinstance(placed(wish(NONE, hugepage_mib=2), 1, 2, (nonsense,)), Shortage)


def fits_at_all(asked, vcpus, memory_mib, nodes, held):
    """Try every way, from the rules as they are told to people."""
    count = asked.nodes
    page = asked.hugepage_mib or 1
    if memory_mib % page or vcpus < count or memory_mib // page < count:
        return False
    sizes = [vcpus // count + (n < vcpus % count) for n in range(count)]
    pages = memory_mib // page
    memories = [(pages // count + (n < pages % count)) * page for n in range(count)]
    for chosen in itertools.permutations(nodes, count):
        if all(_node_fits(asked, *each, held) for each in zip(chosen, sizes, memories, strict=True)):
            return True
    return False


def _node_fits(asked, node, size, memory_mib, held):
    idle_siblings = {cpu for core in node.cores for cpu in core if held.cores & set(core)}
    unheld = {cpu for core in node.cores for cpu in core} - held.own - idle_siblings
    alone = {cpu for cpu in unheld if not held.shared.get(cpu)}
    ways = {
        NONE: True,
        SHARED: bool(unheld),
        THREAD: len(alone) >= size,
        CORE: sum(set(core) <= alone for core in node.cores) >= size,
    }
    if asked.hugepage_mib:
        kib = asked.hugepage_mib * 1024
        room = (node.hugepages.get(kib, 0) - held.pages.get((node.node_id, kib), 0)) * asked.hugepage_mib
    else:
        set_aside = sum(kib * number for kib, number in node.hugepages.items()) // 1024
        room = node.memory_mib - set_aside - held.memory_mib.get(node.node_id, 0)
    return ways[asked.pin_policy] and memory_mib <= room


WISHES = st.builds(wish, st.sampled_from(list(PinPolicy)), st.integers(1, 3), st.sampled_from([0, 0, 2, 4]))
ASKED = st.lists(st.tuples(WISHES, st.integers(1, 4), st.integers(1, 24)), max_size=9)


@st.composite
def hosts(draw):
    threads, count = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    found, cpu = [], 0
    for node_id in range(count):
        cores = []
        for _ in range(draw(st.integers(0, 3))):
            cores.append(tuple(range(cpu, cpu + threads)))
            cpu += threads
        pages = draw(st.dictionaries(st.sampled_from([2048, 4096]), st.integers(0, 9)))
        found.append(
            NumaNode(node_id=node_id, cores=tuple(cores), memory_mib=draw(st.integers(0, 90)), hugepages=pages)
        )
    return tuple(found)


@settings(max_examples=60, deadline=None)
@given(hosts(), ASKED, st.data())
def test_nothing_is_held_twice_and_what_is_refused_does_not_fit(nodes, asked, data):
    vms = []
    for each, vcpus, memory_mib in asked:
        if vms and data.draw(st.booleans()):
            vms.pop(data.draw(st.integers(0, len(vms) - 1)))
        held = holdings.held_by(vms)
        cells = numa.assign(each, vcpus, memory_mib, nodes, held)
        assert isinstance(cells, Shortage) is not fits_at_all(each, vcpus, memory_mib, nodes, held)
        if isinstance(cells, Shortage):
            assert 0 < cells.shortfall <= 1
            continue
        assert len({cell.host_node for cell in cells}) == len(cells) == each.nodes
        assert [vcpu for cell in cells for vcpu in cell.vcpus] == list(range(vcpus))
        assert sum(cell.memory_mib for cell in cells) == memory_mib
        for cell in cells:
            assert set(cell.cpus) <= {cpu for core in nodes[cell.host_node].cores for cpu in core}
            assert each.pin_policy not in {THREAD, CORE} or len(set(cell.cpus)) == len(cell.vcpus)
            assert (each.pin_policy is NONE) is not bool(cell.cpus)
        vms.append(make_vm(each, cells, vcpus, memory_mib))
        assert list(holdings.conflicts(vms, nodes)) == []


def test_a_processor_held_twice_and_pages_that_are_not_there_are_found():
    def vm(policy, *cpus, **more):
        cell = NumaCell(cell_id=0, host_node=0, vcpus=tuple(range(len(cpus))), memory_mib=300, cpus=cpus)
        return make_vm(wish(policy, **more), (cell,))

    assert list(holdings.conflicts([vm(THREAD, 0), vm(THREAD, 0, 1)], SMALL)) == ["processor 0 is held twice"]
    assert list(holdings.conflicts([vm(THREAD, 4), vm(CORE, 0)], SMALL)) == [
        "processor 4 is held, but its core is another VM's own"
    ]
    assert list(holdings.conflicts([vm(SHARED, 1, 2), vm(SHARED, 1), vm(THREAD, 2)], SMALL)) == [
        "processor 2 is held for one VM and shared by others"
    ]
    assert list(holdings.conflicts([vm(NONE, hugepage_mib=2)], SMALL)) == [
        "150 pages of 2 MiB of node 0 are held, of 100"
    ]
    assert list(holdings.conflicts([vm(NONE, hugepage_mib=2)], ())) == []
