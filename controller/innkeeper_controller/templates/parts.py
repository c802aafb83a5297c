"""The vectors of a VM's template that name things kept elsewhere: disks, NICs, boot, context."""

import re

from innkeeper_controller.templates.context import reference_mistakes
from innkeeper_controller.templates.validation import Checked, Findings, Group
from innkeeper_controller.templates.vocabulary import FILE_REFERENCE
from innkeeper_plugins.vocabulary import DiskKind, Value

_FILE = re.compile(FILE_REFERENCE)
_DEVICE = re.compile(r"(disk|nic)([0-9]{1,4})")
#: Boot devices as OpenNebula 3 and before wrote them.
_OLD_DEVICES = {"hd": "disk0", "network": "nic0"}
_KIND_OF_TYPE = {"fs": DiskKind.VOLATILE, "block": DiskKind.VOLATILE, "swap": DiskKind.SWAP}
_PREFIX_OF_BUS = {"virtio": "vd", "scsi": "sd", "ide": "hd"}


class DiskTemplate(Value):
    """A disk: made from an image, or empty."""

    #: Name or number of the image; empty for an empty disk.
    image: str = ""
    kind: DiskKind = DiskKind.IMAGE
    #: Empty for the image's own.
    datastore: str = ""
    #: 0 for the image's own.
    size_mib: int = 0
    #: Device name; empty for the first free one of ``dev_prefix``.
    target: str = ""
    #: ``vd``, ``sd`` or ``hd``; empty for the usual one.
    dev_prefix: str = ""
    #: ``raw`` or ``qcow2``; empty for the usual one.
    format: str = ""
    #: File system of an empty disk; empty for none.
    filesystem: str = ""
    cache: str = ""
    readonly: bool = False
    #: Where it stands in the template.
    line: int = 0
    column: int = 0


class NicTemplate(Value):
    """A network card."""

    #: Name or number of the network.
    network: str
    #: Wanted addresses; empty for any.
    ip: str = ""
    mac: str = ""
    model: str = ""
    #: Where it stands in the template.
    line: int = 0
    column: int = 0


class BootTemplate(Value):
    """How the guest starts."""

    arch: str = ""
    machine: str = ""
    #: Names or numbers of images; empty to boot from a disk.
    kernel: str = ""
    initrd: str = ""
    #: With ``root=`` where ROOT was given.
    kernel_cmdline: str = ""
    #: ``disk0``, ``nic0``...
    order: tuple[str, ...] = ()
    line: int = 0
    column: int = 0


def disks_of(checked: Checked) -> tuple[DiskTemplate, ...]:
    """Return the disks in order; their ids count from 0 in it."""
    groups = checked.vectors.get("DISK", ())
    disks = tuple(_disk(group, checked.findings) for group in groups)
    targets: dict[str, int] = {}
    for group, disk in zip(groups, disks, strict=True):
        if disk.target in targets:
            text = f"{disk.target} is the TARGET of the disk on line {targets[disk.target]} already."
            checked.findings.mistake(group.place("TARGET"), "DISK/TARGET", text)
        elif disk.target:
            targets[disk.target] = group.line
    return disks


def _disk(group: Group, findings: Findings) -> DiskTemplate:
    image = _reference(group, "IMAGE", findings) or _image_of_source(group, findings)
    _remark_on_persistence(group, findings)
    kind = DiskKind.IMAGE if image else _empty_kind(group, findings)
    return DiskTemplate(
        image=image,
        kind=kind,
        datastore=group.text("DATASTORE"),
        size_mib=group.integer("SIZE"),
        target=group.text("TARGET"),
        dev_prefix=group.text("DEV_PREFIX") or _PREFIX_OF_BUS.get(group.text("BUS"), ""),
        format=group.text("FORMAT") or group.text("DRIVER"),
        filesystem=group.text("FS"),
        cache=group.text("CACHE"),
        readonly=group.flag("READONLY"),
        line=group.line,
        column=group.column,
    )


def _reference(group: Group, name: str, findings: Findings) -> str:
    """Return a thing's number where it was given, otherwise its name."""
    number, text = group.text(f"{name}_ID"), group.text(name)
    if number and text:
        findings.remark(group.place(name), name, f"{name}_ID is given too and counts; {name} is not looked at.")
    return number or text


def _image_of_source(group: Group, findings: Findings) -> str:
    """Return the image that the first releases of OpenNebula took from a path."""
    name = group.text("SOURCE").rstrip("/").rsplit("/", 1)[-1]
    if name:
        text = f"SOURCE is the old name of IMAGE; image {name} is taken."
        findings.remark(group.place("SOURCE"), "DISK/SOURCE", text)
    return name


def _remark_on_persistence(group: Group, findings: Findings) -> None:
    for name, usual in (("CLONE", True), ("SAVE", False)):
        if name in group.entries and group.flag(name) is not usual:
            text = f"Whether a disk is its image itself, and changes it, the image says, not {name}."
            findings.remark(group.place(name), f"DISK/{name}", text)


