"""What a template is before anybody knows what its words mean: attributes in the order they were written.

All syntaxes end here; the vocabulary begins here.
"""

import re
from collections.abc import Iterable

from innkeeper_controller.turn import Mistake
from innkeeper_plugins.vocabulary import Value

#: Bytes of one template, in UTF-8.
MAX_TEMPLATE_BYTES = 1 << 20
#: Attributes of one template, the pairs of its vectors counted.
MAX_ATTRIBUTES = 10_000
#: Name of an attribute or key, ASCII only; as an element's name it cannot begin with a digit.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
NAME_RULE = "A name has up to 128 letters, digits and _, no digit first"
#: What may not be inside a value: templates travel in XML documents.
FORBIDDEN_IN_VALUES = "]]>"
#: Characters that XML cannot carry either: control characters, surrogates, non-characters.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAX_CHARACTERS_SHOWN = 10
#: Characters of the author's text that a sentence quotes.
_MAX_SHOWN = 80


class Pair(Value):
    """One ``KEY = value`` of a vector; places are counted from 1, 0 where there is none.

    A value's place is that of its first character, inside quotes.
    """

    #: In upper case.
    key: str
    value: str
    line: int = 0
    column: int = 0
    value_line: int = 0
    value_column: int = 0


class Attribute(Value):
    """One ``NAME = value``, or ``NAME = [ ... ]``; places are counted from 1, 0 where there is none."""

    #: In upper case.
    name: str
    value: str | tuple[Pair, ...]
    line: int = 0
    column: int = 0
    value_line: int = 0
    value_column: int = 0


class Parsed(Value):
    """What was understood of a text, and everything that was not."""

    attributes: tuple[Attribute, ...] = ()
    mistakes: tuple[Mistake, ...] = ()


def prepared(text: str) -> tuple[str, tuple[Mistake, ...]]:
    """Return the text with plain line ends and harmless characters, and what had to be replaced or is too long.

    A text that is too long comes back empty.
    """
    if len(text) > MAX_TEMPLATE_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_TEMPLATE_BYTES:
        message = f"The template is larger than {MAX_TEMPLATE_BYTES} bytes; put large contents into an image instead."
        return "", (Mistake(message=message, line=1, column=1),)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return NOT_XML.sub(" ", text), tuple(_character_mistakes(text))


def _character_mistakes(text: str) -> Iterable[Mistake]:
    for shown, found in enumerate(NOT_XML.finditer(text)):
        if shown == _MAX_CHARACTERS_SHOWN:
            return
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        message = f"The character U+{ord(found[0]):04X} cannot be part of a template; delete it."
        yield Mistake(message=message, line=line, column=column)


def brief(text: str) -> str:
    """Return the text in one line, cut where it is too long to be read in a sentence."""
    line = text.replace("\n", " ")
    return line if len(line) <= _MAX_SHOWN else line[: _MAX_SHOWN - 3] + "..."


def forbidden_mistake(name: str, value: str, line: int, column: int) -> Mistake | None:
    """Return what is wrong with the text of a value, whatever it means."""
    if FORBIDDEN_IN_VALUES not in value:
        return None
    message = f"The value of {name} has {FORBIDDEN_IN_VALUES} in it, which no template may have."
    return Mistake(message=message, field=name, line=line, column=column)


def too_many_mistake(line: int, column: int) -> Mistake:
    """Return the mistake of a template with too many attributes."""
    return Mistake(message=f"The template has more than {MAX_ATTRIBUTES} attributes.", line=line, column=column)
