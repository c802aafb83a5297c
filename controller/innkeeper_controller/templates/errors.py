"""How the mistakes of a template are gathered, ordered and shown to the person who wrote it."""

import difflib
from collections.abc import Iterable, Sequence

from innkeeper_controller.turn import Mistake
from innkeeper_plugins.errors import InnkeeperError

#: More than this are not told: the first ones cause the rest.
MAX_MISTAKES = 100
_MAX_LINE_SHOWN = 160
#: Words longer than this are known again with their letters swapped.
_SWAPPED_FROM = 2


class TemplateError(InnkeeperError):
    """A template says something that cannot be meant; its author must act, and nothing was done."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        """Put the mistakes in the order of the text.

        Args:
            mistakes: At least one.
        """
        self.mistakes: tuple[Mistake, ...] = in_order(mistakes)
        super().__init__("\n".join(sentence(each) for each in self.mistakes))


def in_order(mistakes: Iterable[Mistake]) -> tuple[Mistake, ...]:
    """Return the mistakes by place, each once, at most ``MAX_MISTAKES``; those without a place come last."""
    unique = {(each.line, each.column, each.message): each for each in mistakes}
    ordered = sorted(unique.values(), key=lambda each: (not each.line, each.line, each.column))
    return tuple(ordered[:MAX_MISTAKES])


def sentence(mistake: Mistake) -> str:
    """Return the mistake in one line: place, what is wrong, what was probably meant."""
    place = f"line {mistake.line}, column {mistake.column}: " if mistake.line else ""
    hint = f" Did you mean {mistake.suggestion}?" if mistake.suggestion else ""
    return f"{place}{mistake.message}{hint}"


def show(text: str, mistakes: Sequence[Mistake]) -> str:
    """Return the mistakes as a terminal shows them, each under the line of ``text`` that it is in."""
    lines = text.splitlines()
    return "\n".join("\n".join((sentence(each), *_excerpt(lines, each))) for each in mistakes)


def _excerpt(lines: Sequence[str], mistake: Mistake) -> tuple[str, ...]:
    if not 1 <= mistake.line <= len(lines):
        return ()
    line = lines[mistake.line - 1]
    start = max(0, mistake.column - _MAX_LINE_SHOWN // 2) if len(line) > _MAX_LINE_SHOWN else 0
    shown = line[start : start + _MAX_LINE_SHOWN].expandtabs(1)
    return (f"    {shown}", f"    {' ' * (mistake.column - 1 - start)}^")


def close_to(word: str, known: Iterable[str], *, likeness: float = 0.75) -> str:
    """Return the known word that was probably meant, or an empty text."""
    candidates = list(known)
    if word.endswith("S") and word[:-1] in candidates:
        return word[:-1]
    swapped = next((each for each in candidates if len(each) > _SWAPPED_FROM and sorted(each) == sorted(word)), "")
    return swapped or next(iter(difflib.get_close_matches(word, candidates, n=1, cutoff=likeness)), "")
