"""The vectors of a VM's template as values: disks, NICs, boot, screen, context."""

import re
from collections.abc import Sequence

from innkeeper_controller.templates.context import reference_mistakes
from innkeeper_controller.templates.validation import Checked, Findings, Group
from innkeeper_controller.templates.vocabulary import FILE_REFERENCE
from innkeeper_plugins.vocabulary import DiskKind, Graphics, Value

_FILE = re.compile(FILE_REFERENCE)
_DEVICE = re.compile(r"(disk|nic)([0-9]{1,4})")
#: Boot devices as OpenNebula 3 and before wrote them.
_OLD_DEVICES = {"hd": "disk0", "network": "nic0"}
_KIND_OF_TYPE = {"fs": DiskKind.VOLATILE, "block": DiskKind.VOLATILE, "swap": DiskKind.SWAP}
_PASSED_AS_BOOLEAN = ("yes", "no")


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
    image = _reference(group, "IMAGE", findings)
    kind = DiskKind.IMAGE if image else _empty_kind(group, findings)
    return DiskTemplate(
        image=image,
        kind=kind,
        datastore=group.text("DATASTORE"),
        size_mib=group.integer("SIZE"),
        target=group.text("TARGET"),
        dev_prefix=group.text("DEV_PREFIX"),
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


def _empty_kind(group: Group, findings: Findings) -> DiskKind:
    place = (group.line, group.column)
    if group.is_damaged:
        return DiskKind.VOLATILE
    if "TYPE" not in group.entries:
        text = "A disk needs an image, IMAGE = tiny, or a type and size, TYPE = fs, SIZE = 512."
        findings.mistake(place, "DISK", text)
        return DiskKind.VOLATILE
    if "SIZE" not in group.entries:
        findings.mistake(place, "DISK/SIZE", "An empty disk needs a SIZE in MB, like SIZE = 512.")
    return _KIND_OF_TYPE[group.text("TYPE")]


def nics_of(checked: Checked) -> tuple[NicTemplate, ...]:
    """Return the network cards in order; their ids count from 0 in it."""
    return tuple(_nic(group, checked.findings) for group in checked.vectors.get("NIC", ()))


def _nic(group: Group, findings: Findings) -> NicTemplate:
    network = _reference(group, "NETWORK", findings)
    if not network and not group.is_damaged:
        findings.mistake((group.line, group.column), "NIC/NETWORK", "A NIC needs a network, like NETWORK = lan.")
    return NicTemplate(
        network=network,
        ip=group.text("IP"),
        mac=group.text("MAC"),
        model=group.text("MODEL"),
        line=group.line,
        column=group.column,
    )


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
    match = _FILE.fullmatch(group.text(f"{name}_DS"))
    return match[2].strip() if match else group.text(name)


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


def graphics_of(checked: Checked) -> Graphics | None:
    """Return the guest's screen; None for none."""
    groups: Sequence[Group] = checked.vectors.get("GRAPHICS", ())
    if not groups:
        return None
    group = groups[0]
    return Graphics(
        type=group.text("TYPE", "vnc"),
        listen=group.text("LISTEN", "127.0.0.1"),
        port=group.integer("PORT") or None,
        keymap=group.text("KEYMAP"),
    )


def features_of(checked: Checked) -> dict[str, str]:
    """Return the features that were given: ``{ACPI: yes, IOTHREADS: 2}``."""
    entries = checked.only("FEATURES").entries
    return {
        name: _PASSED_AS_BOOLEAN[not entry.value] if isinstance(entry.value, bool) else str(entry.value)
        for name, entry in entries.items()
    }


def context_of(checked: Checked) -> dict[str, str]:
    """Return the context variables as they were written, their references checked."""
    entries = checked.only("CONTEXT").entries
    for name, entry in entries.items():
        for message, meant in reference_mistakes(str(entry.value)):
            checked.findings.mistake((entry.line, entry.column), f"CONTEXT/{name}", message, meant)
    return {name: str(entry.value) for name, entry in entries.items()}
