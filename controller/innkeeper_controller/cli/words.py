"""Numbers, moments and lists of ids as people write and read them.

Nothing here looks at the clock: now comes in as an argument.
"""

import re
from collections.abc import Iterable

KIB = 1024
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
MINUTE_S = 60
#: Shorter durations are told with their tenths.
TENTHS_BELOW_S = 10
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)?")
_SPAN_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
PLURALS = {"address": "addresses"}
#: Ids that one command may name through ranges.
MAX_IDS = 100_000


def size(count_bytes: float) -> str:
    """Return a number of bytes as ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count_bytes) < KIB or unit == "TiB":
            break
        count_bytes /= KIB
    return f"{count_bytes:.0f} {unit}" if unit == "B" else f"{number(round(count_bytes, 1))} {unit}"


def memory(count_mib: float) -> str:
    """Return a number of MiB as ``512 MiB`` or ``4 GiB``; ``0`` for none."""
    return size(count_mib * KIB * KIB) if count_mib else "0"


def number(value: float) -> str:
    """Return a number without needless zeros: ``2``, ``0.5``."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def span(seconds: float) -> str:
    """Return a duration in its two largest units at most: ``43 ms``, ``3.2 s``, ``4m 10s``, ``2h 5m``, ``3d 4h``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < TENTHS_BELOW_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    while not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{count}{unit}" for count, unit in parts[:2] if count)


def age(moment_s: float | None, now_s: float) -> str:
    """Return how long ago a moment was, short enough for a table: ``12s``, ``5m``, ``3h``, ``9d``; ``-`` for never."""
    if not moment_s:
        return "-"
    ago_s = max(0, round(now_s - moment_s))
    for limit, per, unit in ((120, 1, "s"), (7200, 60, "m"), (172_800, 3600, "h")):
        if ago_s < limit:
            return f"{ago_s // per}{unit}"
    return f"{ago_s // 86400}d"


def moment(moment_s: float | None) -> str:
    """Return a moment in the local time of who reads it; ``-`` for none."""
    if not moment_s:
        return "-"
    from time import localtime, strftime

    return strftime("%Y-%m-%d %H:%M:%S", localtime(moment_s))


def count(quantity: int, noun: str) -> str:
    """Return ``1 host``, ``3 hosts``."""
    return f"{quantity} {noun if quantity == 1 else PLURALS.get(noun, f'{noun}s')}"


def cores(quantity: float) -> str:
    """Return ``1 core``, ``0.5 cores``."""
    return f"{number(quantity)} core{'' if quantity == 1 else 's'}"


def joined(words: Iterable[object]) -> str:
    """Return words with commas; ``-`` for none."""
    return ", ".join(str(word) for word in words) or "-"


def parse_size(text: str) -> int:
    """Return the bytes that ``512M``, ``1.5GiB`` or ``4096`` mean; K, M, G are powers of 1024.

    Raises:
        ValueError: it is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a size like 512M or 1.5G")
    return round(float(match[1]) * float(KIB) ** " kmgtp".index(match[2].lower() or " "))


def parse_span(text: str) -> float:
    """Return the seconds that ``90``, ``90s``, ``5m`` or ``2h`` mean.

    Raises:
        ValueError: it is no duration.
    """
    match = _SPAN.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a duration like 30s, 5m or 2h")
    return float(match[1]) * _SPAN_S[match[2] or "s"]


def expand(texts: Iterable[str]) -> list[str]:
    """Return ids and names with ranges written out, each once: ``3 7 10..12 web`` is ``3 7 10 11 12 web``.

    Raises:
        ValueError: a range goes backwards or is too long.
    """
    found: dict[str, None] = {}
    for text in texts:
        match = _RANGE.fullmatch(text)
        if not match:
            found[text] = None
            continue
        first, last = int(match[1]), int(match[2])
        if last < first or last - first >= MAX_IDS:
            raise ValueError(f"{text} is not a range like 10..12 (at most {MAX_IDS} ids)")
        found.update(dict.fromkeys(str(each) for each in range(first, last + 1)))
    return list(found)


def ago(moment_s: float | None, now_s: float) -> str:
    """Return ``5m ago``; ``never`` for no moment."""
    return f"{age(moment_s, now_s)} ago" if moment_s else "never"
