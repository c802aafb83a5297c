"""The words that the controller, the agents and the drivers share, as immutable values.

Nothing here acts: no I/O, no clock, no lookup.
A word that only one of the three needs does not belong here.
"""

from enum import StrEnum
from typing import Any, Final, NewType, dataclass_transform

import msgspec

VmId = NewType("VmId", int)
HostId = NewType("HostId", int)
ImageId = NewType("ImageId", int)
OperationId = NewType("OperationId", str)
#: Lower-case hexadecimal SHA-256 of a file's bytes.
Digest = NewType("Digest", str)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class ValueMeta(msgspec.StructMeta):
    """Makes every value built by keyword only, which msgspec does not hand down by itself."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:  # noqa: ANN401 - as the metaclass has it
        """Make the class with ``kw_only``."""
        options.setdefault("kw_only", True)
        return super().__new__(cls, name, bases, namespace, **options)


class Value(msgspec.Struct, metaclass=ValueMeta, frozen=True, omit_defaults=True):
    """Base of every shared value: immutable, compared by content, built by keyword."""


def may_be_same(uuid: str, other: str) -> bool:
    """Whether two UUIDs may be those of one VM: VMs of two controllers can have one number. Empty is not known."""
    return not uuid or not other or uuid == other


class VmState(StrEnum):
    """Where a VM is in its life; which step runs is the operation's business."""

    PENDING = "PENDING"
    HOLD = "HOLD"
    PROLOG = "PROLOG"
    BOOT = "BOOT"
    RUNNING = "RUNNING"
    UNKNOWN = "UNKNOWN"
    SAVE = "SAVE"
    SUSPENDED = "SUSPENDED"
    STOPPED = "STOPPED"
    POWEROFF = "POWEROFF"
    UNDEPLOYED = "UNDEPLOYED"
    MIGRATE = "MIGRATE"
    SHUTDOWN = "SHUTDOWN"
    EPILOG = "EPILOG"
    FAILED = "FAILED"
    DONE = "DONE"


class PowerState(StrEnum):
    """What a hypervisor says of a guest."""

    RUNNING = "running"
    PAUSED = "paused"
    OFF = "off"
    #: The guest or its hypervisor process died without being asked to.
    CRASHED = "crashed"
    #: The hypervisor does not know the guest.
    ABSENT = "absent"


class DiskFormat(StrEnum):
    """The disk formats that are ever opened; anything else is refused at the door."""

    QCOW2 = "qcow2"
    RAW = "raw"


class DiskKind(StrEnum):
    """What a disk is made from."""

    #: Made from a registered image.
    IMAGE = "image"
    #: An empty volatile disk, with a file system where ``Disk.filesystem`` names one.
    VOLATILE = "volatile"
    SWAP = "swap"
    CDROM = "cdrom"


class ImageRef(Value):
    """A registered image as a host needs to know it; immutable by digest."""

    image_id: ImageId
    name: str
    #: Name of the datastore whose image cache it lies in.
    datastore: str
    sha256: Digest
    #: Bytes of the file.
    size_bytes: int
    #: Bytes that a guest sees.
    virtual_size_bytes: int
    format: DiskFormat


class Disk(Value):
    """A VM's own disk: a copy or overlay of an image, or an empty one."""

    #: Unique in its VM, counted from 0; the disk's file is named after it.
    disk_id: int
    kind: DiskKind
    #: Name of the datastore; each agent knows the path that it has for it.
    datastore: str
    #: Name of the transfer driver that looks after the disk.
    driver: str
    format: DiskFormat
    #: Bytes that the guest sees; at least the image's virtual size.
    size_bytes: int
    #: Device name in the guest: ``vda``, ``sda``, ``hda``.
    target: str
    bus: str = "virtio"
    readonly: bool = False
    cache: str = "default"
    image: ImageRef | None = None
    #: File system of a volatile disk (``ext4``, ``ext2``, ``vfat``); empty for none.
    filesystem: str = ""
    #: Becomes its image again when the VM ends.
    persistent: bool = False


class Nic(Value):
    """A guest's network card with the addresses leased to it."""

    #: Unique in its VM, counted from 0; the number of a detached one is not given again.
    nic_id: int
    network: str
    mac: str
    #: The controller's number of the network.
    network_id: int = -1
    #: Bridge on the host; empty for user-mode networking (no bridge, no root).
    bridge: str = ""
    vlan_id: int | None = None
    #: Physical device that carries the VLAN.
    physical_device: str = ""
    ip: str = ""
    #: Global and unique local IPv6 address; empty where the range has none.
    ip6_global: str = ""
    ip6_ula: str = ""
    netmask: str = ""
    gateway: str = ""
    dns: str = ""
    model: str = "virtio"


