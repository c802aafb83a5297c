"""What becomes of a simulated guest when something is plugged, kept or resized; pure.

It must not keep guests, nor decide whether the change happens.
"""

import msgspec

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors.simulated_guests import Guest
from innkeeper_plugins.vocabulary import Disk, Nic, Vm

_replace = msgspec.structs.replace


def with_disk(guest: Guest, disk: Disk) -> Guest:
    """Return the guest with the disk.

    Raises:
        DriverError: ``refused``: another disk is at its target.
    """
    if guest.disks.get(disk.target, disk.disk_id) != disk.disk_id:
        raise DriverError(f"Guest {guest.name} has another disk at {disk.target}", code="refused")
    grown = {disk.target: max(disk.size_bytes, guest.sizes_bytes.get(disk.target, 0))}
    return _replace(guest, disks=guest.disks | {disk.target: disk.disk_id}, sizes_bytes=guest.sizes_bytes | grown)


def without_disk(guest: Guest, disk: Disk) -> Guest:
    """Return the guest without the disk; another one at its target stays."""
    if guest.disks.get(disk.target) != disk.disk_id:
        return guest
    return _replace(
        guest,
        disks={target: disk_id for target, disk_id in guest.disks.items() if target != disk.target},
        sizes_bytes={target: size for target, size in guest.sizes_bytes.items() if target != disk.target},
    )


def with_nic(guest: Guest, nic: Nic) -> Guest:
    """Return the guest with the network card.

    Raises:
        DriverError: ``refused``: another card has its MAC address.
    """
    if guest.nics.get(nic.mac, nic.nic_id) != nic.nic_id:
        raise DriverError(f"Guest {guest.name} has another card with {nic.mac}", code="refused")
    if nic.mac in guest.nics:
        return guest
    ips = (*guest.ips, nic.ip) if nic.ip else guest.ips
    return _replace(guest, nics=guest.nics | {nic.mac: nic.nic_id}, ips=ips)


def without_nic(guest: Guest, nic: Nic) -> Guest:
    """Return the guest without the network card; another one with its MAC address stays."""
    if guest.nics.get(nic.mac) != nic.nic_id:
        return guest
    nics = {mac: nic_id for mac, nic_id in guest.nics.items() if mac != nic.mac}
    return _replace(guest, nics=nics, ips=tuple(ip for ip in guest.ips if ip != nic.ip))


def kept(guest: Guest, snapshot_id: int) -> Guest:
    """Return the guest with a snapshot of what it is now; one of that id that is there stays."""
    return _replace(guest, snapshots={snapshot_id: guest.boots} | guest.snapshots)


def reverted(guest: Guest, snapshot_id: int) -> Guest:
    """Return the guest as it was when the snapshot was made.

    Raises:
        DriverError: ``refused``: it has no such snapshot.
    """
    if snapshot_id not in guest.snapshots:
        raise DriverError(f"Guest {guest.name} has no snapshot {snapshot_id}", code="refused")
    return _replace(guest, boots=guest.snapshots[snapshot_id])


def dropped(guest: Guest, snapshot_id: int) -> Guest:
    """Return the guest without the snapshot."""
    left = {one: boots for one, boots in guest.snapshots.items() if one != snapshot_id}
    return _replace(guest, snapshots=left)


def grown(guest: Guest, disk: Disk, size_bytes: int) -> Guest:
    """Return the guest with the disk as large as that.

    Raises:
        DriverError: ``refused``: the guest does not have it, or it would become smaller.
    """
    if guest.disks.get(disk.target) != disk.disk_id:
        raise DriverError(f"Guest {guest.name} has no disk {disk.disk_id}", code="refused")
    if size_bytes < guest.sizes_bytes.get(disk.target, 0):
        raise DriverError(f"disk {disk.disk_id} never becomes smaller than it is", code="refused")
    return _replace(guest, sizes_bytes=guest.sizes_bytes | {disk.target: size_bytes})


def resized(guest: Guest, vm: Vm, vcpus: int, memory_mib: int) -> Guest:
    """Return the guest with so many processors and so much memory.

    Raises:
        DriverError: ``refused``: more than it was deployed for.
    """
    if vcpus > guest.vcpus_max or memory_mib > guest.memory_max_mib:
        raise DriverError(
            f"Guest {guest.name} runs with at most {guest.vcpus_max} processors and {guest.memory_max_mib} MiB; "
            "power it off first",
            code="refused",
        )
    return _replace(guest, vcpus=vcpus, memory_mib=memory_mib, cpu_cores=vm.cpu_cores)
