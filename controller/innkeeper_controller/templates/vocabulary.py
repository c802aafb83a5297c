"""Every attribute that a template may have: one table, from which validation, suggestions, reference and schema come.

Adding an attribute: its row here; nothing else has to know its name but the module that uses its value.
"""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What the value of an attribute is."""

    INTEGER = "whole number"
    NUMBER = "number"
    BOOLEAN = "yes or no"
    TEXT = "text"
    CHOICE = "one of"
    IP = "IPv4 address"
    MAC = "MAC address"
    REQUIREMENTS = "requirement expression"
    RANK = "rank expression"
    VECTOR = "vector"


class Use(StrEnum):
    """What becomes of an attribute."""

    ACTS = "acts"
    #: Kept for people and programs, as it was meant.
    KEPT = "kept"
    #: Kept, but what it asks for is not done yet: the author is told so.
    NO_EFFECT = "no effect yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One attribute, or one key of a vector."""

    name: str
    kind: Kind
    #: One sentence.
    says: str
    #: A value as it would be written in text syntax, without quotes.
    example: str = ""
    use: Use = Use.ACTS
    required: bool = False
    #: What is taken where it is not given; only told, the reader of the value decides.
    default: str = ""
    minimum: float | None = None
    maximum: float | None = None
    #: ``MB``, for numbers with one.
    unit: str = ""
    #: In the spelling that the value gets; any case is accepted.
    choices: tuple[str, ...] = ()
    #: A text has to match it whole; with words for it.
    pattern: str = ""
    pattern_says: str = ""
    #: Keys of a vector; None where it may have any.
    keys: tuple["Field", ...] | None = ()
    #: True where it may stand several times.
    repeats: bool = False
    #: How often it may; 0 for as often as a template has attributes.
    at_most: int = 0


def _field(kind: Kind, name: str, says: str, example: str = "", **more: Any) -> Field:  # noqa: ANN401 - as Field has them
    return Field(name=name, kind=kind, says=says, example=example, **more)


def _text(name: str, says: str, example: str = "", **more: Any) -> Field:  # noqa: ANN401 - as Field has them
    return _field(Kind.TEXT, name, says, example, **more)


def _integer(name: str, says: str, example: str, minimum: float, maximum: float, **more: Any) -> Field:  # noqa: ANN401 - as Field has them
    return _field(Kind.INTEGER, name, says, example, minimum=minimum, maximum=maximum, **more)


def _choice(name: str, says: str, *choices: str, **more: Any) -> Field:  # noqa: ANN401 - as Field has them
    return _field(Kind.CHOICE, name, says, choices[0], choices=choices, **more)


def _boolean(name: str, says: str, example: str = "yes", **more: Any) -> Field:  # noqa: ANN401 - as Field has them
    return _field(Kind.BOOLEAN, name, says, example, **more)


def _vector(name: str, says: str, keys: tuple[Field, ...] | None, example: str = "", **more: Any) -> Field:  # noqa: ANN401 - as Field has them
    return _field(Kind.VECTOR, name, says, example, keys=keys, **more)


def _unused(name: str, says: str, *, keys: tuple[Field, ...] | None = (), repeats: bool = False) -> Field:
    kind = Kind.TEXT if keys == () else Kind.VECTOR
    return Field(name=name, kind=kind, says=says, keys=keys, repeats=repeats, use=Use.NO_EFFECT)


def _unused_keys(*names: str) -> tuple[Field, ...]:
    return tuple(_unused(name, "Known from OpenNebula.") for name in names)


def _owner_keys(noun: str) -> tuple[Field, ...]:
    """Return the keys that say whose thing it is: names are unique here, so they choose nothing."""
    says = f"Whose {noun.lower()} it is, by"
    return (
        _text(f"{noun}_UID", f"{says} number; names are unique, so it chooses nothing.", "2", **_ID),
        _text(f"{noun}_UNAME", f"{says} name; names are unique, so it chooses nothing.", "ann", **_REFERENCE),
    )


