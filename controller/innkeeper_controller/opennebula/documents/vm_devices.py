"""A VM's disks, cards and the rest of its equipment, as OpenNebula's vectors."""

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.disks import CONTEXT_TARGET
from innkeeper_controller.opennebula.documents.host_devices import colons, short
from innkeeper_controller.opennebula.documents.markup import element, escaped, moment, name_of, vector
from innkeeper_controller.opennebula.numbers import GONE
from innkeeper_controller.records import DiskSnapshot, ScheduledAction, VmRecord, VmSnapshot
from innkeeper_controller.units import mib_for
from innkeeper_plugins.vocabulary import Disk, DiskKind, Nic, Vm

#: OpenNebula's word for what a disk is.
_DISK_TYPES = {DiskKind.IMAGE: "FILE", DiskKind.VOLATILE: "fs", DiskKind.SWAP: "swap", DiskKind.CDROM: "CDROM"}


def disk(cluster: Cluster, each: Disk) -> str:
    """Return one DISK."""
    datastore = cluster.datastores.get(each.datastore)
    image = each.image
    return vector(
        "DISK",
        {
            "DISK_ID": each.disk_id,
            "IMAGE": image.name if image else None,
            "IMAGE_ID": image.image_id if image else None,
            "DATASTORE": each.datastore,
            "DATASTORE_ID": datastore.datastore_id if datastore else GONE,
            "TARGET": each.target,
            "DEV_PREFIX": each.target[:2],
            "SIZE": mib_for(each.size_bytes),
            "ORIGINAL_SIZE": mib_for(image.virtual_size_bytes) if image else None,
            "TYPE": _DISK_TYPES[each.kind],
            "TM_MAD": each.driver,
            "DRIVER": each.format,
            "FORMAT": each.format,
            "FS": each.filesystem,
            "CACHE": each.cache,
            "READONLY": "YES" if each.readonly else "NO",
            "CLONE": "NO" if each.persistent else "YES",
            "SAVE": "YES" if each.persistent else "NO",
            "PERSISTENT": "YES" if each.persistent else None,
        },
    )


def nic(cluster: Cluster, each: Nic) -> str:
    """Return one NIC."""
    network = cluster.networks.get(each.network_id)
    return vector(
        "NIC",
        {
            "NIC_ID": each.nic_id,
            "NAME": f"NIC{each.nic_id}",
            "NETWORK": each.network,
            "NETWORK_ID": each.network_id,
            "IP": each.ip,
            "IP6_GLOBAL": each.ip6_global,
            "IP6_ULA": each.ip6_ula,
            "MAC": each.mac,
            "BRIDGE": each.bridge,
            "PHYDEV": each.physical_device,
            "VLAN_ID": each.vlan_id,
            "VN_MAD": network.vn_mad if network else None,
            "MODEL": each.model,
            "GATEWAY": each.gateway,
            "DNS": each.dns,
            "NETWORK_MASK": each.netmask,
            "SECURITY_GROUPS": "0",
        },
    )


def graphics(spec: Vm) -> str:
    """Return the screen; its password is nobody's to read."""
    screen = spec.graphics
    if screen is None:
        return ""
    return vector(
        "GRAPHICS",
        {"TYPE": screen.type.upper(), "LISTEN": screen.listen, "PORT": screen.port, "KEYMAP": screen.keymap},
    )


def context(spec: Vm) -> str:
    """Return the variables for the guest, with the disk that they are on."""
    if not spec.context:
        return ""
    disk_id = 1 + max((each.disk_id for each in spec.disks), default=-1)
    written = "".join(element(name_of(name), value) for name, value in spec.context.items())
    ours = f"<DISK_ID>{disk_id}</DISK_ID>" if "DISK_ID" not in spec.context else ""
    ours += f"<TARGET>{CONTEXT_TARGET}</TARGET>" if "TARGET" not in spec.context else ""
    return f"<CONTEXT>{ours}{written}</CONTEXT>"


def boot(spec: Vm) -> str:
    """Return OS: how the guest starts."""
    return vector(
        "OS",
        {
            "ARCH": spec.boot.arch,
            "BOOT": ",".join(spec.boot.order),
            "INITRD": spec.boot.initrd.name if spec.boot.initrd else None,
            "KERNEL": spec.boot.kernel.name if spec.boot.kernel else None,
            "KERNEL_CMD": spec.boot.kernel_cmdline,
            "MACHINE": spec.boot.machine,
            "UUID": spec.uuid,
        },
    )


def features(spec: Vm) -> str:
    """Return FEATURES, or nothing where the VM asks for none."""
    written = "".join(element(name_of(name), value) for name, value in spec.features.items())
    return f"<FEATURES>{written}</FEATURES>" if written else ""


def pointer(spec: Vm) -> str:
    """Return INPUT; the schema has room for one."""
    return vector("INPUT", {"BUS": spec.inputs[0].bus, "TYPE": spec.inputs[0].type}) if spec.inputs else ""


