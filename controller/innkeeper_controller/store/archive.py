"""Reads what memory no longer has, or never had: the state at start, what has ended, the log; writes nothing.

Everything here blocks for as long as the database needs: call it from a thread that may.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, Select, and_, or_, select, true

from innkeeper_controller.cluster import UNFINISHED, Key, key_of
from innkeeper_controller.records import KINDS, Event, HistoryRecord, Image, Moment, Operation, Record, VmRecord
from innkeeper_controller.store.schema import ANSWERS, BODY, EVENTS, META, TABLES
from innkeeper_plugins.vocabulary import OperationId, VmState

#: Most rows that one read gives.
MAX_PAGE = 1000

#: Rows fetched at once by reads that go over everything.
_CHUNK_ROWS = 1000

#: SQLite takes so many parameters in one statement at least.
_MAX_PARAMETERS = 500

_detail = msgspec.json.Decoder(dict[str, object])
_vm = msgspec.json.Decoder(VmRecord)
_operation = msgspec.json.Decoder(Operation)
_decoders = {word: msgspec.json.Decoder(kind.record) for word, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Answered:
    """What is remembered of a numbered request; ``body`` is None where the answer held a secret."""

    request_id: str
    user_name: str
    request_sha256: str
    body: bytes | None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a reader wants and may have; empty fields do not narrow."""

    #: ``vm:7``
    subject: str = ""
    #: Beginnings of ``Event.what``, any of which will do: ``step.``
    what: tuple[str, ...] = ()
    operation_id: str = ""
    request_id: str = ""
    #: Only events of what this user owns or did; empty for an administrator.
    visible_to: str = ""
    #: Since when that user is the one of this name, seconds since the epoch.
    visible_from_s: Moment = 0.0

    def accepts(self, event: Event, owner: str) -> bool:
        """Whether the event is one of those; the same rule as the statement's."""
        return (
            (not self.subject or event.subject == self.subject)
            and (not self.what or event.what.startswith(self.what))
            and (not self.operation_id or event.operation_id == self.operation_id)
            and (not self.request_id or event.request_id == self.request_id)
            and (not self.visible_to or self.visible_to in (owner, event.actor))
            and event.at_s >= self.visible_from_s
        )


#: All that there is.
EVERYTHING: Final = EventFilter()