_MAX_MIB = 1 << 24
_MAX_DISK_MIB = 1 << 30
_WORD = {"pattern": r"[A-Za-z0-9._+-]{1,64}", "pattern_says": "up to 64 letters, digits and . _ + -"}
_NAME = {"pattern": r"[^/\n\t]{1,128}", "pattern_says": "up to 128 characters without a slash or line end"}
#: A thing's name or its number, as other templates and requests name it.
_REFERENCE = {"pattern": r"[^\n\t]{1,128}", "pattern_says": "a name of up to 128 characters"}
_ID = {"pattern": r"[0-9]{1,18}", "pattern_says": "a number"}
#: ``$FILE[IMAGE="name"]`` or ``$FILE[IMAGE_ID=3]``, as OpenNebula writes kernels.
FILE_REFERENCE = r'\$FILE\[\s*IMAGE(_ID)?\s*=\s*"?([^"\],]+)"?\s*(?:,[^\]]*)?\]'
_FILE = {"pattern": FILE_REFERENCE, "pattern_says": '$FILE[IMAGE="name"] or $FILE[IMAGE_ID=3]'}
_PATH = {"pattern": r"[^\n\t]{1,4096}", "pattern_says": "a path"}
_QUEUES = {"pattern": r"auto|[0-9]{1,3}", "pattern_says": "a number or auto"}
#: Names with commas between them: a placement group, a label of hosts, a flag of a processor.
_GROUP, _FLAG = r"[A-Za-z0-9._-]{1,64}", r"[A-Za-z0-9._-]{1,32}"


def _list(item: str, says: str) -> dict[str, str]:
    return {"pattern": rf"{item}(\s*,\s*{item}){{0,127}}", "pattern_says": says}


_GROUPS = _list(_GROUP, "names of up to 64 letters, digits and . _ -, with commas between them")
_VM_IDS = _list("[0-9]{1,9}", "numbers of VMs with commas between them")
_SCOPE = {"pattern": _GROUP, "pattern_says": "host, or the name of a label of hosts"}
_CACHE_MODES = ("default", "none", "writethrough", "writeback", "directsync", "unsafe")
_VLAN = (1, 4094)

_LIMITS = tuple(
    f"{way}_{what}{longest}"
    for way in ("TOTAL", "READ", "WRITE")
    for what in ("BYTES_SEC", "IOPS_SEC")
    for longest in ("", "_MAX", "_MAX_LENGTH")
)

DISK = (
    _text("IMAGE", "Name of the image that the disk is made from.", "tiny", **_REFERENCE),
    _text("IMAGE_ID", "Number of the image, in place of its name.", "3", **_ID),
    _choice("TYPE", "What a disk without image is: `fs` and `block` are volatile disks.",
            "fs", "swap", "block", "file", "disk", "cdrom"),
    _integer("SIZE", "Size of an empty disk, or a larger size for a copy.", "512", 1, _MAX_DISK_MIB, unit="MB"),
    _text("SOURCE", "The same as IMAGE, by its name of OpenNebula 1 and 2; of a path only the file's name counts.",
          "/images/tiny", **_PATH),
    *_owner_keys("IMAGE"),
    _boolean("CLONE", "The VM has its own copy; persistent images, and only they, are used themselves.",
             default="what the image says"),
    _boolean("SAVE", "The image keeps what the VM wrote, which persistent images, and only they, do.",
             default="what the image says"),
    _choice("FS", "File system that an empty disk is formatted with.", "ext4", "ext2", "vfat"),
    _choice("FORMAT", "Format of an empty disk's file.", "raw", "qcow2", default="raw"),
    _choice("DRIVER", "The same as FORMAT.", "qcow2", "raw"),
    _text("DATASTORE", "Name of the datastore, where it is not the image's.", "default", **_REFERENCE),
    _text(
        "TARGET",
        "Device name in the guest.",
        "vdb",
        pattern=r"(vd|sd|hd)[a-z]{1,2}",
        pattern_says="vd, sd or hd and a letter, like vda",
    ),
    _choice("DEV_PREFIX", "Bus: `vd` virtio, `sd` SCSI, `hd` IDE.", "vd", "sd", "hd", default="vd"),
    _choice("BUS", "The same as DEV_PREFIX, by its name of OpenNebula 1.", "virtio", "scsi", "ide"),
    _choice("CACHE", "Cache mode of the hypervisor.", *_CACHE_MODES),
    _boolean("READONLY", "The guest cannot write to it.", default="no"),
    *_unused_keys(
        "IO", "DISCARD", "PERSISTENT", "SERIAL", "ORDER",
        "IOTHREAD", "ORIGINAL_SIZE", "RECOVERY_SNAPSHOT_FREQ", "DISK_ID", "SIZE_IOPS_SEC", *_LIMITS,
    ),
)  # fmt: skip

