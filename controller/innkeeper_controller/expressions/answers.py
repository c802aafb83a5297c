"""Questions about what hosts say, asked once for each thing that is said and not once for each host."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from innkeeper_controller.expressions.columns import BoolArray, CodeArray, FloatArray
from innkeeper_controller.expressions.meaning import Actual, as_text
from innkeeper_controller.expressions.words import finite, number_of

#: So many codes are compared one by one; a look into a table costs as much as about three comparisons.
_FEW = 2
#: For fewer rows the table is always as fast.
_WORTH_COMPARING = 1024
#: A table for more values is made only where nothing else will do: many texts may ask for names of hosts.
_LARGE = 1024
#: Fewer values than this are all asked; an index would cost more.
_WORTH_AN_INDEX = 64
#: Lists of values that have an index.
_INDEXES = 6


@dataclass(frozen=True, slots=True)
class _Answers:
    """For which codes the answer is yes; one of ``few`` and ``table`` is there, or both."""

    #: What was asked, to see whether it still stands.
    values: Sequence[Actual]
    #: These codes have the answer ``few_say``, all others the opposite; None where they are many.
    few: tuple[CodeArray, ...] | None
    few_say: bool
    #: One answer a code, and a last one, False, for -1; None where it would be large for nothing.
    table: BoolArray | None

    def of(self, codes: CodeArray) -> BoolArray | bool:
        """Return the answers for rows with these codes; a bool where all are the same."""
        few, table = self.few, self.table
        if few is None or (table is not None and len(codes) < _WORTH_COMPARING):
            assert table is not None, "many codes have a table"
            looked_up: BoolArray = table.take(codes)
            return looked_up
        if self.few_say:
            return _any_of(codes, few) if few else False
        others = codes >= 0
        for code in few:
            others &= codes != code
        return others


def _any_of(codes: CodeArray, wanted: tuple[CodeArray, ...]) -> BoolArray:
    first, *more = wanted
    found: BoolArray = codes == first
    for code in more:
        found |= codes == code
    return found


def asked_once(
    holds: Callable[[Actual], bool], *, wanted: bool, equal_to: str | float | None
) -> Callable[[CodeArray, Sequence[Actual]], BoolArray | bool]:
    """Return what says for each row whether what the host says ``holds`` as ``wanted``; False where it says nothing.

    Args:
        holds: The question.
        wanted: The answer that counts as True.
        equal_to: The value where the question is whether it is equal to that; finds the few that can be.
    """
    last: _Answers | None = None

    def answers(codes: CodeArray, values: Sequence[Actual]) -> BoolArray | bool:
        nonlocal last
        known = last
        if known is None or known.values is not values:
            yes = [code for code in _candidates(values, equal_to) if holds(values[code])]
            known = last = _answers(values, yes, wanted=wanted)
        return known.of(codes)

    return answers


def _answers(values: Sequence[Actual], yes: list[int], *, wanted: bool) -> _Answers:
    """Return the answers where these codes have the answer ``wanted``."""
    count = len(values)
    if len(yes) <= _FEW and (wanted or count > _LARGE):
        return _Answers(values, _each_alone(yes), few_say=wanted, table=None)
    table = np.full(count + 1, not wanted)
    table[yes] = wanted
    table[-1] = False
    if len(yes) <= _FEW:
        return _Answers(values, _each_alone(yes), few_say=wanted, table=table)
    if count - len(yes) <= _FEW:
        others = sorted(set(range(count)).difference(yes))
        return _Answers(values, _each_alone(others), few_say=not wanted, table=table)
    return _Answers(values, None, few_say=False, table=table)


def _each_alone(codes: list[int]) -> tuple[CodeArray, ...]:
    """Return arrays without dimensions: comparing with them costs half of comparing with an int."""
    return tuple(np.array(code, dtype=np.int32) for code in codes)


def _candidates(values: Sequence[Actual], equal_to: str | float | None) -> Iterable[int]:
    """Return the codes whose values may be equal to a value, all where that is None; in order."""
    if equal_to is None or len(values) < _WORTH_AN_INDEX:
        return range(len(values))
    index = _index(_Same(values))
    found = set(index.get(equal_to, ()))
    number = finite(equal_to) if isinstance(equal_to, str) else None
    return sorted(found.union(index.get(number, ())) if number is not None else found)


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """A list that is equal to itself only."""

    values: Sequence[Actual]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.values is other.values

    def __hash__(self) -> int:
        return id(self.values)


@lru_cache(_INDEXES)
def _index(same: _Same) -> dict[str | float, list[int]]:
    """Return ``{text or number: codes of the values that are or have it}``."""
    found: dict[str | float, list[int]] = {}
    for code, actual in enumerate(same.values):
        for each in actual if isinstance(actual, tuple) else (actual,):
            found.setdefault(as_text(each), []).append(code)
            number = number_of(each)
            if number is not None:
                found.setdefault(number, []).append(code)
    return found


def numbers_once() -> Callable[[CodeArray, Sequence[Actual]], FloatArray]:
    """Return what gives for each row the number that the host says, as ranks count: 0 for none."""
    last: tuple[Sequence[Actual], FloatArray] | None = None

    def numbers(codes: CodeArray, values: Sequence[Actual]) -> FloatArray:
        nonlocal last
        known = last
        if known is None or known[0] is not values:
            table = np.array([*(number_of(each) or 0.0 for each in values), 0.0])
            known = last = (values, table)
        return known[1].take(codes)

    return numbers
