"""Match-making: puts each waiting VM on the best host that has everything it asks for.

VMs are taken in the order given, and what one takes the next ones no longer see.
A VM that fits nowhere holds up nobody.
The choice is the one that trying every host would make; identical VMs share the work.
"""

from collections.abc import Iterable

from innkeeper_controller.scheduling.alike import Alike, kind_of
from innkeeper_controller.scheduling.blocks import DEFAULT_SIZES, Sizes
from innkeeper_controller.scheduling.clauses import CLAUSES, Clause
from innkeeper_controller.scheduling.devices import granted
from innkeeper_controller.scheduling.fleet import Fleet
from innkeeper_controller.scheduling.hosts import one_host
from innkeeper_controller.scheduling.model import Decision, Demand, Load, NoPlacement, Placement
from innkeeper_controller.scheduling.scores import POLICIES, Policy
from innkeeper_controller.scheduling.search import Best, Search
from innkeeper_controller.scheduling.verdicts import counts_of
from innkeeper_plugins.vocabulary import HostId


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

    def choose(self, demand: Demand) -> Placement | None:
        """Return the best host for a VM, which takes nothing yet; None where it fits on none."""
        kind = kind_of(demand, self.fleet)
        best = self._alike.best(demand, kind) if kind is not None else self.search.best(demand)
        return _placement(demand, best) if best is not None else None

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
