"""What expressions mean: trees to functions over the attributes of a host.

The rules for what is not there or makes no sense, in one place:
 - a comparison with an attribute that the host lacks does not hold, ``!=`` included;
 - ``<`` and its like do not hold for what is no number;
 - a pattern fits what it says, and also the text that it is;
 - in a rank, a missing attribute and one that is no number count 0, and so does a division by zero;
 - a rank that comes out infinite or undefined is 0.
"""

import math
import operator as operators
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

from innkeeper_controller.expressions.patterns import pattern
from innkeeper_controller.expressions.syntax import (
    Chain,
    Compare,
    Every,
    Name,
    Negative,
    Not,
    Number,
    Operator,
    Rank,
    Requirement,
    Some,
    number_text,
)
from innkeeper_controller.expressions.words import finite, number_of

#: One attribute of a host: a text, a number, or several of them.
Actual: TypeAlias = str | float | tuple[str | float, ...]
#: What a host says of itself, by upper-case name.
Attributes: TypeAlias = Mapping[str, Actual]
Holds: TypeAlias = Callable[[Attributes], bool]
Amount: TypeAlias = Callable[[Attributes], float]

_ORDERS: dict[Operator, Callable[[float, float], bool]] = {
    Operator.GREATER: operators.gt,
    Operator.LESS: operators.lt,
    Operator.GREATER_OR_EQUAL: operators.ge,
    Operator.LESS_OR_EQUAL: operators.le,
}


def requirement_function(tree: Requirement) -> Holds:
    """Return the function that says whether a host meets the requirement."""
    match tree:
        case Compare():
            return _compare(tree)
        case Every(parts=parts):
            return _every(tuple(requirement_function(part) for part in parts))
        case Some(parts=parts):
            return _some(tuple(requirement_function(part) for part in parts))
        case Not(part=part):
            inner = requirement_function(part)
            return lambda attributes: not inner(attributes)


def _every(parts: tuple[Holds, ...]) -> Holds:
    def holds(attributes: Attributes) -> bool:
        for part in parts:  # noqa: SIM110 - a loop costs half of all()
            if not part(attributes):
                return False
        return True

    return holds


def _some(parts: tuple[Holds, ...]) -> Holds:
    def holds(attributes: Attributes) -> bool:
        for part in parts:  # noqa: SIM110 - a loop costs half of any()
            if part(attributes):
                return True
        return False

    return holds


def _compare(tree: Compare) -> Holds:
    name, operator = tree.name, tree.operator
    if operator in _ORDERS:
        return _order(name, _ORDERS[operator], wanted_number(tree.value))
    matches = _matcher(tree.value, contains=operator is Operator.CONTAINS)
    if operator is Operator.NOT_EQUAL:
        return lambda attributes: (actual := attributes.get(name)) is not None and not matches(actual)
    if operator is Operator.EQUAL:
        value = tree.value
        return lambda attributes: (actual := attributes.get(name)) is not None and (actual == value or matches(actual))
    return lambda attributes: (actual := attributes.get(name)) is not None and matches(actual)


def wanted_number(value: str | float) -> float:
    """Return the number that an order compares with."""
    number = finite(value) if isinstance(value, str) else value
    assert number is not None, "the parser lets only numbers through here"
    return number


def _order(name: str, order: Callable[[float, float], bool], wanted: float) -> Holds:
    def holds(attributes: Attributes) -> bool:
        number = number_of(attributes.get(name))
        return number is not None and order(number, wanted)

    return holds


def _matcher(value: str | float, *, contains: bool) -> Callable[[Actual], bool]:
    """Return what says whether an attribute is the value, or has it among its values."""
    one = _one_matcher(value)

    def matches(actual: Actual) -> bool:
        if isinstance(actual, tuple):
            return any(one(each) for each in actual)
        if contains and isinstance(actual, str):
            return any(one(each) for each in re.split(r"[\s,]+", actual))
        return one(actual)

    return matches


def _one_matcher(value: str | float) -> Callable[[str | float], bool]:
    if isinstance(value, float):
        return lambda actual: number_of(actual) == value
    number = finite(value)
    fits = pattern(value)
    if fits is not None:
        return lambda actual: (text := as_text(actual)) == value or fits(text)
    return lambda actual: as_text(actual) == value or (number is not None and number_of(actual) == number)


def as_text(actual: str | float) -> str:
    """Return one attribute as texts are compared with it: ``4`` for 4.0."""
    if isinstance(actual, float):
        return number_text(actual)
    try:
        return str(actual)
    except ValueError:  # thousands of digits, which Python does not write in decimal
        return hex(cast("int", actual))


def rank_function(tree: Rank) -> Amount:
    """Return the function that ranks a host; always a finite number."""
    inner = _amount(tree)

    def rank(attributes: Attributes) -> float:
        value = inner(attributes)
        return value if math.isfinite(value) else 0.0

    return rank


def _amount(tree: Rank) -> Amount:
    match tree:
        case Number(value=value):
            return lambda _: value
        case Name(name=name):
            return lambda attributes: number_of(attributes.get(name)) or 0.0
        case Negative(part=part):
            inner = _amount(part)
            return lambda attributes: -inner(attributes)
        case Chain(first=first, rest=rest):
            return _chain(_amount(first), tuple((_STEPS[sign], _amount(term)) for sign, term in rest))


def divide(left: float, right: float) -> float:
    """Divide as ranks do: 0 for a division by zero."""
    return left / right if right else 0.0


_STEPS: dict[str, Callable[[float, float], float]] = {
    "+": operators.add,
    "-": operators.sub,
    "*": operators.mul,
    "/": divide,
}


def _chain(first: Amount, rest: tuple[tuple[Callable[[float, float], float], Amount], ...]) -> Amount:
    def amount(attributes: Attributes) -> float:
        total = first(attributes)
        for step, term in rest:
            total = step(total, term(attributes))
        return total

    return amount
