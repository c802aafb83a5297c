"""Expressions ready to be asked: parsed once a text, however many VMs carry it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from innkeeper_controller.expressions.meaning import Attributes, rank_function, requirement_function
from innkeeper_controller.expressions.rank import parse_rank
from innkeeper_controller.expressions.requirements import parse_requirements
from innkeeper_controller.expressions.syntax import Rank, Requirement

#: Texts that are remembered.
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class CompiledRequirement:
    """A requirement; equal to another with the same text."""

    text: str
    tree: Requirement = field(compare=False)
    #: Says whether a host meets it.
    holds: Callable[[Attributes], bool] = field(compare=False)


@dataclass(frozen=True, slots=True)
class CompiledRank:
    """A rank; equal to another with the same text."""

    text: str
    tree: Rank = field(compare=False)
    #: Ranks a host: finite, the higher the better.
    of: Callable[[Attributes], float] = field(compare=False)


@lru_cache(_REMEMBERED)
def compile_requirement(text: str) -> CompiledRequirement:
    """Return the requirement that a text means; an empty one requires nothing.

    Raises:
        ExpressionError: it means nothing.
    """
    tree = parse_requirements(text)
    return CompiledRequirement(text, tree, requirement_function(tree))


@lru_cache(_REMEMBERED)
def compile_rank(text: str) -> CompiledRank:
    """Return the rank that a text means; an empty one ranks all hosts the same.

    Raises:
        ExpressionError: it means nothing.
    """
    tree = parse_rank(text)
    return CompiledRank(text, tree, rank_function(tree))
