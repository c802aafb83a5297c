"""What requests answer: the records as people and programs want to see them."""

import math
from collections.abc import Iterable

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.inventory import Allowance, Inventory
from innkeeper_controller.placement.allowances import capacity_of, given_of_disk, inventories_of
from innkeeper_controller.records import (
    AddressLease,
    AddressRange,
    Failures,
    Host,
    HostState,
    Image,
    Moment,
    Network,
    Operation,
    OperationError,
    VmRecord,
)
from innkeeper_plugins.steps import script_line
from innkeeper_plugins.vocabulary import Advertisement, Capacity, HostId, Nic, OperationId, Value, Vm


class HostView(Value):
    """A host as lists show it."""

    host_id: int
    name: str
    #: ``joining``, ``on``, ``lost``, ``disabled``, ``draining`` or ``offline``.
    state: str
    #: True while its agent is there.
    connected: bool
    #: What the host has.
    capacity: Capacity
    #: What its VMs were given.
    used: Capacity
    vms: int
    #: Measured on the host just now; zero where nothing was heard yet.
    cpu_used_cores: float = 0.0
    memory_used_mib: int = 0
    #: When the agent was last heard, seconds since the epoch.
    heard_at_s: Moment | None = None
    cluster: str = ""
    #: What may be given away in all, after what is reserved and the allocation ratio.
    may_give: Capacity | None = None
    #: Starts of VMs that failed there, one after the other.
    failed_starts: int = 0
    #: Until then no VM is placed there, because of them; None where it is not banned.
    banned_until_s: Moment | None = None
    #: What the last of them said.
    last_failure: str = ""
    #: What the host says of itself and cannot be, in words.
    nonsense: tuple[str, ...] = ()


class ResourceView(Value):
    """How much of one resource of a host may be given away, in cores or MiB."""

    total: float
    reserved: float
    allocation_ratio: float
    #: What may be given away in all.
    may_give: float
    #: What its VMs were given of it; a datastore may still have less free than is left of this.
    given: float
    #: Of one VM; None for no rule.
    min_unit: float | None = None
    max_unit: float | None = None
    step_size: float | None = None


class HostDetail(HostView):
    """A host with all that it says of itself."""

    #: ``{cpu, memory or disk: what is decided for this host itself}``, in cores and MiB.
    allowances: dict[str, Allowance] = {}
    #: ``{cpu, memory or disk.DATASTORE: what comes of that and of its cluster's}``
    resources: dict[str, ResourceView] = {}
    advertisement: Advertisement = Advertisement(capacity=Capacity())
    labels: dict[str, str] = {}
    vm_ids: tuple[int, ...] = ()
    #: OpenNebula's driver names as they were given.
    im_mad: str = ""
    vm_mad: str = ""


class OperationView(Value):
    """An operation as people wait on it."""

    operation_id: OperationId
    kind: str
    subject: str
    status: str
    #: The step that runs or failed, as in the transfer script; empty before the first.
    step: str = ""
    steps_total: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    #: Hosts it goes over, in order.
    hosts: tuple[str, ...] = ()
    #: Host that the controller waits to hear from; empty where it waits for none.
    waits_for: str = ""
    started_at_s: Moment = 0.0
    ended_at_s: Moment | None = None
    error: OperationError | None = None
    actor: str = ""
    request_id: str = ""


class VmView(Value):
    """A VM as lists show it."""

    vm_id: int
    name: str
    owner: str
    state: str
    host: str = ""
    cpu_cores: float = 0.0
    vcpus: int = 0
    memory_mib: int = 0
    ips: tuple[str, ...] = ()
    #: Kind of the operation in progress, empty for none.
    operation: str = ""
    submitted_at_s: Moment = 0.0
    since_s: Moment = 0.0
    error: str = ""
    #: Why it is PENDING, one sentence, as the scheduler saw it last.
    waits_for: str = ""


