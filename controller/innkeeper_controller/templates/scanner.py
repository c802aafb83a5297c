"""One pass over a template in text syntax: characters in, attributes and mistakes out.

It knows no attribute by name.
After a mistake it goes on where the next attribute seems to begin, so that all mistakes are told at once.
"""

import bisect
import re

from innkeeper_controller.templates.attributes import (
    MAX_ATTRIBUTES,
    NAME,
    NAME_RULE,
    Attribute,
    Pair,
    brief,
    forbidden_mistake,
    too_many_mistake,
)
from innkeeper_controller.templates.errors import MAX_MISTAKES
from innkeeper_controller.turn import Mistake

_BLANKS = re.compile(r"(?:[ \t\n\v\f]+|#[^\n]*)*")
_LINE_BLANKS = re.compile(r"[ \t]*")
_BARE = re.compile(r"[^ \t\n\v\f,=#\[\]]+")
#: A backslash means something only before a quote. Possessive, so that a long text costs linear time.
_QUOTED = re.compile(r'"((?:[^"\\]+|\\"|\\)*+)"')
_QUOTED_IN_LINE = re.compile(r'"((?:[^"\\\n]+|\\"|\\)*+)"')
#: The end of a vector, or the beginning of the next one.
_VECTOR_END = re.compile(r"\]|\n[ \t]*[A-Za-z0-9_]+[ \t]*=[ \t]*\[")
_NEXT_ATTRIBUTE = re.compile(r"\n(?=[ \t]*[A-Za-z0-9_]+[ \t]*=)")
_LOOKS_LIKE_ATTRIBUTE = re.compile(r"\n[ \t]*[A-Za-z0-9_]+[ \t]*=")
_REST_OF_LINE = re.compile(r"[^\n#]*")
_REST_OF_PAIR = re.compile(r"[^\n#,\]]*")
_ODD_NAME = re.compile(r"[A-Za-z0-9_.-]+(?=[ \t]*=)")


class _BrokenError(Exception):
    """The scanner cannot go on here; it resumes at ``resume``, and forgets what it took from ``forget`` on."""

    def __init__(
        self, offset: int, message: str, *, suggestion: str = "", resume: int | None = None, forget: int | None = None
    ) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message
        self.suggestion = suggestion
        self.resume = resume
        self.forget = forget


