"""Characters of an expression to its words; the same for requirements and ranks."""

import re
from dataclasses import dataclass
from enum import StrEnum

from innkeeper_controller.expressions.errors import ExpressionError
from innkeeper_controller.expressions.syntax import MAX_LENGTH


class Kind(StrEnum):
    """What a word of an expression is."""

    NAME = "name"
    TEXT = "text"
    NUMBER = "number"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One word."""

    kind: Kind
    #: As written; a quoted text without its quotes.
    text: str
    #: First character and the one behind the last, counted from 0.
    position: int
    end: int


_BLANKS = re.compile(r"\s*")
_TOKEN = re.compile(
    r"""
    (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | "(?P<double>[^"]*)" | '(?P<single>[^']*)'
    | (?P<sign>@\s*>|[!<>]\s*=|[=<>&|!()+\-*/])
    """,
    re.VERBOSE | re.ASCII,
)
#: What comes out of text processors and formula editors: quotes, dashes, signs of mathematics.
_MEANT = {
    **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2018\u2019\u201a", "'"),
    **dict.fromkeys("\u2212\u2013\u2014", "-"),
    "\u2260": "!=",
    "\u2264": "<=",
    "\u2265": ">=",
    "\u00d7": "*",
    "\u00f7": "/",
    "\u00ac": "!",
    "\u2227": "&",
    "\u2228": "|",
}
_QUOTES = "\"'"


def tokens_of(text: str) -> tuple[Token, ...]:
    """Return the words of an expression, with an ``END`` behind the last.

    Raises:
        ExpressionError: it is too long, a quote is not closed, or a character means nothing.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(text, MAX_LENGTH, f"An expression has at most {MAX_LENGTH} characters, not {len(text)}.")
    found = []
    at = _after_blanks(text, 0)
    while at < len(text):
        token = _token(text, at)
        found.append(token)
        at = _after_blanks(text, token.end)
    return (*found, Token(Kind.END, "", len(text), len(text)))


def _after_blanks(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _token(text: str, at: int) -> Token:
    match = _TOKEN.match(text, at)
    if match is None:
        if text[at] in _QUOTES:
            raise ExpressionError(text, at, "This quote is never closed.")
        if meant := _MEANT.get(text[at]):
            raise ExpressionError(text, at, f"{text[at]!r} is written {meant} here.", suggestion=meant)
        raise ExpressionError(text, at, f"{text[at]!r} means nothing here; a text with it needs quotes.")
    for group, kind in (("name", Kind.NAME), ("number", Kind.NUMBER), ("sign", Kind.SIGN)):
        if match[group] is not None:
            return Token(kind, "".join(match[group].split()), at, match.end())
    quoted = match["double"] if match["double"] is not None else match["single"]
    return Token(Kind.TEXT, quoted, at, match.end())
