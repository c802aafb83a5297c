"""YAML with the vocabulary of the text syntax: a mapping of names to values, mappings (vectors) or lists of them.

Nothing is resolved: ``52:54:00:12:34:56`` and ``yes`` stay the text that was written.
Anchors, aliases, tags and a second document are refused, so a small text cannot grow into a large one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from innkeeper_controller.templates.attributes import (
    MAX_ATTRIBUTES,
    NAME,
    NAME_RULE,
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

#: Characters of a template in YAML, whose parser takes a hundred times as long as those of the other syntaxes.
MAX_CHARACTERS = 1 << 18
#: Characters of the parser's own words that are told.
_MAX_WORDS = 240
#: Plain words that mean "nothing" in YAML.
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
#: NAME: [ { KEY: value } ] is as deep as a template goes.
_MAX_DEPTH = 3


def scan(text: str) -> Parsed:
    """Return the attributes of a template in YAML, with the mistakes in it; a broken text ends at its first one."""
    text, mistakes = prepared(text)
    if len(text) > MAX_CHARACTERS:
        message = (
            f"A template in YAML has at most {MAX_CHARACTERS} characters; write a larger one in text syntax or XML."
        )
        return Parsed(mistakes=(*mistakes, Mistake(message=message, line=1, column=1)))
    reader = _Reader(text)
    try:
        reader.document()
    except _StopError as stop:
        reader.mistakes.append(stop.mistake)
    except MarkedYAMLError as error:
        reader.mistakes.append(_yaml_mistake(error))
    except (YAMLError, ValueError, OverflowError, AssertionError) as error:
        # The last three: numbers of directives and escapes that the parser did not expect.
        reader.mistakes.append(Mistake(message=f"This is not YAML: {str(error)[:_MAX_WORDS]}.", line=1, column=1))
    return Parsed(attributes=tuple(reader.attributes), mistakes=(*mistakes, *reader.mistakes))


def _yaml_mistake(error: MarkedYAMLError) -> Mistake:
    mark = error.problem_mark or error.context_mark
    what = ": ".join(str(each) for each in (error.context, error.problem) if each)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Mistake(message=f"This is not YAML: {what[:_MAX_WORDS]}.", line=line, column=column)


class _StopError(Exception):
    """Nothing behind this mistake can be understood."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.message)
        self.mistake = mistake


def _place(event: Event) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _value_place(event: Event) -> tuple[int, int]:
    """Return the place of a value's first character, inside quotes."""
    line, column = _place(event)
    return line, column + (getattr(event, "style", None) in {"'", '"'})


def _mistake(event: Event, message: str, *, field: str = "") -> Mistake:
    line, column = _place(event)
    return Mistake(message=message, field=field, line=line, column=column)


@dataclass(frozen=True, slots=True)
class _Node:
    """One value with all that is in it."""

    event: NodeEvent
    #: Text of a scalar.
    text: str = ""
    #: Values of a list.
    items: tuple["_Node", ...] | None = None
    #: Keys and values of a mapping.
    pairs: tuple[tuple["_Node", "_Node"], ...] | None = None


