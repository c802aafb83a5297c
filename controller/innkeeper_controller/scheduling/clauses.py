"""What has to hold for a VM to fit on a host: each clause two small functions, one that asks and one that tells.

Adding a clause: its functions here or in a module of its own, and its row in ``CLAUSES``.
What holds is asked of many hosts at once; numbers are compared so that nonsense from a host (NaN, negative) never
lets a VM in.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np

from innkeeper_controller.expressions import Attributes, CompiledRequirement, obstacles
from innkeeper_controller.inventory import Inventory
from innkeeper_controller.scheduling import affinity
from innkeeper_controller.scheduling.columns.fleet import BoolArray, Fleet
from innkeeper_controller.scheduling.columns.hosts import OneHost, Rows
from innkeeper_controller.scheduling.model import Demand, HostView, Obstacle
from innkeeper_controller.scheduling.nodes import devices
from innkeeper_controller.scheduling.words import (
    cores_text,
    left,
    listed,
    missing_cores,
    missing_mib,
    number_text,
    shortfall,
    size_text,
)

#: Sums of fractions of cores are this exact, no more.
CPU_TOLERANCE_CORES: Final = 1e-6
#: Steps are at least so large.
_FINEST_STEP: Final = 1e-6

#: Requirements that are longer are not repeated where what would help is told.
_LONGEST_REQUIREMENT: Final = 80

Holds: TypeAlias = Callable[[Demand, Rows], BoolArray]
Words: TypeAlias = Callable[[Demand, OneHost], Obstacle]


def _always(_demand: Demand, _fleet: Fleet) -> bool:
    return True


def _nothing(_demand: Demand) -> Hashable:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause."""

    #: What people see: ``memory``.
    name: str
    #: Says of each host whether it holds.
    holds: Holds
    #: Says why it does not hold on a host where it does not.
    words: Words
    #: Which VMs it concerns, given all that is on the hosts.
    concerns: Callable[[Demand, Fleet], bool] = _always
    #: For a clause that reads only what hosts are, never what is on them: all of the demand that it reads.
    reads: Callable[[Demand], Hashable] | None = None
    #: True where more in every column that it reads never makes it fail: then whole blocks of hosts are passed over.
    grows: bool = False
    #: True for one that is too slow to be asked of many: it is asked of one host after the other, the best first.
    is_slow: bool = False
    #: False for a wish, which who chooses a host by hand may pass over.
    is_binding: bool = True


# --- what hosts are


def usable(_demand: Demand, hosts: Rows) -> BoolArray:
    """The host takes new VMs."""
    return hosts.number("usable") > 0


def why_not_usable(_demand: Demand, host: OneHost) -> Obstacle:
    """Tell the host's state."""
    name, reason = host.view.name, host.view.unusable_reason
    return Obstacle(
        clause="host state", message=f"the host is {reason}", remedy=_STATE_REMEDIES.get(reason, "").format(name)
    )


_STATE_REMEDIES: Final = {
    "disabled": "after `inn host enable {0}`",
    "draining": "after `inn host enable {0}`",
    "offline": "after `inn host enable {0}`",
    "lost": "once its agent is back (systemctl start inn-agent)",
    "joining": "once its agent has joined",
}


def not_banned(_demand: Demand, hosts: Rows) -> BoolArray:
    """VMs have started on the host lately, or its ban is over."""
    return hosts.each("not banned", lambda view: not view.ban)


def why_banned(_demand: Demand, host: OneHost) -> Obstacle:
    """Tell until when, and what failed."""
    return Obstacle(clause="ban", message=host.view.ban, remedy=f"after `inn host enable {host.view.name}`")


def in_clusters(demand: Demand, hosts: Rows) -> BoolArray:
    """The host is in a cluster that has all networks and datastores of the VM."""
    mask = np.zeros(len(hosts.at), dtype=np.bool_)
    for number in demand.clusters or ():
        mask |= hosts.number("cluster_id") == number
    return mask


