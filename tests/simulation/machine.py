"""What outlives an agent: its journal, its hypervisor's guests and its files; and what each step does to them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from innkeeper_hostagent.effects import RunStep
from innkeeper_plugins import steps as verbs
from innkeeper_plugins.vocabulary import HostId, Outcome, PowerState, Vm, VmId

DONE = Outcome(ok=True)


@dataclass(slots=True)
class Guest:
    """A guest as its hypervisor has it."""

    generation: int
    power: PowerState = PowerState.RUNNING
    #: Numbers of what it has.
    disks: set[int] = field(default_factory=set)
    nics: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Machine:
    """What survives an agent's crash: its journal, its hypervisor's guests, its files, the images it holds."""

    host_id: HostId
    name: str
    journal: list[object] = field(default_factory=list)
    guests: dict[VmId, Guest] = field(default_factory=dict)
    files: dict[VmId, set[str]] = field(default_factory=dict)
    #: Digests in its image cache.
    images: set[str] = field(default_factory=set)
    #: Steps whose work was done, whether or not the agent lived to write it down.
    done: set[tuple[object, int, int]] = field(default_factory=set)

    def runs(self, vm: Vm) -> bool:
        """Whether the guest is on."""
        guest = self.guests.get(vm.vm_id)
        return guest is not None and guest.power is PowerState.RUNNING

    def files_of(self, vm: Vm) -> set[str]:
        """Return the VM's files, to be changed."""
        return self.files.setdefault(vm.vm_id, set())


def act(machines: dict[HostId, Machine], machine: Machine, run: RunStep) -> Outcome:
    """Do what the step says, as idempotently as a driver has to."""
    if run.vm is None:
        return _drop_image(machine, run.step)
    if isinstance(run.step, verbs.Migrate):
        outcome = _migrate(machines.values(), machine, run.step, run.vm)
    else:
        outcome = ACTS[type(run.step)](machine, run.step, run.vm)
    if not machine.files.get(run.vm.vm_id):
        machine.files.pop(run.vm.vm_id, None)
    return outcome


def _failed(code: str) -> Outcome:
    return Outcome(ok=False, code=code, message=f"the simulated driver says {code}")


def _born(vm: Vm) -> Guest:
    return Guest(vm.generation, disks={disk.disk_id for disk in vm.disks}, nics={nic.nic_id for nic in vm.nics})


def _started(vm: Vm) -> Outcome:
    return Outcome(ok=True, result={"deploy_id": f"inn-{vm.vm_id}"})


def _fetch(machine: Machine, step: Any, _vm: Vm) -> Outcome:
    machine.images.add(step.image.sha256)
    return DONE


def _save_image(machine: Machine, step: Any, vm: Vm) -> Outcome:
    """What a VM leaves in a disk is always the same, and never what another leaves."""
    if f"disk.{step.disk_id}" not in machine.files_of(vm):
        return _failed("no_disk")
    digest = f"{step.image_id + 1:032x}{vm.vm_id + 1:032x}"
    machine.images.add(digest)
    return Outcome(
        ok=True, result={"sha256": digest, "size_bytes": 1, "virtual_size_bytes": 1 << 20, "format": "qcow2"}
    )


def _drop_image(machine: Machine, step: Any) -> Outcome:
    machine.images.discard(step.sha256)
    return DONE


def _clone(machine: Machine, step: Any, vm: Vm) -> Outcome:
    if vm.disk(step.disk_id).image.sha256 not in machine.images:
        return _failed("image_missing")
    return _make_disk(machine, step, vm)


def _make_disk(machine: Machine, step: Any, vm: Vm) -> Outcome:
    machine.files_of(vm).add(f"disk.{step.disk_id}")
    return DONE


def _context(machine: Machine, _step: Any, vm: Vm) -> Outcome:
    machine.files_of(vm).add("context.iso")
    return DONE


def _premigrate(machine: Machine, _step: Any, vm: Vm) -> Outcome:
    machine.files_of(vm).update(f"disk.{disk.disk_id}" for disk in vm.disks)
    return DONE


def _seal(machine: Machine, _step: Any, vm: Vm) -> Outcome:
    names = sorted(machine.files_of(vm))
    files = [{"name": name, "sha256": name[0] * 64, "size_bytes": 1, "datastore": "default"} for name in names]
    return Outcome(ok=True, result={"files": msgspec.json.encode(files).decode()})


def _mv(machine: Machine, step: Any, vm: Vm) -> Outcome:
    machine.files_of(vm).add(step.file.name)
    return DONE


def _delete(machine: Machine, step: Any, vm: Vm) -> Outcome:
    if getattr(step, "disk_id", None) is None:
        machine.files.pop(vm.vm_id, None)
    else:
        machine.files_of(vm).discard(f"disk.{step.disk_id}")
    return DONE


