"""Refusals as HTTP has them: one form for every error, whoever finds it."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from innkeeper_controller.turn import REFUSALS, Mistake, RefusalError

_encode = msgspec.json.Encoder().encode

#: Where a value is, as msgspec says it: `` - at `$.ranges[0].size` ``.
_AT: Final = re.compile(r" - at `(?:key in )?\$?\.?(.*?)`$")
_MISSING: Final = re.compile(r"missing required field `([^`]+)`")


def body_of(refusal: RefusalError) -> bytes:
    """Return ``{"error": {"code", "message", "mistakes"}}`` as JSON."""
    error: dict[str, object] = {"code": refusal.code, "message": str(refusal), "mistakes": refusal.mistakes}
    return _encode({"error": error})


def status_of(refusal: RefusalError) -> int:
    """Return the refusal's HTTP status."""
    return REFUSALS[refusal.code]


def bad_request(message: str, field: str = "", suggestion: str = "") -> RefusalError:
    """Return the refusal for a request with one mistake."""
    mistakes = (Mistake(message=message, field=field, suggestion=suggestion),) if field else ()
    return RefusalError(
        "bad_request", f"{message}." if not message.endswith((".", "?")) else message, mistakes=mistakes
    )


def wrong_value(error: msgspec.ValidationError) -> RefusalError:
    """Return the refusal for a parameter of the wrong type."""
    text = str(error)
    at = _AT.search(text)
    path = at[1] if at else ""
    missing = _MISSING.search(text)
    name = ".".join(part for part in (path, missing[1] if missing else "") if part)
    reason = "it is missing" if missing else _AT.sub("", text)
    return bad_request(f"Parameter {name}: {reason}" if name else reason, name)


def unknown_names(names: Iterable[str], known: Mapping[str, object]) -> RefusalError:
    """Return the refusal for parameters that there are not, with what was probably meant.

    Args:
        names: Each with the place before it: ``ranges[0].sise``.
        known: Parameters of the request, for those without a place.
    """
    mistakes = []
    for name in names:
        close = difflib.get_close_matches(name.rpartition(".")[2], known, n=1)
        hint = f", did you mean {close[0]}?" if close else ""
        mistakes.append(
            Mistake(message=f"There is no parameter {name}{hint}", field=name, suggestion=close[0] if close else "")
        )
    more = f" ({len(mistakes)} mistakes)" if len(mistakes) > 1 else ""
    first = mistakes[0].message
    text = f"{first}{more}" if first.endswith("?") else f"{first}{more}."
    return RefusalError("bad_request", text, mistakes=tuple(mistakes))
