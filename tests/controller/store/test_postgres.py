"""The same store on PostgreSQL, where there is one: a server of our own, gone after the test."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from innkeeper_controller.cluster import Cluster, Put
from innkeeper_controller.records import Event, VmRecord
from innkeeper_controller.store.archive import Archive, EventFilter
from innkeeper_controller.store.database import DatabaseInUseError, ProcessLock, open_engine
from innkeeper_controller.store.reading import differences
from innkeeper_controller.store.rows import Answer, Transaction
from innkeeper_controller.store.schema import metadata
from innkeeper_controller.store.upgrade import bring_up, check
from innkeeper_controller.store.writer import Batch, Writer
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import VmState

#: Where Debian keeps what is not meant to be on everybody's path.
PLACES = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
INITDB, POSTGRES = shutil.which("initdb", path=PLACES), shutil.which("postgres", path=PLACES)

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server that listens on a socket in its own directory only; it refuses to run as root."""
    whom = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="inn-postgres-") as directory:
        if whom:
            shutil.chown(directory, "nobody", "nogroup")
        place = Path(directory)
        data = place / "data"
        subprocess.run(
            [INITDB, "-D", str(data), "-U", "inn", "--auth=trust", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=directory,
            **whom,
        )
        argv = [POSTGRES, "-D", str(data), "-k", directory, "-c", "listen_addresses="]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, cwd=directory, **whom) as server:
            said = iter(server.stderr.readline, "")
            ready = any("ready to accept connections" in line for line in said)
            assert ready
            yield f"postgresql+psycopg://inn@/postgres?host={directory}"
            server.send_signal(signal.SIGINT)
            server.stderr.read()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    yield engine
    engine.dispose()


def test_one_controller_at_a_time(engine: Engine):
    lock = ProcessLock(engine)
    with pytest.raises(DatabaseInUseError, match="another controller works on postgresql"):
        ProcessLock(engine)
    lock.release()
    ProcessLock(engine).release()


def test_state_log_and_answers_are_kept_as_in_sqlite(
    engine: Engine, make_vm: Callable[..., VmRecord], make_turn: Callable[..., Turn]
):
    assert bring_up(engine) is None
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    cluster, transactions = Cluster(), []
    for seq, (number, state) in enumerate(
        [(0, VmState.PENDING), (1, VmState.PENDING), (0, VmState.PROLOG), (1, VmState.DONE)], start=1
    ):
        turn = make_turn(cluster)
        turn.put(make_vm(number, state, template="é'\"\\ ${x}"))
        turn.event("vm.state", f"vm:{number}", new=state.value)
        answer = Answer(f"r{seq}", "ann", "ab", b'{"a":1}' if seq > 1 else None, float(seq))
        transactions.append(Transaction(turn.changes, turn.events, ["ann"], seq, answer))
    told: list[object] = []
    writer = Writer(engine, durable=told.append, stalled=told.append, failed=told.append)
    for number, transaction in enumerate(transactions):
        writer.submit(Batch(number, [transaction], {"vm": 1}))
    writer.submit(Batch(9, [], {"vm": 1}, forget_answers_before_s=2.0))
    writer.start()
    writer.close()
    archive = Archive(engine)

    assert told == [9]
    assert check(engine).is_current
    assert archive.load() == ([cluster.vms[0]], {"vm": 1})
    assert archive.done_vms(name="b-1") == [archive.record("vm", 1)]
    assert [event.seq for event, _ in archive.events(wanted=EventFilter(subject="vm:1", what=("vm.",)))] == [2, 4]
    assert archive.answered(since_s=0.0, limit=9) == [("r2", "ab"), ("r3", "ab"), ("r4", "ab")]
    assert differences(engine, cluster) == (2, [])


def test_a_commit_that_fails_leaves_nothing(engine: Engine, make_vm: Callable[..., VmRecord]):
    bring_up(engine)
    told: list[object] = []
    writer = Writer(engine, durable=told.append, stalled=told.append, failed=told.append)
    twice = [Event(what="x", subject="y", at_s=0.0)]
    writer.submit(Batch(1, [Transaction([Put("vm", 77, None, make_vm(77))], twice, [""], 1)], {}))
    writer.start()
    writer.close()

    assert len(told) == 1
    assert "duplicate key" in str(told[0])
    assert Archive(engine).record("vm", 77) is None
