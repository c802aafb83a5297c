"""What may be asked of this host, and the order that a ``Disown`` becomes; pure."""

import re
from collections.abc import Sequence

import msgspec

from innkeeper_hostagent.protocol.messages import CarryOut, Disown
from innkeeper_plugins.steps import (
    AttachNic,
    Cancel,
    Delete,
    DetachNic,
    DropImage,
    Family,
    Fetch,
    ImportImage,
    Mv,
    Postmigrate,
    SaveImage,
    Seal,
    Step,
    verb_of,
)
from innkeeper_plugins.vocabulary import DriverFacts, DriverKind, OperationId, Vm, VmState

#: Begins the operation ids that the agent gives to its own orders; the controller's never begin so.
DISOWN = "disown:"
#: Ability of a driver whose files other hosts see as well.
_SHARED = "shared"
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_DISK = "disk."
_SEALED_NAME = re.compile(r"(disk\.\d{1,9}|checkpoint|context\.iso)\Z", re.ASCII)
_KIND_OF_FAMILY = {Family.TRANSFER: DriverKind.TRANSFER, Family.HYPERVISOR: DriverKind.HYPERVISOR}


def is_ours(operation_id: OperationId) -> bool:
    """Whether the agent itself gave the order; nobody waits for an answer."""
    return operation_id.startswith(DISOWN)


def generation_of(request: CarryOut) -> int | None:
    """Return the generation of the VM that the order is about; None for an image."""
    return None if request.vm is None else request.vm.generation


def flaw_of(request: CarryOut) -> str:
    """Return what is wrong with the order in itself; empty for a sound one."""
    return _flaw_of_steps(request) or _flaw_of_vm(request)


def _flaw_of_steps(request: CarryOut) -> str:
    ids = [step.step_id for step in request.steps]
    if len(set(ids)) != len(ids):
        return "two steps have one id"
    if request.operation_id.startswith(DISOWN):
        return "an operation id of the agent's own"
    return next((flaw for step in request.steps if (flaw := _flaw_of_names(step))), "")


def _flaw_of_names(step: Step) -> str:
    """Return what is wrong with names that become parts of paths."""
    match step:
        case Fetch(image=image):
            return "" if _DIGEST.match(image.sha256) else "a digest that is none"
        case DropImage(sha256=sha256):
            return "" if _DIGEST.match(sha256) else "a digest that is none"
        case Mv(file=file):
            sound = _DIGEST.match(file.sha256) and _SEALED_NAME.match(file.name)
            return "" if sound else "a sealed file that no VM has"
        case ImportImage(sha256=sha256) if sha256:
            return "" if _DIGEST.match(sha256) else "a digest that is none"
    return ""


def _flaw_of_vm(request: CarryOut) -> str:
    if request.vm is None:
        return "steps of a VM without the VM" if any(_needs_vm(step) for step in request.steps) else ""
    if request.subject != f"vm:{request.vm.vm_id}":
        return "the VM is not the subject"
    disks = {disk.disk_id for disk in request.vm.disks}
    named = {disk_id for step in request.steps if (disk_id := _disk_of(step)) is not None}
    if not named <= disks:
        return "a step names a disk that the VM does not have"
    nics = {nic.nic_id for nic in request.vm.nics}
    plugged = {step.nic_id for step in request.steps if isinstance(step, AttachNic | DetachNic)}
    return "" if plugged <= nics else "a step names a network card that the VM does not have"


def lacks_driver(request: CarryOut, names: frozenset[tuple[DriverKind, str]]) -> bool:
    """Whether the order names a driver that is not among ``names``."""
    for step in request.steps:
        kind = _KIND_OF_FAMILY.get(verb_of(step).family)
        if kind is not None and (kind, step.driver) not in names:
            return True
    return False


def disown_order(disown: Disown, held: Vm | None, drivers: Sequence[DriverFacts]) -> CarryOut:
    """Return the order that switches a guest off and deletes the files that only this host sees.

    Args:
        disown: Which VM, and the highest generation that is given up.
        held: The VM as it was last known here; None where only its id is known.
        drivers: What this host has; all of them are asked where the VM is not known.
    """
    # In the generation that is given up: a driver refuses an order of a lower one than its guest has.
    vm = msgspec.structs.replace(held, generation=disown.generation) if held else _stranger(disown)
    hypervisors = [d.name for d in drivers if d.kind is DriverKind.HYPERVISOR and vm.hypervisor in {"", d.name}]
    transfers = [d for d in drivers if d.kind is DriverKind.TRANSFER]
    steps: list[Step] = [
        Cancel(step_id=number, phase=VmState.SHUTDOWN, driver=name) for number, name in enumerate(hypervisors)
    ]
    steps += [
        verb(step_id=number, phase=VmState.EPILOG, driver=name)
        for number, (name, verb) in enumerate(_deletions(held, transfers), start=len(steps))
    ]
    return CarryOut(
        operation_id=OperationId(f"{DISOWN}{vm.vm_id}:{vm.generation}"),
        request_id="",
        leg=0,
        subject=f"vm:{vm.vm_id}",
        kind="disown",
        steps=tuple(steps),
        expires_in_s=0.0,
        vm=vm,
    )


def _stranger(disown: Disown) -> Vm:
    """Return a VM of which nothing but its id is known; it names no hypervisor."""
    return Vm(
        vm_id=disown.vm_id,
        name=f"vm-{disown.vm_id}",
        uuid=disown.uuid,
        generation=disown.generation,
        cpu_cores=0,
        vcpus=1,
        memory_mib=0,
        hypervisor="",
    )


def _deletions(held: Vm | None, transfers: Sequence[DriverFacts]) -> list[tuple[str, type[Delete | Postmigrate]]]:
    """Return which drivers delete, and how: a shared driver never deletes what another host may use."""
    wanted = {held.driver, *(disk.driver for disk in held.disks)} if held else {driver.name for driver in transfers}
    chosen = [driver for driver in transfers if driver.name in wanted]
    # What deletes the directories comes last: the others may make them again to look into them.
    chosen.sort(key=lambda driver: _SHARED not in driver.capabilities)
    return [(driver.name, Postmigrate if _SHARED in driver.capabilities else Delete) for driver in chosen]


def _disk_of(step: Step) -> int | None:
    if isinstance(step, Mv):
        name = step.file.name
        return int(name.removeprefix(_DISK)) if name.startswith(_DISK) else None
    disk_id: int | None = getattr(step, "disk_id", None)
    return disk_id


def _needs_vm(step: Step) -> bool:
    return verb_of(step).family is not Family.AGENT or isinstance(step, Mv | Seal | SaveImage)
