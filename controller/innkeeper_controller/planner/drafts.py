"""What every plan is made of: legs being written, steps that several plans have, and what hosts can do.

Nothing here knows a whole operation.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypedDict

import msgspec

from innkeeper_controller.records import Host, Leg, Plan, VmRecord
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.steps import Cancel, Context, Delete, Postmigrate, Save, Seal, Shutdown, Step
from innkeeper_plugins.vocabulary import Disk, DriverKind, HostId, ImageRef, Value, Vm, VmState

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


class HypervisorFields(TypedDict):
    """What all steps of a hypervisor have."""

    step_id: int
    phase: VmState
    driver: str


class TransferFields(HypervisorFields):
    """What all steps of a transfer driver have."""

    disk_id: int


def by_hypervisor(vm: Vm, phase: VmState) -> HypervisorFields:
    """Return the fields that all steps of the VM's hypervisor have."""
    return {"step_id": 0, "phase": phase, "driver": vm.hypervisor}


def by_transfer(disk: Disk, phase: VmState) -> TransferFields:
    """Return the fields that all steps of a disk's transfer driver have."""
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
    return tuple({ref.sha256: ref for ref in vm.images}.values())


def context(vm: Vm, phase: VmState) -> list[Step]:
    """Return what makes the context disk, where the VM has variables."""
    return [Context(step_id=0, phase=phase, driver=vm.driver)] if vm.context else []


def context_again(vm: VmRecord, phase: VmState) -> list[Step]:
    """Return what makes the context disk anew, where the VM's variables have changed since it was made."""
    if not vm.context_changed:
        return []
    return [Context(step_id=0, phase=phase, driver=vm.spec.driver, renewed=True)]


def drivers_of(vm: Vm) -> tuple[str, ...]:
    """Return the transfer drivers that look after something of the VM."""
    return tuple(dict.fromkeys([*(disk.driver for disk in vm.disks), vm.driver]))


def delete_all(vm: Vm, phase: VmState) -> list[Step]:
    """Return what deletes all that the VM has on a host."""
    return [Delete(step_id=0, phase=phase, driver=vm.driver)]


def leave(vm: Vm, phase: VmState) -> list[Step]:
    """Return what deletes the VM's files at a host that it has left, but not those that its new host sees as well."""
    return [Postmigrate(step_id=0, phase=phase, driver=name) for name in drivers_of(vm)]


def forget(vm: Vm) -> list[Step]:
    """Return what makes the hypervisor forget a guest that is off: it may boot elsewhere next."""
    return [Cancel(**by_hypervisor(vm, VmState.EPILOG))]


def switch_off(vm: Vm, options: PlanOptions, *, force: bool) -> Step:
    """Return what powers the guest off; ``force`` where it does not obey in time."""
    if options.hard:
        return Cancel(**by_hypervisor(vm, VmState.SHUTDOWN))
    return Shutdown(**by_hypervisor(vm, VmState.SHUTDOWN), grace_s=options.grace_s, force=force)


def save(vm: Vm) -> list[Step]:
    """Return what saves the guest's memory."""
    return [Save(**by_hypervisor(vm, VmState.SAVE))]


def seal(vm: Vm, host: Host, phase: VmState) -> list[Step]:
    """Return what lets other hosts fetch the VM's files; nothing where they see them anyway."""
    if shares_storage(vm, host):
        return []
    return [Seal(step_id=0, phase=phase, driver=AGENT)]


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


def host_ids(plan: Plan) -> tuple[HostId, ...]:
    """Return the plan's hosts, each once, in order."""
    return tuple(dict.fromkeys(leg.host_id for leg in plan.legs))
