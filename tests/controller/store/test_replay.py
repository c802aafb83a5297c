"""The log told again."""

import tempfile
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import (
    AddressLease,
    Host,
    HostState,
    Image,
    Leg,
    Operation,
    OperationError,
    OperationKind,
    OperationStatus,
    Plan,
    VmRecord,
)
from innkeeper_controller.settings import Settings
from innkeeper_controller.store.archive import Archive
from innkeeper_controller.store.database import open_engine
from innkeeper_controller.store.replay import memory_differences, replay, table_differences
from innkeeper_controller.store.rows import Transaction
from innkeeper_controller.store.upgrade import bring_up
from innkeeper_controller.store.writer import Batch, Writer
from innkeeper_controller.turn import Turn
from innkeeper_plugins.steps import Context, Delete
from innkeeper_plugins.vocabulary import Advertisement, Capacity, ImageId, Nic, SealedFile, Vm, VmState

numbers = st.integers(0, 3)
texts = st.sampled_from(["", "web", "ünï\n'\"\\"])
capacities = st.builds(Capacity, cpu_cores=st.sampled_from([0.0, 0.1, 2.5]), memory_mib=numbers)
specs = st.builds(
    Vm,
    vm_id=st.just(0),
    name=texts,
    uuid=texts,
    generation=numbers,
    cpu_cores=st.sampled_from([0.1, 1.0]),
    vcpus=st.just(1),
    memory_mib=st.sampled_from([64, 128]),
    hypervisor=st.just("simulated"),
    context=st.dictionaries(texts, texts, max_size=2),
    nics=st.lists(st.builds(Nic, nic_id=numbers, network=texts, mac=texts), max_size=2).map(tuple),
)
steps = st.one_of(
    st.builds(Context, step_id=numbers, phase=st.just(VmState.PROLOG), driver=texts),
    st.builds(Delete, step_id=numbers, phase=st.just(VmState.EPILOG), driver=texts),
)
legs = st.builds(Leg, host_id=numbers, steps=st.lists(steps, max_size=2).map(tuple))
records = st.one_of(
    st.builds(
        Host,
        host_id=numbers,
        name=texts,
        state=st.sampled_from(HostState),
        connected=st.booleans(),
        lost_at_s=st.none() | st.just(1.5),
        advertisement=st.builds(Advertisement, capacity=capacities, images=st.lists(texts, max_size=2).map(tuple)),
        labels=st.dictionaries(texts, texts, max_size=2),
    ),
    st.builds(Image, image_id=numbers.map(ImageId), name=texts, datastore=texts, owner=texts, home=st.none() | numbers),
    st.builds(
        AddressLease,
        network_id=numbers,
        range_index=st.just(0),
        offset=numbers,
        mac=texts,
        ip=texts,
        vm_id=st.none() | numbers,
    ),
    st.builds(
        Operation,
        operation_id=numbers.map(lambda number: f"o{number}"),
        kind=st.sampled_from(OperationKind),
        subject=numbers.map(lambda number: f"vm:{number}"),
        origin=texts,
        plan=st.builds(Plan, legs=st.lists(legs, max_size=2).map(tuple)),
        vm=st.none() | specs,
        status=st.sampled_from(OperationStatus),
        ended_at_s=st.none() | st.just(2.0),
        error=st.none() | st.builds(OperationError, code=texts, message=texts, argv=st.just(("a", "b"))),
    ),
    st.builds(
        VmRecord,
        vm_id=numbers,
        name=texts,
        owner=texts,
        state=st.sampled_from([state for state in VmState if state is not VmState.DONE]),
        spec=specs,
        host_id=st.none() | numbers,
        attributes=st.dictionaries(texts, texts, max_size=2),
        operation_id=st.none() | st.just("o1"),
        sealed=st.lists(
            st.builds(SealedFile, name=texts, sha256=texts, size_bytes=numbers, datastore=texts), max_size=1
        ).map(tuple),
    ),
)


