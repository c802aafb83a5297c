"""Finds the best host for a VM: the one that looking at every host would find, without looking at every host."""

from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple

import numpy as np

from innkeeper_controller.scheduling.choice.blocks import DEFAULT_SIZES, LOOKED_AT, Blocks, Sizes
from innkeeper_controller.scheduling.clauses import CLAUSES, Clause
from innkeeper_controller.scheduling.columns.fleet import BoolArray, Fleet, FloatArray, IntArray
from innkeeper_controller.scheduling.columns.hosts import Rows, all_rows
from innkeeper_controller.scheduling.model import Demand
from innkeeper_controller.scheduling.scores import End, Policy, Score, concerned, total_score

#: Blocks that are looked at together after the first one; twice as many each time that the best is not sure yet.
_NEXT_BLOCKS: Final = 8


class Best(NamedTuple):
    """The best host of those that were looked at."""

    rank: float
    score: float
    host_id: float
    row: int

    def beats(self, other: "Best | None") -> bool:
        """Say whether it is the better one: by rank, then by score, then the one with the lower number."""
        return other is None or (self.rank, self.score, -self.host_id) > (other.rank, other.score, -other.host_id)


class Question(NamedTuple):
    """A demand with what concerns it."""

    demand: Demand
    #: Under which ``eligible`` is known.
    key: Hashable
    #: Hosts that may do by what they are.
    eligible: BoolArray
    #: Clauses that are asked each time.
    clauses: list[Clause]
    slow: list[Clause]
    policy: Policy


class Search:
    """Searches one fleet by one policy; follows the fleet as it changes."""

    def __init__(
        self, fleet: Fleet, policy: Policy, clauses: tuple[Clause, ...] = CLAUSES, sizes: Sizes = DEFAULT_SIZES
    ) -> None:
        """Search this fleet.

        Args:
            fleet: The hosts.
            policy: What makes a host good.
            clauses: What has to hold.
            sizes: How it is cut into blocks.
        """
        self.fleet = fleet
        self.policy = policy
        self.clauses = clauses
        self._sizes = sizes
        self._blocks: Blocks | None = None
        self._static = tuple([clause for clause in clauses if clause.reads is not None])
        self._moving = tuple([clause for clause in clauses if clause.reads is None])

    def question(self, demand: Demand) -> Question:
        """Return the demand with all that does not depend on what is left on hosts looked up."""
        fleet = self.fleet
        static = [clause for clause in self._static if clause.concerns(demand, fleet)]
        moving = [clause for clause in self._moving if clause.concerns(demand, fleet)]
        key = tuple([(clause.name, clause.reads(demand)) for clause in static])  # type: ignore[misc]  # static ones do
        return Question(
            demand=demand,
            key=key,
            eligible=fleet.mask(key, lambda at: _holding(static, demand, Rows(fleet, at))),
            clauses=[clause for clause in moving if not clause.is_slow],
            slow=[clause for clause in moving if clause.is_slow],
            policy=concerned(self.policy, demand, fleet),
        )

    def best(self, demand: Demand) -> Best | None:
        """Return the best host for a VM; None where it fits on none."""
        question = self.question(demand)
        if demand.rank is not None or self.fleet.count <= self._sizes.few:
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
        return at[self.fits(question, Rows(self.fleet, at))]

    def fits(self, question: Question, hosts: Rows) -> BoolArray:
        """Return on which of the hosts the VM fits, by all clauses but the slow ones."""
        mask = question.eligible.take(hosts.at)
        for clause in question.clauses:
            mask &= clause.holds(question.demand, hosts)
        return mask

    def _best_of_window(self, question: Question, hosts: Rows) -> Best | None:
        """Return the best of rows that lie side by side: they are scored before it is known which of them fit."""
        if not len(hosts.at):
            return None
        fits = self.fits(question, hosts)
        scores = total_score(question.policy, question.demand, hosts)
        if question.slow:
            return self._first_that_fits(question, hosts.at[fits], None, scores[fits])
        scores = np.where(fits, scores, -np.inf)
        index = scores.argmax().item()
        score = scores.item(index)
        if score == -np.inf:
            return None
        ids = hosts.number("host_id")
        top = (scores == score).nonzero()[0]
        if len(top) > 1:
            index = top[ids[top].argmin()].item()
        return Best(0.0, score, ids.item(index), hosts.at.item(index))

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
        blocks = self._up_to_date()
        bounds = _bounds(question, blocks)
        lowest_id = blocks.lowest_id
        first = _first_blocks(bounds, lowest_id)
        best = self._best_of_window(question, blocks.hot_with(first))
        bounds[first] = -np.inf
        many = _NEXT_BLOCKS
        while len(hopeful := _hopeful(best, bounds, lowest_id)):
            if len(hopeful) > many:
                hopeful = hopeful[np.lexsort((lowest_id[hopeful], -bounds[hopeful]))[:many]]
                many *= 2
            found = self.best_of(question, blocks.rows_of(hopeful))
            if found is not None and found.beats(best):
                best = found
            bounds[hopeful] = -np.inf
        return best

    def _up_to_date(self) -> Blocks:
        blocks = self._blocks
        if blocks is None or not blocks.follow():
            blocks = self._blocks = Blocks(self.fleet, self.policy, self._sizes)
        return blocks


