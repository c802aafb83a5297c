"""Compiles plans: which steps on which hosts carry an operation out.

A function of records only; it sends nothing and changes nothing.
What a plan cannot know before a leg has run (digests of sealed files), ``after_leg`` adds.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from innkeeper_controller.records import Host, Leg, OperationKind, Plan, VmRecord
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.steps import (
    Cancel,
    Clone,
    Context,
    Delete,
    Deploy,
    Fetch,
    Ln,
    Migrate,
    MkImage,
    MkSwap,
    Mv,
    Postmigrate,
    Premigrate,
    Reboot,
    Reset,
    Restore,
    Save,
    Seal,
    Shutdown,
    Step,
)
from innkeeper_plugins.vocabulary import (
    Disk,
    DiskKind,
    DriverKind,
    Holder,
    HostId,
    ImageRef,
    Outcome,
    SealedFile,
    Value,
    Vm,
    VmState,
)

AGENT = "agent"


class CannotPlanError(InnkeeperError):
    """The operation is not possible on these hosts; the text says why."""


class PlanOptions(Value):
    """What the person who asked left open or wants otherwise."""

    #: Off at once instead of by the power button.
    hard: bool = False
    #: How long a guest has to power off.
    grace_s: int = 120


@dataclass(slots=True)
class Draft:
    """A plan being written; numbers the steps."""

    vm: Vm
    legs: list[Leg] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def leg(self, host: Host, steps: Iterable[Step]) -> None:
        """Add a leg, if there is anything to do."""
        numbered = tuple(msgspec.structs.replace(step, step_id=next(self.numbers)) for step in steps)
        if numbered:
            self.legs.append(Leg(host_id=host.host_id, steps=numbered))

    @property
    def plan(self) -> Plan:
        """The finished plan."""
        return Plan(legs=tuple(self.legs))


def _hypervisor(vm: Vm, phase: VmState) -> dict[str, object]:
    return {"step_id": 0, "phase": phase, "driver": vm.hypervisor}


def _transfer(disk: Disk, phase: VmState) -> dict[str, object]:
    return {"step_id": 0, "phase": phase, "driver": disk.driver, "disk_id": disk.disk_id}


def shares_storage(vm: Vm, *hosts: Host) -> bool:
    """Return True where every one of the hosts sees the same files of the VM."""
    names = {vm.driver, *(disk.driver for disk in vm.disks)}
    return all(has_ability(host, DriverKind.TRANSFER, name, "shared") for host in hosts for name in names)


def has_ability(host: Host, kind: DriverKind, name: str, ability: str) -> bool:
    """Return True where the host's driver declares that ability."""
    return any(
        facts.kind is kind and facts.name == name and ability in facts.capabilities
        for facts in host.advertisement.drivers
    )


def images_of(vm: Vm) -> tuple[ImageRef, ...]:
    """Return the images that the VM needs on its host, each once."""
    refs = [disk.image for disk in vm.disks] + [vm.boot.kernel, vm.boot.initrd]
    return tuple({ref.sha256: ref for ref in refs if ref is not None}.values())


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


def _make_disk(disk: Disk, phase: VmState) -> Step:
    if disk.kind is DiskKind.CDROM:
        return Ln(**_transfer(disk, phase))  # type: ignore[arg-type]  # fields common to all steps
    if disk.kind is DiskKind.SWAP:
        return MkSwap(**_transfer(disk, phase))  # type: ignore[arg-type]  # the same
    if disk.kind is DiskKind.VOLATILE:
        return MkImage(**_transfer(disk, phase))  # type: ignore[arg-type]  # the same
    return Clone(**_transfer(disk, phase))  # type: ignore[arg-type]  # the same


def _context(vm: Vm, phase: VmState) -> list[Step]:
    return [Context(step_id=0, phase=phase, driver=vm.driver)] if vm.context else []


def _drivers(vm: Vm) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(disk.driver for disk in vm.disks), vm.driver]))


def _delete_all(vm: Vm, phase: VmState) -> list[Step]:
    return [Delete(step_id=0, phase=phase, driver=vm.driver)]