def _deploy(machine: Machine, _step: Any, vm: Vm) -> Outcome:
    if machine.runs(vm) and machine.guests[vm.vm_id].generation < vm.generation:
        return _failed("refused")
    if not {f"disk.{disk.disk_id}" for disk in vm.disks} <= machine.files_of(vm):
        return _failed("no_disk")
    machine.guests[vm.vm_id] = _born(vm)
    return _started(vm)


def _restore(machine: Machine, _step: Any, vm: Vm) -> Outcome:
    if not machine.runs(vm):
        if "checkpoint" not in machine.files_of(vm):
            return _failed("no_checkpoint")
        machine.guests[vm.vm_id] = _born(vm)
    machine.files_of(vm).discard("checkpoint")
    return _started(vm)


def _save(machine: Machine, _step: Any, vm: Vm) -> Outcome:
    if "checkpoint" not in machine.files_of(vm):
        if not machine.runs(vm):
            return _failed("guest_missing")
        machine.files_of(vm).add("checkpoint")
    machine.guests.pop(vm.vm_id, None)
    return DONE


def _shutdown(machine: Machine, _step: Any, vm: Vm) -> Outcome:
    if vm.vm_id in machine.guests:
        machine.guests[vm.vm_id].power = PowerState.OFF
    return DONE


def _cancel(machine: Machine, _step: Any, vm: Vm) -> Outcome:
    machine.guests.pop(vm.vm_id, None)
    return DONE


def _attach_disk(machine: Machine, step: Any, vm: Vm) -> Outcome:
    if not machine.runs(vm) or f"disk.{step.disk_id}" not in machine.files_of(vm):
        return _failed("guest_missing")
    machine.guests[vm.vm_id].disks.add(step.disk_id)
    return DONE


def _detach_disk(machine: Machine, step: Any, vm: Vm) -> Outcome:
    if vm.vm_id in machine.guests:
        machine.guests[vm.vm_id].disks.discard(step.disk_id)
    return DONE


def _attach_nic(machine: Machine, step: Any, vm: Vm) -> Outcome:
    if not machine.runs(vm):
        return _failed("guest_missing")
    machine.guests[vm.vm_id].nics.add(step.nic_id)
    return DONE


def _detach_nic(machine: Machine, step: Any, vm: Vm) -> Outcome:
    if vm.vm_id in machine.guests:
        machine.guests[vm.vm_id].nics.discard(step.nic_id)
    return DONE


def _of_disk(machine: Machine, step: Any, vm: Vm) -> Outcome:
    return DONE if f"disk.{step.disk_id}" in machine.files_of(vm) else _failed("no_disk")


def _of_guest(machine: Machine, _step: Any, vm: Vm) -> Outcome:
    return DONE if machine.runs(vm) else _failed("guest_missing")


def _nothing(_machine: Machine, _step: Any, _vm: Vm) -> Outcome:
    return DONE


def _migrate(machines: Iterable[Machine], machine: Machine, step: verbs.Migrate, vm: Vm) -> Outcome:
    target = next(each for each in machines if step.destination_uri == f"sim://{each.name}")
    if machine.runs(vm):
        target.guests[vm.vm_id] = _born(vm)
        del machine.guests[vm.vm_id]
    return DONE if target.runs(vm) else _failed("guest_missing")


ACTS: dict[type, Callable[[Machine, Any, Vm], Outcome]] = {
    verbs.Fetch: _fetch,
    verbs.SaveImage: _save_image,
    verbs.Clone: _clone,
    verbs.MkImage: _make_disk,
    verbs.MkSwap: _make_disk,
    verbs.Ln: _make_disk,
    verbs.Context: _context,
    verbs.Premigrate: _premigrate,
    verbs.Postmigrate: _delete,
    verbs.Seal: _seal,
    verbs.Mv: _mv,
    verbs.Delete: _delete,
    verbs.Deploy: _deploy,
    verbs.Restore: _restore,
    verbs.Save: _save,
    verbs.Shutdown: _shutdown,
    verbs.Cancel: _cancel,
    verbs.AttachDisk: _attach_disk,
    verbs.DetachDisk: _detach_disk,
    verbs.AttachNic: _attach_nic,
    verbs.DetachNic: _detach_nic,
    verbs.SnapshotCreate: _of_guest,
    verbs.SnapshotRevert: _of_guest,
    verbs.SnapshotDelete: _nothing,
    verbs.DiskSnapshotCreate: _of_disk,
    verbs.DiskSnapshotRevert: _of_disk,
    verbs.DiskSnapshotDelete: _nothing,
    verbs.ResizeDisk: _of_disk,
    verbs.GrowDisk: _of_guest,
    verbs.Resize: _of_guest,
    verbs.Reboot: _nothing,
    verbs.Reset: _nothing,
}
