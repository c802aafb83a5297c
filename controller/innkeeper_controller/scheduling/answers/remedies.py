"""What would have to change for a VM to fit: on the nearest host, in its template, or by the end of others.

What is said here was tried: a smaller VM was asked of the host again, and ends were played through on its columns.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

import msgspec
import numpy as np

from innkeeper_controller.scheduling.answers.asking import Asked
from innkeeper_controller.scheduling.columns.fleet import BoolArray, Fleet, IntArray
from innkeeper_controller.scheduling.columns.hosts import Rows, one_host
from innkeeper_controller.scheduling.model import Demand, Load, Obstacle
from innkeeper_controller.scheduling.room import CPU_TOLERANCE_CORES
from innkeeper_plugins.vocabulary import Capacity, HostId, Value, VmId

#: Gives what the VMs on a host take of it.
LoadsOn: TypeAlias = Callable[[HostId], Iterable[Load]]

#: Clauses that a smaller VM may meet.
_SIZES: Final = frozenset({"memory", "cpu"})
#: Clauses that the end of others may meet.
_CAPACITY: Final = _SIZES | {"disk"}
#: Clauses that no end of a VM changes anything of, beside those that read only what hosts are.
_FIXED: Final = frozenset({"limits", "exclusion"})
#: Hosts that are tried.
_TRIES: Final = 8
#: VMs that are named at most.
MAX_ENDS: Final = 8
_PER_CORE: Final = 100
_EXACT: Final = 1e-9


class Ends(Value):
    """Whose end would help, or in words that nobody's would; empty where others are not in the way."""

    words: str = ""
    vm_ids: tuple[VmId, ...] = ()


def remedy_words(host_name: str, obstacles: Sequence[Obstacle]) -> str:
    """Return the smallest change of a host that would let the VM in; empty where one obstacle has none."""
    if not all(each.remedy for each in obstacles):
        return ""
    return f"{host_name} would take it {joined(each.remedy for each in obstacles)}."


def joined(remedies: Iterable[str]) -> str:
    """Return several remedies as one: ``with 1 GiB more memory and 2 more cores and after `inn host enable h3` ``."""
    steps = list(dict.fromkeys(remedies))
    more = " and ".join(step.removeprefix("with ") for step in steps if step.startswith("with "))
    return " and ".join(
        [*([f"with {more}"] if more else []), *(each for each in steps if not each.startswith("with "))]
    )


def smaller_words(asked: Asked, nearest: IntArray) -> str:
    """Return the smallest change of the VM's size that would make it fit somewhere; empty where none would."""
    found = smaller(asked, nearest)
    if found is None:
        return ""
    capacity, host_name = found
    wants, changes = asked.demand.capacity, []
    if capacity.memory_mib != wants.memory_mib:
        changes.append(f"MEMORY = {capacity.memory_mib} instead of {wants.memory_mib}")
    if capacity.cpu_cores != wants.cpu_cores:
        changes.append(f"CPU = {capacity.cpu_cores:g} instead of {wants.cpu_cores:g}")
    return f"{' and '.join(changes)} in its template would do on {host_name}."


