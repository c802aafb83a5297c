"""Requests about what VMs took of hosts, what that costs, and what guests and hosts used lately.

The handlers see the stays of VMs that are not DONE; ``past_stays`` adds those of the others.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from innkeeper_controller import access, accounting
from innkeeper_controller.access import Right
from innkeeper_controller.accounting import Cost
from innkeeper_controller.monitoring import GuestSample, HostSample
from innkeeper_controller.namesakes import is_of_another
from innkeeper_controller.records import HistoryRecord, Moment
from innkeeper_controller.requests import find
from innkeeper_controller.requests.table import Need, Request, Who
from innkeeper_controller.requests.vms import OneVm, read_row
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value

#: Longest time that one request is about.
MAX_SPAN_S = accounting.MAX_YEARS * 366 * 24 * 3600.0


class Span(Value):
    """Whose VMs, and of when."""

    #: Empty for all that who asks may see.
    owner: str = ""
    group: str = ""
    #: Of one VM only; -1 for all.
    vm_id: int = -1
    from_s: Moment = -1.0
    #: Not counted any more; -1 for now.
    to_s: Moment = -1.0


class Months(Value):
    """Whose VMs, and of which months; -1 for the first there is, and for the present one."""

    #: Empty for all that who asks may see.
    owner: str = ""
    group: str = ""
    #: Of one VM only; -1 for all.
    vm_id: int = -1
    #: 1 to 12.
    from_month: int = -1
    from_year: int = -1
    #: The last of them.
    to_month: int = -1
    to_year: int = -1


class Stays(Value):
    """Stays of VMs on hosts, in order of VM and number."""

    records: tuple[HistoryRecord, ...]


class Costs(Value):
    """What VMs cost, in order of VM and month."""

    rows: tuple[Cost, ...]


class NamedHost(Value):
    """One host, by number or name."""

    host: str


def stays(turn: Turn, params: Span) -> Stays:
    """Return the stays of VMs on hosts in that time."""
    from_s, to_s = span_of(params, turn.now_s)
    return Stays(records=tuple(accounting.overlapping(_wanted(turn, params), from_s, to_s)))


def costs(turn: Turn, params: Months) -> Costs:
    """Return what VMs cost in each of those months."""
    records = list(_wanted(turn, params))
    from_s, to_s = span_of(params, turn.now_s)
    from_s = max(from_s, min((each.began_at_s for each in records), default=to_s))
    if to_s - from_s > MAX_SPAN_S:
        raise RefusalError("bad_request", f"Ask about at most {accounting.MAX_YEARS} years at once.")
    return Costs(rows=tuple(accounting.showback(records, from_s, to_s)))


def span_of(params: Span | Months, now_s: Moment) -> tuple[Moment, Moment]:
    """Return from when until when, at most until now.

    Raises:
        RefusalError: ``bad_request``: there is no such month.
    """
    if isinstance(params, Span):
        end_s = params.to_s if params.to_s >= 0 else now_s
        return max(params.from_s, 0.0), min(end_s, now_s)
    begin_s = _month(params.from_year, params.from_month, 0.0)
    end_s = _month(params.to_year, params.to_month, now_s, later=1)
    return begin_s, min(end_s, now_s)


def _month(year: int, month: int, otherwise: Moment, *, later: int = 0) -> Moment:
    if year < 0 and month < 0:
        return otherwise
    try:
        datetime(year, month, 1, tzinfo=UTC)
        found = datetime(year + (month - 1 + later) // 12, (month - 1 + later) % 12 + 1, 1, tzinfo=UTC)
    except ValueError as error:
        raise RefusalError("bad_request", f"There is no month {month} of a year {year}.") from error
    return found.timestamp()


def _wanted(turn: Turn, params: Span | Months) -> Iterator[HistoryRecord]:
    user = turn.user
    sees_all = user is None or user.is_admin
    groups = turn.cluster.groups.values()
    of_groups = {group.name for group in groups if user is not None and access.administers(user, group)}
    for each in turn.cluster.history_records.values():
        if (
            (params.owner and each.owner != params.owner)
            or (params.group and each.group != params.group)
            or (params.vm_id >= 0 and each.vm_id != params.vm_id)
            or is_of_another(user, each.owner, each.began_at_s)
        ):
            continue
        if sees_all or (user is not None and each.owner == user.name) or each.group in of_groups:
            yield each


def guest_samples(turn: Turn, params: OneVm) -> tuple[GuestSample, ...]:
    """Return what the guest used lately."""
    return turn.cluster.samples.of_guest(find.vm(turn, params.vm_id).vm_id)


def host_samples(turn: Turn, params: NamedHost) -> tuple[HostSample, ...]:
    """Return what the host used lately."""
    return turn.cluster.samples.of_host(find.host(turn.cluster, params.host).host_id)


REQUESTS = (
    read_row(
        "accounting",
        "/v1/accounting",
        Span,
        Stays,
        "List the stays of VMs on hosts, with what they took and when they ran.",
        stays,
    ),
    read_row("showback", "/v1/showback", Months, Costs, "Say what VMs cost, month by month.", costs),
    read_row(
        "monitoring",
        "/v1/vms/{vm_id}/monitoring",
        OneVm,
        tuple[GuestSample, ...],
        "Show the last samples of what a guest used.",
        guest_samples,
    ),
    Request(
        name="host.monitoring",
        method="GET",
        path="/v1/hosts/{host}/monitoring",
        params=NamedHost,
        answer=tuple[HostSample, ...],
        who=Who.USER,
        summary="Show the last samples of what a host used.",
        handler=host_samples,
        needs=Need(Right.USE, "host"),
    ),
)
