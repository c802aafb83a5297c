"""Plugs disks and network cards into running guests and takes them out again.

What a guest has is what libvirt's XML of the running domain says, read anew each time: a device that was only asked
to go is not gone, and whoever deleted or reused its disk would give one guest's data to another (CVE-2023-2088).
"""

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import libvirt

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors.libvirt import guests
from innkeeper_plugins.hypervisors.libvirt.events import LifecycleEvents
from innkeeper_plugins.hypervisors.libvirt.identity import domain_name
from innkeeper_plugins.protocols import Place
from innkeeper_plugins.vocabulary import Disk, Nic, Vm

#: How long a guest may take to let go of a device.
DETACH_TIMEOUT_S = 60.0
#: How often it is asked to: one that is still starting does not hear it.
ASK_INTERVAL_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """How a disk or a network card is known among the devices of a domain."""

    #: As people know it.
    name: str
    #: Whether an element of ``<devices>`` is in its place, where there can be only one.
    in_place: Callable[[ET.Element], bool]
    #: Whether an element in its place is the device itself, and not another one.
    is_same: Callable[[ET.Element], bool]


def disk_device(disk: Disk, path: Path) -> Device:
    """Return how the disk is known: by its target and its file."""
    return Device(
        name=f"disk {disk.disk_id} ({disk.target})",
        in_place=lambda one: one.tag == "disk" and _says(one, "target", "dev") == disk.target,
        is_same=lambda one: _says(one, "source", "file") == str(path),
    )


def nic_device(nic: Nic) -> Device:
    """Return how the network card is known: by its MAC address, on its bridge."""
    return Device(
        name=f"network card {nic.nic_id} ({nic.mac})",
        in_place=lambda one: one.tag == "interface" and _says(one, "mac", "address").lower() == nic.mac.lower(),
        is_same=lambda one: _says(one, "source", "bridge") == nic.bridge,
    )


def attach(connection: libvirt.virConnect, vm: Vm, device: Device, element: ET.Element) -> None:
    """Plug the device into the VM's running guest, and into its definition.

    Args:
        connection: Where the guest runs.
        vm: The VM.
        device: What is plugged in.
        element: How it stands in domain XML.

    Raises:
        DriverError: ``guest_missing``, or ``refused``: another device is in its place.
        libvirt.libvirtError: libvirt refuses; the guest is as it was.
    """
    domain = guests.running(connection, vm)
    flags = 0
    for affected, definition in _definitions(domain):
        found = _find(definition, device)
        if found is None:
            flags |= affected
        elif affected == libvirt.VIR_DOMAIN_AFFECT_LIVE and not device.is_same(found):
            raise DriverError(
                f"Guest {domain_name(vm.vm_id)} has another device in the place of {device.name}", code="refused"
            )
    if flags:
        domain.attachDeviceFlags(ET.tostring(element, encoding="unicode"), flags)


def detach(
    connection: libvirt.virConnect,
    vm: Vm,
    device: Device,
    place: Place,
    events: LifecycleEvents,
    *,
    timeout_s: float = DETACH_TIMEOUT_S,
) -> None:
    """Take the device out of the VM's guest, wait until it is out, then strike it off the definition.

    Args:
        connection: Where the guest runs.
        vm: The VM.
        device: What is taken out; what is not there, and another device in its place, are left alone.
        place: Asked whether somebody has cancelled.
        events: Wakes us when libvirt has something to tell.
        timeout_s: How long the guest may take.

    Raises:
        DriverError: ``timeout``: the guest still has the device; ``cancelled``.
        libvirt.libvirtError: libvirt cannot be asked.
    """
    domain = guests.find(connection, vm)
    if domain is None:
        return
    guests.adopt(domain, vm)
    deadline_s, refusal = time.monotonic() + timeout_s, ""
    while True:
        seen = events.count
        found = _find_live(domain, device)
        if found is None:
            break
        place.progress(0, 0)
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise _kept(vm, device, timeout_s, refusal)
        refusal = _ask(domain, found)
        _wait(domain, device, events, seen, min(ASK_INTERVAL_S, left_s))
    _strike_off(domain, device)


def definition_of(domain: libvirt.virDomain) -> ET.Element:
    """Return the domain as it is: as it runs, or else as it is defined."""
    return ET.fromstring(domain.XMLDesc(0))  # noqa: S314 - libvirt's own output


def live_disk(domain: libvirt.virDomain, device: Device) -> ET.Element | None:
    """Return the disk among the devices of a running guest, None where it does not have it."""
    return _find_live(domain, device)


def _definitions(domain: libvirt.virDomain) -> list[tuple[int, ET.Element]]:
    """Return what can be affected: the running guest, and its definition where libvirt keeps one."""
    known = [(libvirt.VIR_DOMAIN_AFFECT_LIVE, definition_of(domain))]
    if domain.isPersistent():
        inactive = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        known.append((libvirt.VIR_DOMAIN_AFFECT_CONFIG, ET.fromstring(inactive)))  # noqa: S314 - libvirt's own output
    return known


def _find(definition: ET.Element, device: Device) -> ET.Element | None:
    return next((one for one in definition.iterfind("devices/*") if device.in_place(one)), None)


def _find_live(domain: libvirt.virDomain, device: Device) -> ET.Element | None:
    """Return the device as the running guest has it, None where it does not, or does not run."""
    if not guests.is_active(domain):
        return None
    found = _find(definition_of(domain), device)
    return found if found is not None and device.is_same(found) else None


def _ask(domain: libvirt.virDomain, found: ET.Element) -> str:
    """Ask the guest to let go, and return what libvirt says against it: it also objects where it was asked before."""
    try:
        domain.detachDeviceFlags(ET.tostring(found, encoding="unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        return error.get_error_message() or str(error)
    return ""


def _wait(domain: libvirt.virDomain, device: Device, events: LifecycleEvents, seen: int, timeout_s: float) -> None:
    until_s = time.monotonic() + timeout_s
    while _find_live(domain, device) is not None and (left_s := until_s - time.monotonic()) > 0:
        events.wait(seen, left_s)
        seen = events.count


def _strike_off(domain: libvirt.virDomain, device: Device) -> None:
    if not domain.isPersistent():
        return
    inactive = ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))  # noqa: S314 - libvirt's own output
    found = _find(inactive, device)
    if found is not None and device.is_same(found):
        domain.detachDeviceFlags(ET.tostring(found, encoding="unicode"), libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _kept(vm: Vm, device: Device, timeout_s: float, refusal: str) -> DriverError:
    said = f" ({refusal})" if refusal else ""
    return DriverError(
        f"Guest {domain_name(vm.vm_id)} has not let go of {device.name} within {timeout_s:g} s{said}; "
        "see that nothing in it uses the device and try again, or power it off first",
        code="timeout",
        stderr=refusal,
    )


def _says(element: ET.Element, child: str, attribute: str) -> str:
    found = element.find(child)
    return "" if found is None else found.get(attribute, "")
