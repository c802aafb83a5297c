"""Rank expressions: arithmetic over host attributes, text to tree; ``*`` and ``/`` before ``+`` and ``-``."""

from collections.abc import Callable

from innkeeper_controller.expressions import names
from innkeeper_controller.expressions.errors import ExpressionError
from innkeeper_controller.expressions.lexer import Kind, Token, tokens_of
from innkeeper_controller.expressions.syntax import MAX_DEPTH, Chain, Name, Negative, Number, Rank
from innkeeper_controller.expressions.words import finite


def parse_rank(text: str) -> Rank:
    """Return the tree of a rank; an empty text ranks all hosts the same.

    Raises:
        ExpressionError: with the place and what was expected there.
    """
    return _Parser(text).whole()


class _Parser:
    """Takes one expression apart; made for it and used once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens_of(text)
        self._index = 0

    def whole(self) -> Rank:
        if self._next().kind is Kind.END:
            return Number(value=0.0)
        tree = self._sum(0)
        if self._next().kind is not Kind.END:
            raise self._unexpected("+ - * / or the end")
        return tree

    def _next(self) -> Token:
        return self._tokens[self._index]

    def _take(self) -> Token:
        token = self._next()
        self._index += 1
        return token

    def _is(self, signs: str) -> bool:
        return self._next().kind is Kind.SIGN and self._next().text in signs

    def _error(self, token: Token, message: str, suggestion: str = "") -> ExpressionError:
        return ExpressionError(self._text, token.position, message, suggestion=suggestion)

    def _unexpected(self, expected: str) -> ExpressionError:
        if self._next().kind is Kind.END:
            return self._error(self._next(), f"The rank ends where {expected} should come.")
        if self._next().text in {"=", "!=", "<", ">", "<=", ">=", "@>", "&", "|", "!"}:
            message = (
                f"A rank is a number, so it has no {self._next().text}; conditions belong into SCHED_REQUIREMENTS."
            )
            return self._error(self._next(), message)
        return self._error(self._next(), f"Here {expected} should come, not {self._next().text!r}.")

    def _chain(self, signs: str, term: Callable[[int], Rank], depth: int) -> Rank:
        first = term(depth)
        rest = []
        while self._is(signs):
            rest.append((self._take().text, term(depth)))
        return Chain(first=first, rest=tuple(rest)) if rest else first

    def _sum(self, depth: int) -> Rank:
        return self._chain("+-", self._product, depth)

    def _product(self, depth: int) -> Rank:
        return self._chain("*/", self._term, depth)

    def _term(self, depth: int) -> Rank:
        token = self._next()
        if depth > MAX_DEPTH:
            raise self._error(token, f"An expression goes at most {MAX_DEPTH} levels deep.")
        if self._is("+-"):
            self._take()
            part = self._term(depth + 1)
            return Negative(part=part) if token.text == "-" else part
        if self._is("("):
            self._take()
            return self._closed(token, self._sum(depth + 1))
        if token.kind is Kind.NUMBER:
            return self._number()
        if token.kind not in {Kind.NAME, Kind.TEXT}:
            raise self._unexpected("an attribute or a number")
        self._take()
        try:
            return Name(name=names.canonical(token.text), position=token.position)
        except ValueError as error:
            raise self._error(token, str(error), names.last_step(token.text)) from error

    def _closed(self, opened: Token, tree: Rank) -> Rank:
        if not self._is(")"):
            if self._next().kind is Kind.END:
                raise self._error(opened, "This parenthesis is never closed.")
            raise self._unexpected("+ - * / or )")
        self._take()
        return tree

    def _number(self) -> Rank:
        token = self._take()
        value = finite(token.text)
        if value is None:
            raise self._error(token, f"{token.text[:40]} is too large a number.")
        return Number(value=value)