def why_not_in_clusters(demand: Demand, host: OneHost) -> Obstacle:
    """Tell the host's cluster and the others."""
    where = f"only cluster {listed(demand.clusters.values())} has" if demand.clusters else "no cluster has"
    mine = host.view.cluster or host.view.cluster_id
    text = f"the host is in cluster {mine}, but {where} all networks and datastores of the VM"
    return Obstacle(clause="cluster", message=text, remedy="if its networks and datastores were in the host's cluster")


def has_arch(demand: Demand, hosts: Rows) -> BoolArray:
    """The host's processors are of the VM's architecture, or it does not say."""
    arch = demand.arch
    return hosts.each(("arch", arch), lambda view: view.arch in ("", arch))


def why_not_arch(demand: Demand, host: OneHost) -> Obstacle:
    """Tell both."""
    return Obstacle(clause="architecture", message=f"the VM is for {demand.arch}, the host is {host.view.arch}")


def has_cpu_flags(demand: Demand, hosts: Rows) -> BoolArray:
    """The host's processors have the flags that the VM asks for."""
    return _all_flags(hosts, "cpu_flags", demand.cpu_flags)


def why_not_cpu_flags(demand: Demand, host: OneHost) -> Obstacle:
    """Tell which are missing."""
    missing = demand.cpu_flags - host.view.cpu_flags
    return Obstacle(clause="cpu flags", message=f"the host's processors have no {listed(missing)}")


