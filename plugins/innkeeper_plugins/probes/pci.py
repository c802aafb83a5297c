"""The PCI devices, as requirement expressions ask for them: by vendor and device, and graphics cards by number."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

DEVICES = Path("/sys/bus/pci/devices")
#: First byte of the class of everything that drives a display.
DISPLAY_CLASS = "03"
#: First byte of the class of bridges, which nobody asks for.
BRIDGE_CLASS = "06"


@dataclass(frozen=True, slots=True, kw_only=True)
class PciDevice:
    """One device; hexadecimal digits in lower case, without ``0x``."""

    #: ``0000:00:1f.2``
    address: str
    vendor: str
    device: str
    #: Class, subclass and programming interface: ``030000``.
    device_class: str

    @property
    def kind(self) -> str:
        """Vendor and device as ``lspci -n`` prints them: ``10de:1eb8``."""
        return f"{self.vendor}:{self.device}"


def parse(address: str, vendor: str, device: str, device_class: str) -> PciDevice:
    """Read the files ``vendor``, ``device`` and ``class`` of a device."""
    plain = [text.strip().lower().removeprefix("0x") for text in (vendor, device, device_class)]
    return PciDevice(address=address, vendor=plain[0], device=plain[1], device_class=plain[2])


def read(root: Path = DEVICES) -> tuple[PciDevice, ...]:
    """Return this machine's devices by address; none where there is no PCI bus."""
    return tuple(
        parse(path.name, *((path / name).read_text(encoding="ascii") for name in ("vendor", "device", "class")))
        for path in sorted(root.glob("*"))
    )


def summary(devices: Iterable[PciDevice]) -> dict[str, str | int | float]:
    """Return the facts of those devices."""
    wanted = [device for device in devices if not device.device_class.startswith(BRIDGE_CLASS)]
    return {
        "PCI_DEVICES": " ".join(sorted({device.kind for device in wanted})),
        "PCI_GPUS": sum(device.device_class.startswith(DISPLAY_CLASS) for device in wanted),
    }


def facts() -> dict[str, str | int | float]:
    """Return the facts of this machine's PCI devices."""
    return summary(read())
