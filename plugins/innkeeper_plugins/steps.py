"""The verbs of a plan: each step is one idempotent act that an agent is asked for.

A step names things by id, never by path.
Adding a verb: a class here, a row in ``VERBS``, the driver method it names, its line in the contract suite.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from innkeeper_plugins.vocabulary import (
    Digest,
    Holder,
    ImageId,
    ImageRef,
    SealedFile,
    Value,
    VmState,
)


class StepBase(Value):
    """What every step has."""

    #: Unique in its operation, counted from 0 in the order of execution.
    step_id: int
    #: The state that the VM is in while the step runs.
    phase: VmState
    #: The driver that carries it out; ``agent`` where the agent does it itself.
    driver: str


class Fetch(StepBase, tag="fetch"):
    """Bring an image into the host's cache from whoever holds it, every chunk verified."""

    image: ImageRef
    holders: tuple[Holder, ...]


class Clone(StepBase, tag="clone"):
    """Make the VM's own disk from its image."""

    disk_id: int


class Ln(StepBase, tag="ln"):
    """Use the image itself as the VM's disk."""

    disk_id: int


class MkImage(StepBase, tag="mkimage"):
    """Make an empty disk, formatted where the disk says so."""

    disk_id: int


class MkSwap(StepBase, tag="mkswap"):
    """Make a swap disk."""

    disk_id: int


class Context(StepBase, tag="context"):
    """Make the context disk from the VM's context variables."""

    #: True where the VM has had one before: there is nothing to take back then.
    renewed: bool = False


class Seal(StepBase, tag="seal"):
    """Digest the files of a VM at rest so that another host can fetch them; result ``files``."""


class Mv(StepBase, tag="mv"):
    """Fetch a sealed file of the VM from the host that holds it."""

    file: SealedFile
    holders: tuple[Holder, ...]


class Delete(StepBase, tag="delete"):
    """Delete one disk of the VM, or (``disk_id`` None) all that the VM has on this host."""

    disk_id: int | None = None


class Premigrate(StepBase, tag="premigrate"):
    """Prepare the destination for a live migration: its disks exist and can be written."""


class Postmigrate(StepBase, tag="postmigrate"):
    """Clean up at the source after a live migration: its copies of the disks go."""


class Deploy(StepBase, tag="deploy"):
    """Start the guest; result ``deploy_id``."""


class Shutdown(StepBase, tag="shutdown"):
    """Ask the guest to power off and wait until it is off; after the grace, force it if told to."""

    grace_s: int
    force: bool = False


class Cancel(StepBase, tag="cancel"):
    """Switch the guest off at once."""


class Save(StepBase, tag="save"):
    """Save the guest's memory beside its disks and stop it."""


class Restore(StepBase, tag="restore"):
    """Start the guest from its saved memory, then drop the saved memory."""


class Migrate(StepBase, tag="migrate"):
    """Move the running guest to another host, which has been prepared by ``premigrate``."""

    #: Where the destination takes migrations; each hypervisor driver knows its own form.
    destination_uri: str
    #: True where both hosts see the same disks.
    shared_storage: bool


class Reboot(StepBase, tag="reboot"):
    """Ask the guest to restart."""


class Reset(StepBase, tag="reset"):
    """Restart the guest as by its reset button."""


class AttachDisk(StepBase, tag="attach_disk"):
    """Give the running guest a disk that exists; the order's VM has it already."""

    disk_id: int


class DetachDisk(StepBase, tag="detach_disk"):
    """Take a disk from the running guest and wait until the guest has let go; the order's VM still has it."""

    disk_id: int


class AttachNic(StepBase, tag="attach_nic"):
    """Give the running guest a network card; the order's VM has it already."""

    nic_id: int


class DetachNic(StepBase, tag="detach_nic"):
    """Take a network card from the running guest and wait until it is gone; the order's VM still has it."""

    nic_id: int


class SnapshotCreate(StepBase, tag="snapshot_create"):
    """Keep the running guest's memory and disks under that id; result ``hypervisor_id``."""

    snapshot_id: int
    #: As the user calls it; means nothing to the hypervisor.
    name: str


