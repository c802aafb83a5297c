"""How good a host would be for a VM that fits on it: each score one small named function from 0 to 1.

Adding a score: its function and its row in ``SCORES``, and its weight in a policy of ``POLICIES``.
A score uses only ``+ - * /``, comparisons, minimum and maximum, so that it says the same of a host whichever other
hosts it is asked together with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

import numpy as np

from innkeeper_controller.scheduling import affinity
from innkeeper_controller.scheduling.columns.fleet import Fleet, FloatArray
from innkeeper_controller.scheduling.columns.hosts import Rows
from innkeeper_controller.scheduling.model import Demand

Of: TypeAlias = Callable[[Demand, Rows], FloatArray]


class End(Enum):
    """Which end of the columns of several hosts a score is greatest at."""

    #: Greatest where every column that it reads is greatest.
    HIGHEST = "highest"
    #: Greatest where every column that it reads is least.
    LOWEST = "lowest"
    #: Neither is known: it is taken for 1.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One score."""

    #: What people see: ``image locality``.
    name: str
    of: Of
    #: What lets whole blocks of hosts be passed over; a wrong one would choose wrongly.
    greatest_at: End = End.UNKNOWN
    #: VMs that it tells hosts apart for, given all that is on the hosts; for others it is left out.
    concerns: Callable[[Demand, Fleet], bool] = lambda _demand, _fleet: True


def packing(demand: Demand, hosts: Rows) -> FloatArray:
    """Prefer the host that the VM fills most: what it will have given away of its cores and memory, on average."""
    need = demand.capacity
    more = need.cpu_cores * hosts.number("cpu_unit") + need.memory_mib * hosts.number("memory_unit")
    # One column of what both are filled, so that the best of a block of hosts is known well.
    return np.minimum(1.0, (hosts.number("filled") + more) * 0.5)


def memory_packing(demand: Demand, hosts: Rows) -> FloatArray:
    """Prefer the host whose memory the VM fills most.

    Memory comes in larger lumps than processors do, and cannot be shared out twice: small VMs gather beside large ones,
    and the large holes stay for those that need them.
    """
    need = demand.capacity.memory_mib
    return np.minimum(1.0, hosts.number("memory_part") + need * hosts.number("memory_unit"))


def striping(demand: Demand, hosts: Rows) -> FloatArray:
    """Prefer the host that is left emptiest, so that VMs spread."""
    return 1.0 - packing(demand, hosts)


def idleness(_demand: Demand, hosts: Rows) -> FloatArray:
    """Prefer the host whose processors were least busy when it was last heard."""
    return 1.0 - np.minimum(1.0, np.maximum(0.0, hosts.number("load")))


def fixed(_demand: Demand, hosts: Rows) -> FloatArray:
    """Prefer the host with the highest label ``priority``, as OpenNebula's policy of that name does."""
    return hosts.number("priority")


def image_locality(demand: Demand, hosts: Rows) -> FloatArray:
    """Prefer the host that has the VM's images already: the part of their bytes that need not be fetched."""
    here = np.zeros(len(hosts.at))
    total = 0
    for digest, size_bytes in demand.images.items():
        total += size_bytes
        here += size_bytes * hosts.having(digest)
    return here / total if total else here


def reliability(_demand: Demand, hosts: Rows) -> FloatArray:
    """Prefer the host on which VMs have started lately: 1 / (1 + failures in a row)."""
    return 1.0 / (1.0 + hosts.number("failures"))


SCORES: Final[dict[str, Score]] = {
    score.name: score
    for score in (
        Score(name="packing", of=packing, greatest_at=End.HIGHEST),
        Score(name="memory packing", of=memory_packing, greatest_at=End.HIGHEST),
        Score(name="striping", of=striping, greatest_at=End.LOWEST),
        Score(name="idleness", of=idleness, greatest_at=End.LOWEST),
        Score(name="fixed", of=fixed, greatest_at=End.HIGHEST),
        Score(name="image locality", of=image_locality, concerns=lambda demand, _: bool(demand.images)),
        Score(name="affinity", of=affinity.satisfied, concerns=lambda demand, _: affinity.has_wishes(demand)),
        Score(
            name="reliability",
            of=reliability,
            greatest_at=End.LOWEST,
            concerns=lambda _, fleet: fleet.has_failures,
        ),
    )
}

#: Scores with their weights; the VM's own rank comes before all of them.
Policy: TypeAlias = tuple[tuple[Score, float], ...]


def policy_of(**weights: float) -> Policy:
    """Return the policy of ``score_name=weight``, ``_`` for the blanks of names.

    Raises:
        KeyError: there is no such score.
    """
    return tuple((SCORES[name.replace("_", " ")], weight) for name, weight in weights.items() if weight)


#: What every policy has beside its own.
_USUAL: Final = {"image_locality": 0.3, "affinity": 1.0, "reliability": 0.5}
POLICIES: Final[dict[str, Policy]] = {
    "packing": policy_of(memory_packing=1.0, **_USUAL),
    "balanced": policy_of(packing=1.0, **_USUAL),
    "striping": policy_of(striping=1.0, **_USUAL),
    "load-aware": policy_of(idleness=1.0, striping=0.2, **_USUAL),
    "fixed": policy_of(fixed=10.0, packing=0.1, **_USUAL),
}


def total_score(policy: Policy, demand: Demand, hosts: Rows) -> FloatArray:
    """Return the weighted sum of a policy's scores for each host."""
    total: FloatArray | None = None
    for score, weight in policy:
        of = weight * score.of(demand, hosts)
        total = of if total is None else total + of
    return total if total is not None else np.zeros(len(hosts.at))


def concerned(policy: Policy, demand: Demand, fleet: Fleet) -> Policy:
    """Return those scores of a policy that tell the hosts of a fleet apart for a VM."""
    return tuple([(score, weight) for score, weight in policy if score.concerns(demand, fleet)])
