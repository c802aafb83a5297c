"""Patterns of texts as the shell has them: ``*``, ``?`` and ``[a-z]``; they fit whole texts and never backtrack."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

#: The first character of a choice may be the bracket that otherwise closes it.
_ITEM = re.compile(
    r"(?P<stars>\*+)|(?P<any>\?)|\[(?P<choice>(?:[!^].|[^!^])[^\]]*)\]|(?P<one>.)",
    re.DOTALL,
)
#: Texts that are remembered.
_REMEMBERED = 1024
_WILD = re.compile(r"[*?\[]")


@lru_cache(_REMEMBERED)
def pattern(written: str) -> Callable[[str], bool] | None:
    """Return what says whether a text fits; None where there is no pattern in what was written.

    ``[!a-z]`` is anything but these; a bracket that is never closed stands for itself.
    """
    if not _WILD.search(written):
        return None
    pieces: list[list[str]] = [[]]
    plain = True
    for item in _items(written):
        plain = plain and item["one"] is not None
        if item["stars"]:
            pieces.append([])
        else:
            pieces[-1].append(_one_character(item))
    if plain:
        return None
    return _fitting([(len(piece), re.compile("".join(piece), re.DOTALL)) for piece in pieces])


def _items(written: str) -> Iterator[re.Match[str]]:
    """Yield the items; behind the last bracket that closes, none that opens is looked at twice."""
    at, last = 0, written.rfind("]")
    while at < len(written):
        item = _ITEM.match(written, at, last + 1 if at <= last else at + 1)
        assert item is not None, "any character is an item"
        yield item
        at = item.end()


def _one_character(item: re.Match[str]) -> str:
    if item["any"]:
        return "."
    return re.escape(item["one"]) if item["choice"] is None else _choice(item["choice"])


def _choice(written: str) -> str:
    """Return what fits one character of a choice; a range that runs backwards has none."""
    negated = written[:1] in {"!", "^"}
    among = "".join(_among(written[negated:]))
    if not among:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{among}]"


def _among(written: str) -> Iterator[str]:
    at = 0
    while at < len(written):
        if written[at + 1 : at + 2] == "-" and at + 2 < len(written):
            low, high = written[at], written[at + 2]
            if low <= high:
                yield f"{re.escape(low)}-{re.escape(high)}"
            at += 3
        else:
            yield re.escape(written[at])
            at += 1


def _fitting(pieces: list[tuple[int, re.Pattern[str]]]) -> Callable[[str], bool]:
    """Return what says whether the pieces come in order, the first and last at the ends of a text.

    A piece is as long as what it fits, so that the first place for it is always the best one.
    """
    if len(pieces) == 1:
        ((_, whole),) = pieces
        return lambda text: whole.fullmatch(text) is not None
    (first_length, first), *middle, (last_length, last) = pieces

    def fits(text: str) -> bool:
        at, end = first_length, len(text) - last_length
        if end < at or not first.match(text) or not last.match(text, end):
            return False
        for _, piece in middle:
            found = piece.search(text, at, end)
            if found is None:
                return False
            at = found.end()
        return True

    return fits