class Scanner:
    """Takes one text apart; made for it and used once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        #: (offset behind it, attribute)
        self.found: list[tuple[int, Attribute]] = []
        #: (offset, mistake)
        self.mistakes: list[tuple[int, Mistake]] = []
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._quoted = _QUOTED
        #: Where a quoted value began that runs over something like an attribute.
        self._suspect: int | None = None
        self._count = 0

    def run(self) -> None:
        """Take all attributes."""
        while self._skip(_BLANKS) and len(self.mistakes) < MAX_MISTAKES:
            if self._count > MAX_ATTRIBUTES:
                self.mistakes.append((self.at, too_many_mistake(*self._place(self.at))))
                return
            try:
                attribute = self._attribute()
            except _BrokenError as broken:
                self._resume(broken)
            else:
                self.found.append((self.at, attribute))

    def _place(self, offset: int) -> tuple[int, int]:
        line = bisect.bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def _is_quote(self, offset: int) -> bool:
        return self.text.startswith('"', offset)

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        """Step over what the pattern matches; True while there is text left."""
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at < len(self.text)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _add(self, offset: int, message: str, *, field: str = "", suggestion: str = "") -> None:
        line, column = self._place(offset)
        mistake = Mistake(message=message, field=field, line=line, column=column, suggestion=suggestion)
        self.mistakes.append((offset, mistake))

    def _resume(self, broken: _BrokenError) -> None:
        if broken.forget is not None:
            self.found = [each for each in self.found if each[0] <= broken.forget]
            self.mistakes = [each for each in self.mistakes if each[0] < broken.forget]
        self._add(broken.offset, broken.message, suggestion=broken.suggestion)
        if broken.resume is not None:
            self.at = broken.resume
            return
        match = _NEXT_ATTRIBUTE.search(self.text, self.at)
        self.at = match.end() if match else len(self.text)

    def _attribute(self) -> Attribute:
        start = self.at
        name = self._name()
        self._equals(name, start)
        self._skip(_LINE_BLANKS)
        value_at = self.at
        value = self._vector(name) if self._peek() == "[" else self._value(name, in_vector=False)
        self._count += 1
        line, column = self._place(start)
        value_line, value_column = self._place(value_at + self._is_quote(value_at))
        return Attribute(
            name=name, value=value, line=line, column=column, value_line=value_line, value_column=value_column
        )

    def _name(self) -> str:
        match = NAME.match(self.text, self.at)
        if match is None:
            raise _BrokenError(self.at, _NOT_A_NAME.get(self._peek(), f"{self._peek()!r} cannot begin an attribute."))
        self.at = match.end()
        return match[0].upper()

    def _equals(self, name: str, start: int) -> None:
        """Step over the ``=`` behind a name, or say what the author probably did."""
        end = self.at
        self._skip(_LINE_BLANKS)
        if self._peek() == "=":
            self.at += 1
            return
        odd = _ODD_NAME.match(self.text, start)
        if odd and odd.end() > end:
            name = odd[0].upper()
            better = brief(re.sub("[.-]", "_", name))
            raise _BrokenError(start, f"{NAME_RULE}, not {brief(name)}.", suggestion=better)
        if self._peek() == ":":
            raise _BrokenError(self.at, f"Text syntax has an = after the name, not a colon: {name} = ...")
        if self._peek() == "[":
            raise _BrokenError(self.at, f"An = is missing between {name} and its [.")
        raise self._without_equals(start, self.text[start:end])

    def _without_equals(self, start: int, word: str) -> _BrokenError:
        """Return what to say of a word in the place of a name that no ``=`` follows."""
        if self.found:
            end, before = self.found[-1]
            gap = self.text[end:start]
            if isinstance(before.value, str) and "\n" not in gap and self.text[end - 1] != '"':
                rest = self.text[start:].split("\n", 1)[0].split("#", 1)[0].rstrip()
                message = f"The value of {before.name} ends at the blank; a value with blanks needs quotes."
                return _BrokenError(start, message, suggestion=brief(f'{before.name} = "{before.value}{gap}{rest}"'))
        return _BrokenError(start, f"{brief(word)} is followed by no =; an attribute is NAME = value.")

    def _value(self, name: str, *, in_vector: bool) -> str:
        start = self.at
        if self._peek() == '"':
            value = self._quoted_value(name)
        elif match := _BARE.match(self.text, self.at):
            self.at = match.end()
            value = match[0]
            self._ends_well(name, start, in_vector=in_vector)
        else:
            value = self._no_value(name, in_vector=in_vector)
        mistake = forbidden_mistake(name, value, *self._place(start))
        if mistake:
            self.mistakes.append((start, mistake))
        return value

    def _quoted_value(self, name: str) -> str:
        match = self._quoted.match(self.text, self.at)
        if match is None:
            raise self._unclosed_quote(name)
        if self._suspect is None and _LOOKS_LIKE_ATTRIBUTE.search(match[1]):
            self._suspect = self.at
            if self.text[match.end() : match.end() + 1].isalnum():
                raise self._unclosed_quote(name)
        self.at = match.end()
        return match[1].replace('\\"', '"')

    def _unclosed_quote(self, name: str) -> _BrokenError:
        """Blame the first quote that swallowed an attribute: from there on each quote is on the wrong side."""
        culprit = self.at if self._suspect is None else self._suspect
        message = f"The quote of {name}'s value is never closed." if self._suspect is None else _NEVER_CLOSED
        self._quoted, self._suspect = _QUOTED_IN_LINE, None
        end = self.text.find("\n", culprit)
        return _BrokenError(culprit, message, resume=len(self.text) if end < 0 else end, forget=culprit)

    def _no_value(self, name: str, *, in_vector: bool) -> str:
        following = self._peek()
        if following == "=":
            message = f"{name} has two = signs; one is enough."
            raise self._broken_vector(self.at, message) if in_vector else _BrokenError(self.at, message)
        if in_vector:
            raise self._broken_vector(self.at, f'{name} has no value; an empty one is written {name} = "".')
        if following in {"", "\n", "\v", "\f", "#"}:
            return ""
        raise _BrokenError(self.at, f"{name} has no value before the {following}.")

    def _ends_well(self, name: str, start: int, *, in_vector: bool) -> None:
        """Refuse a bare value that a special character cut short."""
        offset, sign = self.at, self._peek()
        if sign not in ({"=", "["} if in_vector else {"=", "[", "]", ","}):
            return
        rest = (_REST_OF_PAIR if in_vector else _REST_OF_LINE).match(self.text, start)
        whole = rest[0].rstrip() if rest else ""
        self.at = rest.end() if rest else self.at
        message = f"The value of {name} ends at the {sign}; a value with , = [ or ] needs quotes."
        suggestion = brief(f'{name} = "{whole}"')
        if not in_vector:
            raise _BrokenError(offset, message, suggestion=suggestion, resume=self.at)
        self._add(offset, message, field=name, suggestion=suggestion)

    def _vector(self, name: str) -> tuple[Pair, ...]:
        opened, gap = self.at, None
        self.at += 1
        pairs: dict[str, Pair] = {}
        self._skip(_BLANKS)
        while self._peek() != "]":
            pair = self._pair(name, opened, gap)
            pairs.setdefault(pair.key, pair)
            ended = self.at
            self._skip(_BLANKS)
            if self._peek() == ",":
                self._comma(name)
            elif self._peek() not in {"]", ""}:
                gap = ended if gap is None else gap
                self._add(ended, f"A comma is missing after {pair.key} in {name}.", field=name)
        self.at += 1
        return tuple(pairs.values())

    def _comma(self, name: str) -> None:
        comma = self.at
        self.at += 1
        self._skip(_BLANKS)
        if self._peek() == "]":
            self._add(comma, f"The last comma in {name} is followed by nothing; delete it.", field=name)

    def _pair(self, name: str, opened: int, gap: int | None) -> Pair:
        start = self.at
        match = NAME.match(self.text, self.at)
        if match is None:
            raise self._not_a_pair(name, opened, gap)
        key = match[0].upper()
        self.at = match.end()
        self._skip(_BLANKS)
        if self._peek() != "=":
            raise self._broken_vector(
                start, f"{match[0]} in {name} is followed by no =; a vector has KEY = value pairs."
            )
        self.at += 1
        self._skip(_BLANKS)
        if self._peek() == "[":
            raise self._unclosed(name, opened, start if gap is None else gap)
        value_at = self.at
        value = self._value(key, in_vector=True)
        self._count += 1
        if self._count > MAX_ATTRIBUTES:
            raise _BrokenError(start, too_many_mistake(1, 1).message, resume=len(self.text))
        line, column = self._place(start)
        value_line, value_column = self._place(value_at + self._is_quote(value_at))
        return Pair(key=key, value=value, line=line, column=column, value_line=value_line, value_column=value_column)

    def _not_a_pair(self, name: str, opened: int, gap: int | None) -> _BrokenError:
        if not self._peek():
            return self._unclosed(name, opened, gap)
        if self._peek() == ",":
            return self._broken_vector(self.at, f"There is nothing before this comma in {name}; delete it.")
        return self._broken_vector(self.at, f"{self._peek()!r} cannot begin a key in {name}.")

    def _broken_vector(self, offset: int, message: str) -> _BrokenError:
        """Go on behind the vector's end where it comes before the next vector."""
        match = _VECTOR_END.search(self.text, self.at)
        return _BrokenError(offset, message, resume=match.end() if match and match[0] == "]" else None)

    def _unclosed(self, name: str, opened: int, resume: int | None) -> _BrokenError:
        """Blame the bracket that swallowed the next attribute, and go on where that one begins."""
        message = f"The [ of {name} is never closed."
        return _BrokenError(opened, message, resume=len(self.text) if resume is None else resume, forget=resume)


_NEVER_CLOSED = "This quote is not closed on its line, and the next lines look like attributes."
_NOT_A_NAME = {
    ",": "A comma stands between the pairs of a vector only; attributes just follow each other.",
    "]": "This ] closes nothing.",
    "[": "A [ comes after NAME = only.",
    "=": "A name is missing before the =.",
    '"': "A value stands here without NAME = before it.",
    "<": "This looks like XML; a template in XML begins with its root element.",
}