NIC = (
    _text("NETWORK", "Name of the virtual network.", "lan", **_REFERENCE),
    _text("NETWORK_ID", "Number of the network, in place of its name.", "0", **_ID),
    _field(Kind.IP, "IP", "Address that the VM wants to have; the lowest free one without it.", "192.168.0.10"),
    _field(Kind.MAC, "MAC", "MAC that the VM wants to have.", "02:00:c0:a8:00:0a"),
    _text("MODEL", "Network card that the guest sees.", "virtio", default="virtio", **_WORD),
    *_owner_keys("NETWORK"),
    _choice("NETWORK_MODE", "OpenNebula's scheduler chooses a network for `auto`; here the NIC names one.", "auto"),
    _boolean("EXTERNAL", "The address is known elsewhere, too; kept for people and programs.", "yes", use=Use.KEPT),
    *_unused_keys(
        "SCHED_REQUIREMENTS", "SCHED_RANK", "IP6", "IP6_GLOBAL",
        "IP6_ULA", "BRIDGE", "TARGET", "SCRIPT", "FILTER", "VLAN_ID", "PHYDEV", "SECURITY_GROUPS", "INBOUND_AVG_BW",
        "INBOUND_PEAK_BW", "INBOUND_PEAK_KB", "OUTBOUND_AVG_BW", "OUTBOUND_PEAK_BW", "OUTBOUND_PEAK_KB", "METHOD",
        "METRIC", "DNS", "GATEWAY", "NETWORK_ADDRESS", "NETWORK_MASK", "GUEST_MTU", "NAME", "NIC_ID", "PCI", "RDP",
        "SSH", "VIRTIO_QUEUES", "EXTERNAL_PORT_RANGE",
    ),
)  # fmt: skip

OS = (
    _choice("ARCH", "Processor architecture.", "x86_64", "i686", "aarch64", "armv7l", "ppc64le", "riscv64", "s390x"),
    _text("MACHINE", "Machine type of the hypervisor.", "q35", **_WORD),
    _text("KERNEL", "Image with the kernel to boot, by name or as in KERNEL_DS.", "vmlinuz", **_REFERENCE),
    _text("KERNEL_DS", "The same as OpenNebula writes it.", '$FILE[IMAGE="vmlinuz"]', **_FILE),
    _text("INITRD", "Image with the initial RAM disk, by name or as in INITRD_DS.", "initrd", **_REFERENCE),
    _text("INITRD_DS", "The same as OpenNebula writes it.", '$FILE[IMAGE="initrd"]', **_FILE),
    _text("ROOT", "Root device; becomes `root=` of the kernel's command line.", "/dev/vda", pattern=r"\S{1,128}",
          pattern_says="a device name without blanks"),
    _text("KERNEL_CMD", "Command line of the kernel.", "console=ttyS0 quiet", pattern=r"[^\n]{0,2048}",
          pattern_says="one line of up to 2048 characters"),
    _text("BOOT", "Disks and NICs to boot from, in order.", "disk0,nic0"),
    *_unused_keys("BOOTLOADER", "UUID", "FIRMWARE", "FIRMWARE_SECURE", "FIRMWARE_FORMAT", "SD_DISK_BUS"),
)  # fmt: skip

CPU_MODEL = (
    _text("MODEL", "Processor that the guest sees.", "host-passthrough", **_WORD),
    _text(
        "FEATURES", "Flags that the host's processor has to have.", "aes,avx2", **_list(_FLAG, "flags, like aes,avx2")
    ),
)

FEATURES = (
    _boolean("ACPI", "The guest has ACPI: it can be asked to shut down."),
    _boolean("APIC", "The guest has an advanced interrupt controller."),
    _boolean("PAE", "32-bit guests can use more than 4 GB."),
    _boolean("HYPERV", "Hints for Windows guests."),
    _boolean("LOCALTIME", "The guest's clock shows local time."),
    _boolean("GUEST_AGENT", "A channel to the agent in the guest."),
    _text("VIRTIO_SCSI_QUEUES", "Queues of SCSI disks.", "4", **_QUEUES),
    _text("VIRTIO_BLK_QUEUES", "Queues of virtio disks.", "4", **_QUEUES),
    _integer("IOTHREADS", "Threads for disk input and output.", "1", 0, 64),
)  # fmt: skip

