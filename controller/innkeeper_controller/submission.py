"""From a template to PENDING VMs: everything looked up, addresses leased, nothing left to guess."""

import functools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from innkeeper_controller import access, leases, quotas, surroundings
from innkeeper_controller.access import Right
from innkeeper_controller.disks import Search, image_ref
from innkeeper_controller.expressions.names import KNOWN
from innkeeper_controller.records import Moment, Network, ScheduledAction, VmRecord
from innkeeper_controller.requests import find
from innkeeper_controller.requests.templates import refuse_mistakes, refuse_restricted, refused_mistakes
from innkeeper_controller.templates import syntax
from innkeeper_controller.templates.attributes import Attribute
from innkeeper_controller.templates.context import expand
from innkeeper_controller.templates.errors import in_order
from innkeeper_controller.templates.restricted import restricted
from innkeeper_controller.templates.schedule import SchedActionTemplate
from innkeeper_controller.templates.vm import NicTemplate, VmTemplate, read_vm_template, with_overrides
from innkeeper_controller.templates.wishes import NamedVm
from innkeeper_controller.turn import Mistake, RefusalError, Turn
from innkeeper_controller.usage import amounts_of
from innkeeper_plugins.vocabulary import Boot, Nic, Vm, VmId, VmState

_replace = msgspec.structs.replace