class VmDetail(VmView):
    """A VM with all that is known of it."""

    spec: Vm | None = None
    nics: tuple[Nic, ...] = ()
    requirements: str = ""
    rank: str = ""
    attributes: dict[str, str] = {}
    template: str = ""
    deploy_id: str = ""
    generation: int = 0
    operation_id: OperationId | None = None
    last_operation: OperationView | None = None
    ended_at_s: Moment | None = None
    #: Last heard of the guest.
    cpu_time_s: float = 0.0
    memory_used_mib: int = 0


class ImageView(Value):
    """An image."""

    image_id: int
    name: str
    owner: str
    state: str
    type: str
    datastore: str
    format: str
    sha256: str
    size_bytes: int
    virtual_size_bytes: int
    #: Hosts that hold it now.
    hosts: tuple[str, ...] = ()
    #: The host that keeps it for good.
    home: str = ""
    #: VMs that use it.
    vms: int = 0
    operation_id: OperationId | None = None
    error: str = ""
    registered_at_s: Moment = 0.0
    group: str = ""
    #: What owner, group and others may do, in the digits of chmod.
    mode: str = ""
    #: Level of its lock; empty for none.
    lock: str = ""
    persistent: bool = False
    #: Where it came from, as it was asked for.
    source: str = ""
    modified_at_s: Moment = 0.0
    attributes: dict[str, str] = {}


class NetworkView(Value):
    """A virtual network."""

    network_id: int
    name: str
    owner: str
    bridge: str
    vlan_id: int | None
    gateway: str
    netmask: str
    dns: str
    ranges: tuple[AddressRange, ...]
    #: Addresses in all ranges.
    size: int
    #: Addresses leased, held or reserved.
    taken: int
    group: str = ""
    #: The digits of chmod.
    mode: str = ""
    clusters: tuple[str, ...] = ()
    vn_mad: str = ""
    physical_device: str = ""
    attributes: dict[str, str] = {}
    #: The network that this one is a reservation of.
    parent: str = ""


class LeaseView(Value):
    """One address that is not free."""

    ip: str
    mac: str
    #: None where a person holds it, or a reservation has it.
    vm_id: int | None
    nic_id: int | None
    ip6_global: str = ""
    ip6_ula: str = ""
    #: The network that reserved it.
    reserved_by: int | None = None
    #: Number of its range.
    ar_id: int = 0


def shown_state(host: Host) -> str:
    """Return the host's state as people see it: ``lost`` hides what they asked for, but for being away."""
    if host.state not in {HostState.JOINING, HostState.OFFLINE} and not host.connected:
        return HostState.LOST.value
    return host.state.value


def host_name(cluster: Cluster, host_id: HostId | None) -> str:
    """Return a host's name; empty for None, its number where it is gone."""
    if host_id is None:
        return ""
    host = cluster.hosts.get(host_id)
    return host.name if host else f"host {host_id}"


def cluster_name(cluster: Cluster, cluster_id: int) -> str:
    """Return a cluster's name; its number where it is gone."""
    record = cluster.clusters.get(cluster_id)
    return record.name if record else str(cluster_id)


def _host_fields(cluster: Cluster, host: Host) -> dict[str, object]:
    load = cluster.load.get(host.host_id)
    return {
        "host_id": host.host_id,
        "name": host.name,
        "state": shown_state(host),
        "connected": host.connected,
        "capacity": host.advertisement.capacity,
        "used": cluster.used.get(host.host_id, Capacity()),
        "vms": len(cluster.vms_on.get(host.host_id, ())),
        "cpu_used_cores": load.cpu_used_cores if load else 0.0,
        "memory_used_mib": load.memory_used_mib if load else 0,
        "heard_at_s": cluster.heard_at_s.get(host.host_id),
        "cluster": cluster_name(cluster, host.cluster_id),
        "may_give": capacity_of(cluster, host),
        "nonsense": cluster.nonsense.get(host.host_id, ()),
        **(_failure_fields(host.failures) if host.failures is not None else {}),
    }


