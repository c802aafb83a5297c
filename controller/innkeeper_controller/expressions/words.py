"""Numbers in expressions: what counts as one, in a text and in what a host says of itself."""

import math
import re

#: A plain decimal number; no ``nan``, no ``inf``, no underscores.
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?\s*", re.ASCII)


#: A tuple, since a union is made anew for each call.
_NUMERIC = (int, float)


def finite(text: str) -> float | None:
    """Return the number that a text is; None where it is none, or too large for one."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def number_of(actual: object) -> float | None:
    """Return what a host says as a number; None where it is no finite one."""
    if not isinstance(actual, _NUMERIC):
        return finite(actual) if isinstance(actual, str) else None
    try:
        value = float(actual)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def unit_hint(name: str) -> str:
    """Return what to add to a sentence about a number with a unit."""
    if "MEM" in name:
        return f"; {name} is in KB, 1 GB is 1048576"
    return f"; {name} is 100 for each core" if "CPU" in name else ""