class Boot(Value):
    """How the guest starts: from a disk, or from a kernel given as an image."""

    arch: str = "x86_64"
    machine: str = ""
    kernel: ImageRef | None = None
    initrd: ImageRef | None = None
    kernel_cmdline: str = ""
    #: Disk and NIC names in boot order, as in OpenNebula: ``disk0``, ``nic0``.
    order: tuple[str, ...] = ()


class Graphics(Value):
    """A guest's screen."""

    type: str = "vnc"
    listen: str = "127.0.0.1"
    #: ``None`` lets the hypervisor choose.
    port: int | None = None
    keymap: str = ""
    password: str = ""


class InputDevice(Value):
    """A pointer or keyboard of a guest's screen."""

    #: ``tablet``, ``mouse`` or ``keyboard``.
    type: str
    #: ``usb``, ``ps2`` or ``virtio``; empty lets the hypervisor choose.
    bus: str = ""


class Topology(Value):
    """How a guest sees its virtual processors; the product is the VM's ``vcpus``."""

    sockets: int
    cores: int
    threads: int = 1


class Raw(Value):
    """What is handed to a hypervisor as it is."""

    #: The hypervisor that it is for, OpenNebula's word: ``kvm``.
    type: str
    #: For libvirt: elements that are added to the domain.
    data: str


class Capacity(Value):
    """An amount of what a host has and a VM takes."""

    #: Cores; fractions allowed.
    cpu_cores: float = 0.0
    memory_mib: int = 0


class PciDevice(Value):
    """A device of a host that a guest can be given whole; hexadecimal digits in lower case, without ``0x``."""

    #: ``0000:00:1f.2``
    address: str
    vendor: str
    device: str
    #: Class and subclass: ``0300``.
    device_class: str
    #: The node that it is close to; -1 where the machine does not say.
    numa_node: int = -1


class PciWish(Value):
    """A device that a VM asks for: by address, or by any of the other three; empty for any."""

    #: ``0000:00:1f.2``
    address: str = ""
    vendor: str = ""
    device: str = ""
    device_class: str = ""


class NumaNode(Value):
    """Processors and memory of a host that are close to each other."""

    node_id: int
    #: Logical processors, those of one core side by side: ``((0, 8), (1, 9))``.
    cores: tuple[tuple[int, ...], ...]
    memory_mib: int
    #: ``{size in KiB: how many there are in all}``
    hugepages: dict[int, int] = {}


class PinPolicy(StrEnum):
    """How a guest's processors are tied to the host's: OpenNebula's PIN_POLICY."""

    #: Not at all.
    NONE = "NONE"
    #: All of them to the processors of their node, which others share.
    SHARED = "SHARED"
    #: Each to a processor of its own.
    THREAD = "THREAD"
    #: Each to a core of its own, whose other threads stay idle.
    CORE = "CORE"


class NumaWish(Value):
    """What a VM asks of a host's nodes."""

    pin_policy: PinPolicy = PinPolicy.NONE
    #: Nodes that the guest sees, its processors and memory split evenly; at least 1.
    nodes: int = 1
    #: Memory comes from pages of this size; 0 for ordinary ones.
    hugepage_mib: int = 0


class NumaCell(Value):
    """A node of the guest and what of the host it was given."""

    #: Counted from 0.
    cell_id: int
    host_node: int
    #: The guest's processors in it.
    vcpus: tuple[int, ...]
    memory_mib: int
    #: Host processors: with THREAD and CORE that of each vCPU in turn, with SHARED those that all run on, else empty.
    cpus: tuple[int, ...] = ()