class SnapshotRevert(StepBase, tag="snapshot_revert"):
    """Bring the guest back to how it was when the snapshot was made; it stays."""

    snapshot_id: int
    #: What ``snapshot_create`` answered; empty where that is not known.
    hypervisor_id: str = ""


class SnapshotDelete(StepBase, tag="snapshot_delete"):
    """Drop a snapshot of the guest; one that is not there is fine."""

    snapshot_id: int
    #: What ``snapshot_create`` answered; empty where that is not known.
    hypervisor_id: str = ""


class DiskSnapshotCreate(StepBase, tag="disk_snapshot_create"):
    """Keep the content of a disk, the guest being off, under that id."""

    disk_id: int
    snapshot_id: int


class DiskSnapshotRevert(StepBase, tag="disk_snapshot_revert"):
    """Bring the content of that snapshot of a disk back, the guest being off; the snapshot stays."""

    disk_id: int
    snapshot_id: int


class DiskSnapshotDelete(StepBase, tag="disk_snapshot_delete"):
    """Drop a snapshot of a disk, the guest being off; one that is not there is fine."""

    disk_id: int
    snapshot_id: int


class ResizeDisk(StepBase, tag="resize_disk"):
    """Make a disk larger, the guest being off."""

    disk_id: int
    size_bytes: int


class GrowDisk(StepBase, tag="grow_disk"):
    """Make a disk larger while the guest runs, which sees it grow."""

    disk_id: int
    size_bytes: int


class Resize(StepBase, tag="resize"):
    """Give the running guest so many processors and so much memory."""

    vcpus: int
    memory_mib: int


class SaveImage(StepBase, tag="save_image"):
    """Copy a disk, which nothing writes to, as an image of its own into this host's cache.

    Result ``sha256 size_bytes virtual_size_bytes format``, as of ``import_image``.
    """

    disk_id: int
    image_id: ImageId
    #: The snapshot of the disk that is copied, as ``disk_snapshot_create`` has named it; -1 for the disk as it is.
    snapshot_id: int = -1
    #: Name of the datastore that takes the image; empty for that of the disk.
    datastore: str = ""


class ImportImage(StepBase, tag="import_image"):
    """Take an image into this host's datastore; result ``sha256 size_bytes virtual_size_bytes format``.

    At most one of ``holders`` (an upload), ``path`` and ``url`` is given; with none of them ``size_bytes`` is,
    and the image is an empty raw one of that size.
    """

    image_id: ImageId
    #: Name of the datastore that takes it.
    datastore: str
    #: Format that the user declared; empty to take what the inspection finds.
    format: str = ""
    #: Digest that must come out; empty where the user gave none (never empty with ``holders``).
    sha256: str = ""
    size_bytes: int | None = None
    holders: tuple[Holder, ...] = ()
    #: Relative to one of the import directories that the agent's configuration allows.
    path: str = ""
    url: str = ""


class DropImage(StepBase, tag="drop_image"):
    """Delete the image from this host's cache; a digest that is not there is fine."""

    sha256: Digest


Step: TypeAlias = (
    Fetch
    | Clone
    | Ln
    | MkImage
    | MkSwap
    | Context
    | Seal
    | Mv
    | Delete
    | Premigrate
    | Postmigrate
    | Deploy
    | Shutdown
    | Cancel
    | Save
    | Restore
    | Migrate
    | Reboot
    | Reset
    | AttachDisk
    | DetachDisk
    | AttachNic
    | DetachNic
    | SnapshotCreate
    | SnapshotRevert
    | SnapshotDelete
    | DiskSnapshotCreate
    | DiskSnapshotRevert
    | DiskSnapshotDelete
    | ResizeDisk
    | GrowDisk
    | Resize
    | SaveImage
    | ImportImage
    | DropImage
)


