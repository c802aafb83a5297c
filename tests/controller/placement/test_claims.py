"""Nodes and devices of hosts: each held once, wherever VMs go and however that ends."""

import random
from functools import partial

import msgspec
import pytest
from tests.controller.builders import (
    ADMIN,
    a_host,
    a_network,
    a_reactor,
    an_image,
    ask,
    ask_turn,
    change,
    digest,
    end_leg,
    finish,
    now,
    operation_of,
    outcome_of,
    refusal,
    sent,
    submit,
)

from innkeeper_controller import verify
from innkeeper_controller.placement import claims
from innkeeper_controller.records import Holding, OperationStatus
from innkeeper_hostagent.protocol.messages import CarryOut, LegStatus
from innkeeper_plugins.vocabulary import HostId, NumaCell, NumaNode, PciDevice, VmState

replace = msgspec.structs.replace
NODE = NumaNode(node_id=0, cores=((0, 4), (1, 5), (2, 6), (3, 7)), memory_mib=8192, hugepages={2048: 512})
PINNED = "NAME = p\nVCPU = 2\nCPU = 2\nMEMORY = 512\nTOPOLOGY = [ PIN_POLICY = THREAD ]\n"
WITH_CARD = 'NAME = c\nCPU = 1\nMEMORY = 64\nPCI = [ VENDOR = "10de" ]\n'
BOOM = outcome_of("no_space")


def card(number):
    return PciDevice(address=f"0000:0{number}:00.0", vendor="10de", device="1eb8", device_class="0302", numa_node=0)


def place(hosts=2, cards=2):
    """Return a site whose hosts have a node of four cores, and cards for guests."""
    devices = tuple(card(number) for number in range(1, cards + 1))
    made = []
    for number in range(1, hosts + 1):
        host = a_host(number, cpu_cores=16.0, images=[digest("e")])
        made.append(replace(host, advertisement=replace(host.advertisement, numa=(NODE,), pci=devices)))
    return a_reactor(*made, an_image(), a_network())


def deployed(reactor, template=PINNED, host="h1"):
    vm = submit(reactor, template, user=ADMIN)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host=host)
    return finish(reactor, vm)


def held(reactor, host_id=1):
    """Return ``[(VM, processors, devices)]`` of a host."""
    return [
        (vm.vm_id, [cpu for cell in guest.numa_cells for cpu in cell.cpus], list(guest.pci_addresses))
        for vm, guest in claims.guests_on(reactor.cluster, HostId(host_id))
    ]


def check(reactor):
    assert verify.findings(reactor.cluster) == ()


def test_each_vm_gets_processors_of_its_own_until_there_are_none():
    reactor = place()
    vms = [deployed(reactor) for _ in range(4)]

    assert held(reactor) == [(vm.vm_id, [core, core + 4], []) for core, vm in enumerate(vms)]
    refused = refusal(lambda: deployed(reactor))
    assert refused.code == "no_capacity"
    assert "2 free processors on one node are needed; node 0 has 0 free processors" in str(refused)
    check(reactor)


def test_devices_go_back_when_their_vm_ends():
    reactor = place(cards=1)
    first = deployed(reactor, WITH_CARD)

    assert "1 device 10de:* is needed, 0 of 1 are free" in str(refusal(lambda: deployed(reactor, WITH_CARD)))
    ask(reactor, "vm.terminate", vm_id=first.vm_id, hard=True)
    assert held(reactor) == [(first.vm_id, [], ["0000:01:00.0"])]
    finish(reactor, first)
    assert held(reactor) == []
    second = deployed(reactor, WITH_CARD)
    assert now(reactor, second).spec.pci_addresses == ("0000:01:00.0",)
    check(reactor)


@pytest.mark.parametrize(("verb", "state"), [("undeploy", VmState.UNDEPLOYED), ("stop", VmState.STOPPED)])
def test_a_vm_that_gives_its_host_up_holds_nothing_and_gets_anew_what_is_free(verb, state):
    reactor = place()
    vm, other = deployed(reactor), deployed(reactor)
    ask(reactor, f"vm.{verb}", vm_id=vm.vm_id)
    rested = finish(reactor, vm)

    assert (rested.state, rested.spec.numa_cells, held(reactor)) == (state, (), [(other.vm_id, [1, 5], [])])
    third = deployed(reactor)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1")
    assert held(reactor) == [(vm.vm_id, [2, 6], []), (other.vm_id, [1, 5], []), (third.vm_id, [0, 4], [])]
    assert finish(reactor, vm).state is VmState.RUNNING
    check(reactor)


