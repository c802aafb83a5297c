"""Snapshots of running guests: memory and disks, kept inside the guest's qcow2 disks.

They end with the guest: libvirt forgets them when the guest is switched off, saved or moved.
"""

import xml.etree.ElementTree as ET

import libvirt

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors.libvirt import guests, jobs
from innkeeper_plugins.hypervisors.libvirt.elements import add
from innkeeper_plugins.hypervisors.libvirt.hotplug import definition_of
from innkeeper_plugins.hypervisors.libvirt.identity import DOMAIN_PREFIX, domain_name
from innkeeper_plugins.vocabulary import DiskFormat, DiskKind, Vm


def create(connection: libvirt.virConnect, vm: Vm, snapshot_id: int, name: str, progress: jobs.Progress) -> str:
    """Keep the guest as it is and return the snapshot's name at libvirt.

    Raises:
        DriverError: ``guest_missing``; ``refused``: a disk cannot keep snapshots; what ``progress`` raised.
        libvirt.libvirtError: it could not be kept; the guest runs on.
    """
    domain = guests.running(connection, vm)
    called = snapshot_name(snapshot_id)
    if _lookup(domain, called) is not None:
        return called
    _refuse_raw_disks(vm)
    element = ET.Element("domainsnapshot")
    add(element, "name", called)
    add(element, "description", name)
    definition = ET.tostring(element, encoding="unicode")
    jobs.follow(domain, lambda: domain.snapshotCreateXML(definition, 0), progress)
    return called


def revert(
    connection: libvirt.virConnect, vm: Vm, called: str, progress: jobs.Progress, *, flags: bool
) -> libvirt.virDomain:
    """Bring the guest back to the snapshot of that name and return it, which runs.

    Args:
        connection: Where the guest runs.
        vm: The VM.
        called: The snapshot's name at libvirt.
        progress: Asked whether somebody has cancelled.
        flags: False where libvirt's driver knows no flags.

    Raises:
        DriverError: ``guest_missing``; ``refused``: no such snapshot, or the guest had other disks then.
        libvirt.libvirtError: libvirt could not.
    """
    domain = guests.running(connection, vm)
    snapshot = _lookup(domain, called)
    if snapshot is None:
        raise DriverError(f"Guest {domain_name(vm.vm_id)} has no snapshot {called}", code="refused")
    _refuse_other_disks(snapshot, domain, vm)
    progress(0, 0)
    domain.revertToSnapshot(snapshot, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING if flags else 0)
    # The guest has come back with what was written on it when the snapshot was made.
    return guests.running(connection, vm)


def delete(connection: libvirt.virConnect, vm: Vm, called: str, progress: jobs.Progress) -> None:
    """Drop the snapshot of that name; one that is not there is fine.

    Raises:
        DriverError: ``refused``: the guest is of a higher generation.
        libvirt.libvirtError: libvirt could not.
    """
    domain = guests.find(connection, vm)
    if domain is None:
        return
    guests.adopt(domain, vm)
    snapshot = _lookup(domain, called)
    if snapshot is not None:
        jobs.follow(domain, lambda: snapshot.delete(0), progress)


def snapshot_name(snapshot_id: int) -> str:
    """Return what a snapshot of ours is called at libvirt."""
    return f"{DOMAIN_PREFIX}{snapshot_id}"


def _lookup(domain: libvirt.virDomain, called: str) -> "libvirt.virDomainSnapshot | None":
    try:
        return domain.snapshotLookupByName(called)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT:
            return None
        raise


def _refuse_raw_disks(vm: Vm) -> None:
    for disk in vm.disks:
        is_written = disk.kind is not DiskKind.CDROM and not disk.readonly
        if is_written and disk.format is not DiskFormat.QCOW2:
            raise DriverError(
                f"disk {disk.disk_id} of VM {vm.vm_id} is {disk.format}: only qcow2 disks keep snapshots of a guest; "
                "detach it first, or give it FORMAT=qcow2",
                code="refused",
            )


def _refuse_other_disks(snapshot: "libvirt.virDomainSnapshot", domain: libvirt.virDomain, vm: Vm) -> None:
    then = ET.fromstring(snapshot.getXMLDesc(0)).find("domain")  # noqa: S314 - libvirt's own output
    if then is not None and _devices(then) != _devices(definition_of(domain)):
        raise DriverError(
            f"Guest {domain_name(vm.vm_id)} had other disks or network cards when the snapshot was made; "
            "attach or detach what has changed since, then revert",
            code="refused",
        )


def _devices(domain: ET.Element) -> set[str]:
    found = [*domain.iterfind("devices/disk/target"), *domain.iterfind("devices/interface/mac")]
    return {one.get("dev") or one.get("address", "").lower() for one in found}
