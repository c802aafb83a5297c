"""OpenNebula's XML syntax: an element an attribute, a vector where it has elements in it; to attributes, and back.

It knows no attribute by name, and not even the name of the root.
Document types, processing instructions and entities are refused, so a small text cannot grow into a large one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.parsers import expat

from innkeeper_controller.templates.attributes import (
    MAX_ATTRIBUTES,
    NAME,
    NAME_RULE,
    NOT_XML,
    Attribute,
    Pair,
    Parsed,
    brief,
    forbidden_mistake,
    prepared,
    too_many_mistake,
)
from innkeeper_controller.templates.errors import MAX_MISTAKES
from innkeeper_controller.turn import Mistake

#: Root, attribute, key: what is deeper means nothing.
_MAX_DEPTH = 3
_ATTRIBUTE_DEPTH = 2
_BLANKS = re.compile(r"\s*")


def scan(text: str) -> Parsed:
    """Return the attributes of a template in XML, with the mistakes in it; a broken text ends at its first one."""
    text, mistakes = prepared(text)
    reader = _Reader(text)
    reader.run()
    return Parsed(attributes=tuple(reader.attributes), mistakes=(*mistakes, *reader.mistakes))


def render(attributes: Iterable[Attribute], root: str = "TEMPLATE") -> str:
    """Return the attributes in XML, without blanks between elements and always well-formed.

    Parsing it gives the same attributes, but that an empty vector becomes an empty value: XML cannot tell them apart.

    Args:
        attributes: In their order.
        root: Name of the element around them.
    """
    return f"<{root}>{''.join(_element(each.name, _contents(each.value)) for each in attributes)}</{root}>"


def _contents(value: str | tuple[Pair, ...]) -> str:
    if isinstance(value, tuple):
        return "".join(_element(pair.key, _contents(pair.value)) for pair in value)
    if not value:
        return ""
    return f"<![CDATA[{NOT_XML.sub(' ', value).replace(']]>', ']]]]><![CDATA[>')}]]>"


def _element(name: str, contents: str) -> str:
    # Databases of older releases may hold names that begin with a digit, which no element can.
    name = f"_{name}" if name[:1].isdigit() else name
    return f"<{name}>{contents}</{name}>"


class _StopError(Exception):
    """Nothing behind the last mistake is worth to be understood."""


@dataclass(slots=True)
class _Element:
    """An element whose end has not come yet."""

    name: str
    line: int
    column: int
    value_line: int = 0
    value_column: int = 0
    texts: list[str] = field(default_factory=list)
    #: Which of the texts are those of CDATA sections, and what stands between them: blanks count there.
    exact_from: int | None = None
    exact_to: int = 0
    pairs: dict[str, Pair] | None = None

    @property
    def text(self) -> str:
        """What it says; blanks at its ends only make a document pretty, unless they stand in a CDATA section."""
        if self.exact_from is None:
            return "".join(self.texts).strip()
        before, after = "".join(self.texts[: self.exact_from]), "".join(self.texts[self.exact_to :])
        return before.lstrip() + "".join(self.texts[self.exact_from : self.exact_to]) + after.rstrip()


class _Reader:
    """Takes one document apart; made for it and used once."""

    def __init__(self, text: str) -> None:
        self.attributes: list[Attribute] = []
        self.mistakes: list[Mistake] = []
        blanks = _BLANKS.match(text)
        before = blanks[0] if blanks else ""
        #: Blanks before an XML declaration are no XML, but people send them.
        self._text = text[len(before) :]
        self._lines_before = before.count("\n")
        self._columns_before = len(before) - before.rfind("\n") - 1
        self._open: list[_Element] = []
        self._count = 0
        self._in_cdata = False
        self._parser = self._made()

    def _made(self) -> expat.XMLParserType:
        # The text is characters already: whatever encoding its declaration names does not matter.
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._on_text
        parser.StartCdataSectionHandler = self._on_cdata
        parser.EndCdataSectionHandler = self._on_cdata_end
        parser.StartDoctypeDeclHandler = self._on_doctype
        parser.ProcessingInstructionHandler = self._on_instruction
        return parser

    def run(self) -> None:
        """Take the whole document."""
        try:
            self._parser.Parse(self._text.encode(), True)  # noqa: FBT003 - the parser takes no keywords
        except _StopError:
            return
        except expat.ExpatError as error:
            why = expat.ErrorString(error.code)
            opened = self._open[-1] if self._open else None
            still = f"; <{brief(opened.name)}> of line {opened.line} is open" if opened else ""
            line, column = self._placed(error.lineno, error.offset)
            self.mistakes.append(Mistake(message=f"This is not XML: {why}{still}.", line=line, column=column))

    def _place(self) -> tuple[int, int]:
        return self._placed(self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber)

    def _placed(self, line: int, column: int) -> tuple[int, int]:
        """Return line and column, counted from 1, in the text as it was sent."""
        return line + self._lines_before, column + 1 + (self._columns_before if line == 1 else 0)

    def _add(self, message: str, place: tuple[int, int], *, name: str = "") -> None:
        line, column = place
        self._note(Mistake(message=message, field=name, line=line, column=column))

    def _note(self, mistake: Mistake) -> None:
        self.mistakes.append(mistake)
        if len(self.mistakes) >= MAX_MISTAKES:
            raise _StopError

    def _refuse(self, message: str) -> None:
        self._add(message, self._place())
        raise _StopError

    # What the parser calls

    def _on_doctype(self, *_: object) -> None:
        self._refuse("A template has no document type and no entities; delete the <!DOCTYPE ...>.")

    def _on_instruction(self, target: str, _: str) -> None:
        self._refuse(f"A template has no processing instructions; delete <?{brief(target)} ...?>.")

    def _on_start(self, name: str, _: dict[str, str]) -> None:
        line, column = self._place()
        depth = len(self._open) + 1
        if depth == _MAX_DEPTH + 1:
            self._add(f"<{brief(name)}> is nested too deeply; a vector has plain values only.", (line, column))
        if depth == _MAX_DEPTH and self._open[-1].pairs is None:
            self._open[-1].pairs = {}
        self._open.append(_Element(name, line, column))
        self._count += depth > 1
        if self._count > MAX_ATTRIBUTES:
            self.mistakes.append(too_many_mistake(line, column))
            raise _StopError

    def _on_cdata(self) -> None:
        self._in_cdata = True
        element = self._open[-1]
        if element.exact_from is None:
            element.exact_from = len(element.texts)

    def _on_cdata_end(self) -> None:
        self._in_cdata = False
        self._open[-1].exact_to = len(self._open[-1].texts)

    def _on_text(self, text: str) -> None:
        element = self._open[-1]
        if not element.texts and not self._in_cdata and text.isspace():
            return
        if not element.value_line:
            element.value_line, element.value_column = self._place()
        element.texts.append(text)

    def _on_end(self, _: str) -> None:
        element, depth = self._open.pop(), len(self._open) + 1
        if depth == 1:
            if element.text:
                place = (element.value_line, element.value_column)
                self._add(f"{brief(element.text)} stands outside of all attributes.", place)
        elif depth <= _MAX_DEPTH:
            self._take(element, depth)

    # Attributes

    def _take(self, element: _Element, depth: int) -> None:
        name, place = element.name.upper(), (element.line, element.column)
        if not NAME.fullmatch(name):
            self._add(f"{NAME_RULE}, not {brief(element.name)}.", place)
            return
        value = self._value(element, name)
        value_line, value_column = element.value_line or element.line, element.value_column or element.column
        if depth == _ATTRIBUTE_DEPTH:
            self.attributes.append(
                Attribute(
                    name=name,
                    value=value,
                    line=element.line,
                    column=element.column,
                    value_line=value_line,
                    value_column=value_column,
                )
            )
            return
        pairs = self._open[-1].pairs
        assert pairs is not None, "its first key made it"
        assert isinstance(value, str), "only an attribute gets pairs"
        pair = Pair(
            key=name,
            value=value,
            line=element.line,
            column=element.column,
            value_line=value_line,
            value_column=value_column,
        )
        pairs.setdefault(name, pair)

    def _value(self, element: _Element, name: str) -> str | tuple[Pair, ...]:
        text, place = element.text, (element.value_line, element.value_column)
        if element.pairs is not None:
            if text:
                self._add(f"{name} has text beside its elements: {brief(text)}.", place, name=name)
            return tuple(element.pairs.values())
        mistake = forbidden_mistake(name, text, *place)
        if mistake:
            self._note(mistake)
        return text.replace("\r\n", "\n").replace("\r", "\n")
