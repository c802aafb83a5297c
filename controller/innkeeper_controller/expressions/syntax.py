"""What expressions are made of: the trees that the parsers build and everything else reads.

Trees are as deep as the parentheses of the text, never as deep as it is long.
"""

from enum import StrEnum
from typing import TypeAlias

from innkeeper_plugins.vocabulary import Value

#: Characters of an expression, at most.
MAX_LENGTH = 4096
#: Parentheses, negations and changes between ``&`` and ``|`` inside each other, at most.
MAX_DEPTH = 50


class Operator(StrEnum):
    """How a requirement compares an attribute with a value."""

    EQUAL = "="
    NOT_EQUAL = "!="
    GREATER = ">"
    LESS = "<"
    GREATER_OR_EQUAL = ">="
    LESS_OR_EQUAL = "<="
    CONTAINS = "@>"


#: Operators that only make sense for numbers.
NUMERIC = frozenset({Operator.GREATER, Operator.LESS, Operator.GREATER_OR_EQUAL, Operator.LESS_OR_EQUAL})


class Compare(Value):
    """One attribute against one value."""

    #: In upper case.
    name: str
    operator: Operator
    #: A number where the value was written without quotes and is one.
    value: str | float
    #: Where in the text the attribute stands, characters from 0.
    position: int = 0


class Every(Value):
    """All of the parts hold; with no parts it always holds."""

    parts: tuple["Requirement", ...]


class Some(Value):
    """At least one of the parts holds."""

    parts: tuple["Requirement", ...]


class Not(Value):
    """The part does not hold."""

    part: "Requirement"


Requirement: TypeAlias = Compare | Every | Some | Not


class Number(Value):
    """A number in a rank."""

    value: float


class Name(Value):
    """An attribute in a rank, in upper case."""

    name: str
    position: int = 0


class Negative(Value):
    """The part with the other sign."""

    part: "Rank"


class Chain(Value):
    """Terms of one precedence, taken from left to right: ``first + a - b``."""

    first: "Rank"
    #: Sign (``+ - * /``) and the term behind it.
    rest: tuple[tuple[str, "Rank"], ...]


Rank: TypeAlias = Number | Name | Negative | Chain


def names_in(tree: Requirement | Rank) -> tuple[tuple[str, int], ...]:
    """Return the attributes that the expression asks for, each with its place in the text."""
    match tree:
        case Compare() | Name():
            return ((tree.name, tree.position),)
        case Every(parts=parts) | Some(parts=parts):
            return tuple(each for part in parts for each in names_in(part))
        case Not(part=part):
            return names_in(part)
        case Negative(part=term):
            return names_in(term)
        case Chain(first=first, rest=rest):
            return names_in(first) + tuple(each for _, term in rest for each in names_in(term))
        case Number():
            return ()


def describe(tree: Requirement) -> str:
    """Return the requirement as text that parses to the same requirement."""
    match tree:
        case Compare(name=name, operator=operator, value=value):
            return f"{name} {operator} {_quoted(value) if isinstance(value, str) else number_text(value)}"
        case Every(parts=parts):
            return " & ".join(_grouped(part) for part in parts)
        case Some(parts=parts):
            return " | ".join(_grouped(part) for part in parts)
        case Not(part=part):
            return f"!{describe(part) if isinstance(part, Not) else f'({describe(part)})'}"


def _grouped(part: Requirement) -> str:
    return f"({describe(part)})" if isinstance(part, Every | Some) else describe(part)


def _quoted(value: str) -> str:
    return f"'{value}'" if '"' in value else f'"{value}"'


def number_text(value: float) -> str:
    """Return the shortest text of a number: ``4``, not ``4.0``."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)  # noqa: PLR2004 - exact in a float