def smaller(asked: Asked, nearest: IntArray) -> tuple[Capacity, str] | None:
    """Return the largest size that fits where nothing but size is in the way, and the name of the host."""
    demand, fleet = asked.demand, asked.search.fleet
    for index in _nearest_of(asked.only(_SIZES), nearest):
        row = asked.at.item(index)
        capacity = Capacity(
            cpu_cores=_most_cores(demand, fleet.number("cpu_free").item(row)),
            memory_mib=int(min(demand.capacity.memory_mib, fleet.number("memory_free").item(row) // 1)),
        )
        is_something = capacity.cpu_cores > 0 and capacity.memory_mib > 0
        if is_something and fits(msgspec.structs.replace(demand, capacity=capacity), asked, row):
            return capacity, one_host(fleet, row).view.name
    return None


def _most_cores(demand: Demand, free: float) -> float:
    needed = demand.capacity.cpu_cores
    if free >= needed - CPU_TOLERANCE_CORES:
        return needed
    return (free + CPU_TOLERANCE_CORES) * _PER_CORE // 1 / _PER_CORE


def ends_of(asked: Asked, nearest: IntArray, loads_on: LoadsOn, priority_of: Callable[[VmId], int]) -> Ends:
    """Return the fewest VMs on one host whose end would let the VM in there."""
    fleet, demand = asked.search.fleet, asked.demand
    could = _large_enough(asked)
    for index in _nearest_of(asked.only(_CAPACITY) & could, nearest):
        row = asked.at.item(index)
        view = one_host(fleet, row).view
        chosen = _fewest(_missing(demand, fleet, row), list(loads_on(view.host_id)), priority_of)
        if chosen and _would_fit(asked, row, view.host_id, chosen):
            vm_ids = tuple(sorted(load.vm_id for load in chosen))
            return Ends(words=f"It would fit on {view.name} if {_ended(vm_ids)}.", vm_ids=vm_ids)
    if _others_matter(asked) and not (could & ~_is_fixed(asked)).any():
        return Ends(words="No VM's end would make it fit anywhere.")
    return Ends()


def _ended(vm_ids: Sequence[VmId]) -> str:
    names = [f"VM {each}" for each in vm_ids]
    if len(names) == 1:
        return f"{names[0]} ended"
    return f"{', '.join(names[:-1])} and {names[-1]} ended"


def _nearest_of(mask: BoolArray, nearest: IntArray) -> list[int]:
    found: list[int] = nearest[mask[nearest]][:_TRIES].tolist()
    return found


def _large_enough(asked: Asked) -> BoolArray:
    """Return the hosts that would have the cores and the memory if they were empty."""
    hosts, wants = Rows(asked.search.fleet, asked.at), asked.demand.capacity
    return (hosts.number("cpu_total") >= wants.cpu_cores - CPU_TOLERANCE_CORES) & (
        hosts.number("memory_total") >= wants.memory_mib
    )


def _is_fixed(asked: Asked) -> BoolArray:
    """Return the hosts that something keeps the VM from that no VM's end changes."""
    mask = np.zeros(len(asked.at), dtype=np.bool_)
    for clause, fails in asked.failing:
        if clause.reads is not None or clause.name in _FIXED:
            mask |= fails
    return mask


def _others_matter(asked: Asked) -> bool:
    """Say whether what other VMs take, or where they are, keeps the VM from any host."""
    return any(clause.reads is None and clause.name not in _FIXED for clause, _ in asked.failing)


def _missing(demand: Demand, fleet: Fleet, row: int) -> dict[str, float]:
    """Return ``{resource: how much more has to be free}``."""
    wants = {
        "cpu": (demand.capacity.cpu_cores - CPU_TOLERANCE_CORES, fleet.number("cpu_free").item(row)),
        "memory": (demand.ordinary_memory_mib, fleet.number("memory_free").item(row)),
    }
    wants |= {f"disk:{name}": (mib, fleet.number(f"disk:{name}").item(row)) for name, mib in demand.datastores.items()}
    return {name: needed - free for name, (needed, free) in wants.items() if not free >= needed}


def _given_back(load: Load, missing: Mapping[str, float]) -> dict[str, float]:
    """Return what the end of a VM brings of that."""
    brings = {"cpu": load.capacity.cpu_cores, "memory": float(load.ordinary_memory_mib)}
    brings |= {f"disk:{name}": float(mib) for name, mib in load.datastores.items()}
    return {name: brings.get(name, 0.0) for name in missing}


def _fewest(missing: dict[str, float], loads: list[Load], priority_of: Callable[[VmId], int]) -> list[Load]:
    """Return few VMs that give back what is missing, none of which could stay; empty where more than some would do."""
    ranked = sorted(loads, key=lambda load: (priority_of(load.vm_id), _size(load), load.vm_id))
    brings = {load.vm_id: _given_back(load, missing) for load in ranked}
    chosen: list[Load] = []
    left = dict(missing)
    while not _covers(left, {}):
        best = max(
            (load for load in ranked if load not in chosen),
            key=lambda load: sum(min(brings[load.vm_id][name], max(0.0, left[name])) / missing[name] for name in left),
            default=None,
        )
        if best is None or len(chosen) == MAX_ENDS:
            return []
        chosen.append(best)
        left = {name: amount - brings[best.vm_id][name] for name, amount in left.items()}
    for place in range(len(chosen)):
        others = _sum(brings[load.vm_id] for load in chosen[:place] + chosen[place + 1 :])
        rest = {name: amount - others.get(name, 0.0) for name, amount in missing.items()}
        chosen[place] = next(
            load
            for load in ranked
            if (load is chosen[place] or load not in chosen) and _covers(rest, brings[load.vm_id])
        )
    return _needed(missing, chosen, brings)


def _needed(missing: Mapping[str, float], chosen: list[Load], brings: Mapping[VmId, dict[str, float]]) -> list[Load]:
    """Return those of the chosen that cannot stay."""
    for load in list(chosen):
        others = [other for other in chosen if other is not load]
        if _covers(missing, _sum(brings[other.vm_id] for other in others)):
            chosen = others
    return chosen


def _covers(missing: Mapping[str, float], brings: Mapping[str, float]) -> bool:
    return all(brings.get(name, 0.0) >= amount - _EXACT for name, amount in missing.items())


def _sum(each: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for brings in each:
        for name, amount in brings.items():
            total[name] = total.get(name, 0.0) + amount
    return total


def _size(load: Load) -> float:
    return load.capacity.memory_mib + load.capacity.cpu_cores * _MIB_A_CORE


#: What a core weighs against memory where VMs are compared by size.
_MIB_A_CORE: Final = 2048


def _would_fit(asked: Asked, row: int, host_id: HostId, loads: Sequence[Load]) -> bool:
    """Try whether the VM fits once others have ended."""
    with _without(asked.search.fleet, host_id, loads):
        return fits(asked.demand, asked, row)


@contextmanager
def _without(fleet: Fleet, host_id: HostId, loads: Sequence[Load]) -> Iterator[None]:
    for load in loads:
        fleet.give_back(host_id, load)
    try:
        yield
    finally:
        for load in reversed(loads):
            fleet.take(host_id, load)


def fits(demand: Demand, asked: Asked, row: int) -> bool:
    """Say whether a VM fits on one host."""
    fleet = asked.search.fleet
    host = Rows(fleet, np.array([row]))
    return all(clause.holds(demand, host).item(0) for clause in asked.search.clauses if clause.concerns(demand, fleet))