def _empty_kind(group: Group, findings: Findings) -> DiskKind:
    place = (group.line, group.column)
    if group.is_damaged:
        return DiskKind.VOLATILE
    if group.text("TYPE") not in _KIND_OF_TYPE:
        text = "A disk needs an image, IMAGE = tiny, or a type and size, TYPE = fs, SIZE = 512."
        findings.mistake(place, "DISK", text)
        return DiskKind.VOLATILE
    if "SIZE" not in group.entries:
        findings.mistake(place, "DISK/SIZE", "An empty disk needs a SIZE in MB, like SIZE = 512.")
    return _KIND_OF_TYPE[group.text("TYPE")]


def nics_of(checked: Checked) -> tuple[NicTemplate, ...]:
    """Return the network cards in order; their ids count from 0 in it."""
    model = checked.only("NIC_DEFAULT").text("MODEL")
    return tuple(_nic(group, checked.findings, model) for group in checked.vectors.get("NIC", ()))


def _nic(group: Group, findings: Findings, usual_model: str) -> NicTemplate:
    network = _reference(group, "NETWORK", findings)
    if "NETWORK_MODE" in group.entries and network:
        text = f"NETWORK_MODE has no effect: the NIC is put into {network}."
        findings.remark(group.place("NETWORK_MODE"), "NIC/NETWORK_MODE", text)
    if not network and not group.is_damaged:
        findings.mistake((group.line, group.column), "NIC/NETWORK", _NO_NETWORK["NETWORK_MODE" in group.entries])
    return NicTemplate(
        network=network,
        ip=group.text("IP"),
        mac=group.text("MAC"),
        model=group.text("MODEL") or usual_model,
        line=group.line,
        column=group.column,
    )


_NO_NETWORK = {
    False: "A NIC needs a network, like NETWORK = lan.",
    True: "Networks are not chosen by a scheduler here; the NIC needs one, like NETWORK = lan.",
}


def boot_of(checked: Checked, *, disks: int, nics: int) -> BootTemplate:
    """Return how the guest starts, with its boot order checked against how many disks and NICs there are."""
    group = checked.only("OS")
    kernel, initrd = _file(group, "KERNEL"), _file(group, "INITRD")
    if initrd and not kernel:
        text = "INITRD needs a KERNEL to go with it."
        checked.findings.mistake(group.place("INITRD"), "OS/INITRD", text)
    root, arguments = group.text("ROOT"), group.text("KERNEL_CMD")
    if (root or arguments) and not kernel:
        text = "ROOT and KERNEL_CMD have no effect without KERNEL: the guest boots from its disk."
        checked.findings.remark(group.place("KERNEL_CMD"), "OS/KERNEL_CMD", text)
    return BootTemplate(
        arch=group.text("ARCH"),
        machine=group.text("MACHINE"),
        kernel=kernel,
        initrd=initrd,
        kernel_cmdline=" ".join(each for each in (f"root={root}" if root else "", arguments) if each),
        order=_order(group, checked.findings, {"disk": disks, "nic": nics}),
        line=group.line,
        column=group.column,
    )


def _file(group: Group, name: str) -> str:
    """Return the image that a kernel or RAM disk is, by either of the two ways to say it."""
    wanted = group.text(f"{name}_DS") or group.text(name)
    match = _FILE.fullmatch(wanted)
    return match[2].strip() if match else wanted


def _order(group: Group, findings: Findings, counts: dict[str, int]) -> tuple[str, ...]:
    words = [word.strip().lower() for word in group.text("BOOT").split(",") if word.strip()]
    order = tuple(_OLD_DEVICES.get(word, word) for word in words)
    for device in order:
        if fault := _device_fault(device, counts):
            findings.mistake(group.place("BOOT"), "OS/BOOT", fault)
    if len(set(order)) < len(order):
        findings.mistake(group.place("BOOT"), "OS/BOOT", "BOOT names a device twice.")
    return order


def _device_fault(device: str, counts: dict[str, int]) -> str:
    match = _DEVICE.fullmatch(device)
    if match is None:
        return f"BOOT has {device[:40]!r}; devices are disk0, disk1... and nic0, nic1..."
    kind, number = match[1], int(match[2])
    if number < counts[kind]:
        return ""
    return f"BOOT has {device}, but the template has {counts[kind]} of them, counted from {kind}0."


def context_of(checked: Checked) -> dict[str, str]:
    """Return the context variables as they were written, their references checked."""
    entries = checked.only("CONTEXT").entries
    for name, entry in entries.items():
        for message, meant in reference_mistakes(str(entry.value)):
            checked.findings.mistake((entry.line, entry.column), f"CONTEXT/{name}", message, meant)
    return {name: str(entry.value) for name, entry in entries.items()}
