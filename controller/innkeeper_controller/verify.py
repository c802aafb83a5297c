"""Checks the invariants of the state: what must hold between any two turns, on a live system and in simulation.

It mends nothing and never destroys; each finding names what disagrees with what.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from innkeeper_controller import addresses
from innkeeper_controller.cluster import UNFINISHED, Cluster, image_ids_of
from innkeeper_controller.lifecycle import AT_REST
from innkeeper_controller.placement import claims
from innkeeper_controller.placement.allowances import capacity_of
from innkeeper_controller.records import AddressRange, Image, VmRecord
from innkeeper_controller.scheduling.nodes import holdings
from innkeeper_controller.scheduling.room import CPU_TOLERANCE_CORES
from innkeeper_plugins.vocabulary import Capacity, HostId, ImageId, Value, VmId, VmState


class Finding(Value):
    """One disagreement."""

    #: Stable name of the check.
    check: str
    #: ``vm:7``, ``host:2``, ``lease:0.0.4``.
    subject: str
    message: str


def findings(cluster: Cluster) -> tuple[Finding, ...]:
    """Return every disagreement in the state; none is the healthy answer."""
    return tuple(
        Finding(check=name, subject=subject, message=message)
        for name, check in CHECKS.items()
        for subject, message in check(cluster)
    )


def _capacity(cluster: Cluster) -> Iterator[tuple[str, str]]:
    sums: dict[HostId, Capacity] = {}
    for vm in cluster.vms.values():
        for host_id in cluster.claims(vm):
            old = sums.get(host_id, Capacity())
            sums[host_id] = Capacity(
                cpu_cores=round(old.cpu_cores + vm.spec.cpu_cores, 6), memory_mib=old.memory_mib + vm.spec.memory_mib
            )
    for host_id in {*sums, *cluster.used}:
        counted, told = sums.get(host_id, Capacity()), cluster.used.get(host_id, Capacity())
        if counted != told:
            yield f"host:{host_id}", f"its VMs take {counted}, but {told} is on the books"


def _overcommit(cluster: Cluster) -> Iterator[tuple[str, str]]:
    for host in cluster.hosts.values():
        told = host.advertisement.capacity
        if not host.connected or host.host_id not in cluster.used:
            continue
        used, most = cluster.used[host.host_id], capacity_of(cluster, host)
        if told.memory_mib and used.memory_mib > most.memory_mib:
            yield f"host:{host.host_id}", f"VMs take {used.memory_mib} MiB of {most.memory_mib} MiB"
        if told.cpu_cores and used.cpu_cores > most.cpu_cores + CPU_TOLERANCE_CORES:
            yield f"host:{host.host_id}", f"VMs take {used.cpu_cores} of {most.cpu_cores} cores"


def _claims(cluster: Cluster) -> Iterator[tuple[str, str]]:
    for host in cluster.hosts.values():
        guests = [guest for _, guest in claims.guests_on(cluster, host.host_id)]
        for message in holdings.conflicts(guests, host.advertisement.numa if host.connected else ()):
            yield f"host:{host.host_id}", message
        held = Counter(address for guest in guests for address in guest.pci_addresses)
        for address in sorted(address for address, count in held.items() if count > 1):
            yield f"host:{host.host_id}", f"device {address} is held twice"
    for vm in cluster.vms.values():
        if vm.leaving is not None and vm.destination_id is None:
            yield f"vm:{vm.vm_id}", "it holds something of a host that it leaves, but it goes to none"
        if vm.host_id is None and (vm.spec.numa_cells or vm.spec.pci_addresses):
            yield f"vm:{vm.vm_id}", "it holds nodes or devices of a host, but is on none"


def _leases(cluster: Cluster) -> Iterator[tuple[str, str]]:
    owned: dict[int, set[tuple[str, str]]] = {}
    for lease in cluster.leases.values():
        if lease.vm_id is None:
            continue
        if lease.vm_id not in cluster.vms:
            yield f"lease:{lease.lease_id}", f"{lease.ip or lease.mac} is leased to VM {lease.vm_id}, which is gone"
        owned.setdefault(lease.vm_id, set()).add((lease.mac, lease.ip))
    for vm in cluster.vms.values():
        has, needs = owned.get(vm.vm_id, set()), {(nic.mac, nic.ip) for nic in vm.spec.nics}
        if has != needs:
            yield f"vm:{vm.vm_id}", f"its NICs use {sorted(needs)}, but it is leased {sorted(has)}"


def _addresses(cluster: Cluster) -> Iterator[tuple[str, str]]:
    seen: dict[tuple[int, str], str] = {}
    for lease in cluster.leases.values():
        other = seen.setdefault((lease.network_id, lease.mac), lease.lease_id)
        if other != lease.lease_id:
            yield f"lease:{lease.lease_id}", f"{lease.mac} is leased twice, also as {other}"


def _ranges(cluster: Cluster) -> Iterator[tuple[str, str]]:
    known: dict[tuple[int, int], AddressRange] = {}
    for network in cluster.networks.values():
        for each in network.ranges:
            if (network.network_id, each.ar_id) in known:
                yield f"network:{network.network_id}", f"two of its ranges have the number {each.ar_id}"
            known[network.network_id, each.ar_id] = each
    for lease in cluster.leases.values():
        found = known.get((lease.network_id, lease.range_index))
        if found is None or lease.offset >= found.size:
            yield f"lease:{lease.lease_id}", f"{lease.ip or lease.mac} is in no range of its network"
        elif addresses.address_at(found, lease.offset) != (lease.mac, lease.ip):
            yield f"lease:{lease.lease_id}", f"{lease.ip or lease.mac} is not the address that its range has there"


def _reservations(cluster: Cluster) -> Iterator[tuple[str, str]]:
    reserved: dict[int, set[str]] = {}
    for lease in cluster.leases.values():
        if lease.reserved_by is None:
            continue
        child = cluster.networks.get(lease.reserved_by)
        if child is None or child.parent_id != lease.network_id or not addresses.find(child.ranges, mac=lease.mac):
            yield f"lease:{lease.lease_id}", f"it is reserved by network {lease.reserved_by}, which does not have it"
        reserved.setdefault(lease.reserved_by, set()).add(lease.mac)
    for network in cluster.networks.values():
        size = sum(each.size for each in network.ranges)
        has = len(reserved.get(network.network_id, ()))
        if network.parent_id is not None and size != has:
            yield f"network:{network.network_id}", f"it has {size} addresses, but {has} are reserved for it"


def _clusters(cluster: Cluster) -> Iterator[tuple[str, str]]:
    members: list[tuple[str, tuple[int, ...]]] = []
    members += [(f"host:{each.host_id}", (each.cluster_id,)) for each in cluster.hosts.values()]
    members += [(f"network:{each.network_id}", each.clusters) for each in cluster.networks.values()]
    members += [(f"datastore:{each.name}", each.clusters) for each in cluster.datastores.values()]
    for subject, numbers in members:
        for number in numbers:
            if number not in cluster.clusters:
                yield subject, f"it is in cluster {number}, which is gone"


def _operations(cluster: Cluster) -> Iterator[tuple[str, str]]:
    for vm in cluster.vms.values():
        running = cluster.operations.get(vm.operation_id) if vm.operation_id else None
        if vm.operation_id and (running is None or running.status not in UNFINISHED):
            yield f"vm:{vm.vm_id}", f"it is busy with {vm.operation_id}, which does not run"
        if vm.operation_id is None and vm.state not in AT_REST:
            yield f"vm:{vm.vm_id}", f"it is {vm.state}, but no operation runs"
    running_on: dict[str, str] = {}
    for operation_id in cluster.running:
        subject = cluster.operations[operation_id].subject
        if running_on.setdefault(subject, operation_id) != operation_id:
            yield subject, "more than one operation runs on it"
        if _busy_with(cluster, subject) != operation_id:
            yield subject, f"{operation_id} runs on it, but it is busy with {_busy_with(cluster, subject) or 'nothing'}"


def _busy_with(cluster: Cluster, subject: str) -> str | None:
    kind, _, number = subject.partition(":")
    record = cluster.get(kind, int(number))
    return record.operation_id if isinstance(record, VmRecord | Image) else None


def _places(cluster: Cluster) -> Iterator[tuple[str, str]]:
    for vm in cluster.vms.values():
        yield from _place_of(cluster, vm)


def _place_of(cluster: Cluster, vm: VmRecord) -> Iterator[tuple[str, str]]:
    if vm.operation_id is not None:
        return  # Its operation goes on without a host that was deleted, and then tells where it is.
    for host_id in (vm.host_id, vm.destination_id, vm.sealed_on):
        if host_id is not None and host_id not in cluster.hosts:
            yield f"vm:{vm.vm_id}", f"it is on host {host_id}, which is gone"
    if vm.state in {VmState.RUNNING, VmState.SUSPENDED, VmState.POWEROFF} and vm.host_id is None:
        yield f"vm:{vm.vm_id}", f"it is {vm.state}, but on no host"
    if vm.state in {VmState.STOPPED, VmState.UNDEPLOYED} and vm.sealed_on is None:
        yield f"vm:{vm.vm_id}", f"it is {vm.state}, but its files are on no host"
    if vm.state in {VmState.PENDING, VmState.HOLD} and vm.host_id is not None:
        yield f"vm:{vm.vm_id}", f"it is {vm.state}, but on host {vm.host_id}"


def _waiting(cluster: Cluster) -> Iterator[tuple[str, str]]:
    waiting = {vm.vm_id for vm in cluster.vms.values() if vm.state is VmState.PENDING}
    for vm_id in waiting ^ set(cluster.pending):
        yield f"vm:{vm_id}", "the queue and its state disagree"


def _image_users(cluster: Cluster) -> Iterator[tuple[str, str]]:
    users: dict[ImageId, set[VmId]] = {}
    for vm in cluster.vms.values():
        for image_id in image_ids_of(vm):
            users.setdefault(image_id, set()).add(vm.vm_id)
    for image_id in {*users, *cluster.vms_of_image}:
        counted, told = users.get(image_id, set()), cluster.vms_of_image.get(image_id, set())
        if counted != told:
            yield f"image:{image_id}", f"VMs {sorted(counted)} have it, but {sorted(told)} are on the books"
        if image_id not in cluster.images:
            yield f"image:{image_id}", f"it is gone, but VMs {sorted(counted)} are made of it"
        elif cluster.images[image_id].persistent and len(counted) > 1:
            yield f"image:{image_id}", f"it is persistent, but VMs {sorted(counted)} have it"


#: ``{stable name: check}``; a check goes over (subject, what disagrees).
CHECKS: dict[str, Callable[[Cluster], Iterator[tuple[str, str]]]] = {
    "capacity-books": _capacity,
    "capacity-exceeded": _overcommit,
    "nodes-and-devices": _claims,
    "lease-owners": _leases,
    "addresses-once": _addresses,
    "ranges": _ranges,
    "reservations": _reservations,
    "clusters": _clusters,
    "operations": _operations,
    "places": _places,
    "queue": _waiting,
    "image-users": _image_users,
}
