"""Text of XML elements: escaped once, in the order that it is given, with nothing that XML 1.0 forbids.

It knows no element by name, and parses no XML.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from innkeeper_controller.templates import attributes_of
from innkeeper_controller.templates.attributes import Attribute

#: Stands for a character that no XML document may have.
REPLACEMENT = "\ufffd"
#: A carriage return is written as a reference, because parsers turn a bare one into a line feed.
_REFERENCES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_SPECIAL = re.compile("[&<>\r]|[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_find_special = _SPECIAL.search
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")
_NAME_START = re.compile(r"[A-Za-z_]")
#: Values that are kept parsed; the attributes of VMs of one template are the same.
_REMEMBERED = 4096


def escaped(text: str) -> str:
    """Return the text as it stands between tags."""
    return _SPECIAL.sub(_reference, text) if _find_special(text) else text


def _reference(found: re.Match[str]) -> str:
    return _REFERENCES.get(found[0], REPLACEMENT)


def element(name: str, value: str | float) -> str:
    """Return an element with text in it; a whole number has no decimal point."""
    return f"<{name}>{escaped(value) if isinstance(value, str) else number(value)}</{name}>"


def number(value: float) -> str:
    """Return a number as OpenNebula's clients read it: no exponent, no decimal point where it is whole."""
    if isinstance(value, int):
        return str(int(value))
    return f"{value:.6f}".rstrip("0").rstrip(".")


def optional(name: str, value: str | float | None) -> str:
    """Return an element with text in it, or nothing where there is none to say."""
    return "" if value is None or value == "" else element(name, value)


def moment(at_s: float | None) -> int:
    """Return a moment in whole seconds; 0 for not yet."""
    return int(at_s) if at_s else 0


def ids(name: str, numbers: Iterable[int]) -> str:
    """Return an element with an ``ID`` for each number, in their order."""
    return f"<{name}>{''.join(f'<ID>{each}</ID>' for each in numbers)}</{name}>"


def vector(name: str, values: Mapping[str, str | float | None]) -> str:
    """Return an element with one inside for each value; those that are None or empty are left out."""
    # One comprehension, because lists of thousands of VMs are made of nothing else.
    inside = [
        f"<{key}>{escaped(value) if isinstance(value, str) else number(value)}</{key}>"
        for key, value in values.items()
        if value is not None and value != ""
    ]
    return f"<{name}>{''.join(inside)}</{name}>"


@lru_cache(maxsize=_REMEMBERED)
def name_of(text: str) -> str:
    """Return the element name that comes nearest to the text; what names may not have becomes ``_``."""
    name = _NOT_IN_NAMES.sub("_", text)
    return name if _NAME_START.match(name) else f"_{name}"


def attributes(values: Mapping[str, str]) -> str:
    """Return what people noted of a thing, as elements; ``[ K = v ]`` is a vector, one a line several of them."""
    return "".join(_noted(name, value) for name, value in values.items())


def _noted(name: str, value: str) -> str:
    return _vectors(name, value) if value.startswith("[") else element(name_of(name), value)


@lru_cache(maxsize=_REMEMBERED)
def _vectors(name: str, value: str) -> str:
    return of_attributes(attributes_of({name: value}))


def of_attributes(parsed: Iterable[Attribute]) -> str:
    """Return a template's attributes as elements, in the order they were written."""
    return "".join(_of_attribute(each) for each in parsed)


def _of_attribute(attribute: Attribute) -> str:
    name = name_of(attribute.name)
    if isinstance(attribute.value, str):
        return element(name, attribute.value)
    pairs = "".join(element(name_of(pair.key), pair.value) for pair in attribute.value)
    return f"<{name}>{pairs}</{name}>"
