"""Requirement expressions: text to tree.

``&`` and ``|`` have one precedence and go from left to right, as in OpenNebula: ``A | B & C`` is ``(A | B) & C``.
"""

from innkeeper_controller.expressions import names
from innkeeper_controller.expressions.errors import ExpressionError
from innkeeper_controller.expressions.lexer import Kind, Token, tokens_of
from innkeeper_controller.expressions.syntax import (
    MAX_DEPTH,
    NUMERIC,
    Compare,
    Every,
    Not,
    Operator,
    Requirement,
    Some,
)
from innkeeper_controller.expressions.words import finite, unit_hint

_OPERATORS = frozenset(Operator)
_OPERATORS_MEANT = {"<>": "!=", "=!": "!=", "=>": ">=", "=<": "<="}
_WORDS = {"AND": "&", "OR": "|", "NOT": "!"}
#: Characters that, right behind a value, show that the value should have been quoted.
_RUN_ON = frozenset("-.:*/")


def parse_requirements(text: str) -> Requirement:
    """Return the tree of a requirement; an empty text requires nothing.

    Raises:
        ExpressionError: with the place and, where there is an idea, what was probably meant.
    """
    return _Parser(text).whole()


class _Parser:
    """Takes one expression apart; made for it and used once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens_of(text)
        self._index = 0

    def whole(self) -> Requirement:
        if self._next().kind is Kind.END:
            return Every(parts=())
        tree = self._sequence(0)
        if self._next().kind is not Kind.END:
            raise self._unexpected("& or | or the end")
        return tree

    def _next(self) -> Token:
        return self._tokens[self._index]

    def _take(self) -> Token:
        token = self._next()
        self._index += 1
        return token

    def _is(self, sign: str) -> bool:
        return self._next().kind is Kind.SIGN and self._next().text == sign

    def _error(self, token: Token, message: str, suggestion: str = "") -> ExpressionError:
        return ExpressionError(self._text, token.position, message, suggestion=suggestion)

    def _unexpected(self, expected: str) -> ExpressionError:
        token = self._next()
        if token.kind is Kind.END:
            return self._error(token, f"The expression ends where {expected} should come.")
        if word := _WORDS.get(token.text.upper()):
            return self._error(token, f"{token.text} is written {word} here.", word)
        return self._error(token, f"Here {expected} should come, not {token.text!r}.")

    def _sequence(self, depth: int) -> Requirement:
        """Parse parts joined by & and |, from left to right."""
        tree = self._part(depth)
        joined, changes = "", 0
        while self._is("&") or self._is("|"):
            token = self._take()
            if self._is(token.text):
                raise self._error(self._next(), f"One {token.text} is enough.", token.text)
            changes += token.text != joined
            self._check_depth(depth + changes, token)
            tree = _join(tree, token.text, self._part(depth + changes), same=token.text == joined)
            joined = token.text
        return tree

    def _check_depth(self, depth: int, token: Token) -> None:
        if depth > MAX_DEPTH:
            raise self._error(token, f"An expression goes at most {MAX_DEPTH} levels deep.")

    def _part(self, depth: int) -> Requirement:
        token = self._next()
        self._check_depth(depth, token)
        if self._is("!"):
            self._take()
            return Not(part=self._part(depth + 1))
        if not self._is("("):
            return self._compare()
        self._take()
        tree = self._sequence(depth + 1)
        if not self._is(")"):
            if self._next().kind is Kind.END:
                raise self._error(token, "This parenthesis is never closed.")
            raise self._unexpected("& or | or )")
        self._take()
        return tree

    def _compare(self) -> Requirement:
        left = self._next()
        if left.kind is Kind.NUMBER:
            raise self._error(left, f"The attribute comes first, then the value: FREE_CPU > {left.text}.")
        if left.kind not in {Kind.NAME, Kind.TEXT} or left.text.upper() in _WORDS:
            raise self._unexpected("an attribute")
        self._take()
        try:
            name = names.canonical(left.text)
        except ValueError as error:
            raise self._error(left, str(error), names.last_step(left.text)) from error
        operator = self._operator(name)
        value = self._value(name, operator)
        return Compare(name=name, operator=operator, value=value, position=left.position)

    def _operator(self, name: str) -> Operator:
        token = self._next()
        if token.kind is not Kind.SIGN or token.text not in _OPERATORS:
            raise self._unexpected(f"a comparison ({' '.join(Operator)}) after {name}")
        self._take()
        if self._is("="):
            raise self._error(self._next(), "One = is enough.", "=")
        written = f"{token.text}{self._next().text}" if self._next().kind is Kind.SIGN else ""
        if meant := _OPERATORS_MEANT.get(written):
            raise self._error(token, f"{written} is written {meant} here.", meant)
        return Operator(token.text)

    def _value(self, name: str, operator: Operator) -> str | float:
        sign = self._take() if self._is("-") else None
        token = self._next()
        if token.kind not in {Kind.NAME, Kind.TEXT, Kind.NUMBER} or (sign and token.kind is not Kind.NUMBER):
            raise self._unexpected("a value")
        self._take()
        self._check_end(name, token)
        if token.kind is Kind.NUMBER:
            return -self._number(token) if sign else self._number(token)
        if operator in NUMERIC and finite(token.text) is None:
            raise self._error(token, f"{operator} compares numbers, and {token.text!r} is none.")
        return token.text

    def _number(self, token: Token) -> float:
        value = finite(token.text)
        if value is None:
            raise self._error(token, f"{token.text[:40]} is too large a number.")
        return value

    def _check_end(self, name: str, token: Token) -> None:
        """Refuse a value that runs on into what needs quotes: ``host-1``, ``web*``, ``4G``."""
        following = self._next()
        if token.kind is Kind.TEXT or following.position != token.end or following.kind is Kind.END:
            return
        if token.kind is Kind.NUMBER and following.kind is Kind.NAME:
            whole = token.text + following.text
            raise self._error(token, f"{whole} is no number{unit_hint(name)}.")
        if following.text[:1] in _RUN_ON:
            rest = self._text[token.position :].split(" ", 1)[0].rstrip(")&|")
            raise self._error(token, f"A value with {following.text!r} in it needs quotes.", f'"{rest}"')


def _join(left: Requirement, sign: str, right: Requirement, *, same: bool) -> Requirement:
    """Return both joined; a run of the ``same`` sign stays one tree, so that a long one is not a deep one."""
    kind = Every if sign == "&" else Some
    return kind(parts=(*left.parts, right) if same and isinstance(left, Every | Some) else (left, right))


def mixes_signs(text: str) -> bool:
    """Say whether ``&`` and ``|`` stand side by side without parentheses in a text that parses."""
    signs: list[set[str]] = [set()]
    for token in tokens_of(text):
        if token.kind is not Kind.SIGN:
            continue
        if token.text == "(":
            signs.append(set())
        elif token.text == ")":
            signs.pop()
        elif token.text in "&|":
            signs[-1].add(token.text)
            if len(signs[-1]) > 1:
                return True
    return False
