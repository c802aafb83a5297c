"""Arguments of a method: how many, of which types, and which may be left out.

Clients of many ages call, so a number may come as text and the reverse; what cannot be meant is refused by name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from innkeeper_controller.turn import RefusalError

_MAX_INT: Final = 2**63
#: Shown of a value that is refused.
_MAX_SHOWN: Final = 40
_TRUE: Final = frozenset({"true", "yes", "1"})
_FALSE: Final = frozenset({"false", "no", "0", ""})


class _Required:
    """Stands for a default that there is not."""


REQUIRED: Final = _Required()


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument after the session."""

    name: str
    #: ``int``, ``string``, ``bool`` or ``array``, as the reference shows it.
    kind: str
    read: Callable[[Any], Any]
    #: ``REQUIRED``, or what it is where the client leaves it out.
    default: Any = REQUIRED


def _integer(value: Any) -> int:  # noqa: ANN401 - whatever a client sends
    if isinstance(value, str | float) and not isinstance(value, bool):
        value = int(value.strip()) if isinstance(value, str) else int(value)
    if isinstance(value, int) and -_MAX_INT <= value < _MAX_INT:
        return int(value)
    raise ValueError


def _text(value: Any) -> str:  # noqa: ANN401 - whatever a client sends
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "YES" if value else "NO"
    if isinstance(value, int | float):
        return str(value)
    raise ValueError


def _truth(value: Any) -> bool:  # noqa: ANN401 - whatever a client sends
    if isinstance(value, bool | int):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE:
        return value.strip().lower() in _TRUE
    raise ValueError


def _integers(value: Any) -> tuple[int, ...]:  # noqa: ANN401 - whatever a client sends
    return tuple(_integer(each) for each in (value if isinstance(value, list) else [value]))


def integer(name: str, default: int | _Required = REQUIRED) -> Argument:
    """Return an argument that is a number."""
    return Argument(name, "int", _integer, default)


def text(name: str, default: str | _Required = REQUIRED) -> Argument:
    """Return an argument that is a text."""
    return Argument(name, "string", _text, default)


def truth(name: str, default: bool | _Required = REQUIRED) -> Argument:  # noqa: FBT001 - a column of the table
    """Return an argument that is true or false."""
    return Argument(name, "bool", _truth, default)


def integers(name: str) -> Argument:
    """Return an argument that is a list of numbers, and may be left out."""
    return Argument(name, "array", _integers, ())


def either(name: str, default: int | str) -> Argument:
    """Return an argument that was a text in one age and a number in another."""
    return Argument(name, "int or string", lambda value: value if isinstance(value, int) else _text(value), default)


def read(arguments: Sequence[Argument], given: Sequence[Any]) -> dict[str, Any]:
    """Return ``{name: value}`` of what a client gave behind the session.

    Raises:
        RefusalError: ``bad_request``: there are too many or too few, or one is of the wrong type.
    """
    if len(given) > len(arguments):
        expected = ", ".join(each.name for each in arguments) or "none"
        raise RefusalError("bad_request", f"{len(given)} arguments are too many; there are: {expected}.")
    values: dict[str, Any] = {}
    for position, argument in enumerate(arguments):
        if position >= len(given):
            if argument.default is REQUIRED:
                raise RefusalError("bad_request", f"Argument {position + 1}, {argument.name}, is missing.")
            values[argument.name] = argument.default
            continue
        try:
            values[argument.name] = argument.read(given[position])
        except (ValueError, OverflowError) as error:
            shown = repr(given[position])[:_MAX_SHOWN]
            text_ = f"Argument {position + 1}, {argument.name}, has to be of type {argument.kind}; it is {shown}."
            raise RefusalError("bad_request", text_) from error
    return values
