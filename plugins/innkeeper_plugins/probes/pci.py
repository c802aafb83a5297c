"""The PCI devices: as requirement expressions ask for them, and those that the operator lets guests be given.

What the kernel writes is not trusted: a device that cannot be read is left out.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from innkeeper_plugins.vocabulary import PciDevice

DEVICES = Path("/sys/bus/pci/devices")
#: First byte of the class of everything that drives a display.
DISPLAY_CLASS = "03"
#: First byte of the class of bridges, which nobody asks for and no guest can be given.
BRIDGE_CLASS = "06"
#: What a guest may be given: ``0000:3b:00.0``, ``10de:*``, ``10de:1eb8`` or ``class:0300``.
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_KIND = re.compile(r"(?P<vendor>[0-9a-f]{4}|\*):(?P<device>[0-9a-f]{4}|\*)")
_CLASS = re.compile(r"class:(?P<device_class>[0-9a-f]{2}(?:[0-9a-f]{2})?)")
_HEX = re.compile(r"[0-9a-f]+")


def parse(address: str, vendor: str, device: str, device_class: str, numa_node: str = "") -> PciDevice | None:
    """Read the files ``vendor``, ``device``, ``class`` and ``numa_node`` of a device; None for nonsense."""
    plain = [text.strip().lower().removeprefix("0x") for text in (vendor, device, device_class)]
    if not _ADDRESS.fullmatch(address) or not all(_HEX.fullmatch(each) for each in plain):
        return None
    node = numa_node.strip()
    return PciDevice(
        address=address,
        vendor=plain[0],
        device=plain[1],
        # The third byte says how it is programmed, which nobody asks for.
        device_class=plain[2][:4],
        numa_node=int(node) if node.isdecimal() else -1,
    )


def read(root: Path = DEVICES) -> tuple[PciDevice, ...]:
    """Return this machine's devices by address; none where there is no PCI bus."""
    found = [
        parse(path.name, *(_text(path / name) for name in ("vendor", "device", "class", "numa_node")))
        for path in sorted(root.glob("*"))
    ]
    return tuple(each for each in found if each is not None)


def is_rule(text: str) -> bool:
    """Return True for an address, ``VENDOR:DEVICE`` or ``class:CLASS``, in either case."""
    return any(pattern.fullmatch(text.lower()) for pattern in (_ADDRESS, _KIND, _CLASS))


def offered(devices: Iterable[PciDevice], rules: Iterable[str]) -> tuple[PciDevice, ...]:
    """Return the devices that guests may be given: those that a rule names, and no bridge.

    Args:
        devices: Those of the machine.
        rules: See ``is_rule``; what is none names nothing.
    """
    lower = [rule.lower() for rule in rules]
    return tuple(
        each
        for each in devices
        if not each.device_class.startswith(BRIDGE_CLASS) and any(_names(rule, each) for rule in lower)
    )


def _names(rule: str, device: PciDevice) -> bool:
    if kind := _KIND.fullmatch(rule):
        return kind["vendor"] in {"*", device.vendor} and kind["device"] in {"*", device.device}
    if wanted := _CLASS.fullmatch(rule):
        return device.device_class.startswith(wanted["device_class"])
    return rule == device.address


def summary(devices: Iterable[PciDevice]) -> dict[str, str | int | float]:
    """Return the facts of those devices."""
    wanted = [device for device in devices if not device.device_class.startswith(BRIDGE_CLASS)]
    return {
        "PCI_DEVICES": " ".join(sorted({f"{device.vendor}:{device.device}" for device in wanted})),
        "PCI_GPUS": sum(device.device_class.startswith(DISPLAY_CLASS) for device in wanted),
    }


def facts() -> dict[str, str | int | float]:
    """Return the facts of this machine's PCI devices."""
    return summary(read())


def _text(path: Path) -> str:
    """Return what the file says; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