def raw(spec: Vm) -> str:
    """Return RAW, or nothing."""
    return vector("RAW", {"DATA": spec.raw.data, "TYPE": spec.raw.type}) if spec.raw else ""


def topology(spec: Vm) -> str:
    """Return TOPOLOGY, or nothing."""
    shape, numa = spec.topology, spec.numa
    if shape is None and numa is None:
        return ""
    return vector(
        "TOPOLOGY",
        {
            "CORES": shape.cores if shape else None,
            "HUGEPAGE_SIZE": numa.hugepage_mib if numa and numa.hugepage_mib else None,
            "PIN_POLICY": numa.pin_policy if numa else None,
            "SOCKETS": shape.sockets if shape else None,
            "THREADS": shape.threads if shape else None,
        },
    )


def pci(spec: Vm) -> str:
    """Return a PCI for each device that the VM asks for, with where the one is that it has."""
    found = (*spec.pci_addresses, *([""] * len(spec.pci)))
    return "".join(
        vector(
            "PCI",
            {
                "ADDRESS": colons(address or wish.address),
                "CLASS": wish.device_class,
                "DEVICE": wish.device,
                "PCI_ID": number,
                "SHORT_ADDRESS": short(wish.address),
                "VENDOR": wish.vendor,
            },
        )
        for number, (wish, address) in enumerate(zip(spec.pci, found, strict=False))
    )


def snapshot(each: VmSnapshot) -> str:
    """Return one SNAPSHOT of the whole VM."""
    active = "<ACTIVE>YES</ACTIVE>" if each.active else ""
    return (
        f"<SNAPSHOT>{active}<HYPERVISOR_ID>{escaped(each.hypervisor_id)}</HYPERVISOR_ID>{element('NAME', each.name)}"
        f"<SNAPSHOT_ID>{each.snapshot_id}</SNAPSHOT_ID><SYSTEM_DISK_SIZE>0</SYSTEM_DISK_SIZE>"
        f"<TIME>{moment(each.at_s)}</TIME></SNAPSHOT>"
    )


def scheduled(vm_id: int, each: ScheduledAction) -> str:
    """Return one SCHED_ACTION; -1 stands for what there is none of."""
    return (
        f"<SCHED_ACTION><ID>{each.action_id}</ID><PARENT_ID>{vm_id}</PARENT_ID><TYPE>VM</TYPE>"
        f"{element('ACTION', each.action)}{element('ARGS', each.args)}<TIME>{moment(each.at_s)}</TIME>"
        f"<REPEAT>{_or_none(each.repeat)}</REPEAT>{element('DAYS', each.days)}"
        f"<END_TYPE>{_or_none(each.end_type)}</END_TYPE><END_VALUE>{_or_none(each.end_value)}</END_VALUE>"
        f"<DONE>{moment(each.done_at_s) or GONE}</DONE>{element('MESSAGE', each.message)}<WARNING>0</WARNING>"
        "</SCHED_ACTION>"
    )


def _or_none(value: int | None) -> int:
    return GONE if value is None else value


def disk_snapshots(record: VmRecord) -> str:
    """Return a SNAPSHOTS for each disk that has some."""
    by_disk: dict[int, list[DiskSnapshot]] = {}
    for each in record.disk_snapshots:
        by_disk.setdefault(each.disk_id, []).append(each)
    return "".join(_of_disk(disk_id, found) for disk_id, found in sorted(by_disk.items()))


def _of_disk(disk_id: int, found: list[DiskSnapshot]) -> str:
    current = next((each.snapshot_id for each in found if each.active), GONE)
    following = 1 + max(each.snapshot_id for each in found)
    return (
        f"<SNAPSHOTS><ALLOW_ORPHANS>NO</ALLOW_ORPHANS><CURRENT_BASE>{current}</CURRENT_BASE>"
        f"<DISK_ID>{disk_id}</DISK_ID><NEXT_SNAPSHOT>{following}</NEXT_SNAPSHOT>"
        f"{''.join(_disk_snapshot(each, found) for each in found)}</SNAPSHOTS>"
    )


def _disk_snapshot(each: DiskSnapshot, found: list[DiskSnapshot]) -> str:
    children = ",".join(str(other.snapshot_id) for other in found if other.parent_id == each.snapshot_id)
    return (
        f"<SNAPSHOT>{'<ACTIVE>YES</ACTIVE>' if each.active else ''}"
        f"{f'<CHILDREN>{children}</CHILDREN>' if children else ''}<DATE>{moment(each.at_s)}</DATE>"
        f"<ID>{each.snapshot_id}</ID>{element('NAME', each.name)}<PARENT>{each.parent_id}</PARENT>"
        f"<SIZE>{mib_for(each.size_bytes)}</SIZE></SNAPSHOT>"
    )
