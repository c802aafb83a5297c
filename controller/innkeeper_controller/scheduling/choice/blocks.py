"""Hosts in blocks of alike ones, so that most of them need not be looked at: an index over a fleet.

A block is a few hosts of about the same size that are used about the same. For each block the greatest and the least
value of each column is known, from which follows whether any of its hosts can fit, and how good the best can be.
A host that changes leaves its block and is hot: it is looked at each time. When many are hot, they are put in blocks
anew together with those that were hot before, the warm ones; when those have become many, all are.
"""

from collections.abc import Hashable
from typing import Final, NamedTuple

import numpy as np

from innkeeper_controller.scheduling.columns.fleet import BoolArray, Fleet, FloatArray, IntArray
from innkeeper_controller.scheduling.columns.hosts import Rows, Window
from innkeeper_controller.scheduling.model import Demand
from innkeeper_controller.scheduling.scores import Policy, total_score
from innkeeper_plugins.vocabulary import Capacity, VmId


class Sizes(NamedTuple):
    """How a fleet is cut into blocks; says nothing of what is chosen, only of how soon."""

    #: So many hosts are all looked at, rather than cut into blocks.
    few: int = 256
    #: Hosts of a block, at least.
    block: int = 64
    #: Hosts that are looked at each time because they changed.
    hot: int = 128
    #: Hosts that may have been hot before all blocks are made anew, at least; one in ``_WARM_PART`` where that is more.
    warm: int = 2048


DEFAULT_SIZES: Final = Sizes()

