"""Amounts and lists as people read them in reasons."""

import math
from collections.abc import Callable, Iterable
from typing import Final

_QUARTER_GIB = 256
_MIB_PER_GIB = 1024
#: Cores are told and given in such parts.
_PER_CORE: Final = 100


def size_text(mib: float) -> str:
    """Return an amount of MiB as people read it, without losing any of it."""
    if abs(mib) >= _MIB_PER_GIB and mib % _QUARTER_GIB == 0:
        return f"{mib / _MIB_PER_GIB:g} GiB"
    return f"{mib:.10g} MiB"


def few(names: list[str], most: int = 3) -> str:
    """Return the first names and how many there are beside: ``h1, h2, h3 and 5 more``."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def shortfall(needed: float, free: float) -> float:
    """Return which part of what is needed is missing."""
    return (needed - max(0.0, free)) / needed if needed > 0 else 0.0


def number_text(value: float) -> str:
    """Return a number without needless digits."""
    return f"{value:.6g}"


def cores_text(cores: float) -> str:
    """Return ``1 core`` or ``1.5 cores``."""
    return "1 core" if cores == 1 else f"{cores:.6g} cores"


def missing_mib(needed: float, free: float) -> float:
    """Return the fewest whole MiB that have to come to what is free."""
    return float(math.ceil(needed - free)) if math.isfinite(free) else needed


def missing_cores(needed: float, free: float) -> float:
    """Return the fewest hundredths of cores that have to come to what is free."""
    return math.ceil((needed - free) * _PER_CORE) / _PER_CORE if math.isfinite(free) else needed


def left(free: float, of_what: str, text: Callable[[float], str], unit: str = "") -> str:
    """Return what is free: ``6.5 GiB of 64 GiB are free``; more may be given away than there is.

    Args:
        free: How much.
        of_what: What there is in all; empty to leave it out.
        text: Makes words of an amount.
        unit: What has to stand behind them where no other amount follows.
    """
    of = f" of {of_what}" if of_what else unit
    if free > 0:
        return f"{text(free)}{of} are free"
    too_much = f" ({text(-free)}{_too_much(-free, unit)} given away)" if free < 0 else ""
    return f"none{f' of {of_what}' if of_what else ''} is free{too_much}"


def _too_much(amount: float, unit: str) -> str:
    if not unit:
        return " too much are"
    return f"{unit.removesuffix('s')} too many is" if amount == 1 else f"{unit} too many are"


def listed(names: Iterable[str]) -> str:
    """Return names in order, with commas."""
    return ", ".join(sorted(names))
