"""The built-in scheduler: lets waiting VMs and free hosts meet, through the same ``deploy`` that people use.

It decides nothing itself: ``scheduling`` does, from a snapshot; here is only how the snapshot is made of records
and what is done with the decisions.
"""

import itertools
from collections.abc import Iterable, Iterator

import msgspec

from innkeeper_controller import actions, operations, planner
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.fitting import demand_of, view_of
from innkeeper_controller.records import Host, HostState, Operation, OperationKind, OperationStatus, VmRecord
from innkeeper_controller.scheduling.match_making import place, verdicts
from innkeeper_controller.scheduling.model import Demand, HostView, Placement
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import HostId, VmId, VmState

_replace = msgspec.structs.replace

ACTOR = "scheduler"
#: At most so many VMs are looked at in one turn, so that a turn stays short.
BATCH = 1000
#: At most so many batches, the same VMs again where one that could not be planned had stood in the way of others.
MAX_PASSES = 10


class Scheduler:
    """Remembers views of the hosts; VMs that fit nowhere are looked at again once something became better."""

    def __init__(self) -> None:
        """Begin knowing nothing."""
        self._views: dict[HostId, HostView] = {}
        #: ``{VM: hosts for which no plan could be made}``, until something becomes better.
        self._refused: dict[VmId, frozenset[HostId]] = {}

    def run(self, turn: Turn) -> None:
        """Deploy what fits: VMs that are new, or all that wait once something became better."""
        cluster = turn.cluster
        self._refresh(cluster)
        if cluster.freed:
            cluster.freed = False
            cluster.unconsidered = dict(cluster.pending)
            self._refused.clear()
        if turn.settings.scheduler == "none":
            cluster.unconsidered.clear()
        for _ in range(MAX_PASSES):
            if not cluster.unconsidered:
                return
            self._pass(turn)

    def _pass(self, turn: Turn) -> None:
        """Place a batch of what waits; VMs that others stood in the way of by mistake are to be looked at again."""
        cluster = turn.cluster
        self._refresh(cluster)
        waiting = list(itertools.islice(cluster.unconsidered, BATCH))
        for vm_id in waiting:
            del cluster.unconsidered[vm_id]
        demands = [self._demand_of(turn.cluster, vm) for vm in self._within_reach(cluster, waiting)]
        decisions = place(demands, tuple(self._views.values()), policy=turn.settings.policy) if demands else []
        refused = [
            each.vm_id
            for each in decisions
            if isinstance(each, Placement) and not self._deploy(turn, each.vm_id, each.host_id)
        ]
        if refused:
            again = dict.fromkeys(each.vm_id for each in decisions if each.vm_id in cluster.pending)
            cluster.unconsidered = again | cluster.unconsidered

    def _within_reach(self, cluster: Cluster, waiting: Iterable[VmId]) -> Iterator[VmRecord]:
        """Go over the VMs whose images and files are on hosts that are there; the others can start nowhere."""
        there = [view for host_id, view in self._views.items() if cluster.hosts[host_id].connected]
        known: dict[str, bool] = {}
        for vm in map(cluster.vms.__getitem__, waiting):
            old_host = cluster.hosts.get(vm.sealed_on) if vm.sealed_on is not None else None
            digests = [ref.sha256 for ref in planner.images_of(vm.spec)]
            for digest in digests:
                if digest not in known:
                    known[digest] = any(digest in view.images for view in there)
            if all(known[digest] for digest in digests) and (not vm.sealed or (old_host and old_host.connected)):
                yield vm

    def _demand_of(self, cluster: Cluster, vm: VmRecord) -> Demand:
        refused = self._refused.get(vm.vm_id)
        demand = demand_of(cluster, vm)
        return _replace(demand, excluded=refused) if refused else demand

    def _deploy(self, turn: Turn, vm_id: VmId, host_id: HostId) -> bool:
        try:
            actions.deploy(turn, turn.cluster.vms[vm_id], turn.cluster.hosts[host_id])
        except RefusalError:
            # The snapshot promised what the records do not hold: another host may do, as `why` will tell.
            self._refused[vm_id] = self._refused.get(vm_id, frozenset()) | {host_id}
            return False
        return True

    def _refresh(self, cluster: Cluster) -> None:
        for host_id in cluster.touched:
            host = cluster.hosts.get(host_id)
            if host is None:
                self._views.pop(host_id, None)
            else:
                self._views[host_id] = view_of(cluster, host)
        cluster.touched.clear()


def choose_target(turn: Turn, vm: VmRecord, views: Iterable[HostView] = ()) -> Host:
    """Return the best host for a migration.

    Args:
        turn: The turn.
        vm: What is to move.
        views: All hosts, where the caller has them already.

    Raises:
        RefusalError: ``no_capacity``: no other host can take the VM.
    """
    hosts = [each for each in views or _views(turn.cluster) if each.host_id != vm.host_id]
    (decision,) = place([demand_of(turn.cluster, vm)], hosts, policy=turn.settings.policy)
    if isinstance(decision, Placement):
        return turn.cluster.hosts[HostId(decision.host_id)]
    raise RefusalError("no_capacity", f"No other host can take VM {vm.vm_id}; `inn host list` shows what is free.")


