"""How an operation ends: its VM or image comes to rest, and gives back what it no longer needs."""

import msgspec

from innkeeper_controller import history, lifecycle, parts, planner
from innkeeper_controller.images import finish_image
from innkeeper_controller.placement import bans, claims
from innkeeper_controller.records import (
    Operation,
    OperationKind,
    OperationStatus,
    VmRecord,
)
from innkeeper_controller.turn import Turn
from innkeeper_hostagent.protocol.messages import (
    Confirm,
)
from innkeeper_plugins.vocabulary import HostId, Outcome, VmId, VmState

_replace = msgspec.structs.replace


def finish(
    turn: Turn,
    operation: Operation,
    *,
    done: bool,
    taken_back: bool,
    outcomes: dict[int, Outcome] | None = None,
) -> None:
    """End the operation and bring its VM or image to rest."""
    cancelled = operation.cancel and not done and taken_back
    status = OperationStatus.DONE if done else OperationStatus.CANCELLED if cancelled else OperationStatus.FAILED
    operation = _replace(operation, status=status, ended_at_s=turn.now_s)
    turn.put(operation)
    for host_id in filter(turn.cluster.hosts.__contains__, planner.host_ids(operation.plan)):
        turn.send(host_id, Confirm(operations=(operation.operation_id,)))
    error = operation.error
    turn.event(
        f"operation.{status.value}",
        operation.subject,
        operation_id=operation.operation_id,
        kind=operation.kind.value,
        **({"error": msgspec.to_builtins(error)} if error and not done else {}),
    )
    vm = vm_of(turn, operation)
    if vm is None:
        finish_image(turn, operation, done=done, outcomes=outcomes or {})
        return
    state = lifecycle.end(
        operation.kind, VmState(operation.origin), done=done, taken_back=taken_back, cancelled=cancelled
    )
    if done:
        bans.on_start_done(turn, operation)
        changed = parts.when_done(turn, vm, operation, outcomes or {})
    else:
        parts.when_failed(turn, operation)
        changed = parts.when_taken_back(turn, vm, operation) if taken_back else vm
    rest(turn, changed, operation, state, taken_back=taken_back)


def rest(turn: Turn, vm: VmRecord, operation: Operation, state: VmState, *, taken_back: bool) -> None:
    """Bring the VM to rest after its operation, give back what it no longer needs, and go on as was asked."""
    done = operation.status is OperationStatus.DONE
    host_id = vm.host_id
    if done and operation.destination is not None:
        host_id = operation.destination
    elif (operation.kind is OperationKind.DEPLOY and taken_back) or (done and state is VmState.PENDING):
        host_id = None
    elif not done and not taken_back and host_id not in turn.cluster.hosts:
        host_id = vm.destination_id
    error = operation.error.message if operation.error and state is VmState.FAILED else ""
    values: dict[str, object] = {
        "state": state,
        "host_id": host_id,
        "destination_id": None,
        "operation_id": None,
        "last_operation_id": operation.operation_id,
        "since_s": turn.now_s,
        "error": error,
        **({"context_changed": False} if done and operation.kind in _BOOTS and not vm.saved else {}),
    }
    rested = _replace(claims.settled(vm, host_id), **{**values, **_memory_after(vm, operation, state)})
    rested = end_vm(turn, rested) if state is VmState.DONE else without_deleted_hosts(turn, rested)
    put_vm(turn, rested)
    tell_state(turn, vm, rested.state)


def put_vm(turn: Turn, vm: VmRecord) -> None:
    """Put a VM that may have changed its state, its host or its operation, and its history with it.

    Its stays come first: a VM that is DONE leaves memory together with them.
    """
    vm = claims.without_left(vm)
    operation_id = vm.operation_id or vm.last_operation_id
    stays = turn.cluster.history_of.get(vm.vm_id, ())
    for stay in history.follow(
        stays[-1] if stays else None,
        vm,
        operation=turn.cluster.operations.get(operation_id) if operation_id else None,
        host=turn.cluster.hosts.get(vm.host_id) if vm.host_id is not None else None,
        now_s=turn.now_s,
    ):
        turn.put(stay)
    turn.put(vm)


#: Operations after which the context disk has what the VM's variables say, unless they only restored its memory.
_BOOTS = frozenset({OperationKind.DEPLOY, OperationKind.RESUME})


def without_deleted_hosts(turn: Turn, vm: VmRecord) -> VmRecord:
    """Return a VM at rest without what it had on hosts that were deleted; FAILED where that was all of it."""
    hosts = turn.cluster.hosts
    lost = [each for each in (vm.host_id, vm.sealed_on) if each is not None and each not in hosts]
    if vm.sealed_on in lost:
        vm = _replace(vm, sealed=(), sealed_on=None, saved=False)
    if vm.host_id in lost:
        vm = _replace(vm, host_id=None)
    if not lost or vm.host_id is not None or vm.sealed_on is not None:
        return vm
    return _replace(
        vm,
        state=vm.state if vm.state is VmState.FAILED else lifecycle.move(vm.state, "host_gone"),
        saved=False,
        since_s=turn.now_s,
        error=f"The host that had all of it was deleted; `inn vm recover {vm.vm_id} --retry` starts it anew.",
    )


def _memory_after(vm: VmRecord, operation: Operation, state: VmState) -> dict[str, object]:
    """Return what is known of the VM's checkpoint and sealed files once it rests in ``state``."""
    if operation.status is not OperationStatus.DONE:
        return {} if vm.sealed_on is not None else {"sealed": ()}
    if state in {VmState.STOPPED, VmState.UNDEPLOYED}:
        return {"saved": state is VmState.STOPPED, "sealed_on": vm.host_id, "host_id": None}
    saved = state is VmState.SUSPENDED
    return {"saved": saved, "sealed": (), "sealed_on": None}


def end_vm(turn: Turn, vm: VmRecord) -> VmRecord:
    """Give the VM's addresses back and return it as it is remembered; the caller puts it."""
    for lease_id in sorted(turn.cluster.leases_of.get(vm.vm_id, ())):
        turn.drop(turn.cluster.leases[lease_id])
    return _replace(vm, ended_at_s=turn.now_s)


def vm_of(turn: Turn, operation: Operation) -> VmRecord | None:
    """Return the VM that the operation is about; None for an image."""
    kind, _, number = operation.subject.partition(":")
    return turn.cluster.vms[VmId(int(number))] if kind == "vm" else None


def tell_state(turn: Turn, vm: VmRecord, state: VmState) -> None:
    """Write the event of a change of state, if it is one."""
    if state is not vm.state:
        turn.event(
            "vm.state", f"vm:{vm.vm_id}", operation_id=vm.operation_id or "", old=vm.state.value, new=state.value
        )


def host_name(turn: Turn, host_id: HostId) -> str:
    """Return the name of a host, its number where it is gone."""
    host = turn.cluster.hosts.get(host_id)
    return host.name if host else f"host {host_id}"