def _leave(vm: Vm, phase: VmState) -> list[Step]:
    """Return what deletes the VM's files at a host that it has left, but not those that its new host sees as well."""
    return [Postmigrate(step_id=0, phase=phase, driver=name) for name in _drivers(vm)]


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
        steps += [_make_disk(disk, VmState.PROLOG) for disk in spec.disks]
        steps += _context(spec, VmState.PROLOG)
        steps.append(Deploy(**_hypervisor(spec, VmState.BOOT)))  # type: ignore[arg-type]  # common fields
        draft.leg(host, steps)
        return draft.plan
    moves = old_host.host_id != host.host_id and not shares_storage(spec, host, old_host)
    steps = []
    if moves:
        steps = fetches(spec, host, holders, VmState.PROLOG) + _moves(vm.sealed, holders, VmState.PROLOG)
    start = Restore if vm.saved else Deploy
    steps.append(start(**_hypervisor(spec, VmState.BOOT)))  # type: ignore[arg-type]  # common fields
    draft.leg(host, steps)
    if moves:
        draft.leg(old_host, _leave(spec, VmState.BOOT))
    return draft.plan


def _moves(sealed: Iterable[SealedFile], holders: dict[str, tuple[Holder, ...]], phase: VmState) -> list[Step]:
    steps: list[Step] = []
    for file in sealed:
        sources = holders.get(file.sha256, ())
        if not sources:
            raise CannotPlanError(f"File {file.name} of the VM lies on a host that is not connected; connect it again.")
        steps.append(Mv(step_id=0, phase=phase, driver=AGENT, file=file, holders=sources))
    return steps


def _switch_off(vm: Vm, options: PlanOptions, *, force: bool) -> Step:
    if options.hard:
        return Cancel(**_hypervisor(vm, VmState.SHUTDOWN))  # type: ignore[arg-type]  # common fields
    return Shutdown(**_hypervisor(vm, VmState.SHUTDOWN), grace_s=options.grace_s, force=force)  # type: ignore[arg-type]


def at_home(kind: OperationKind, vm: VmRecord, host: Host, options: PlanOptions) -> Plan:
    """Compile an operation that runs on the VM's own host only."""
    spec = vm.spec
    draft = Draft(spec)
    draft.leg(host, _HOME_STEPS[kind](vm, host, options))
    return draft.plan


def terminate(vm: VmRecord, hosts: Sequence[Host], options: PlanOptions) -> Plan:
    """Compile the end of a VM: on the host that it is on, then on another one that has files of it."""
    draft = Draft(vm.spec)
    draft.leg(hosts[0], _terminate(vm, options))
    for host in hosts[1:]:
        draft.leg(host, _delete_all(vm.spec, VmState.EPILOG))
    return draft.plan


def _seal(vm: VmRecord, host: Host) -> list[Step]:
    if shares_storage(vm.spec, host):
        return []
    return [Seal(step_id=0, phase=VmState.EPILOG, driver=AGENT)]


def _suspend(vm: VmRecord, _host: Host, _options: PlanOptions) -> list[Step]:
    return [Save(**_hypervisor(vm.spec, VmState.SAVE))]  # type: ignore[arg-type]  # common fields


def _resume(vm: VmRecord, _host: Host, _options: PlanOptions) -> list[Step]:
    start = Restore if vm.state is VmState.SUSPENDED else Deploy
    return [start(**_hypervisor(vm.spec, VmState.BOOT))]  # type: ignore[arg-type]  # common fields


def _stop(vm: VmRecord, host: Host, options: PlanOptions) -> list[Step]:
    saved = vm.state is VmState.SUSPENDED
    return ([] if saved else _suspend(vm, host, options)) + _seal(vm, host)


def _poweroff(vm: VmRecord, _host: Host, options: PlanOptions) -> list[Step]:
    return [_switch_off(vm.spec, options, force=False)]


def _undeploy(vm: VmRecord, host: Host, options: PlanOptions) -> list[Step]:
    off = vm.state is VmState.POWEROFF
    return ([] if off else [_switch_off(vm.spec, options, force=False)]) + _seal(vm, host) + _forget(vm.spec)


def _forget(vm: Vm) -> list[Step]:
    """Return what makes the hypervisor forget a guest that is off: it may boot elsewhere next."""
    return [Cancel(**_hypervisor(vm, VmState.EPILOG))]  # type: ignore[arg-type]  # common fields