def _failure_fields(failures: Failures) -> dict[str, object]:
    return {
        "failed_starts": failures.count,
        "banned_until_s": failures.banned_until_s or None,
        "last_failure": failures.message,
    }


def host_view(cluster: Cluster, host: Host) -> HostView:
    """Return the host as lists show it."""
    return HostView(**_host_fields(cluster, host))  # type: ignore[arg-type]  # one dict for both views


def host_detail(cluster: Cluster, host: Host) -> HostDetail:
    """Return the host with all that it says of itself."""
    return HostDetail(
        **_host_fields(cluster, host),  # type: ignore[arg-type]  # one dict for both views
        allowances=host.allowances,
        resources=_resources(cluster, host),
        advertisement=host.advertisement,
        labels=host.labels,
        vm_ids=tuple(sorted(cluster.vms_on.get(host.host_id, ()))),
        im_mad=host.im_mad,
        vm_mad=host.vm_mad,
    )


def _resources(cluster: Cluster, host: Host) -> dict[str, ResourceView]:
    found, used = inventories_of(cluster, host), cluster.used.get(host.host_id, Capacity())
    given_mib = given_of_disk(cluster, host)
    places = {f"disk.{name}": _resource(each, given_mib.get(name, 0)) for name, each in found.disk.items()}
    return {"cpu": _resource(found.cpu, used.cpu_cores), "memory": _resource(found.memory, used.memory_mib), **places}


def _resource(inventory: Inventory, given: float) -> ResourceView:
    return ResourceView(
        total=inventory.total,
        reserved=inventory.reserved,
        allocation_ratio=inventory.allocation_ratio,
        may_give=round(inventory.capacity, 6),
        given=given,
        min_unit=inventory.min_unit or None,
        max_unit=inventory.max_unit if math.isfinite(inventory.max_unit) else None,
        step_size=inventory.step_size or None,
    )


def operation_view(cluster: Cluster, operation: Operation) -> OperationView:
    """Return the operation with the step that it is at, in words."""
    progress = cluster.progress.get(operation.operation_id)
    step_id = progress.step_id if progress else operation.step_id
    steps = [step for leg in operation.plan.legs for step in leg.steps]
    lines = [script_line(step) for step in steps if step.step_id == step_id]
    return OperationView(
        operation_id=operation.operation_id,
        kind=operation.kind,
        subject=operation.subject,
        status=operation.status,
        step=lines[0] if lines else "",
        steps_total=len(steps),
        done_bytes=progress.done_bytes if progress else 0,
        total_bytes=progress.total_bytes if progress else 0,
        hosts=tuple(dict.fromkeys(host_name(cluster, leg.host_id) for leg in operation.plan.legs)),
        waits_for=_waits_for(cluster, operation),
        started_at_s=operation.started_at_s,
        ended_at_s=operation.ended_at_s,
        error=operation.error,
        actor=operation.actor,
        request_id=operation.request_id,
    )


def _waits_for(cluster: Cluster, operation: Operation) -> str:
    if operation.ended_at_s is not None or operation.leg >= len(operation.plan.legs):
        return ""
    host = cluster.hosts.get(operation.plan.legs[operation.leg].host_id)
    return host.name if host and not host.connected else ""


def _vm_fields(cluster: Cluster, vm: VmRecord) -> dict[str, object]:
    operation = cluster.operations.get(vm.operation_id) if vm.operation_id else None
    return {
        "vm_id": vm.vm_id,
        "name": vm.name,
        "owner": vm.owner,
        "state": vm.state.value,
        "host": host_name(cluster, vm.host_id),
        "cpu_cores": vm.spec.cpu_cores,
        "vcpus": vm.spec.vcpus,
        "memory_mib": vm.spec.memory_mib,
        "ips": tuple(nic.ip for nic in vm.spec.nics if nic.ip),
        "operation": operation.kind.value if operation else "",
        "submitted_at_s": vm.submitted_at_s,
        "since_s": vm.since_s,
        "error": vm.error,
        "waits_for": cluster.waits.get(vm.vm_id, ""),
    }


