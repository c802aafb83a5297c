"""Requests that say how much of a host, or of the hosts of a cluster, may be given away.

A change moves no VM: a host that has more than it may gets no more.
"""

import math
from typing import Any, Final, TypeVar

import msgspec

from innkeeper_controller.access import Right
from innkeeper_controller.inventory import RESOURCES, Allowance
from innkeeper_controller.records import ClusterRecord, Host
from innkeeper_controller.requests import find
from innkeeper_controller.requests.clusters import ClusterView
from innkeeper_controller.requests.clusters import view as cluster_view
from innkeeper_controller.requests.table import Need, Request, Who
from innkeeper_controller.requests.views import HostDetail, host_detail
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value

_replace = msgspec.structs.replace

FIELDS: Final = Allowance.__struct_fields__
#: Nobody gives the same away more often.
MAX_RATIO: Final = 1000.0
#: More than there is of anything.
_MAX_AMOUNT: Final = 1e12
#: OpenNebula counts cores in hundredths and memory in KiB.
_CPU_OF_CORE: Final = 100
_KIB_OF_MIB: Final = 1024
#: ``{OpenNebula's attribute of hosts and clusters: (resource, its units in one of ours)}``
RESERVED: Final = {"RESERVED_CPU": ("cpu", _CPU_OF_CORE), "RESERVED_MEM": ("memory", _KIB_OF_MIB)}


class SetHost(Value):
    """What is decided of a host; what is left out stays as it is."""

    host: str
    #: In cores.
    cpu: Allowance | None = None
    #: In MiB.
    memory: Allowance | None = None
    #: Of each of its datastores, in MiB.
    disk: Allowance | None = None
    #: Decided no longer, so that the cluster decides: ``cpu.allocation_ratio``, all of ``memory``, or ``all``.
    clear: tuple[str, ...] = ()


class SetCluster(Value):
    """What is decided of all hosts of a cluster, where nothing is decided of the host itself."""

    cluster: str
    #: In cores.
    cpu: Allowance | None = None
    #: In MiB.
    memory: Allowance | None = None
    #: Of each of their datastores, in MiB.
    disk: Allowance | None = None
    #: Decided no longer: ``cpu.allocation_ratio``, all of ``memory``, or ``all``.
    clear: tuple[str, ...] = ()


def set_host(turn: Turn, params: SetHost) -> HostDetail:
    """Decide how much of the host may be given away."""
    host = find.host(turn.cluster, params.host)
    return host_detail(turn.cluster, _put(turn, host, after(host.allowances, params)))


def set_cluster(turn: Turn, params: SetCluster) -> ClusterView:
    """Decide how much of the cluster's hosts may be given away."""
    record = find.cluster_record(turn.cluster, params.cluster)
    return cluster_view(turn, _put(turn, record, after(record.allowances, params)))


_Record = TypeVar("_Record", Host, ClusterRecord)


def _put(turn: Turn, record: _Record, allowances: dict[str, Allowance]) -> _Record:
    if allowances == record.allowances:
        return record
    changed = _replace(record, allowances=allowances)
    turn.put(changed)
    _tell(turn, record, allowances)
    return changed


def _tell(turn: Turn, record: Host | ClusterRecord, allowances: dict[str, Allowance]) -> None:
    noun, number = ("host", record.host_id) if isinstance(record, Host) else ("cluster", record.cluster_id)
    told = msgspec.to_builtins(allowances)
    turn.event(f"{noun}.allowances_set", f"{noun}:{number}", name=record.name, allowances=told)


def after(old: dict[str, Allowance], params: SetHost | SetCluster) -> dict[str, Allowance]:
    """Return what is decided after the change: first what is cleared, then what is given.

    Raises:
        RefusalError: ``bad_request``.
    """
    new = _cleared(old, params.clear)
    for resource in RESOURCES:
        given: Allowance | None = getattr(params, resource)
        if given is not None:
            new[resource] = _merged(new.get(resource), given)
    return checked(new)


