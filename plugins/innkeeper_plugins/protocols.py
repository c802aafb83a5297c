"""What a driver has to do: the verbs of transfer and hypervisor drivers, and the place they work in.

Every verb may run twice: after a crash the agent calls it again with the same arguments,
and a verb whose work is already done returns as if it had just done it.
Verbs run in a worker thread, one at a time for a VM, in parallel for different VMs; they block until they are done.
They report failure by raising ``DriverError`` and nothing else.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from innkeeper_plugins.vocabulary import Digest, Disk, Nic, Observation, SealedFile, Value, Vm

#: Abilities that a transfer driver may declare in ``capabilities``.
TRANSFER_CAPABILITIES = {
    "shared": "every host sees the same files: nothing is copied between hosts",
    "live": "disks can follow a live migration",
    "snapshot": "snapshot_create, snapshot_revert and snapshot_delete work",
}

#: Abilities that a hypervisor driver may declare in ``capabilities``.
HYPERVISOR_CAPABILITIES = {
    "console": "console() gives the guest's serial console",
    "save": "save and restore work",
    "migrate": "live migration to another host of the same kind works",
    "events": "watch() tells of lifecycle changes as they happen",
    "hotplug": "attach_disk, detach_disk, attach_nic and detach_nic work while the guest runs",
    "snapshot": "snapshot_create, snapshot_revert and snapshot_delete keep memory and disks of a running guest",
    "resize": "grow_disk and resize work while the guest runs",
    "numa": "deploy, restore and migrate tie the guest to the nodes, processors and pages in numa_cells",
    "pci": "deploy gives the guest the host's devices at pci_addresses",
}


class Place(Protocol):
    """Where one verb works: the paths of one VM on this host, and how to tell of progress.

    The agent makes it; paths exist only on the host and never travel.
    """

    def vm_dir(self, vm: Vm) -> Path:
        """Return the VM's directory, made if need be, for its context disk, checkpoint and logs."""
        ...

    def disk_path(self, vm: Vm, disk: Disk) -> Path:
        """Return where the disk's file is or has to be; its directory exists."""
        ...

    def vm_dirs(self, vm: Vm) -> Iterable[Path]:
        """Return every directory that may hold files of the VM on this host, existing or not."""
        ...

    def image_path(self, digest: Digest) -> Path:
        """Return the verified file of an image in this host's cache; read-only.

        Raises:
            DriverError: ``image_missing``: the host does not have the image.
        """
        ...

    def progress(self, done_bytes: int, total_bytes: int) -> None:
        """Say how far the verb is; cheap enough to be called for every chunk.

        Raises:
            DriverError: ``cancelled``: somebody cancelled the operation; clean up and let it pass.
        """
        ...


def context_path(place: Place, vm: Vm) -> Path:
    """Return where the VM's context disk is."""
    return place.vm_dir(vm) / "context.iso"


def checkpoint_path(place: Place, vm: Vm) -> Path:
    """Return where the VM's saved memory is."""
    return place.vm_dir(vm) / "checkpoint"


class DiskStat(Value):
    """What is known of a disk's file."""

    exists: bool
    format: str = ""
    virtual_size_bytes: int = 0
    #: Bytes that the file takes on the host.
    allocated_bytes: int = 0


