"""Requirements asked of many hosts at once: trees to functions over columns, with one bool a row.

They say exactly what the functions of ``meaning`` say of each host; where it is odd, those are asked themselves.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from innkeeper_controller.expressions.answers import asked_once
from innkeeper_controller.expressions.columns import (
    At,
    AttributeColumns,
    BoolArray,
    FloatArray,
    count_of,
    part_of,
    rows_of,
)
from innkeeper_controller.expressions.meaning import Actual, requirement_function, wanted_number
from innkeeper_controller.expressions.names import CURRENT_VMS, DYNAMIC
from innkeeper_controller.expressions.patterns import pattern
from innkeeper_controller.expressions.syntax import NUMERIC, Compare, Every, Not, Operator, Requirement, Some
from innkeeper_controller.expressions.words import finite

#: A bool where all rows agree; an array belongs to who got it.
Truth: TypeAlias = BoolArray | bool
Mask: TypeAlias = Callable[[AttributeColumns, At], Truth]

#: Whole numbers below are told apart by floats.
_EXACT = 2.0**53
_ORDERS: dict[Operator, Callable[[FloatArray, float], BoolArray]] = {
    Operator.GREATER: lambda numbers, wanted: (numbers > wanted) & (numbers < math.inf),
    Operator.GREATER_OR_EQUAL: lambda numbers, wanted: (numbers >= wanted) & (numbers < math.inf),
    Operator.LESS: lambda numbers, wanted: (numbers < wanted) & (numbers > -math.inf),
    Operator.LESS_OR_EQUAL: lambda numbers, wanted: (numbers <= wanted) & (numbers > -math.inf),
}
#: Texts that a number has, but that are no numbers.
_NO_NUMBERS: dict[str, Callable[[FloatArray], BoolArray]] = {
    "nan": np.isnan,
    "inf": lambda numbers: numbers == math.inf,
    "-inf": lambda numbers: numbers == -math.inf,
}


def requirement_mask(tree: Requirement, columns: AttributeColumns, at: At = None) -> BoolArray:
    """Return which rows meet a requirement, one bool for each that is asked."""
    return one_a_row(mask_function(tree)(columns, at), columns, at)


def one_a_row(truth: Truth, columns: AttributeColumns, at: At) -> BoolArray:
    """Return one bool for each row that is asked."""
    return np.full(count_of(columns, at), truth) if isinstance(truth, bool) else truth


def mask_function(tree: Requirement) -> Mask:
    """Return the function that says which rows meet the requirement."""
    match tree:
        case Compare(name=name):
            return _vms(tree) if name == CURRENT_VMS else _compare(tree)
        case Every(parts=parts):
            return _joined(tuple(mask_function(part) for part in parts), every=True)
        case Some(parts=parts):
            return _joined(tuple(mask_function(part) for part in parts), every=False)
        case Not(part=part):
            inner = mask_function(part)
            return lambda columns, at: _turned(inner(columns, at))


def _turned(truth: Truth) -> Truth:
    return not truth if isinstance(truth, bool) else np.logical_not(truth, out=truth)


def _joined(parts: tuple[Mask, ...], *, every: bool) -> Mask:
    join = np.logical_and if every else np.logical_or

    def mask(columns: AttributeColumns, at: At) -> Truth:
        result: Truth = every
        for part in parts:
            truth = part(columns, at)
            if isinstance(truth, bool):
                if truth is not every:
                    return truth
            else:
                result = truth if isinstance(result, bool) else join(result, truth, out=result)
        return result

    return mask


def _compare(tree: Compare) -> Mask:
    name, changes = tree.name, tree.name in DYNAMIC
    of_numbers = _of_numbers(tree)
    of_codes = asked_once(
        _of_one(_positive(tree)), wanted=tree.operator is not Operator.NOT_EQUAL, equal_to=_plain_value(tree)
    )

    def mask(columns: AttributeColumns, at: At) -> Truth:
        numbers = columns.number(name) if changes else None
        if numbers is not None:
            return of_numbers(part_of(numbers, at))
        said = columns.coded(name)
        if said is None:
            return False
        return of_codes(part_of(said.codes, at), said.values)

    return mask


def _positive(tree: Compare) -> Compare:
    """Return ``=`` for ``!=``; where the host has the attribute, exactly one of them holds."""
    if tree.operator is not Operator.NOT_EQUAL:
        return tree
    return Compare(name=tree.name, operator=Operator.EQUAL, value=tree.value)


def _of_one(tree: Compare) -> Callable[[Actual], bool]:
    holds, name = requirement_function(tree), tree.name
    return lambda actual: holds({name: actual})


def _plain_value(tree: Compare) -> str | float | None:
    """Return what an attribute has to be equal to; None where the comparison asks for something else."""
    if tree.operator not in {Operator.EQUAL, Operator.NOT_EQUAL}:
        return None
    return None if isinstance(tree.value, str) and pattern(tree.value) else tree.value


def _of_numbers(tree: Compare) -> Callable[[FloatArray], Truth]:
    if tree.operator in _ORDERS:
        order, wanted = _ORDERS[tree.operator], wanted_number(tree.value)
        return lambda numbers: order(numbers, wanted)
    equal = _equal_numbers(tree)
    if tree.operator is Operator.NOT_EQUAL:
        return lambda numbers: _turned(equal(numbers))
    return equal


def _equal_numbers(tree: Compare) -> Callable[[FloatArray], Truth]:
    value = tree.value
    number = finite(value) if isinstance(value, str) else value
    if number is not None:
        return lambda numbers: numbers == number
    assert isinstance(value, str), "a number is no text"
    if pattern(value):
        return partial(_each_number, _of_one(_positive(tree)))
    return _NO_NUMBERS.get(value, lambda _: False)


def _each_number(holds: Callable[[Actual], bool], numbers: FloatArray) -> BoolArray:
    distinct, codes = np.unique(numbers, return_inverse=True)
    table = np.fromiter((holds(number) for number in distinct.tolist()), dtype=np.bool_, count=len(distinct))
    return table[codes]


def _vms(tree: Compare) -> Mask:
    """Return the mask of a comparison with the VMs on a host, which all hosts have, if only none."""
    if tree.operator in NUMERIC:
        return _nowhere
    equal = _vms_equal(tree)
    if tree.operator is Operator.NOT_EQUAL:
        return lambda columns, at: _turned(equal(columns, at))
    return equal


def _vms_equal(tree: Compare) -> Mask:
    value = tree.value
    number = finite(value) if isinstance(value, str) else value
    if abs(number) >= _EXACT if number is not None else pattern(str(value)):
        return partial(_rows_one_by_one, _of_one(_positive(tree)))
    if number is None or not number.is_integer():
        return _nowhere
    return partial(_rows_with, int(number))


def _nowhere(_columns: AttributeColumns, _at: At) -> Truth:
    return False


def _rows_with(vm_id: int, columns: AttributeColumns, at: At) -> Truth:
    rows = columns.rows_with_vm(vm_id)
    if not rows:
        return False
    mask = np.zeros(columns.count, dtype=np.bool_)
    for row in rows:
        mask[row] = True
    return part_of(mask, at)


def _rows_one_by_one(holds: Callable[[Actual], bool], columns: AttributeColumns, at: At) -> BoolArray:
    answers = (holds(columns.vm_ids(row)) for row in rows_of(columns, at))
    return np.fromiter(answers, dtype=np.bool_, count=count_of(columns, at))
