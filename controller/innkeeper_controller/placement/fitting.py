"""Whether a VM may go on a host: what it asks, made of its record, and one answer for all.

The scheduler and people who choose a host themselves come through here; which of the hosts that fit is best is
decided elsewhere.
"""

from collections.abc import Iterator, Mapping

import msgspec

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.expressions import compile_rank, compile_requirement
from innkeeper_controller.indexes.loads import load_of
from innkeeper_controller.records import Datastore, Host, VmRecord
from innkeeper_controller.requests.views import cluster_name
from innkeeper_controller.scheduling.answers.verdicts import obstacles_on
from innkeeper_controller.scheduling.model import Demand, Obstacle
from innkeeper_plugins.vocabulary import ImageRef, Vm

_replace = msgspec.structs.replace


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
    """Return what the VM needs, without the expressions of its owner."""
    spec, load = vm.spec, load_of(vm)
    return Demand(
        vm_id=vm.vm_id,
        capacity=load.capacity,
        datastores=load.datastores,
        images=load.images,
        groups=load.groups,
        terms=load.terms,
        vcpus=spec.vcpus,
        hypervisor=spec.hypervisor,
        arch=spec.boot.arch,
        cpu_flags=frozenset(vm.wishes.cpu_flags),
        transfer_drivers=frozenset({spec.driver, *(disk.driver for disk in spec.disks)}),
        bridges=frozenset(nic.bridge for nic in spec.nics if nic.bridge),
        clusters=clusters_of(cluster, spec, spec.images),
        numa=spec.numa,
        pci=spec.pci,
        # Those that nobody reads would only tell apart what is alike.
        attributes=vm.attributes if cluster.placement.rules.has_strangers else {},
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
    found = obstacles_on(_bare_demand(cluster, vm), cluster.fleet, host.host_id, cluster.placement.rules.binding)
    return next(found, None)
