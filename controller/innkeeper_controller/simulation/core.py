"""The scheduler's core as a simulation drives it: a fleet of made-up hosts, and the placer that live use has.

Lifetimes never come in here: what a policy learns of them it learns when a VM ends.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from innkeeper_controller.inventory import Inventory
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.columns.fleet import Fleet, IntArray
from innkeeper_controller.scheduling.model import Demand, HostView, NoPlacement, Placement
from innkeeper_controller.scheduling.moves.making_room import Room, RoomMaker, best_among, rows_in_use
from innkeeper_controller.scheduling.rules import BUILT_IN, CUSTOM
from innkeeper_controller.scheduling.scores import POLICIES, SCORES
from innkeeper_controller.simulation.host_shapes import HostShape, capacities
from innkeeper_controller.simulation.placing import Move
from innkeeper_controller.simulation.thrift import Thrift
from innkeeper_plugins.vocabulary import HostId, VmId

#: A host without any takes no VM.
_HYPERVISORS: Final = frozenset({"simulated"})
_NO_WEIGHTS: Final[Mapping[str, float]] = {}


def policy_names() -> tuple[str, ...]:
    """Return the policies that there are; ``custom`` is the one that needs weights."""
    return (*POLICIES, CUSTOM)


def score_names() -> tuple[str, ...]:
    """Return the scores that ``custom`` gives weights to."""
    return tuple(SCORES)


class Core:
    """Places on empty hosts of these shapes, which are numbered from 1 in their order."""

    def __init__(
        self,
        shapes: Sequence[HostShape],
        policy: str,
        weights: Mapping[str, float] = _NO_WEIGHTS,
        *,
        moves_per_vm: float = 0.0,
    ) -> None:
        """Make the fleet.

        Args:
            shapes: The hosts.
            policy: One of ``policy_names``.
            weights: ``{score: weight}`` for ``custom``.
            moves_per_vm: How many VMs may be moved for each that was placed, on average, so that fewer hosts are used.
        """
        fleet = Fleet()
        for number, capacity in enumerate(capacities(shapes), 1):
            cpu, memory = Inventory(total=capacity.cpu_cores), Inventory(total=capacity.memory_mib)
            view = HostView(
                host_id=HostId(number),
                name=f"host-{number}",
                cpu=cpu,
                memory=memory,
                hypervisors=_HYPERVISORS,
            )
            fleet.put(view)
        self._placer = Placer(fleet, BUILT_IN.policy(policy, weights))
        #: The VMs on each host, in the order in which they came.
        self._on: dict[HostId, dict[VmId, Demand]] = {}
        self._host_of: dict[VmId, HostId] = {}
        self._thrift = Thrift(capacities(shapes), moves_per_vm) if moves_per_vm > 0 else None
        self._room_maker = RoomMaker(
            self._placer.search,
            lambda host_id: self._on.get(host_id, {}).values(),
            lambda vm_id: self._on[self._host_of[vm_id]][vm_id],
        )
        self._moved: list[Move] = []

    def place(self, demand: Demand, *, now_s: float) -> Placement | NoPlacement:  # noqa: ARG002 - see ``Placing``
        """Choose a host, and take the room there."""
        decision = self._placer.place(demand) if self._thrift is None else self._place(demand, self._thrift)
        if isinstance(decision, Placement):
            self._note(demand, decision.host_id)
        return decision

    def end(self, vm_id: VmId, *, now_s: float) -> None:  # noqa: ARG002 - see ``Placing``
        """Give back what the VM took."""
        host_id = self._host_of.pop(vm_id)
        demand = self._on[host_id].pop(vm_id)
        self._placer.end(host_id, demand)
        if self._thrift is not None:
            self._thrift.went(demand.capacity)

    def moves(self, now_s: float) -> Sequence[Move]:  # noqa: ARG002 - see ``Placing``
        """Return nothing: VMs are moved only to make room for one that arrives."""
        return ()

    def made_room(self) -> Sequence[Move]:
        """Return the moves that were made before the last VM was placed."""
        moved, self._moved = self._moved, []
        return moved

    def _place(self, demand: Demand, thrift: Thrift) -> Placement | NoPlacement:
        """Choose a host, one that is empty only where no room can be made on another."""
        thrift.came(demand.capacity)
        found = self._placer.choose(demand)
        if found is None:
            thrift.went(demand.capacity)
            return self._placer.place(demand)
        if not self._on.get(found.host_id):
            in_use = rows_in_use(self._placer.fleet)
            room = self._room(demand, in_use, thrift.limit(len(in_use)))
            if room is not None:
                return self._make_room(demand, room, thrift)
            thrift.opened(len(in_use) + 1)
        thrift.placed()
        self._placer.fleet.take(found.host_id, demand)
        return found

    def _room(self, demand: Demand, in_use: IntArray, limit: int) -> Room | None:
        if not limit or best_among(self._placer.search, demand, in_use) is not None:
            return None
        return self._room_maker.find(demand, limit)

    def _make_room(self, demand: Demand, room: Room, thrift: Thrift) -> Placement:
        fleet = self._placer.fleet
        for move in room.moves:
            moved = self._on[move.source_id].pop(move.vm_id)
            fleet.give_back(move.source_id, moved)
            fleet.take(move.target_id, moved)
            self._note(moved, move.target_id)
            self._moved.append(Move(vm_id=move.vm_id, host_id=move.target_id))
        thrift.moved(len(room.moves))
        thrift.placed()
        fleet.take(room.host_id, demand)
        return Placement(vm_id=demand.vm_id, host_id=room.host_id, rank=0.0, score=0.0)

    def _note(self, demand: Demand, host_id: HostId) -> None:
        self._host_of[demand.vm_id] = host_id
        self._on.setdefault(host_id, {})[demand.vm_id] = demand
