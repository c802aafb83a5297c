"""Attributes against a table of the vocabulary: typed values out, and every mistake and remark on the way.

What attributes mean together is not checked here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from innkeeper_controller.templates.attributes import Attribute, Pair, brief
from innkeeper_controller.templates.errors import close_to
from innkeeper_controller.templates.values import Scalar, WrongValueError, may_be_empty, typed
from innkeeper_controller.templates.vocabulary import Field, Kind, Table, Use
from innkeeper_controller.turn import Mistake

#: Attributes of people's own that are close to one of ours by chance.
_OWN = frozenset({"TEMPLATE", "VM_ID", "INPUTS"})
#: What people write for what we call otherwise.
_MEANT = {"RAM": "MEMORY", "MEM": "MEMORY", "CPUS": "VCPU", "CORES": "CPU", "NETWORKS": "NIC", "INTERFACE": "NIC"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One value with the place where it was written."""

    value: Scalar
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """The values of one vector, or of the template's top."""

    entries: Mapping[str, Entry]
    line: int = 0
    column: int = 0
    #: True where a key was wrong, so that what seems to be missing may be what was meant by it.
    is_damaged: bool = False

    def text(self, name: str, default: str = "") -> str:
        """Return a text, choice or address."""
        entry = self.entries.get(name)
        return default if entry is None else str(entry.value)

    def integer(self, name: str, default: int = 0) -> int:
        """Return a whole number."""
        entry = self.entries.get(name)
        return default if entry is None else int(entry.value)

    def number(self, name: str, default: float) -> float:
        """Return a number."""
        entry = self.entries.get(name)
        return default if entry is None else float(entry.value)

    def flag(self, name: str) -> bool:
        """Return whether something was said to be so."""
        entry = self.entries.get(name)
        return entry is not None and bool(entry.value)

    def place(self, name: str) -> tuple[int, int]:
        """Return line and column of a value; of the whole where it was not given."""
        entry = self.entries.get(name)
        return (self.line, self.column) if entry is None else (entry.line, entry.column)


@dataclass(slots=True)
class Findings:
    """What the author has to hear."""

    mistakes: list[Mistake] = field(default_factory=list)
    #: Nothing is wrong, but something may not be as expected.
    remarks: list[Mistake] = field(default_factory=list)

    def mistake(self, place: tuple[int, int], name: str, message: str, suggestion: str = "") -> None:
        """Add what must be mended."""
        line, column = place
        self.mistakes.append(Mistake(message=message, field=name, line=line, column=column, suggestion=suggestion))

    def remark(self, place: tuple[int, int], name: str, message: str) -> None:
        """Add what should be known."""
        line, column = place
        self.remarks.append(Mistake(message=message, field=name, line=line, column=column))


@dataclass(frozen=True, slots=True)
class Checked:
    """A template's attributes, sorted by what they are."""

    top: Group
    vectors: Mapping[str, tuple[Group, ...]]
    #: Attributes that we do not act on, in order.
    others: tuple[Attribute, ...]
    findings: Findings

    def only(self, name: str) -> Group:
        """Return the vector of that name that a template has at most once; an empty one where it has none."""
        return next(iter(self.vectors.get(name, ())), Group({}))


def check(attributes: Sequence[Attribute], table: Table, *, keeps_others: bool = False) -> Checked:
    """Return typed values of all attributes that the table has.

    Args:
        attributes: As parsed.
        table: What there may be.
        keeps_others: Attributes that the table lacks are kept; otherwise they are remarked on.
    """
    return _Check(table, keeps_others=keeps_others).run(attributes)


