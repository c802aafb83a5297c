"""Builders of what a controller asks, for the tests of the agent."""

from innkeeper_hostagent.protocol.messages import CarryOut
from innkeeper_plugins.steps import Cancel, Clone, Context, Delete, Deploy, Fetch, Migrate, Restore, Save, Step
from innkeeper_plugins.vocabulary import (
    Digest,
    Disk,
    DiskFormat,
    DiskKind,
    DriverFacts,
    DriverKind,
    ImageId,
    ImageRef,
    OperationId,
    Outcome,
    Vm,
    VmId,
    VmState,
)

DRIVERS = (
    DriverFacts(kind=DriverKind.TRANSFER, name="qcow2"),
    DriverFacts(kind=DriverKind.TRANSFER, name="shared", capabilities=("shared",)),
    DriverFacts(kind=DriverKind.HYPERVISOR, name="simulated"),
)
IMAGE = ImageRef(
    image_id=ImageId(1),
    name="tiny",
    datastore="default",
    sha256=Digest("ab" * 32),
    size_bytes=1000,
    virtual_size_bytes=4096,
    format=DiskFormat.QCOW2,
)
OK = Outcome(ok=True)
BROKEN = Outcome(ok=False, code="tool_failed", message="qemu-img failed", stderr="no luck")


def a_disk(disk_id: int = 0, *, driver: str = "qcow2", datastore: str = "default") -> Disk:
    return Disk(
        disk_id=disk_id,
        kind=DiskKind.IMAGE,
        datastore=datastore,
        driver=driver,
        format=DiskFormat.QCOW2,
        size_bytes=4096,
        target=f"vd{'abcdef'[disk_id]}",
        image=IMAGE,
    )


def a_vm(vm_id: int = 7, *, generation: int = 1, disks: tuple[Disk, ...] | None = None, **values) -> Vm:
    return Vm(
        vm_id=VmId(vm_id),
        name=f"web-{vm_id}",
        uuid=f"00000000-0000-4000-8000-{vm_id:012d}",
        generation=generation,
        cpu_cores=1.0,
        vcpus=1,
        memory_mib=64,
        hypervisor="simulated",
        disks=(a_disk(),) if disks is None else disks,
        **values,
    )


PROLOG, BOOT = VmState.PROLOG, VmState.BOOT


def fetch(step_id: int) -> Fetch:
    return Fetch(step_id=step_id, phase=PROLOG, driver="agent", image=IMAGE, holders=())


def clone(step_id: int, disk_id: int = 0) -> Clone:
    return Clone(step_id=step_id, phase=PROLOG, driver="qcow2", disk_id=disk_id)


def context(step_id: int) -> Context:
    return Context(step_id=step_id, phase=PROLOG, driver="qcow2")


def deploy(step_id: int) -> Deploy:
    return Deploy(step_id=step_id, phase=BOOT, driver="simulated")


def cancel(step_id: int, phase: VmState = VmState.SHUTDOWN) -> Cancel:
    return Cancel(step_id=step_id, phase=phase, driver="simulated")


def delete(step_id: int, disk_id: int | None = None, phase: VmState = VmState.EPILOG) -> Delete:
    return Delete(step_id=step_id, phase=phase, driver="qcow2", disk_id=disk_id)


def save(step_id: int) -> Save:
    return Save(step_id=step_id, phase=VmState.SAVE, driver="simulated")


def restore(step_id: int, phase: VmState = VmState.BOOT) -> Restore:
    return Restore(step_id=step_id, phase=phase, driver="simulated")


def migrate(step_id: int) -> Migrate:
    return Migrate(
        step_id=step_id, phase=VmState.MIGRATE, driver="simulated", destination_uri="x://b", shared_storage=False
    )


def prolog() -> tuple[Step, ...]:
    return (clone(0), context(1), deploy(2))


def order(
    steps: tuple[Step, ...] | None = None,
    *,
    operation_id: str = "o1",
    leg: int = 0,
    vm: Vm | None = None,
    undo: bool = False,
    expires_in_s: float = 60.0,
    kind: str = "deploy",
) -> CarryOut:
    about = vm or a_vm()
    return CarryOut(
        operation_id=OperationId(operation_id),
        request_id="r1",
        leg=leg,
        subject=f"vm:{about.vm_id}",
        kind=kind,
        steps=prolog() if steps is None else steps,
        expires_in_s=expires_in_s,
        vm=about,
        undo=undo,
    )
