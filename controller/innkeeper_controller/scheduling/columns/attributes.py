"""A host in the words of requirement and rank expressions: OpenNebula's names and OpenNebula's units.

CPU is 100 for each core and memory is in KB (of 1024 bytes) here, and nowhere else.
"""

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

from innkeeper_controller.expressions import Actual
from innkeeper_controller.records import Host
from innkeeper_plugins.vocabulary import DriverKind

CPU_OF_CORE = 100.0
KB_OF_MIB = 1024.0

#: ``{attribute: (column of the fleet, what to multiply it with)}``: what changes as VMs come and go.
NUMBERS: dict[str, tuple[str, float]] = {
    "TOTAL_CPU": ("cpu_total", CPU_OF_CORE),
    "MAX_CPU": ("cpu_total", CPU_OF_CORE),
    "USED_CPU": ("cpu_used", CPU_OF_CORE),
    "CPU_USAGE": ("cpu_used", CPU_OF_CORE),
    "FREE_CPU": ("cpu_free", CPU_OF_CORE),
    "TOTAL_MEMORY": ("memory_total", KB_OF_MIB),
    "MAX_MEM": ("memory_total", KB_OF_MIB),
    "USED_MEMORY": ("memory_used", KB_OF_MIB),
    "MEM_USAGE": ("memory_used", KB_OF_MIB),
    "FREE_MEMORY": ("memory_free", KB_OF_MIB),
    "FREE_MEM": ("memory_free", KB_OF_MIB),
    "RUNNING_VMS": ("vms", 1.0),
}


class Numbered(Protocol):
    """Something that has the columns of a fleet."""

    def number(self, name: str) -> npt.NDArray[np.float64]:
        """Return a column."""
        ...


def static_attributes(host: Host, *, cluster: str = "default") -> dict[str, Actual]:
    """Return what expressions may ask of a host and what VMs do not change.

    These are its facts, over them its labels, over them what we know ourselves.

    Args:
        host: The host.
        cluster: Name of the cluster that the host is in.
    """
    told = host.advertisement
    found: dict[str, Actual] = {name.upper(): value for name, value in told.facts.items() if _is_sane(value)}
    found.update((name.upper(), value) for name, value in host.labels.items())
    hypervisors = (driver.name for driver in told.drivers if driver.kind is DriverKind.HYPERVISOR)
    found.update(
        ID=host.host_id,
        NAME=host.name,
        HOSTNAME=host.name,
        CLUSTER=cluster,
        CLUSTER_ID=host.cluster_id,
        HYPERVISOR=tuple(dict.fromkeys((*hypervisors, *_texts(found.get("HYPERVISOR"))))),
        DATASTORES=tuple(each.name for each in told.datastores),
        BRIDGES=told.bridges,
    )
    for name in (*NUMBERS, "CURRENT_VMS"):
        found.pop(name, None)
    return found


def numbers(columns: Numbered, row: int) -> dict[str, Actual]:
    """Return what one row of the columns says of the attributes that change."""
    return {name: columns.number(column).item(row) * factor for name, (column, factor) in NUMBERS.items()}


def number_column(columns: Numbered, name: str) -> npt.NDArray[np.float64] | None:
    """Return the attribute of all rows; None where it is none of those that change."""
    known = NUMBERS.get(name)
    return columns.number(known[0]) * known[1] if known else None


def _is_sane(value: str | float) -> bool:
    return isinstance(value, str | int) or math.isfinite(value)


def _texts(fact: Actual | None) -> tuple[str, ...]:
    return (fact,) if isinstance(fact, str) and fact else ()
