"""Why no host takes a VM beside those that it has to leave; these are neither counted nor told.

It chooses nothing.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np

from innkeeper_controller.scheduling.answers.verdicts import verdicts
from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.columns.fleet import BoolArray
from innkeeper_controller.scheduling.columns.hosts import Rows
from innkeeper_controller.scheduling.model import Demand, Verdicts

#: Hosts that are told beside those that are left.
_TOLD: Final = 1


def verdicts_elsewhere(demand: Demand, search: Search) -> Verdicts:
    """Return what every clause says of the hosts that are not ``excluded``; only the best of them is told."""
    found = verdicts(demand, search, limit=len(demand.excluded) + _TOLD)
    rows = [search.fleet.row_of[host_id] for host_id in demand.excluded if host_id in search.fleet.row_of]
    kept_out = _kept_out(demand, search, rows)
    counts = {name: count - kept_out.get(name, 0) for name, count in found.counts.items()}
    return msgspec.structs.replace(
        found,
        hosts=tuple(each for each in found.hosts if each.host_id not in demand.excluded)[:_TOLD],
        hosts_total=found.hosts_total - len(rows),
        counts={name: count for name, count in sorted(counts.items(), key=lambda item: -item[1]) if count},
    )


def _kept_out(demand: Demand, search: Search, rows: Iterable[int]) -> dict[str, int]:
    """Return how many of these hosts fail each clause; slow ones were not asked of hosts that are excluded."""
    hosts = Rows(search.fleet, np.array(list(rows), dtype=np.int64))
    masks: dict[str, BoolArray] = {}
    for clause in search.clauses:
        if not clause.is_slow and clause.concerns(demand, search.fleet):
            fails = ~clause.holds(demand, hosts)
            masks[clause.name] = masks[clause.name] | fails if clause.name in masks else fails
    return {name: int(np.count_nonzero(fails)) for name, fails in masks.items()}
