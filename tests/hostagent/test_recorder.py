"""Persist, then act, then send: in that order, whatever the disk does."""

import asyncio
import contextlib

import pytest

from innkeeper_hostagent import journal as journal_module
from innkeeper_hostagent.effects import Reaction, Send
from innkeeper_hostagent.entries import OperationsForgotten
from innkeeper_hostagent.journal import Journal, JournalFullError
from innkeeper_hostagent.protocol.messages import Goodbye
from innkeeper_hostagent.recorder import Recorder
from innkeeper_plugins.vocabulary import OperationId


def reaction(number, *, entries=True):
    forgotten = OperationsForgotten(operations=(OperationId(f"o{number}"),))
    return Reaction(entries=(forgotten,) if entries else (), effects=(Send(message=Goodbye(reason=str(number))),))


class Owner:
    """Writes down what is told, and what the journal held at that moment."""

    def __init__(self, path, loop):
        self.path = path
        self.told = []
        self.failures = []
        self.at_rest = asyncio.Event()
        self.journal = Journal(path)
        tuple(self.journal.entries())
        self.recorder = Recorder(
            self.journal,
            loop=loop,
            act=lambda effect: self.told.append((effect.message.reason, self.writes)),
            durable=self._on_durable,
            snapshot=lambda: (OperationsForgotten(operations=(OperationId("all"),)),),
            failed=lambda error: (self.failures.append(error), self.at_rest.set()),
        )
        self.writes = 0
        write = self.journal.write
        self.journal.write = lambda reactions: (write(reactions), setattr(self, "writes", self.writes + 1))

    def _on_durable(self):
        self.told.append(("durable", self.writes))
        self.at_rest.set()

    async def rest(self):
        await asyncio.wait_for(self.at_rest.wait(), 10)
        self.at_rest.clear()

    def close(self):
        self.recorder.close()
        self.journal.close()
        with contextlib.closing(Journal(self.path)) as again:
            return [entry.operations for entry in again.entries()]


def carried_out(path, scenario, *, quick):
    async def run():
        owner = Owner(path, asyncio.get_running_loop())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(journal_module, "QUICK_SYNC_S", 1e9 if quick else 0.0)
            await scenario(owner)
        return owner

    return asyncio.run(run())


@pytest.mark.parametrize("quick", [True, False])
def test_what_comes_in_one_turn_is_one_write_and_effects_follow_it_in_order(tmp_path, quick):
    async def scenario(owner):
        for number in range(3):
            owner.recorder.take(reaction(number))
        await owner.rest()

    owner = carried_out(tmp_path / "journal", scenario, quick=quick)

    assert owner.told == [("0", 1), ("1", 1), ("2", 1), ("durable", 1)]
    assert owner.close() == [("o0",), ("o1",), ("o2",)]


@pytest.mark.parametrize("quick", [True, False])
def test_effects_of_a_reaction_without_entries_wait_for_those_before_it(tmp_path, quick):
    async def scenario(owner):
        owner.recorder.take(reaction(0))
        owner.recorder.take(reaction(1, entries=False))
        await owner.rest()
        owner.recorder.nudge()
        await owner.rest()

    owner = carried_out(tmp_path / "journal", scenario, quick=quick)

    assert owner.told == [("0", 1), ("1", 1), ("durable", 1), ("durable", 1)]
    owner.close()


def test_nothing_is_called_durable_while_a_write_is_under_way(tmp_path):
    async def scenario(owner):
        owner.recorder.take(reaction(0))
        await asyncio.sleep(0)
        owner.recorder.take(reaction(1))
        await owner.rest()

    owner = carried_out(tmp_path / "journal", scenario, quick=False)

    assert owner.told == [("0", 1), ("1", 2), ("durable", 2)]
    owner.close()


@pytest.mark.parametrize("quick", [True, False])
def test_a_journal_that_fails_is_told_once_and_nothing_follows(tmp_path, quick):
    async def scenario(owner):
        def fail(_reactions):
            raise JournalFullError("full")

        owner.journal.write = fail
        owner.recorder.take(reaction(0))
        await owner.rest()
        owner.recorder.take(reaction(1))
        await asyncio.sleep(0)

    owner = carried_out(tmp_path / "journal", scenario, quick=quick)

    assert owner.told == []
    assert [str(error) for error in owner.failures] == ["full"]
    assert owner.close() == []


def test_a_long_journal_is_rewritten_when_all_is_durable(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "COMPACT_ABOVE_BYTES", 100)

    async def scenario(owner):
        for number in range(10):
            owner.recorder.take(reaction(number))
        await owner.rest()
        owner.recorder.take(reaction(10))
        await owner.rest()

    owner = carried_out(tmp_path / "journal", scenario, quick=True)

    assert owner.close() == [("all",), ("o10",)]


def test_an_ending_recorder_waits_for_its_thread(tmp_path):
    async def scenario(owner):
        owner.recorder.take(reaction(0))
        await asyncio.sleep(0)
        owner.recorder.close()
        await owner.recorder.written()

    owner = carried_out(tmp_path / "journal", scenario, quick=False)

    assert owner.told == []
    assert owner.close() == [("o0",)]
