"""Writes a guest as libvirt's domain XML.

Pure: paths come resolved; nothing here opens a file or speaks to libvirt.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors.libvirt import numa_elements
from innkeeper_plugins.hypervisors.libvirt.elements import add, plain
from innkeeper_plugins.hypervisors.libvirt.identity import domain_name, metadata_element
from innkeeper_plugins.hypervisors.libvirt.options import LibvirtOptions
from innkeeper_plugins.hypervisors.libvirt.raw_elements import add_raw
from innkeeper_plugins.vocabulary import Disk, DiskKind, Graphics, Nic, Topology, Vm

X86 = frozenset({"x86_64", "i686"})
#: A processor that every emulator knows and every distribution boots on.
EMULATED_CPU = "Nehalem"
#: What a guest with ``HYPERV`` is told, as OpenNebula has it by default: ``{name: attributes}``.
HYPERV: dict[str, dict[str, str]] = {"relaxed": {}, "vapic": {}, "spinlocks": {"retries": "4096"}}
#: Places for devices that may come while a guest on PCI Express runs; such a machine has none to spare by itself.
SPARE_PORTS = 8
CPU_MODES = frozenset({"host-passthrough", "host-model", "maximum"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestFiles:
    """Where a guest's files are on this host."""

    console_log: Path
    #: ``{disk_id: path}``
    disks: Mapping[int, Path] = field(default_factory=dict)
    context: Path | None = None
    kernel: Path | None = None
    initrd: Path | None = None


def build(vm: Vm, files: GuestFiles, options: LibvirtOptions, domain_type: str) -> str:
    """Return the domain XML of a guest.

    Args:
        vm: The VM.
        files: Where its files are.
        options: The driver's configuration.
        domain_type: ``kvm``, ``qemu`` or ``test``.

    Raises:
        DriverError: ``refused``: the VM cannot be said in XML or asks for what the host does not give.
    """
    root = ET.Element("domain", {"type": domain_type})
    add(root, "name", domain_name(vm.vm_id))
    add(root, "uuid", vm.uuid)
    add(root, "title", vm.name)
    add(root, "metadata").append(metadata_element(vm))
    _add_size(root, vm)
    _add_os(root, vm, files, options)
    _add_features(root, vm, options, domain_type)
    _add_cpu(root, vm.cpu_model or options.cpu, vm.boot.arch, domain_type)
    _add_topology(root, vm.topology)
    numa_elements.add_nodes(root, vm)
    add(root, "clock", offset="localtime" if _says(vm, "LOCALTIME", default=False) else "utc")
    for event, action in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        add(root, f"on_{event}", action)
    _add_devices(root, vm, files, options)
    add_raw(root, vm.raw)
    _leave_usb_out(root)
    return ET.tostring(root, encoding="unicode")


def disk_element(vm: Vm, disk: Disk, path: Path, options: LibvirtOptions) -> ET.Element:
    """Return a disk as it is plugged into a running guest: with no turn in the boot order."""
    devices = ET.Element("devices")
    _add_disk(devices, disk, path, _cdrom_bus(_machine(vm, options)), None)
    return devices[0]


def nic_element(nic: Nic, options: LibvirtOptions) -> ET.Element:
    """Return a network card as it is plugged into a running guest.

    Raises:
        DriverError: ``refused``: it names no bridge, and this host gives no user-mode networking.
    """
    devices = ET.Element("devices")
    _add_nic(devices, nic, options, None)
    return devices[0]


def _add_size(root: ET.Element, vm: Vm) -> None:
    # A topology says how many processors there can be at all.
    topology = vm.topology
    most_vcpus = topology.sockets * topology.cores * topology.threads if topology else max(vm.vcpus, vm.vcpus_max)
    most_mib = max(vm.memory_mib, vm.memory_max_mib)
    add(root, "memory", str(most_mib), unit="MiB")
    if most_mib != vm.memory_mib:
        add(root, "currentMemory", str(vm.memory_mib), unit="MiB")
    vcpu = add(root, "vcpu", str(most_vcpus))
    if most_vcpus > vm.vcpus:
        vcpu.set("current", str(vm.vcpus))


def _add_topology(root: ET.Element, topology: Topology | None) -> None:
    if topology is None:
        return
    cpu = root.find("cpu")
    sizes = {"sockets": topology.sockets, "cores": topology.cores, "threads": topology.threads}
    add(add(root, "cpu") if cpu is None else cpu, "topology", **{name: str(size) for name, size in sizes.items()})


