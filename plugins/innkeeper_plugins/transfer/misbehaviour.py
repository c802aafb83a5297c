"""Decides when a simulated driver is slow, fails, hangs or lies, as its configuration tells it.

It must not use chance that the seed does not give, nor wait by itself: who makes it says how.
"""

import difflib
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from innkeeper_plugins.errors import DriverError

#: When something happens: with that probability at each call, or at the calls of these numbers, counted from 1.
When: TypeAlias = float | list[int]
#: A wait is cut in slices of this length at most, so that a cancellation is noticed.
SLICE_S = 0.1

#: Says how far it is; raises ``DriverError`` when the operation was cancelled.
Progress: TypeAlias = Callable[[int, int], None]


class Orders(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to misbehave; each table is ``{verb: when}``."""

    #: Makes all chance repeatable.
    seed: int = 0
    #: How long each call takes: for all verbs, or by verb.
    latency_s: float | dict[str, float] = 0.0
    #: Raises ``DriverError`` with ``fail_code``.
    fail: dict[str, When] = {}
    fail_code: str = "tool_failed"
    #: Waits until it is cancelled, at most ``hang_s``.
    hang: dict[str, When] = {}
    hang_s: float = 3600.0
    #: Says that it is done and has done nothing.
    lie: dict[str, When] = {}


@dataclass(frozen=True, slots=True)
class _Fate:
    """What lies in wait for the calls of one verb."""

    latency_s: float
    fail: When
    hang: When
    lie: When
    numbers: Iterator[int]


class Misbehaviour:
    """Carries out the orders, call by call; safe to use from several threads."""

    def __init__(self, orders: Orders, verbs: Iterable[str], *, sleep: Callable[[float], None]) -> None:
        """Take the orders for these verbs.

        Raises:
            ValueError: an order names a verb that is not among them.
        """
        self._orders = orders
        self._sleep = sleep
        self._random = random.Random(orders.seed)  # noqa: S311 - repeatable on purpose
        known = tuple(verbs)
        for table in (orders.latency_s, orders.fail, orders.hang, orders.lie):
            _check_verbs(table, known)
        # A verb without a fate costs one look into this table.
        self._fates = {verb: fate for verb in known if (fate := _fate(orders, verb)) is not None}

    def meet(self, verb: str, progress: Progress) -> bool:
        """Let happen what lies in wait for this call; False where the call has to lie.

        Raises:
            DriverError: it has to fail, was cancelled while it took its time, or hung for too long.
        """
        fate = self._fates.get(verb)
        if fate is None:
            return True
        number = next(fate.numbers)
        self._wait(fate.latency_s, progress)
        if self._comes(fate.hang, number):
            self._wait(self._orders.hang_s, progress)
            raise DriverError(f"{verb} hung for {self._orders.hang_s:g} s, as it was told", code="timeout")
        if self._comes(fate.fail, number):
            raise DriverError(
                f"call {number} of {verb} failed, as it was told", code=self._orders.fail_code, stderr="simulated"
            )
        return not self._comes(fate.lie, number)

    def _comes(self, when: When, number: int) -> bool:
        if isinstance(when, list):
            return number in when
        return when > 0 and self._random.random() < when

    def _wait(self, wait_s: float, progress: Progress) -> None:
        slices = -(-wait_s // SLICE_S)
        for number in range(int(slices)):
            progress(number, int(slices))
            self._sleep(wait_s / slices)


def _fate(orders: Orders, verb: str) -> _Fate | None:
    latency_s = orders.latency_s.get(verb, 0.0) if isinstance(orders.latency_s, dict) else orders.latency_s
    fail, hang, lie = (table.get(verb, 0.0) for table in (orders.fail, orders.hang, orders.lie))
    if not (latency_s or fail or hang or lie):
        return None
    return _Fate(latency_s, fail, hang, lie, itertools.count(1))


def _check_verbs(table: Mapping[str, object] | float, known: tuple[str, ...]) -> None:
    if not isinstance(table, Mapping):
        return
    for verb in table:
        if verb not in known:
            close = difflib.get_close_matches(verb, known, n=1)
            raise ValueError(f"there is no verb {verb!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
