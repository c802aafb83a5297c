"""Saves guests to their checkpoints and starts them again, so that a crash anywhere leaves one truth.

A guest is saved into a partial file, which becomes the checkpoint when it is complete; then libvirt forgets the guest.
So a checkpoint with no guest beside it is a saved guest, and a running guest is what it always is.
"""

import contextlib
from pathlib import Path

import libvirt

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors.libvirt import guests, jobs
from innkeeper_plugins.hypervisors.libvirt.identity import domain_name
from innkeeper_plugins.transfer.whole_file import sync, told_as_driver_errors
from innkeeper_plugins.vocabulary import Vm


def save(connection: libvirt.virConnect, vm: Vm, checkpoint: Path, progress: jobs.Progress, *, flags: bool) -> None:
    """Save the VM's guest, which stops, and have libvirt forget it.

    Args:
        connection: Where the guest runs.
        vm: The VM.
        checkpoint: The file to save to.
        progress: Told of bytes done and in total; what it raises stops the saving, and the guest runs on.
        flags: False where libvirt's driver knows no flags.

    Raises:
        DriverError: ``guest_missing``: there is neither a guest nor a checkpoint.
        libvirt.libvirtError: the guest could not be saved; it runs on.
    """
    partial = checkpoint.with_name(checkpoint.name + ".part")
    domain = settled(connection, vm, progress)
    if domain is not None and guests.is_active(domain):
        guests.adopt(domain, vm)
        _save_into(partial, domain, progress)
    elif not _is_complete(connection, partial):
        if not checkpoint.exists():
            raise DriverError(f"Guest {domain_name(vm.vm_id)} does not run on this host", code="guest_missing")
        partial = checkpoint
    _put_in_place(partial, checkpoint)
    if domain is not None:
        guests.forget(domain, flags=flags, nvram=False)


def restore(connection: libvirt.virConnect, checkpoint: Path, *, definition: str, saved_as: str, flags: bool) -> None:
    """Define a guest and start it from its checkpoint; where that fails it is forgotten again.

    Args:
        connection: Where the guest shall run.
        checkpoint: The file to start from; it stays.
        definition: Domain XML of the guest's next cold start.
        saved_as: Domain XML of the saved guest, with this host's paths; empty to take what was saved.
        flags: False where libvirt's driver knows no flags.

    Raises:
        libvirt.libvirtError: the guest could not be started.
    """
    with contextlib.ExitStack() as undo:
        domain = connection.defineXML(definition)
        undo.callback(guests.forget, domain, flags=flags, nvram=False)
        if flags:
            connection.restoreFlags(str(checkpoint), saved_as or None, libvirt.VIR_DOMAIN_SAVE_RUNNING)
        else:
            connection.restore(str(checkpoint))
        undo.pop_all()


def settled(connection: libvirt.virConnect, vm: Vm, progress: jobs.Progress) -> libvirt.virDomain | None:
    """Return the VM's domain as ``guests.find`` does, once a job that an earlier agent began has ended."""
    domain = guests.find(connection, vm)
    if domain is None:
        return None
    jobs.settle(domain, progress)
    return guests.find(connection, vm)


def _save_into(partial: Path, domain: libvirt.virDomain, progress: jobs.Progress) -> None:
    with contextlib.ExitStack() as undo:
        undo.callback(partial.unlink, missing_ok=True)
        jobs.follow(domain, lambda: domain.save(str(partial)), progress)
        undo.pop_all()


def _is_complete(connection: libvirt.virConnect, partial: Path) -> bool:
    # libvirt marks a file as whole with its last write.
    if not partial.exists():
        return False
    try:
        connection.saveImageGetXMLDesc(str(partial), 0)
    except libvirt.libvirtError:
        return False
    return True


def _put_in_place(partial: Path, checkpoint: Path) -> None:
    # The guest's memory is nowhere else any more: it has to be on the disk before anybody is told.
    with told_as_driver_errors(checkpoint):
        sync(partial)
        partial.replace(checkpoint)
        sync(checkpoint.parent)