GRAPHICS = (
    _choice("TYPE", "Protocol of the screen.", "vnc", "spice", default="vnc"),
    _field(Kind.IP, "LISTEN", "Address on the host that it listens on.", "127.0.0.1", default="127.0.0.1"),
    _integer("PORT", "TCP port on the host; the hypervisor chooses without it.", "5901", 1024, 65535),
    _text("KEYMAP", "Keyboard.", "de", **_WORD),
    _text("PASSWD", "Password of the screen; VNC has up to 8 characters.", "secret", pattern=r"[^\n\t]{1,64}",
          pattern_says="up to 64 characters"),
    *_unused_keys("RANDOM_PASSWD", "COMMAND"),
)  # fmt: skip

INPUT = (
    _choice("TYPE", "What it is.", "tablet", "mouse", "keyboard", required=True),
    _choice("BUS", "How it is connected; the hypervisor chooses without it.", "usb", "ps2", "virtio"),
)

VIDEO = (
    _choice("TYPE", "The card; `auto` lets the hypervisor choose.", "virtio", "vga", "cirrus", "qxl", "bochs", "none",
            "auto", required=True),
    *_unused_keys("IOMMU", "ATS", "VRAM", "RESOLUTION"),
)  # fmt: skip

RAW = (
    _text("TYPE", "The hypervisor that it is for, in OpenNebula's word.", "kvm", required=True, **_WORD),
    _text(
        "DATA",
        "For KVM: XML elements that are added to the guest's machine.",
        "<devices><watchdog model='i6300esb'/></devices>",
    ),
    *_unused_keys("DATA_VMX", "VALIDATE"),
)

TOPOLOGY = (
    _integer("SOCKETS", "Sockets that the guest sees.", "1", 1, 1024),
    _integer("CORES", "Cores of each socket.", "2", 1, 1024),
    _integer("THREADS", "Threads of each core.", "1", 1, 64, default="1"),
    _choice("PIN_POLICY", "Whether its processors are tied to those of its host: each to a core of its own, each to a "
            "thread of its own, all to some that others share, or not.", "CORE", "THREAD", "SHARED", "NONE",
            default="NONE"),
    _integer("HUGEPAGE_SIZE", "Memory comes from pages of this size, that the host has set aside.", "2", 1, 1 << 20,
             unit="MB"),
    *_unused_keys("NODE_AFFINITY", "MEMORY_ACCESS"),
)  # fmt: skip

NUMA_NODE = (
    _integer("TOTAL_CPUS", "Its processors; all nodes have as many.", "1", 1, 1024, default="an even share of VCPU"),
    _integer("MEMORY", "Its memory; all nodes have as much.", "512", 1, _MAX_MIB, unit="MB",
             default="an even share of MEMORY"),
    *_unused_keys("CPUS", "NODE_ID", "MEMORY_NODE_ID"),
)  # fmt: skip

_HEX = {"pattern": r"(0x)?[0-9A-Fa-f]{4}", "pattern_says": "four hexadecimal digits"}

PCI = (
    _text("VENDOR", "Number of its maker.", "10de", **_HEX),
    _text("DEVICE", "Number that its maker has given it.", "1eb8", **_HEX),
    _text("CLASS", "What kind of device it is, like 0300 for a graphics card.", "0302", **_HEX),
    _text("SHORT_ADDRESS", "Where it is on its host.", "3b:00.0", pattern=r"[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]",
          pattern_says="bus:slot.function, like 3b:00.0"),
    _text("ADDRESS", "The same with its domain.", "0000:3b:00.0",
          pattern=r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}[.:][0-7]",
          pattern_says="domain:bus:slot.function, like 0000:3b:00.0"),
    *_unused_keys("TYPE", "NAME", "PROFILE", "UUID", "PCI_ID", "NUMA_NODE", "VM_ADDRESS", "VM_BUS", "VM_SLOT",
                  "VM_FUNCTION", "VM_DOMAIN"),
)  # fmt: skip

NIC_DEFAULT = (
    _text("MODEL", "Network card of NICs that have none of their own.", "virtio", **_WORD),
    *_unused_keys("FILTER", "SECURITY_GROUPS", "VIRTIO_QUEUES", "SCRIPT", "TARGET", "RDP", "SSH"),
)

#: What can be done at a set time, in OpenNebula's words.
SCHEDULED_ACTIONS = (
    "poweroff", "poweroff-hard", "terminate", "terminate-hard", "undeploy", "undeploy-hard", "hold", "release", "stop",
    "suspend", "resume", "resched", "unresched", "shutdown", "reboot", "reboot-hard", "snapshot-create",
    "snapshot-revert", "snapshot-delete", "disk-snapshot-create", "disk-snapshot-revert", "disk-snapshot-delete",
)  # fmt: skip

