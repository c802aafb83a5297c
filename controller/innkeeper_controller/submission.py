"""From a template to PENDING VMs: everything looked up, addresses leased, nothing left to guess."""

import dataclasses
import uuid

import msgspec

from innkeeper_controller import leases
from innkeeper_controller.records import Image, ImageState, Network, VmRecord
from innkeeper_controller.requests import find
from innkeeper_controller.requests.templates import refusal
from innkeeper_controller.templates import context as context_variables
from innkeeper_controller.templates import parse
from innkeeper_controller.templates.errors import TemplateError
from innkeeper_controller.templates.vm import DiskTemplate, NicTemplate, VmTemplate, vm_template, with_overrides
from innkeeper_controller.turn import Mistake, RefusalError, Turn
from innkeeper_plugins.vocabulary import (
    Boot,
    Disk,
    DiskFormat,
    DiskKind,
    ImageRef,
    Nic,
    Vm,
    VmId,
    VmState,
)

_replace = msgspec.structs.replace
MIB = 1024 * 1024
#: Bus by the first letters of a disk's device name, as OpenNebula has it.
BUS_OF_PREFIX = {"vd": "virtio", "sd": "scsi", "hd": "ide"}


@dataclasses.dataclass(frozen=True, slots=True)
class Blueprint:
    """What VMs of one template have in common."""

    template: VmTemplate
    spec: Vm
    networks: tuple[Network, ...]


def submit(
    turn: Turn, text: str, *, name: str, hold: bool, count: int, overrides: dict[str, str]
) -> tuple[VmRecord, ...]:
    """Make ``count`` VMs of the template, all or none.

    Raises:
        RefusalError: ``bad_template`` with all mistakes, ``no_address``, ``too_many``.
    """
    if not 1 <= count <= turn.settings.max_vms_per_request:
        limit = turn.settings.max_vms_per_request
        raise RefusalError("bad_request", f"Submit between 1 and {limit} VMs at once, not {count}.")
    if len(turn.cluster.pending) + count > turn.settings.max_pending:
        raise RefusalError(
            "too_many", f"{len(turn.cluster.pending)} VMs wait already; try again when some have started."
        )
    blueprint = draw(turn, text, overrides)
    base = name or blueprint.template.name
    return tuple(_make(turn, blueprint, text, _name(base, number, count), hold=hold) for number in range(count))


def _name(base: str, number: int, count: int) -> str:
    return base if count == 1 or not base else f"{base}-{number}"


def draw(turn: Turn, text: str, overrides: dict[str, str]) -> Blueprint:
    """Read the template and look up all that it names.

    Raises:
        RefusalError: ``bad_template``: with all mistakes of form and of reference.
    """
    try:
        template = vm_template(with_overrides(parse(text), overrides))
    except TemplateError as error:
        raise refusal(error) from error
    mistakes: list[Mistake] = []
    networks = tuple(_network(turn, nic, mistakes) for nic in template.nics)
    spec = _spec(turn, template, mistakes)
    if mistakes:
        raise refusal_of(mistakes)
    return Blueprint(template, spec, tuple(each for each in networks if each is not None))


def refusal_of(mistakes: list[Mistake]) -> RefusalError:
    """Return the refusal for things that the template names and that are not there."""
    return RefusalError("bad_template", mistakes[0].message, mistakes=tuple(mistakes))


def _network(turn: Turn, nic: NicTemplate, mistakes: list[Mistake]) -> Network | None:
    try:
        return find.network(turn.cluster, nic.network)
    except RefusalError as error:
        mistakes.append(Mistake(message=str(error), field="NIC/NETWORK", line=nic.line, column=nic.column))
        return None


def _ready_image(turn: Turn, wanted: str, field: str, mistakes: list[Mistake], *, line: int = 0) -> Image | None:
    try:
        image = find.image(turn.cluster, wanted)
    except RefusalError as error:
        mistakes.append(Mistake(message=str(error), field=field, line=line))
        return None
    if image.state is not ImageState.READY:
        why = image.error or "wait until its import is done"
        text = f"Image {image.name} is {image.state}: {why}."
        mistakes.append(Mistake(message=text, field=field, line=line))
        return None
    return image


def image_ref(image: Image) -> ImageRef:
    """Return the image as hosts need to know it."""
    return ImageRef(
        image_id=image.image_id,
        name=image.name,
        datastore=image.datastore,
        sha256=image.sha256,
        size_bytes=image.size_bytes,
        virtual_size_bytes=image.virtual_size_bytes,
        format=image.format,
    )


