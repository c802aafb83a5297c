"""What VMs took of hosts and for how long, and what that costs; functions over their stays."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from innkeeper_controller.records import HistoryRecord, Moment
from innkeeper_plugins.vocabulary import Value

_replace = msgspec.structs.replace

HOUR_S: Final = 3600.0
#: Digits of what is told of hours and costs.
_DIGITS: Final = 6
#: Years that a showback goes over at most: a row a VM and month.
MAX_YEARS: Final = 20


class Cost(Value):
    """What one VM took in one month, and what that cost."""

    vm_id: int
    vm_name: str
    owner: str
    group: str
    year: int
    #: 1 to 12.
    month: int
    cpu_cost: float = 0.0
    memory_cost: float = 0.0
    disk_cost: float = 0.0
    #: How long it was on hosts, and how long it ran there.
    hours: float = 0.0
    running_hours: float = 0.0


def overlapping(records: Iterable[HistoryRecord], from_s: Moment, to_s: Moment | None) -> list[HistoryRecord]:
    """Return the stays that were from ``from_s`` on and before ``to_s`` (None: no end), in order of VM and number."""
    found = [
        each
        for each in records
        if (to_s is None or each.began_at_s < to_s) and (each.ended_at_s is None or each.ended_at_s > from_s)
    ]
    return sorted(found, key=lambda each: (each.vm_id, each.seq))


def showback(records: Iterable[HistoryRecord], from_s: Moment, to_s: Moment) -> list[Cost]:
    """Return what VMs cost, a row for each VM and month, in order of VM and time.

    Cores and memory cost while the VM runs, disks while it is on a host.

    Args:
        records: The stays.
        from_s: From when on.
        to_s: Until when; what has not ended is counted up to here, so it must not lie in the future.
    """
    rows: dict[tuple[int, int, int], Cost] = {}
    for record in overlapping(records, from_s, to_s):
        for begin_s, end_s in _months(max(from_s, record.began_at_s), min(to_s, _or(record.ended_at_s, to_s))):
            when = datetime.fromtimestamp(begin_s, UTC)
            key = (record.vm_id, when.year, when.month)
            rows[key] = _sum(rows.get(key), _cost(record, begin_s, end_s, when))
    return [_rounded(rows[key]) for key in sorted(rows)]


def _or(moment: Moment | None, other: Moment) -> Moment:
    return other if moment is None else moment


def _months(from_s: Moment, to_s: Moment) -> Iterator[tuple[Moment, Moment]]:
    """Go over the parts of a time that lie in one month each."""
    while from_s < to_s:
        when = datetime.fromtimestamp(from_s, UTC)
        year, month = (when.year + 1, 1) if when.month == 12 else (when.year, when.month + 1)  # noqa: PLR2004 - December
        end_s = min(datetime(year, month, 1, tzinfo=UTC).timestamp(), to_s)
        yield from_s, end_s
        from_s = end_s


def _cost(record: HistoryRecord, begin_s: Moment, end_s: Moment, when: datetime) -> Cost:
    hours = (end_s - begin_s) / HOUR_S
    running_s = 0.0
    if record.running_began_s is not None:
        running_s = min(end_s, _or(record.running_ended_s, end_s)) - max(begin_s, record.running_began_s)
    running = max(running_s, 0.0) / HOUR_S
    return Cost(
        vm_id=record.vm_id,
        vm_name=record.vm_name,
        owner=record.owner,
        group=record.group,
        year=when.year,
        month=when.month,
        cpu_cost=running * record.cpu_cores * record.cpu_cost,
        memory_cost=running * record.memory_mib * record.memory_cost,
        disk_cost=hours * record.disks_mib * record.disk_cost,
        hours=hours,
        running_hours=running,
    )


#: What is added up of a VM's stays in a month.
_SUMS: Final = ("cpu_cost", "memory_cost", "disk_cost", "hours", "running_hours")


def _sum(one: Cost | None, other: Cost) -> Cost:
    if one is None:
        return other
    return _replace(other, **{name: getattr(one, name) + getattr(other, name) for name in _SUMS})


def _rounded(row: Cost) -> Cost:
    return _replace(row, **{name: round(getattr(row, name), _DIGITS) for name in _SUMS})
