"""Which steps take a leg back, and in which order; pure.

It runs nothing and knows no driver.
"""

from collections.abc import Iterable, Sequence

from innkeeper_plugins.steps import (
    AttachDisk,
    AttachNic,
    Clone,
    Delete,
    Ln,
    MkImage,
    MkSwap,
    Mv,
    Premigrate,
    Step,
    undo_of,
)
from innkeeper_plugins.vocabulary import Vm

_DISK_FILE = "disk."


def undo_steps(ran: Sequence[Step], leg: Sequence[Step], vm: Vm | None) -> list[Step]:
    """Return the steps that take back what ``ran``, last first.

    Several steps are taken back by deleting all that the VM has on the host. That runs once a driver, after
    everything else, and replaces that driver's single deletions. It is left out where the VM has a disk that
    this leg neither made nor prepared: what was there before the leg stays.

    Args:
        ran: Steps of the leg that ended well or may be half done, in the order in which they ran.
        leg: All steps of the leg.
        vm: The VM that they are about.
    """
    taken_back = [undo for step in reversed(ran) if (undo := undo_of(step)) is not None]
    sweeps = {step.driver: step for step in taken_back if _deletes_all(step)}
    if not _prepares_migration(leg) and not _made_every_disk(leg, vm):
        return [step for step in taken_back if not _deletes_all(step)]
    singles = [step for step in taken_back if not (isinstance(step, Delete) and step.driver in sweeps)]
    return singles + list(sweeps.values())


def spares_shared(undo: Step, leg: Sequence[Step], vm: Vm | None) -> bool:
    """Whether taking back may not touch what other hosts see as well: the VM may still live there by it."""
    return _deletes_all(undo) and not _made_every_disk(leg, vm)


def _prepares_migration(leg: Iterable[Step]) -> bool:
    return any(isinstance(step, Premigrate) for step in leg)


def _deletes_all(step: Step) -> bool:
    return isinstance(step, Delete) and step.disk_id is None


def _made_every_disk(leg: Sequence[Step], vm: Vm | None) -> bool:
    # A guest that something is plugged into has been there before the leg, also where it had no disk.
    if any(isinstance(step, AttachDisk | AttachNic) for step in leg):
        return False
    made = {disk_id for step in leg if (disk_id := _made_disk(step)) is not None}
    return vm is not None and made.issuperset(disk.disk_id for disk in vm.disks)


def _made_disk(step: Step) -> int | None:
    match step:
        case Clone() | Ln() | MkImage() | MkSwap():
            return step.disk_id
        case Mv(file=file) if file.name.startswith(_DISK_FILE) and file.name.removeprefix(_DISK_FILE).isdigit():
            return int(file.name.removeprefix(_DISK_FILE))
        case _:
            return None
