"""Adds what a template hands to libvirt as it is, parsed first: text never goes into a domain unread.

It must not let a template say whose guest a domain is.
"""

import xml.etree.ElementTree as ET

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.vocabulary import Raw

#: OpenNebula's words for what libvirt runs here; data for any other hypervisor are not for us.
TYPES = frozenset({"kvm", "qemu"})
LIMIT_CHARACTERS = 64 * 1024
#: What identifies a guest or says who runs it.
REFUSED = frozenset({"domain", "metadata", "name", "uuid", "genid"})
#: Elements that a domain has once: what stands in them is added to those of the domain.
CONTAINERS = frozenset({"devices", "features", "os"})
#: Elements that libvirt only knows below ``<devices>``.
DEVICES = frozenset(
    {
        "audio", "channel", "console", "controller", "crypto", "disk", "filesystem", "graphics", "hostdev", "hub",
        "input", "interface", "iommu", "memballoon", "panic", "parallel", "redirdev", "rng", "serial", "shmem",
        "smartcard", "sound", "tpm", "video", "vsock", "watchdog",
    }
)  # fmt: skip
QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"

ET.register_namespace("qemu", QEMU)


def add_raw(root: ET.Element, raw: Raw | None) -> None:
    """Add the elements to the domain, or below its ``<devices>`` where they belong there.

    Raises:
        DriverError: ``refused``: they are too long, no XML, bring a document type, or say whose guest it is.
    """
    if raw is None or raw.type.lower() not in TYPES:
        return
    for element in _parsed(raw.data):
        if element.tag in REFUSED:
            raise DriverError(f"RAW may not set <{element.tag}>: it says whose guest it is", code="refused")
        _place(root, element)


def _parsed(data: str) -> list[ET.Element]:
    if len(data) > LIMIT_CHARACTERS:
        raise DriverError(f"RAW has {len(data)} characters; at most {LIMIT_CHARACTERS} are taken", code="refused")
    # Only a document type can define entities, which can grow without limit or name files.
    if "<!DOCTYPE" in data or "<!ENTITY" in data:
        raise DriverError("RAW has a document type, which is not taken", code="refused")
    try:
        return list(ET.fromstring(f"<raw xmlns:qemu='{QEMU}'>{data}</raw>"))  # noqa: S314 - no entities, limited
    except ET.ParseError as error:
        raise DriverError(f"RAW is no XML: {error}", code="refused") from error


def _place(root: ET.Element, element: ET.Element) -> None:
    if element.tag in DEVICES:
        devices = root.find("devices")
        assert devices is not None, "every guest has devices"
        devices.append(element)
        return
    container = root.find(element.tag) if element.tag in CONTAINERS else None
    if container is None:
        root.append(element)
    else:
        container.extend(element)
