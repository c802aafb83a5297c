"""Finds the best host for a VM: the one that looking at every host would find, without looking at every host."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from innkeeper_controller.scheduling.blocks import Blocks
from innkeeper_controller.scheduling.clauses import CLAUSES, Clause
from innkeeper_controller.scheduling.fleet import BoolArray, Fleet, FloatArray, IntArray
from innkeeper_controller.scheduling.hosts import Rows, all_rows
from innkeeper_controller.scheduling.model import Demand
from innkeeper_controller.scheduling.scores import End, Policy, Score, concerned, total_score

#: Blocks that are looked into at first; twice as many each time that the best is not sure yet.
_FIRST_BLOCKS: Final = 1
#: Fewer hosts than this are all looked at.
FEW_HOSTS: Final = 512


class Best(NamedTuple):
    """The best host of those that were looked at."""

    rank: float
    score: float
    host_id: float
    row: int

    def beats(self, other: "Best | None") -> bool:
        """Say whether it is the better one: by rank, then by score, then the one with the lower number."""
        return other is None or (self.rank, self.score, -self.host_id) > (other.rank, other.score, -other.host_id)


@dataclass(frozen=True, slots=True)
class Question:
    """A demand with what concerns it."""

    demand: Demand
    #: Under which ``eligible`` is known.
    key: Hashable
    #: Hosts that may do by what they are.
    eligible: BoolArray
    #: Clauses that are asked each time.
    clauses: tuple[Clause, ...]
    slow: tuple[Clause, ...]
    policy: Policy


class Search:
    """Searches one fleet by one policy; follows the fleet as it changes."""

    def __init__(self, fleet: Fleet, policy: Policy, clauses: tuple[Clause, ...] = CLAUSES) -> None:
        """Search this fleet.

        Args:
            fleet: The hosts.
            policy: What makes a host good.
            clauses: What has to hold.
        """
        self.fleet = fleet
        self.policy = policy
        self.clauses = clauses
        self._blocks: Blocks | None = None
        self._static_version = -1

    def question(self, demand: Demand) -> Question:
        """Return the demand with all that does not depend on what is left on hosts looked up."""
        mine = [clause for clause in self.clauses if clause.concerns(demand, self.fleet)]
        static = [clause for clause in mine if clause.reads is not None]
        key = ("eligible", *((clause.name, clause.reads(demand)) for clause in static if clause.reads is not None))
        return Question(
            demand=demand,
            key=key,
            eligible=self.fleet.static(key, lambda: self._eligible(demand, static)),  # type: ignore[arg-type]  # a mask
            clauses=tuple([clause for clause in mine if clause.reads is None and not clause.is_slow]),
            slow=tuple([clause for clause in mine if clause.is_slow]),
            policy=concerned(self.policy, demand),
        )

    def _eligible(self, demand: Demand, static: list[Clause]) -> BoolArray:
        hosts = all_rows(self.fleet)
        mask = np.ones(self.fleet.count, dtype=np.bool_)
        for clause in static:
            mask &= clause.holds(demand, hosts)
        return mask

    def best(self, demand: Demand) -> Best | None:
        """Return the best host for a VM; None where it fits on none."""
        question = self.question(demand)
        if demand.rank is not None or self.fleet.count <= FEW_HOSTS:
            return self.best_of(question, all_rows(self.fleet).at)
        return self._best_by_blocks(question)

    def best_of(self, question: Question, at: IntArray) -> Best | None:
        """Return the best of some rows, each looked at."""
        demand, at = question.demand, self.fitting(question, at)
        if not len(at):
            return None
        hosts = Rows(self.fleet, at)
        scores = total_score(question.policy, demand, hosts)
        ranks = hosts.ranked(demand.rank) if demand.rank is not None else None
        return self._first_that_fits(question, at, ranks, scores)

    def fitting(self, question: Question, at: IntArray) -> IntArray:
        """Return those of the rows on which the VM fits, by all clauses but the slow ones."""
        hosts = Rows(self.fleet, at)
        mask = question.eligible[at]
        for clause in question.clauses:
            mask &= clause.holds(question.demand, hosts)
        return at[mask]

    def _first_that_fits(
        self, question: Question, at: IntArray, ranks: FloatArray | None, scores: FloatArray
    ) -> Best | None:
        ids = self.fleet.number("host_id")[at]
        if not question.slow:
            index = _index_of_best(ids, ranks, scores)
            return Best(
                ranks.item(index) if ranks is not None else 0.0, scores.item(index), ids.item(index), at.item(index)
            )
        order = np.lexsort((ids, -scores) if ranks is None else (ids, -scores, -ranks))
        for index in order.tolist():
            one = Rows(self.fleet, at[index : index + 1])
            if all(clause.holds(question.demand, one).item(0) for clause in question.slow):
                rank = ranks.item(index) if ranks is not None else 0.0
                return Best(rank, scores.item(index), ids.item(index), at.item(index))
        return None

    def _best_by_blocks(self, question: Question) -> Best | None:
        blocks, changed = self._up_to_date()
        bounds = self._bounds(question, blocks)
        hopeful = np.flatnonzero(bounds > -np.inf)
        if len(hopeful) > 1:
            hopeful = hopeful[np.lexsort((blocks.lowest_id[hopeful], -bounds[hopeful]))]
        best: Best | None = None
        begin, many = 0, _FIRST_BLOCKS
        at = changed
        while True:
            chosen = hopeful[begin : begin + many]
            if len(chosen):
                at = np.concatenate([at, blocks.rows_of(chosen)])
            found = self.best_of(question, at) if len(at) else None
            if found is not None and found.beats(best):
                best = found
            begin, many = begin + many, many * 2
            if begin >= len(hopeful) or _is_sure(best, hopeful[begin], bounds, blocks):
                return best
            at = changed[:0]

    def _up_to_date(self) -> tuple[Blocks, IntArray]:
        blocks = self._blocks
        if blocks is not None and self._static_version == self.fleet.static_version:
            changed = blocks.changed()
            if changed is not None:
                return blocks, changed
        self._static_version = self.fleet.static_version
        self._blocks = blocks = Blocks(self.fleet, self.policy)
        return blocks, np.zeros(0, dtype=np.int64)

    def _bounds(self, question: Question, blocks: Blocks) -> FloatArray:
        """Return how good the best host of each block can be at most; -inf where none can fit."""
        demand = question.demand
        mask = blocks.any(question.key, question.eligible)
        for clause in question.clauses:
            if clause.grows:
                mask = mask & clause.holds(demand, blocks.highest)  # type: ignore[arg-type]  # asks for numbers only
        bounds = np.zeros(len(blocks.starts))
        for score, weight in question.policy:
            bounds += _bound(demand, score, weight, blocks)
        return np.where(mask, bounds, -np.inf)


def _bound(demand: Demand, score: Score, weight: float, blocks: Blocks) -> FloatArray | float:
    if score.greatest_at is End.UNKNOWN:
        return max(0.0, weight)
    is_high = (score.greatest_at is End.HIGHEST) == (weight > 0)
    return weight * score.of(demand, blocks.highest if is_high else blocks.lowest)  # type: ignore[arg-type]  # numbers only


def _is_sure(best: Best | None, block: int, bounds: FloatArray, blocks: Blocks) -> bool:
    """Say whether no host of the block, and so of none behind it, can beat the best."""
    if best is None:
        return False
    bound = bounds.item(block)
    return bound < best.score or (bound == best.score and blocks.lowest_id.item(block) > best.host_id)


def _index_of_best(ids: FloatArray, ranks: FloatArray | None, scores: FloatArray) -> int:
    if ranks is not None:
        scores = np.where(ranks == ranks.max(), scores, -np.inf)
    top = np.flatnonzero(scores == scores.max())
    return int(top[ids[top].argmin()]) if len(top) > 1 else top.item(0)
