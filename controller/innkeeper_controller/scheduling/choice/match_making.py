"""Match-making: puts each waiting VM on the best host that has everything it asks for.

VMs are taken in the order given, and what one takes the next ones no longer see.
A VM that fits nowhere holds up nobody.
The choice is the one that trying every host would make; identical VMs share the work.
"""

from collections.abc import Iterable

import msgspec

from innkeeper_controller.scheduling.answers.verdicts import counts_of
from innkeeper_controller.scheduling.choice.alike import Alike, is_kept_away, kind_of
from innkeeper_controller.scheduling.choice.blocks import DEFAULT_SIZES, Sizes
from innkeeper_controller.scheduling.choice.search import Best, Search
from innkeeper_controller.scheduling.clauses import CLAUSES, Clause
from innkeeper_controller.scheduling.columns.fleet import Fleet
from innkeeper_controller.scheduling.columns.hosts import one_host
from innkeeper_controller.scheduling.model import Decision, Demand, Load, NoPlacement, Placement
from innkeeper_controller.scheduling.nodes.devices import granted
from innkeeper_controller.scheduling.scores import POLICIES, Policy
from innkeeper_plugins.vocabulary import HostId

_replace = msgspec.structs.replace


class Placer:
    """Places VMs on one fleet by one policy."""

    def __init__(
        self,
        fleet: Fleet,
        policy: Policy = POLICIES["packing"],
        clauses: tuple[Clause, ...] = CLAUSES,
        *,
        sizes: Sizes = DEFAULT_SIZES,
    ) -> None:
        """Place on this fleet, which may change in between.

        Args:
            fleet: The hosts.
            policy: What makes a host good.
            clauses: What has to hold.
            sizes: How the search cuts the fleet up.
        """
        self.fleet = fleet
        self.search = Search(fleet, policy, clauses, sizes)
        self._alike = Alike(self.search)
        #: What was asked last in vain, with what the fleet had been through by then.
        self._in_vain: tuple[Demand, tuple[int, int]] | None = None

    def choose(self, demand: Demand) -> Placement | None:
        """Return the best host for a VM, which takes nothing yet; None where it fits on none."""
        kind = kind_of(demand, self.fleet)
        best = self._alike.best(demand, kind) if kind is not None else self._best_alone(demand)
        return _placement(demand, best) if best is not None else None

    def _best_alone(self, demand: Demand) -> Best | None:
        """Return the best host of a VM that shares no work; where the last one found none, one like it finds none."""
        seen = (self.fleet.changes.seen, self.fleet.became.seen)
        if self._in_vain is not None and self._in_vain[1] == seen:
            before = self._in_vain[0]
            if _replace(demand, vm_id=before.vm_id) == before and not is_kept_away(demand, self.fleet):
                return None
        best = self.search.best(demand)
        if best is None and not is_kept_away(demand, self.fleet):
            self._in_vain = (demand, seen)
        return best

    def place(self, demand: Demand) -> Decision:
        """Choose the best host for a VM and let it take what it needs there."""
        found = self.choose(demand)
        if found is None:
            return NoPlacement(vm_id=demand.vm_id, counts=counts_of(demand, self.search))
        self.fleet.take(found.host_id, self._granted(demand, found.host_id))
        return found

    def _granted(self, demand: Demand, host_id: HostId) -> Demand:
        if demand.numa is None and not demand.pci:
            return demand
        return granted(demand, one_host(self.fleet, self.fleet.row_of[host_id]))

    def place_all(self, demands: Iterable[Demand]) -> list[Decision]:
        """Return one decision for each demand, in the same order."""
        return [self.place(demand) for demand in demands]

    def end(self, host_id: HostId, load: Load) -> None:
        """Let a VM give back what it took."""
        self.fleet.give_back(host_id, load)


def _placement(demand: Demand, best: Best) -> Placement:
    return Placement(vm_id=demand.vm_id, host_id=HostId(int(best.host_id)), rank=best.rank, score=best.score)
