"""A host's nodes and devices in its document, and who holds which of them."""

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.markup import escaped
from innkeeper_controller.opennebula.documents.monitoring import KIB_OF_MIB
from innkeeper_controller.opennebula.numbers import GONE
from innkeeper_controller.placement import claims
from innkeeper_controller.records import Host
from innkeeper_controller.scheduling.nodes import holdings
from innkeeper_plugins.vocabulary import NumaNode, PciDevice, PinPolicy, Vm, VmId


def devices_and_nodes(cluster: Cluster, record: Host) -> str:
    """Return PCI_DEVICES and NUMA_NODES."""
    told = record.advertisement
    if not told.pci and not told.numa:
        return "<PCI_DEVICES></PCI_DEVICES><NUMA_NODES></NUMA_NODES>"
    guests = [(vm.vm_id, guest) for vm, guest in claims.guests_on(cluster, record.host_id)]
    return (
        f"<PCI_DEVICES>{''.join(_device(each, guests) for each in told.pci)}</PCI_DEVICES>"
        f"<NUMA_NODES>{''.join(_node(each, guests) for each in told.numa)}</NUMA_NODES>"
    )


def colons(address: str) -> str:
    """Return an address as OpenNebula writes it: ``0000:3b:00:0``."""
    return address.replace(".", ":")


def short(address: str) -> str:
    """Return an address without its domain: ``3b:00.0``."""
    return address.partition(":")[2]


def _device(each: PciDevice, guests: list[tuple[VmId, Vm]]) -> str:
    domain, bus, slot, function = (*colons(each.address).split(":"), "", "", "")[:4]
    holder = next((vm_id for vm_id, guest in guests if each.address in guest.pci_addresses), GONE)
    kind = f"{each.vendor}:{each.device}:{each.device_class}"
    return (
        f"<PCI><ADDRESS>{escaped(colons(each.address))}</ADDRESS><BUS>{escaped(bus)}</BUS>"
        f"<CLASS>{escaped(each.device_class)}</CLASS><CLASS_NAME></CLASS_NAME><DEVICE>{escaped(each.device)}</DEVICE>"
        f"<DEVICE_NAME></DEVICE_NAME><DOMAIN>{escaped(domain)}</DOMAIN><FUNCTION>{escaped(function)}</FUNCTION>"
        f"<IFNAME></IFNAME><NUMA_NODE>{_told(each.numa_node)}</NUMA_NODE>"
        f"<SHORT_ADDRESS>{escaped(short(each.address))}</SHORT_ADDRESS><SLOT>{escaped(slot)}</SLOT><SRIOV>NO</SRIOV>"
        f"<TYPE>{escaped(kind)}</TYPE><VENDOR>{escaped(each.vendor)}</VENDOR><VENDOR_NAME></VENDOR_NAME>"
        f"<VMID>{holder}</VMID></PCI>"
    )


def _told(numa_node: int) -> str:
    return str(numa_node) if numa_node >= 0 else "-"


def _node(each: NumaNode, guests: list[tuple[VmId, Vm]]) -> str:
    held = holdings.held_by(guest for _, guest in guests)
    owners = {
        cpu: vm_id
        for vm_id, guest in guests
        if guest.numa is not None and guest.numa.pin_policy in {PinPolicy.THREAD, PinPolicy.CORE}
        for cell in guest.numa_cells
        for cpu in cell.cpus
    }
    pages = "".join(
        f"<HUGEPAGE><PAGES>{count}</PAGES><SIZE>{size_kib}</SIZE>"
        f"<USAGE>{held.pages.get((each.node_id, size_kib), 0)}</USAGE></HUGEPAGE>"
        for size_kib, count in sorted(each.hugepages.items())
    )
    used_kib = held.memory_mib.get(each.node_id, 0) * KIB_OF_MIB
    return (
        f"<NODE>{''.join(_core(core, held, owners) for core in each.cores if core)}{pages}<MEMORY><DISTANCE></DISTANCE>"
        f"<TOTAL>{each.memory_mib * KIB_OF_MIB}</TOTAL><USAGE>{used_kib}</USAGE></MEMORY>"
        f"<NODE_ID>{each.node_id}</NODE_ID></NODE>"
    )


def _core(core: tuple[int, ...], held: holdings.Held, owners: dict[int, VmId]) -> str:
    is_whole = not held.cores.isdisjoint(core)
    free = 0 if is_whole else sum(cpu not in held.own for cpu in core)
    return (
        f"<CORE><CPUS>{','.join(f'{cpu}:{owners.get(cpu, GONE)}' for cpu in core)}</CPUS>"
        f"<DEDICATED>{'YES' if is_whole else 'NO'}</DEDICATED><FREE>{free}</FREE><ID>{core[0]}</ID></CORE>"
    )
