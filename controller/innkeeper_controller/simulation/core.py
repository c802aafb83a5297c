"""The scheduler's core as a simulation drives it: a fleet of made-up hosts, and the placer that live use has.

Lifetimes never come in here: what a policy learns of them it learns when a VM ends.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from innkeeper_controller.inventory import Inventory
from innkeeper_controller.scheduling.fleet import Fleet
from innkeeper_controller.scheduling.match_making import Placer
from innkeeper_controller.scheduling.model import Demand, HostView, NoPlacement, Placement
from innkeeper_controller.scheduling.rules import BUILT_IN, CUSTOM
from innkeeper_controller.scheduling.scores import POLICIES, SCORES
from innkeeper_controller.simulation.host_shapes import HostShape, capacities
from innkeeper_controller.simulation.placing import Move
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

    def __init__(self, shapes: Sequence[HostShape], policy: str, weights: Mapping[str, float] = _NO_WEIGHTS) -> None:
        """Make the fleet.

        Args:
            shapes: The hosts.
            policy: One of ``policy_names``.
            weights: ``{score: weight}`` for ``custom``.
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
        self._placed: dict[VmId, tuple[HostId, Demand]] = {}

    def place(self, demand: Demand, *, now_s: float) -> Placement | NoPlacement:  # noqa: ARG002 - see ``Placing``
        """Choose a host, and take the room there."""
        decision = self._placer.place(demand)
        if isinstance(decision, Placement):
            self._placed[demand.vm_id] = decision.host_id, demand
        return decision

    def end(self, vm_id: VmId, *, now_s: float) -> None:  # noqa: ARG002 - see ``Placing``
        """Give back what the VM took."""
        self._placer.end(*self._placed.pop(vm_id))

    def moves(self, now_s: float) -> Sequence[Move]:  # noqa: ARG002 - see ``Placing``
        """Return nothing: no policy moves VMs."""
        return ()
