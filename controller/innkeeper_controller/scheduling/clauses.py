"""What has to hold for a VM to fit on a host: each clause one small function that answers None or the obstacle.

Adding a clause: its function here, and its row in ``CLAUSES``.
Numbers are compared so that nonsense from a host (NaN, negative) never lets a VM in.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from innkeeper_controller.expressions import obstacles
from innkeeper_controller.scheduling.model import Demand, HostView, Obstacle

#: Sums of fractions of cores are this exact, no more.
CPU_TOLERANCE_CORES = 1e-6
_QUARTER_GIB = 256
Check: TypeAlias = Callable[[Demand, HostView], Obstacle | None]


def host_state(demand: Demand, host: HostView) -> Obstacle | None:  # noqa: ARG001 - all clauses are called the same
    """The host takes new VMs."""
    return None if host.usable else Obstacle(clause="host state", message=f"the host is {host.unusable_reason}")


def exclusion(demand: Demand, host: HostView) -> Obstacle | None:
    """The VM is not kept away from the host."""
    if host.host_id not in demand.excluded:
        return None
    return Obstacle(clause="exclusion", message="the VM is kept away from this host for now")


def clusters(demand: Demand, host: HostView) -> Obstacle | None:
    """The host is in a cluster that has all networks and datastores of the VM."""
    if demand.clusters is None or host.cluster_id in demand.clusters:
        return None
    where = f"only cluster {_listed(demand.clusters.values())} has" if demand.clusters else "no cluster has"
    text = (
        f"the host is in cluster {host.cluster or host.cluster_id}, but {where} all networks and datastores of the VM"
    )
    return Obstacle(clause="cluster", message=text)


def cpu(demand: Demand, host: HostView) -> Obstacle | None:
    """The host has the cores left."""
    needed, free = demand.capacity.cpu_cores, host.total.cpu_cores - host.used.cpu_cores
    if needed <= free + CPU_TOLERANCE_CORES:
        return None
    wanted = "1 core is" if needed == 1 else f"{needed:g} cores are"
    message = f"{wanted} needed, {free:.6g} of {host.total.cpu_cores:g} are free"
    return Obstacle(clause="cpu", message=message, shortfall=_shortfall(needed, free))


def memory(demand: Demand, host: HostView) -> Obstacle | None:
    """The host has the memory left."""
    needed, free = demand.capacity.memory_mib, host.total.memory_mib - host.used.memory_mib
    if needed <= free:
        return None
    message = (
        f"{size_text(needed)} of memory are needed, {size_text(free)} of {size_text(host.total.memory_mib)} are free"
    )
    return Obstacle(clause="memory", message=message, shortfall=_shortfall(needed, free))


def hypervisor(demand: Demand, host: HostView) -> Obstacle | None:
    """The host has the VM's hypervisor driver, or any where the VM does not care."""
    if demand.hypervisor in host.hypervisors or (not demand.hypervisor and host.hypervisors):
        return None
    wanted = f"hypervisor driver {demand.hypervisor}" if demand.hypervisor else "hypervisor driver at all"
    return Obstacle(clause="hypervisor", message=f"the host has no {wanted}{_instead(host.hypervisors)}")


def transfer_drivers(demand: Demand, host: HostView) -> Obstacle | None:
    """The host has the transfer drivers of the VM's disks."""
    missing = demand.transfer_drivers - host.transfer_drivers
    if not missing:
        return None
    text = f"the host has no transfer driver {_listed(missing)}{_instead(host.transfer_drivers)}"
    return Obstacle(clause="transfer driver", message=text)


def datastores(demand: Demand, host: HostView) -> Obstacle | None:
    """The host has the VM's datastores with the room that its disks take."""
    missing = [name for name in demand.datastores if name not in host.datastores]
    if missing:
        text = f"the host has no datastore {_listed(missing)}{_instead(host.datastores)}"
        return Obstacle(clause="datastore", message=text)
    for name, needed in demand.datastores.items():
        free = host.datastores[name]
        if not needed <= free:
            text = f"{size_text(needed)} are needed in datastore {name}, {size_text(free)} are free"
            return Obstacle(clause="datastore", message=text, shortfall=_shortfall(needed, free))
    return None


def bridges(demand: Demand, host: HostView) -> Obstacle | None:
    """The host has the bridges of the VM's networks."""
    missing = demand.bridges - host.bridges
    if not missing:
        return None
    return Obstacle(clause="bridge", message=f"the host has no bridge {_listed(missing)}{_instead(host.bridges)}")


def requirements(demand: Demand, host: HostView) -> Obstacle | None:
    """The host meets the VM's own requirements."""
    wanted = demand.requirements
    if wanted is None or wanted.holds(host.attributes):
        return None
    found = obstacles(wanted.tree, host.attributes)
    return Obstacle(clause="requirements", message="; ".join(each.message for each in found), shortfall=len(found))


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause, and which VMs it concerns."""

    check: Check
    concerns: Callable[[Demand], bool] = lambda _: True
    #: False for a wish, which who chooses a host by hand may pass over.
    is_binding: bool = True


#: In the order that they are asked: those that most often fail first.
CLAUSES: tuple[Clause, ...] = (
    Clause(host_state),
    Clause(clusters, lambda demand: demand.clusters is not None),
    Clause(memory),
    Clause(cpu),
    Clause(hypervisor),
    Clause(datastores, lambda demand: bool(demand.datastores)),
    Clause(transfer_drivers, lambda demand: bool(demand.transfer_drivers)),
    Clause(bridges, lambda demand: bool(demand.bridges)),
    Clause(requirements, lambda demand: demand.requirements is not None, is_binding=False),
    Clause(exclusion, lambda demand: bool(demand.excluded), is_binding=False),
)
#: What nobody may break.
BINDING: tuple[Clause, ...] = tuple(clause for clause in CLAUSES if clause.is_binding)


def checks_for(demand: Demand) -> tuple[Check, ...]:
    """Return the clauses that concern the VM."""
    return tuple(clause.check for clause in CLAUSES if clause.concerns(demand))


def size_text(mib: int) -> str:
    """Return an amount of MiB as people read it, without losing any of it."""
    return f"{mib / 1024:g} GiB" if abs(mib) >= 1024 and mib % _QUARTER_GIB == 0 else f"{mib} MiB"  # noqa: PLR2004 - MiB of a GiB


def _shortfall(needed: float, free: float) -> float:
    """Return which part of what is needed is missing."""
    return (needed - max(0, free)) / needed if needed > 0 else 0.0


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _instead(names: Iterable[str]) -> str:
    return f"; it has {listed}" if (listed := _listed(names)) else ""
