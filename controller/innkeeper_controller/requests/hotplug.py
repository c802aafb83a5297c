"""Requests that change what a VM has while it stays: disks, network cards, sizes, configuration."""

from innkeeper_controller import hotplug, sizes, updates
from innkeeper_controller.requests import find
from innkeeper_controller.requests.vms import Acted, act, acted
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import Value


class Attach(Value):
    """What a VM is to get."""

    vm_id: int
    #: ``DISK = [ IMAGE = tiny ]`` or ``NIC = [ NETWORK = lan ]``.
    template: str


class OneDisk(Value):
    """One disk of a VM."""

    vm_id: int
    disk_id: int


class OneNic(Value):
    """One network card of a VM."""

    vm_id: int
    nic_id: int


class ResizeVm(Value):
    """What a VM is to take; what is left out stays as it is."""

    vm_id: int
    #: Cores set aside for it.
    cpu_cores: float | None = None
    #: Processors that the guest sees.
    vcpus: int | None = None
    memory_mib: int | None = None
    #: Refuse what its host has no room for; only administrators may do without.
    enforce: bool = True


class ResizeDisk(Value):
    """How large a disk of a VM is to be; disks only grow."""

    vm_id: int
    disk_id: int
    size_mib: int


class UpdateConf(Value):
    """How a VM is built at its next boot."""

    vm_id: int
    #: CONTEXT, GRAPHICS, OS, FEATURES, INPUT, RAW, CPU_MODEL and VIDEO of a template; others are refused.
    template: str
    #: Keep what the template does not name; otherwise those that it does not name go.
    append: bool = True


class Attached(Acted):
    """What has begun, and the number of what the VM gets."""

    disk_id: int = -1
    nic_id: int = -1


def attach_disk(turn: Turn, params: Attach) -> Attached:
    """Give the VM a disk."""
    vm = find.vm(turn, params.vm_id)
    disk_id = hotplug.attach_disk(turn, vm, params.template)
    return _attached(turn, vm.vm_id, disk_id=disk_id)


def detach_disk(turn: Turn, params: OneDisk) -> Acted:
    """Take a disk from the VM."""
    vm = find.vm(turn, params.vm_id)
    hotplug.detach_disk(turn, vm, params.disk_id)
    return acted(turn, vm)


def attach_nic(turn: Turn, params: Attach) -> Attached:
    """Give the VM a network card."""
    vm = find.vm(turn, params.vm_id)
    nic_id = hotplug.attach_nic(turn, vm, params.template)
    return _attached(turn, vm.vm_id, nic_id=nic_id)


def _attached(turn: Turn, vm_id: int, *, disk_id: int = -1, nic_id: int = -1) -> Attached:
    vm = find.vm(turn, vm_id)
    return Attached(
        vm_id=vm_id, state=vm.state.value, operation_id=vm.operation_id or "", disk_id=disk_id, nic_id=nic_id
    )


def detach_nic(turn: Turn, params: OneNic) -> Acted:
    """Take a network card from the VM."""
    vm = find.vm(turn, params.vm_id)
    hotplug.detach_nic(turn, vm, params.nic_id)
    return acted(turn, vm)


def resize(turn: Turn, params: ResizeVm) -> Acted:
    """Give the VM another share of its host."""
    vm = find.vm(turn, params.vm_id)
    sizes.resize(
        turn,
        vm,
        cpu_cores=params.cpu_cores,
        vcpus=params.vcpus,
        memory_mib=params.memory_mib,
        enforce=params.enforce,
    )
    return acted(turn, vm)


def disk_resize(turn: Turn, params: ResizeDisk) -> Acted:
    """Make a disk of the VM larger."""
    vm = find.vm(turn, params.vm_id)
    sizes.resize_disk(turn, vm, params.disk_id, params.size_mib)
    return acted(turn, vm)


def update_conf(turn: Turn, params: UpdateConf) -> Acted:
    """Change how the VM is built at its next boot."""
    vm = find.vm(turn, params.vm_id)
    updates.update_conf(turn, vm, params.template, append=params.append)
    return acted(turn, vm)


REQUESTS = (
    act("attach_disk", Attach, "Give a VM a disk, while it runs or powered off.", attach_disk, answer=Attached),
    act("detach_disk", OneDisk, "Take a disk from a VM and delete it; a persistent one is kept.", detach_disk),
    act("attach_nic", Attach, "Give a VM a network card, while it runs or powered off.", attach_nic, answer=Attached),
    act("detach_nic", OneNic, "Take a network card from a VM and give its address back.", detach_nic),
    act("resize", ResizeVm, "Change the processors and the memory of a VM.", resize),
    act("disk_resize", ResizeDisk, "Make a disk of a VM larger.", disk_resize),
    act("update_conf", UpdateConf, "Change how a VM is built at its next boot: context, screen, boot.", update_conf),
)
