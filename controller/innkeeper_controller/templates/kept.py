"""Attributes that are kept without being acted on: from a template to a record's texts, and back to attributes.

A record has ``{name: text}``: a vector is the text of it, and a repeated attribute has a line for each.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from innkeeper_controller.templates.attributes import Attribute, Pair
from innkeeper_controller.templates.text import shown_vector

_KEY = r"([A-Za-z0-9_]{1,128}) = "
_QUOTED = r'"((?:[^"\\]+|\\"|\\)*+)"'
_PAIR = re.compile(rf"{_KEY}(?:{_QUOTED}|([^ \t\n\v\f,=#\[\]\"]+))")


def kept_as_text(attributes: Sequence[Attribute]) -> dict[str, str]:
    """Return attributes by name, vectors as text; a repeated one has a line for each."""
    found: dict[str, list[str]] = {}
    for each in attributes:
        text = each.value if isinstance(each.value, str) else shown_vector(each.value)
        found.setdefault(each.name, []).append(text)
    return {name: "\n".join(texts) for name, texts in found.items()}


def attributes_of(kept: Mapping[str, str]) -> tuple[Attribute, ...]:
    """Return the attributes that a record's texts were made of, without places.

    A text that is not one vector or several is one value, so a repeated single attribute comes back as one of several
    lines.
    """
    return tuple(
        Attribute(name=name, value=value) for name, text in kept.items() for value in _vectors(text) or (text,)
    )


def merged(attributes: Sequence[Attribute], extra: Sequence[Attribute]) -> tuple[Attribute, ...]:
    """Return the attributes with those of ``extra`` appended as OpenNebula does: each replaces all of its name."""
    names = {each.name for each in extra}
    return (*(each for each in attributes if each.name not in names), *extra)


def _vectors(text: str) -> tuple[tuple[Pair, ...], ...]:
    """Return the vectors that a text shows, one or several; none where it is anything else."""
    found: list[tuple[Pair, ...]] = []
    at = 0
    while text.startswith("[ ", at):
        pairs, at = _pairs(text, at + 2)
        if not text.startswith("]", at):
            return ()
        found.append(tuple(pairs))
        at += 1
        if at == len(text):
            return tuple(found)
        if text[at] != "\n":
            return ()
        at += 1
    return ()


def _pairs(text: str, at: int) -> tuple[Iterable[Pair], int]:
    """Return the pairs that begin at an offset, and the offset behind them and their blank."""
    pairs: dict[str, Pair] = {}
    while match := _PAIR.match(text, at):
        key, quoted, bare = match.groups()
        pairs.setdefault(key, Pair(key=key, value=bare if quoted is None else quoted.replace('\\"', '"')))
        at = match.end()
        if text.startswith(", ", at):
            at += 2
        elif text.startswith(" ", at):
            return pairs.values(), at + 1
        else:
            return pairs.values(), at
    return pairs.values(), at