#: Blocks that are looked at together with the hot hosts.
LOOKED_AT: Final = 3
#: Blocks of about the same score, within which hosts are told apart by what they are short of: the best one stands
#: alone, so many at most belong together.
_BLOCKS_OF_ONE_SCORE: Final = 8
#: More than there are classes of size.
_MANY: Final = 4096.0
#: Warm blocks that may stay half empty because hosts of one size are not enough for them.
_CLASSES_OF_WARM: Final = 8
#: More blocks than that are not worth their looking up: blocks of large fleets are larger.
_MOST_BLOCKS: Final = 800
#: One host in so many may be warm: they are put in order again each time that the hot ones cool down.
_WARM_PART: Final = 24
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
    """The hosts of a fleet: places in rows of blocks, then the hot ones, then room for blocks to be looked at.

    First come blocks of hosts that have not changed since all were put in order, then blocks of those that changed and
    were put in order since, from ``_hot_at`` on the hot ones, in no order. A block may have empty places at its end.
    """

    def __init__(self, fleet: Fleet, policy: Policy, sizes: Sizes) -> None:
        """Put all hosts in order."""
        self._fleet = fleet
        self._policy = policy
        self._sizes = sizes
        self._size = max(sizes.block, fleet.count // _MOST_BLOCKS)
        self._seen = fleet.changes.seen
        rows, starts = self._in_order(np.arange(fleet.count))
        self._main_blocks = self._blocks = len(starts)
        self._most_warm_blocks = (
            -(-(max(sizes.warm, fleet.count // _WARM_PART) + sizes.hot) // self._size) + _CLASSES_OF_WARM
        )
        self._hot_at = (self._main_blocks + self._most_warm_blocks) * self._size
        places = self._hot_at + sizes.hot + 1 + LOOKED_AT * self._size
        self.hot = 0
        self._cells: FloatArray = np.zeros((len(fleet.table.cells), places))
        #: The row of each place; of empty ones the last there is room for, which no host ever has.
        self._nowhere = fleet.table.rows - 1
        self._order: IntArray = np.full(places, self._nowhere)
        self._place: IntArray = np.full(fleet.table.rows, -1)
        self._length: IntArray = np.zeros(len(starts) + self._most_warm_blocks, dtype=np.int64)
        self._highest: FloatArray = np.zeros((len(fleet.table.cells), len(self._length)))
        self._lowest: FloatArray = np.zeros_like(self._highest)
        self._free = [fleet.table.index[name] for name in ("cpu_free", "memory_free")]
        #: ``{key: (which blocks have a host that is eligible, how often warm ones had been put in order)}``
        self._any: dict[Hashable, tuple[BoolArray, int]] = {}
        self._times_warm = 0
        self._fill(0, rows, starts)
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
        size = self._size
        block = place // size
        last = block * size + self._length.item(block) - 1
        if place != last:
            row = self._order.item(last)
            self._order[place] = row
            self._place[row] = place
            self._cells[:, place] = self._cells[:, last]
        self._order[last] = self._nowhere
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
        size = self._size
        warm = [self.rows_of_block(block) for block in range(self._main_blocks, self._blocks)]
        rows, starts = self._in_order(np.concatenate([*warm, self._order[self._hot_at : self._hot_at + self.hot]]))
        if len(starts) > self._most_warm_blocks:
            return False
        self._order[self._main_blocks * size : self._blocks * size] = self._nowhere
        self._blocks = self._main_blocks + len(starts)
        self.hot = 0
        self._fill(self._main_blocks, rows, starts)
        self._times_warm += 1
        self._see_ends()
        return True

    def _fill(self, first: int, rows: IntArray, starts: IntArray) -> None:
        """Put rows, which are in order, into blocks from one on; ``starts`` are where blocks begin in that order."""
        if not len(rows):
            return
        size, cells = self._size, self._fleet.table.cells.take(rows, axis=1)
        lengths = np.diff(starts, append=len(rows))
        blocks = slice(first, first + len(starts))
        begins = np.arange(first, first + len(starts)) * size
        places = np.arange(len(rows)) + np.repeat(begins - starts, lengths)
        self._order[places] = rows
        self._place[rows] = places
        self._cells[:, places] = cells
        self._length[blocks] = lengths
        self._highest[:, blocks] = np.maximum.reduceat(cells, starts, axis=1)
        self._lowest[:, blocks] = np.minimum.reduceat(cells, starts, axis=1)

    def _in_order(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Return the rows in order, and where in it blocks begin."""
        hosts, size = Rows(self._fleet, rows), self._size
        kinds = _kinds(hosts, most=len(rows) // (4 * size) + 1)
        order = np.lexsort((hosts.number("host_id"), -total_score(self._policy, _ORDINARY, hosts), kinds))
        kinds = kinds[order]
        begins = np.flatnonzero(np.concatenate([[True], kinds[1:] != kinds[:-1]])[: len(kinds)])
        within = np.arange(len(kinds)) - np.repeat(begins, np.diff(begins, append=len(kinds)))
        slant = (hosts.number("cpu_part") - hosts.number("memory_part"))[order]
        order = order[np.lexsort((slant, _strips(within // size), kinds))]
        return rows[order], np.flatnonzero(within % size == 0)

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
        size = self._size
        if first == end:
            return np.zeros(0, dtype=np.bool_)
        held = mask.take(self._order[first * size : end * size]).reshape(-1, size)
        found: BoolArray = np.logical_or.reduce(held, axis=1)
        return found

    def rows_of_block(self, block: int) -> IntArray:
        """Return the rows of a block."""
        begin = block * self._size
        return self._order[begin : begin + self._length.item(block)]

    def rows_of(self, blocks: IntArray) -> IntArray:
        """Return the rows of some blocks."""
        return np.concatenate([self.rows_of_block(block) for block in blocks.tolist()])

    def hot_with(self, blocks: list[int]) -> Window:
        """Return the hot hosts, with those of at most ``LOOKED_AT`` blocks."""
        size, end = self._size, self._hot_at + self.hot
        cells, order = self._cells, self._order
        for block in blocks:
            begin, length = block * size, self._length.item(block)
            cells[:, end : end + length] = cells[:, begin : begin + length]
            order[end : end + length] = order[begin : begin + length]
            end += length
        return Window(self._fleet, order[self._hot_at : end], cells[:, self._hot_at : end])


def _kinds(hosts: Rows, *, most: int) -> FloatArray:
    """Return the class of size of each host that takes VMs; one for all where there are more than so many."""
    sizes = [np.log2(np.maximum(hosts.number(name), _LEAST)) for name in ("cpu_total", "memory_total")]
    cpu, memory = [np.round(_CLASSES * each) for each in sizes]
    kinds: FloatArray = cpu * _MANY + memory
    if len(np.unique(kinds)) > most:
        kinds = np.zeros(len(kinds))
    # Those that take nobody would be left over in the blocks that VMs are tried in first.
    kinds[hosts.number("usable") == 0] = np.inf
    return kinds


def _strips(blocks: IntArray) -> FloatArray:
    """Return which blocks of a kind, counted from the best, are of about the same score: 1, 1, 2, 4, then 8 each."""
    doubled = np.floor(np.log2(np.maximum(0.5, blocks)))
    return np.where(blocks < _BLOCKS_OF_ONE_SCORE, doubled, blocks // _BLOCKS_OF_ONE_SCORE + 2.0)
