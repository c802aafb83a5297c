"""Makes disks of running guests larger, and gives running guests more or fewer processors and memory."""

from pathlib import Path

import libvirt

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors.libvirt import guests, hotplug
from innkeeper_plugins.hypervisors.libvirt.identity import domain_name
from innkeeper_plugins.vocabulary import Disk, Vm

KIB_PER_MIB = 1024


def grow_disk(connection: libvirt.virConnect, vm: Vm, disk: Disk, path: Path, size_bytes: int) -> None:
    """Make a disk of the running guest as large as that.

    Raises:
        DriverError: ``guest_missing``; ``refused``: the guest does not have the disk, or it would become smaller.
        libvirt.libvirtError: libvirt could not.
    """
    domain = guests.running(connection, vm)
    if hotplug.live_disk(domain, hotplug.disk_device(disk, path)) is None:
        raise DriverError(f"Guest {domain_name(vm.vm_id)} does not have disk {disk.disk_id}", code="refused")
    capacity_bytes = domain.blockInfo(disk.target)[0]
    if size_bytes < capacity_bytes:
        raise DriverError(f"disk {disk.disk_id} has {capacity_bytes} bytes and never becomes smaller", code="refused")
    if size_bytes > capacity_bytes:
        domain.blockResize(disk.target, size_bytes, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)


def resize(connection: libvirt.virConnect, vm: Vm, vcpus: int, memory_mib: int) -> libvirt.virDomain:
    """Give the running guest so many processors and so much memory, and return it.

    Raises:
        DriverError: ``guest_missing``; ``refused``: more than it was deployed for.
        libvirt.libvirtError: libvirt could not; the guest may have the processors already.
    """
    domain = guests.running(connection, vm)
    live = libvirt.VIR_DOMAIN_AFFECT_LIVE
    most_vcpus = domain.vcpusFlags(live | libvirt.VIR_DOMAIN_VCPU_MAXIMUM)
    most_mib = domain.maxMemory() // KIB_PER_MIB
    if vcpus > most_vcpus or memory_mib > most_mib:
        raise DriverError(
            f"Guest {domain_name(vm.vm_id)} runs with at most {most_vcpus} processors and {most_mib} MiB; "
            "power it off first",
            code="refused",
        )
    affected = live | (libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0)
    if vcpus != domain.vcpusFlags(live):
        domain.setVcpusFlags(vcpus, affected)
    domain.setMemoryFlags(memory_mib * KIB_PER_MIB, affected)
    return domain