def vm_view(cluster: Cluster, vm: VmRecord) -> VmView:
    """Return the VM as lists show it."""
    return VmView(**_vm_fields(cluster, vm))  # type: ignore[arg-type]  # one dict for both views


def vm_detail(cluster: Cluster, vm: VmRecord) -> VmDetail:
    """Return the VM with all that is known of it."""
    last_id = vm.operation_id or vm.last_operation_id
    last = cluster.operations.get(last_id) if last_id else None
    guest = cluster.observed.get(vm.vm_id)
    return VmDetail(
        **_vm_fields(cluster, vm),  # type: ignore[arg-type]  # one dict for both views
        spec=vm.spec,
        nics=vm.spec.nics,
        requirements=vm.requirements,
        rank=vm.rank,
        attributes=vm.attributes,
        template=vm.template,
        deploy_id=vm.deploy_id,
        generation=vm.spec.generation,
        operation_id=vm.operation_id,
        last_operation=operation_view(cluster, last) if last else None,
        ended_at_s=vm.ended_at_s,
        cpu_time_s=guest.cpu_time_s if guest else 0.0,
        memory_used_mib=guest.memory_mib if guest else 0,
    )


def image_view(cluster: Cluster, image: Image) -> ImageView:
    """Return the image with who holds it and how many VMs use it."""
    (view,) = image_views(cluster, [image])
    return view


def image_views(cluster: Cluster, images: Iterable[Image]) -> tuple[ImageView, ...]:
    """Return images with who holds them and how many VMs use them, looked up once for all of them."""
    holders: dict[str, list[str]] = {}
    for host in cluster.hosts.values():
        for digest in host.advertisement.images:
            holders.setdefault(digest, []).append(host.name)
    return tuple(
        ImageView(
            image_id=image.image_id,
            name=image.name,
            owner=image.owner,
            state=image.state,
            type=image.type,
            datastore=image.datastore,
            format=image.format,
            sha256=image.sha256,
            size_bytes=image.size_bytes,
            virtual_size_bytes=image.virtual_size_bytes,
            hosts=tuple(sorted(holders.get(image.sha256, ()))),
            home=host_name(cluster, image.home),
            vms=len(cluster.vms_of_image.get(image.image_id, ())),
            operation_id=image.operation_id,
            error=image.error,
            registered_at_s=image.registered_at_s,
            group=image.group,
            mode=f"{image.mode:03o}",
            lock=image.lock.level if image.lock is not None else "",
            persistent=image.persistent,
            source=image.source,
            modified_at_s=image.modified_at_s,
            attributes=image.attributes,
        )
        for image in images
    )


def network_view(cluster: Cluster, network: Network) -> NetworkView:
    """Return the network with how full it is."""
    parent = cluster.networks.get(network.parent_id) if network.parent_id is not None else None
    return NetworkView(
        network_id=network.network_id,
        name=network.name,
        owner=network.owner,
        bridge=network.bridge,
        vlan_id=network.vlan_id,
        gateway=network.gateway,
        netmask=network.netmask,
        dns=network.dns,
        ranges=network.ranges,
        size=sum(each.size for each in network.ranges),
        taken=cluster.lease_count.get(network.network_id, 0),
        group=network.group,
        mode=f"{network.mode:03o}",
        clusters=tuple(cluster_name(cluster, each) for each in network.clusters),
        vn_mad=network.vn_mad,
        physical_device=network.physical_device,
        attributes=network.attributes,
        parent=parent.name if parent is not None else "",
    )


def lease_view(lease: AddressLease) -> LeaseView:
    """Return the lease as lists show it."""
    return LeaseView(
        ip=lease.ip,
        mac=lease.mac,
        vm_id=lease.vm_id,
        nic_id=lease.nic_id,
        ip6_global=lease.ip6_global,
        ip6_ula=lease.ip6_ula,
        reserved_by=lease.reserved_by,
        ar_id=lease.range_index,
    )
