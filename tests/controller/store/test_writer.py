"""The one thread that writes."""

import os
import queue
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from innkeeper_controller.cluster import Cluster, Put
from innkeeper_controller.records import Event, VmRecord
from innkeeper_controller.store.archive import Archive
from innkeeper_controller.store.database import open_engine
from innkeeper_controller.store.rows import Answer, Transaction
from innkeeper_controller.store.upgrade import bring_up
from innkeeper_controller.store.writer import Batch, Writer
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import VmState

WAIT_S = 20


class Listener:
    """What a writer told, in order."""

    def __init__(self) -> None:
        self.told: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()

    def writer(self, engine: Engine, **options) -> Writer:
        return Writer(
            engine,
            durable=lambda number: self.told.put(("durable", number)),
            stalled=lambda why: self.told.put(("stalled", why)),
            failed=lambda why: self.told.put(("failed", why)),
            **options,
        )

    def next(self) -> tuple[str, object]:
        return self.told.get(timeout=WAIT_S)

    def all(self) -> list[tuple[str, object]]:
        return [self.told.get() for _ in range(self.told.qsize())]


def submitted(vm: VmRecord, seq: int) -> Transaction:
    event = Event(what="vm.submitted", subject=f"vm:{vm.vm_id}", at_s=1.0, actor=vm.owner)
    return Transaction([Put("vm", vm.vm_id, None, vm)], [event], [vm.owner], first_seq=seq)


def test_all_that_waits_becomes_durable_in_one_commit(engine: Engine, make_vm: Callable[..., VmRecord]):
    listener = Listener()
    writer = listener.writer(engine)
    for number in range(5):
        writer.submit(Batch(number, [submitted(make_vm(number), number + 1)], {"vm": number}))
    writer.start()
    writer.close()
    records, last_ids = Archive(engine).load()

    assert listener.all() == [("durable", 4)]
    assert records == [make_vm(number) for number in range(5)]
    assert last_ids == {"vm": 4}
    counters = writer.counters
    assert (counters.commits, counters.transactions, counters.rows, counters.failures) == (1, 5, 11, 0)


def test_a_record_that_changed_several_times_is_written_once_and_told_each_time(
    engine: Engine, make_vm: Callable[..., VmRecord], make_turn: Callable[..., Turn], write: Callable[..., None]
):
    cluster = Cluster()
    transactions = []
    for seq, state in enumerate((VmState.PENDING, VmState.PROLOG, VmState.BOOT), start=1):
        turn = make_turn(cluster)
        turn.put(make_vm(7, state))
        turn.event("vm.state", "vm:7", new=state.value)
        transactions.append(Transaction(turn.changes, turn.events, ["ann"], first_seq=seq))
    write(*transactions)
    told = [(event.seq, event.detail, owner) for event, owner in Archive(engine).events()]

    assert Archive(engine).record("vm", 7) == make_vm(7, VmState.BOOT)
    assert told == [(1, {"new": "PENDING"}, "ann"), (2, {"new": "PROLOG"}, "ann"), (3, {"new": "BOOT"}, "ann")]


def test_a_record_made_and_deleted_in_one_commit_leaves_nothing(
    engine: Engine, make_vm: Callable[..., VmRecord], write: Callable[..., None]
):
    vm = make_vm(1)
    write(
        Transaction([Put("vm", 1, None, vm)]),
        Transaction([Put("vm", 1, vm, None)]),
        last_ids={"vm": 1},
    )
    assert Archive(engine).load() == ([], {"vm": 1})


def test_closing_writes_what_waits(engine: Engine, make_vm: Callable[..., VmRecord]):
    listener = Listener()
    writer = listener.writer(engine)
    writer.start()
    for number in range(50):
        writer.submit(Batch(number, [submitted(make_vm(number), number + 1)], {}))
    writer.close()

    assert listener.all()[-1] == ("durable", 49)
    assert len(Archive(engine).load()[0]) == 50


