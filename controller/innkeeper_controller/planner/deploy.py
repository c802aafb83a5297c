"""Compiles deployments: images fetched, disks made, the guest started; and the way back of a VM that was at rest."""

from collections.abc import Iterable
from typing import Final

from innkeeper_controller.planner.drafts import (
    AGENT,
    CannotPlanError,
    Draft,
    by_hypervisor,
    by_transfer,
    context,
    context_again,
    images_of,
    leave,
    shares_storage,
)
from innkeeper_controller.records import Host, Plan, VmRecord
from innkeeper_plugins.steps import Clone, Deploy, Fetch, Ln, MkImage, MkSwap, Mv, Restore, Step
from innkeeper_plugins.vocabulary import Disk, DiskKind, Holder, HostId, SealedFile, Vm, VmState

#: Most hosts that a step names to fetch one image from.
MAX_HOLDERS: Final = 8


def deploy(vm: VmRecord, host: Host, old_host: Host | None, holders: dict[str, tuple[Holder, ...]]) -> Plan:
    """Compile the first deployment, or the way back of a VM that is stopped or undeployed.

    Args:
        vm: The VM, its spec as the host shall build it.
        host: Where it goes.
        old_host: Where its sealed files lie; None where it has none.
        holders: ``{digest: who can serve it}`` for images and sealed files.

    Raises:
        CannotPlanError: an image or a file is out of reach.
    """
    spec = vm.spec
    draft = Draft(spec)
    if old_host is None:
        steps = fetches(spec, host, holders, VmState.PROLOG)
        steps += [make_disk(disk, VmState.PROLOG) for disk in spec.disks]
        steps += context(spec, VmState.PROLOG)
        steps.append(Deploy(**by_hypervisor(spec, VmState.BOOT)))
        draft.leg(host, steps)
        return draft.plan
    moves = old_host.host_id != host.host_id and not shares_storage(spec, host, old_host)
    steps = []
    if moves:
        steps = fetches(spec, host, holders, VmState.PROLOG) + brought(vm.sealed, holders, VmState.PROLOG)
    start = Restore if vm.saved else Deploy
    steps += [] if vm.saved else context_again(vm, VmState.BOOT)
    steps.append(start(**by_hypervisor(spec, VmState.BOOT)))
    draft.leg(host, steps)
    if moves:
        draft.leg(old_host, leave(spec, VmState.BOOT))
    return draft.plan


def fetches(vm: Vm, host: Host, holders: dict[str, tuple[Holder, ...]], phase: VmState) -> list[Step]:
    """Return a step for each image that the host does not hold yet.

    Raises:
        CannotPlanError: nobody who is there holds the image.
    """
    steps: list[Step] = []
    for ref in images_of(vm):
        if ref.sha256 in host.advertisement.images:
            continue
        sources = holders.get(ref.sha256, ())
        if not sources:
            raise CannotPlanError(
                f"Image {ref.name} is on no connected host; connect a host that holds it (`inn image show {ref.name}`)."
            )
        steps.append(Fetch(step_id=0, phase=phase, driver=AGENT, image=ref, holders=sources))
    return steps


def make_disk(disk: Disk, phase: VmState) -> Step:
    """Return what makes a new disk of its kind."""
    if disk.kind is DiskKind.CDROM:
        return Ln(**by_transfer(disk, phase))
    if disk.kind is DiskKind.SWAP:
        return MkSwap(**by_transfer(disk, phase))
    if disk.kind is DiskKind.VOLATILE:
        return MkImage(**by_transfer(disk, phase))
    return Clone(**by_transfer(disk, phase))


def brought(sealed: Iterable[SealedFile], holders: dict[str, tuple[Holder, ...]], phase: VmState) -> list[Step]:
    """Return what brings sealed files here.

    Raises:
        CannotPlanError: nobody who is there holds one of them.
    """
    steps: list[Step] = []
    for file in sealed:
        sources = holders.get(file.sha256, ())
        if not sources:
            raise CannotPlanError(f"File {file.name} of the VM lies on a host that is not connected; connect it again.")
        steps.append(Mv(step_id=0, phase=phase, driver=AGENT, file=file, holders=sources))
    return steps


def holders_for(vm: Vm, target: Host, hosts: Iterable[Host]) -> dict[str, tuple[Holder, ...]]:
    """Return who can serve the images that the target does not hold yet: ``{digest: holders}``, a few for each."""
    images = images_of(vm)
    if not images:
        return {}
    there = frozenset(target.advertisement.images)
    missing = [ref.sha256 for ref in images if ref.sha256 not in there]
    found: dict[str, list[tuple[HostId, Holder]]] = {}
    for host in hosts if missing else ():
        holder = host.advertisement.holder
        if host.connected and holder is not None:
            for digest in missing:
                if digest in host.advertisement.images:
                    found.setdefault(digest, []).append((host.host_id, holder))
    return {digest: _some(those, target.host_id) for digest, those in found.items()}


def _some(those: list[tuple[HostId, Holder]], target: HostId) -> tuple[Holder, ...]:
    """Return as many as a step names; targets side by side ask others, so that no host has to serve them all."""
    if len(those) > MAX_HOLDERS:
        those = sorted(those, key=lambda each: (each[0] <= target, each[0]))[:MAX_HOLDERS]
    return tuple(holder for _, holder in those)