def _views(cluster: Cluster) -> list[HostView]:
    return [view_of(cluster, host) for host in cluster.hosts.values()]


def drain(turn: Turn) -> None:
    """Move the VMs of draining hosts away, one operation a VM, live where that is possible."""
    views: list[HostView] = []
    for host in list(turn.cluster.hosts.values()):
        if host.state is not HostState.DRAINING or not host.connected:
            continue
        for vm_id in sorted(turn.cluster.vms_on.get(host.host_id, ())):
            vm = turn.cluster.vms[vm_id]
            if vm.operation_id is None and vm.host_id == host.host_id and vm.state in _MOVED_AWAY:
                views = views or _views(turn.cluster)
                views = [] if _move_away(turn, vm, views) else views


#: ``{state: whether to move live, in the order to be tried}``
_MOVED_AWAY = {VmState.RUNNING: (True, False), VmState.SUSPENDED: (False,), VmState.POWEROFF: (False,)}


def _move_away(turn: Turn, vm: VmRecord, views: list[HostView]) -> bool:
    last = turn.cluster.operations.get(vm.last_operation_id) if vm.last_operation_id else None
    failed = last is not None and last.status in {OperationStatus.FAILED, OperationStatus.CANCELLED}
    if failed and turn.now_s - vm.since_s < DRAIN_RETRY_S:
        return False
    ways = _MOVED_AWAY[vm.state]
    if failed and last is not None and last.kind is OperationKind.MIGRATE_LIVE:
        ways = (False,)
    return _move(turn, vm, views, ways)


def _move(turn: Turn, vm: VmRecord, views: list[HostView], ways: Iterable[bool]) -> bool:
    for live in ways:
        try:
            actions.migrate(turn, vm, choose_target(turn, vm, views), live=live)
        except RefusalError:
            continue
        return True
    return False


def reschedule(turn: Turn) -> None:
    """Move VMs that people want on better hosts, live where that is possible; each is tried once."""
    views: list[HostView] = []
    for vm_id in list(turn.cluster.rescheduled)[:MAX_RESCHEDULED]:
        vm = turn.cluster.vms[vm_id]
        if vm.operation_id is not None:
            continue
        tried = _replace(vm, resched=False)
        turn.put(tried)
        views = views or _views(turn.cluster)
        if vm.state is VmState.RUNNING and _move(turn, tried, views, (True, False)):
            views = []
        else:
            turn.event("vm.not_rescheduled", f"vm:{vm_id}", state=vm.state.value)


#: VMs that are moved in one turn because people want them on better hosts.
MAX_RESCHEDULED = 20

#: A VM whose last operation failed or was cancelled is moved again no earlier than this.
DRAIN_RETRY_S = 60.0


def explain(turn: Turn, vm: VmRecord, operation: Operation | None) -> dict[str, object]:
    """Return the fields of ``requests.vms.Why`` that say why the VM is where it is."""
    if vm.state in {VmState.PENDING, VmState.HOLD}:
        return _explain_waiting(turn, vm)
    if operation is not None and vm.operation_id is not None:
        return _explain_operation(turn, vm, operation)
    if vm.state is VmState.FAILED:
        return _explain_failed(vm, operation)
    return _explain_rest(turn, vm, operation)


def _explain_waiting(turn: Turn, vm: VmRecord) -> dict[str, object]:
    hosts = list(turn.cluster.hosts.values())
    held = vm.state is VmState.HOLD
    position = 0 if held else list(turn.cluster.pending).index(vm.vm_id) + 1
    if not hosts:
        return {"reason": "There is no host yet.", "advice": "Add one: inn host add NAME.", "queue_position": position}
    found = verdicts(demand_of(turn.cluster, vm), [view_of(turn.cluster, host) for host in hosts])
    fitting = [each for each in found.hosts if each.fits]
    if held:
        reason = f"It is held; {len(fitting)} of {len(hosts)} hosts could take it."
        advice = f"Give it to the scheduler: inn vm release {vm.vm_id}; or choose: inn vm deploy {vm.vm_id} HOST."
    elif turn.settings.scheduler == "none":
        reason = f"The scheduler is off; {len(fitting)} of {len(hosts)} hosts could take the VM."
        advice = f"Deploy it by hand: inn vm deploy {vm.vm_id} HOST."
    elif fitting:
        reason, advice = _refused_plan(turn, vm, (turn.cluster.hosts[HostId(each.host_id)] for each in fitting))
    else:
        reason = f"None of {len(hosts)} hosts can take the VM as things stand."
        advice = "It starts by itself as soon as one can."
    return {
        "reason": reason,
        "advice": advice,
        "queue_position": position,
        "hosts": [
            {
                "host": each.host_name,
                "fits": each.fits,
                "obstacles": [(obstacle.clause, obstacle.message) for obstacle in each.obstacles],
                "scores": dict(each.scores),
            }
            for each in found.hosts
        ],
        "counts": dict(found.counts),
        "nearest_miss": found.nearest_miss,
    }


