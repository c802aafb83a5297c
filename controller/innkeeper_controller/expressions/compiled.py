"""Expressions ready to be asked: parsed once a text, however many VMs carry it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from innkeeper_controller.expressions.columns import At, AttributeColumns, BoolArray, FloatArray
from innkeeper_controller.expressions.errors import ExpressionError
from innkeeper_controller.expressions.masks import Mask, Truth, mask_function, one_a_row
from innkeeper_controller.expressions.meaning import Attributes, rank_function, requirement_function
from innkeeper_controller.expressions.names import DYNAMIC
from innkeeper_controller.expressions.rank import parse_rank
from innkeeper_controller.expressions.rank_vectors import Amount, Vector, ranks, vector_function
from innkeeper_controller.expressions.requirements import parse_requirements
from innkeeper_controller.expressions.syntax import Every, Rank, Requirement, describe, names_in

#: Texts that are remembered.
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class CompiledRequirement:
    """A requirement; equal to another with the same text."""

    text: str
    tree: Requirement = field(compare=False)
    #: Says whether a host meets it.
    holds: Callable[[Attributes], bool] = field(compare=False)
    #: Attributes that it asks for.
    names: frozenset[str] = field(compare=False)
    #: True where VMs that come and go change nothing about it, so that its mask may be kept.
    is_static: bool = field(compare=False)
    _mask: Mask = field(compare=False, repr=False)

    def mask(self, columns: AttributeColumns, at: At = None) -> BoolArray:
        """Return which rows meet it, one bool for each that is asked; the array belongs to the caller."""
        return one_a_row(self._mask(columns, at), columns, at)

    def halves(self) -> "tuple[CompiledRequirement | None, CompiledRequirement | None]":
        """Return what it requires that is static, and what it requires beside that; None for nothing.

        The text of a half says the same however the whole was written, so that its mask can be kept under it.
        """
        if self.is_static:
            return self, None
        return _halves(self) or (None, self)


@dataclass(frozen=True, slots=True)
class CompiledRank:
    """A rank; equal to another with the same text."""

    text: str
    tree: Rank = field(compare=False)
    #: Ranks a host: finite, the higher the better.
    of: Callable[[Attributes], float] = field(compare=False)
    #: Attributes that it asks for.
    names: frozenset[str] = field(compare=False)
    #: True where VMs that come and go change nothing about it.
    is_static: bool = field(compare=False)
    _vector: Vector = field(compare=False, repr=False)

    def vector(self, columns: AttributeColumns, at: At = None) -> FloatArray:
        """Return the ranks of the rows that are asked; the array belongs to the caller."""
        return ranks(self._vector, columns, at)


@lru_cache(_REMEMBERED)
def compile_requirement(text: str) -> CompiledRequirement:
    """Return the requirement that a text means; an empty one requires nothing.

    Raises:
        ExpressionError: it means nothing.
    """
    return _requirement(text, parse_requirements(text))


@lru_cache(_REMEMBERED)
def compile_rank(text: str) -> CompiledRank:
    """Return the rank that a text means; an empty one ranks all hosts the same.

    Raises:
        ExpressionError: it means nothing.
    """
    tree = parse_rank(text)
    names = _names(tree)
    return CompiledRank(text, tree, rank_function(tree), names, names.isdisjoint(DYNAMIC), _vector_when_asked(tree))


def _requirement(text: str, tree: Requirement) -> CompiledRequirement:
    names = _names(tree)
    is_static = names.isdisjoint(DYNAMIC)
    return CompiledRequirement(text, tree, requirement_function(tree), names, is_static, _mask_when_asked(tree))


@lru_cache(_REMEMBERED)
def _halves(whole: CompiledRequirement) -> tuple[CompiledRequirement, CompiledRequirement] | None:
    """Return the static and the moving parts of a conjunction; None where it has not both."""
    parts = whole.tree.parts if isinstance(whole.tree, Every) else ()
    is_static = [_names(part).isdisjoint(DYNAMIC) for part in parts]
    if all(is_static) or not any(is_static):
        return None
    static = _half(part for part, fits in zip(parts, is_static, strict=True) if fits)
    moving = _half(part for part, fits in zip(parts, is_static, strict=True) if not fits)
    return static, moving


def _half(parts: Iterable[Requirement]) -> CompiledRequirement:
    """Return the requirement of these parts, the same one for all who have it, with what it learnt of the hosts."""
    first, *others = parts
    tree = Every(parts=(first, *others)) if others else first
    text = describe(tree)
    try:
        return compile_requirement(text)
    except ExpressionError:  # written out it is longer than an expression may be
        return _requirement(text, tree)


def _mask_when_asked(tree: Requirement) -> Mask:
    """Return the mask function of a tree, made when it is asked first: a template that is only checked needs none."""
    made: Mask | None = None

    def mask(columns: AttributeColumns, at: At) -> Truth:
        nonlocal made
        if made is None:
            made = mask_function(tree)
        return made(columns, at)

    return mask


def _vector_when_asked(tree: Rank) -> Vector:
    """Return the vector function of a tree, made when it is asked first."""
    made: Vector | None = None

    def vector(columns: AttributeColumns, at: At) -> Amount:
        nonlocal made
        if made is None:
            made = vector_function(tree)
        return made(columns, at)

    return vector


def _names(tree: Requirement | Rank) -> frozenset[str]:
    return frozenset(name for name, _ in names_in(tree))