SCHED_ACTION = (
    _choice("ACTION", "What is done.", *SCHEDULED_ACTIONS, required=True),
    _text("TIME", "When: seconds since 1970, or `+` and seconds after the VM is made.", "+3600", required=True,
          pattern=r"\+?[0-9]{1,10}", pattern_says="seconds since 1970, or + and seconds"),
    _text("ARGS", "Words behind the action, separated by commas: a snapshot's name or number.", "before",
          pattern=r"[^\n]{0,256}", pattern_says="one line of up to 256 characters"),
    _integer("REPEAT", "0 weekly, 1 monthly, 2 yearly, 3 every so many hours; once without it.", "0", 0, 3),
    _text("DAYS", "Days of the week (0 is Sunday), of the month, of the year, or hours between two.", "1,5",
          pattern=r"[0-9]{1,3}(\s*,\s*[0-9]{1,3})*", pattern_says="numbers with commas between them"),
    _integer("END_TYPE", "0 without an end, 1 after END_VALUE times, 2 at END_VALUE.", "1", 0, 2),
    _integer("END_VALUE", "How often, or until when in seconds since 1970.", "5", 0, 9_999_999_999),
    *_unused_keys("ID", "WARNING", "DONE", "MESSAGE", "TYPE", "PARENT_ID"),
)  # fmt: skip

#: How much a relation to others counts.
_SOFTNESS = (
    _boolean("SOFT", "A wish, that makes hosts better; without it, other hosts are not taken.", default="no"),
    _field(Kind.NUMBER, "WEIGHT", "Of a wish, how much it counts beside the policy.", "2", minimum=0, maximum=1000,
           default="1"),
)  # fmt: skip

AFFINITY = (
    _text("GROUP", "Placement groups that are meant.", "db", **_GROUPS),
    _text("VM", "Numbers of VMs that are meant.", "7,8", **_VM_IDS),
    _text("SCOPE", "`host`, or a label of hosts: hosts with one value of it are one place.", "rack", default="host",
          **_SCOPE),
    *_SOFTNESS,
)  # fmt: skip

ANTI_AFFINITY = (
    _text("GROUP", "Placement groups that are meant.", "db", default="those of the VM", **_GROUPS),
    *AFFINITY[1:],
)

SPREAD = (
    _text("GROUP", "Placement groups whose VMs are spread.", "web", default="those of the VM", **_GROUPS),
    AFFINITY[2],
    _integer("MAX_SKEW", "How many more than the emptiest place any may have.", "1", 1, 1000, default="1"),
    *_SOFTNESS,
)

GANG = (
    _text("NAME", "Name of the gang; it is its owner's.", "mpi", required=True, pattern=_GROUP,
          pattern_says="up to 64 letters, digits and . _ -"),
    _integer("SIZE", "How many of its VMs have to wait before any is placed.", "4", 1, 1000, required=True),
)  # fmt: skip

#: Of a VM's place in the queue; the higher, the sooner.
_PRIORITY = (-1000, 1000)

