"""Which method of a driver carries a step out, and with what; one table.

Adding a verb: its row here, beside its row in ``innkeeper_plugins.steps.VERBS``.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from innkeeper_plugins import steps
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import HypervisorDriver, Place, TransferDriver
from innkeeper_plugins.vocabulary import Vm

#: What a step found out, as in ``Outcome.result``.
Result: TypeAlias = dict[str, str | int | float]

# The rows' step is Any: each row takes its own type of step, which is its key.
TransferCall: TypeAlias = Callable[[TransferDriver, Place, Vm, Any], None]
HypervisorCall: TypeAlias = Callable[[HypervisorDriver, Place, Vm, Any], str | None]

TRANSFER: dict[type[steps.StepBase], TransferCall] = {
    steps.Clone: lambda d, place, vm, s: d.clone(place, vm, vm.disk(s.disk_id)),
    steps.Ln: lambda d, place, vm, s: d.ln(place, vm, vm.disk(s.disk_id)),
    steps.MkImage: lambda d, place, vm, s: d.mkimage(place, vm, vm.disk(s.disk_id)),
    steps.MkSwap: lambda d, place, vm, s: d.mkswap(place, vm, vm.disk(s.disk_id)),
    steps.Context: lambda d, place, vm, _: d.context(place, vm),
    steps.Delete: lambda d, place, vm, s: d.delete(place, vm, None if s.disk_id is None else vm.disk(s.disk_id)),
    steps.Premigrate: lambda d, place, vm, _: d.premigrate(place, vm),
    steps.Postmigrate: lambda d, place, vm, _: d.postmigrate(place, vm),
    steps.ResizeDisk: lambda d, place, vm, s: d.resize(place, vm, vm.disk(s.disk_id), s.size_bytes),
    steps.DiskSnapshotCreate: lambda d, place, vm, s: d.snapshot_create(place, vm, vm.disk(s.disk_id), s.snapshot_id),
    steps.DiskSnapshotRevert: lambda d, place, vm, s: d.snapshot_revert(place, vm, vm.disk(s.disk_id), s.snapshot_id),
    steps.DiskSnapshotDelete: lambda d, place, vm, s: d.snapshot_delete(place, vm, vm.disk(s.disk_id), s.snapshot_id),
}

#: What a call returns is the guest's name at the hypervisor, or the snapshot's, where it is not None.
HYPERVISOR: dict[type[steps.StepBase], HypervisorCall] = {
    steps.Deploy: lambda d, place, vm, _: d.deploy(place, vm),
    steps.Shutdown: lambda d, place, vm, s: d.shutdown(place, vm, grace_s=s.grace_s, force=s.force),
    steps.Cancel: lambda d, place, vm, _: d.cancel(place, vm),
    steps.Save: lambda d, place, vm, _: d.save(place, vm),
    steps.Restore: lambda d, place, vm, _: d.restore(place, vm),
    steps.Migrate: lambda d, place, vm, s: d.migrate(
        place, vm, destination_uri=s.destination_uri, shared_storage=s.shared_storage
    ),
    steps.Reboot: lambda d, place, vm, _: d.reboot(place, vm),
    steps.Reset: lambda d, place, vm, _: d.reset(place, vm),
    steps.AttachDisk: lambda d, place, vm, s: d.attach_disk(place, vm, vm.disk(s.disk_id)),
    steps.DetachDisk: lambda d, place, vm, s: d.detach_disk(place, vm, vm.disk(s.disk_id)),
    steps.AttachNic: lambda d, place, vm, s: d.attach_nic(place, vm, vm.nic(s.nic_id)),
    steps.DetachNic: lambda d, place, vm, s: d.detach_nic(place, vm, vm.nic(s.nic_id)),
    steps.SnapshotCreate: lambda d, place, vm, s: d.snapshot_create(place, vm, s.snapshot_id, s.name),
    steps.SnapshotRevert: lambda d, place, vm, s: d.snapshot_revert(place, vm, s.snapshot_id, s.hypervisor_id),
    steps.SnapshotDelete: lambda d, place, vm, s: d.snapshot_delete(place, vm, s.snapshot_id, s.hypervisor_id),
    steps.GrowDisk: lambda d, place, vm, s: d.grow_disk(place, vm, vm.disk(s.disk_id), s.size_bytes),
    steps.Resize: lambda d, place, vm, s: d.resize(place, vm, s.vcpus, s.memory_mib),
}

#: Under which name a result says what a call returned; every other is ``deploy_id``.
RESULT_NAMES: dict[type[steps.StepBase], str] = {steps.SnapshotCreate: "hypervisor_id"}

#: The ability that a driver has to declare before it is asked for the step.
ABILITIES: dict[type[steps.StepBase], str] = {
    steps.DiskSnapshotCreate: "snapshot",
    steps.DiskSnapshotRevert: "snapshot",
    steps.DiskSnapshotDelete: "snapshot",
    steps.AttachDisk: "hotplug",
    steps.DetachDisk: "hotplug",
    steps.AttachNic: "hotplug",
    steps.DetachNic: "hotplug",
    steps.SnapshotCreate: "snapshot",
    steps.SnapshotRevert: "snapshot",
    steps.SnapshotDelete: "snapshot",
    steps.GrowDisk: "resize",
    steps.Resize: "resize",
}


#: Steps after which a guest runs on what it was given of a host.
STARTS = (steps.Deploy, steps.Restore, steps.Migrate)


def transfer(driver: TransferDriver, place: Place, vm: Vm, step: steps.StepBase) -> Result:
    """Carry a step of a transfer driver out and return what it found out.

    Raises:
        DriverError: ``refused``: the driver does not declare the ability; or as the verb says.
    """
    _check_ability(driver, step)
    TRANSFER[type(step)](driver, place, vm, step)
    return {}


def hypervisor(driver: HypervisorDriver, place: Place, vm: Vm, step: steps.StepBase) -> Result:
    """Carry a step of a hypervisor driver out and return what it found out.

    Raises:
        DriverError: ``refused``: the driver does not declare the ability; or as the verb says.
    """
    _check_ability(driver, step)
    if isinstance(step, STARTS):
        _check_given(driver, vm)
    returned = HYPERVISOR[type(step)](driver, place, vm, step)
    return {} if returned is None else {RESULT_NAMES.get(type(step), "deploy_id"): returned}


def _check_ability(driver: TransferDriver | HypervisorDriver, step: steps.StepBase) -> None:
    ability = ABILITIES.get(type(step))
    if ability is not None and ability not in driver.capabilities:
        verb = steps.verb_of(step).name
        raise DriverError(
            f"the driver {driver.name} of this host does not declare the ability {ability}, which {verb} takes; "
            "power the VM off and try again, or use a host whose driver has it",
            code="refused",
        )


def _check_given(driver: HypervisorDriver, vm: Vm) -> None:
    """Refuse a driver that would start a guest without what it asks of its host."""
    for ability, is_asked in (("numa", vm.numa is not None), ("pci", bool(vm.pci))):
        if is_asked and ability not in driver.capabilities:
            raise DriverError(
                f"the driver {driver.name} of this host does not declare the ability {ability}, which VM {vm.vm_id} "
                "takes; use a host whose driver has it",
                code="refused",
            )
