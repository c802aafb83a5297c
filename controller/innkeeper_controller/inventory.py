"""How much of what a host has may be given away: OpenStack Placement's vocabulary, as values and arithmetic.

Capacity that can be given away is ``(total - reserved) * allocation_ratio``; one VM takes at least ``min_unit``, at
most ``max_unit`` and a multiple of ``step_size`` of it.
Source of the words: OpenStack Placement, resource provider inventories.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from innkeeper_plugins.vocabulary import Advertisement, Value

#: Combinations of rules that are kept; hosts of a cluster have the same.
_REMEMBERED: Final = 1024


class Allowance(Value):
    """What an operator decided of one resource of a host or of all hosts of a cluster; None where nothing was."""

    #: Kept back for the host itself, in the resource's unit.
    reserved: float | None = None
    allocation_ratio: float | None = None
    min_unit: float | None = None
    max_unit: float | None = None
    step_size: float | None = None


class Inventory(Value):
    """One resource of one host: cores, MiB of memory, or MiB of a datastore."""

    total: float
    reserved: float = 0.0
    allocation_ratio: float = 1.0
    #: Of one VM; 0 and infinity for no limit.
    min_unit: float = 0.0
    max_unit: float = math.inf
    #: 0 for any amount.
    step_size: float = 0.0

    @property
    def capacity(self) -> float:
        """What may be given away in all; never negative, 0 where the host says nonsense."""
        capacity = (self.total - self.reserved) * self.allocation_ratio
        return capacity if math.isfinite(capacity) and capacity > 0 else 0.0


#: The resources that allowances are about; ``disk`` is each datastore of the host.
RESOURCES = ("cpu", "memory", "disk")


def inventory(total: float, *allowances: Allowance | None) -> Inventory:
    """Return the inventory of a resource.

    Args:
        total: What the host advertises.
        allowances: The most particular first: the host's, its cluster's; the first that decides a field counts.
    """
    rules = _rules(*allowances)
    # Spelt out, for hosts are many.
    return Inventory(
        total=total,
        reserved=rules.reserved,
        allocation_ratio=rules.allocation_ratio,
        min_unit=rules.min_unit,
        max_unit=rules.max_unit,
        step_size=rules.step_size,
    )


@lru_cache(maxsize=_REMEMBERED)
def _rules(*allowances: Allowance | None) -> Inventory:
    """Return an inventory of nothing under these rules."""
    decided: dict[str, float] = {}
    for allowance in reversed([each for each in allowances if each is not None]):
        for name in allowance.__struct_fields__:
            value = getattr(allowance, name)
            if value is not None:
                decided[name] = value
    return Inventory(total=0.0, **decided)


class Inventories(Value):
    """All that may be given away of one host."""

    #: In cores.
    cpu: Inventory
    #: In MiB.
    memory: Inventory
    #: ``{datastore: in MiB}``
    disk: dict[str, Inventory] = {}


def inventories(told: Advertisement, own: Mapping[str, Allowance], shared: Mapping[str, Allowance]) -> Inventories:
    """Return what may be given away of a host.

    Args:
        told: What it says of itself.
        own: ``{resource: what is decided for it}``
        shared: ``{resource: what is decided for its cluster}``, where nothing is for it.
    """

    def one(resource: str, total: float) -> Inventory:
        if resource not in own and resource not in shared:
            return Inventory(total=total)
        return inventory(total, own.get(resource), shared.get(resource))

    return Inventories(
        cpu=one("cpu", told.capacity.cpu_cores),
        memory=one("memory", told.capacity.memory_mib),
        disk={each.name: one("disk", each.total_mib) for each in told.datastores},
    )
