"""Ties a guest to nodes, processors, pages and devices of its host, in libvirt's words.

Pure; which of them it gets was decided before.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors.libvirt.elements import add
from innkeeper_plugins.probes.numa import as_list
from innkeeper_plugins.vocabulary import NumaCell, PinPolicy, Vm

#: What says which processors of the host a guest has; its share of them stands beside it.
_PINS = frozenset({"vcpupin", "emulatorpin"})


def add_nodes(root: ET.Element, vm: Vm) -> None:
    """Add the nodes that the guest sees, its pages, and which of the host it has.

    Raises:
        DriverError: ``refused``: it asks for nodes and was given none.
    """
    if vm.numa is None:
        return
    if not vm.numa_cells:
        raise DriverError(f"VM {vm.vm_id} asks for nodes of its host and was given none", code="refused")
    _add_places(root, vm)
    if vm.numa.hugepage_mib:
        add(add(add(root, "memoryBacking"), "hugepages"), "page", size=str(vm.numa.hugepage_mib), unit="MiB")
    cpu = root.find("cpu")
    seen = add(add(root, "cpu") if cpu is None else cpu, "numa")
    for cell in vm.numa_cells:
        add(
            seen,
            "cell",
            id=str(cell.cell_id),
            cpus=as_list(cell.vcpus),
            memory=str(cell.memory_mib),
            unit="MiB",
        )


def move(root: ET.Element, vm: Vm) -> None:
    """Let a guest that comes from another host have what it was given here, and see what it saw there."""
    if vm.numa is None or not vm.numa_cells:
        return
    for element in root.findall("numatune"):
        root.remove(element)
    for tuned in root.findall("cputune"):
        for element in [each for each in tuned if each.tag in _PINS]:
            tuned.remove(element)
    _add_places(root, vm)


def add_devices(devices: ET.Element, addresses: Iterable[str]) -> None:
    """Add the host's devices, that leave their drivers there as long as the guest has them.

    Raises:
        DriverError: ``refused``: an address is none.
    """
    for address in addresses:
        domain, _, rest = address.partition(":")
        bus, _, place = rest.partition(":")
        slot, _, function = place.partition(".")
        parts = {"domain": domain, "bus": bus, "slot": slot, "function": function}
        if not all(_is_hexadecimal(part) for part in parts.values()):
            raise DriverError(f"{address!r} is no address of a PCI device", code="refused")
        device = add(devices, "hostdev", mode="subsystem", type="pci", managed="yes")
        add(add(device, "source"), "address", **{name: f"0x{part}" for name, part in parts.items()})


def _is_hexadecimal(text: str) -> bool:
    return bool(text) and set(text) <= set("0123456789abcdef")


def _add_places(root: ET.Element, vm: Vm) -> None:
    cells = vm.numa_cells
    pins = [pin for cell in cells for pin in _pins(vm, cell)]
    if pins:
        found = root.find("cputune")
        tuned = add(root, "cputune") if found is None else found
        for vcpu, cpus in pins:
            add(tuned, "vcpupin", vcpu=str(vcpu), cpuset=cpus)
        # What the emulator does for the guest is done on the guest's processors, and on nobody else's.
        add(tuned, "emulatorpin", cpuset=as_list(cpu for cell in cells for cpu in cell.cpus))
    memory = add(root, "numatune")
    add(memory, "memory", mode="strict", nodeset=as_list(cell.host_node for cell in cells))
    for cell in cells:
        add(memory, "memnode", cellid=str(cell.cell_id), mode="strict", nodeset=str(cell.host_node))


def _pins(vm: Vm, cell: NumaCell) -> list[tuple[int, str]]:
    """Return ``(processor of the guest, processors of the host)``."""
    if not cell.cpus:
        return []
    if vm.numa is not None and vm.numa.pin_policy is PinPolicy.SHARED:
        return [(vcpu, as_list(cell.cpus)) for vcpu in cell.vcpus]
    return [(vcpu, str(cpu)) for vcpu, cpu in zip(cell.vcpus, cell.cpus, strict=True)]