def test_a_vm_that_is_off_keeps_what_it_has():
    reactor = place()
    vm = deployed(reactor)
    ask(reactor, "vm.poweroff", vm_id=vm.vm_id, hard=False)
    finish(reactor, vm)

    assert held(reactor) == [(vm.vm_id, [0, 4], [])]


def test_a_deployment_that_is_taken_back_leaves_nothing_held():
    reactor = place()
    vm = submit(reactor, PINNED, user=ADMIN)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1")
    assert held(reactor) == [(vm.vm_id, [0, 4], [])]
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: BOOM})

    assert (now(reactor, vm).spec.numa_cells, held(reactor)) == ((), [])
    check(reactor)


@pytest.mark.parametrize("live", [True, False])
def test_a_vm_that_moves_holds_something_of_both_hosts_until_it_has_arrived(live):
    reactor = place()
    other = deployed(reactor, host="h2")
    vm = deployed(reactor)
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2", live=live)

    assert now(reactor, vm).leaving == Holding(numa_cells=vm.spec.numa_cells)
    assert held(reactor, 1) == [(vm.vm_id, [0, 4], [])]
    assert held(reactor, 2) == [(other.vm_id, [0, 4], []), (vm.vm_id, [1, 5], [])]
    check(reactor)
    arrived = finish(reactor, vm)
    assert (arrived.host_id, arrived.leaving) == (2, None)
    assert (held(reactor, 1), held(reactor, 2)[1]) == ([], (vm.vm_id, [1, 5], []))
    check(reactor)


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("status", [LegStatus.UNDONE, LegStatus.FAILED])
def test_a_vm_that_did_not_get_away_has_what_it_had(live, status):
    reactor = place()
    deployed(reactor, host="h2")
    vm = deployed(reactor)
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2", live=live)
    end_leg(reactor, vm, status, outcomes={0: BOOM})
    stayed = now(reactor, vm)

    assert operation_of(reactor, vm).status is OperationStatus.FAILED
    assert (stayed.host_id, stayed.spec.numa_cells, stayed.leaving) == (1, vm.spec.numa_cells, None)
    assert (held(reactor, 1), len(held(reactor, 2))) == ([(vm.vm_id, [0, 4], [])], 1)
    check(reactor)


@pytest.mark.parametrize(("live", "at_source"), [(True, (1, 5)), (False, (0, 4))])
def test_a_host_is_told_what_the_guest_has_there_or_where_it_sends_it(live, at_source):
    reactor = place()
    deployed(reactor, host="h2")
    vm = deployed(reactor)
    told = told_by(reactor, vm, live=live)

    assert {host: cells[0].cpus for host, cells in told.items()} == {1: at_source, 2: (1, 5)}


