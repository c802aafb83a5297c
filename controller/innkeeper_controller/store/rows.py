"""What turns leave in the tables, row by row; writes nothing itself and reads no clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from innkeeper_controller.cluster import Put, changed_fields
from innkeeper_controller.records import KINDS, Event, Moment, Record
from innkeeper_controller.store.schema import ANSWERS, EVENTS, META, TABLES

Cell = str | int | float | None
Row = tuple[Cell, ...]

#: The event of a turn that changed something and told nothing.
STATE_CHANGED = "state.changed"

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to a request that its client had numbered."""

    request_id: str
    user_name: str
    #: SHA-256 of what was asked, lower-case hexadecimal.
    request_sha256: str
    #: JSON; None where it held a secret, which is not kept.
    body: bytes | None
    at_s: Moment


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one turn leaves; events are numbered from ``first_seq`` in their order."""

    changes: Sequence[Put] = ()
    events: Sequence[Event] = ()
    #: Who owns the subject of each event.
    owners: Sequence[str] = ()
    first_seq: int = 0
    answer: Answer | None = None


@dataclass(slots=True)
class Rows:
    """What a commit writes, in order of the tables."""

    #: ``{kind: rows to be made or replaced}``
    puts: dict[str, list[Row]] = field(default_factory=dict)
    #: ``{kind: keys to be deleted}``
    drops: dict[str, list[Row]] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    answers: list[Row] = field(default_factory=list)
    meta: list[Row] = field(default_factory=list)
    #: Moments before which answers are forgotten.
    forgotten: list[Row] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many rows there are."""
        kinds = sum(map(len, self.puts.values())) + sum(map(len, self.drops.values()))
        return kinds + len(self.events) + len(self.answers) + len(self.meta)


def rows_of(transactions: Iterable[Transaction]) -> Rows:
    """Return the rows of consecutive turns; of a record that changed several times only the last is there."""
    rows = Rows()
    latest: dict[tuple[str, int | str], Record | None] = {}
    encoded: dict[int, bytes] = {}
    for transaction in transactions:
        for put in transaction.changes:
            latest[put.kind, put.key] = put.new
        rows.events += _event_rows(transaction, encoded)
        if transaction.answer is not None:
            rows.answers.append(_answer_row(transaction.answer))
    for (kind, key), record in latest.items():
        if record is None:
            rows.drops.setdefault(kind, []).append((key,))
        else:
            body = encoded.get(id(record)) or _encoder.encode(record)
            rows.puts.setdefault(kind, []).append(_record_row(kind, key, record, body))
    return rows


def _record_row(kind: str, key: int | str, record: Record, body: bytes) -> Row:
    """Return the record's row in its kind's table; drivers know no enums, so states become plain texts."""
    columns = [getattr(record, name) for name in KINDS[kind].columns]
    return (key, *[str(cell) if isinstance(cell, str) else cell for cell in columns], body.decode())


def last_ids_row(last_ids: dict[str, int]) -> Row:
    """Return the row of META with the highest numbers ever given."""
    return ("last_ids", _encoder.encode(last_ids).decode())


def _event_rows(transaction: Transaction, encoded: dict[int, bytes]) -> list[Row]:
    changes = _changes_json(transaction.changes, encoded)
    rows: list[Row] = []
    for index, event in enumerate(transaction.events):
        rows.append(
            (
                transaction.first_seq + index,
                event.at_s,
                event.what,
                event.subject,
                transaction.owners[index],
                event.actor,
                event.request_id,
                event.operation_id,
                _encoder.encode(event.detail).decode(),
                changes if index == 0 else None,
            )
        )
    return rows


def _changes_json(changes: Sequence[Put], encoded: dict[int, bytes]) -> str | None:
    """Return the changes for the log; new records, which are in it whole, are encoded once for it and their table.

    Args:
        changes: Of one turn.
        encoded: ``{id of a record: its JSON}``, filled here; the records outlive it.
    """
    if not changes:
        return None
    told: list[tuple[str, int | str, object]] = []
    for put in changes:
        if put.old is None and put.new is not None:
            body = encoded[id(put.new)] = _encoder.encode(put.new)
            told.append((put.kind, put.key, msgspec.Raw(body)))
        else:
            told.append((put.kind, put.key, changed_fields(put.old, put.new)))
    return _encoder.encode(told).decode()


def _answer_row(answer: Answer) -> Row:
    body = None if answer.body is None else answer.body.decode()
    return (answer.request_id, answer.user_name, answer.request_sha256, body, answer.at_s)


@dataclass(frozen=True, slots=True)
class Statements:
    """The SQL of a commit, with the placeholders of the database's driver."""

    puts: dict[str, str]
    drops: dict[str, str]
    events: str
    answers: str
    meta: str
    forget: str


def statements_for(placeholder: str) -> Statements:
    """Return the statements, ``placeholder`` being ``?`` or ``%s``."""

    def insert(table: str, columns: Sequence[str], *, key: str | None) -> str:
        values = ", ".join([placeholder] * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"  # noqa: S608 - names of our own tables
        if key is None:
            return statement
        updates = ", ".join(f"{name} = excluded.{name}" for name in columns if name != key)
        return f"{statement} ON CONFLICT ({key}) DO UPDATE SET {updates}"

    return Statements(
        puts={
            word: insert(table.name, [column.name for column in table.columns], key=KINDS[word].key)
            for word, table in TABLES.items()
        },
        drops={word: f"DELETE FROM {kind.plural} WHERE {kind.key} = {placeholder}" for word, kind in KINDS.items()},  # noqa: S608 - the same
        events=insert(EVENTS.name, [column.name for column in EVENTS.columns], key=None),
        answers=insert(ANSWERS.name, [column.name for column in ANSWERS.columns], key="request_id"),
        meta=insert(META.name, [column.name for column in META.columns], key="name"),
        forget=f"DELETE FROM {ANSWERS.name} WHERE at_s < {placeholder}",  # noqa: S608 - the same
    )
