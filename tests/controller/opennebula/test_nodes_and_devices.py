"""Nodes and devices of hosts, and what VMs have of them, as OpenNebula's clients see them."""

import msgspec
from lxml import etree
from tests.controller.builders import ADMIN, a_host, a_network, a_reactor, ask, finish, submit
from tests.controller.opennebula.validated import validated

from innkeeper_controller.opennebula.documents.host import host
from innkeeper_controller.opennebula.documents.vm import vm
from innkeeper_plugins.vocabulary import HostId, NumaNode, PciDevice

replace = msgspec.structs.replace
NODE = NumaNode(node_id=0, cores=((0, 2), (1, 3)), memory_mib=4096, hugepages={2048: 512})
CARD = PciDevice(address="0000:3b:00.0", vendor="10de", device="1eb8", device_class="0302", numa_node=0)
TEMPLATE = """
NAME = p
MEMORY = 64
TOPOLOGY = [ PIN_POLICY = CORE, HUGEPAGE_SIZE = 2 ]
PCI = [ VENDOR = "10de" ]
"""


def texts(element):
    return [(each.tag, each.text or "") for each in element]


def test_clients_see_who_holds_which_core_page_and_device():
    told = a_host()
    told = replace(told, advertisement=replace(told.advertisement, numa=(NODE,), pci=(CARD,)))
    reactor = a_reactor(told, a_network())
    made = submit(reactor, TEMPLATE, user=ADMIN)
    before = validated(vm(reactor.cluster, made))
    ask(reactor, "vm.deploy", vm_id=made.vm_id, host="h1")
    shown = validated(host(reactor.cluster, reactor.cluster.hosts[HostId(1)]))
    after = validated(vm(reactor.cluster, finish(reactor, made)))

    assert [texts(each) for each in shown.iterfind("HOST_SHARE/NUMA_NODES/NODE/CORE")] == [
        [("CPUS", "0:0,2:-1"), ("DEDICATED", "YES"), ("FREE", "0"), ("ID", "0")],
        [("CPUS", "1:-1,3:-1"), ("DEDICATED", "NO"), ("FREE", "2"), ("ID", "1")],
    ]
    assert texts(shown.find("HOST_SHARE/NUMA_NODES/NODE/HUGEPAGE")) == [
        ("PAGES", "512"), ("SIZE", "2048"), ("USAGE", "32"),
    ]  # fmt: skip
    device = dict(texts(shown.find("HOST_SHARE/PCI_DEVICES/PCI")))
    assert (device["ADDRESS"], device["SHORT_ADDRESS"], device["VMID"]) == ("0000:3b:00:0", "3b:00.0", "0")
    assert texts(before.find("TEMPLATE/PCI")) == [("PCI_ID", "0"), ("VENDOR", "10de")]
    assert texts(after.find("TEMPLATE/PCI")) == [("ADDRESS", "0000:3b:00:0"), ("PCI_ID", "0"), ("VENDOR", "10de")]
    assert etree.tostring(after.find("TEMPLATE/TOPOLOGY")) == (
        b"<TOPOLOGY><HUGEPAGE_SIZE>2</HUGEPAGE_SIZE><PIN_POLICY>CORE</PIN_POLICY></TOPOLOGY>"
    )
