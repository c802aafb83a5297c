"""Counts requests by name and status, and how long they took; cheap enough for each of them."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

#: Upper edges of the buckets, seconds.
EDGES_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0)


@dataclass(slots=True)
class Traffic:
    """What came since the start."""

    #: ``{(request, status): how many}``
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    #: ``{request: how many in each bucket}``, the last for what took longer than all edges.
    buckets: dict[str, list[int]] = field(default_factory=dict)
    #: ``{request: seconds}``
    took_s: Counter[str] = field(default_factory=Counter)

    def count(self, name: str, status: int, took_s: float) -> None:
        """Count one request."""
        self.answers[name, status] += 1
        buckets = self.buckets.get(name)
        if buckets is None:
            buckets = self.buckets[name] = [0] * (len(EDGES_S) + 1)
        buckets[bisect_left(EDGES_S, took_s)] += 1
        self.took_s[name] += took_s  # type: ignore[assignment]  # a Counter of seconds counts parts of them
