"""Persist, then act, then send: makes reactions durable in batches and carries their effects out afterwards.

It decides nothing; the order of the reactions is the order of their effects.
A quick disk is waited for in the loop, any other in a thread, so that heartbeats go out while an image is written.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from innkeeper_hostagent.effects import Effect, Reaction
from innkeeper_hostagent.entries import Entry
from innkeeper_hostagent.journal import Journal, JournalError
from innkeeper_hostagent.lanes import Lane, tell

_NOTHING: Final = Reaction()


class Recorder:
    """Between the executor and the world; every method has to be called on the loop's thread."""

    def __init__(
        self,
        journal: Journal,
        *,
        loop: asyncio.AbstractEventLoop,
        act: Callable[[Effect], None],
        durable: Callable[[], None],
        snapshot: Callable[[], Sequence[Entry]],
        failed: Callable[[JournalError], None],
    ) -> None:
        """Take the journal.

        Args:
            journal: Where entries go.
            loop: The loop on whose thread effects are carried out.
            act: Carries one effect out; must not block.
            durable: Told when nothing that was taken is still to be written.
            snapshot: Entries that tell all that the journal tells, for its rewriting.
            failed: Told once when the journal can be written no more; nothing is carried out after that.
        """
        self._journal = journal
        self._loop = loop
        self._act = act
        self._durable = durable
        self._snapshot = snapshot
        self._failed = failed
        self._pending: list[Reaction] = []
        self._scheduled = False
        self._writing = False
        self._closed = False
        self._written: asyncio.Future[None] | None = None
        self._lane = Lane("journal", 1)

    def take(self, reaction: Reaction) -> None:
        """Let the reaction become durable, and true."""
        self._pending.append(reaction)
        self._flush_soon()

    def nudge(self) -> None:
        """Tell ``durable`` soon, if there is nothing to write."""
        self._pending.append(_NOTHING)
        self._flush_soon()

    def close(self) -> None:
        """Carry nothing more out; what is not durable yet is not lost to anybody, since nobody was told."""
        self._closed = True
        self._pending.clear()
        self._lane.close()

    async def written(self) -> None:
        """Return when no thread writes to the journal any more."""
        if self._writing:
            self._written = self._loop.create_future()
            await self._written

    def _flush_soon(self) -> None:
        if not self._scheduled and not self._writing and not self._closed:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._closed or not self._pending:
            return
        batch, self._pending = self._pending, []
        entries = [reaction.entries for reaction in batch if reaction.entries]
        if not entries:
            self._on_written(batch, None)
        elif self._journal.is_quick:
            self._on_written(batch, self._write(entries))
        else:
            self._writing = True
            self._lane.submit(lambda: self._write_elsewhere(batch, entries))

    def _write(self, entries: list[tuple[Entry, ...]]) -> JournalError | None:
        try:
            self._journal.write(entries)
        except JournalError as error:
            return error
        return None

    def _write_elsewhere(self, batch: list[Reaction], entries: list[tuple[Entry, ...]]) -> None:
        error = self._write(entries)
        tell(self._loop, self._on_written_elsewhere, batch, error)

    def _on_written_elsewhere(self, batch: list[Reaction], error: JournalError | None) -> None:
        self._writing = False
        if self._written is not None:
            self._written.set_result(None)
        self._on_written(batch, error)

    def _on_written(self, batch: list[Reaction], error: JournalError | None) -> None:
        if self._closed:
            return
        if error is not None:
            self.close()
            self._failed(error)
            return
        for reaction in batch:
            for effect in reaction.effects:
                self._act(effect)
        if self._pending:
            self._flush_soon()
            return
        if self._journal.is_long:
            self._rewrite()
        self._durable()

    def _rewrite(self) -> None:
        """Shorten the journal, now that all that the executor knows is in it."""
        try:
            self._journal.rewrite(self._snapshot())
        except OSError:
            # The disk is full: the long journal goes on, and the next write tries again.
            return
