"""One value of a template: its text to what its field takes, or a sentence why it cannot be."""

import re
from typing import TypeAlias

from innkeeper_controller.addresses import AddressError, format_mac, is_multicast_mac, parse_ip, parse_mac
from innkeeper_controller.templates.attributes import brief
from innkeeper_controller.templates.errors import close_to
from innkeeper_controller.templates.vocabulary import Field, Kind

Scalar: TypeAlias = str | int | float | bool

#: Words for yes and no.
_BOOLEANS = {"YES": True, "TRUE": True, "ON": True, "1": True, "NO": False, "FALSE": False, "OFF": False, "0": False}
_INTEGER = re.compile(r"\+?[0-9]{1,18}", re.ASCII)
#: Where a field takes numbers below 0.
_SIGNED = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"\+?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})", re.ASCII)
_WITH_UNIT = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([KMGT])(?:I?B)?\s*", re.IGNORECASE | re.ASCII)
_MB_OF = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


class WrongValueError(Exception):
    """A value is not what its field takes."""

    def __init__(self, message: str, suggestion: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.suggestion = suggestion


def typed(known: Field, text: str) -> Scalar:
    """Return the value of a field.

    Raises:
        WrongValueError: the text is none.
    """
    if not text and known.kind not in {Kind.TEXT, Kind.REQUIREMENTS, Kind.RANK}:
        raise WrongValueError(f"{known.name} has no value; give one, like {known.example}.")
    match known.kind:
        case Kind.INTEGER:
            return int(_bounded(known, text, _SIGNED if (known.minimum or 0) < 0 else _INTEGER))
        case Kind.NUMBER:
            return _bounded(known, text, _NUMBER)
        case Kind.BOOLEAN:
            return _boolean(known, text)
        case Kind.CHOICE:
            return _choice(known, text)
        case Kind.IP | Kind.MAC:
            return _address(known, text)
        case _:
            return _text(known, text)


def may_be_empty(known: Field) -> bool:
    """Whether an empty text is a value of the field; of others, programs write it for one that is not given."""
    if known.kind is Kind.TEXT:
        return not known.pattern or re.fullmatch(known.pattern, "") is not None
    return known.kind in {Kind.REQUIREMENTS, Kind.RANK}


def _bounded(known: Field, text: str, form: re.Pattern[str]) -> float:
    unit = f" {known.unit}" if known.unit else ""
    kind = f"{'a' if known.kind is Kind.NUMBER else 'a whole'} number{' of' if unit else ''}{unit}"
    if not form.fullmatch(text):
        raise WrongValueError(f"{known.name} has to be {kind}, not {brief(text)!r}.", _number_meant(known, text))
    value = float(text)
    low, high = known.minimum, known.maximum
    if low is not None and high is not None and not low <= value <= high:
        raise WrongValueError(f"{known.name} has to be {low:.12g} to {high:.12g}{unit}, not {brief(text)}.")
    return value


def _number_meant(known: Field, text: str) -> str:
    """Return the number that the author probably meant by ``2G``, ``0,5`` or ``512.0``."""
    match = _WITH_UNIT.fullmatch(text)
    if match and known.unit == "MB":
        return str(max(1, round(float(match[1]) * _MB_OF[match[2].upper()])))
    plain = text.replace(",", ".")
    if not _NUMBER.fullmatch(plain):
        return ""
    return plain if known.kind is Kind.NUMBER else str(max(1, round(float(plain))))


def _boolean(known: Field, text: str) -> bool:
    value = _BOOLEANS.get(text.upper())
    if value is None:
        raise WrongValueError(f"{known.name} has to be yes or no, not {brief(text)!r}.")
    return value


def _choice(known: Field, text: str) -> str:
    for choice in known.choices:
        if choice.upper() == text.upper():
            return choice
    meant = close_to(text.lower(), known.choices, likeness=0.6)
    raise WrongValueError(f"{known.name} has to be one of {', '.join(known.choices)}, not {brief(text)!r}.", meant)


def _address(known: Field, text: str) -> str:
    try:
        if known.kind is Kind.IP:
            parse_ip(text)
            return text
        number = parse_mac(text)
    except AddressError as error:
        raise WrongValueError(f"{known.name}: {error}") from error
    if is_multicast_mac(number):
        raise WrongValueError(
            f"{known.name}: {text} is a multicast MAC (its first octet is odd), which no card can have."
        )
    return format_mac(number)


def _text(known: Field, text: str) -> str:
    if known.pattern and not re.fullmatch(known.pattern, text):
        shown = brief(text)
        raise WrongValueError(f"{known.name} has to be {known.pattern_says}, not {shown!r}.")
    return text