class _Check:
    def __init__(self, table: Table, *, keeps_others: bool) -> None:
        self._table = table
        self._fields = table.fields
        self._what = table.what
        self._keeps_others = keeps_others
        #: Names that were probably meant by a wrong one.
        self._meant: set[str] = set()
        self._findings = Findings()
        self._top: dict[str, Entry] = {}
        self._lines: dict[str, int] = {}
        self._vectors: dict[str, list[Group]] = {}
        self._others: list[Attribute] = []

    def run(self, attributes: Sequence[Attribute]) -> Checked:
        for attribute in attributes:
            known = self._fields.get(attribute.name)
            if known is None:
                self._unknown(attribute)
            else:
                self._known(attribute, known)
        for each in self._fields.values():
            if each.required and each.name not in self._lines and each.name not in self._meant:
                example = f"{each.name} = {each.example}"
                self._findings.mistake(
                    (0, 0), each.name, f"{self._what[0].upper()}{self._what[1:]} needs {each.name}: {example}."
                )
        vectors = {name: tuple(groups) for name, groups in self._vectors.items()}
        return Checked(Group(self._top), vectors, tuple(self._others), self._findings)

    def _unknown(self, attribute: Attribute) -> None:
        name, place = attribute.name, (attribute.line, attribute.column)
        meant = "" if name in _OWN else self._close_to(name)
        if meant:
            self._meant.add(meant)
            self._findings.mistake(place, name, f"{brief(name)} is no attribute of {self._what}.", meant)
            return
        self._others.append(attribute)
        home = self._table.homes.get(name)
        if home is not None and home.use is Use.ACTS and isinstance(attribute.value, str):
            text = f"{name} does nothing here; to act it belongs into {home.name} = [ {name} = ... ]."
            self._findings.remark(place, name, text)
        elif not self._keeps_others:
            self._findings.remark(place, name, f"{brief(name)} is no attribute of {self._what} and is not kept.")

    def _close_to(self, name: str) -> str:
        synonym = _MEANT.get(name, "")
        return synonym if synonym in self._fields else close_to(name, self._fields)

    def _known(self, attribute: Attribute, known: Field) -> None:
        if self._is_repeated(attribute, known) or self._is_one_too_many(attribute, known):
            return
        self._lines.setdefault(known.name, attribute.line)
        if known.use is not Use.ACTS:
            self._others.append(attribute)
            if known.use is Use.NO_EFFECT:
                text = f"{known.name} has no effect yet."
                self._findings.remark((attribute.line, attribute.column), known.name, text)
            elif known.kind not in {Kind.TEXT, Kind.VECTOR} and isinstance(attribute.value, str):
                self._scalar({}, known, attribute.value, (attribute.value_line, attribute.value_column), known.name)
            return
        place = (attribute.value_line, attribute.value_column)
        # XML and a text's NAME = cannot tell an empty vector from an empty value.
        value = attribute.value or () if known.kind is Kind.VECTOR else attribute.value
        if isinstance(value, tuple):
            self._vector(attribute, value, known)
        elif known.kind is Kind.VECTOR:
            example = f"{known.name} = {known.example}"
            text = f"{known.name} has to be a vector, like {example}."
            if not attribute.line:
                text = f"{known.name} is a vector: write {example} into the template; only single values are set here."
            self._findings.mistake(place, known.name, text)
        else:
            self._scalar(self._top, known, value, place, known.name)

    def _is_repeated(self, attribute: Attribute, known: Field) -> bool:
        if known.name not in self._lines or known.repeats or known.use is not Use.ACTS:
            return False
        text = f"{known.name} was given on line {self._lines[known.name]} already; {self._what} has one."
        self._findings.mistake((attribute.line, attribute.column), known.name, text)
        return True

    def _is_one_too_many(self, attribute: Attribute, known: Field) -> bool:
        if not known.at_most or len(self._vectors.get(known.name, ())) < known.at_most:
            return False
        text = f"{self._what[0].upper()}{self._what[1:]} has at most {known.at_most} {known.name}."
        self._findings.mistake((attribute.line, attribute.column), known.name, text)
        return True

    def _vector(self, attribute: Attribute, pairs: tuple[Pair, ...], known: Field) -> None:
        if known.kind is not Kind.VECTOR:
            text = f"{known.name} has to be one value, like {known.name} = {known.example}, not a vector."
            self._findings.mistake((attribute.value_line, attribute.value_column), known.name, text)
            return
        entries: dict[str, Entry] = {}
        mistakes_before = len(self._findings.mistakes)
        keys = self._table.keys.get(known.name)
        for pair in pairs:
            place = (pair.value_line, pair.value_column)
            if keys is None:
                entries[pair.key] = Entry(pair.value, *place)
            elif key := self._key(pair, known, keys):
                self._scalar(entries, key, pair.value, place, f"{known.name}/{key.name}")
        is_damaged = len(self._findings.mistakes) > mistakes_before
        group = Group(entries, attribute.line, attribute.column, is_damaged)
        self._vectors.setdefault(known.name, []).append(group)
        self._require(group, known)

    def _require(self, group: Group, known: Field) -> None:
        for key in known.keys or ():
            if key.required and key.name not in group.entries and not group.is_damaged:
                text = f"{known.name} needs {key.name}, like {key.name} = {key.example}."
                self._findings.mistake((group.line, group.column), f"{known.name}/{key.name}", text)

    def _key(self, pair: Pair, vector: Field, keys: Mapping[str, Field]) -> Field | None:
        """Return the key's field if it acts; say what is wrong with it, or that it does nothing."""
        key, place, name = keys.get(pair.key), (pair.line, pair.column), f"{vector.name}/{pair.key}"
        if key is None:
            acting = [each.name for each in keys.values() if each.use is Use.ACTS]
            meant = close_to(pair.key, acting, likeness=0.6) or close_to(pair.key, keys)
            known = "" if meant else f"; it has {', '.join(acting)}"
            self._findings.mistake(place, name, f"{vector.name} has no {brief(pair.key)}{known}.", meant)
            return None
        if key.use is Use.NO_EFFECT:
            self._findings.remark(place, name, f"{pair.key} in {vector.name} has no effect yet.")
            return None
        return key

    def _scalar(self, into: dict[str, Entry], known: Field, text: str, place: tuple[int, int], name: str) -> None:
        if not text.strip() and not known.required and not may_be_empty(known):
            self._findings.remark(place, name, f"{known.name} is empty and counts as not given.")
            return
        try:
            into[known.name] = Entry(typed(known, text.strip()), *place)
        except WrongValueError as wrong:
            self._findings.mistake(place, name, wrong.message, wrong.suggestion)