class Vm(Value):
    """A VM as a host has to build it: everything resolved, nothing to look up."""

    vm_id: VmId
    name: str
    #: RFC 4122 text; the same for the whole life of the VM.
    uuid: str
    #: Fencing token: raised whenever the VM may move.
    generation: int
    cpu_cores: float
    vcpus: int
    memory_mib: int
    #: Name of the hypervisor driver; empty until a host was chosen, where the template left it open.
    hypervisor: str
    #: Name of the datastore that the VM's own directory (context, checkpoint) lies in.
    datastore: str = "default"
    #: Name of the transfer driver that looks after that directory.
    driver: str = "qcow2"
    boot: Boot = Boot()
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    #: Variables for the guest; empty for no context disk.
    context: dict[str, str] = {}
    graphics: Graphics | None = None
    cpu_model: str = ""
    inputs: tuple[InputDevice, ...] = ()
    topology: Topology | None = None
    raw: Raw | None = None
    #: ``cirrus``, ``vga``, ``virtio``... for the screen; empty lets the hypervisor choose.
    video: str = ""
    #: How far the running guest may be resized without being switched off; 0 for no further than it is.
    vcpus_max: int = 0
    memory_max_mib: int = 0
    #: ``ACPI``, ``APIC``, ``PAE``, ``GUEST_AGENT``... in upper case with their values.
    features: dict[str, str] = {}
    #: None where the guest does not care which node its memory and processors are of.
    numa: NumaWish | None = None
    #: What it was given on its host, in the order of its nodes; empty until a host was chosen.
    numa_cells: tuple[NumaCell, ...] = ()
    pci: tuple[PciWish, ...] = ()
    #: Addresses of the host's devices that it was given, in the order of ``pci``; empty until a host was chosen.
    pci_addresses: tuple[str, ...] = ()

    @property
    def capacity(self) -> Capacity:
        """What the VM takes of a host."""
        return Capacity(cpu_cores=self.cpu_cores, memory_mib=self.memory_mib)

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """The images that its disks are made of, and those that it boots from."""
        refs = (*(disk.image for disk in self.disks), self.boot.kernel, self.boot.initrd)
        return tuple([ref for ref in refs if ref is not None])

    def disk(self, disk_id: int) -> Disk:
        """Return the disk with that id.

        Raises:
            KeyError: the VM has no such disk.
        """
        for disk in self.disks:
            if disk.disk_id == disk_id:
                return disk
        raise KeyError(disk_id)

    def nic(self, nic_id: int) -> Nic:
        """Return the network card with that id.

        Raises:
            KeyError: the VM has no such card.
        """
        for nic in self.nics:
            if nic.nic_id == nic_id:
                return nic
        raise KeyError(nic_id)


class Holder(Value):
    """Somebody who can serve bytes by digest: an agent, or the controller for an upload."""

    #: ZeroMQ endpoint of the bulk socket, ``tcp://10.0.0.7:2635``.
    endpoint: str
    #: Z85 text of the CURVE public key that the holder's bulk socket answers with.
    public_key: str


class SealedFile(Value):
    """A file of a VM at rest, ready to be fetched by digest from the host that sealed it."""

    #: File name in the VM's directory: ``disk.0``, ``checkpoint``.
    name: str
    sha256: Digest
    size_bytes: int
    #: Name of the datastore that the file lies in on the host that sealed it.
    datastore: str


class Observation(Value):
    """What a hypervisor says of one guest at one moment; it never completes a step."""

    vm_id: VmId
    generation: int
    power: PowerState
    #: CPU time that the guest has used, seconds.
    cpu_time_s: float = 0.0
    memory_mib: int = 0
    #: That of its VM, which no VM of another controller has; empty where the hypervisor does not know it.
    uuid: str = ""


class DriverKind(StrEnum):
    """What a driver looks after."""

    TRANSFER = "transfer"
    HYPERVISOR = "hypervisor"


class DriverFacts(Value):
    """A driver that a host has and the optional abilities it declares."""

    kind: DriverKind
    name: str
    capabilities: tuple[str, ...] = ()


class DatastoreFacts(Value):
    """A datastore as one host sees it."""

    name: str
    total_mib: int
    free_mib: int


#: Fact under which a host says where it takes live migrations.
MIGRATION_URI: Final = "MIGRATION_URI"
#: Fact under which a host says below which directories images may come from on it, with colons between them.
IMPORT_DIRS: Final = "IMPORT_DIRS"


class Advertisement(Value):
    """All that a host says of itself."""

    capacity: Capacity
    drivers: tuple[DriverFacts, ...] = ()
    datastores: tuple[DatastoreFacts, ...] = ()
    bridges: tuple[str, ...] = ()
    #: Digests that this host can serve to others.
    images: tuple[Digest, ...] = ()
    #: Where others fetch from; ``None`` where the host serves nobody.
    holder: Holder | None = None
    #: Facts for requirement expressions: ``ARCH``, ``CPU_MODEL``, ``CPU_FLAGS``, ``HYPERVISOR``...
    facts: dict[str, str | int | float] = {}
    guests: tuple[Observation, ...] = ()
    numa: tuple[NumaNode, ...] = ()
    #: Devices that guests may be given: those that the operator of the host named.
    pci: tuple[PciDevice, ...] = ()


class Outcome(Value):
    """How a step ended, with the tool's own words."""

    ok: bool
    #: Stable code of a failure (``no_space``, ``image_missing``, ``tool_failed``...); empty when ok.
    code: str = ""
    #: One sentence that says what happened and what to do next.
    message: str = ""
    argv: tuple[str, ...] = ()
    exit_status: int | None = None
    #: At most 8 KiB, the end where it was longer.
    stderr: str = ""
    #: What the step found out: ``deploy_id``, ``sha256``...; and JSON where it is a list.
    result: dict[str, str | int | float] = {}
    duration_s: float = 0.0
