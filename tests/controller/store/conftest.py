"""A store in a fresh directory, and turns to put into it."""

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import User, VmRecord
from innkeeper_controller.settings import Settings
from innkeeper_controller.store.database import open_engine
from innkeeper_controller.store.rows import Transaction
from innkeeper_controller.store.upgrade import bring_up
from innkeeper_controller.store.writer import Batch, Writer
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import Vm, VmId, VmState


@functools.cache
def empty_store() -> bytes:
    """Return a database in which nothing is: made once, since the migrations take longer than most tests."""
    with tempfile.TemporaryDirectory() as directory:
        engine = open_engine(f"sqlite:///{directory}/controller.db")
        bring_up(engine)
        engine.dispose()
        return (Path(directory) / "controller.db").read_bytes()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "controller.db").write_bytes(empty_store())
    engine = open_engine(f"sqlite:///{tmp_path}/controller.db")
    yield engine
    engine.dispose()


@pytest.fixture
def make_vm() -> Callable[..., VmRecord]:
    def make(number: int, state: VmState = VmState.PENDING, **values) -> VmRecord:
        spec = Vm(
            vm_id=VmId(number),
            name=f"web-{number}",
            uuid="",
            generation=0,
            cpu_cores=0.5,
            vcpus=1,
            memory_mib=128,
            hypervisor="simulated",
        )
        return VmRecord(
            **{"vm_id": spec.vm_id, "name": spec.name, "owner": "ann", "state": state, "spec": spec, **values}
        )

    return make


@pytest.fixture
def make_turn() -> Callable[[Cluster], Turn]:
    def make(cluster: Cluster, **values) -> Turn:
        user = User(name="ann", user_id=2)
        return Turn(
            **{"cluster": cluster, "settings": Settings(cluster_id=""), "now_s": 5.0, "actor": "ann", "user": user}
            | values
        )

    return make


@pytest.fixture
def write(engine: Engine) -> Callable[..., None]:
    """Make transactions durable, each in a batch of its own, and come back when they are."""

    def write(*transactions: Transaction, last_ids: dict[str, int] | None = None) -> None:
        failures: list[str] = []
        writer = Writer(engine, durable=lambda _number: None, stalled=failures.append, failed=failures.append)
        for number, transaction in enumerate(transactions):
            writer.submit(Batch(number, [transaction], last_ids or {}))
        writer.start()
        writer.close()
        assert failures == []

    return write
