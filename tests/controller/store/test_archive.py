"""Reads of what memory no longer has."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from innkeeper_controller.cluster import Put, key_of
from innkeeper_controller.records import (
    KIND_OF,
    AddressLease,
    Event,
    Image,
    Operation,
    OperationKind,
    OperationStatus,
    Plan,
    Record,
    User,
    VmRecord,
)
from innkeeper_controller.store.archive import Archive, EventFilter
from innkeeper_controller.store.rows import Answer, Transaction
from innkeeper_controller.store.writer import Batch, Writer
from innkeeper_plugins.vocabulary import ImageId, OperationId, VmState

Write = Callable[..., None]


def put(*records: Record) -> Transaction:
    return Transaction([Put(KIND_OF[type(record)], key_of(record), None, record) for record in records])


def operation(number: int, status: OperationStatus, subject: str = "vm:1") -> Operation:
    return Operation(
        operation_id=OperationId(f"o{number}"),
        kind=OperationKind.DEPLOY,
        subject=subject,
        origin="PENDING",
        plan=Plan(legs=()),
        status=status,
        started_at_s=float(number),
    )


def test_a_start_finds_what_lives_and_the_operations_that_it_needs(
    engine: Engine, write: Write, make_vm: Callable[..., VmRecord]
):
    user = User(name="ann", user_id=2)
    image = Image(image_id=ImageId(0), name="i", datastore="default", owner="ann", operation_id=OperationId("o5"))
    lease = AddressLease(network_id=0, range_index=0, offset=3, mac="02:00:0a:00:00:03", ip="10.0.0.3", vm_id=1)
    live = make_vm(1, VmState.RUNNING, last_operation_id="o2")
    forgotten, last, running, undoing, imported = (
        operation(1, OperationStatus.DONE),
        operation(2, OperationStatus.DONE),
        operation(3, OperationStatus.RUNNING, "vm:9"),
        operation(4, OperationStatus.UNDOING, "vm:9"),
        operation(5, OperationStatus.FAILED, "image:0"),
    )
    done = make_vm(2, VmState.DONE, last_operation_id="o1")
    write(put(user, image, lease, live, done, forgotten, last, running, undoing, imported), last_ids={"vm": 2})
    records, last_ids = Archive(engine).load()

    assert sorted(map(repr, records)) == sorted(map(repr, [user, image, lease, live, last, running, undoing, imported]))
    assert last_ids == {"vm": 2}
    kinds = list(dict.fromkeys(KIND_OF[type(record)] for record in records))
    assert kinds == ["user", "image", "lease", "operation", "vm"]


def test_what_has_ended_can_still_be_read(engine: Engine, write: Write, make_vm: Callable[..., VmRecord]):
    done = [make_vm(number, VmState.DONE, owner=owner) for number, owner in enumerate("abab")]
    ended = [operation(2, OperationStatus.FAILED), operation(10, OperationStatus.DONE)]
    write(put(*done, make_vm(9), *ended, operation(3, OperationStatus.DONE, "vm:2")))
    archive = Archive(engine)

    assert archive.record("vm", 3) == done[3]
    assert archive.record("vm", 77) is None
    assert archive.done_vms() == done
    assert archive.done_vms(after=0, limit=2) == done[1:3]
    assert archive.done_vms(owner="b") == [done[1], done[3]]
    assert archive.operations("vm:1") == ended


def events(*texts: str) -> Transaction:
    """Make events from ``what subject actor owner``, numbered from 1."""
    parts = [text.split() for text in texts]
    return Transaction(
        [],
        [
            Event(what=what, subject=subject, at_s=1.5, actor=actor, detail={"n": 1})
            for what, subject, actor, _ in parts
        ],
        ["" if each[3] == "-" else each[3] for each in parts],
        first_seq=1,
    )


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EventFilter(), [1, 2, 3, 4]),
        (EventFilter(subject="vm:1"), [1, 3]),
        (EventFilter(what=("step.",)), [3]),
        (EventFilter(what=("vm_",)), []),
        (EventFilter(what=("step.", "host.")), [3, 4]),
        (EventFilter(visible_to="ann"), [1, 3]),
        (EventFilter(visible_to="bob"), [2]),
        (EventFilter(visible_to="bob", visible_from_s=1.5), [2]),
        (EventFilter(visible_to="bob", visible_from_s=1.6), []),
        (EventFilter(subject="vm:1", what=("vm.",)), [1]),
    ],
)
def test_events_are_found_alike_on_disk_and_in_passing(
    engine: Engine, write: Write, wanted: EventFilter, expected: list[int]
):
    write(
        events(
            "vm.submitted vm:1 ann ann",
            "vm.submitted vm:2 bob bob",
            "step.ended vm:1 host:3 ann",
            "host.lost host:3 controller -",
        )
    )
    everything = Archive(engine).events()
    found = [event.seq for event, _ in Archive(engine).events(wanted=wanted)]
    passing = [event.seq for event, owner in everything if wanted.accepts(event, owner)]

    assert found == passing == expected


def test_the_log_is_read_in_pages_from_either_end(engine: Engine, write: Write):
    write(events(*[f"vm.state vm:{number} ann ann" for number in range(6)]))
    archive = Archive(engine)

    assert [event.seq for event, _ in archive.events(after=2, limit=3)] == [3, 4, 5]
    assert [event.seq for event, _ in archive.last_events(limit=2)] == [5, 6]
    assert archive.last_seq() == 6
    assert archive.events(after=5) == [
        (Event(what="vm.state", subject="vm:5", at_s=1.5, actor="ann", detail={"n": 1}, seq=6), "ann")
    ]


def test_answers_are_remembered_but_for_their_secrets(engine: Engine, write: Write):
    write(
        Transaction(answer=Answer("r1", "ann", "ab", b'{"vm_ids":[1]}', 1.0)),
        Transaction(answer=Answer("r2", "ann", "cd", None, 2.0)),
    )
    archive = Archive(engine)
    found = [archive.answer(number) for number in ("r1", "r2", "r3")]

    assert [(each.request_sha256, each.body) if each else None for each in found] == [
        ("ab", b'{"vm_ids":[1]}'),
        ("cd", None),
        None,
    ]
    assert archive.answered(since_s=0.0, limit=10) == [("r1", "ab"), ("r2", "cd")]
    assert archive.answered(since_s=1.5, limit=10) == archive.answered(since_s=0.0, limit=1) == [("r2", "cd")]


def test_an_empty_store_is_an_empty_state(engine: Engine):
    archive = Archive(engine)

    assert (archive.load(), archive.last_seq(), archive.meta()) == (([], {}), 0, {})


def test_old_answers_are_forgotten_when_a_batch_says_so(engine: Engine):
    answers = [Transaction(answer=Answer(f"r{number}", "ann", "ab", b"{}", float(number))) for number in range(4)]
    problems: list[str] = []
    writer = Writer(engine, durable=lambda _number: None, stalled=problems.append, failed=problems.append)
    writer.submit(Batch(1, answers, {}))
    writer.submit(Batch(2, [], {}, forget_answers_before_s=2.0))
    writer.start()
    writer.close()

    assert problems == []
    assert Archive(engine).answered(since_s=0.0, limit=9) == [("r2", "ab"), ("r3", "ab")]