VM = (
    _text("NAME", "Name of the VM.", "web", default="`vm-` and its number", **_NAME),
    _field(Kind.NUMBER, "CPU", "Cores that are set aside for the VM on its host; fractions are fine.", "0.5",
           minimum=0.01, maximum=1024, default="1"),
    _integer("VCPU", "Processors that the guest sees.", "2", 1, 1024, default="1"),
    _integer("MEMORY", "Memory of the guest.", "512", 1, _MAX_MIB, unit="MB", required=True),
    _integer("VCPU_MAX", "Processors that the running guest can be given; no more than it has without.", "4", 1, 1024),
    _integer("MEMORY_MAX", "Memory that the running guest can be given; no more than it has without.", "1024", 1,
             _MAX_MIB, unit="MB"),
    _vector("OS", "How the guest boots.", OS, "[ ARCH = x86_64, BOOT = disk0 ]"),
    _vector("CPU_MODEL", "Processor that the guest sees.", CPU_MODEL, "[ MODEL = host-passthrough ]"),
    _vector("FEATURES", "What the machine can do.", FEATURES, "[ ACPI = yes, GUEST_AGENT = yes ]"),
    _vector("DISK", "A disk: made from an image, or empty.", DISK, "[ IMAGE = tiny ]", repeats=True),
    _vector("NIC", "A network card with a leased address.", NIC, "[ NETWORK = lan ]", repeats=True),
    _vector("GRAPHICS", "A screen.", GRAPHICS, "[ TYPE = vnc, LISTEN = 127.0.0.1 ]"),
    _vector("INPUT", "A pointer or keyboard.", INPUT, "[ TYPE = tablet, BUS = usb ]", repeats=True,
            at_most=16),
    _vector("VIDEO", "The video card.", VIDEO, "[ TYPE = virtio ]"),
    _vector("TOPOLOGY", "How the guest sees its processors; the product is VCPU.", TOPOLOGY,
            "[ SOCKETS = 1, CORES = 1, THREADS = 1 ]"),
    _vector("NUMA_NODE", "A node that the guest sees, on a node of the host of its own; without any, SOCKETS says how "
            "many there are.", NUMA_NODE, "[ TOTAL_CPUS = 1, MEMORY = 512 ]", repeats=True, at_most=64),
    _vector("PCI", "A device of the host that the guest gets whole; for administrators.", PCI,
            "[ VENDOR = 10de, CLASS = 0302 ]", repeats=True, at_most=32),
    _vector("RAW", "Text for the hypervisor, as it is; for administrators.", RAW,
            "[ TYPE = kvm, DATA = \"<devices><watchdog model='i6300esb'/></devices>\" ]", repeats=True),
    _vector("NIC_DEFAULT", "What every NIC has unless it says otherwise.", NIC_DEFAULT, "[ MODEL = virtio ]"),
    _vector("SCHED_ACTION", "Something to do at a set time.", SCHED_ACTION, '[ ACTION = poweroff, TIME = "+3600" ]',
            repeats=True, at_most=64),
    _vector("CONTEXT", "Variables for the guest, on its context disk; see below for `$NAME` and its like.", None,
            '[ NETWORK = YES, SET_HOSTNAME = "$NAME" ]'),
    _text("HYPERVISOR", "Hypervisor driver; any that the host has without it.", "libvirt", **_WORD),
    _field(Kind.REQUIREMENTS, "SCHED_REQUIREMENTS", "What a host must have to be chosen.",
           "ARCH = x86_64 & FREE_CPU > 100"),
    _field(Kind.REQUIREMENTS, "REQUIREMENTS", "The same by its name of OpenNebula 3 and before.", 'HYPERVISOR = "*"'),
    _field(Kind.RANK, "SCHED_RANK", "What makes one host better than another.", "FREE_CPU * 100 - RUNNING_VMS"),
    _field(Kind.RANK, "RANK", "The same by its name of OpenNebula 3 and before.", "FREE_MEMORY"),
    _integer("SCHED_PRIORITY", "The higher, the sooner it is placed.", "10", *_PRIORITY, default="0"),
    _integer("USER_PRIORITY", "The same by its name of OpenNebula.", "10", *_PRIORITY),
    _text("PLACEMENT_GROUP", "Groups of VMs that it is in, up to 16, for AFFINITY and its like.", "web, frontend",
          **_GROUPS),
    _vector("AFFINITY", "VMs that it wants to be with: where one of them is already.", AFFINITY,
            "[ GROUP = db, SCOPE = rack ]", repeats=True, at_most=32),
    _vector("ANTI_AFFINITY", "VMs that it wants to be away from: where none of them is.", ANTI_AFFINITY,
            "[ GROUP = web ]", repeats=True, at_most=32),
    _vector("SPREAD", "VMs that it wants to be spread with: about as many in each place.", SPREAD,
            "[ GROUP = web, SCOPE = rack, MAX_SKEW = 1 ]", repeats=True, at_most=32),
    _vector("GANG", "VMs that are placed all at once, or not at all.", GANG, "[ NAME = mpi, SIZE = 4 ]"),
    _field(Kind.NUMBER, "PENDING_TIMEOUT", "How long it may be PENDING in seconds; then it is FAILED.", "3600",
           minimum=1, maximum=999_999_999, default="what the operator decided"),
    _text("TITLE", "A line for people.", use=Use.KEPT),
    _text("DESCRIPTION", "A text for people.", "the web server", use=Use.KEPT),
    _text("LABELS", "Words to find the VM by.", "web,test", use=Use.KEPT, repeats=True),
    _text("LOGO", "Picture for web pages.", use=Use.KEPT),
    *(
        _field(Kind.NUMBER, name, says, "0.1", minimum=0, maximum=999_999_999, use=Use.KEPT)
        for name, says in (
            ("CPU_COST", "What a core costs in an hour."),
            ("MEMORY_COST", "What a MB of memory costs in an hour."),
            ("DISK_COST", "What a MB of disk costs in an hour."),
        )
    ),
    _choice("MEMORY_UNIT_COST", "The unit that people are shown the cost of memory in.", "MB", "GB", use=Use.KEPT),
    _vector("HAIZEA", "A lease, for the scheduler that reads it: start, duration, deadline.", None, use=Use.KEPT),
    _vector("USER_INPUTS", "What a program asks before it uses the template.", None, use=Use.KEPT),
    *(
        _text(name, "Added by OpenNebula itself; harmless.", use=Use.KEPT)
        for name in (
            "AUTOMATIC_REQUIREMENTS", "AUTOMATIC_DS_REQUIREMENTS", "AUTOMATIC_NIC_REQUIREMENTS", "TEMPLATE_ID", "VMID",
            "INPUTS_ORDER", "INFO", "SCHED_MESSAGE",
        )
    ),
    _unused("MEMORY_SLOTS", "Slots for memory hot-plug."),
    _unused("MEMORY_RESIZE_MODE", "How memory is hot-plugged."),
    _unused("NIC_ALIAS", "A further address of a NIC.", keys=None, repeats=True),
    _unused("TPM", "A trusted platform module.", keys=None),
    _unused("SCHED_DS_REQUIREMENTS", "What a datastore must have to be chosen."),
    _unused("SCHED_DS_RANK", "What makes one datastore better than another."),
    _unused("EMULATOR", "Path of the emulator on the host."),
    _unused("BACKUP_CONFIG", "How backups are made.", keys=None),
    _unused("VMGROUP", "Group that the VM is placed with or away from.", keys=None),
)  # fmt: skip