def _cleared(old: dict[str, Allowance], words: tuple[str, ...]) -> dict[str, Allowance]:
    new = dict(old)
    for word in words:
        resource, _, field = word.partition(".")
        if word != "all" and (resource not in RESOURCES or (field or FIELDS[0]) not in FIELDS):
            may = f"{', '.join(RESOURCES)}, one of their {', '.join(FIELDS)} as cpu.reserved, or all"
            raise RefusalError("bad_request", f"{word[:40]!r} is nothing that is decided; clear {may}.")
        for each in RESOURCES if word == "all" else (resource,):
            kept = _replace(new[each], **{field: None}) if field and each in new else Allowance()
            new[each] = kept
    return new


def _merged(old: Allowance | None, given: Allowance) -> Allowance:
    values = {name: value for name in FIELDS if (value := getattr(given, name)) is not None}
    return _replace(old or Allowance(), **values)


def checked(allowances: dict[str, Allowance]) -> dict[str, Allowance]:
    """Return what is decided without what says nothing.

    Raises:
        RefusalError: ``bad_request``: something of it cannot be meant.
    """
    for resource, allowance in allowances.items():
        for name in FIELDS:
            _check(resource, name, getattr(allowance, name))
        least, most = allowance.min_unit, allowance.max_unit
        if least is not None and most is not None and least > most:
            text = f"No VM could take {resource}: at least {least:.10g} and at most {most:.10g}."
            raise RefusalError("bad_request", text)
    return {resource: allowance for resource, allowance in allowances.items() if allowance != Allowance()}


def _check(resource: str, name: str, value: float | None) -> None:
    if value is None:
        return
    if not (math.isfinite(value) and abs(value) <= _MAX_AMOUNT):
        raise RefusalError("bad_request", f"{resource}.{name} is {value:.10g}, which no host has.")
    if name == "allocation_ratio" and not 0 < value <= MAX_RATIO:
        text = f"{resource}.allocation_ratio is {value:.10g}; it has to be more than 0 and at most {MAX_RATIO:g}."
        raise RefusalError("bad_request", text)
    # Below 0, ``reserved`` gives more away than there is, as OpenNebula has it.
    if name in {"min_unit", "step_size"} and value < 0:
        raise RefusalError("bad_request", f"{resource}.{name} is {value:.10g}; it has to be 0 or more.")
    if name == "max_unit" and value <= 0:
        raise RefusalError("bad_request", f"{resource}.max_unit is {value:.10g}; it has to be more than 0.")


def noted(turn: Turn, record: Host | ClusterRecord, given: dict[str, str], *, append: bool) -> dict[str, Any]:
    """Return the fields that OpenNebula's RESERVED_CPU and RESERVED_MEM stand for; these become no notes.

    Args:
        turn: Is told where another amount is reserved now.
        record: What people note something of.
        given: Its attributes after that; those two are taken out of it.
        append: What the template does not name stays; otherwise it is cleared.

    Raises:
        RefusalError: ``bad_request``.
    """
    new = dict(record.allowances)
    for name, (resource, units) in RESERVED.items():
        if name not in given and append:
            continue
        reserved = _amount(name, given.pop(name, ""), units)
        new[resource] = _replace(new.get(resource, Allowance()), reserved=reserved)
    allowances = checked(new)
    if allowances != record.allowances:
        _tell(turn, record, allowances)
    return {"allowances": allowances}


def _amount(name: str, text: str, units: int) -> float | None:
    """Return an amount in our units; None where the text is empty, which decides nothing."""
    if not text.strip():
        return None
    try:
        return float(text) / units
    except ValueError as error:
        what = "100 for each core" if units == _CPU_OF_CORE else "KB"
        hint = "for a part of all there is, `inn host set` has ratios"
        raise RefusalError("bad_request", f"{name} is {text[:40]!r}; it is a number, {what}; {hint}.") from error


REQUESTS = (
    Request(
        name="host.set",
        method="POST",
        path="/v1/hosts/{host}/set",
        params=SetHost,
        answer=HostDetail,
        who=Who.USER,
        summary="Decide how much of a host may be given away: what is reserved, the allocation ratio, what one VM may "
        "take.",
        handler=set_host,
        needs=Need(Right.ADMIN, "host"),
    ),
    Request(
        name="cluster.set",
        method="POST",
        path="/v1/clusters/{cluster}/set",
        params=SetCluster,
        answer=ClusterView,
        who=Who.USER,
        summary="Decide how much of a cluster's hosts may be given away, where nothing is decided of the host itself.",
        handler=set_cluster,
        needs=Need(Right.ADMIN, "cluster"),
    ),
)