def has_hypervisor(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the VM's hypervisor driver, or any where the VM does not care."""
    name = demand.hypervisor
    return hosts.each(
        ("hypervisor", name), lambda view: name in view.hypervisors or bool(not name and view.hypervisors)
    )


def why_not_hypervisor(demand: Demand, host: OneHost) -> Obstacle:
    """Tell which it has."""
    wanted = f"hypervisor driver {demand.hypervisor}" if demand.hypervisor else "hypervisor driver at all"
    return Obstacle(clause="hypervisor", message=f"the host has no {wanted}{_instead(host.view.hypervisors)}")


def has_transfer_drivers(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the transfer drivers of the VM's disks."""
    return _all_flags(hosts, "transfer_drivers", demand.transfer_drivers)


def why_not_transfer_drivers(demand: Demand, host: OneHost) -> Obstacle:
    """Tell which it has."""
    has = host.view.transfer_drivers
    text = f"the host has no transfer driver {listed(demand.transfer_drivers - has)}{_instead(has)}"
    return Obstacle(clause="transfer driver", message=text)


def has_bridges(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the bridges of the VM's networks."""
    return _all_flags(hosts, "bridges", demand.bridges)


def why_not_bridges(demand: Demand, host: OneHost) -> Obstacle:
    """Tell which it has."""
    has = host.view.bridges
    return Obstacle(clause="bridge", message=f"the host has no bridge {listed(demand.bridges - has)}{_instead(has)}")


def has_datastores(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the VM's datastores."""
    return _all_flags(hosts, "datastores", demand.datastores)


def why_not_datastores(demand: Demand, host: OneHost) -> Obstacle:
    """Tell which it has."""
    missing = [name for name in demand.datastores if name not in host.view.datastores]
    text = f"the host has no datastore {listed(missing)}{_instead(host.view.datastores)}"
    return Obstacle(clause="datastore", message=text)


def _all_flags(hosts: Rows, kind: str, names: Iterable[str]) -> BoolArray:
    mask = np.ones(len(hosts.at), dtype=np.bool_)
    for name in names:
        mask &= hosts.each((kind, name), _having(kind, name))
    return mask


def _having(kind: str, name: str) -> Callable[[HostView], bool]:
    return lambda view: name in getattr(view, kind)


# --- what is left on them


def cpu(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the cores left."""
    return hosts.number("cpu_free") >= demand.capacity.cpu_cores - CPU_TOLERANCE_CORES


def why_not_cpu(demand: Demand, host: OneHost) -> Obstacle:
    """Tell what is needed and what is free."""
    needed, free = demand.capacity.cpu_cores, host.number("cpu_free")
    wanted = "1 core is" if needed == 1 else f"{needed:g} cores are"
    message = f"{wanted} needed, {left(free, _of_what(host.view.cpu, 'cores'), number_text, ' cores')}"
    more = missing_cores(needed - CPU_TOLERANCE_CORES, free)
    return Obstacle(
        clause="cpu",
        message=message,
        shortfall=shortfall(needed, free),
        amount=more,
        lack=cores_text(more),
        remedy=f"with {more:.6g} more {'core' if more == 1 else 'cores'}",
    )


def memory(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the memory left."""
    return hosts.number("memory_free") >= demand.capacity.memory_mib


def why_not_memory(demand: Demand, host: OneHost) -> Obstacle:
    """Tell what is needed and what is free."""
    needed, free = demand.capacity.memory_mib, host.number("memory_free")
    message = f"{size_text(needed)} of memory are needed, {left(free, _of_what(host.view.memory, 'MiB'), size_text)}"
    more = missing_mib(needed, free)
    lack = size_text(more)
    return Obstacle(
        clause="memory",
        message=message,
        shortfall=shortfall(needed, free),
        amount=more,
        lack=f"{lack} of memory",
        remedy=f"with {lack} more memory",
    )


def disk(demand: Demand, hosts: Rows) -> BoolArray:
    """The host's datastores have the room that the VM's disks take."""
    mask: BoolArray | None = None
    for name, needed in demand.datastores.items():
        enough = hosts.number(f"disk:{name}") >= needed
        mask = enough if mask is None else mask & enough
    return mask if mask is not None else np.ones(len(hosts.at), dtype=np.bool_)


def why_not_disk(demand: Demand, host: OneHost) -> Obstacle:
    """Tell what is needed and what is free in each one that is too small."""
    free = {name: host.number(f"disk:{name}") for name in demand.datastores if name in host.view.datastores}
    small = {name: demand.datastores[name] for name in free if not free[name] >= demand.datastores[name]}
    if not small:
        return Obstacle(clause="disk", message="the host has no room for its disks in any datastore of that name")
    missing = {name: missing_mib(needed, free[name]) for name, needed in small.items()}
    return Obstacle(
        clause="disk",
        message="; ".join(
            f"{size_text(needed)} are needed in datastore {name}, {left(free[name], '', size_text)}"
            for name, needed in small.items()
        ),
        shortfall=max(shortfall(needed, free[name]) for name, needed in small.items()),
        amount=sum(missing.values()),
        lack=" and ".join(f"{size_text(mib)} in datastore {name}" for name, mib in missing.items()),
        remedy="with " + " and ".join(f"{size_text(mib)} more in datastore {name}" for name, mib in missing.items()),
    )


def within_limits(demand: Demand, hosts: Rows) -> BoolArray:
    """The VM is neither too small nor too large for one VM of the host, nor between its steps."""
    mask = np.ones(len(hosts.at), dtype=np.bool_)
    for name, amount in (("cpu", demand.capacity.cpu_cores), ("memory", demand.capacity.memory_mib)):
        steps = amount / np.maximum(hosts.number(f"{name}_step"), _FINEST_STEP)
        is_even = (hosts.number(f"{name}_step") == 0) | (np.abs(steps - np.round(steps)) < CPU_TOLERANCE_CORES)
        mask &= (hosts.number(f"{name}_min") <= amount) & (amount <= hosts.number(f"{name}_max")) & is_even
    return mask


def why_not_within_limits(demand: Demand, host: OneHost) -> Obstacle:
    """Tell each limit that does not hold."""
    view, wants = host.view, demand.capacity
    found = []
    for limits, amount, unit in ((view.cpu, wants.cpu_cores, "cores"), (view.memory, wants.memory_mib, "MiB")):
        if not _is_within(limits, amount):
            step = f" in steps of {limits.step_size:g}" if limits.step_size else ""
            span = f"{limits.min_unit:g} to {limits.max_unit:.10g}" if limits.max_unit < np.inf else "any number of"
            span = f"at least {limits.min_unit:g}" if limits.max_unit == np.inf and limits.min_unit else span
            found.append(f"a VM here takes {span} {unit}{step}, this one {amount:.10g}")
    return Obstacle(clause="limits", message="; ".join(found))


def _is_within(limits: Inventory, amount: float) -> bool:
    steps = amount / max(limits.step_size, _FINEST_STEP) if limits.step_size else 0.0
    return limits.min_unit <= amount <= limits.max_unit and abs(steps - round(steps)) < CPU_TOLERANCE_CORES


def _have_limits(_demand: Demand, fleet: Fleet) -> bool:
    return fleet.has_limits


# --- what its owner wishes


def static_requirements(demand: Demand, hosts: Rows) -> BoolArray:
    """The host meets those of the VM's own requirements that are about what it is."""
    return hosts.meeting(_part(demand, is_static=True))


def why_not_static_requirements(demand: Demand, host: OneHost) -> Obstacle:
    """Tell each part that does not hold."""
    # What it is: the rest of its attributes is asked for by nothing here, and takes long to bring together.
    return _requirement_words(_part(demand, is_static=True), host.view.attributes)


def moving_requirements(demand: Demand, hosts: Rows) -> BoolArray:
    """The host meets those of the VM's own requirements that are about what is on it."""
    return hosts.meeting(_part(demand, is_static=False))


def why_not_moving_requirements(demand: Demand, host: OneHost) -> Obstacle:
    """Tell each part that does not hold."""
    return _requirement_words(_part(demand, is_static=False), host.attributes)


def _requirement_words(part: CompiledRequirement, attributes: Attributes) -> Obstacle:
    found = obstacles(part.tree, attributes)
    asked = " & ".join(each.clause for each in found)
    return Obstacle(
        clause="requirements",
        message="; ".join(each.message for each in found),
        remedy=f"if it did not require {asked}" if len(asked) <= _LONGEST_REQUIREMENT else "",
    )


def _half(demand: Demand, *, is_static: bool) -> CompiledRequirement | None:
    if demand.requirements is None:
        return None
    static, moving = demand.requirements.halves()
    return static if is_static else moving


def _part(demand: Demand, *, is_static: bool) -> CompiledRequirement:
    half = _half(demand, is_static=is_static)
    assert half is not None, "asked only where there are some of the kind"
    return half


def not_excluded(demand: Demand, hosts: Rows) -> BoolArray:
    """The VM is not kept away from the host."""
    rows = [row for host_id in demand.excluded if (row := hosts.fleet.row_of.get(host_id)) is not None]
    return ~hosts.among([np.array(rows, dtype=np.int64)])


def why_excluded(_demand: Demand, _host: OneHost) -> Obstacle:
    """Tell that it is."""
    return Obstacle(clause="exclusion", message="the VM is kept away from this host for now")


#: What hosts are comes first, then what is left on them; the slow ones last.
CLAUSES: tuple[Clause, ...] = (
    Clause(name="host state", holds=usable, words=why_not_usable, reads=_nothing),
    Clause(
        name="ban",
        holds=not_banned,
        words=why_banned,
        reads=_nothing,
        concerns=lambda _, fleet: fleet.has_bans,
        is_binding=False,
    ),
    Clause(
        name="cluster",
        holds=in_clusters,
        words=why_not_in_clusters,
        reads=lambda demand: tuple(demand.clusters or ()),
        concerns=lambda demand, _: demand.clusters is not None,
    ),
    Clause(
        name="architecture",
        holds=has_arch,
        words=why_not_arch,
        reads=lambda demand: demand.arch,
        concerns=lambda demand, _: bool(demand.arch),
    ),
    Clause(
        name="cpu flags",
        holds=has_cpu_flags,
        words=why_not_cpu_flags,
        reads=lambda demand: demand.cpu_flags,
        concerns=lambda demand, _: bool(demand.cpu_flags),
    ),
    Clause(name="hypervisor", holds=has_hypervisor, words=why_not_hypervisor, reads=lambda demand: demand.hypervisor),
    Clause(
        name="transfer driver",
        holds=has_transfer_drivers,
        words=why_not_transfer_drivers,
        reads=lambda demand: demand.transfer_drivers,
        concerns=lambda demand, _: bool(demand.transfer_drivers),
    ),
    Clause(
        name="bridge",
        holds=has_bridges,
        words=why_not_bridges,
        reads=lambda demand: demand.bridges,
        concerns=lambda demand, _: bool(demand.bridges),
    ),
    Clause(
        name="datastore",
        holds=has_datastores,
        words=why_not_datastores,
        reads=lambda demand: tuple(demand.datastores),
        concerns=lambda demand, _: bool(demand.datastores),
    ),
    Clause(
        name="requirements",
        holds=static_requirements,
        words=why_not_static_requirements,
        reads=lambda demand: _half(demand, is_static=True),
        concerns=lambda demand, _: _half(demand, is_static=True) is not None,
        is_binding=False,
    ),
    Clause(name="limits", holds=within_limits, words=why_not_within_limits, concerns=_have_limits),
    Clause(
        name="memory",
        holds=memory,
        words=why_not_memory,
        concerns=lambda demand, _: not demand.has_pages,
        grows=True,
    ),
    Clause(name="cpu", holds=cpu, words=why_not_cpu, grows=True),
    Clause(
        name="disk",
        holds=disk,
        words=why_not_disk,
        concerns=lambda demand, _: bool(demand.datastores),
        grows=True,
    ),
    Clause(
        name="requirements",
        holds=moving_requirements,
        words=why_not_moving_requirements,
        concerns=lambda demand, _: _half(demand, is_static=False) is not None,
        is_binding=False,
    ),
    *(
        Clause(
            name=name,
            holds=affinity.holding(relation),
            words=affinity.telling(relation),
            concerns=affinity.concerning(relation),
            is_binding=False,
        )
        for name, relation in affinity.CLAUSES
    ),
    Clause(
        name="exclusion",
        holds=not_excluded,
        words=why_excluded,
        concerns=lambda demand, _: bool(demand.excluded),
        is_binding=False,
    ),
    Clause(
        name="numa",
        holds=devices.has_nodes,
        words=devices.why_not_nodes,
        concerns=lambda demand, _: demand.numa is not None,
        is_slow=True,
    ),
    Clause(
        name="pci",
        holds=devices.has_devices,
        words=devices.why_not_devices,
        concerns=lambda demand, _: bool(demand.pci),
        is_slow=True,
    ),
)


#: What nobody may break.
BINDING: tuple[Clause, ...] = tuple(clause for clause in CLAUSES if clause.is_binding)


def _of_what(inventory: Inventory, unit: str) -> str:
    return _capacity_words(inventory.total, inventory.reserved, inventory.allocation_ratio, unit)


@lru_cache(maxsize=1024)
def _capacity_words(total: float, reserved: float, ratio: float, unit: str) -> str:
    """Say what there is in all, and how it comes about: ``64 GiB``, ``186 cores (64 in all, 2 reserved, ratio 3)``."""

    def amount(value: float) -> str:
        return size_text(value) if unit == "MiB" else f"{value:g}"

    capacity = Inventory(total=total, reserved=reserved, allocation_ratio=ratio).capacity
    if reserved == 0 and ratio == 1:
        return amount(capacity)
    kept = f", {amount(reserved)} reserved" if reserved else ""
    times = f", ratio {ratio:g}" if ratio != 1 else ""
    return f"{amount(capacity)} ({amount(total)} in all{kept}{times})"


def _instead(names: Iterable[str]) -> str:
    return f"; it has {those}" if (those := listed(names)) else ""
