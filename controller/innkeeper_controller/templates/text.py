"""OpenNebula's text syntax: ``NAME = value`` and ``NAME = [ KEY = value, ... ]`` to attributes, and back.

It knows no attribute by name.
"""

import re
from collections.abc import Iterable, Sequence

from innkeeper_controller.templates import xml_syntax
from innkeeper_controller.templates.attributes import Attribute, Pair, Parsed, prepared
from innkeeper_controller.templates.scanner import Scanner

#: What can stand without quotes.
_BARE = re.compile(r"[^ \t\n\v\f,=#\[\]]+")


def scan(text: str) -> Parsed:
    """Return the attributes of a template in text syntax, with every mistake in it."""
    text, mistakes = prepared(text)
    scanner = Scanner(text)
    scanner.run()
    found = tuple(attribute for _, attribute in scanner.found)
    return Parsed(attributes=found, mistakes=(*mistakes, *(mistake for _, mistake in scanner.mistakes)))


def render(attributes: Sequence[Attribute]) -> str:
    """Return the attributes in text syntax, one a line; parsing it gives the same attributes.

    Where a value ends in a backslash and needs quotes, text syntax cannot say it, and all of it comes in XML.
    """
    try:
        return "".join(f"{each.name} = {render_value(each.value)}\n" for each in attributes)
    except ValueError:
        return xml_syntax.render(attributes)


def shown_vector(pairs: Iterable[Pair]) -> str:
    """Return a vector as people read it; unlike ``render`` it takes any value, and may not parse to the same."""
    shown = ", ".join(f"{pair.key} = {_shown(pair.value)}" for pair in pairs)
    return f"[ {shown} ]" if shown else "[ ]"


def _shown(value: str) -> str:
    try:
        return render_value(value)
    except ValueError:
        return _quoted(value)


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '\\"') + '"'


def render_value(value: str | tuple[Pair, ...]) -> str:
    """Return one value in text syntax, quoted; a vector in brackets.

    Raises:
        ValueError: a value ends in a backslash and needs quotes: the syntax cannot say that.
    """
    if isinstance(value, tuple):
        pairs = ", ".join(f"{pair.key} = {render_value(pair.value)}" for pair in value)
        return f"[ {pairs} ]" if pairs else "[ ]"
    if not value.endswith("\\"):
        return _quoted(value)
    if _BARE.fullmatch(value) and not value.startswith('"'):
        return value
    raise ValueError(f"text syntax cannot write a value that ends in a backslash: {value!r}")
