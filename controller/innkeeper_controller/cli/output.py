"""How answers are written: aligned tables for people, JSON and YAML for programs.

It fetches nothing; what it writes is a function of what it is given, and of whether a terminal shows it.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from innkeeper_controller.cli import colour

#: A decoded answer, or a part of one.
Json = Any


class Column(NamedTuple):
    """One column of a table."""

    title: str
    #: Makes the cell from a row.
    cell: Callable[[Json], object]
    #: Numbers stand at the right.
    right: bool = False
    #: Shown with ``-o wide`` only.
    wide: bool = False
    #: Shows a state, coloured on a terminal.
    state: bool = False


def table(rows: Sequence[Json], columns: Sequence[Column], *, wide: bool = False) -> str:
    """Return the rows under their titles, columns aligned, empty cells as ``-``."""
    shown = [column for column in columns if wide or not column.wide]
    cells = [[column.title for column in shown]]
    cells += [[_cell(column.cell(row)) for column in shown] for row in rows]
    return _aligned(cells, shown)


def fields(pairs: Iterable[tuple[str, object]]) -> str:
    """Return names and values one below the other, values aligned; pairs whose value is None are left out."""
    shown = [(name, _cell(value)) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    indent = "\n" + " " * (width + 2)
    return "\n".join(f"{name:<{width}}  {value.replace(chr(10), indent)}" for name, value in shown)


def indented(text: str, by: str = "  ") -> str:
    """Return the text with every line that is not empty moved to the right."""
    return "\n".join(by + line if line else line for line in text.splitlines())


def printable(text: str) -> str:
    """Return text of strangers without what a terminal would obey; line ends and tabs stay."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text)


def to_json(value: Json, *, in_one_line: bool = False) -> str:
    """Return the value as JSON, indented unless it has to fit in one line."""
    return json.dumps(value, indent=None if in_one_line else 2, ensure_ascii=False)


def to_yaml(value: Json) -> str:
    """Return the value as YAML that every version reads alike.

    A MAC address or ``no`` is a number or a boolean to YAML 1.1 unless it is quoted, and writers of 1.2 do not:
    so every string that is not plainly a word is quoted, as JSON, which YAML includes.
    """
    return "\n".join(_yaml_lines(value))


def _cell(value: object) -> str:
    if value is None or value in ("", [], ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(each) for each in value)
    return printable(str(value))


def _aligned(cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    shape = "  ".join(f"%{'' if column.right else '-'}{width}s" for column, width in zip(columns, widths, strict=True))
    lines = [(shape % tuple(row)).rstrip() for row in cells]
    at = next((number for number, column in enumerate(columns) if column.state), None)
    if at is None or not colour.wanted(sys.stdout):
        return "\n".join(lines)
    start = sum(width + 2 for width in widths[:at])
    return "\n".join(_coloured(line, start, row[at]) for line, row in zip(lines, cells, strict=True))


def _coloured(line: str, start: int, state: str) -> str:
    end = start + len(state)
    return line[:start] + colour.paint(state, colour.OF_STATE.get(state), on=True) + line[end:]


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
_NOT_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def _yaml_scalar(value: Json) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


def _yaml_lines(value: Json) -> Iterable[str]:
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _yaml_item(f"{_yaml_scalar(str(key))}:", each, indent="" if isinstance(each, list) else "  ")
    elif isinstance(value, list) and value:
        for each in value:
            first, *others = _yaml_lines(each)
            yield f"- {first}"
            yield from (f"  {line}" for line in others)
    else:
        yield _yaml_scalar(value)


def _yaml_item(head: str, value: Json, *, indent: str) -> Iterable[str]:
    if isinstance(value, (Mapping, list)) and value:
        yield head
        yield from (f"{indent}{line}" for line in _yaml_lines(value))
    else:
        yield f"{head} {_yaml_scalar(value)}"
