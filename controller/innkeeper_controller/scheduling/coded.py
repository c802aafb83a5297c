"""One thing that hosts say, by number: what is asked of each value is asked once, however many hosts say it."""

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from innkeeper_controller.expressions import Actual


class Coded:
    """``values[codes[row]]`` is what a row says; -1 for rows that say nothing."""

    __slots__ = ("codes", "values")

    def __init__(self, said: Iterable[Actual | None], count: int) -> None:
        """Number what ``said`` has for each of ``count`` rows; None for nothing."""
        numbers: dict[Hashable, int] = {}
        values: list[Actual] = []
        codes = np.full(count, -1, dtype=np.int32)
        for row, value in enumerate(said):
            if value is None:
                continue
            # Numbers that are equal are told apart by their kind, since texts tell them apart.
            number = numbers.setdefault((type(value), value), len(values))
            if number == len(values):
                values.append(value)
            codes[row] = number
        self.codes = codes
        self.values: Sequence[Actual] = tuple(values)