class TransferDriver(Protocol):
    """Makes, moves and deletes the disks of VMs in a datastore."""

    #: Unique among the transfer drivers of a host; datastores name it.
    name: str
    #: Which of ``TRANSFER_CAPABILITIES`` it has.
    capabilities: frozenset[str]

    def clone(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Make the disk from its image, of ``disk.size_bytes``.

        Before: the image is in the cache. After: the disk can be written and the image has not changed.
        A half-made file of an earlier try is replaced.
        """
        ...

    def ln(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Give the VM the image itself, read-only."""
        ...

    def mv(self, place: Place, vm: Vm, file: SealedFile, source: Path) -> None:
        """Take over ``source``, a file fetched from another host and verified, as the VM's file ``file.name``.

        After: the file is in place and ``source`` is gone.
        """
        ...

    def mkimage(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Make an empty disk, with a file system where ``disk.filesystem`` names one."""
        ...

    def mkswap(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Make a swap disk."""
        ...

    def context(self, place: Place, vm: Vm) -> None:
        """Make the context disk, ``context_path``, from ``vm.context`` and the VM's NICs."""
        ...

    def delete(self, place: Place, vm: Vm, disk: Disk | None) -> None:
        """Delete one disk, or with None all that the VM has here; nothing there is fine."""
        ...

    def resize(self, place: Place, vm: Vm, disk: Disk, size_bytes: int) -> None:
        """Make the disk larger, the guest being off. Never smaller: ``refused``."""
        ...

    def cpds(self, place: Place, vm: Vm, disk: Disk, destination: Path, snapshot_id: int | None) -> None:
        """Copy the disk, the guest being off, as an image file that needs no other file: OpenNebula's word.

        Before: nothing writes to the disk. After: ``destination`` holds the disk's content, or with ``snapshot_id``
        that of the snapshot, in the disk's format; the disk is as it was. What an earlier try left under
        ``destination`` is replaced; on failure nothing is left there.
        """
        ...

    def premigrate(self, place: Place, vm: Vm) -> None:
        """At the destination: make whatever the incoming guest's disks need."""
        ...

    def postmigrate(self, place: Place, vm: Vm) -> None:
        """At the host that the guest has left (or failed to reach): delete its disks, unless they are shared."""
        ...

    def stat(self, place: Place, vm: Vm, disk: Disk) -> DiskStat:
        """Say what is there; a disk that does not exist is an answer, not an error."""
        ...

    def snapshot_create(self, place: Place, vm: Vm, disk: Disk, snapshot_id: int) -> None:
        """Keep the disk's present content under that id. Only with the ability ``snapshot``."""
        ...

    def snapshot_revert(self, place: Place, vm: Vm, disk: Disk, snapshot_id: int) -> None:
        """Bring the content of that snapshot back. Only with the ability ``snapshot``."""
        ...

    def snapshot_delete(self, place: Place, vm: Vm, disk: Disk, snapshot_id: int) -> None:
        """Drop the snapshot. Only with the ability ``snapshot``."""
        ...


class Console(Protocol):
    """An open serial console; used from one thread."""

    def read(self, timeout_s: float) -> bytes | None:
        """Return what the guest printed, ``b""`` where nothing came in time, None when the console has ended."""
        ...

    def write(self, data: bytes) -> None:
        """Type into the console.

        Raises:
            DriverError: the console has ended.
        """
        ...

    def close(self) -> None:
        """Let go of the console; twice is fine."""
        ...


class HypervisorDriver(Protocol):
    """Runs guests. Guests outlive the agent: no verb and no ending of the agent stops one unasked."""

    #: Unique among the hypervisor drivers of a host; VMs name it.
    name: str
    #: Which of ``HYPERVISOR_CAPABILITIES`` it has.
    capabilities: frozenset[str]

    def deploy(self, place: Place, vm: Vm) -> str:
        """Start the guest and return its name at the hypervisor.

        Before: its disks exist. A guest of this VM that already runs at this generation is the success of an
        earlier call; one of a lower generation is an error, ``refused``.
        """
        ...

    def shutdown(self, place: Place, vm: Vm, *, grace_s: int, force: bool) -> None:
        """Press the power button, again and again, until the guest is off.

        Raises:
            DriverError: ``timeout``: still on after ``grace_s`` seconds and ``force`` is false; it keeps running.
        """
        ...

    def cancel(self, place: Place, vm: Vm) -> None:
        """Switch the guest off at once and let the hypervisor forget it; a guest that is not there is fine."""
        ...

    def save(self, place: Place, vm: Vm) -> None:
        """Save memory to ``checkpoint_path`` and stop the guest.

        A checkpoint without a guest is the success of an earlier call. On failure the guest runs on.
        """
        ...

    def restore(self, place: Place, vm: Vm) -> str:
        """Start the guest from ``checkpoint_path``, delete the checkpoint, return the name at the hypervisor.

        A guest that already runs is the success of an earlier call. On failure the checkpoint stays.
        """
        ...

    def migrate(self, place: Place, vm: Vm, *, destination_uri: str, shared_storage: bool) -> None:
        """Move the running guest. On failure it runs on here and nothing of it is left there."""
        ...

    def migration_uri(self) -> str:
        """Return where this host takes migrations, empty where it takes none."""
        ...

    def reboot(self, place: Place, vm: Vm) -> None:
        """Ask the guest to restart."""
        ...

    def reset(self, place: Place, vm: Vm) -> None:
        """Restart the guest as by its reset button."""
        ...

    def attach_disk(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Give the running guest a disk. Only with the ability ``hotplug``.

        Before: the disk's file exists and ``vm`` has the disk. After: the guest has it, and has it after a restart.
        A guest that has it already is the success of an earlier call; on failure the guest does not have it.

        Raises:
            DriverError: ``guest_missing``: it does not run; ``refused``: something else is at the disk's target.
        """
        ...

    def detach_disk(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Take a disk from the running guest. Only with the ability ``hotplug``.

        It ends well only once the hypervisor has been seen without the disk: whoever deletes or reuses a disk that
        was only asked to go gives one guest's data to another (CVE-2023-2088). After: neither the guest nor its
        definition has the disk, whose file is as the guest left it.
        A disk that is not there, and a guest that does not run, are the success of an earlier call.

        Raises:
            DriverError: ``timeout``: the guest has not let go; it may do so later, and the call may be repeated.
        """
        ...

    def attach_nic(self, place: Place, vm: Vm, nic: Nic) -> None:
        """Give the running guest a network card; as ``attach_disk``. Only with the ability ``hotplug``.

        Raises:
            DriverError: ``guest_missing``: it does not run; ``refused``: another card has its MAC address.
        """
        ...

    def detach_nic(self, place: Place, vm: Vm, nic: Nic) -> None:
        """Take a network card from the running guest; as ``detach_disk``. Only with the ability ``hotplug``.

        Raises:
            DriverError: ``timeout``: the guest has not let go; it may do so later, and the call may be repeated.
        """
        ...

    def snapshot_create(self, place: Place, vm: Vm, snapshot_id: int, name: str) -> str:
        """Keep the running guest's memory and disks, and return the snapshot's name at the hypervisor.

        ``name`` is what people call it. A snapshot of that id which is there is the success of an earlier call.
        On failure the guest runs on and nothing is kept. Only with the ability ``snapshot``.

        Raises:
            DriverError: ``guest_missing``: it does not run; ``refused``: it has a disk that cannot be kept.
        """
        ...

    def snapshot_revert(self, place: Place, vm: Vm, snapshot_id: int, hypervisor_id: str) -> None:
        """Bring memory and disks back to the snapshot; it stays, and the guest runs. Only with ``snapshot``.

        ``hypervisor_id`` is what ``snapshot_create`` returned, empty where that is not known.

        Raises:
            DriverError: ``guest_missing``: it does not run; ``refused``: there is no such snapshot.
        """
        ...

    def snapshot_delete(self, place: Place, vm: Vm, snapshot_id: int, hypervisor_id: str) -> None:
        """Drop a snapshot; one that is not there is fine, and so is a missing guest. Only with ``snapshot``."""
        ...

    def grow_disk(self, place: Place, vm: Vm, disk: Disk, size_bytes: int) -> None:
        """Make a disk of the running guest larger, which the guest sees. Only with the ability ``resize``.

        A disk that has the size is the success of an earlier call.

        Raises:
            DriverError: ``guest_missing``: it does not run; ``refused``: the disk would become smaller.
        """
        ...

    def resize(self, place: Place, vm: Vm, vcpus: int, memory_mib: int) -> None:
        """Give the running guest so many processors and so much memory. Only with the ability ``resize``.

        A guest that has them is the success of an earlier call.

        Raises:
            DriverError: ``guest_missing``: it does not run; ``refused``: more than ``vcpus_max`` and
                ``memory_max_mib`` of its deployment; it is as it was and has to be powered off first.
        """
        ...

    def poll(self) -> list[Observation]:
        """Say of every guest of ours what it does: those that ran and have ended too, until ``cancel``."""
        ...

    def watch(self, changed: Callable[[Observation], None]) -> None:
        """Call ``changed`` from any thread at every lifecycle change, from now until ``close``. Ability ``events``."""
        ...

    def console(self, place: Place, vm: Vm) -> Console:
        """Open the guest's serial console. Ability ``console``.

        Raises:
            DriverError: ``guest_missing``: it does not run.
        """
        ...

    def close(self) -> None:
        """Let go of connections and threads; guests run on."""
        ...
