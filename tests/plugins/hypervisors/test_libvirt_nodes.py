"""A guest that is tied to nodes, processors, pages and devices of its host, as libvirt's XML."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from innkeeper_plugins.conformance.guests import failure_of
from innkeeper_plugins.hypervisors.libvirt import numa_elements
from innkeeper_plugins.hypervisors.libvirt.domain_xml import GuestFiles, build
from innkeeper_plugins.hypervisors.libvirt.options import LibvirtOptions
from innkeeper_plugins.hypervisors.libvirt.relocation import relocate
from innkeeper_plugins.vocabulary import NumaCell, NumaWish, PciWish, PinPolicy, Topology, Vm, VmId

FILES = GuestFiles(console_log=Path("/vms/7/console.log"))
ELEMENTS = ("cputune", "numatune", "memoryBacking", "cpu")


def make_vm(policy=PinPolicy.THREAD, cells=(), **changes):
    values = {
        "vm_id": VmId(7),
        "name": "web",
        "uuid": "5d8c8a52-7c0e-4c39-9d4e-6f2f0d6b1a01",
        "generation": 3,
        "cpu_cores": 4.0,
        "vcpus": 4,
        "memory_mib": 1024,
        "hypervisor": "libvirt",
        "numa": NumaWish(pin_policy=policy, nodes=len(cells) or 1),
        "numa_cells": cells,
    }
    return Vm(**{**values, **changes})


def cell(cell_id, host_node, vcpus, *cpus):
    return NumaCell(cell_id=cell_id, host_node=host_node, vcpus=vcpus, memory_mib=512, cpus=cpus)


def written(vm, *tags):
    root = ET.fromstring(build(vm, FILES, LibvirtOptions(), "kvm"))
    found = [each for tag in tags for each in root.findall(tag)]
    for each in found:
        ET.indent(each)
    return "\n".join(ET.tostring(each, encoding="unicode").strip() for each in found)


TWO = (cell(0, 0, (0, 1), 2, 10), cell(1, 1, (2, 3), 5, 13))


def test_each_processor_of_a_guest_has_one_of_the_host_and_each_node_its_memory():
    assert written(make_vm(cells=TWO, topology=Topology(sockets=2, cores=2)), *ELEMENTS) == (
        """\
<cputune>
  <vcpupin vcpu="0" cpuset="2" />
  <vcpupin vcpu="1" cpuset="10" />
  <vcpupin vcpu="2" cpuset="5" />
  <vcpupin vcpu="3" cpuset="13" />
  <emulatorpin cpuset="2,5,10,13" />
</cputune>
<numatune>
  <memory mode="strict" nodeset="0-1" />
  <memnode cellid="0" mode="strict" nodeset="0" />
  <memnode cellid="1" mode="strict" nodeset="1" />
</numatune>
<cpu mode="host-passthrough">
  <topology sockets="2" cores="2" threads="1" />
  <numa>
    <cell id="0" cpus="0-1" memory="512" unit="MiB" />
    <cell id="1" cpus="2-3" memory="512" unit="MiB" />
  </numa>
</cpu>"""
    )


def test_processors_of_a_guest_that_shares_run_on_all_that_it_was_given():
    vm = make_vm(PinPolicy.SHARED, (cell(0, 1, (0, 1, 2, 3), 4, 5, 6, 12),))

    assert written(vm, "cputune") == (
        """\
<cputune>
  <vcpupin vcpu="0" cpuset="4-6,12" />
  <vcpupin vcpu="1" cpuset="4-6,12" />
  <vcpupin vcpu="2" cpuset="4-6,12" />
  <vcpupin vcpu="3" cpuset="4-6,12" />
  <emulatorpin cpuset="4-6,12" />
</cputune>"""
    )


def test_a_guest_that_is_not_pinned_has_only_its_memory_and_its_pages_there():
    vm = make_vm(cells=(cell(0, 1, (0, 1, 2, 3)),), numa=NumaWish(hugepage_mib=2))

    assert written(vm, "cputune", "numatune", "memoryBacking") == (
        """\
<numatune>
  <memory mode="strict" nodeset="1" />
  <memnode cellid="0" mode="strict" nodeset="1" />
</numatune>
<memoryBacking>
  <hugepages>
    <page size="2" unit="MiB" />
  </hugepages>
</memoryBacking>"""
    )


def test_a_guest_that_asks_for_nothing_is_tied_to_nothing():
    assert written(make_vm(numa=None), "cputune", "numatune", "memoryBacking", "cpu/numa", "devices/hostdev") == ""


def test_a_guest_that_was_given_no_nodes_is_refused():
    assert failure_of(lambda: build(make_vm(), FILES, LibvirtOptions(), "kvm")) == "refused"


def test_devices_of_the_host_leave_their_drivers_there():
    vm = make_vm(numa=None, pci=(PciWish(),), pci_addresses=("0000:3b:00.1",))

    assert written(vm, "devices/hostdev") == (
        """\
<hostdev mode="subsystem" type="pci" managed="yes">
  <source>
    <address domain="0x0000" bus="0x3b" slot="0x00" function="0x1" />
  </source>
</hostdev>"""
    )


@pytest.mark.parametrize("address", ["", "3b:00.0", "0000:3b:00", "0000:3b:00.g", "0000:3b:00.0' x='1"])
def test_what_is_no_address_is_refused(address):
    vm = make_vm(numa=None, pci_addresses=(address,))

    assert failure_of(lambda: build(vm, FILES, LibvirtOptions(), "kvm")) == "refused"


def test_a_saved_guest_that_goes_on_elsewhere_is_tied_to_what_it_has_there():
    saved = build(make_vm(cells=TWO), FILES, LibvirtOptions(), "kvm")
    there = make_vm(cells=(cell(0, 1, (0, 1), 4, 12), cell(1, 0, (2, 3), 0, 8)))
    moved = ET.fromstring(relocate(saved, there, FILES))
    anew = ET.fromstring(build(there, FILES, LibvirtOptions(), "kvm"))

    for tag in ELEMENTS:
        assert [ET.tostring(each) for each in moved.findall(tag)] == [ET.tostring(each) for each in anew.findall(tag)]


def test_a_guest_keeps_its_share_of_the_processors_where_it_goes():
    old = "<domain><cputune><shares>512</shares><vcpupin vcpu='0' cpuset='1'/></cputune><numatune/></domain>"
    root = ET.fromstring(old)
    numa_elements.move(root, make_vm(cells=(cell(0, 1, (0,), 4),), vcpus=1))

    assert ET.tostring(root.find("cputune"), encoding="unicode") == (
        '<cputune><shares>512</shares><vcpupin vcpu="0" cpuset="4" /><emulatorpin cpuset="4" /></cputune>'
    )
    assert [each.get("nodeset") for each in root.iterfind("numatune/*")] == ["1", "1"]


def test_a_guest_that_is_tied_to_nothing_moves_as_it_is():
    root = ET.fromstring("<domain><cputune><shares>512</shares></cputune></domain>")
    numa_elements.move(root, make_vm(numa=None))

    assert ET.tostring(root) == b"<domain><cputune><shares>512</shares></cputune></domain>"
