"""Writes a saved guest's XML anew for the host that it goes on at.

Pure. What the guest sees (machine, devices, their addresses) stays as it was when it was saved; a guest that finds
its hardware changed on waking up is lost.
"""

import xml.etree.ElementTree as ET

from innkeeper_plugins.hypervisors.libvirt import numa_elements
from innkeeper_plugins.hypervisors.libvirt.domain_xml import GuestFiles
from innkeeper_plugins.hypervisors.libvirt.elements import add, plain
from innkeeper_plugins.hypervisors.libvirt.identity import metadata_element
from innkeeper_plugins.vocabulary import Vm


def relocate(saved: str, vm: Vm, files: GuestFiles) -> str:
    """Return a saved guest's XML with this host's paths and bridges and the VM's present generation."""
    root = ET.fromstring(saved)  # noqa: S314 - from our own checkpoint, by libvirt
    metadata = root.find("metadata")
    if metadata is not None:
        root.remove(metadata)
    add(root, "metadata").append(metadata_element(vm))
    for tag, path in (("kernel", files.kernel), ("initrd", files.initrd)):
        element = root.find(f"os/{tag}")
        if element is not None and path is not None:
            element.text = plain(str(path))
    numa_elements.move(root, vm)
    devices = root.find("devices")
    if devices is not None:
        _relocate_devices(devices, vm, files)
    return ET.tostring(root, encoding="unicode")


def _relocate_devices(devices: ET.Element, vm: Vm, files: GuestFiles) -> None:
    paths = {disk.target: files.disks[disk.disk_id] for disk in vm.disks}
    for disk in devices.iterfind("disk"):
        # libvirt looks the chain of overlays up by itself; the saved one is the other host's.
        for chain in disk.findall("backingStore"):
            disk.remove(chain)
        target, source = disk.find("target"), disk.find("source")
        path = paths.get(target.get("dev", "") if target is not None else "", files.context)
        if source is not None and path is not None:
            source.set("file", plain(str(path)))
    bridges = {nic.mac.lower(): nic.bridge for nic in vm.nics if nic.bridge}
    for interface in devices.iterfind("interface[@type='bridge']"):
        mac, source = interface.find("mac"), interface.find("source")
        if mac is not None and source is not None:
            source.set("bridge", plain(bridges.get(mac.get("address", "").lower(), source.get("bridge", ""))))
    for log in devices.iterfind("*/log"):
        log.set("file", plain(str(files.console_log)))
    for channel in devices.iterfind("channel"):
        # The socket of the guest's agent lies in the hypervisor's own directory, which libvirt names anew.
        for source in channel.findall("source"):
            channel.remove(source)