def _leave_usb_out(root: ET.Element) -> None:
    """Leave the controller out that every guest would get, where nothing of the guest is on it."""
    devices = root.find("devices")
    assert devices is not None, "every guest has devices"
    if not any("usb" in {one.get("type"), one.get("bus")} for one in devices.iter()):
        add(devices, "controller", type="usb", model="none")


def _says(vm: Vm, feature: str, *, default: bool) -> bool:
    value = vm.features.get(feature)
    return default if value is None else value.strip().lower() in {"yes", "true", "on", "1"}


def _machine(vm: Vm, options: LibvirtOptions) -> str:
    return vm.boot.machine or options.machine or ("pc" if vm.boot.arch in X86 else "")


def _add_os(root: ET.Element, vm: Vm, files: GuestFiles, options: LibvirtOptions) -> None:
    system = add(root, "os")
    kind = add(system, "type", "hvm", arch=vm.boot.arch)
    if machine := _machine(vm, options):
        kind.set("machine", plain(machine))
    if files.kernel is None:
        return
    add(system, "kernel", str(files.kernel))
    if files.initrd is not None:
        add(system, "initrd", str(files.initrd))
    if vm.boot.kernel_cmdline:
        add(system, "cmdline", vm.boot.kernel_cmdline)


def _add_features(root: ET.Element, vm: Vm, options: LibvirtOptions, domain_type: str) -> None:
    features = add(root, "features")
    x86 = vm.boot.arch in X86
    for name, default in (("ACPI", x86), ("APIC", x86), ("PAE", False)):
        if _says(vm, name, default=default):
            add(features, name.lower())
    if _says(vm, "HYPERV", default=False):
        _add_hyperv(features)
    if domain_type == "qemu" and options.tb_cache_mib:
        add(add(features, "tcg"), "tb-cache", str(options.tb_cache_mib), unit="MiB")


def _add_hyperv(features: ET.Element) -> None:
    """Tell a Windows guest that it runs under a hypervisor, which it copes with better then."""
    hyperv = add(features, "hyperv")
    for name, attributes in HYPERV.items():
        add(hyperv, name, state="on", **attributes)


def _add_cpu(root: ET.Element, model: str, arch: str, domain_type: str) -> None:
    if domain_type == "kvm":
        model = model or "host-passthrough"
    elif domain_type == "qemu" and arch in X86:
        model = model or EMULATED_CPU
    if model in CPU_MODES:
        add(root, "cpu", mode=model)
    elif model:
        add(add(root, "cpu", mode="custom", match="exact", check="none"), "model", model, fallback="allow")


