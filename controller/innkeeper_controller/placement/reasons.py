"""Why a VM is where it is, in the words that `inn vm why` prints; it decides and changes nothing."""

from innkeeper_controller import operations, planner
from innkeeper_controller.placement.waiting_reasons import explain_waiting
from innkeeper_controller.records import Host, Operation, OperationStatus, VmRecord
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import VmState


def explain(turn: Turn, vm: VmRecord, operation: Operation | None, limit: int | None) -> dict[str, object]:
    """Return the fields of ``requests.vms.Why`` that say why the VM is where it is.

    Args:
        turn: The turn.
        vm: The VM.
        operation: Its present or last one.
        limit: Hosts that are told of one that waits; None for all.
    """
    if vm.state in {VmState.PENDING, VmState.HOLD}:
        return explain_waiting(turn, vm, limit)
    if operation is not None and vm.operation_id is not None:
        return _explain_operation(turn, vm, operation)
    if vm.state is VmState.FAILED:
        return _explain_failed(vm, operation)
    return _explain_rest(turn, vm, operation)


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