_PREFIX = {"pattern": r"[0-9A-Fa-f:]{2,39}(/64)?", "pattern_says": "an IPv6 prefix of 64 bits, like 2001:db8::"}

AR = (
    _choice("TYPE", "IPv4 addresses, IPv6 addresses, both, or MACs only.", "IP4", "IP6", "IP4_6", "ETHER",
            default="IP4"),
    _field(Kind.IP, "IP", "First address.", "192.168.0.10"),
    _field(Kind.MAC, "MAC", "First MAC.", "02:00:c0:a8:00:0a", default="02:00 and the octets of IP"),
    _integer("SIZE", "How many addresses.", "20", 1, 1 << 24, required=True),
    _text("GLOBAL_PREFIX", "First 64 bits of global IPv6 addresses; the others are made of the MAC.", "2001:db8::",
          **_PREFIX),
    _text("ULA_PREFIX", "First 64 bits of unique local IPv6 addresses.", "fd00::", **_PREFIX),
    *_unused_keys("AR_ID", "IP6", "PREFIX_LENGTH", "NAME", "SHARED", "IPAM_MAD"),
)  # fmt: skip

LEASES = (
    _field(Kind.IP, "IP", "The address.", "192.168.0.5"),
    _field(Kind.MAC, "MAC", "Its MAC.", "02:00:c0:a8:00:05", default="02:00 and the octets of IP"),
)

