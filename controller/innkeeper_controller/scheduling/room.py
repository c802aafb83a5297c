"""Clauses about what is left on hosts; numbers are compared so that nonsense (NaN, negative) never lets a VM in."""

from functools import lru_cache
from typing import Final

import numpy as np

from innkeeper_controller.inventory import Inventory
from innkeeper_controller.scheduling.columns.fleet import BoolArray, Fleet
from innkeeper_controller.scheduling.columns.hosts import OneHost, Rows
from innkeeper_controller.scheduling.model import Demand, Obstacle
from innkeeper_controller.scheduling.words import (
    cores_text,
    left,
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


def cpu(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the cores left."""
    return hosts.number("cpu_free") >= demand.capacity.cpu_cores - CPU_TOLERANCE_CORES


def why_not_cpu(demand: Demand, host: OneHost) -> Obstacle:
    """Tell what is needed and what is free."""
    return _too_few_cores(demand.capacity.cpu_cores, host.number("cpu_free"), _of_what(host.view.cpu, "cores"))


@lru_cache(maxsize=4096)
def _too_few_cores(needed: float, free: float, of_what: str) -> Obstacle:
    # Many hosts have the same left, since cores are given away in round numbers.
    wanted = "1 core is" if needed == 1 else f"{needed:g} cores are"
    message = f"{wanted} needed, {left(free, of_what, number_text, ' cores')}"
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
    message = f"{_needed_text(needed)} of memory are needed, {left(free, _of_what(host.view.memory, 'MiB'), size_text)}"
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


@lru_cache(maxsize=64)
def _needed_text(mib: float) -> str:
    return size_text(mib)


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
            found.append(f"a VM here takes {_limit_words(limits, amount, unit)}, this one takes {amount:.10g}")
    return Obstacle(clause="limits", message="; ".join(found))


def _limit_words(limits: Inventory, amount: float, unit: str) -> str:
    """Return the limit that an amount does not keep to."""
    if amount > limits.max_unit:
        return f"at most {limits.max_unit:.10g} {unit}"
    if amount < limits.min_unit:
        return f"at least {limits.min_unit:.10g} {unit}"
    return f"{unit} in steps of {limits.step_size:g}"


def _is_within(limits: Inventory, amount: float) -> bool:
    steps = amount / max(limits.step_size, _FINEST_STEP) if limits.step_size else 0.0
    return limits.min_unit <= amount <= limits.max_unit and abs(steps - round(steps)) < CPU_TOLERANCE_CORES


def have_limits(_demand: Demand, fleet: Fleet) -> bool:
    """Say whether any host limits what one VM takes."""
    return fleet.has_limits


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
