"""Frees hosts: the least filled one is emptied where all of its VMs go to others in use, then the next."""

import numpy as np

from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.columns.fleet import IntArray
from innkeeper_controller.scheduling.moves.balance_plans import Work, largest_first, usable_rows
from innkeeper_controller.scheduling.moves.tenants import is_bound


def measure(search: Search) -> float:
    """Return which part of the hosts that take VMs has any."""
    usable = usable_rows(search)
    return float((search.fleet.number("vms")[usable] > 0).mean()) if len(usable) else 0.0


def improve(work: Work) -> None:
    """Free one host after the other."""
    fleet = work.search.fleet
    usable = usable_rows(work.search)
    used = usable[fleet.number("vms")[usable] > 0]
    filled = np.round(fleet.number("cpu_part")[used] + fleet.number("memory_part")[used], 9)
    received: set[int] = set()
    freed: set[int] = set()
    gain = 1.0 / len(usable) if len(usable) else 0.0
    for row in used[np.lexsort((fleet.number("host_id")[used], filled))].tolist():
        targets = used[~np.isin(used, list(freed))] if freed else used
        if row not in received and _free(work, row, targets, gain):
            freed.add(row)
            received.update(fleet.row_of[move.target_id] for move in work.moves)


def _free(work: Work, row: int, targets: IntArray, gain: float) -> bool:
    """Empty one host, or leave it as it is."""
    fleet = work.search.fleet
    count = int(fleet.number("vms").item(row))
    if count > min(work.moves_left, work.left_of(row)):
        return False
    loads = [load for load in work.loads(row) if not is_bound(load)]
    if len(loads) < count:
        return False
    capacity = work.limits.max_per_host
    coming: dict[int, int] = {}
    for load in largest_first(work.search, row, loads):
        open_to = targets
        if capacity:
            open_to = np.array(
                [each for each in targets.tolist() if work.left_of(each) > coming.get(each, 0)], dtype=np.int64
            )
        best = work.trial.move(load, work.demand_of(load.vm_id), row, open_to)
        if best is None:
            work.give_up()
            return False
        coming[best.row] = coming.get(best.row, 0) + 1
    name = fleet.views[row].name  # type: ignore[union-attr]  # the row has a host
    work.keep(f"{name} has only {len(loads)} VM{'s' * (len(loads) != 1)} and is free without", gain)
    return True
