"""How much of each host may be given away, as its operators decided: asked by scheduling, checks, views and documents.

It decides nothing itself: the words and the arithmetic are ``inventory``'s, what VMs were given is the cluster's.
"""

import math
from functools import lru_cache
from typing import Final

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.inventory import Allowance, Inventory, inventory
from innkeeper_controller.records import Host
from innkeeper_plugins.vocabulary import Capacity, Value

#: Sums of fractions of cores are this exact, no more.
_CORE_DIGITS: Final = 6
#: Combinations of rules that are kept.
_REMEMBERED: Final = 1024
#: A multiple of a step that is this close, in steps, is one.
_STEP_TOLERANCE: Final = 1e-6


class Inventories(Value):
    """All that may be given away of one host."""

    #: In cores.
    cpu: Inventory
    #: In MiB.
    memory: Inventory
    #: ``{datastore: in MiB}``
    disk: dict[str, Inventory] = {}

    @property
    def capacity(self) -> Capacity:
        """Cores and memory that may be given away in all; memory in whole MiB."""
        return _capacity(self.cpu, self.memory)


def inventories_of(cluster: Cluster, host: Host) -> Inventories:
    """Return what may be given away of the host: what is decided for it counts before what is for its cluster."""
    told = host.advertisement
    own, shared = host.allowances, _of_cluster(cluster, host)
    cpu, memory = _cores_and_memory(host, own, shared)
    return Inventories(
        cpu=cpu,
        memory=memory,
        disk={each.name: _one(each.total_mib, own, shared, "disk") for each in told.datastores},
    )


def capacity_of(cluster: Cluster, host: Host) -> Capacity:
    """Return the cores and the memory that may be given away of the host in all."""
    return _capacity(*_cores_and_memory(host, host.allowances, _of_cluster(cluster, host)))


def _of_cluster(cluster: Cluster, host: Host) -> dict[str, Allowance]:
    record = cluster.clusters.get(host.cluster_id)
    return record.allowances if record is not None else {}


def _cores_and_memory(
    host: Host, own: dict[str, Allowance], shared: dict[str, Allowance]
) -> tuple[Inventory, Inventory]:
    total = host.advertisement.capacity
    return _one(total.cpu_cores, own, shared, "cpu"), _one(total.memory_mib, own, shared, "memory")


def _one(total: float, own: dict[str, Allowance], shared: dict[str, Allowance], resource: str) -> Inventory:
    if resource not in own and resource not in shared:
        return Inventory(total=total)
    model = _rules(own.get(resource), shared.get(resource))
    # Spelt out, for hosts are many.
    return Inventory(
        total=total,
        reserved=model.reserved,
        allocation_ratio=model.allocation_ratio,
        min_unit=model.min_unit,
        max_unit=model.max_unit,
        step_size=model.step_size,
    )


@lru_cache(maxsize=_REMEMBERED)
def _rules(own: Allowance | None, shared: Allowance | None) -> Inventory:
    """Return an empty inventory under these rules."""
    return inventory(0.0, own, shared)


def _capacity(cpu: Inventory, memory: Inventory) -> Capacity:
    return Capacity(cpu_cores=round(cpu.capacity, _CORE_DIGITS), memory_mib=math.floor(memory.capacity))


def room(inventory: Inventory, free: float) -> float:
    """Return what is left to be given away of a resource that is measured: ``free`` of it is unused now."""
    return inventory.capacity - (inventory.total - free)


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
