"""Gives disks and network cards to a VM that stays, and takes them away.

What comes is in the VM's specification at once, with its number, device name, address and share of the quota; see
``parts`` for what becomes of it.
"""

import msgspec

from innkeeper_controller import access, changes, operations, planner, submission
from innkeeper_controller.access import Right
from innkeeper_controller.disks import CONTEXT_TARGET, Search
from innkeeper_controller.planner import CannotPlanError
from innkeeper_controller.records import Host, OperationKind, Part, VmRecord
from innkeeper_controller.requests import find
from innkeeper_controller.requests.templates import refuse_mistakes
from innkeeper_controller.turn import Mistake, RefusalError, Turn
from innkeeper_plugins.vocabulary import Disk, DriverKind, Nic

_replace = msgspec.structs.replace

#: Disks, and network cards, that a VM has at most.
MAX_DISKS = 64
MAX_NICS = 64


def attach_disk(turn: Turn, vm: VmRecord, text: str) -> int:
    """Give the VM the disk that a template asks for, and return its number.

    Raises:
        RefusalError: ``busy``, ``wrong_state``, ``bad_template``, ``in_use``, ``over_quota``, ``no_capacity`` or
            ``unreachable``.
    """
    host = changes.home_for(turn, vm, OperationKind.ATTACH_DISK, "hotplug")
    wanted = changes.read(turn, text)
    if len(wanted.disks) != 1 or wanted.nics:
        raise RefusalError("bad_template", "Give one disk, like DISK = [ IMAGE = tiny ].")
    if len(vm.spec.disks) >= MAX_DISKS:
        raise RefusalError("bad_request", f"VM {vm.vm_id} has {MAX_DISKS} disks already; detach one first.")
    after, disk_id = changes.next_number(vm, "disk", tuple(disk.disk_id for disk in vm.spec.disks))
    taken = {CONTEXT_TARGET, *(disk.target for disk in vm.spec.disks)}
    (template,) = wanted.disks
    search = Search(turn)
    if template.target in taken:
        search.mistakes.append(Mistake(message=f"{template.target} is taken already.", field="DISK/TARGET"))
    disk = search.disk(template, disk_id, taken)
    refuse_mistakes(search.mistakes)
    assert disk is not None, "what could not be found was refused"
    _check_disk(host, disk)
    after = _replace(after, spec=_replace(after.spec, disks=(*after.spec.disks, disk)))
    changes.charge(turn, vm, after)
    holders = planner.holders_for(after.spec, host, turn.cluster.hosts.values())
    try:
        plan = planner.attach_disk(after, host, disk_id, holders)
    except CannotPlanError as error:
        raise RefusalError("unreachable", str(error)) from error
    operations.start(turn, after, OperationKind.ATTACH_DISK, plan, part=Part(disk_id=disk_id))
    return disk_id


def _check_disk(host: Host, disk: Disk) -> None:
    has = {facts.name for facts in host.advertisement.drivers if facts.kind is DriverKind.TRANSFER}
    if disk.driver not in has:
        raise RefusalError("no_capacity", f"Host {host.name} has no transfer driver {disk.driver}.")
    if disk.datastore not in {facts.name for facts in host.advertisement.datastores}:
        raise RefusalError("no_capacity", f"Host {host.name} has no datastore {disk.datastore}.")


def detach_disk(turn: Turn, vm: VmRecord, disk_id: int) -> None:
    """Take a disk from the VM and delete it; a persistent one becomes its image again.

    Raises:
        RefusalError: ``busy``, ``wrong_state`` or ``not_found``.
    """
    host = changes.home_for(turn, vm, OperationKind.DETACH_DISK, "hotplug")
    disk = changes.disk_of(vm, disk_id)
    plan = planner.detach_disk(vm, host, disk.disk_id)
    vm = changes.remember(vm, "disk", disk.disk_id)
    operations.start(turn, vm, OperationKind.DETACH_DISK, plan, part=Part(disk_id=disk.disk_id))


def attach_nic(turn: Turn, vm: VmRecord, text: str) -> int:
    """Give the VM the network card that a template asks for, its address leased, and return its number.

    Raises:
        RefusalError: ``busy``, ``wrong_state``, ``bad_template``, ``forbidden``, ``no_address``, ``over_quota`` or
            ``no_capacity``.
    """
    host = changes.home_for(turn, vm, OperationKind.ATTACH_NIC, "hotplug")
    wanted = changes.read(turn, text)
    if len(wanted.nics) != 1 or wanted.disks:
        raise RefusalError("bad_template", "Give one network card, like NIC = [ NETWORK = lan ].")
    if len(vm.spec.nics) >= MAX_NICS:
        raise RefusalError("bad_request", f"VM {vm.vm_id} has {MAX_NICS} network cards already; detach one first.")
    after, nic_id = changes.next_number(vm, "nic", tuple(nic.nic_id for nic in vm.spec.nics))
    (template,) = wanted.nics
    network = find.network(turn.cluster, template.network)
    access.authorize(turn, Right.USE, network)
    if network.bridge and network.bridge not in host.advertisement.bridges:
        text = f"Host {host.name} has no bridge {network.bridge}, which network {network.name} needs."
        raise RefusalError("no_capacity", text)
    nic = submission.nic_of(turn, vm.vm_id, nic_id, template, network)
    after = _replace(after, spec=_replace(after.spec, nics=(*after.spec.nics, nic)))
    changes.charge(turn, vm, after)
    plan = planner.attach_nic(after, host, nic_id)
    operations.start(turn, after, OperationKind.ATTACH_NIC, plan, part=Part(nic_id=nic_id))
    return nic_id


def detach_nic(turn: Turn, vm: VmRecord, nic_id: int) -> None:
    """Take a network card from the VM; its address goes back.

    Raises:
        RefusalError: ``busy``, ``wrong_state`` or ``not_found``.
    """
    host = changes.home_for(turn, vm, OperationKind.DETACH_NIC, "hotplug")
    nic = _nic_of(vm, nic_id)
    vm = changes.remember(vm, "nic", nic.nic_id)
    plan = planner.detach_nic(vm, host, nic.nic_id)
    operations.start(turn, vm, OperationKind.DETACH_NIC, plan, part=Part(nic_id=nic.nic_id))


def _nic_of(vm: VmRecord, nic_id: int) -> Nic:
    for nic in vm.spec.nics:
        if nic.nic_id == nic_id:
            return nic
    has = ", ".join(str(nic.nic_id) for nic in vm.spec.nics) or "none"
    raise RefusalError("not_found", f"VM {vm.vm_id} has no network card {nic_id}; it has {has}.")