def told_by(reactor, vm, *, live):
    """Return ``{host: cells}`` of the last order to each host in a migration, the clean-up left out."""
    turn, _ = ask_turn(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2", live=live)
    told = {}
    for _ in range(2):
        told |= {host: order.vm.numa_cells for host, order in sent(turn) if isinstance(order, CarryOut)}
        turn = end_leg(reactor, vm)
    return told


def test_a_guest_with_devices_is_not_saved_nor_moved_while_it_runs():
    reactor = place()
    vm = deployed(reactor, WITH_CARD)
    acts = {
        "suspended": lambda: ask(reactor, "vm.suspend", vm_id=vm.vm_id),
        "stopped": lambda: ask(reactor, "vm.stop", vm_id=vm.vm_id),
        "migrated": lambda: ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2", live=True),
    }

    for what, act in acts.items():
        refused = refusal(act)
        text = f"VM {vm.vm_id} has devices of its host (0000:01:00.0), so it cannot be {what} while it runs; "
        text += f"power it off first (`inn vm poweroff {vm.vm_id}`)."
        assert (refused.code, str(refused)) == ("wrong_state", text)
    ask(reactor, "vm.poweroff", vm_id=vm.vm_id, hard=True)
    finish(reactor, vm)
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2", live=False)
    assert finish(reactor, vm).host_id == 2
    assert (held(reactor, 1), held(reactor, 2)) == ([], [(vm.vm_id, [], ["0000:01:00.0"])])


def test_a_vm_of_another_size_gets_what_it_needs_then_but_not_while_it_runs():
    reactor = place()
    vm = deployed(reactor)
    resize = {"vm_id": vm.vm_id, "vcpus": 4, "cpu_cores": 4.0}

    refused = refusal(lambda: ask(reactor, "vm.resize", **resize))
    assert (refused.code, str(refused)[:30]) == ("wrong_state", "VM 0 is tied to nodes of its h")
    ask(reactor, "vm.poweroff", vm_id=vm.vm_id, hard=True)
    finish(reactor, vm)
    ask(reactor, "vm.resize", **resize)
    assert held(reactor) == [(vm.vm_id, [0, 4, 1, 5], [])]
    check(reactor)


def test_what_is_held_twice_or_by_nobody_s_guest_is_found():
    reactor = place()
    first, second = deployed(reactor, PINNED + WITH_CARD.splitlines()[-1]), deployed(reactor)
    change(reactor, now(reactor, second), spec=replace(now(reactor, first).spec, vm_id=second.vm_id))
    lost = submit(reactor, PINNED, user=ADMIN)
    cell = NumaCell(cell_id=0, host_node=0, vcpus=(0, 1), memory_mib=512, cpus=(3, 7))
    change(reactor, lost, spec=replace(lost.spec, numa_cells=(cell,)))

    found = [(each.subject, each.message) for each in verify.findings(reactor.cluster) if "nodes" in each.check]
    assert found == [
        ("host:1", "processor 0 is held twice"),
        ("host:1", "processor 4 is held twice"),
        ("host:1", "device 0000:01:00.0 is held twice"),
        (f"vm:{lost.vm_id}", "it holds nodes or devices of a host, but is on none"),
    ]


TEMPLATES = (
    PINNED,
    WITH_CARD,
    PINNED.replace("THREAD", "CORE"),
    PINNED.replace("THREAD", "SHARED") + "PCI = [ CLASS = 0302 ]\n",
)
VERBS = (
    ("vm.deploy", {"host": "h1"}),
    ("vm.deploy", {"host": "h2"}),
    ("vm.migrate", {"host": "h1", "live": True}),
    ("vm.migrate", {"host": "h2", "live": True}),
    ("vm.migrate", {"host": "h1", "live": False}),
    ("vm.migrate", {"host": "h2", "live": False}),
    ("vm.migrate", {"host": "h2", "live": False, "off": "hard"}),
    ("vm.poweroff", {"hard": True}),
    ("vm.resume", {}),
    ("vm.suspend", {}),
    ("vm.stop", {}),
    ("vm.undeploy", {"hard": True}),
    ("vm.terminate", {"hard": True}),
    ("vm.cancel", {}),
    ("vm.recover", {"how": "retry"}),
    ("vm.recover", {"how": "recreate"}),
    ("vm.recover", {"how": "rollback"}),
    ("vm.resize", {"vcpus": 1, "cpu_cores": 1.0}),
    ("vm.resize", {"vcpus": 3, "cpu_cores": 3.0}),
)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_done_with_vms_nothing_is_held_twice_nor_by_nobody(seed):
    chance = random.Random(seed)
    reactor, done = place(cards=2), []
    for _ in range(2000):
        vms = list(reactor.cluster.vms.values())
        busy = [vm for vm in vms if vm.operation_id is not None]
        if len(vms) < 6:
            submit(reactor, chance.choice(TEMPLATES), user=ADMIN)
        elif busy and chance.random() < 0.8:
            ends = [LegStatus.DONE] * 8 + [LegStatus.UNDONE, LegStatus.FAILED]
            status = chance.choice(ends)
            end_leg(reactor, chance.choice(busy), status, **({} if status is LegStatus.DONE else {"outcomes": {}}))
        else:
            verb, params = chance.choice(VERBS)
            asked = {**params, "vm_id": chance.choice(vms).vm_id}
            refused = refusal(partial(ask, reactor, verb, **asked))
            done += [verb] if refused is None else []
        check(reactor)
        for host_id in (HostId(1), HostId(2)):
            for vm, guest in claims.guests_on(reactor.cluster, host_id):
                assert bool(guest.numa_cells) is (guest.numa is not None), vm
                assert len(guest.pci_addresses) == len(guest.pci), vm
    # Otherwise nothing of this was tested.
    assert {verb for verb, _ in VERBS} - set(done) <= {"vm.cancel"}
