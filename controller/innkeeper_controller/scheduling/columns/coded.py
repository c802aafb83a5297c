"""One thing that hosts say, by number: what is asked of each value is asked once, however many hosts say it."""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from innkeeper_controller.expressions import Actual
from innkeeper_controller.expressions.columns import CodeArray


class Coded:
    """``values[codes[row]]`` is what a row says; -1 for rows that say nothing."""

    __slots__ = ("_numbers", "codes", "values")

    def __init__(self, count: int) -> None:
        """Begin with rows that say nothing."""
        self.codes: CodeArray = np.full(count, -1, dtype=np.int32)
        self.values: Sequence[Actual] = ()
        self._numbers: dict[Hashable, int] = {}

    def say(self, said: Iterable[tuple[int, Actual | None]]) -> None:
        """Note what rows say now; None for nothing."""
        numbers, codes = self._numbers, self.codes
        new: list[Actual] = []
        for row, value in said:
            if value is None:
                codes[row] = -1
                continue
            # Numbers that are equal are told apart by their kind, since texts tell them apart.
            number = numbers.setdefault((type(value), value), len(numbers))
            if number == len(self.values) + len(new):
                new.append(value)
            codes[row] = number
        if new:
            self.values = (*self.values, *new)
            self._drop_unsaid()

    def _drop_unsaid(self) -> None:
        """Number anew once most values are no longer said by any row."""
        if len(self.values) <= 2 * len(self.codes):
            return
        said, codes = np.unique(self.codes[self.codes >= 0], return_inverse=True)
        self.codes[self.codes >= 0] = codes
        self.values = tuple(self.values[number] for number in said.tolist())
        self._numbers = {(type(value), value): number for number, value in enumerate(self.values)}