class Archive:
    """The store's readable side."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine; connect at the first read."""
        self._engine = engine

    def load(self) -> tuple[list[Record], dict[str, int]]:
        """Return what memory keeps, in the order of the kinds, and the highest numbers ever given."""
        with self._engine.connect() as connection:
            found: dict[str, list[Record]] = {word: [] for word in KINDS}
            for word in KINDS:
                if word != "operation":
                    found[word] = list(_records(connection, word, *_live(word)))
            found["operation"] = _operations_of(connection, found["vm"], found["image"])
            last_ids = msgspec.json.decode(_meta(connection).get("last_ids", "{}"), type=dict[str, int])
        return [record for word in KINDS for record in found[word]], last_ids

    def meta(self) -> dict[str, str]:
        """Return what is known of the cluster itself."""
        with self._engine.connect() as connection:
            return _meta(connection)

    def last_seq(self) -> int:
        """Return the number of the last event; 0 before the first."""
        with self._engine.connect() as connection:
            last = connection.execute(select(EVENTS.c.seq).order_by(EVENTS.c.seq.desc()).limit(1)).scalar()
            return last or 0

    def record(self, kind: str, key: Key) -> Record | None:
        """Return a record, DONE and ended ones too."""
        with self._engine.connect() as connection:
            return next(_records(connection, kind, TABLES[kind].c[KINDS[kind].key] == key), None)

    def done_vms(self, *, after: int = -1, limit: int = MAX_PAGE, owner: str = "", name: str = "") -> list[VmRecord]:
        """Return DONE VMs with higher numbers than ``after``, the lowest first; ``name`` is a part of theirs."""
        table = TABLES["vm"]
        conditions = [table.c.state == VmState.DONE.value, table.c.vm_id > after]
        if owner:
            conditions.append(table.c.owner == owner)
        if name:
            conditions.append(table.c.name.contains(name, autoescape=True))
        statement = select(table.c[BODY]).where(*conditions).order_by(table.c.vm_id).limit(min(limit, MAX_PAGE))
        with self._engine.connect() as connection:
            return [_vm.decode(body) for body in connection.execute(statement).scalars()]

    def stays(self, vm_ids: Sequence[int]) -> list[HistoryRecord]:
        """Return the stays of these VMs on hosts, DONE ones too, in no order."""
        column = TABLES["history"].c.vm_id
        parts = [vm_ids[start : start + _MAX_PARAMETERS] for start in range(0, len(vm_ids), _MAX_PARAMETERS)]
        with self._engine.connect() as connection:
            found = [each for part in parts for each in _records(connection, "history", column.in_(part))]
        return [each for each in found if isinstance(each, HistoryRecord)]

    def history(self, *, from_s: float, to_s: float, vm_id: int = -1, owner: str = "") -> list[HistoryRecord]:
        """Return the stays from ``from_s`` on and before ``to_s``, of one VM or owner or of all, in no order."""
        columns = TABLES["history"].c
        conditions = [columns.began_at_s < to_s, or_(columns.ended_at_s.is_(None), columns.ended_at_s > from_s)]
        if vm_id >= 0:
            conditions.append(columns.vm_id == vm_id)
        with self._engine.connect() as connection:
            found = list(_records(connection, "history", *conditions))
        return [each for each in found if isinstance(each, HistoryRecord) and owner in {"", each.owner}]

    def operations(self, subject: str) -> list[Operation]:
        """Return all operations of a VM or image, the oldest first."""
        table = TABLES["operation"]
        with self._engine.connect() as connection:
            bodies = connection.execute(select(table.c[BODY]).where(table.c.subject == subject)).scalars()
            return sorted((_operation.decode(body) for body in bodies), key=lambda operation: operation.started_at_s)

    def events(
        self,
        *,
        after: int = 0,
        limit: int = MAX_PAGE,
        wanted: EventFilter = EVERYTHING,
    ) -> list[tuple[Event, str]]:
        """Return events with higher numbers than ``after``, the oldest first, each with the owner of its subject."""
        statement = _events(wanted).where(EVENTS.c.seq > after).order_by(EVENTS.c.seq).limit(min(limit, MAX_PAGE))
        with self._engine.connect() as connection:
            return [(_event(row), row["owner"]) for row in connection.execute(statement).mappings()]

    def last_events(self, *, limit: int, wanted: EventFilter = EVERYTHING) -> list[tuple[Event, str]]:
        """Return the newest events, the oldest of them first."""
        statement = _events(wanted).order_by(EVENTS.c.seq.desc()).limit(min(limit, MAX_PAGE))
        with self._engine.connect() as connection:
            rows = list(connection.execute(statement).mappings())
        return [(_event(row), row["owner"]) for row in reversed(rows)]

    def answer(self, request_id: str) -> Answered | None:
        """Return what was answered to a numbered request."""
        with self._engine.connect() as connection:
            row = connection.execute(select(ANSWERS).where(ANSWERS.c.request_id == request_id)).mappings().first()
        if row is None:
            return None
        body = None if row["answer"] is None else row["answer"].encode()
        return Answered(row["request_id"], row["user_name"], row["request_sha256"], body)

    def answered(self, *, since_s: float, limit: int) -> list[tuple[str, str]]:
        """Return (request id, SHA-256 of what was asked) of the newest answers, the oldest of them first."""
        statement = (
            select(ANSWERS.c.request_id, ANSWERS.c.request_sha256)
            .where(ANSWERS.c.at_s >= since_s)
            .order_by(ANSWERS.c.at_s.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [(row[0], row[1]) for row in reversed(connection.execute(statement).all())]


def _meta(connection: Connection) -> dict[str, str]:
    return {row.name: row.value for row in connection.execute(select(META))}


def _live(word: str) -> Sequence[ColumnElement[bool]]:
    live = TABLES["vm"].c.state != VmState.DONE.value
    if word == "history":
        return [TABLES["history"].c.vm_id.in_(select(TABLES["vm"].c.vm_id).where(live))]
    return [live] if word == "vm" else []


def _records(connection: Connection, kind: str, *conditions: ColumnElement[bool]) -> Iterator[Record]:
    table = TABLES[kind]
    statement = select(table.c[BODY]).where(*conditions).order_by(table.c[KINDS[kind].key])
    decoder = _decoders[kind]
    for body in connection.execute(statement).scalars().yield_per(_CHUNK_ROWS):
        yield decoder.decode(body)


def _operations_of(connection: Connection, vms: Sequence[Record], images: Sequence[Record]) -> list[Record]:
    """Return the operations that go on, and the last of each of these VMs and images."""
    table = TABLES["operation"]
    wanted: set[OperationId | None] = set()
    for record in (*vms, *images):
        assert isinstance(record, VmRecord | Image)
        wanted |= {record.operation_id, getattr(record, "last_operation_id", None)}
    conditions = [table.c.status.in_([str(each) for each in UNFINISHED])]
    ended = sorted(each for each in wanted if each is not None)
    parts = [ended[start : start + _MAX_PARAMETERS] for start in range(0, len(ended), _MAX_PARAMETERS)]
    conditions += [table.c.operation_id.in_(part) for part in parts]
    found = {key_of(record): record for each in conditions for record in _records(connection, "operation", each)}
    return list(found.values())


def _events(wanted: EventFilter) -> Select[tuple[object, ...]]:
    columns = EVENTS.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.subject:
        conditions.append(columns.subject == wanted.subject)
    if wanted.what:
        conditions.append(or_(*[columns.what.startswith(each, autoescape=True) for each in wanted.what]))
    if wanted.operation_id:
        conditions.append(columns.operation_id == wanted.operation_id)
    if wanted.request_id:
        conditions.append(columns.request_id == wanted.request_id)
    if wanted.visible_to:
        conditions.append(or_(columns.owner == wanted.visible_to, columns.actor == wanted.visible_to))
    if wanted.visible_from_s:
        conditions.append(columns.at_s >= wanted.visible_from_s)
    shown = [column for column in columns if column.name != "changes"]
    return select(*shown).where(and_(true(), *conditions))


def _event(row: RowMapping) -> Event:
    return Event(
        what=row["what"],
        subject=row["subject"],
        at_s=row["at_s"],
        actor=row["actor"],
        request_id=row["request_id"],
        operation_id=row["operation_id"],
        detail=_detail.decode(row["detail"]),
        seq=row["seq"],
    )
