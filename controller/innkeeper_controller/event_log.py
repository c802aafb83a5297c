"""Writes what has become durable to the log, with the ids by which the hosts' logs know it; decides nothing.

Single VMs' comings and goings are in the database's own log: here are operations, hosts, images and networks.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import structlog

from innkeeper_controller.records import Event
from innkeeper_controller.store.rows import Transaction

_log = structlog.get_logger("events")

#: Kinds of event of which there may be thousands a second.
_TOO_MANY: Final = ("vm.", "step.", "state.")
#: Kinds that come in masses when many VMs start or end at once. A line of its own costs 40 us, a place in one 1 us.
_GATHERED: Final = frozenset({"operation.started", "operation.done"})
#: So many of one kind, durable at once, have lines of their own; more share lines of so many.
MAX_APART: Final = 16
MAX_TOGETHER: Final = 100


def log_events(transactions: Sequence[Transaction]) -> None:
    """Write a line for each event of the kinds that are worth one; masses of operations share lines."""
    masses: defaultdict[str, list[tuple[int, Event]]] = defaultdict(list)
    for seq, event in _worth_a_line(transactions):
        if event.what in _GATHERED:
            masses[event.what].append((seq, event))
        else:
            _log_one(seq, event)
    for what, mass in masses.items():
        if len(mass) > MAX_APART:
            _log_together(what, mass)
        else:
            for seq, event in mass:
                _log_one(seq, event)


def _worth_a_line(transactions: Sequence[Transaction]) -> Iterator[tuple[int, Event]]:
    for transaction in transactions:
        for seq, event in enumerate(transaction.events, start=transaction.first_seq):
            if not event.what.startswith(_TOO_MANY):
                yield seq, event


def _log_one(seq: int, event: Event) -> None:
    _log.info(
        event.what,
        seq=seq,
        subject=event.subject,
        actor=event.actor,
        request_id=event.request_id,
        operation_id=event.operation_id,
        **{f"detail_{name}": value for name, value in event.detail.items()},
    )


def _log_together(what: str, mass: Sequence[tuple[int, Event]]) -> None:
    """Write operation, subject, kind and hosts of each; who looks for one of their ids finds the line."""
    events = iter(mass)
    while part := list(itertools.islice(events, MAX_TOGETHER)):
        _log.info(what, seq=part[0][0], count=len(part), operations=[_short(event) for _, event in part])


def _short(event: Event) -> str:
    hosts = event.detail.get("hosts", ())
    assert isinstance(hosts, list | tuple), "the names of an operation's hosts"
    return " ".join([event.operation_id, event.subject, str(event.detail.get("kind", "")), *map(str, hosts)])