def _reboot(vm: VmRecord, _host: Host, _options: PlanOptions) -> list[Step]:
    return [Reboot(**_hypervisor(vm.spec, VmState.RUNNING))]  # type: ignore[arg-type]  # common fields


def _reset(vm: VmRecord, _host: Host, _options: PlanOptions) -> list[Step]:
    return [Reset(**_hypervisor(vm.spec, VmState.RUNNING))]  # type: ignore[arg-type]  # common fields


def _shutdown(vm: VmRecord, _host: Host, options: PlanOptions) -> list[Step]:
    forget = Cancel(**_hypervisor(vm.spec, VmState.SHUTDOWN))  # type: ignore[arg-type]  # common fields
    return [_switch_off(vm.spec, options, force=False), forget, *_delete_all(vm.spec, VmState.EPILOG)]


def _terminate(vm: VmRecord, options: PlanOptions) -> list[Step]:
    steps: list[Step] = []
    if vm.state is VmState.RUNNING and not options.hard:
        steps.append(_switch_off(vm.spec, options, force=True))
    steps.append(Cancel(**_hypervisor(vm.spec, VmState.SHUTDOWN)))  # type: ignore[arg-type]  # common fields
    return steps + _delete_all(vm.spec, VmState.EPILOG)


#: ``{kind: its steps on the VM's own host}``
_HOME_STEPS = {
    OperationKind.SUSPEND: _suspend,
    OperationKind.RESUME: _resume,
    OperationKind.STOP: _stop,
    OperationKind.POWEROFF: _poweroff,
    OperationKind.UNDEPLOY: _undeploy,
    OperationKind.REBOOT: _reboot,
    OperationKind.RESET: _reset,
    OperationKind.SHUTDOWN: _shutdown,
}


def migrate(vm: VmRecord, source: Host, target: Host) -> Plan:
    """Compile the first leg of a cold migration; ``after_leg`` compiles the rest."""
    draft = Draft(vm.spec)
    steps = _suspend(vm, source, PlanOptions()) if vm.state is VmState.RUNNING else []
    steps += _seal(vm, source)
    if not steps:
        return _arrive(draft, vm.spec, source, target, (), holders={}, origin=vm.state)
    draft.leg(source, steps)
    return draft.plan


def after_leg(
    plan: Plan,
    kind: OperationKind,
    *,
    vm: Vm,
    origin: VmState,
    hosts: tuple[Host, Host | None],
    outcomes: dict[int, Outcome],
    holders: dict[str, tuple[Holder, ...]],
) -> Plan:
    """Return the plan with what its first leg has made known: where to fetch the sealed files.

    Args:
        plan: The plan so far.
        kind: What is being carried out.
        vm: The VM as it will be at its destination.
        origin: The VM's state before the operation.
        hosts: The host that it leaves, and where it goes.
        outcomes: ``{step_id: outcome}`` of the leg that has just ended.
        holders: ``{digest: who can serve it}`` for images; sealed files are served by the source.

    Raises:
        CannotPlanError: an image is out of reach, the destination is gone, or nobody knows what is to be moved.
    """
    source, target = hosts
    if kind is not OperationKind.MIGRATE or len(plan.legs) != 1 or plan.legs[0].host_id != source.host_id:
        return plan
    if target is None:
        raise CannotPlanError("The host that the VM was to go to was deleted meanwhile.")
    sealed = sealed_files(plan.legs[0], outcomes)
    if source.advertisement.holder is not None:
        holders = {**holders, **{file.sha256: (source.advertisement.holder,) for file in sealed}}
    count = sum(len(leg.steps) for leg in plan.legs)
    draft = Draft(vm, list(plan.legs), itertools.count(count))
    return _arrive(draft, vm, source, target, sealed, holders=holders, origin=origin)


def _arrive(
    draft: Draft,
    vm: Vm,
    source: Host,
    target: Host,
    sealed: tuple[SealedFile, ...],
    *,
    holders: dict[str, tuple[Holder, ...]],
    origin: VmState,
) -> Plan:
    shared = shares_storage(vm, source, target)
    steps: list[Step] = []
    if not shared:
        steps += fetches(vm, target, holders, VmState.MIGRATE) + _moves(sealed, holders, VmState.MIGRATE)
    if origin is VmState.RUNNING:
        steps.append(Restore(**_hypervisor(vm, VmState.BOOT)))  # type: ignore[arg-type]  # common fields
    draft.leg(target, steps)
    # A saved guest has been forgotten when it was saved; one that is off is known to its hypervisor until now.
    leave = _forget(vm) if origin is VmState.POWEROFF else []
    draft.leg(source, leave if shared else leave + _leave(vm, VmState.EPILOG))
    return draft.plan


