"""Hosts in blocks of alike ones, so that most of them need not be looked at: an index over a fleet.

A block is a few hosts of about the same size that are used about the same. For each block the greatest and the least
value of each column is known, from which follows whether any of its hosts can fit, and how good the best can be.
A host that changes leaves its block and is hot: it is looked at each time. When many are hot, they are put in blocks
anew together with those that were hot before, the warm ones; when those have become many, all are.
"""

from collections.abc import Hashable
from typing import Final, NamedTuple

import numpy as np

from innkeeper_controller.scheduling.fleet import BoolArray, Fleet, FloatArray, IntArray
from innkeeper_controller.scheduling.hosts import Rows, Window
from innkeeper_controller.scheduling.model import Demand
from innkeeper_controller.scheduling.scores import Policy, total_score
from innkeeper_plugins.vocabulary import Capacity, VmId


class Sizes(NamedTuple):
    """How a fleet is cut into blocks; says nothing of what is chosen, only of how soon."""

    #: So many hosts are all looked at, rather than cut into blocks.
    few: int = 256
    #: Hosts of a block.
    block: int = 64
    #: Hosts that are looked at each time because they changed.
    hot: int = 256
    #: Hosts that may have been hot before all blocks are made anew, at least; an eighth of all where that is more.
    warm: int = 2048


DEFAULT_SIZES: Final = Sizes()

#: Neighbouring blocks are of about the same score; within so many of them hosts are told apart by what they are
#: short of.
_BLOCKS_OF_ONE_SCORE: Final = 8
#: Classes of size for each doubling.
_CLASSES: Final = 2
_LEAST: Final = 2.0**-20
_ORDINARY: Final = Demand(vm_id=VmId(-1), capacity=Capacity())


class BlockEnd:
    """All blocks as clauses and scores see hosts: in each column the greatest, or the least, of each block."""

    __slots__ = ("_ends", "at", "fleet")

    def __init__(self, fleet: Fleet, ends: FloatArray) -> None:
        """See one line of ``ends`` for each column of the fleet."""
        self.fleet = fleet
        self.at: IntArray = np.arange(ends.shape[1])
        self._ends = ends

    def number(self, name: str) -> FloatArray:
        """Return the end of a column in each block."""
        return self.fleet.table.column(name, self._ends)


