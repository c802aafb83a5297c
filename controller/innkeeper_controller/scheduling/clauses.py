"""What has to hold for a VM to fit on a host: each clause two small functions, one that asks and one that tells.

Adding a clause: its functions in a module beside this one, and its row in ``CLAUSES``.
What holds is asked of many hosts at once; numbers are compared so that nonsense from a host (NaN, negative) never
lets a VM in.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias

from innkeeper_controller.scheduling import affinity, facts, own_wishes, room
from innkeeper_controller.scheduling.columns.fleet import BoolArray, Fleet
from innkeeper_controller.scheduling.columns.hosts import OneHost, Rows
from innkeeper_controller.scheduling.model import Demand, Obstacle
from innkeeper_controller.scheduling.nodes import devices

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


#: What hosts are comes first, then what is left on them; the slow ones last.
CLAUSES: tuple[Clause, ...] = (
    Clause(name="host state", holds=facts.usable, words=facts.why_not_usable, reads=_nothing),
    Clause(
        name="ban",
        holds=facts.not_banned,
        words=facts.why_banned,
        reads=_nothing,
        concerns=lambda _, fleet: fleet.has_bans,
        is_binding=False,
    ),
    Clause(
        name="cluster",
        holds=facts.in_clusters,
        words=facts.why_not_in_clusters,
        reads=lambda demand: tuple(demand.clusters or ()),
        concerns=lambda demand, _: demand.clusters is not None,
    ),
    Clause(
        name="architecture",
        holds=facts.has_arch,
        words=facts.why_not_arch,
        reads=lambda demand: demand.arch,
        concerns=lambda demand, _: bool(demand.arch),
    ),
    Clause(
        name="cpu flags",
        holds=facts.has_cpu_flags,
        words=facts.why_not_cpu_flags,
        reads=lambda demand: demand.cpu_flags,
        concerns=lambda demand, _: bool(demand.cpu_flags),
    ),
    Clause(
        name="hypervisor",
        holds=facts.has_hypervisor,
        words=facts.why_not_hypervisor,
        reads=lambda demand: demand.hypervisor,
    ),
    Clause(
        name="transfer driver",
        holds=facts.has_transfer_drivers,
        words=facts.why_not_transfer_drivers,
        reads=lambda demand: demand.transfer_drivers,
        concerns=lambda demand, _: bool(demand.transfer_drivers),
    ),
    Clause(
        name="bridge",
        holds=facts.has_bridges,
        words=facts.why_not_bridges,
        reads=lambda demand: demand.bridges,
        concerns=lambda demand, _: bool(demand.bridges),
    ),
    Clause(
        name="datastore",
        holds=facts.has_datastores,
        words=facts.why_not_datastores,
        reads=lambda demand: tuple(demand.datastores),
        concerns=lambda demand, _: bool(demand.datastores),
    ),
    Clause(
        name="requirements",
        holds=own_wishes.static_requirements,
        words=own_wishes.why_not_static_requirements,
        reads=lambda demand: own_wishes.half(demand, is_static=True),
        concerns=lambda demand, _: own_wishes.half(demand, is_static=True) is not None,
        is_binding=False,
    ),
    Clause(name="limits", holds=room.within_limits, words=room.why_not_within_limits, concerns=room.have_limits),
    Clause(
        name="memory",
        holds=room.memory,
        words=room.why_not_memory,
        concerns=lambda demand, _: not demand.has_pages,
        grows=True,
    ),
    Clause(name="cpu", holds=room.cpu, words=room.why_not_cpu, grows=True),
    Clause(
        name="disk",
        holds=room.disk,
        words=room.why_not_disk,
        concerns=lambda demand, _: bool(demand.datastores),
        grows=True,
    ),
    Clause(
        name="requirements",
        holds=own_wishes.moving_requirements,
        words=own_wishes.why_not_moving_requirements,
        concerns=lambda demand, _: own_wishes.half(demand, is_static=False) is not None,
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
        holds=own_wishes.not_excluded,
        words=own_wishes.why_excluded,
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
