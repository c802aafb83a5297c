"""Why a host does not meet a requirement: the clauses that fail, with what was wanted and what there is.

It says "does not hold" exactly when the compiled requirement does.
"""

from itertools import islice

from innkeeper_controller.expressions.meaning import Actual, Attributes, as_text, requirement_function
from innkeeper_controller.expressions.syntax import Compare, Every, Not, Requirement, describe, names_in
from innkeeper_plugins.vocabulary import Value

#: More than this are not told of one host.
MAX_OBSTACLES = 16
_MAX_SHOWN = 60


class Obstacle(Value):
    """One clause that a host fails."""

    #: The clause as text: ``FREE_CPU > 400``.
    clause: str
    #: What the host has for each attribute in it: ``(("FREE_CPU", "350"),)``; empty text where it lacks one.
    actual: tuple[tuple[str, str], ...]
    #: ``FREE_CPU > 400 is required, but it is 350``; without a full stop.
    message: str


def obstacles(tree: Requirement, attributes: Attributes) -> tuple[Obstacle, ...]:
    """Return the clauses that fail on a host; empty exactly when it meets the requirement.

    The parts of a conjunction that fail are told one by one, at most ``MAX_OBSTACLES``; a disjunction is one clause.
    """
    return tuple(islice(dict.fromkeys(_failing(tree, attributes, wanted=True)), MAX_OBSTACLES))


def _failing(tree: Requirement, attributes: Attributes, *, wanted: bool) -> list[Obstacle]:
    """Return why the tree is not ``wanted``."""
    if isinstance(tree, Not):
        return _failing(tree.part, attributes, wanted=not wanted)
    if isinstance(tree, Compare):
        holds = requirement_function(tree)(attributes)
        return [] if holds == wanted else [_obstacle(tree, attributes, wanted=wanted)]
    inner = [_failing(part, attributes, wanted=wanted) for part in tree.parts]
    if isinstance(tree, Every) == wanted:
        return [each for part in inner for each in part]
    return [] if any(not part for part in inner) else [_obstacle(tree, attributes, wanted=wanted)]


def _obstacle(tree: Requirement, attributes: Attributes, *, wanted: bool) -> Obstacle:
    clause = describe(tree) if wanted else describe(Not(part=tree))
    names = dict(names_in(tree))
    actual = tuple((name, _shown(attributes.get(name))) for name in names)
    return Obstacle(clause=clause, actual=actual, message=f"{clause} is required, but {_what_is(actual)}")


def _what_is(actual: tuple[tuple[str, str], ...]) -> str:
    if len(actual) == 1:
        ((name, text),) = actual
        return f"it is {text}" if text else f"the host has no {name}"
    return ", ".join(f"{name} is {text or 'missing'}" for name, text in actual) or "nothing can meet it"


def _shown(actual: Actual | None) -> str:
    if actual is None:
        return ""
    text = ", ".join(as_text(each) for each in actual) or "none" if isinstance(actual, tuple) else as_text(actual)
    text = text or '""'
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
