"""What changes of a VM that stays have in common: whether it may be changed now, what drivers can, new numbers.

Nothing here starts an operation.
"""

import msgspec

from innkeeper_controller import actions, operations, planner, quotas, submission
from innkeeper_controller.records import Host, OperationKind, VmRecord
from innkeeper_controller.requests.templates import refused_mistakes
from innkeeper_controller.templates import parse
from innkeeper_controller.templates.vm import VmTemplate, read_vm_template
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_controller.usage import amounts_of
from innkeeper_plugins.vocabulary import Disk, DriverKind, VmState

_replace = msgspec.structs.replace


def home_for(turn: Turn, vm: VmRecord, kind: OperationKind, ability: str = "") -> Host:
    """Return the host of a VM that such an operation may begin on now.

    Args:
        turn: The turn.
        vm: The VM.
        kind: What is to begin.
        ability: What its hypervisor has to be able to where the guest runs; empty for nothing special.

    Raises:
        RefusalError: ``busy`` or ``wrong_state``.
    """
    operations.check_free(turn, vm)
    operations.check_route(kind, vm.state)
    host = actions.home_of(turn, vm)
    if ability and vm.state is VmState.RUNNING:
        check_hypervisor(vm, host, ability)
    return host


def check_hypervisor(vm: VmRecord, host: Host, ability: str) -> None:
    """Refuse what the hypervisor of a running guest cannot.

    Raises:
        RefusalError: ``wrong_state``.
    """
    name = vm.spec.hypervisor
    if not planner.has_ability(host, DriverKind.HYPERVISOR, name, ability):
        text = f"Hypervisor {name} on {host.name} has no {ability} for a running guest; power VM {vm.vm_id} off first."
        raise RefusalError("wrong_state", text)


def check_transfer(disk: Disk, host: Host, ability: str) -> None:
    """Refuse what the transfer driver of a disk cannot.

    Raises:
        RefusalError: ``wrong_state``.
    """
    if not planner.has_ability(host, DriverKind.TRANSFER, disk.driver, ability):
        text = f"Driver {disk.driver} of disk {disk.disk_id} has no {ability} on host {host.name}."
        raise RefusalError("wrong_state", text)


def next_number(vm: VmRecord, word: str, present: tuple[int, ...]) -> tuple[VmRecord, int]:
    """Return a number that nothing of that kind ever had in this VM, and the VM that remembers it."""
    number = max((vm.last_numbers.get(word, -1), *present)) + 1
    return _replace(vm, last_numbers={**vm.last_numbers, word: number}), number


def remember(vm: VmRecord, word: str, number: int) -> VmRecord:
    """Return the VM that remembers the number of what leaves it, so that nothing else gets it."""
    return _replace(vm, last_numbers={**vm.last_numbers, word: max(number, vm.last_numbers.get(word, -1))})


def charge(turn: Turn, before: VmRecord, after: VmRecord) -> None:
    """Refuse what the VM's owner or group may not have any more.

    Raises:
        RefusalError: ``over_quota``.
    """
    had = amounts_of(before)
    more = {name: amount - had.get(name, 0.0) for name, amount in amounts_of(after).items()}
    quotas.charge(turn, after.owner, after.group, {name: amount for name, amount in more.items() if amount > 0})


def read(turn: Turn, text: str) -> VmTemplate:
    """Return what a template asks for that is about a part of a VM.

    Raises:
        RefusalError: ``bad_template``, or ``forbidden``: some of it is for administrators only.
    """
    with refused_mistakes():
        submission.check_restricted(turn, parse(text))
        return read_vm_template(text, overrides={"MEMORY": "1", "CPU": "1", "VCPU": "1"})


def disk_of(vm: VmRecord, disk_id: int) -> Disk:
    """Return the VM's disk of that number.

    Raises:
        RefusalError: ``not_found``.
    """
    for disk in vm.spec.disks:
        if disk.disk_id == disk_id:
            return disk
    has = ", ".join(str(disk.disk_id) for disk in vm.spec.disks) or "none"
    raise RefusalError("not_found", f"VM {vm.vm_id} has no disk {disk_id}; it has {has}.")