class Blocks:
    """The hosts of a fleet: places in rows of blocks, then the hot ones, then room for a block to be looked at.

    Places: ``[0, main)`` are blocks of hosts that have not changed since all were put in order; from ``_warm_at`` on
    those that changed and were put in order since; from ``_hot_at`` on the hot ones, in no order.
    """

    def __init__(self, fleet: Fleet, policy: Policy, sizes: Sizes) -> None:
        """Put all hosts in order."""
        self._fleet = fleet
        self._policy = policy
        self._sizes = sizes
        self._seen = fleet.changes.seen
        rows = fleet.count
        blocks = -(-rows // sizes.block)
        most_warm = max(sizes.warm, rows // 8) + sizes.hot
        self._most_warm_blocks = -(-most_warm // sizes.block)
        self._warm_at = self._warm_end = blocks * sizes.block
        self._main_blocks = self._blocks = blocks
        self._hot_at = self._warm_at + self._most_warm_blocks * sizes.block
        places = self._hot_at + sizes.hot + 1 + sizes.block
        self.hot = 0
        self._cells: FloatArray = np.zeros((len(fleet.table.cells), places))
        self._order: IntArray = np.zeros(places, dtype=np.int64)
        self._place: IntArray = np.full(fleet.table.rows, -1)
        self._length: IntArray = np.zeros(blocks + self._most_warm_blocks, dtype=np.int64)
        self._highest: FloatArray = np.zeros((len(fleet.table.cells), len(self._length)))
        self._lowest: FloatArray = np.zeros_like(self._highest)
        self._free = [fleet.table.index[name] for name in ("cpu_free", "memory_free")]
        #: ``{key: (which blocks have a host that is eligible, how often warm ones had been put in order)}``
        self._any: dict[Hashable, tuple[BoolArray, int]] = {}
        self._times_warm = 0
        self._fill(0, np.arange(rows))
        self._see_ends()

    @property
    def lowest_id(self) -> FloatArray:
        """The lowest number of the hosts of each block."""
        return self.lowest.number("host_id")

    def follow(self) -> bool:
        """Take over what changed; say False where all has to be made anew."""
        fleet = self._fleet
        changes = fleet.changes
        if changes.seen == self._seen:
            return True
        newer = changes.since(self._seen)
        if newer is None or len(self._place) != fleet.table.rows or len(self._cells) != len(fleet.table.cells):
            return False
        self._seen = changes.seen
        for row in newer if len(newer) == 1 else dict.fromkeys(newer):
            place = self._place.item(row)
            if place < self._hot_at:
                if self.hot >= self._sizes.hot and not self._cool():
                    return False
                # Its place may be another one after the others have cooled down.
                place = self._heat(row, self._place.item(row))
            self._cells[:, place] = fleet.table.cells[:, row]
        return True

    def _heat(self, row: int, place: int) -> int:
        """Take a row out of its block, where it has one; return its new place."""
        if place >= 0:
            self._leave(place)
        place = self._hot_at + self.hot
        self.hot += 1
        self._order[place] = row
        self._place[row] = place
        return place

    def _leave(self, place: int) -> None:
        """Fill a hole of a block with its last host."""
        size = self._sizes.block
        block = place // size
        last = block * size + self._length.item(block) - 1
        if place != last:
            row = self._order.item(last)
            self._order[place] = row
            self._place[row] = place
            self._cells[:, place] = self._cells[:, last]
        self._length[block] -= 1
        begin = block * size
        if begin == last:
            # Nothing fits into an empty block; the others stay what they were, since infinity times 0 is no number.
            self._highest[self._free, block] = -np.inf
        else:
            cells = self._cells[:, begin:last]
            np.maximum.reduce(cells, axis=1, out=self._highest[:, block])
            np.minimum.reduce(cells, axis=1, out=self._lowest[:, block])

    def _cool(self) -> bool:
        """Put the hot hosts among the warm ones; say False where those are too many."""
        size = self._sizes.block
        warm = [self.rows_of_block(block) for block in range(self._main_blocks, self._blocks)]
        rows = np.concatenate([*warm, self._order[self._hot_at : self._hot_at + self.hot]])
        if len(rows) > self._most_warm_blocks * size:
            return False
        self._blocks = self._main_blocks + -(-len(rows) // size)
        self.hot = 0
        self._fill(self._warm_at, rows)
        self._times_warm += 1
        self._see_ends()
        return True

    def _fill(self, begin: int, rows: IntArray) -> None:
        """Put rows in order into blocks from a place on."""
        if not len(rows):
            return
        size, fleet = self._sizes.block, self._fleet
        rows = self._in_order(rows)
        places = slice(begin, begin + len(rows))
        self._order[places] = rows
        self._place[rows] = np.arange(begin, begin + len(rows))
        self._cells[:, places] = fleet.table.cells.take(rows, axis=1)
        starts = np.arange(0, len(rows), size)
        blocks = slice(begin // size, begin // size + len(starts))
        self._length[blocks] = np.minimum(size, len(rows) - starts)
        self._highest[:, blocks] = np.maximum.reduceat(self._cells[:, places], starts, axis=1)
        self._lowest[:, blocks] = np.minimum.reduceat(self._cells[:, places], starts, axis=1)

    def _in_order(self, rows: IntArray) -> IntArray:
        hosts = Rows(self._fleet, rows)
        cpu, memory = hosts.number("cpu_total"), hosts.number("memory_total")
        sizes = [np.round(_CLASSES * np.log2(np.maximum(total, _LEAST))) for total in (cpu, memory)]
        score = total_score(self._policy, _ORDINARY, hosts)
        order = np.lexsort((hosts.number("host_id"), -score, *sizes))
        strip = np.arange(len(rows)) // (self._sizes.block * _BLOCKS_OF_ONE_SCORE)
        slant = hosts.number("cpu_part") - hosts.number("memory_part")
        return rows[order[np.lexsort((slant[order], strip))]]

    def _see_ends(self) -> None:
        self.highest = BlockEnd(self._fleet, self._highest[:, : self._blocks])
        self.lowest = BlockEnd(self._fleet, self._lowest[:, : self._blocks])

    def any(self, key: Hashable, mask: BoolArray) -> BoolArray:
        """Return which blocks have, or had, a host of which the mask, known under the key, is true."""
        known = self._any.get(key)
        if known is not None and known[1] == self._times_warm:
            return known[0]
        found = np.zeros(self._blocks, dtype=np.bool_)
        main = known[0][: self._main_blocks] if known is not None else self._any_of(mask, 0, self._main_blocks)
        found[: self._main_blocks] = main
        found[self._main_blocks :] = self._any_of(mask, self._main_blocks, self._blocks)
        self._any[key] = found, self._times_warm
        return found

    def _any_of(self, mask: BoolArray, first: int, end: int) -> BoolArray:
        size = self._sizes.block
        if first == end:
            return np.zeros(0, dtype=np.bool_)
        # Behind the last host of a block are those that left it, or none: they may say that there is one where none is.
        held = mask.take(self._order[first * size : end * size]).reshape(-1, size)
        found: BoolArray = np.logical_or.reduce(held, axis=1)
        return found

    def rows_of_block(self, block: int) -> IntArray:
        """Return the rows of a block."""
        begin = block * self._sizes.block
        return self._order[begin : begin + self._length.item(block)]

    def rows_of(self, blocks: IntArray) -> IntArray:
        """Return the rows of some blocks."""
        return np.concatenate([self.rows_of_block(block) for block in blocks.tolist()])

    def hot_with(self, block: int | None) -> Window:
        """Return the hot hosts, with those of a block."""
        end = self._hot_at + self.hot
        if block is not None:
            begin, length = block * self._sizes.block, self._length.item(block)
            self._cells[:, end : end + length] = self._cells[:, begin : begin + length]
            self._order[end : end + length] = self._order[begin : begin + length]
            end += length
        return Window(self._fleet, self._order[self._hot_at : end], self._cells[:, self._hot_at : end])
