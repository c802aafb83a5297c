"""Events as they become durable, for any number of followers, each at its own pace; keeps no follower's backlog.

The newest events lie in one ring for all. A follower that has fallen behind the ring reads from the store until it is
back in it, so that nothing waits in memory for anybody.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from innkeeper_controller.records import Event
from innkeeper_controller.store.archive import EventFilter
from innkeeper_controller.store.reading import Reading
from innkeeper_controller.store.rows import Transaction

#: Events kept in memory.
RING_LENGTH: Final = 4096
#: Events of one read from the store.
_PAGE: Final = 500

_replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True)
class Told:
    """An event with the owner of its subject."""

    event: Event
    owner: str


class Feed:
    """The ring and its followers; ``watch`` gets what has become durable."""

    def __init__(self, reading: Reading, *, ring_length: int = RING_LENGTH) -> None:
        """Begin with an empty ring."""
        self._reading = reading
        self._ring: deque[Told] = deque(maxlen=ring_length)
        self._followers: set[asyncio.Event] = set()
        self._is_closed = False
        #: Number of the newest event.
        self.last_seq = 0

    def close(self) -> None:
        """Let every follower come to its end."""
        self._is_closed = True
        self._wake()

    @property
    def followers(self) -> int:
        """How many follow."""
        return len(self._followers)

    def watch(self, transactions: Sequence[Transaction]) -> None:
        """Take over the events of turns that have become durable."""
        for transaction in transactions:
            for index, event in enumerate(transaction.events):
                self.last_seq = transaction.first_seq + index
                self._ring.append(Told(_replace(event, seq=self.last_seq), transaction.owners[index]))
        self._wake()

    def _wake(self) -> None:
        for follower in self._followers:
            follower.set()

    async def follow(self, after: int | None, wanted: EventFilter, *, quiet_s: float) -> AsyncIterator[Event | None]:
        """Give the wanted events behind number ``after``, then each as it becomes durable.

        Args:
            after: None for what happens from now on.
            wanted: Which.
            quiet_s: After so long without any, None is given, to show that the feed is alive.
        """
        seen = self.last_seq if after is None else min(after, self.last_seq)
        news = asyncio.Event()
        self._followers.add(news)
        try:
            while not self._is_closed:
                news.clear()
                while self._has_left_ring(seen):
                    found, seen = await self._from_store(seen, wanted)
                    for event in found:
                        yield event
                for told in self._behind(seen):
                    seen = told.event.seq
                    if wanted.accepts(told.event, told.owner):
                        yield told.event
                if not await _happens(news, quiet_s):
                    yield None
        finally:
            self._followers.discard(news)

    def _has_left_ring(self, seen: int) -> bool:
        oldest = self._ring[0].event.seq if self._ring else self.last_seq + 1
        return seen + 1 < oldest

    async def _from_store(self, seen: int, wanted: EventFilter) -> tuple[list[Event], int]:
        """Return the next wanted events and the number up to which there are no others."""
        newest = self.last_seq
        page = await self._reading.events(after=seen, limit=_PAGE, wanted=wanted)
        found = [event for event, _ in page]
        if len(found) == _PAGE:
            return found, found[-1].seq
        return found, max(newest, found[-1].seq if found else 0)

    def _behind(self, seen: int) -> list[Told]:
        """Return what the ring has behind a number, the oldest first."""
        found = []
        for told in reversed(self._ring):
            if told.event.seq <= seen:
                break
            found.append(told)
        found.reverse()
        return found


async def _happens(news: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await news.wait()
    except TimeoutError:
        return False
    return True
