"""How much of each host may be given away, as its operators decided: asked by checks, views and documents.

It decides nothing itself: the words and the arithmetic are ``inventory``'s, what VMs were given is the cluster's.
"""

import math
from typing import Final

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.indexes.loads import rooms_of
from innkeeper_controller.inventory import Allowance, Inventories, Inventory, inventories, inventory
from innkeeper_controller.records import Host
from innkeeper_plugins.vocabulary import Capacity

#: Sums of fractions of cores are this exact, no more.
_CORE_DIGITS: Final = 6
#: A multiple of a step that is this close, in steps, is one.
_STEP_TOLERANCE: Final = 1e-6


def inventories_of(cluster: Cluster, host: Host) -> Inventories:
    """Return what may be given away of the host: what is decided for it counts before what is for its cluster."""
    return inventories(host.advertisement, host.allowances, _of_cluster(cluster, host))


def capacity_of(cluster: Cluster, host: Host) -> Capacity:
    """Return the cores and the memory, in whole MiB, that may be given away of the host in all."""
    total = host.advertisement.capacity
    own, shared = host.allowances, _of_cluster(cluster, host)
    cores, memory_mib = total.cpu_cores, float(total.memory_mib)
    if "cpu" in own or "cpu" in shared:
        cores = inventory(cores, own.get("cpu"), shared.get("cpu")).capacity
    if "memory" in own or "memory" in shared:
        memory_mib = inventory(memory_mib, own.get("memory"), shared.get("memory")).capacity
    return Capacity(cpu_cores=round(cores, _CORE_DIGITS), memory_mib=math.floor(memory_mib))


def _of_cluster(cluster: Cluster, host: Host) -> dict[str, Allowance]:
    record = cluster.clusters.get(host.cluster_id)
    return record.allowances if record is not None else {}


def given_of_disk(cluster: Cluster, host: Host) -> dict[str, int]:
    """Return ``{datastore: MiB that its VMs were given there}``, as scheduling counts it."""
    given: dict[str, int] = {}
    for vm in map(cluster.vms.__getitem__, cluster.vms_on.get(host.host_id, ())):
        if host.host_id in cluster.claims(vm):
            for name, mib in rooms_of(vm.spec).items():
                given[name] = given.get(name, 0) + mib
    return given


def breach(inventory: Inventory, amount: float) -> str:
    """Return what one VM that takes so much breaks of the rules for one VM, ``at most 16``; empty for nothing."""
    if amount < inventory.min_unit:
        return f"at least {inventory.min_unit:.10g}"
    if amount > inventory.max_unit:
        return f"at most {inventory.max_unit:.10g}"
    if inventory.step_size > 0:
        steps = amount / inventory.step_size
        if abs(steps - round(steps)) > _STEP_TOLERANCE:
            return f"a multiple of {inventory.step_size:.10g}"
    return ""