NETWORK = (
    _text("NAME", "Name of the network; it has to have one that is not a number.", "lan", **_NAME),
    _text("BRIDGE", "Bridge on the hosts that the NICs are put into; none means user-mode networking.", "br0",
          pattern=r"[A-Za-z0-9._-]{1,15}", pattern_says="up to 15 letters, digits and . _ -"),
    _integer("VLAN_ID", "VLAN tag.", "100", *_VLAN),
    _text("PHYDEV", "Device of the hosts that carries the VLAN.", "eth0",
          pattern=r"[A-Za-z0-9._-]{1,15}", pattern_says="up to 15 letters, digits and . _ -"),
    _vector("AR", "A range of addresses.", AR, "[ TYPE = IP4, IP = 192.168.0.10, SIZE = 20 ]", repeats=True),
    _field(Kind.IP, "GATEWAY", "Router of the network, for the guests.", "192.168.0.1"),
    _field(Kind.IP, "NETWORK_MASK", "Network mask, for the guests.", "255.255.255.0"),
    _text("DNS", "Name servers, for the guests.", "192.168.0.1", pattern=r"[0-9A-Fa-f.: ,]{0,256}",
          pattern_says="IP addresses with blanks between them"),
    _text("DESCRIPTION", "A text for people.", use=Use.KEPT),
    _text("VN_MAD", "OpenNebula's name of how it reaches the wire.", "bridge", default="bridge", **_WORD),
    _choice("TYPE", "How networks were described before OpenNebula 4; ranges are made of it.", "RANGED", "FIXED"),
    _text("NETWORK_SIZE", "Addresses of a RANGED network: a number, or its class A, B or C.", "C",
          pattern=r"[ABCabc]|[0-9]{1,8}", pattern_says="a number, or A, B or C"),
    _text("NETWORK_ADDRESS", "Address of a RANGED network; its first machine has the next one.", "192.168.0.0",
          pattern=r"[0-9.]{7,15}(/[0-9]{1,2})?", pattern_says="an IPv4 address, or one with a prefix length"),
    _vector("LEASES", "One address of a FIXED network.", LEASES, "[ IP = 192.168.0.5 ]", repeats=True),
    *_unused_keys("SECURITY_GROUPS", "FILTER_IP_SPOOFING", "FILTER_MAC_SPOOFING", "MTU",
                  "GUEST_MTU", "BRIDGE_TYPE", "METRIC", "METHOD", "AUTOMATIC_VLAN_ID", "SEARCH_DOMAIN", "GATEWAY6"),
)  # fmt: skip

IMAGE = (
    _text("NAME", "Name of the image; it has to have one that is not a number.", "tiny", **_NAME),
    _text("PATH", "File under an import directory of an agent, or an http(s) URL.", "tiny.qcow2",
          pattern=r"[^\n\t]{1,4096}", pattern_says="a path or URL"),
    _choice("TYPE", "What the image is for.", "os", "datablock", "cdrom", "kernel", "ramdisk", "context",
            default="os, or datablock for an empty one"),
    _choice("FORMAT", "Format of the file; found out without it.", "qcow2", "raw"),
    _choice("DRIVER", "The same as FORMAT.", "qcow2", "raw"),
    _text("DATASTORE", "Name of the datastore to keep it in.", "default", **_REFERENCE),
    _text("SHA256", "Digest that the file must have.", "", pattern=r"[0-9a-fA-F]{64}",
          pattern_says="64 hexadecimal digits"),
    _text("DESCRIPTION", "A text for people.", use=Use.KEPT),
    _integer("SIZE", "Size of an empty image.", "1024", 1, _MAX_DISK_MIB, unit="MB"),
    _boolean("PERSISTENT", "Given to one VM at a time, whose disk becomes the image again when the VM ends.",
             default="no"),
    _text("DEV_PREFIX", "Bus of disks that do not say theirs: `vd`, `sd` or `hd`.", use=Use.KEPT),
    *_unused_keys("TARGET", "SOURCE", "FS", "MD5", "SHA1", "PUBLIC", "DISK_TYPE"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """All attributes of one kind of template, ready to be looked up."""

    #: With its article, for sentences: ``a VM``.
    what: str
    fields: dict[str, Field]
    #: ``{vector: {key: field}}``; without those that may have any keys.
    keys: dict[str, dict[str, Field]]
    #: ``{key: vector that has it}``
    homes: dict[str, Field]


def _table(what: str, fields: tuple[Field, ...]) -> Table:
    return Table(
        what=what,
        fields={field.name: field for field in fields},
        keys={field.name: {key.name: key for key in field.keys} for field in fields if field.keys is not None},
        # Of several, the first: who writes SIZE means that of a disk.
        homes={key.name: field for field in reversed(fields) for key in field.keys or ()},
    )


VM_TABLE = _table("a VM", VM)
SCHED_TABLE = _table(
    "a schedule", tuple(dataclasses.replace(field, required=True) for field in VM if field.name == "SCHED_ACTION")
)
#: What a VM asks of the scheduler and may ask otherwise later on.
WISHES = frozenset({"SCHED_PRIORITY", "USER_PRIORITY", "PENDING_TIMEOUT", "PLACEMENT_GROUP", "AFFINITY",
                    "ANTI_AFFINITY", "SPREAD", "GANG"})  # fmt: skip
WISHES_TABLE = _table("a VM", tuple(field for field in VM if field.name in WISHES))
NETWORK_TABLE = _table("a network", NETWORK)
IMAGE_TABLE = _table("an image", IMAGE)