def _spec(turn: Turn, template: VmTemplate, mistakes: list[Mistake]) -> Vm:
    disks: list[Disk] = []
    for number, disk in enumerate(template.disks):
        made = _disk(turn, disk, number, disks, mistakes)
        if made is not None:
            disks.append(made)
    kernel = _ready_image(turn, template.boot.kernel, "OS/KERNEL", mistakes) if template.boot.kernel else None
    initrd = _ready_image(turn, template.boot.initrd, "OS/INITRD", mistakes) if template.boot.initrd else None
    home = disks[0].datastore if disks else "default"
    datastore = turn.cluster.datastores.get(home)
    return Vm(
        vm_id=VmId(0),
        name=template.name,
        uuid="",
        generation=0,
        cpu_cores=template.cpu_cores,
        vcpus=template.vcpus,
        memory_mib=template.memory_mib,
        hypervisor=template.hypervisor,
        datastore=home,
        driver=datastore.driver if datastore else "qcow2",
        boot=Boot(
            arch=template.boot.arch or "x86_64",
            machine=template.boot.machine,
            kernel=image_ref(kernel) if kernel else None,
            initrd=image_ref(initrd) if initrd else None,
            kernel_cmdline=template.boot.kernel_cmdline,
            order=template.boot.order,
        ),
        disks=tuple(disks),
        context=template.context,
        graphics=template.graphics,
        cpu_model=template.cpu_model,
        features=template.features,
    )


def _disk(turn: Turn, disk: DiskTemplate, number: int, others: list[Disk], mistakes: list[Mistake]) -> Disk | None:
    image = _ready_image(turn, disk.image, "DISK/IMAGE", mistakes, line=disk.line) if disk.image else None
    if disk.image and image is None:
        return None
    name = disk.datastore or (image.datastore if image else "default")
    datastore = turn.cluster.datastores.get(name)
    if datastore is None:
        mistakes.append(
            Mistake(message=str(find.missing("datastore", name, turn.cluster.datastores)), field="DISK", line=disk.line)
        )
        return None
    size_bytes = disk.size_mib * MIB
    if image is not None:
        if size_bytes and size_bytes < image.virtual_size_bytes:
            need = -(-image.virtual_size_bytes // MIB)
            text = f"A disk of image {image.name} has to have at least {need} MB; SIZE says {disk.size_mib}."
            mistakes.append(Mistake(message=text, field="DISK/SIZE", line=disk.line))
            return None
        size_bytes = max(size_bytes, image.virtual_size_bytes)
    kind = DiskKind.CDROM if image is not None and image.type == "cdrom" else DiskKind(disk.kind)
    prefix = disk.dev_prefix or ("hd" if kind is DiskKind.CDROM else "vd")
    target = disk.target or _free_target(prefix, others)
    return Disk(
        disk_id=number,
        kind=kind,
        datastore=name,
        driver=datastore.driver,
        format=_format(disk, image, kind, datastore.driver),
        size_bytes=size_bytes,
        target=target,
        bus=BUS_OF_PREFIX.get(target[:2], "virtio"),
        readonly=disk.readonly or kind is DiskKind.CDROM,
        cache=disk.cache or "default",
        image=image_ref(image) if image else None,
        filesystem=disk.filesystem,
    )


def _format(disk: DiskTemplate, image: Image | None, kind: DiskKind, driver: str) -> DiskFormat:
    if kind is DiskKind.CDROM and image is not None:
        return image.format
    if image is not None:
        return image.format if driver == "copy" else DiskFormat.QCOW2
    return DiskFormat(disk.format or "raw")


def _free_target(prefix: str, others: list[Disk]) -> str:
    taken = {disk.target for disk in others} | {"hda"}  # the context CD
    letters = (f"{prefix}{chr(number)}" for number in range(ord("a"), ord("z") + 1))
    return next(target for target in letters if target not in taken)


def _make(turn: Turn, blueprint: Blueprint, text: str, name: str, *, hold: bool) -> VmRecord:
    assert turn.user is not None, "VMs are submitted by users"
    template = blueprint.template
    vm_id = VmId(turn.cluster.next_id("vm"))
    nics = tuple(
        _lease(turn, vm_id, number, nic, network)
        for number, (nic, network) in enumerate(zip(template.nics, blueprint.networks, strict=True))
    )
    spec = _replace(
        blueprint.spec,
        vm_id=vm_id,
        name=name or f"vm-{vm_id}",
        uuid=str(uuid.uuid5(uuid.UUID(turn.settings.cluster_id), f"vm:{vm_id}")),
        nics=nics,
    )
    spec = _replace(spec, context=context_variables.expand(spec.context, spec, template.attributes))
    record = VmRecord(
        vm_id=vm_id,
        name=spec.name,
        owner=turn.user.name,
        state=VmState.HOLD if hold else VmState.PENDING,
        spec=spec,
        template=text,
        requirements=template.requirements,
        rank=template.rank,
        attributes=template.attributes,
        submitted_at_s=turn.now_s,
        since_s=turn.now_s,
    )
    turn.put(record)
    turn.event("vm.submitted", f"vm:{vm_id}", name=spec.name, state=record.state.value)
    return record


def _lease(turn: Turn, vm_id: VmId, nic_id: int, nic: NicTemplate, network: Network) -> Nic:
    lease = leases.take(turn, network, vm_id=vm_id, nic_id=nic_id, ip=nic.ip, mac=nic.mac)
    return Nic(
        nic_id=nic_id,
        network=network.name,
        mac=lease.mac,
        bridge=network.bridge,
        vlan_id=network.vlan_id,
        physical_device=network.physical_device,
        ip=lease.ip,
        netmask=network.netmask,
        gateway=network.gateway,
        dns=network.dns,
        model=nic.model or "virtio",
    )
