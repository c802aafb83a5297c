"""The one thread that writes: all that waits goes into one commit; decides nothing of what is written.

What a caller may rely on:

1. ``durable`` is called with a batch's number only after it and all before it are on the disk, in order.
2. A commit that fails leaves nothing of its batches behind. Where that can pass (disk full, file locked by somebody
   else's tool) they are kept and tried again, and ``stalled`` says why; nothing later overtakes them.
3. Any other failure ends the thread: ``failed`` is called once and nothing is written any more, because after an
   I/O error nobody knows what the disk holds until the database is opened anew.
"""

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection

from innkeeper_controller.store.rows import Rows, Transaction, last_ids_row, rows_of, statements_for

#: Most turns in one commit; what is more waits for the next.
MAX_TRANSACTIONS = 4096

#: SQLite's errors that pass when somebody makes room or lets go; their extended codes share the low byte.
_PASSING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

#: What a full disk looks like when it is the shared index of the log that cannot grow.
_PASSING_EXTENDED = frozenset({sqlite3.SQLITE_IOERR_SHMSIZE})

#: Upper edges of the buckets that commits are counted in, seconds and turns.
SECONDS_EDGES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)
TURNS_EDGES = (1, 2, 4, 8, 16, 32, 64, 128, 512, 4096)


@dataclass(frozen=True, slots=True)
class Batch:
    """The turns of one loop turn, with the highest numbers given until then."""

    number: int
    transactions: Sequence[Transaction]
    last_ids: dict[str, int]
    #: Answers that were given before are forgotten; 0 for none.
    forget_answers_before_s: float = 0.0


@dataclass(slots=True)
class Distribution:
    """How often a value lay in which bucket."""

    edges: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts = self.counts or [0] * (len(self.edges) + 1)
        self.counts[next((index for index, edge in enumerate(self.edges) if value <= edge), len(self.edges))] += 1
        self.total += value


@dataclass(slots=True)
class WriterCounters:
    """What the writer did; written by its thread only."""

    commits: int = 0
    transactions: int = 0
    rows: int = 0
    failures: int = 0
    #: The whole transaction, and of it the COMMIT, which is nearly all fsync.
    write_s: Distribution = field(default_factory=lambda: Distribution(SECONDS_EDGES))
    commit_s: Distribution = field(default_factory=lambda: Distribution(SECONDS_EDGES))
    turns: Distribution = field(default_factory=lambda: Distribution(TURNS_EDGES))


class Writer:
    """Makes batches durable, many with one fsync."""

    def __init__(
        self,
        engine: Engine,
        *,
        durable: Callable[[int], object],
        stalled: Callable[[str], object],
        failed: Callable[[str], object],
        retry_s: float = 1.0,
    ) -> None:
        """Prepare; all three are called in the writer's thread.

        Args:
            engine: The database, which this process has locked.
            durable: Learns the number of the last batch that is on the disk.
            stalled: Learns why writing has to wait; an empty text when it goes on.
            failed: Learns why nothing will be written any more.
            retry_s: Wait before a commit that could not be made is tried again.
        """
        self.counters = WriterCounters()
        self._engine = engine
        self._durable, self._stalled, self._failed = durable, stalled, failed
        self._retry_s = retry_s
        self._inbox: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._statements = statements_for("?" if engine.dialect.paramstyle == "qmark" else "%s")
        self._begin = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else ""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def submit(self, batch: Batch) -> None:
        """Hand over a batch; returns at once."""
        self._inbox.put(batch)

    @property
    def is_alive(self) -> bool:
        """False once nothing will be written any more."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Write what waits, then end; what cannot be written now is given up."""
        self._closing.set()
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        connection = self._engine.raw_connection()
        try:
            while group := self._next_group():
                if not self._write_in_the_end(connection, group):
                    return
                self._durable(group[-1].number)
        except Exception as error:  # noqa: BLE001 - whatever ended the thread, those who wait for it have to learn it
            self.counters.failures += 1
            self._failed(_words(error))
        finally:
            with contextlib.suppress(self._engine.dialect.loaded_dbapi.Error):
                connection.close()

    def _next_group(self) -> list[Batch]:
        """Wait for a batch and take all others that wait; empty when there will be none any more."""
        group: list[Batch] = []
        count = 0
        batch = self._inbox.get()
        while batch is not None:
            group.append(batch)
            count += len(batch.transactions)
            if count >= MAX_TRANSACTIONS:
                return group
            try:
                batch = self._inbox.get_nowait()
            except queue.Empty:
                return group
        if group:
            self._inbox.put(None)
        return group

    def _write_in_the_end(self, connection: PoolProxiedConnection, group: list[Batch]) -> bool:
        """Write, again and again while that can help; False when closed before it did."""
        rows = rows_of([transaction for batch in group for transaction in batch.transactions])
        rows.meta.append(last_ids_row(group[-1].last_ids))
        forget_before_s = max(batch.forget_answers_before_s for batch in group)
        if forget_before_s:
            rows.forgotten.append((forget_before_s,))
        waited = False
        while True:
            try:
                self._write(connection, rows)
            except self._engine.dialect.loaded_dbapi.Error as error:
                connection.rollback()
                if not _passes(error):
                    raise
                self.counters.failures += 1
                self._stalled(_words(error))
                waited = True
                if self._closing.wait(self._retry_s):
                    return False
                continue
            self._count(rows, group)
            if waited:
                self._stalled("")
            return True

    def _write(self, connection: PoolProxiedConnection, rows: Rows) -> None:
        began_s = time.perf_counter()
        cursor = connection.cursor()
        if self._begin:
            cursor.execute(self._begin)
        self._execute(cursor, rows)
        commit_s = time.perf_counter()
        connection.commit()
        ended_s = time.perf_counter()
        cursor.close()
        self.counters.commit_s.observe(ended_s - commit_s)
        self.counters.write_s.observe(ended_s - began_s)

    def _execute(self, cursor: Any, rows: Rows) -> None:  # noqa: ANN401 - the driver's own cursor
        statements = self._statements
        for kind, keys in rows.drops.items():
            cursor.executemany(statements.drops[kind], keys)
        for kind, puts in rows.puts.items():
            cursor.executemany(statements.puts[kind], puts)
        for statement, others in (
            (statements.events, rows.events),
            (statements.answers, rows.answers),
            (statements.meta, rows.meta),
            (statements.forget, rows.forgotten),
        ):
            if others:
                cursor.executemany(statement, others)

    def _count(self, rows: Rows, group: list[Batch]) -> None:
        turns = sum(len(batch.transactions) for batch in group)
        self.counters.commits += 1
        self.counters.transactions += turns
        self.counters.rows += rows.count
        self.counters.turns.observe(turns)


def _passes(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _PASSING or code in _PASSING_EXTENDED


def _words(error: Exception) -> str:
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return f"{error} ({name})"
