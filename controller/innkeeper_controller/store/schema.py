"""The tables of the store, made from the kinds of records; creates nothing by itself, the migrations do that."""

from types import NoneType

import msgspec
from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.types import TypeEngine

from innkeeper_controller.records import KINDS, Kind

#: Column of every kind's table with the whole record as JSON.
BODY = "body"

#: SQLite keeps rows by number only where the type is called INTEGER.
_SEQ = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()


def _column_type(kind: Kind, name: str) -> TypeEngine[int] | TypeEngine[float] | TypeEngine[str]:
    """Return the type of a column from the record's own annotation; properties are texts."""
    fields = {field.name: field.type for field in msgspec.inspect.type_info(kind.record).fields}  # type: ignore[attr-defined]  # records are structs
    annotation = fields.get(name)
    inner = getattr(annotation, "types", (annotation,))
    if any(isinstance(one, msgspec.inspect.IntType) for one in inner):
        return Integer()
    return Float() if any(isinstance(one, msgspec.inspect.FloatType) for one in inner) else Text()


def _nullable(kind: Kind, name: str) -> bool:
    return NoneType in getattr(kind.record.__annotations__.get(name), "__args__", ())


def _table(kind: Kind) -> Table:
    return Table(
        kind.plural,
        metadata,
        Column(kind.key, _column_type(kind, kind.key), primary_key=True, autoincrement=False),
        *(Column(name, _column_type(kind, name), nullable=_nullable(kind, name)) for name in kind.columns),
        Column(BODY, Text, nullable=False),
    )


#: ``{kind: its table}``
TABLES: dict[str, Table] = {word: _table(kind) for word, kind in KINDS.items()}

#: The log: ``changes`` of a turn stand beside its first event as ``[[kind, key, fields or null], ...]``.
EVENTS = Table(
    "events",
    metadata,
    Column("seq", _SEQ, primary_key=True, autoincrement=False),
    Column("at_s", Float, nullable=False),
    Column("what", Text, nullable=False),
    Column("subject", Text, nullable=False),
    #: Who owns the subject, and may read the event; empty where only an administrator may.
    Column("owner", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("operation_id", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("changes", Text, nullable=True),
    Index("events_by_subject", "subject", "seq"),
)

#: What was answered to a request that its client had numbered; NULL where the answer held a secret.
ANSWERS = Table(
    "answers",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("request_sha256", Text, nullable=False),
    Column("answer", Text, nullable=True),
    Column("at_s", Float, nullable=False),
    Index("answers_by_time", "at_s"),
)

#: ``cluster_id``, ``created_at_s`` and ``last_ids`` (JSON ``{kind: highest number ever given}``).
META = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# What a start has to find without reading what has ended long ago.
_unfinished = text("status IN ('running', 'undoing')")
_live = text("state <> 'DONE'")
Index("operations_by_subject", TABLES["operation"].c.subject)
Index("operations_unfinished", TABLES["operation"].c.status, sqlite_where=_unfinished, postgresql_where=_unfinished)
Index("vms_live", TABLES["vm"].c.state, sqlite_where=_live, postgresql_where=_live)