def migrate_live(vm: VmRecord, source: Host, target: Host, holders: dict[str, tuple[Holder, ...]]) -> Plan:
    """Compile a live migration: prepare the destination, move, clean up the source.

    Raises:
        CannotPlanError: a driver or a host cannot.
    """
    spec = vm.spec
    uri = str(target.advertisement.facts.get("MIGRATION_URI", ""))
    for host in (source, target):
        if not has_ability(host, DriverKind.HYPERVISOR, spec.hypervisor, "migrate"):
            raise CannotPlanError(
                f"Hypervisor {spec.hypervisor} on {host.name} does not migrate live; leave out --live to save and move."
            )
    if not uri:
        raise CannotPlanError(
            f"Host {target.name} takes no live migrations; set migration_uri in its agent's configuration."
        )
    shared = shares_storage(spec, source, target)
    draft = Draft(spec)
    prepare = fetches(spec, target, holders, VmState.PROLOG)
    prepare += [Premigrate(step_id=0, phase=VmState.PROLOG, driver=name) for name in _drivers(spec)]
    if not shared:
        prepare += _context(spec, VmState.PROLOG)
    draft.leg(target, prepare)
    common = _hypervisor(spec, VmState.MIGRATE)
    draft.leg(source, [Migrate(**common, destination_uri=uri, shared_storage=shared)])  # type: ignore[arg-type]
    draft.leg(source, _leave(spec, VmState.EPILOG))
    return draft.plan


def is_cleanup(plan: Plan, leg: int) -> bool:
    """Return True where the leg only deletes what the VM has left behind: by then there is no way back."""
    return leg > 0 and all(isinstance(step, Cancel | Delete | Postmigrate) for step in plan.legs[leg].steps)


def again(plan: Plan, leg: int) -> Plan:
    """Return the plan with that leg once more at its end, its steps numbered on."""
    count = sum(len(each.steps) for each in plan.legs)
    steps = tuple(
        msgspec.structs.replace(step, step_id=count + number) for number, step in enumerate(plan.legs[leg].steps)
    )
    return Plan(legs=(*plan.legs, Leg(host_id=plan.legs[leg].host_id, steps=steps)))


def sealed_files(leg: Leg, outcomes: dict[int, Outcome]) -> tuple[SealedFile, ...]:
    """Return the files that the leg's ``seal`` has made known; none where it has no such step.

    Raises:
        CannotPlanError: the host did not say which, or not so that it can be read: whoever went on would leave, and
            later delete, what the VM has there.
    """
    if not any(isinstance(step, Seal) for step in leg.steps):
        return ()
    told = next(
        (outcome.result["files"] for outcome in outcomes.values() if outcome.ok and "files" in outcome.result), ""
    )
    try:
        return msgspec.json.decode(str(told), type=tuple[SealedFile, ...])
    except msgspec.DecodeError as error:
        raise CannotPlanError(
            f"The host did not say which files the VM has ({error}); nothing of it is moved."
        ) from error


def holders_for(vm: Vm, target: Host, hosts: Iterable[Host]) -> dict[str, tuple[Holder, ...]]:
    """Return who can serve the images that the target does not hold yet: ``{digest: holders}``."""
    there = frozenset(target.advertisement.images)
    missing = [ref.sha256 for ref in images_of(vm) if ref.sha256 not in there]
    found: dict[str, list[Holder]] = {}
    if not missing:
        return {}
    for host in hosts:
        holder = host.advertisement.holder
        if host.connected and holder is not None:
            for digest in missing:
                if digest in host.advertisement.images:
                    found.setdefault(digest, []).append(holder)
    return {digest: tuple(holders) for digest, holders in found.items()}


def host_ids(plan: Plan) -> tuple[HostId, ...]:
    """Return the plan's hosts, each once, in order."""
    return tuple(dict.fromkeys(leg.host_id for leg in plan.legs))