def test_nothing_is_written_after_a_failure_that_does_not_pass(engine: Engine, make_vm: Callable[..., VmRecord]):
    with engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("DROP TABLE vms")
    listener = Listener()
    writer = listener.writer(engine)
    answer = Answer("r1", "ann", "ab", b"{}", 1.0)
    writer.submit(Batch(0, [Transaction(answer=answer)], {}))
    writer.submit(Batch(1, [submitted(make_vm(1), 1)], {}))
    writer.submit(Batch(2, [Transaction(answer=Answer("r2", "ann", "ab", b"{}", 1.0))], {}))
    writer.start()
    told = listener.next()
    writer.close()

    assert told == ("failed", "no such table: vms (SQLITE_ERROR)")
    assert listener.all() == []
    assert Archive(engine).answer("r1") is None
    assert Archive(engine).events() == []


def test_a_file_locked_by_somebody_else_makes_the_writer_wait_and_lose_nothing(
    tmp_path: Path, make_vm: Callable[..., VmRecord], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("innkeeper_controller.store.database.BUSY_TIMEOUT_S", 0.0)
    engine = open_engine(f"sqlite:///{tmp_path}/controller.db")
    bring_up(engine)
    listener = Listener()
    writer = listener.writer(engine, retry_s=0.01)
    with engine.execution_options(writes=True).begin():
        writer.submit(Batch(0, [submitted(make_vm(1), 1)], {}))
        writer.start()
        first = listener.next()
    rest = [told for told in iter(listener.next, ("durable", 0)) if told != first]
    writer.close()
    engine.dispose()

    assert first == ("stalled", "database is locked (SQLITE_BUSY)")
    assert rest == [("stalled", "")]
    assert Archive(engine).load()[0] == [make_vm(1)]
    engine.dispose()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    # Not below pytest's own directory, which it could not remove should we be killed.
    with tempfile.TemporaryDirectory(prefix="inn-small-") as directory:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory], check=True)
        yield Path(directory)
        subprocess.run(["umount", directory], check=True)


@pytest.mark.root
def test_a_full_disk_makes_the_writer_wait_and_loses_nothing(small_disk: Path, make_vm: Callable[..., VmRecord]):
    engine = open_engine(f"sqlite:///{small_disk}/controller.db")
    bring_up(engine)
    listener = Listener()
    writer = listener.writer(engine, retry_s=0.01)
    writer.start()
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk)
    ballast.write_bytes(b"\0" * (free.f_bavail * free.f_bsize))
    vms = [make_vm(number, template="x" * 10_000) for number in range(20)]
    writer.submit(Batch(0, [submitted(vm, vm.vm_id + 1) for vm in vms], {"vm": 19}))
    first = listener.next()
    seen_while_full = Archive(engine).load()[0]
    ballast.unlink()
    rest = [told for told in iter(listener.next, ("durable", 0)) if told != first]
    writer.close()
    records = Archive(engine).load()[0]
    engine.dispose()

    assert first == ("stalled", "database or disk is full (SQLITE_FULL)")
    assert seen_while_full == []
    assert rest == [("stalled", "")]
    assert records == vms


@pytest.mark.root
def test_closing_on_a_full_disk_gives_up_what_was_never_acknowledged(
    small_disk: Path, make_vm: Callable[..., VmRecord]
):
    engine = open_engine(f"sqlite:///{small_disk}/controller.db")
    bring_up(engine)
    listener = Listener()
    writer = listener.writer(engine, retry_s=WAIT_S)
    writer.start()
    free = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(b"\0" * (free.f_bavail * free.f_bsize))
    writer.submit(Batch(0, [submitted(make_vm(1, template="x" * 100_000), 1)], {}))
    first = listener.next()
    writer.close()
    records = Archive(engine).load()[0]
    engine.dispose()

    assert first == ("stalled", "database or disk is full (SQLITE_FULL)")
    assert listener.all() == []
    assert records == []
