"""Compiles migrations, cold and live.

What the plan of a cold one cannot know before its first leg has run (digests of sealed files), ``after_leg`` adds.
"""

import itertools

import msgspec

from innkeeper_controller.planner.deploy import brought, fetches
from innkeeper_controller.planner.drafts import (
    CannotPlanError,
    Draft,
    PlanOptions,
    by_hypervisor,
    context,
    drivers_of,
    forget,
    has_ability,
    leave,
    save,
    seal,
    shares_storage,
    switch_off,
)
from innkeeper_controller.records import Host, Leg, OperationKind, Plan, VmRecord
from innkeeper_plugins.steps import Deploy, Migrate, Premigrate, Restore, Save, Seal, Step
from innkeeper_plugins.vocabulary import MIGRATION_URI, DriverKind, Holder, Outcome, SealedFile, Vm, VmState


def migrate(vm: VmRecord, source: Host, target: Host, *, off: PlanOptions | None = None) -> Plan:
    """Compile the first leg of a cold migration; ``after_leg`` compiles the rest.

    Args:
        vm: The VM.
        source: Where it is.
        target: Where it goes.
        off: How its guest is switched off, to boot anew there; None to save it and to let it go on there.
    """
    draft = Draft(vm.spec)
    steps: list[Step] = []
    if vm.state is VmState.RUNNING:
        steps = save(vm.spec) if off is None else [switch_off(vm.spec, off, force=False)]
    steps += seal(vm.spec, source, VmState.MIGRATE)
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
        steps += fetches(vm, target, holders, VmState.MIGRATE) + brought(sealed, holders, VmState.MIGRATE)
    was_on, is_saved = origin is VmState.RUNNING, _saves(draft)
    if was_on:
        start = Restore if is_saved else Deploy
        steps.append(start(**by_hypervisor(vm, VmState.BOOT)))
    draft.leg(target, steps)
    # A saved guest has been forgotten when it was saved; one that is off is known to its hypervisor until now.
    is_off = origin is VmState.POWEROFF or (was_on and not is_saved)
    clean = forget(vm) if is_off else []
    draft.leg(source, clean if shared else clean + leave(vm, VmState.EPILOG))
    return draft.plan


def migrate_live(vm: VmRecord, source: Host, target: Host, holders: dict[str, tuple[Holder, ...]]) -> Plan:
    """Compile a live migration: prepare the destination, move, clean up the source.

    Raises:
        CannotPlanError: a driver or a host cannot.
    """
    spec = vm.spec
    uri = str(target.advertisement.facts.get(MIGRATION_URI, ""))
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
    prepare += [Premigrate(step_id=0, phase=VmState.PROLOG, driver=name) for name in drivers_of(spec)]
    if not shared:
        prepare += context(spec, VmState.PROLOG)
    draft.leg(target, prepare)
    common = by_hypervisor(spec, VmState.MIGRATE)
    draft.leg(source, [Migrate(**common, destination_uri=uri, shared_storage=shared)])
    draft.leg(source, leave(spec, VmState.EPILOG))
    return draft.plan


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


def _saves(draft: Draft) -> bool:
    return any(isinstance(step, Save) for leg in draft.legs for step in leg.steps)
