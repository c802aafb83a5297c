"""The archive for the loop: every read in a thread of its own, so that the loop never waits for the disk."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from innkeeper_controller.cluster import Cluster, Key
from innkeeper_controller.records import Event, HistoryRecord, Operation, Record, VmRecord
from innkeeper_controller.store.archive import EVERYTHING, MAX_PAGE, Answered, Archive, EventFilter
from innkeeper_controller.store.replay import memory_differences, replay, table_differences

T = TypeVar("T")

#: Readers at once; more wait in the threads' own queue.
_THREADS = 2

#: Everything that a transaction reads is of the moment of its first read.
_SNAPSHOT: Final = {"isolation_level": "REPEATABLE READ"}


class Reading:
    """``Archive``, awaited."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine; threads begin with the first read."""
        self._engine = engine
        self._archive = Archive(engine)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store-reader")

    async def _run(self, read: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, read)

    def close(self) -> None:
        """End the threads once they have read what they read."""
        self._threads.shutdown()

    async def last_seq(self) -> int:
        """Return the number of the last event."""
        return await self._run(self._archive.last_seq)

    async def answered(self, since_s: float, limit: int) -> list[tuple[str, str]]:
        """Return (request id, SHA-256 of what was asked) of the newest answers, the oldest of them first."""
        return await self._run(partial(self._archive.answered, since_s=since_s, limit=limit))

    async def answer(self, request_id: str) -> Answered | None:
        """Return what was answered to a numbered request."""
        return await self._run(partial(self._archive.answer, request_id))

    async def record(self, kind: str, key: Key) -> Record | None:
        """Return a record, DONE and ended ones too."""
        return await self._run(partial(self._archive.record, kind, key))

    async def done_vms(self, *, after: int, limit: int, owner: str, name: str) -> list[VmRecord]:
        """Return DONE VMs with higher numbers than ``after``, the lowest first."""
        return await self._run(partial(self._archive.done_vms, after=after, limit=limit, owner=owner, name=name))

    async def stays(self, vm_ids: Sequence[int]) -> list[HistoryRecord]:
        """Return the stays of these VMs on hosts, DONE ones too, in no order."""
        return await self._run(partial(self._archive.stays, vm_ids))

    async def history(self, *, from_s: float, to_s: float, vm_id: int, owner: str) -> list[HistoryRecord]:
        """Return the stays on hosts from ``from_s`` on and before ``to_s``, DONE VMs' too, in no order."""
        read = partial(self._archive.history, from_s=from_s, to_s=to_s, vm_id=vm_id, owner=owner)
        return await self._run(read)

    async def operations(self, subject: str) -> list[Operation]:
        """Return all operations of a VM or image, the oldest first."""
        return await self._run(partial(self._archive.operations, subject))

    async def events(
        self, *, after: int = 0, limit: int = MAX_PAGE, wanted: EventFilter = EVERYTHING
    ) -> list[tuple[Event, str]]:
        """Return events with higher numbers than ``after``, the oldest first, each with the owner of its subject."""
        return await self._run(partial(self._archive.events, after=after, limit=limit, wanted=wanted))

    async def last_events(self, *, limit: int = MAX_PAGE, wanted: EventFilter = EVERYTHING) -> list[tuple[Event, str]]:
        """Return the newest events, the oldest of them first."""
        return await self._run(partial(self._archive.last_events, limit=limit, wanted=wanted))

    async def differences(self, live: Cluster | None) -> tuple[int, list[str]]:
        """Tell the log again and return how many records it knows, and a sentence for each disagreement.

        Args:
            live: What memory holds, to be compared as well; must not change meanwhile. None leaves it out.
        """
        return await self._run(partial(differences, self._engine, live))


def differences(engine: Engine, live: Cluster | None) -> tuple[int, list[str]]:
    """Do as ``Reading.differences`` does, here and now."""
    with _one_view(engine) as connection:
        told = replay(connection)
        found = table_differences(connection, told)
    return len(told.records), found + (memory_differences(told, live) if live is not None else [])


def _one_view(engine: Engine) -> Connection:
    """Return a connection that sees one moment; SQLite's always do."""
    connection = engine.connect()
    return connection if engine.dialect.name == "sqlite" else connection.execution_options(**_SNAPSHOT)