def _refused_plan(turn: Turn, vm: VmRecord, hosts: Iterable[Host]) -> tuple[str, str]:
    """Say what stands in the way of a VM that fits: its place in the queue, or a plan that cannot be made."""
    reason = ""
    for host in hosts:
        try:
            actions.plan_deployment(turn, vm, host)
        except RefusalError as error:
            reason = str(error)
        else:
            return "It fits and is about to be placed.", ""
    return reason, "It starts by itself as soon as that is mended."


def _explain_operation(turn: Turn, vm: VmRecord, operation: Operation) -> dict[str, object]:
    leg = operation.plan.legs[operation.leg]
    host = turn.cluster.hosts.get(leg.host_id)
    name = host.name if host else str(leg.host_id)
    if host is None:
        return {"reason": f"{operation.kind} waits for host {name}, which was deleted; it goes on by itself."}
    if not host.connected:
        return {
            "reason": f"{operation.kind} waits for host {name}, which has been lost for {_lost_for(turn, host)}.",
            "advice": f"Start its agent again (systemctl start inn-agent on {name}); if the machine is dead for "
            f"certain: inn host delete {name} --force.",
        }
    dead = _dead_peer(turn, operation)
    if dead is not None:
        return {
            "reason": f"{operation.kind} on host {name} needs host {dead.name}, which has been lost for "
            f"{_lost_for(turn, dead)}.",
            "advice": f"Start its agent again (systemctl start inn-agent on {dead.name}), or cancel: "
            f"inn vm cancel {vm.vm_id}.",
        }
    undoing = operation.status is OperationStatus.UNDOING
    verb = "is being taken back" if undoing else "is being cancelled" if operation.cancel else "is under way"
    cancel = f"; cancel it: inn vm cancel {vm.vm_id}" if operations.can_cancel(operation) else ""
    return {
        "reason": f"{operation.kind} {verb} on host {name}.",
        "advice": f"Follow it: inn operation wait {operation.operation_id}{cancel}.",
    }


def _dead_peer(turn: Turn, operation: Operation) -> Host | None:
    """Return a host of the plan that is not there, other than that of the present leg."""
    found = (turn.cluster.hosts.get(host_id) for host_id in planner.host_ids(operation.plan))
    return next((host for host in found if host is not None and not host.connected), None)


def _explain_failed(vm: VmRecord, operation: Operation | None) -> dict[str, object]:
    by_it = operation is not None and operation.status is OperationStatus.FAILED
    kind = f"{operation.kind} failed" if operation is not None and by_it else "It has failed"
    return {
        "reason": f"{kind}: {vm.error}",
        "advice": f"Mend the cause, then inn vm recover {vm.vm_id} --retry; or --rollback; "
        f"or inn vm terminate {vm.vm_id}.",
    }


#: States that `inn vm resume` leads out of.
_RESUMED = frozenset({VmState.SUSPENDED, VmState.STOPPED, VmState.POWEROFF, VmState.UNDEPLOYED})


def _explain_rest(turn: Turn, vm: VmRecord, operation: Operation | None) -> dict[str, object]:
    hosts = turn.cluster.hosts
    host = hosts.get(vm.host_id) if vm.host_id is not None else None
    files_on = hosts.get(vm.sealed_on) if vm.sealed_on is not None else None
    if vm.state is VmState.UNKNOWN and host is not None:
        return _explain_unknown(turn, host)
    reason = f"It is {vm.state}{f' on host {host.name}' if host else ''}."
    if files_on is not None:
        reason = f"It is {vm.state}; its files lie on host {files_on.name}."
    if host is not None and not host.connected:
        reason += f" The host has been lost for {_lost_for(turn, host)}."
    if operation is not None and operation.error is not None:
        reason += f" Its last operation, {operation.kind}, did not work: {operation.error.message}"
    return {"reason": reason, "advice": f"Let it go on: inn vm resume {vm.vm_id}." if vm.state in _RESUMED else ""}


def _explain_unknown(turn: Turn, host: Host) -> dict[str, object]:
    if host.connected:
        return {"reason": f"Host {host.name} is connected, but has not said yet whether the guest runs."}
    return {
        "reason": f"Nothing is known of the guest: host {host.name} has been lost for {_lost_for(turn, host)}.",
        "advice": f"Start its agent again; if the machine is dead for certain: inn host delete {host.name} --force.",
    }


def _lost_for(turn: Turn, host: Host) -> str:
    return f"{turn.now_s - host.lost_at_s:.0f} s" if host.lost_at_s is not None else "a while"
