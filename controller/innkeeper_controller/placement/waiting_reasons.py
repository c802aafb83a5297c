"""Why a VM waits, host by host, and what would help, as ``inn vm why`` tells it; it decides and changes nothing."""

from collections.abc import Iterable, Iterator
from typing import Final

from innkeeper_controller import actions
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.indexes.loads import load_of
from innkeeper_controller.placement import queueing
from innkeeper_controller.placement.departures import placer_of
from innkeeper_controller.placement.fitting import demand_of
from innkeeper_controller.placement.waits import beyond_reach, waiting_words
from innkeeper_controller.records import Host, Moment, VmRecord
from innkeeper_controller.scheduling.answers.verdicts import verdicts
from innkeeper_controller.scheduling.model import Load, Verdicts
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import HostId, VmId, VmState

#: Hosts that fit for which a plan is tried.
_TRIES: Final = 8
_BY_ITSELF: Final = "It starts by itself as soon as one can."


def explain_waiting(turn: Turn, vm: VmRecord, limit: int | None) -> dict[str, object]:
    """Return the fields of ``requests.vms.Why`` of a VM that is PENDING or held."""
    place = queueing.place_of(turn.cluster, turn.settings, vm, turn.now_s)
    queue: dict[str, object] = {
        "queue_position": place.position if place is not None else 0,
        "queue": place.words if place is not None else "",
        "gives_up_at_s": _gives_up_at_s(turn, vm),
    }
    if not turn.cluster.hosts:
        return {"reason": "There is no host yet.", "advice": "Add one: inn host add NAME.", **queue}
    found = _verdicts(turn, vm, limit)
    reason, advice = _reason(turn, vm, found)
    outside = turn.cluster.outside
    if outside is not None and outside.rests(turn.now_s):
        reason = f"{reason} {outside.words(turn.now_s)}"
    return {
        "reason": reason,
        "advice": advice,
        **queue,
        "hosts": found.hosts,
        "hosts_total": found.hosts_total,
        "fitting": found.fitting,
        "counts": found.counts,
        "alike": found.alike,
        "policy": turn.settings.policy,
        "weights": found.weights,
        "nearest_miss": found.nearest_miss,
        "remedies": tuple(text for text in (found.remedy, found.switch, found.smaller, _who_would_help(found)) if text),
        "ends_vm_ids": tuple(found.ends_vm_ids),
    }


def _verdicts(turn: Turn, vm: VmRecord, limit: int | None) -> Verdicts:
    cluster = turn.cluster
    return verdicts(
        demand_of(cluster, vm),
        placer_of(turn).search,
        limit=limit,
        loads_on=lambda host_id: _loads_on(cluster, host_id),
        priority_of=lambda vm_id: cluster.vms[vm_id].wishes.priority,
    )


def _loads_on(cluster: Cluster, host_id: HostId) -> Iterator[Load]:
    vm_ids: Iterable[VmId] = cluster.fleet.vm_ids(cluster.fleet.row_of[host_id])
    return (load_of(cluster.vms[vm_id], host_id) for vm_id in vm_ids)


def _gives_up_at_s(turn: Turn, vm: VmRecord) -> Moment | None:
    usual_s, own_s = turn.settings.scheduling.pending_timeout_s, vm.wishes.pending_timeout_s
    limit_s = usual_s if own_s is None else own_s
    return vm.since_s + limit_s if vm.state is VmState.PENDING and limit_s > 0 else None


def _reason(turn: Turn, vm: VmRecord, found: Verdicts) -> tuple[str, str]:
    """Return why it waits and what to do, the first thing that is in its way."""
    not_looked_at = _not_looked_at(turn, vm, f"{found.fitting:,} of {found.hosts_total:,} hosts could take")
    if not_looked_at is not None:
        return not_looked_at
    out_of_reach = beyond_reach(turn.cluster, vm)
    if out_of_reach:
        return out_of_reach, "It starts by itself as soon as a host that has it is there."
    if not found.fitting:
        words = waiting_words(found.counts, found.hosts_total)
        return words if _who_would_help(found) else f"{words} {found.ends}".strip(), _BY_ITSELF
    noted = turn.cluster.waits.get(vm.vm_id, "")
    if vm.wishes.gang is not None and noted:
        return noted, "It starts by itself as soon as the hosts have room for the whole gang."
    return _refused_plan(turn, vm, found)


def _who_would_help(found: Verdicts) -> str:
    """Return whose end would let the VM in; that nobody's would is a reason and helps nobody."""
    return found.ends if found.ends_vm_ids else ""


def _not_looked_at(turn: Turn, vm: VmRecord, could: str) -> tuple[str, str] | None:
    """Return why the scheduler does not even look for a host, and what to do; None where it does."""
    if vm.state is VmState.HOLD:
        choose = f"Give it to the scheduler: inn vm release {vm.vm_id}; or choose: inn vm deploy {vm.vm_id} HOST."
        return f"It is held; {could} it.", choose
    if turn.settings.scheduler == "none":
        return f"The scheduler is off; {could} the VM.", f"Deploy it by hand: inn vm deploy {vm.vm_id} HOST."
    left_out = queueing.left_out(turn.cluster, turn.settings, vm)
    if left_out is not None:
        return left_out.words, f"Until then it takes no host, though {could} it."
    outside = turn.cluster.outside
    if outside is None or outside.rests(turn.now_s):
        return None
    noted = turn.cluster.waits.get(vm.vm_id, "")
    return f"{outside.words(turn.now_s)} {noted}".strip(), f"Or deploy it by hand: inn vm deploy {vm.vm_id} HOST."


def _refused_plan(turn: Turn, vm: VmRecord, found: Verdicts) -> tuple[str, str]:
    """Say what stands in the way of a VM that fits: its place in the queue, or a plan that cannot be made."""
    reason, name = "", ""
    for verdict in (each for each in found.hosts[:_TRIES] if each.fits):
        host: Host = turn.cluster.hosts[verdict.host_id]
        try:
            actions.plan_deployment(turn, vm, host)
        except RefusalError as error:
            reason, name = reason or str(error), name or host.name
        else:
            return "It fits and is about to be placed.", ""
    return f"It fits, but cannot be started on {name}: {reason}", "It starts by itself as soon as that is mended."