def _holding(clauses: Sequence[Clause], demand: Demand, hosts: Rows) -> BoolArray:
    mask = np.ones(len(hosts.at), dtype=np.bool_)
    for clause in clauses:
        mask &= clause.holds(demand, hosts)
    return mask


def _bounds(question: Question, blocks: Blocks) -> FloatArray:
    """Return how good the best host of each block can be at most; -inf where none can fit."""
    demand = question.demand
    mask = blocks.any(question.key, question.eligible).copy()
    for clause in question.clauses:
        if clause.grows:
            mask &= clause.holds(demand, blocks.highest)  # type: ignore[arg-type]  # asks for numbers only
    bounds: FloatArray | float = 0.0
    for score, weight in question.policy:
        bounds = bounds + _bound(demand, score, weight, blocks)
    return np.where(mask, bounds, -np.inf)


def _first_blocks(bounds: FloatArray, lowest_id: FloatArray) -> list[int]:
    """Return the block that may have the best host, and some that may have one nearly as good."""
    if not len(bounds):
        return []
    block = bounds.argmax().item()
    bound = bounds.item(block)
    if bound == -np.inf:
        return []
    top = (bounds == bound).nonzero()[0]
    if len(top) > 1:
        return [int(top[lowest_id[top].argmin()])]
    if len(bounds) <= LOOKED_AT:
        return (bounds > -np.inf).nonzero()[0].tolist()
    found = bounds.argpartition(-LOOKED_AT)[-LOOKED_AT:].tolist()
    return [each for each in found if bounds.item(each) > -np.inf]


def _hopeful(best: Best | None, bounds: FloatArray, lowest_id: FloatArray) -> IntArray:
    """Return the blocks that may have a better host."""
    if best is None:
        return (bounds > -np.inf).nonzero()[0]
    found = (bounds >= best.score).nonzero()[0]
    if not len(found):
        return found
    return found[(bounds[found] > best.score) | (lowest_id[found] < best.host_id)]


def _bound(demand: Demand, score: Score, weight: float, blocks: Blocks) -> FloatArray | float:
    if score.greatest_at is End.UNKNOWN:
        return max(0.0, weight)
    is_high = (score.greatest_at is End.HIGHEST) == (weight > 0)
    return weight * score.of(demand, blocks.highest if is_high else blocks.lowest)  # type: ignore[arg-type]  # numbers only


def _index_of_best(ids: FloatArray, ranks: FloatArray | None, scores: FloatArray) -> int:
    if ranks is not None:
        scores = np.where(ranks == ranks.max(), scores, -np.inf)
    top = np.flatnonzero(scores == scores.max())
    return int(top[ids[top].argmin()]) if len(top) > 1 else top.item(0)
