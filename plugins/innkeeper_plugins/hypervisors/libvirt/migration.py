"""Moves running guests to another host, daemon to daemon.

What has to be at the destination before: the VM's directory, the context disk and the images of kernel and initrd,
at the same paths as here; with shared storage the same disks at the same paths, otherwise a file of the same format
and exactly the same virtual size at the path of each writable disk, and complete copies of the read-only ones.
Its bridges have to have the same names. The console's log begins anew there.
"""

import xml.etree.ElementTree as ET

import libvirt

from innkeeper_plugins.hypervisors.libvirt import checkpoints, guests, numa_elements
from innkeeper_plugins.hypervisors.libvirt.jobs import Progress, follow
from innkeeper_plugins.vocabulary import Disk, DiskKind, Vm


def flags(*, shared_storage: bool, unsafe: bool) -> int:
    """Return libvirt's flags: the guest lives on, is known there for good, and is forgotten here.

    Args:
        shared_storage: False to carry the disks along.
        unsafe: True to go on where libvirt does not take the shared storage for one.
    """
    chosen = (
        libvirt.VIR_MIGRATE_LIVE
        | libvirt.VIR_MIGRATE_PEER2PEER
        | libvirt.VIR_MIGRATE_PERSIST_DEST
        | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    )
    if not shared_storage:
        chosen |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
    elif unsafe:
        chosen |= libvirt.VIR_MIGRATE_UNSAFE
    return int(chosen)


def migrate(connection: libvirt.virConnect, vm: Vm, destination_uri: str, progress: Progress, *, flags: int) -> None:
    """Move the VM's guest; one that is there already has been moved by an earlier call.

    Args:
        connection: Where it runs.
        vm: The VM.
        destination_uri: Where the other host's daemon listens.
        progress: Told of bytes done and in total; what it raises stops the migration, and the guest stays.
        flags: As ``flags`` makes them.

    Raises:
        DriverError: ``guest_missing``: it runs neither here nor there.
        libvirt.libvirtError: libvirt failed; the guest runs on here.
    """
    domain = checkpoints.settled(connection, vm, progress)
    if (domain is None or not guests.is_active(domain)) and _runs_at(destination_uri, vm):
        if domain is not None:
            guests.forget(domain, flags=True, nvram=False)
        return
    domain = guests.running(connection, vm)
    parameters: dict[str, object] = {}
    if flags & libvirt.VIR_MIGRATE_NON_SHARED_DISK:
        parameters[libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = [disk.target for disk in vm.disks if _is_copied(disk)]
    if vm.numa is not None and vm.numa_cells:
        parameters |= _elsewhere(domain, vm)
    follow(domain, lambda: domain.migrateToURI3(destination_uri, parameters, flags), progress)


def _elsewhere(domain: libvirt.virDomain, vm: Vm) -> dict[str, object]:
    """Return the guest as it is to be at its destination, where it has other nodes: now, and when it boots again."""
    flags = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE
    return {
        libvirt.VIR_MIGRATE_PARAM_DEST_XML: _moved(domain.XMLDesc(flags), vm),
        libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: _moved(domain.XMLDesc(flags | libvirt.VIR_DOMAIN_XML_INACTIVE), vm),
    }


def _moved(definition: str, vm: Vm) -> str:
    root = ET.fromstring(definition)  # noqa: S314 - libvirt's own output
    numa_elements.move(root, vm)
    return ET.tostring(root, encoding="unicode")


def _is_copied(disk: Disk) -> bool:
    return not disk.readonly and disk.kind is not DiskKind.CDROM


def _runs_at(uri: str, vm: Vm) -> bool:
    connection = libvirt.open(uri)
    try:
        domain = guests.find(connection, vm)
        return domain is not None and guests.is_active(domain)
    finally:
        connection.close()
