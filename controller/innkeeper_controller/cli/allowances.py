"""What ``inn host set`` and ``inn cluster set`` have in common: the options, what they ask for, and how it is told."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import Room
from innkeeper_controller.cli.output import Json

MIB = 1024 * 1024
#: Says that nothing is decided any longer.
NONE = "none"
#: ``{end of the option: (field, how its help goes on)}``
_FIELDS = {
    "reserved": ("reserved", "kept back for the host itself"),
    "ratio": ("allocation_ratio", "how often the rest may be given away, 1.5"),
    "min": ("min_unit", "the least that one VM takes"),
    "max": ("max_unit", "the most that one VM takes"),
    "step": ("step_size", "what a VM takes is a multiple of it"),
}
_NOUNS = {"cpu": "Cores", "memory": "Memory", "disk": "Each datastore"}
_Function = TypeVar("_Function", bound=Callable[..., object])


class Decided(click.ParamType):  # type: ignore[type-arg]  # older click has none
    """A number, or a size in MiB, or ``none`` to decide it no longer."""

    def __init__(self, *, is_size: bool) -> None:
        """Take numbers, or sizes."""
        self._is_size = is_size
        self.name = "size" if is_size else "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:  # noqa: ANN401 - click's own
        """Return the number, in MiB where it is a size, or ``none``."""
        if not isinstance(value, str):
            return float(value)
        text = value.strip().lower()
        if text == NONE:
            return NONE
        if self._is_size:
            # Below 0 more is given away than there is, as OpenNebula has it.
            sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
            return sign * Room().convert(text, param, ctx) / MIB
        try:
            return float(text)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor {NONE}", param, ctx)


def options(function: _Function) -> _Function:
    """Give a command ``--cpu-ratio``, ``--memory-reserved`` and all the others."""
    for resource in reversed(_NOUNS):
        for end in reversed(_FIELDS):
            is_size = resource != "cpu" and end != "ratio"
            function = click.option(
                f"--{resource}-{end}",
                type=Decided(is_size=is_size),
                metavar="SIZE" if is_size else "N",
                help=f"{_NOUNS[resource]}: {_FIELDS[end][1]}; or {NONE}.",
            )(function)
    return function


def asked(given: Mapping[str, float | str | None]) -> dict[str, object]:
    """Return the parameters of ``host.set`` and ``cluster.set`` that the options stand for.

    Raises:
        click.UsageError: there is none.
    """
    params: dict[str, Any] = {}
    clear: list[str] = []
    for resource in _NOUNS:
        for end, (field, _) in _FIELDS.items():
            value = given.get(f"{resource}_{end}")
            if value == NONE:
                clear.append(f"{resource}.{field}")
            elif value is not None:
                params.setdefault(resource, {})[field] = value
    if not params and not clear:
        raise click.UsageError("Say what to decide: --cpu-ratio 4, --memory-reserved 2G...")
    return params | ({"clear": clear} if clear else {})


def decided(allowances: Json) -> str:
    """Return what is decided, a resource a line: ``cpu: reserved 2, ratio 4``."""
    return "\n".join(f"{resource}: {_rules(resource, rules)}" for resource, rules in sorted(allowances.items()))


def _rules(resource: str, rules: Json) -> str:
    ends = ((end, rules.get(field)) for end, (field, _) in _FIELDS.items())
    return ", ".join(f"{end} {_amount(resource, end, value)}" for end, value in ends if value is not None)


def _amount(resource: str, end: str, value: float) -> str:
    return words.number(value) if resource == "cpu" or end == "ratio" else words.memory(value)


def is_changed(resource: Json) -> bool:
    """Return whether something is decided of a resource, as ``host.show`` tells it."""
    plain = (resource.get("reserved") or 0, resource.get("allocation_ratio", 1)) == (0, 1)
    return not plain or any(resource.get(f"{name}") for name in ("min_unit", "max_unit", "step_size"))


def told(name: str, resource: Json) -> str:
    """Return how much may be given away: ``64 cores, 2 reserved, ratio 4: 248 may be given, 12 are``."""

    def text(value: float) -> str:
        return _amount(name, "", value)

    total = words.cores(resource["total"]) if name == "cpu" else text(resource["total"])
    parts = [total]
    parts += [f"{text(resource['reserved'])} reserved"] if resource.get("reserved") else []
    parts += [f"ratio {words.number(resource['allocation_ratio'])}"] if resource.get("allocation_ratio", 1) != 1 else []
    rules = [
        (f"{word} {text(resource[field])}")
        for field, word in (("min_unit", "at least"), ("max_unit", "at most"), ("step_size", "in steps of"))
        if resource.get(field)
    ]
    each = f"; a VM takes {', '.join(rules)}" if rules else ""
    return f"{', '.join(parts)}: {text(resource['may_give'])} may be given, {text(resource['given'])} are{each}"
