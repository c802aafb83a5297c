"""Bytes and MiB: the one place that knows how many of the one are one of the other."""

from typing import Final

MIB: Final = 1024 * 1024


def mib_for(size_bytes: int) -> int:
    """Return how many whole MiB hold so many bytes."""
    return -(-size_bytes // MIB)