#: Templates of this many characters are kept for one bulk request, each VM its own.
MAX_BULK_CHARACTERS = 256 * 1024 * 1024
#: Only templates up to this length are remembered, so that nobody fills the memory with them.
MAX_REMEMBERED_CHARACTERS = 64 * 1024
#: A VM's share of a core has so many decimal digits, so that sums of shares are the same in whatever order.
CORE_DIGITS = 6
#: Where VMs without disks have their context.
DEFAULT_DATASTORE = "default"
#: In a name, what becomes the number of each VM of one request, counted from 0.
WILDCARD = "%i"


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What VMs of one template have in common."""

    text: str
    template: VmTemplate
    spec: Vm
    networks: tuple[Network, ...]
    #: The stored template that it came from.
    template_id: int | None = None
    #: What a VM without a name is called, before its number.
    prefix: str = "vm"


def submit(turn: Turn, blueprint: Blueprint, *, hold: bool, count: int) -> tuple[VmRecord, ...]:
    """Make ``count`` VMs of the blueprint, all or none.

    Raises:
        RefusalError: ``bad_request``, ``too_large``, ``too_many``, ``no_address``, ``in_use`` or ``over_quota``.
    """
    limit = turn.settings.max_vms_per_request
    if not 1 <= count <= limit:
        raise RefusalError("bad_request", f"Submit between 1 and {limit} VMs at once, not {count}.")
    if count * len(blueprint.text) > MAX_BULK_CHARACTERS:
        raise RefusalError(
            "too_large",
            f"{count} VMs of a template of {len(blueprint.text)} characters are too much at once; submit fewer.",
        )
    waiting = len(turn.cluster.pending) + len(turn.cluster.held)
    if waiting + count > turn.settings.max_pending:
        raise RefusalError("too_many", f"{waiting} VMs wait already; try again when some of them have started.")
    if count > 1 and any(nic.ip or nic.mac for nic in blueprint.template.nics):
        raise RefusalError(
            "bad_request",
            "One address cannot be given to several VMs; submit one, or leave IP and MAC out of its NICs.",
        )
    persistent = next((disk.image.name for disk in blueprint.spec.disks if disk.persistent and disk.image), "")
    if count > 1 and persistent:
        raise RefusalError("in_use", f"Image {persistent} is persistent, so that one VM can have it, not {count}.")
    for network in {each.network_id: each for each in blueprint.networks}.values():
        leases.check_room(turn, network, count * blueprint.networks.count(network))
    base = blueprint.template.name
    return tuple(_make(turn, blueprint, _name(base, number, count), hold=hold) for number in range(count))


def _name(base: str, number: int, count: int) -> str:
    if WILDCARD in base:
        return base.replace(WILDCARD, str(number))
    return base if count == 1 or not base else f"{base}-{number}"


def check_restricted(turn: Turn, attributes: Sequence[Attribute]) -> None:
    """Refuse attributes that only administrators may use, in what who asks has written.

    Raises:
        RefusalError: ``forbidden``, naming all of them.
    """
    if turn.user is not None and not turn.user.is_admin:
        refuse_restricted(restricted(attributes, turn.settings.restricted_vm))


def draw(turn: Turn, text: str, overrides: dict[str, str], *, own: bool = True) -> Blueprint:
    """Read the template and look up all that it names.

    Args:
        turn: The turn.
        text: The template.
        overrides: ``{MEMORY: "256"}``, attributes set or replaced.
        own: False where the caller has checked what of it who asks may say, see ``check_restricted``.

    Raises:
        RefusalError: ``bad_template``: with all mistakes of form, or else all of reference; ``forbidden`` or
            ``locked``: something is not for who asks; ``in_use``: a persistent image is another VM's.
    """
    with refused_mistakes():
        is_short = len(text) <= MAX_REMEMBERED_CHARACTERS
        read = _read if is_short else _read.__wrapped__
        template = read(text, tuple(overrides.items()), turn.cluster.placement.attribute_names())
    if own and turn.user is not None and not turn.user.is_admin:
        found = _restricted_in if is_short else _restricted_in.__wrapped__
        refuse_restricted(found(text, tuple(overrides.items()), turn.settings.restricted_vm))
    search = Search(turn)
    networks = tuple(_network(search, nic) for nic in template.nics)
    spec = _spec(search, template)
    for each in template.vms_named:
        _check_named(search, each)
    refuse_mistakes(in_order(search.mistakes))
    return Blueprint(text, template, spec, tuple(each for each in networks if each is not None))


@functools.lru_cache(maxsize=128)
def _restricted_in(text: str, overrides: tuple[tuple[str, str], ...], table: tuple[str, ...]) -> tuple[Mistake, ...]:
    return restricted(with_overrides(syntax.scan(text).attributes, dict(overrides)), table)


@functools.lru_cache(maxsize=256)
def _read(text: str, overrides: tuple[tuple[str, str], ...], of_hosts: frozenset[str]) -> VmTemplate:
    """Read a template; people and programs send the same one again and again."""
    return read_vm_template(text, overrides=dict(overrides), host_attributes=KNOWN | of_hosts)


def _network(search: Search, nic: NicTemplate) -> Network | None:
    try:
        network = find.network(search.cluster, nic.network)
    except RefusalError as error:
        text = find.told(search.turn, error)
        search.mistakes.append(Mistake(message=text, field="NIC/NETWORK", line=nic.line, column=nic.column))
        return None
    access.authorize(search.turn, Right.USE, network)
    return network


def _check_named(search: Search, named: NamedVm) -> None:
    """Check a VM that the new one is to be with or away from: whoever says so also keeps it from other hosts.

    Raises:
        RefusalError: ``forbidden`` or ``locked``.
    """
    vm = search.cluster.vms.get(named.vm_id)
    if vm is None:
        text = f"There is no VM {named.vm_id}, or it has ended; `inn vm list` shows those that there are."
        search.mistakes.append(Mistake(message=text, field=named.field, line=named.line, column=named.column))
        return
    access.authorize(search.turn, Right.MANAGE, vm)


def _spec(search: Search, template: VmTemplate) -> Vm:
    disks = search.disks(template.disks)
    home = disks[0].datastore if disks else DEFAULT_DATASTORE
    datastore = search.cluster.datastores.get(home)
    return Vm(
        vm_id=VmId(0),
        name=template.name,
        uuid="",
        generation=0,
        cpu_cores=round(template.cpu_cores, CORE_DIGITS),
        vcpus=template.vcpus,
        memory_mib=template.memory_mib,
        hypervisor=template.hypervisor,
        datastore=home,
        driver=disks[0].driver if disks else datastore.driver if datastore else "qcow2",
        boot=boot_of(search, template),
        disks=disks,
        context=template.context,
        graphics=template.graphics,
        cpu_model=template.cpu_model,
        inputs=template.inputs,
        topology=template.topology,
        numa=template.numa,
        pci=template.pci,
        raw=template.raw,
        vcpus_max=template.vcpus_max,
        memory_max_mib=template.memory_max_mib,
        video=template.video,
        features=template.features,
    )


def boot_of(search: Search, template: VmTemplate) -> Boot:
    """Return how the guest starts; what is not there is noted."""
    boot = template.boot
    line, column = boot.line, boot.column
    kernel = search.image(boot.kernel, "OS/KERNEL", line=line, column=column) if boot.kernel else None
    initrd = search.image(boot.initrd, "OS/INITRD", line=line, column=column) if boot.initrd else None
    return Boot(
        arch=boot.arch or "x86_64",
        machine=boot.machine,
        kernel=image_ref(search.cluster, kernel) if kernel else None,
        initrd=image_ref(search.cluster, initrd) if initrd else None,
        kernel_cmdline=boot.kernel_cmdline,
        order=boot.order,
    )


def _make(turn: Turn, blueprint: Blueprint, name: str, *, hold: bool) -> VmRecord:
    assert turn.user is not None, "VMs are submitted by users"
    template = blueprint.template
    vm_id = VmId(turn.cluster.next_id("vm"))
    nics = tuple(
        nic_of(turn, vm_id, number, nic, network)
        for number, (nic, network) in enumerate(zip(template.nics, blueprint.networks, strict=True))
    )
    spec = _replace(
        blueprint.spec,
        vm_id=vm_id,
        name=name or f"{blueprint.prefix}-{vm_id}",
        uuid=str(uuid.uuid5(uuid.UUID(turn.settings.cluster_id), f"vm:{vm_id}")),
        nics=nics,
    )
    if spec.context:
        group = access.primary_group(turn)
        around = surroundings.of_vm(turn, owner=turn.user.name, group=group, template=blueprint.text)
        spec = _replace(spec, context=expand(spec.context, spec, template.attributes, around))
    record = VmRecord(
        vm_id=vm_id,
        name=spec.name,
        owner=turn.user.name,
        group=access.primary_group(turn),
        template_id=blueprint.template_id,
        state=VmState.HOLD if hold else VmState.PENDING,
        spec=spec,
        template=blueprint.text,
        requirements=template.requirements,
        rank=template.rank,
        wishes=template.wishes,
        attributes=template.attributes,
        scheduled=scheduled_at(template.scheduled, turn.now_s),
        submitted_at_s=turn.now_s,
        since_s=turn.now_s,
    )
    quotas.charge(turn, record.owner, record.group, amounts_of(record))
    turn.put(record)
    turn.event("vm.submitted", f"vm:{vm_id}", name=spec.name, state=record.state.value)
    return record


def scheduled_at(
    templates: Sequence[SchedActionTemplate], now_s: Moment, *, first_id: int = 0
) -> tuple[ScheduledAction, ...]:
    """Return the actions of a template as a VM has them, numbered from ``first_id``; relative times count from now."""
    return tuple(
        ScheduledAction(
            action_id=number,
            action=each.action,
            at_s=now_s + each.after_s if each.after_s is not None else float(each.at_s or 0),
            args=each.args,
            repeat=each.repeat,
            days=each.days,
            end_type=each.end_type,
            end_value=each.end_value,
        )
        for number, each in enumerate(templates, first_id)
    )


def nic_of(turn: Turn, vm_id: VmId, nic_id: int, nic: NicTemplate, network: Network) -> Nic:
    """Return the NIC that a template asks for, its address leased.

    Raises:
        RefusalError: ``no_address``.
    """
    lease = leases.take(turn, network, vm_id=vm_id, nic_id=nic_id, ip=nic.ip, mac=nic.mac)
    return Nic(
        nic_id=nic_id,
        network=network.name,
        network_id=network.network_id,
        mac=lease.mac,
        bridge=network.bridge,
        vlan_id=network.vlan_id,
        physical_device=network.physical_device,
        ip=lease.ip,
        ip6_global=lease.ip6_global,
        ip6_ula=lease.ip6_ula,
        netmask=network.netmask,
        gateway=network.gateway,
        dns=network.dns,
        model=nic.model or "virtio",
    )
