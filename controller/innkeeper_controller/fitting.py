"""Whether a VM may go on a host: what both are, as scheduling sees them, made of records, and one answer for all.

The scheduler and people who choose a host themselves come through here; which of the hosts that fit is best is
decided elsewhere.
"""

from collections.abc import Iterator, Mapping

import msgspec

from innkeeper_controller import planner
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.expressions import compile_rank, compile_requirement
from innkeeper_controller.records import Datastore, Host, HostState, VmRecord
from innkeeper_controller.requests.views import cluster_name, shown_state
from innkeeper_controller.scheduling.attributes import host_attributes
from innkeeper_controller.scheduling.clauses import BINDING
from innkeeper_controller.scheduling.model import Demand, HostView, Obstacle
from innkeeper_controller.units import MIB
from innkeeper_plugins.vocabulary import Capacity, DiskKind, DriverKind, ImageRef, Vm

_replace = msgspec.structs.replace

#: Room that an overlay or a context disk is counted with, MiB.
OVERLAY_MIB = 16


def view_of(cluster: Cluster, host: Host) -> HostView:
    """Return the host as the scheduler sees it."""
    vms = cluster.vms_on.get(host.host_id, set())
    bare = _bare_view(cluster, host)
    return _replace(
        bare,
        attributes=host_attributes(host, bare.used, len(vms), vms, cluster=bare.cluster),
        images=frozenset(host.advertisement.images),
    )


def _bare_view(cluster: Cluster, host: Host) -> HostView:
    """Return the host without what only requirements and scores ask for."""
    advertisement = host.advertisement
    usable = host.connected and host.state is HostState.ON
    return HostView(
        host_id=host.host_id,
        name=host.name,
        cluster_id=host.cluster_id,
        cluster=cluster_name(cluster, host.cluster_id),
        usable=usable,
        unusable_reason="" if usable else shown_state(host),
        total=advertisement.capacity,
        used=cluster.used.get(host.host_id, Capacity()),
        transfer_drivers=frozenset(d.name for d in advertisement.drivers if d.kind is DriverKind.TRANSFER),
        hypervisors=frozenset(d.name for d in advertisement.drivers if d.kind is DriverKind.HYPERVISOR),
        datastores={facts.name: facts.free_mib for facts in advertisement.datastores},
        bridges=frozenset(advertisement.bridges),
    )


def demand_of(cluster: Cluster, vm: VmRecord) -> Demand:
    """Return what the VM asks of a host."""
    demand = _bare_demand(cluster, vm)
    if not vm.requirements and not vm.rank:
        return demand
    return _replace(
        demand,
        requirements=compile_requirement(vm.requirements) if vm.requirements else None,
        rank=compile_rank(vm.rank) if vm.rank else None,
    )


def _bare_demand(cluster: Cluster, vm: VmRecord) -> Demand:
    """Return what the VM needs, without what its owner wishes."""
    spec = vm.spec
    images = planner.images_of(spec)
    rooms: dict[str, int] = {spec.datastore: 0}
    for disk in spec.disks:
        copied = disk.kind in {DiskKind.VOLATILE, DiskKind.SWAP} or disk.driver == "copy"
        rooms[disk.datastore] = rooms.get(disk.datastore, 0) + (disk.size_bytes // MIB if copied else OVERLAY_MIB)
    for ref in images:
        rooms.setdefault(ref.datastore, 0)
    return Demand(
        vm_id=vm.vm_id,
        capacity=spec.capacity,
        hypervisor=spec.hypervisor,
        datastores=rooms,
        transfer_drivers=frozenset({spec.driver, *(disk.driver for disk in spec.disks)}),
        bridges=frozenset(nic.bridge for nic in spec.nics if nic.bridge),
        images={ref.sha256: ref.size_bytes for ref in images},
        clusters=clusters_of(cluster, spec, images),
    )


def clusters_of(cluster: Cluster, spec: Vm, images: tuple[ImageRef, ...]) -> Mapping[int, str] | None:
    """Return ``{number: name}`` of the clusters that have all networks and datastores of the VM; None for any."""
    memberships = {*_of_networks(cluster, spec), *_of_datastores(cluster, spec, images)}
    if not memberships:
        return None
    common = set.intersection(*map(set, memberships))
    return {number: cluster_name(cluster, number) for number in sorted(common)}


def _of_networks(cluster: Cluster, spec: Vm) -> Iterator[tuple[int, ...]]:
    for nic in spec.nics:
        number = nic.network_id if nic.network_id >= 0 else cluster.network_ids.get(nic.network, -1)
        network = cluster.networks.get(number)
        if network is not None:
            yield network.clusters


def _of_datastores(cluster: Cluster, spec: Vm, images: tuple[ImageRef, ...]) -> Iterator[tuple[int, ...]]:
    """Go over the memberships of the images' datastores, and of the others that the VM has files in."""
    found = [record for ref in images if (record := _datastore_of(cluster, ref)) is not None]
    yield from (record.clusters for record in found)
    named = {record.at_hosts for record in found}
    for name in {spec.datastore, *(disk.datastore for disk in spec.disks)} - named:
        record = cluster.datastores.get(name)
        if record is not None:
            yield record.clusters


def _datastore_of(cluster: Cluster, ref: ImageRef) -> Datastore | None:
    """Return the image's datastore, which may share its place on the hosts with others."""
    image = cluster.images.get(ref.image_id)
    return cluster.datastores.get(image.datastore if image is not None else ref.datastore)


def obstacle(cluster: Cluster, vm: VmRecord, host: Host) -> Obstacle | None:
    """Return the first rule that keeps the VM from the host and that nobody may break; None where it may go there.

    What the VM's owner wishes of a host is not asked: whoever chooses a host by hand knows better.
    """
    demand, view = _bare_demand(cluster, vm), _bare_view(cluster, host)
    found = (clause.check(demand, view) for clause in BINDING if clause.concerns(demand))
    return next((each for each in found if each is not None), None)