class Life:
    """Turns as handlers make them: records put and dropped, VMs that come to their end, refusals."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.ended: set[tuple[str, object]] = set()
        self.known: set[str] = set()
        self.transactions: list[Transaction] = []
        self.seq = 0

    def turn(self, puts, *, drop: bool, refused: bool, end: bool) -> None:
        turn = Turn(cluster=self.cluster, settings=Settings(cluster_id=""), now_s=1.0, actor="ann")
        for record in puts:
            if isinstance(record, VmRecord) and ("vm", record.vm_id) in self.ended:
                continue
            if isinstance(record, Operation) and self._is_forgotten(record):
                continue
            if end and isinstance(record, VmRecord):
                self._put_end(turn, record, refused=refused)
            else:
                turn.put(record)
                self._note(record, refused=refused)
        if drop and puts and not isinstance(puts[-1], VmRecord | Operation) and turn.changes:
            turn.drop(puts[-1])
        if refused:
            turn.take_back()
            return
        if turn.changes:
            turn.event("it.happened", "vm:1")
            self.seq += 1
            self.transactions.append(Transaction(turn.changes, turn.events, [""], first_seq=self.seq))

    def _note(self, record: object, *, refused: bool) -> None:
        if isinstance(record, Operation) and not refused:
            self.known.add(record.operation_id)

    def _is_forgotten(self, operation: Operation) -> bool:
        """Whether it has ended and memory has let go of it: no handler touches it again."""
        return operation.operation_id in self.known and operation.operation_id not in self.cluster.operations

    def _put_end(self, turn: Turn, record: VmRecord, *, refused: bool) -> None:
        values = {name: getattr(record, name) for name in record.__struct_fields__}
        turn.put(VmRecord(**values | {"state": VmState.DONE}))
        if not refused:
            self.ended.add(("vm", record.vm_id))


def taken(cluster: Cluster) -> dict[int, Capacity]:
    return {host_id: used for host_id, used in cluster.used.items() if used != Capacity()}


turns = st.tuples(st.lists(records, min_size=1, max_size=4), st.booleans(), st.booleans(), st.booleans())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(turns, max_size=8))
def test_the_log_told_again_is_the_state(made):
    life = Life()
    for puts, drop, refused, end in made:
        life.turn(puts, drop=drop, refused=refused, end=end)
    with tempfile.TemporaryDirectory() as directory:
        engine = open_engine(f"sqlite:///{directory}/controller.db")
        bring_up(engine)
        problems: list[str] = []
        writer = Writer(engine, durable=lambda _: None, stalled=problems.append, failed=problems.append)
        for number, transaction in enumerate(life.transactions):
            writer.submit(Batch(number, [transaction], dict(life.cluster.last_ids)))
        writer.start()
        writer.close()
        restarted = Cluster()
        restarted.load_records(*Archive(engine).load())
        with engine.connect() as connection:
            told = replay(connection)
            differences = table_differences(connection, told)
        engine.dispose()

    assert problems == []
    assert differences == []
    assert memory_differences(told, life.cluster) == []
    assert memory_differences(told, restarted) == []
    assert taken(told.cluster) == taken(life.cluster)


def test_a_table_that_was_changed_by_hand_is_found(
    engine: Engine, write: Callable[..., None], make_vm: Callable[..., VmRecord], make_turn: Callable[..., Turn]
):
    cluster = Cluster()
    turn = make_turn(cluster)
    for number in range(3):
        turn.put(make_vm(number))
    turn.event("vm.submitted", "vm:0")
    write(Transaction(turn.changes, turn.events, ["ann"], first_seq=1))
    with engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("DELETE FROM vms WHERE vm_id = 0")
        connection.exec_driver_sql("UPDATE vms SET body = replace(body, 'web-1', 'tor-1') WHERE vm_id = 1")
        connection.exec_driver_sql("UPDATE events SET changes = replace(changes, '[\"vm\",2,', '[\"vm\",8,')")
    with engine.connect() as connection:
        told = replay(connection)
        differences = table_differences(connection, told)

    assert differences == [
        "vm 1: its table and the log differ",
        "vm 2: its table and the log differ: the log has none",
        "vm 0: the log has it, its table has not",
        "vm 8: the log has it, its table has not",
    ]
    assert memory_differences(told, cluster) == ["vm 2: memory and the log differ", "vm 8: memory and the log differ"]
