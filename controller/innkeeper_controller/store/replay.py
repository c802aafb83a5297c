"""Tells the log again and says where the tables differ from it; repairs nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, select

from innkeeper_controller.cluster import UNFINISHED, Cluster, Key, Put, tell_again
from innkeeper_controller.records import KINDS, Record
from innkeeper_controller.store.schema import BODY, EVENTS, TABLES

_ROWS_AT_ONCE = 500

_changes = msgspec.json.Decoder(list[tuple[str, int | str, dict[str, object] | None]])


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the log says that there is."""

    cluster: Cluster
    #: ``{(kind, key): record}``, with what memory has let go of; deleted records are not there.
    records: dict[tuple[str, Key], Record] = field(default_factory=dict)


def replay(connection: Connection) -> Replayed:
    """Tell the whole log again."""
    told = Replayed(Cluster())
    for kind, key, fields in _logged_changes(connection):
        old = told.records.get((kind, key))
        new = tell_again(kind, old, fields)
        if new is None:
            told.records.pop((kind, key), None)
        else:
            told.records[kind, key] = new
        told.cluster.apply(Put(kind, key, old, new))
    return told


def _logged_changes(connection: Connection) -> Iterator[tuple[str, Key, dict[str, object] | None]]:
    statement = select(EVENTS.c.changes).where(EVENTS.c.changes.is_not(None)).order_by(EVENTS.c.seq)
    for text in connection.execute(statement).scalars().yield_per(_ROWS_AT_ONCE):
        yield from _changes.decode(text)


def table_differences(connection: Connection, told: Replayed) -> list[str]:
    """Return a sentence for each record that the tables have otherwise than the log; empty is well.

    Both have to be read in one transaction.
    """
    found: list[str] = []
    seen: set[tuple[str, Key]] = set()
    for word, kind in KINDS.items():
        decode = msgspec.json.Decoder(kind.record).decode
        table = TABLES[word]
        for key, body in connection.execute(select(table.c[kind.key], table.c[BODY])).yield_per(_ROWS_AT_ONCE):
            seen.add((word, key))
            logged = told.records.get((word, key))
            if logged != decode(body):
                found.append(f"{word} {key}: its table and the log differ{'' if logged else ': the log has none'}")
    missing = sorted(told.records.keys() - seen, key=str)
    return found + [f"{word} {key}: the log has it, its table has not" for word, key in missing]


def memory_differences(told: Replayed, live: Cluster) -> list[str]:
    """Return a sentence for each record that memory has otherwise than the log; empty is well.

    Ended operations are left out: how long memory keeps them is its own business.
    """
    found = []
    for word in KINDS:
        logged, known = _going_on(told.cluster, word), _going_on(live, word)
        found += [
            f"{word} {key}: memory and the log differ"
            for key in sorted(logged.keys() | known.keys(), key=str)
            if logged.get(key) != known.get(key)
        ]
    return found


def _going_on(cluster: Cluster, word: str) -> dict[Key, Record]:
    records = cluster.table(word)
    if word != "operation":
        return records
    return {key: record for key, record in records.items() if getattr(record, "status", None) in UNFINISHED}