class _Reader:
    """Takes one stream of events apart; made for it and used once."""

    def __init__(self, text: str) -> None:
        self.attributes: list[Attribute] = []
        self.mistakes: list[Mistake] = []
        self._events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)
        self._count = 0
        #: ``{name: line}`` of the names on top, which a mapping has once.
        self._lines: dict[str, int] = {}

    def document(self) -> None:
        """Take the one document there may be."""
        event = next(self._events)
        while not isinstance(event, NodeEvent | StreamEndEvent):
            event = next(self._events)
        if isinstance(event, MappingStartEvent):
            while not isinstance(event := next(self._events), CollectionEndEvent):
                if len(self.mistakes) >= MAX_MISTAKES:
                    return
                self._attribute(self._node(event, _MAX_DEPTH), self._node(next(self._events), _MAX_DEPTH))
        elif not isinstance(event, StreamEndEvent | ScalarEvent) or getattr(event, "value", "") not in _NULLS:
            raise _StopError(_mistake(event, "A template in YAML is a mapping, NAME: value, one a line."))
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                raise _StopError(_mistake(event, "A template is one YAML document; delete the --- and what follows."))

    # Nodes

    def _node(self, event: Event, depth: int) -> _Node:
        self._check(event, depth)
        if isinstance(event, ScalarEvent):
            is_null = event.style is None and event.value in _NULLS
            return _Node(event, text="" if is_null else event.value)
        parts = []
        while not isinstance(part := next(self._events), CollectionEndEvent):
            parts.append(self._node(part, depth - 1))
        assert isinstance(event, NodeEvent), "the parser gives whole collections"
        if isinstance(event, SequenceStartEvent):
            return _Node(event, items=tuple(parts))
        return _Node(event, pairs=tuple(zip(parts[::2], parts[1::2], strict=True)))

    def _check(self, event: Event, depth: int) -> None:
        self._count += 1
        if self._count > 2 * MAX_ATTRIBUTES + 2:
            raise _StopError(too_many_mistake(*_place(event)))
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise _StopError(_mistake(event, "A template has no anchors and aliases; write the value out."))
        if tag := getattr(event, "tag", None):
            raise _StopError(_mistake(event, f"A template has no tags; delete {brief(str(tag))}."))
        if depth == 0 and not isinstance(event, ScalarEvent):
            raise _StopError(_mistake(event, "This is nested too deeply; a vector has plain values only."))

    # Attributes

    def _attribute(self, key: _Node, value: _Node) -> None:
        name = self._name(key)
        if not name:
            return
        line, _ = _place(key.event)
        if name in self._lines:
            text = f"{name} stands on line {self._lines[name]} already; to repeat it, give it a list."
            self.mistakes.append(_mistake(key.event, text, field=name))
            return
        self._lines[name] = line
        if value.items is None:
            self._add(name, key, value)
        for each in value.items or ():
            self._add(name, each, each)

    def _add(self, name: str, place: _Node, value: _Node) -> None:
        if value.items is not None:
            self.mistakes.append(_mistake(value.event, f"{name} has a list inside a list.", field=name))
            return
        (line, column), (value_line, value_column) = _place(place.event), _value_place(value.event)
        self.attributes.append(
            Attribute(
                name=name,
                value=self._text(name, value) if value.pairs is None else self._vector(name, value.pairs),
                line=line,
                column=column,
                value_line=value_line,
                value_column=value_column,
            )
        )

    def _vector(self, name: str, pairs: tuple[tuple[_Node, _Node], ...]) -> tuple[Pair, ...]:
        found: dict[str, Pair] = {}
        for key_node, value in pairs:
            key = self._name(key_node)
            if key in found:
                self.mistakes.append(_mistake(key_node.event, f"{key} stands in this {name} already.", field=name))
            elif key and (value.items is not None or value.pairs is not None):
                text = f'{key} in {name} has to be one value; several go into one text: {key}: "one, two".'
                self.mistakes.append(_mistake(value.event, text, field=f"{name}/{key}"))
            elif key:
                found[key] = self._pair(key, key_node, value)
        return tuple(found.values())

    def _pair(self, key: str, key_node: _Node, value: _Node) -> Pair:
        (line, column), (value_line, value_column) = _place(key_node.event), _value_place(value.event)
        text = self._text(key, value)
        return Pair(key=key, value=text, line=line, column=column, value_line=value_line, value_column=value_column)

    def _name(self, key: _Node) -> str:
        """Return the name in upper case; empty, with a mistake, where it is none."""
        if key.items is None and key.pairs is None and NAME.fullmatch(key.text):
            return key.text.upper()
        text = f"{NAME_RULE}, not {brief(key.text) or 'this'}."
        self.mistakes.append(_mistake(key.event, text))
        return ""

    def _text(self, name: str, value: _Node) -> str:
        mistake = forbidden_mistake(name, value.text, *_place(value.event))
        if mistake:
            self.mistakes.append(mistake)
        return value.text
