"""Hosts in blocks of alike ones, so that most of them need not be looked at: an index over a fleet.

Hosts are put in order by how good they are for an ordinary VM; a block is a run of that order. For each block the
greatest and the least value of a column is known, from which follows whether any of its hosts can fit, and how good
the best of them can be at most. Hosts that changed since are kept apart and looked at each time; when they have
become many, the order is made anew.
"""

from collections.abc import Hashable
from typing import Final

import numpy as np

from innkeeper_controller.scheduling.fleet import BoolArray, Fleet, FloatArray, IntArray
from innkeeper_controller.scheduling.hosts import all_rows
from innkeeper_controller.scheduling.model import Demand
from innkeeper_controller.scheduling.scores import Policy, total_score
from innkeeper_plugins.vocabulary import Capacity, VmId

#: Hosts of a block.
BLOCK: Final = 256
#: Hosts that may have changed before the order is made anew.
MAX_CHANGED: Final = 512
_ORDINARY: Final = Demand(vm_id=VmId(-1), capacity=Capacity())


class BlockEnd:
    """All blocks as clauses and scores see hosts: in each column the greatest, or the least, of each block."""

    __slots__ = ("_blocks", "_known", "_reduce", "at", "fleet")

    def __init__(self, blocks: "Blocks", fleet: Fleet, reduce: np.ufunc) -> None:
        """Reduce columns of a fleet by its blocks."""
        self._blocks = blocks
        self._reduce = reduce
        self._known: dict[str, FloatArray] = {}
        self.fleet = fleet
        self.at = blocks.starts

    def number(self, name: str) -> FloatArray:
        """Return the end of a column in each block."""
        known = self._known.get(name)
        if known is None:
            ordered = self.fleet.number(name)[self._blocks.order]
            known = self._known[name] = self._reduce.reduceat(ordered, self._blocks.starts)
        return known


class Blocks:
    """The order of a fleet's hosts, and its blocks, as they were at one moment."""

    def __init__(self, fleet: Fleet, policy: Policy) -> None:
        """Put the hosts in order."""
        self._fleet = fleet
        self.seen = fleet.changes_seen
        self.count = fleet.count
        ids = fleet.number("host_id")
        self.order: IntArray = np.lexsort((ids, -total_score(policy, _ORDINARY, all_rows(fleet))))
        self.starts: IntArray = np.arange(0, fleet.count, BLOCK)
        self.lowest_id: FloatArray = np.minimum.reduceat(ids[self.order], self.starts)
        self.highest = BlockEnd(self, fleet, np.maximum)
        self.lowest = BlockEnd(self, fleet, np.minimum)
        self._changed: dict[int, None] = {}
        self._any: dict[Hashable, BoolArray] = {}

    def changed(self) -> IntArray | None:
        """Return the rows that changed since; None where the order has to be made anew."""
        fleet = self._fleet
        if fleet.count != self.count:
            return None
        newer = fleet.changed_since(self.seen)
        if newer is None:
            return None
        self.seen = fleet.changes_seen
        self._changed.update(dict.fromkeys(newer))
        if len(self._changed) > MAX_CHANGED:
            return None
        return np.fromiter(self._changed, dtype=np.int64, count=len(self._changed))

    def any(self, key: Hashable, mask: BoolArray) -> BoolArray:
        """Return which blocks have a host of which the mask, known under the key, is true."""
        known = self._any.get(key)
        if known is None:
            known = self._any[key] = np.logical_or.reduceat(mask[self.order], self.starts)
        return known

    def rows_of(self, blocks: IntArray) -> IntArray:
        """Return the rows of some blocks."""
        if len(blocks) == 1:
            start = self.starts.item(blocks.item(0))
            return self.order[start : start + BLOCK]
        return np.concatenate([self.order[start : start + BLOCK] for start in self.starts[blocks].tolist()])
