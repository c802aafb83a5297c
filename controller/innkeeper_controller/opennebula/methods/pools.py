"""Rows of ``one.*pool.*``."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from innkeeper_controller import access
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula import legacy
from innkeeper_controller.opennebula.arguments import Argument, integer, text, truth
from innkeeper_controller.opennebula.documents import monitoring
from innkeeper_controller.opennebula.documents import vm as vm_documents
from innkeeper_controller.opennebula.fragments import escaped_document
from innkeeper_controller.opennebula.methods.reads import Drawn, look
from innkeeper_controller.opennebula.methods.table import Answer, Call, Method
from innkeeper_controller.opennebula.pools import ALL, POOLS, Pool, Range, check_flag, chosen, sees_everything
from innkeeper_controller.records import VmRecord
from innkeeper_controller.turn import RefusalError, Turn

#: States that ``one.vmpool.info`` takes beside OpenNebula's numbers: any, and any but DONE.
ANY_STATE, NOT_DONE, DONE = -2, -1, 6
_HIGHEST_STATE: Final = 11
#: VMs that one ``infoset`` may name.
_MAX_SET: Final = 10_000

FLAG: Final = integer("filter flag", ALL)
RANGE: Final = (integer("start id", -1), integer("end id", -1))
#: Some clients send one argument more than there is.
_UNUSED: Final = integer("unused", -1)
_OF_VMS: Final[tuple[Argument, ...]] = (FLAG, *RANGE, integer("state", NOT_DONE), text("search", ""))


def _range(call: Call) -> Range:
    return Range(call["start id"], call["end id"])


def _vm_pool(name: str, *, extended: bool) -> Method:
    async def act(call: Call) -> Answer:
        _check_search(call)
        if call["state"] in {ANY_STATE, DONE}:
            return await _with_past(call, extended=extended)
        documents = call.desk.fragments.vms if extended else call.desk.fragments.vms_in_pool
        if not call.old and _range(call).is_everything:
            await documents.warm()
        return await look(call, "vm.list", {}, lambda call, turn: _live_vms(call, turn, extended=extended))

    return Method(
        name=name,
        arguments=_OF_VMS,
        requests=("vm.list",),
        act=act,
        gives="string",
        note="State -2 is any, -1 any but DONE. There is no search in the bodies.",
    )


def _check_search(call: Call) -> None:
    if call["search"]:
        raise RefusalError("internal", "JSON query search is not supported by the SQL backend")
    if not ANY_STATE <= call["state"] <= _HIGHEST_STATE:
        raise RefusalError("bad_request", f"Incorrect filter_flag, state {call['state']} is none of -2 to 11.")
    check_flag(call["filter flag"])


def _live_vms(call: Call, turn: Turn, *, extended: bool) -> bytes | list[bytes]:
    cluster = turn.cluster
    documents = call.desk.fragments.vms if extended else call.desk.fragments.vms_in_pool
    flag, wanted, state = call["filter flag"], _range(call), call["state"]
    numbers: list[int]
    if sees_everything(turn, flag) and state == NOT_DONE:
        if wanted.is_everything and not call.old:
            return _within("VM_POOL", *documents.everything())
        numbers = documents.keys()
    else:
        records = chosen(turn, cluster.vms.values(), flag)
        numbers = sorted(
            (each.vm_id for each in records if _is_in(cluster, each, state)), reverse=call.desk.newest_first
        )
    shown = wanted.of(numbers)
    if call.old:
        old = "".join([legacy.vm_in_pool(cluster, cluster.vms[number]) for number in shown])  # type: ignore[index]  # VMs' numbers
        return escaped_document(f"<VM_POOL>{old}</VM_POOL>")
    return _within("VM_POOL", documents.many(shown))


def _is_in(cluster: Cluster, vm: VmRecord, state: int) -> bool:
    return state < 0 or vm_documents.numbers_of(cluster, vm).state == state


def _within(root: str, *inside: bytes) -> list[bytes]:
    return [b"&lt;%b>" % root.encode(), *inside, b"&lt;/%b>" % root.encode()]


async def _with_past(call: Call, *, extended: bool) -> Answer:
    """Return DONE VMs, with the others where any state is wanted."""
    wanted = _range(call)
    is_paged = wanted.end < -1
    first, last = (-1, -1) if is_paged else (wanted.start, wanted.end)
    past = await call.desk.past.many(first, last, call.user)

    def draw(call: Call, turn: Turn) -> str:
        found: dict[int, tuple[Cluster, VmRecord]] = {}
        here = [turn.cluster] if call["state"] == ANY_STATE else []
        # What ended meanwhile is in both; memory knows better.
        for cluster in (past, *here):
            for each in chosen(turn, cluster.vms.values(), call["filter flag"]):
                found[each.vm_id] = (cluster, each)
        one = legacy.vm_in_pool if call.old else vm_documents.vm if extended else vm_documents.vm_in_pool
        inside = [one(*found[number]) for number in wanted.of(sorted(found, reverse=call.desk.newest_first))]
        return f"<VM_POOL>{''.join(inside)}</VM_POOL>"

    return await look(call, "vm.list", {}, draw)


async def _infoset(call: Call) -> Answer:
    words = [word for word in call["ids"].split(",") if word.strip()]
    if len(words) > _MAX_SET or not all(word.strip().isdecimal() for word in words):
        raise RefusalError("bad_request", f"ids has to be up to {_MAX_SET} numbers with commas between them.")

    def draw(call: Call, turn: Turn) -> list[bytes]:
        records = (turn.cluster.vms.get(int(word)) for word in words)  # type: ignore[call-overload]  # a VM's number
        visible = access.visible(turn, [each for each in records if each is not None])
        documents = call.desk.fragments.vms if call["extended"] else call.desk.fragments.vms_in_pool
        return _within("VM_POOL", documents.many([each.vm_id for each in visible]))

    return await look(call, "vm.list", {}, draw)


async def _hosts(call: Call) -> Answer:
    documents = call.desk.fragments.hosts
    if not call.old:
        await documents.warm()

    def draw(call: Call, turn: Turn) -> Drawn:
        hosts = turn.cluster.hosts
        if call.old:
            visible = access.visible(turn, hosts.values())
            return f"<HOST_POOL>{''.join(legacy.host(turn.cluster, each) for each in visible)}</HOST_POOL>"
        if sees_everything(turn, ALL):
            return _within("HOST_POOL", *documents.everything())
        numbers = sorted(
            (each.host_id for each in access.visible(turn, hosts.values())), reverse=call.desk.newest_first
        )
        return _within("HOST_POOL", documents.many(numbers))

    return await look(call, "host.list", {}, draw)


#: Pools as 1.4 had them.
_OLD: Final[Mapping[str, Callable[[Cluster, Iterable[Any]], str]]] = {
    "one.vnpool.info": legacy.network_pool,
    "one.userpool.info": legacy.user_pool,
}


def _pool(name: str, pool: Pool) -> Method:
    old = _OLD.get(name)

    async def act(call: Call) -> Answer:
        flag, wanted = (call["filter flag"], _range(call)) if pool.is_paged else (ALL, Range())
        if call.old and old is not None:
            return await look(
                call,
                pool.request,
                {},
                lambda _, turn: old(turn.cluster, chosen(turn, pool.records(turn.cluster), flag)),
            )
        return await look(
            call,
            pool.request,
            {},
            lambda _, turn: pool.document(turn, flag, wanted, newest_first=call.desk.newest_first),
        )

    arguments = (FLAG, *RANGE, _UNUSED) if pool.is_paged else ()
    return Method(name=name, arguments=arguments, requests=(pool.request,), act=act, gives="string")


def _samples(records: Iterable[Any], call: Call, turn: Turn, draw: Any) -> str:  # noqa: ANN401 - one of two functions
    """Return the samples of all the records from the seconds that are asked for, in one document."""
    wanted = monitoring.samples_of(call["seconds"], turn.now_s)
    documents = [draw(turn.cluster, each, wanted) for each in records]
    inside = "".join(each.removeprefix("<MONITORING_DATA>").removesuffix("</MONITORING_DATA>") for each in documents)
    return f"<MONITORING_DATA>{inside}</MONITORING_DATA>"


async def _vm_samples(call: Call) -> Answer:
    check_flag(call["filter flag"])

    def draw(_: object, turn: Turn) -> str:
        records = chosen(turn, turn.cluster.vms.values(), call["filter flag"])
        return _samples(records, call, turn, monitoring.vm_monitoring)

    return await look(call, "vm.list", {}, draw)


async def _host_samples(call: Call) -> Answer:
    def draw(_: object, turn: Turn) -> str:
        records = access.visible(turn, turn.cluster.hosts.values())
        return _samples(records, call, turn, monitoring.host_monitoring)

    return await look(call, "host.list", {}, draw)


METHODS: Final = (
    _vm_pool("one.vmpool.info", extended=False),
    _vm_pool("one.vmpool.infoextended", extended=True),
    Method(
        name="one.vmpool.infoset",
        arguments=(text("ids"), truth("extended", default=False)),
        requests=("vm.list",),
        act=_infoset,
        gives="string",
    ),
    Method(
        name="one.vmpool.monitoring",
        arguments=(FLAG, integer("seconds", -1)),
        requests=("vm.list",),
        act=_vm_samples,
        gives="string",
    ),
    Method(name="one.hostpool.info", arguments=(), requests=("host.list",), act=_hosts, gives="string"),
    Method(
        name="one.hostpool.monitoring",
        arguments=(integer("seconds", -1),),
        requests=("host.list",),
        act=_host_samples,
        gives="string",
    ),
    *(_pool(name, pool) for name, pool in POOLS.items()),
)
