"""Makes sense of what hosts say of themselves, once, where it comes in: nonsense becomes nothing, and is told.

Nothing is guessed: a number that cannot be is taken for 0, which gets the host no VMs, or is left out.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from innkeeper_hostagent.protocol.messages import Heartbeat
from innkeeper_plugins.vocabulary import Advertisement, Capacity, DatastoreFacts, NumaNode, Observation, PciDevice

_replace = msgspec.structs.replace

#: More than any machine has, and than any will have soon.
MAX_CORES: Final = 65_536
MAX_MEMORY_MIB: Final = 2**30
MAX_DATASTORE_MIB: Final = 2**40
#: Longer than any guest has run.
_MAX_CPU_TIME_S: Final = 1e12

#: ``{what it is about: what the host says of it, "that it has -4 cores"}``
Nonsense = dict[str, str]
#: What is told of at once, at most.
_MAX_TOLD: Final = 3


def sane(told: Advertisement) -> tuple[Advertisement, Nonsense]:
    """Return the advertisement without what cannot be, and what that was.

    Returns:
        The advertisement, the same object where all of it makes sense; and ``{part: what the host says of it}``.
    """
    nonsense = dict(_nonsense(told))
    twice = _repeats(each.name for each in told.datastores) or _repeats(each.address for each in told.pci)
    if not nonsense and not twice:
        return told, nonsense
    capacity = Capacity(
        cpu_cores=0.0 if "cores" in nonsense else told.capacity.cpu_cores,
        memory_mib=0 if "memory" in nonsense else told.capacity.memory_mib,
    )
    # Of two with one name the first counts.
    places: dict[str, DatastoreFacts] = {}
    for each in told.datastores:
        if f"datastore {each.name}" not in nonsense:
            places.setdefault(each.name, each)
    devices: dict[str, PciDevice] = {}
    for device in told.pci:
        devices.setdefault(device.address, device)
    return (
        _replace(
            told,
            capacity=capacity,
            datastores=tuple(places.values()),
            facts={name: value for name, value in told.facts.items() if f"fact {name}" not in nonsense},
            numa=() if "nodes" in nonsense else told.numa,
            pci=tuple(devices.values()),
        ),
        nonsense,
    )


def _nonsense(told: Advertisement) -> Iterator[tuple[str, str]]:
    cores, memory = told.capacity.cpu_cores, told.capacity.memory_mib
    if not 0 <= cores <= MAX_CORES:
        yield "cores", f"that it has {cores:.10g} cores"
    if not 0 <= memory <= MAX_MEMORY_MIB:
        yield "memory", f"that it has {memory} MiB of memory"
    for each in told.datastores:
        if not _is_place(each):
            text = f"that datastore {each.name} has {each.free_mib} MiB free of {each.total_mib} MiB"
            yield f"datastore {each.name}", text
    for name, value in told.facts.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"fact {name}", f"that {name} is {value}"
    processors = (cpu for node in told.numa for core in node.cores for cpu in core)
    if not all(map(_is_node, told.numa)) or _repeats(node.node_id for node in told.numa) or _repeats(processors):
        yield "nodes", "that it has NUMA nodes which cannot be"


def _repeats(names: Iterable[object]) -> bool:
    listed = list(names)
    return len(set(listed)) < len(listed)


def _is_place(facts: DatastoreFacts) -> bool:
    return 0 <= facts.free_mib <= MAX_DATASTORE_MIB and 0 <= facts.total_mib <= MAX_DATASTORE_MIB


def _is_node(node: NumaNode) -> bool:
    pages = all(size_kib > 0 and count >= 0 for size_kib, count in node.hugepages.items())
    processors = all(cpu >= 0 for core in node.cores for cpu in core)
    return node.node_id >= 0 and 0 <= node.memory_mib <= MAX_MEMORY_MIB and pages and processors


def kinds_of(nonsense: Nonsense) -> set[str]:
    """Return what it is about in general: ``cores``, ``memory``, ``datastore``, ``fact`` or ``nodes``."""
    return {part.partition(" ")[0] for part in nonsense}


def sentence(host_name: str, nonsense: Nonsense) -> str:
    """Return what the host says and what comes of it, for its operator."""
    shown = list(nonsense.values())[:_MAX_TOLD]
    more = f" (and {len(nonsense) - _MAX_TOLD} more like it)" if len(nonsense) > _MAX_TOLD else ""
    keeps_out = not kinds_of(nonsense).isdisjoint({"cores", "memory"})
    follows = "it gets no VMs" if keeps_out else "that is left out"
    return f"Host {host_name} says {' and '.join(shown)}{more}; {follows} until it says something sensible."


def sane_load(told: Heartbeat) -> Heartbeat:
    """Return a heartbeat without numbers that cannot be; the same object where all can."""
    cores, memory = told.cpu_used_cores, told.memory_used_mib
    if 0 <= cores <= MAX_CORES and 0 <= memory <= MAX_MEMORY_MIB and all(map(_is_place, told.datastores)):
        return told
    return _replace(
        told,
        cpu_used_cores=cores if 0 <= cores <= MAX_CORES else 0.0,
        memory_used_mib=memory if 0 <= memory <= MAX_MEMORY_MIB else 0,
        datastores=tuple(filter(_is_place, told.datastores)),
    )


def sane_guest(told: Observation) -> Observation:
    """Return what is said of a guest without numbers that cannot be; the same object where all can."""
    cpu_time_s, memory = told.cpu_time_s, told.memory_mib
    if 0 <= cpu_time_s <= _MAX_CPU_TIME_S and 0 <= memory <= MAX_MEMORY_MIB:
        return told
    return _replace(
        told,
        cpu_time_s=cpu_time_s if 0 <= cpu_time_s <= _MAX_CPU_TIME_S else 0.0,
        memory_mib=memory if 0 <= memory <= MAX_MEMORY_MIB else 0,
    )
