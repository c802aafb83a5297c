"""Amounts and lists as people read them in reasons."""

from collections.abc import Iterable

_QUARTER_GIB = 256
_MIB_PER_GIB = 1024


def size_text(mib: float) -> str:
    """Return an amount of MiB as people read it, without losing any of it."""
    if abs(mib) >= _MIB_PER_GIB and mib % _QUARTER_GIB == 0:
        return f"{mib / _MIB_PER_GIB:g} GiB"
    return f"{mib:.10g} MiB"


def shortfall(needed: float, free: float) -> float:
    """Return which part of what is needed is missing."""
    return (needed - max(0.0, free)) / needed if needed > 0 else 0.0


def listed(names: Iterable[str]) -> str:
    """Return names in order, with commas."""
    return ", ".join(sorted(names))