class Family(StrEnum):
    """Who carries a step out."""

    #: The agent itself.
    AGENT = "agent"
    #: The transfer driver that ``StepBase.driver`` names.
    TRANSFER = "transfer"
    #: The hypervisor driver that ``StepBase.driver`` names.
    HYPERVISOR = "hypervisor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """What there is to know about a kind of step."""

    #: As in the transfer script and as the driver's method is called.
    name: str
    family: Family
    #: Reads the step as one line of the transfer script, without its driver.
    line: Callable[[Any], str]
    #: The step that takes it back, with the same id; None where there is nothing to take back.
    undo: Callable[[Any], Step | None] | None = None
    #: Once it has run there is no way back: an operation that fails later can only be retried.
    final: bool = False


def _like(step: StepBase) -> dict[str, Any]:
    return {"step_id": step.step_id, "phase": step.phase, "driver": step.driver}


def _short(digest: str) -> str:
    return f"sha256:{digest[:12]}"


def _source(step: ImportImage) -> str:
    if step.holders:
        return "upload"
    return step.url or step.path or f"nothing, {step.size_bytes} bytes"


VERBS: dict[type[StepBase], Verb] = {
    Fetch: Verb(
        name="fetch",
        family=Family.AGENT,
        line=lambda s: f"{_short(s.image.sha256)} {s.image.name} from {', '.join(h.endpoint for h in s.holders)}",
    ),
    Clone: Verb(
        name="clone",
        family=Family.TRANSFER,
        line=lambda s: f"disk.{s.disk_id}",
        undo=lambda s: Delete(disk_id=s.disk_id, **_like(s)),
    ),
    Ln: Verb(
        name="ln",
        family=Family.TRANSFER,
        line=lambda s: f"disk.{s.disk_id}",
        undo=lambda s: Delete(disk_id=s.disk_id, **_like(s)),
    ),
    MkImage: Verb(
        name="mkimage",
        family=Family.TRANSFER,
        line=lambda s: f"disk.{s.disk_id}",
        undo=lambda s: Delete(disk_id=s.disk_id, **_like(s)),
    ),
    MkSwap: Verb(
        name="mkswap",
        family=Family.TRANSFER,
        line=lambda s: f"disk.{s.disk_id}",
        undo=lambda s: Delete(disk_id=s.disk_id, **_like(s)),
    ),
    Context: Verb(
        name="context",
        family=Family.TRANSFER,
        line=lambda _: "context.iso",
        undo=lambda s: None if s.renewed else Delete(**_like(s)),
    ),
    Seal: Verb(name="seal", family=Family.AGENT, line=lambda _: "all files"),
    Mv: Verb(
        name="mv",
        family=Family.AGENT,
        line=lambda s: f"{s.file.name} {_short(s.file.sha256)} from {', '.join(h.endpoint for h in s.holders)}",
        undo=lambda s: Delete(**_like(s)),
    ),
    Delete: Verb(
        name="delete",
        family=Family.TRANSFER,
        line=lambda s: "all files" if s.disk_id is None else f"disk.{s.disk_id}",
        final=True,
    ),
    Premigrate: Verb(
        name="premigrate",
        family=Family.TRANSFER,
        line=lambda _: "all disks",
        undo=lambda s: Postmigrate(**_like(s)),
    ),
    Postmigrate: Verb(name="postmigrate", family=Family.TRANSFER, line=lambda _: "all disks", final=True),
    Deploy: Verb(
        name="deploy",
        family=Family.HYPERVISOR,
        line=lambda _: "start the guest",
        undo=lambda s: Cancel(**_like(s)),
    ),
    Shutdown: Verb(
        name="shutdown",
        family=Family.HYPERVISOR,
        line=lambda s: f"power button, {s.grace_s} s" + (", then off" if s.force else ""),
        final=True,
    ),
    Cancel: Verb(name="cancel", family=Family.HYPERVISOR, line=lambda _: "off", final=True),
    Save: Verb(
        name="save",
        family=Family.HYPERVISOR,
        line=lambda _: "memory to checkpoint",
        undo=lambda s: Restore(**_like(s)),
    ),
    Restore: Verb(
        name="restore",
        family=Family.HYPERVISOR,
        line=lambda _: "memory from checkpoint",
        final=True,
    ),
    Migrate: Verb(
        name="migrate",
        family=Family.HYPERVISOR,
        line=lambda s: f"live to {s.destination_uri}" + ("" if s.shared_storage else " with its disks"),
        final=True,
    ),
    Reboot: Verb(name="reboot", family=Family.HYPERVISOR, line=lambda _: "reboot"),
    Reset: Verb(name="reset", family=Family.HYPERVISOR, line=lambda _: "reset"),
    AttachDisk: Verb(
        name="attach_disk",
        family=Family.HYPERVISOR,
        line=lambda s: f"disk.{s.disk_id}",
        undo=lambda s: DetachDisk(disk_id=s.disk_id, **_like(s)),
    ),
    DetachDisk: Verb(name="detach_disk", family=Family.HYPERVISOR, line=lambda s: f"disk.{s.disk_id}", final=True),
    AttachNic: Verb(
        name="attach_nic",
        family=Family.HYPERVISOR,
        line=lambda s: f"nic.{s.nic_id}",
        undo=lambda s: DetachNic(nic_id=s.nic_id, **_like(s)),
    ),
    DetachNic: Verb(name="detach_nic", family=Family.HYPERVISOR, line=lambda s: f"nic.{s.nic_id}", final=True),
    SnapshotCreate: Verb(
        name="snapshot_create",
        family=Family.HYPERVISOR,
        line=lambda s: f"guest snapshot {s.snapshot_id}",
        undo=lambda s: SnapshotDelete(snapshot_id=s.snapshot_id, **_like(s)),
    ),
    SnapshotRevert: Verb(
        name="snapshot_revert",
        family=Family.HYPERVISOR,
        line=lambda s: f"guest snapshot {s.snapshot_id}",
        final=True,
    ),
    SnapshotDelete: Verb(
        name="snapshot_delete",
        family=Family.HYPERVISOR,
        line=lambda s: f"guest snapshot {s.snapshot_id}",
        final=True,
    ),
    DiskSnapshotCreate: Verb(
        name="snapshot_create",
        family=Family.TRANSFER,
        line=lambda s: f"disk.{s.disk_id} snapshot {s.snapshot_id}",
        undo=lambda s: DiskSnapshotDelete(disk_id=s.disk_id, snapshot_id=s.snapshot_id, **_like(s)),
    ),
    DiskSnapshotRevert: Verb(
        name="snapshot_revert",
        family=Family.TRANSFER,
        line=lambda s: f"disk.{s.disk_id} snapshot {s.snapshot_id}",
        final=True,
    ),
    DiskSnapshotDelete: Verb(
        name="snapshot_delete",
        family=Family.TRANSFER,
        line=lambda s: f"disk.{s.disk_id} snapshot {s.snapshot_id}",
        final=True,
    ),
    ResizeDisk: Verb(
        name="resize",
        family=Family.TRANSFER,
        line=lambda s: f"disk.{s.disk_id} to {s.size_bytes} bytes",
        final=True,
    ),
    GrowDisk: Verb(
        name="grow_disk",
        family=Family.HYPERVISOR,
        line=lambda s: f"disk.{s.disk_id} to {s.size_bytes} bytes",
        final=True,
    ),
    Resize: Verb(
        name="resize",
        family=Family.HYPERVISOR,
        line=lambda s: f"{s.vcpus} vcpus, {s.memory_mib} MiB",
        final=True,
    ),
    SaveImage: Verb(
        name="save_image",
        family=Family.AGENT,
        line=lambda s: f"disk.{s.disk_id} as image {s.image_id}",
    ),
    ImportImage: Verb(
        name="import_image",
        family=Family.AGENT,
        line=lambda s: f"image {s.image_id} from {_source(s)}",
    ),
    DropImage: Verb(name="drop_image", family=Family.AGENT, line=lambda s: _short(s.sha256), final=True),
}


def verb_of(step: StepBase) -> Verb:
    """Return what there is to know about the step's kind."""
    return VERBS[type(step)]


def script_line(step: StepBase) -> str:
    """Return the step as a line of the transfer script: ``0 PROLOG qcow2 clone disk.0``."""
    verb = verb_of(step)
    return f"{step.step_id} {step.phase} {step.driver} {verb.name} {verb.line(step)}"


def undo_of(step: StepBase) -> Step | None:
    """Return the step that takes this one back, or None where there is nothing to take back."""
    undo = verb_of(step).undo
    return undo(step) if undo else None
