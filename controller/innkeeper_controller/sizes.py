"""Changes how much a VM takes: processors, memory, the sizes of its disks."""

from typing import Final

import msgspec

from innkeeper_controller import changes, operations, planner
from innkeeper_controller.placement import claims
from innkeeper_controller.placement.allowances import breach, inventories_of
from innkeeper_controller.records import Host, OperationKind, Part, VmRecord
from innkeeper_controller.scheduling.room import CPU_TOLERANCE_CORES
from innkeeper_controller.submission import CORE_DIGITS
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_controller.units import MIB
from innkeeper_plugins.vocabulary import Capacity, Disk, DiskKind, Vm, VmState

_replace = msgspec.structs.replace

#: More than any machine has.
MAX_CORES: Final = 4096
MAX_MEMORY_MIB: Final = 64 * 1024 * 1024
MAX_DISK_MIB: Final = 1024 * 1024 * 1024


def resize(
    turn: Turn,
    vm: VmRecord,
    *,
    cpu_cores: float | None,
    vcpus: int | None,
    memory_mib: int | None,
    enforce: bool,
) -> None:
    """Give the VM another share of its host; None leaves a number as it is.

    Args:
        turn: The turn.
        vm: The VM.
        cpu_cores: Cores set aside for it.
        vcpus: Processors that the guest sees.
        memory_mib: Its memory.
        enforce: Refuse more than its host has left; whoever is no administrator is refused that in any case.

    Raises:
        RefusalError: ``busy``, ``wrong_state``, ``bad_request``, ``no_capacity`` or ``over_quota``.
    """
    operations.check_free(turn, vm)
    spec = _shared(vm.spec, cpu_cores, vcpus, memory_mib)
    operations.check_change("resize", vm.state)
    after = _replace(vm, spec=spec)
    changes.charge(turn, vm, after)
    host = turn.cluster.hosts.get(vm.host_id) if vm.host_id is not None else None
    may_overfill = not enforce and (turn.user is None or turn.user.is_admin)
    if host is not None and not may_overfill:
        _check_room(turn, vm, spec, host)
    after = claims.resized(turn, vm, after, host)
    if vm.state is not VmState.RUNNING:
        turn.put(after)
        subject = f"vm:{vm.vm_id}"
        turn.event("vm.resized", subject, cpu_cores=spec.cpu_cores, vcpus=spec.vcpus, memory_mib=spec.memory_mib)
        return
    host = changes.home_for(turn, vm, OperationKind.RESIZE, "resize")
    operations.start(turn, after, OperationKind.RESIZE, planner.resize(after, host), part=Part(before=vm.spec))


def _shared(spec: Vm, cpu_cores: float | None, vcpus: int | None, memory_mib: int | None) -> Vm:
    cores = spec.cpu_cores if cpu_cores is None else round(cpu_cores, CORE_DIGITS)
    seen = spec.vcpus if vcpus is None else vcpus
    memory = spec.memory_mib if memory_mib is None else memory_mib
    if not 0 < cores <= MAX_CORES or not 0 < seen <= MAX_CORES or not 0 < memory <= MAX_MEMORY_MIB:
        raise RefusalError("bad_request", "Cores, processors and memory have to be more than zero, and not absurd.")
    topology = spec.topology if seen == spec.vcpus else None
    return _replace(spec, cpu_cores=cores, vcpus=seen, memory_mib=memory, topology=topology)


def _check_room(turn: Turn, vm: VmRecord, spec: Vm, host: Host) -> None:
    used, may = turn.cluster.used.get(host.host_id, Capacity()), inventories_of(turn.cluster, host)
    for word, old, new, inventory, given, tolerance in (
        ("cores", vm.spec.cpu_cores, spec.cpu_cores, may.cpu, used.cpu_cores, CPU_TOLERANCE_CORES),
        ("MiB of memory", vm.spec.memory_mib, spec.memory_mib, may.memory, used.memory_mib, 0),
    ):
        more, free = new - old, inventory.capacity - given
        if more > 0 and more > free + tolerance:
            text = f"VM {vm.vm_id} needs {more:.10g} {word} more; host {host.name} has {free:.10g} free."
            raise RefusalError("no_capacity", text)
        if more and (broken := breach(inventory, new)):
            text = f"Host {host.name} gives a VM {broken} {word}; VM {vm.vm_id} would have {new:.10g}."
            raise RefusalError("no_capacity", text)


def resize_disk(turn: Turn, vm: VmRecord, disk_id: int, size_mib: int) -> None:
    """Make a disk larger.

    Raises:
        RefusalError: ``busy``, ``wrong_state``, ``not_found``, ``bad_request`` or ``over_quota``.
    """
    host = changes.home_for(turn, vm, OperationKind.DISK_RESIZE, "resize")
    disk = changes.disk_of(vm, disk_id)
    if disk.kind in {DiskKind.CDROM, DiskKind.SWAP}:
        raise RefusalError("wrong_state", f"Disk {disk_id} of VM {vm.vm_id} is a {disk.kind}, which does not grow.")
    size_bytes = size_mib * MIB
    if size_mib > MAX_DISK_MIB or size_bytes <= disk.size_bytes:
        text = f"Disk {disk_id} of VM {vm.vm_id} has {disk.size_bytes // MIB} MiB and can only grow, to at most "
        raise RefusalError("bad_request", f"{text}{MAX_DISK_MIB} MiB.")
    if any(each.disk_id == disk_id for each in vm.disk_snapshots):
        raise RefusalError("wrong_state", f"Disk {disk_id} of VM {vm.vm_id} has snapshots; delete them first.")
    after = _replace(vm, spec=_grown(vm.spec, disk, size_bytes))
    changes.charge(turn, vm, after)
    plan = planner.disk_resize(after, host, disk_id, size_bytes)
    operations.start(turn, after, OperationKind.DISK_RESIZE, plan, part=Part(disk_id=disk_id, before=vm.spec))


def _grown(spec: Vm, disk: Disk, size_bytes: int) -> Vm:
    grown = _replace(disk, size_bytes=size_bytes)
    return _replace(spec, disks=tuple(grown if each.disk_id == disk.disk_id else each for each in spec.disks))
