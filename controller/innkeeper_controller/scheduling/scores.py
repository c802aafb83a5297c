"""How good a host would be for a VM that fits on it: each score one small named function from 0 to 1.

Adding a score: its function here, and its weight in a policy of ``POLICIES``.
"""

from collections.abc import Callable
from typing import TypeAlias

from innkeeper_controller.scheduling.model import Demand, HostView

Score: TypeAlias = Callable[[Demand, HostView], float]


def packing(demand: Demand, host: HostView) -> float:
    """Prefer the host that the VM fills most: what it will have given away of its cores and memory, on average."""
    need, used, total = demand.capacity, host.used, host.total
    cpu = (used.cpu_cores + need.cpu_cores) / (total.cpu_cores or 1)
    memory = (used.memory_mib + need.memory_mib) / (total.memory_mib or 1)
    return min(1.0, (cpu + memory) / 2)


def striping(demand: Demand, host: HostView) -> float:
    """Prefer the host that is left emptiest, so that VMs spread."""
    return 1.0 - packing(demand, host)


def image_locality(demand: Demand, host: HostView) -> float:
    """Prefer the host that has the VM's images already: the part of their bytes that need not be fetched."""
    here = total = 0
    for digest, size_bytes in demand.images.items():
        total += size_bytes
        here += size_bytes if digest in host.images else 0
    return here / total if total else 1.0


#: ``{policy: ((score, weight), ...)}``; the VM's own rank comes before all of them.
POLICIES: dict[str, tuple[tuple[Score, float], ...]] = {
    "packing": ((packing, 1.0), (image_locality, 0.3)),
    "striping": ((striping, 1.0), (image_locality, 0.3)),
}


def total_score(policy: tuple[tuple[Score, float], ...], demand: Demand, host: HostView) -> float:
    """Return the weighted sum of a policy's scores."""
    total = 0.0
    for score, weight in policy:
        total += weight * score(demand, host)
    return total


def score_name(score: Score) -> str:
    """Return the name that people see: ``image locality``."""
    return score.__name__.replace("_", " ")