def _add_devices(root: ET.Element, vm: Vm, files: GuestFiles, options: LibvirtOptions) -> None:
    devices = add(root, "devices")
    if options.emulator:
        add(devices, "emulator", options.emulator)
    order = _boot_order(vm) if files.kernel is None else {}
    cdrom_bus = _cdrom_bus(_machine(vm, options))
    for disk in vm.disks:
        _add_disk(devices, disk, files.disks[disk.disk_id], cdrom_bus, order.get(f"disk{disk.disk_id}"))
    if files.context is not None:
        _add_context(devices, vm, files.context, cdrom_bus)
    if any(element.get("bus") == "scsi" for element in devices.iterfind("disk/target")):
        _add_scsi(devices, vm)
    for nic in vm.nics:
        _add_nic(devices, nic, options, order.get(f"nic{nic.nic_id}"))
    _add_console(devices, files.console_log)
    if _says(vm, "GUEST_AGENT", default=True):
        add(add(devices, "channel", type="unix"), "target", type="virtio", name="org.qemu.guest_agent.0")
    _add_graphics(devices, vm.graphics, vm.video)
    for device in vm.inputs:
        # libvirt's own choice for a tablet, said so that the controller is there.
        bus = device.bus or ("usb" if device.type == "tablet" else "")
        add(devices, "input", type=device.type, **({"bus": bus} if bus else {}))
    numa_elements.add_devices(devices, vm.pci_addresses)
    if "q35" in _machine(vm, options):
        _add_spare_ports(devices)
    add(devices, "memballoon", model="virtio")
    add(add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")


def _add_scsi(devices: ET.Element, vm: Vm) -> None:
    controller = add(devices, "controller", type="scsi", model="virtio-scsi")
    wanted = vm.features.get("VIRTIO_SCSI_QUEUES", "").strip().lower()
    queues = str(vm.vcpus) if wanted == "auto" else wanted
    if queues.isdecimal() and int(queues):
        add(controller, "driver", queues=queues)


def _add_spare_ports(devices: ET.Element) -> None:
    add(devices, "controller", type="pci", model="pcie-root")
    for _ in range(SPARE_PORTS):
        add(devices, "controller", type="pci", model="pcie-root-port")


def _boot_order(vm: Vm) -> dict[str, int]:
    """Return ``{device: its turn}``; without a wish the disks in their order."""
    known = [f"disk{disk.disk_id}" for disk in vm.disks] + [f"nic{nic.nic_id}" for nic in vm.nics]
    unknown = sorted(set(vm.boot.order) - set(known))
    if unknown:
        raise DriverError(
            f"Boot order names {', '.join(unknown)}; the VM has {', '.join(known) or 'no device'}", code="refused"
        )
    wanted = vm.boot.order or [f"disk{disk.disk_id}" for disk in vm.disks] or known[:1]
    return {name: turn for turn, name in enumerate(dict.fromkeys(wanted), start=1)}


def _cdrom_bus(machine: str) -> str:
    if "q35" in machine:
        return "sata"
    return "ide" if machine.startswith(("pc", "isapc")) else "scsi"


def _add_disk(devices: ET.Element, disk: Disk, path: Path, cdrom_bus: str, turn: int | None) -> None:
    is_cdrom = disk.kind is DiskKind.CDROM
    element = add(devices, "disk", type="file", device="cdrom" if is_cdrom else "disk")
    driver = add(element, "driver", name="qemu", type=disk.format.value)
    if disk.cache not in {"", "default"}:
        driver.set("cache", plain(disk.cache))
    readonly = disk.readonly or is_cdrom
    if not readonly:
        driver.set("discard", "unmap")
    add(element, "source", file=str(path))
    # There is no CD drive on the virtio bus.
    bus = cdrom_bus if is_cdrom and disk.bus == "virtio" else disk.bus
    add(element, "target", dev=disk.target, bus=bus)
    if turn is not None:
        add(element, "boot", order=str(turn))
    if readonly:
        add(element, "readonly")


def _add_context(devices: ET.Element, vm: Vm, path: Path, bus: str) -> None:
    prefix = "hd" if bus == "ide" else "sd"
    taken = {disk.target for disk in vm.disks}
    target = next(name for letter in "abcdefghijklmnopqrstuvwxyz" if (name := prefix + letter) not in taken)
    element = add(devices, "disk", type="file", device="cdrom")
    add(element, "driver", name="qemu", type="raw")
    add(element, "source", file=str(path))
    add(element, "target", dev=target, bus=bus)
    add(element, "readonly")


def _add_nic(devices: ET.Element, nic: Nic, options: LibvirtOptions, turn: int | None) -> None:
    if not nic.bridge and not options.user_network:
        raise DriverError(
            f"Network {nic.network} names no bridge, and this host gives no user-mode networking; "
            "set user_network = true in [drivers.libvirt] or name a bridge",
            code="refused",
        )
    element = add(devices, "interface", type="bridge" if nic.bridge else "user")
    if nic.bridge:
        add(element, "source", bridge=nic.bridge)
    add(element, "mac", address=nic.mac)
    add(element, "model", type=nic.model)
    if turn is not None:
        add(element, "boot", order=str(turn))


def _add_console(devices: ET.Element, log: Path) -> None:
    serial = add(devices, "serial", type="pty")
    add(serial, "log", file=str(log), append="on")
    add(serial, "target", port="0")
    add(add(devices, "console", type="pty"), "target", type="serial", port="0")


def _add_graphics(devices: ET.Element, graphics: Graphics | None, video: str) -> None:
    add(add(devices, "video"), "model", type=video or ("none" if graphics is None else "vga"))
    if graphics is None:
        return
    port = "-1" if graphics.port is None else str(graphics.port)
    element = add(devices, "graphics", type=graphics.type, port=port, listen=graphics.listen)
    element.set("autoport", "yes" if graphics.port is None else "no")
    if graphics.keymap:
        element.set("keymap", plain(graphics.keymap))
    if graphics.password:
        element.set("passwd", plain(graphics.password))
