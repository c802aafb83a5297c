"""Ranks of many hosts at once: trees to functions over columns, with one number a row.

They come to exactly what the functions of ``meaning`` come to for each host: the same operations in the same order.
"""

from collections.abc import Callable
from typing import TypeAlias, cast

import numpy as np

from innkeeper_controller.expressions.answers import numbers_once
from innkeeper_controller.expressions.columns import At, AttributeColumns, FloatArray, count_of, part_of
from innkeeper_controller.expressions.meaning import divide
from innkeeper_controller.expressions.names import CURRENT_VMS, DYNAMIC
from innkeeper_controller.expressions.syntax import Chain, Name, Negative, Number, Rank

#: A float where all rows have the same.
Amount: TypeAlias = FloatArray | float
Vector: TypeAlias = Callable[[AttributeColumns, At], Amount]


def rank_vector(tree: Rank, columns: AttributeColumns, at: At = None) -> FloatArray:
    """Return the ranks of the rows that are asked; all finite."""
    return ranks(vector_function(tree), columns, at)


def ranks(vector: Vector, columns: AttributeColumns, at: At) -> FloatArray:
    """Return the ranks that come out, with 0 for what is infinite or undefined."""
    with np.errstate(all="ignore"):
        amount = vector(columns, at)
    if isinstance(amount, float):
        amount = np.full(count_of(columns, at), amount)
    return _finite(amount)


def _finite(numbers: FloatArray) -> FloatArray:
    """Return the numbers with 0 for those that are infinite or none; the same array where there are none such."""
    fit = np.isfinite(numbers)
    return numbers if fit.all() else np.where(fit, numbers, 0.0)


def vector_function(tree: Rank) -> Vector:
    """Return the function that computes a rank, which may come out infinite or undefined."""
    match tree:
        case Number(value=value):
            return lambda _columns, _at: value
        case Name(name=name):
            return _name(name)
        case Negative(part=part):
            inner = vector_function(part)
            return lambda columns, at: -inner(columns, at)
        case Chain(first=first, rest=rest):
            return _chain(vector_function(first), tuple((_STEPS[sign], vector_function(term)) for sign, term in rest))


def _name(name: str) -> Vector:
    if name == CURRENT_VMS:
        return lambda _columns, _at: 0.0
    of_codes, changes = numbers_once(), name in DYNAMIC

    def vector(columns: AttributeColumns, at: At) -> Amount:
        numbers = columns.number(name) if changes else None
        if numbers is not None:
            # the sum makes 0 of -0, as a rank that counts what is there does
            return _finite(part_of(numbers, at)) + 0.0
        said = columns.coded(name)
        return 0.0 if said is None else of_codes(part_of(said.codes, at), said.values)

    return vector


def _divide(left: Amount, right: Amount) -> Amount:
    if isinstance(left, float) and isinstance(right, float):
        return divide(left, right)
    shape = np.broadcast_shapes(np.shape(left), np.shape(right))
    return cast("FloatArray", np.divide(left, right, out=np.zeros(shape), where=np.not_equal(right, 0.0)))


_STEPS: dict[str, Callable[[Amount, Amount], Amount]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
}


def _chain(first: Vector, rest: tuple[tuple[Callable[[Amount, Amount], Amount], Vector], ...]) -> Vector:
    def vector(columns: AttributeColumns, at: At) -> Amount:
        total = first(columns, at)
        for step, term in rest:
            total = step(total, term(columns, at))
        return total

    return vector
