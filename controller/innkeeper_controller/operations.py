"""Carries operations from their first leg to their end: the only place that starts, advances and ends one.

It works on a turn; what agents are asked leaves the process after the turn is durable.
An operation that waits for a host waits; nothing here is decided by a clock.
"""

import msgspec

from innkeeper_controller import lifecycle, planner
from innkeeper_controller.cluster import UNFINISHED, Progress
from innkeeper_controller.images import finish_image
from innkeeper_controller.lifecycle import IllegalMoveError
from innkeeper_controller.records import (
    Host,
    Leg,
    Operation,
    OperationError,
    OperationKind,
    OperationStatus,
    Plan,
    VmRecord,
)
from innkeeper_controller.settings import CONTROLLER
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_hostagent.protocol.messages import (
    Admit,
    Cancel,
    CarryOut,
    Confirm,
    LegEnded,
    LegStatus,
    StepStarted,
)
from innkeeper_plugins.steps import Fetch, ImportImage, Migrate, Mv, script_line, verb_of
from innkeeper_plugins.vocabulary import Holder, HostId, OperationId, Outcome, VmId, VmState

_replace = msgspec.structs.replace

#: How often a host is asked to delete what a VM left behind, before a person has to.
MAX_CLEANUP_TRIES = 4


def operation_id(turn: Turn) -> OperationId:
    """Return the next operation's id, ``o`` and a number."""
    return OperationId(f"o{turn.cluster.next_id('operation')}")


def start(turn: Turn, vm: VmRecord, kind: OperationKind, plan: Plan, *, destination: HostId | None = None) -> Operation:
    """Start an operation on a VM at rest and send its first leg; one without any step is done at once.

    ``vm`` has the specification that the hosts shall have, its generation raised if it may move.

    Raises:
        RefusalError: ``busy`` or ``wrong_state``.
    """
    check_free(turn, vm)
    check_route(kind, vm.state)
    operation = Operation(
        operation_id=operation_id(turn),
        kind=kind,
        subject=f"vm:{vm.vm_id}",
        origin=vm.state.value,
        plan=plan,
        vm=vm.spec,
        destination=destination,
        actor=turn.actor,
        request_id=turn.request_id,
        started_at_s=turn.now_s,
    )
    turn.put(operation)
    first = plan.legs[0].steps[0].phase if plan.legs else vm.state
    state = lifecycle.enter(kind, vm.state, vm.state, first)
    host_id = destination if vm.host_id is None else vm.host_id
    moving = destination if destination not in {None, host_id} else None
    turn.put(
        _replace(
            vm,
            state=state,
            operation_id=operation.operation_id,
            host_id=host_id,
            destination_id=moving,
            since_s=turn.now_s,
            error="",
        )
    )
    turn.event(
        "operation.started",
        operation.subject,
        operation_id=operation.operation_id,
        kind=kind.value,
        hosts=[_host_name(turn, each) for each in planner.host_ids(plan)],
    )
    tell_state(turn, vm, state)
    if plan.legs:
        send_leg(turn, operation)
    else:
        finish(turn, operation, done=True, taken_back=False)
    return operation


def check_free(turn: Turn, vm: VmRecord) -> None:
    """Refuse a second operation.

    Raises:
        RefusalError: ``busy``: another one runs.
    """
    running = turn.cluster.operations.get(vm.operation_id) if vm.operation_id else None
    if running is not None:
        raise RefusalError(
            "busy",
            f"VM {vm.vm_id} is busy with {running.kind} ({running.operation_id}); wait for it "
            f"(`inn operation wait {running.operation_id}`) or cancel it (`inn vm cancel {vm.vm_id}`).",
        )


def check_route(kind: OperationKind, state: VmState) -> None:
    """Refuse what the lifecycle has no route for.

    Raises:
        RefusalError: ``wrong_state``.
    """
    try:
        lifecycle.route(kind, state)
    except IllegalMoveError as error:
        raise RefusalError("wrong_state", f"{error}.") from error


def tell_state(turn: Turn, vm: VmRecord, state: VmState) -> None:
    """Write the event of a change of state, if it is one."""
    if state is not vm.state:
        turn.event(
            "vm.state", f"vm:{vm.vm_id}", operation_id=vm.operation_id or "", old=vm.state.value, new=state.value
        )


def vm_of(turn: Turn, operation: Operation) -> VmRecord | None:
    """Return the VM that the operation is about; None for an image."""
    kind, _, number = operation.subject.partition(":")
    return turn.cluster.vms[VmId(int(number))] if kind == "vm" else None


def send_leg(turn: Turn, operation: Operation) -> None:
    """Ask the host of the current leg, and let it fetch what it needs; nothing where the host is not there."""
    leg = operation.plan.legs[operation.leg]
    host = turn.cluster.hosts.get(leg.host_id)
    if host is None:
        _pass_by(turn, operation, _host_name(turn, leg.host_id))
        return
    if not host.connected:
        return
    _admit(turn, leg, host)
    turn.send(
        host.host_id,
        CarryOut(
            operation_id=operation.operation_id,
            request_id=operation.request_id,
            leg=operation.leg,
            subject=operation.subject,
            kind=operation.kind.value,
            steps=leg.steps,
            vm=operation.vm,
            expires_in_s=turn.settings.leg_expires_in_s,
            undo=operation.status is OperationStatus.UNDOING,
        ),
    )
    if operation.cancel and not _is_past_return(operation):
        turn.send(host.host_id, Cancel(operation_id=operation.operation_id))


def _admit(turn: Turn, leg: Leg, host: Host) -> None:
    wanted: dict[Holder, list[str]] = {}
    for step in leg.steps:
        for holder, digest in _fetched(step):
            wanted.setdefault(holder, []).append(digest)
    if not wanted:
        return
    by_key = {h.advertisement.holder: h.host_id for h in turn.cluster.hosts.values() if h.advertisement.holder}
    if turn.settings.holder is not None:
        by_key[turn.settings.holder] = CONTROLLER
    for holder, digests in wanted.items():
        if holder in by_key:
            admit = Admit(public_key=host.public_key, digests=tuple(digests), expires_in_s=3600.0)  # type: ignore[arg-type]
            turn.send(by_key[holder], admit)


def on_host_deleted(turn: Turn, host: Host) -> None:
    """Go on with the operations that waited for a host that is no more."""
    for running in list(turn.cluster.running):
        operation = turn.cluster.operations[running]
        if operation.plan.legs[operation.leg].host_id == host.host_id:
            _pass_by(turn, operation, host.name)


def _pass_by(turn: Turn, operation: Operation, host_name: str) -> None:
    """Go on without the deleted host of the current leg: nothing is left there to do, take back or clean up."""
    steps = operation.plan.legs[operation.leg].steps
    if operation.status is OperationStatus.UNDOING:
        _go_back(turn, operation, taken_back=True)
    elif operation.kind in _REMOVALS or planner.is_cleanup(operation.plan, operation.leg):
        _next_leg(turn, operation, outcomes={})
    else:
        message = f"Host {host_name} was deleted."
        operation = _replace(operation, error=OperationError(code="host_gone", message=message, host=host_name))
        # A guest that was on its way may have arrived: what was prepared for it must not be touched.
        may_have_left = any(isinstance(step, Migrate) for step in steps)
        _go_back(turn, operation, taken_back=not may_have_left)


#: What they have to delete on a host is gone with the host.
_REMOVALS = frozenset({OperationKind.TERMINATE, OperationKind.SHUTDOWN, OperationKind.DELETE_IMAGE})


def _fetched(step: object) -> list[tuple[Holder, str]]:
    if isinstance(step, Fetch):
        return [(holder, step.image.sha256) for holder in step.holders]
    if isinstance(step, Mv):
        return [(holder, step.file.sha256) for holder in step.holders]
    if isinstance(step, ImportImage):
        return [(holder, step.sha256) for holder in step.holders]
    return []


def can_cancel(operation: Operation) -> bool:
    """Return True where there is a way back that nobody has asked for yet."""
    return not operation.cancel and not _is_past_return(operation)


def _is_past_return(operation: Operation) -> bool:
    """Return True where it is being taken back already, or has done its work and only cleans up."""
    return operation.status is not OperationStatus.RUNNING or planner.is_cleanup(operation.plan, operation.leg)


def cancel(turn: Turn, operation: Operation) -> None:
    """Ask for an operation's end; it ends when its host has taken it back.

    Raises:
        RefusalError: ``wrong_state``: it is ending already.
    """
    if operation.status is not OperationStatus.RUNNING:
        raise RefusalError("wrong_state", f"Operation {operation.operation_id} is being taken back already.")
    if planner.is_cleanup(operation.plan, operation.leg):
        raise RefusalError("wrong_state", f"Operation {operation.operation_id} has done its work and only cleans up.")
    operation = _replace(operation, cancel=True)
    turn.put(operation)
    turn.event("operation.cancel", operation.subject, operation_id=operation.operation_id)
    host = turn.cluster.hosts.get(operation.plan.legs[operation.leg].host_id)
    if host is not None and host.connected:
        turn.send(host.host_id, Cancel(operation_id=operation.operation_id))


def on_step_started(turn: Turn, host_id: HostId, message: StepStarted) -> None:
    """Follow the steps: progress in memory, the VM's state where the phase is a new one."""
    operation = turn.cluster.operations.get(message.operation_id)
    if operation is None or operation.status is not OperationStatus.RUNNING or message.leg != operation.leg:
        return
    leg = operation.plan.legs[operation.leg]
    steps = {step.step_id: step for step in leg.steps}
    if leg.host_id != host_id or message.step_id not in steps:
        return
    turn.cluster.progress[operation.operation_id] = Progress(step_id=message.step_id)
    vm = vm_of(turn, operation)
    if vm is None:
        return
    state = lifecycle.enter(operation.kind, VmState(operation.origin), vm.state, steps[message.step_id].phase)
    if state is not vm.state:
        turn.put(_replace(vm, state=state, since_s=turn.now_s))
        tell_state(turn, vm, state)


def on_leg_ended(turn: Turn, host_id: HostId, message: LegEnded) -> None:
    """Go on, go back or end, as the leg ended; a late or repeated report changes nothing."""
    operation = turn.cluster.operations.get(message.operation_id)
    if operation is None or operation.status not in UNFINISHED:
        turn.send(host_id, Confirm(operations=(message.operation_id,)))
        return
    if message.leg != operation.leg or operation.plan.legs[operation.leg].host_id != host_id:
        return
    if message.undo is not (operation.status is OperationStatus.UNDOING):
        return
    _tell_outcomes(turn, operation, host_id, message)
    if operation.status is OperationStatus.UNDOING:
        _go_back(turn, operation, taken_back=message.status is LegStatus.DONE)
    elif message.status is LegStatus.DONE:
        _go_on(turn, operation, message)
    elif planner.is_cleanup(operation.plan, operation.leg):
        _clean_up_again(turn, operation, message)
    else:
        error = _error_of(turn, operation, host_id, message)
        operation = _replace(operation, error=error)
        taken_back = message.status is not LegStatus.FAILED
        if taken_back and message.status is LegStatus.CANCELLED:
            operation = _replace(operation, cancel=True)
        _go_back(turn, operation, taken_back=taken_back)


def _tell_outcomes(turn: Turn, operation: Operation, host_id: HostId, message: LegEnded) -> None:
    steps = {step.step_id: step for step in operation.plan.legs[operation.leg].steps}
    for step_id, outcome in sorted(message.outcomes.items()):
        line = script_line(steps[step_id]) if step_id in steps else str(step_id)
        turn.event(
            "step.ended",
            operation.subject,
            operation_id=operation.operation_id,
            host=_host_name(turn, host_id),
            step=line,
            undo=message.undo,
            outcome=msgspec.to_builtins(outcome),
        )


def _go_on(turn: Turn, operation: Operation, message: LegEnded) -> None:
    vm = vm_of(turn, operation)
    if vm is not None:
        vm = _learn(turn, vm, message.outcomes)
        operation = _plan_on(turn, operation, vm, message)
        if operation.error is not None:
            _go_back(turn, _replace(operation, leg=operation.leg + 1), taken_back=True)
            return
    _next_leg(turn, operation, message.outcomes)


def _next_leg(turn: Turn, operation: Operation, outcomes: dict[int, Outcome]) -> None:
    if operation.leg + 1 < len(operation.plan.legs):
        operation = _replace(operation, leg=operation.leg + 1, step_id=None)
        turn.put(operation)
        send_leg(turn, operation)
    else:
        finish(turn, operation, done=True, taken_back=False, outcomes=outcomes)


def _clean_up_again(turn: Turn, operation: Operation, message: LegEnded) -> None:
    """Try once more to delete what the VM left behind; the VM itself has arrived and is not to be endangered."""
    tries = sum(planner.is_cleanup(operation.plan, leg) for leg in range(len(operation.plan.legs)))
    if tries < MAX_CLEANUP_TRIES:
        plan = planner.again(operation.plan, operation.leg)
        operation = _replace(operation, plan=plan, leg=operation.leg + 1)
        turn.put(operation)
        send_leg(turn, operation)
        return
    host = _host_name(turn, operation.plan.legs[operation.leg].host_id)
    turn.event("vm.leftover", operation.subject, operation_id=operation.operation_id, host=host)
    finish(turn, operation, done=True, taken_back=False, outcomes=message.outcomes)


def _learn(turn: Turn, vm: VmRecord, outcomes: dict[int, Outcome]) -> VmRecord:
    sealed = planner.sealed_files(outcomes)
    deploy_ids = [str(o.result["deploy_id"]) for o in outcomes.values() if o.ok and "deploy_id" in o.result]
    if sealed or deploy_ids:
        vm = _replace(vm, sealed=sealed or vm.sealed, deploy_id=(deploy_ids or [vm.deploy_id])[-1])
        turn.put(vm)
    return vm


def _plan_on(turn: Turn, operation: Operation, vm: VmRecord, message: LegEnded) -> Operation:
    hosts = turn.cluster.hosts
    source = hosts.get(vm.host_id) if vm.host_id is not None else None
    if operation.destination is None or source is None or operation.vm is None:
        return operation
    try:
        plan = planner.after_leg(
            operation.plan,
            operation.kind,
            vm=operation.vm,
            origin=VmState(operation.origin),
            hosts=(source, hosts.get(operation.destination)),
            outcomes=message.outcomes,
            holders=planner.holder_hosts(hosts.values()),
        )
    except planner.CannotPlanError as error:
        return _replace(operation, error=OperationError(code="cannot_plan", message=str(error)))
    return _replace(operation, plan=plan)


def _error_of(turn: Turn, operation: Operation, host_id: HostId, message: LegEnded) -> OperationError:
    name = _host_name(turn, host_id)
    if message.status is LegStatus.REFUSED:
        return OperationError(
            code=message.reason or "refused", message=f"Host {name} refused the plan: {message.reason}.", host=name
        )
    steps = {step.step_id: step for step in operation.plan.legs[operation.leg].steps}
    for step_id, outcome in sorted(message.outcomes.items()):
        if outcome.ok or step_id not in steps:
            continue
        step = steps[step_id]
        return OperationError(
            code=outcome.code,
            message=outcome.message,
            host=name,
            step_id=step_id,
            step=f"{step.driver} {verb_of(step).name}",
            argv=outcome.argv,
            exit_status=outcome.exit_status,
            stderr=outcome.stderr,
        )
    return OperationError(code="cancelled", message="Cancelled as asked.", host=name)


def _go_back(turn: Turn, operation: Operation, *, taken_back: bool) -> None:
    """After leg ``operation.leg`` was taken back (or could not be): take back the one before it, or end."""
    if not taken_back or operation.leg == 0:
        finish(turn, operation, done=False, taken_back=taken_back)
        return
    leg = operation.plan.legs[operation.leg - 1]
    if any(verb_of(step).final for step in leg.steps):
        finish(turn, operation, done=False, taken_back=False)
        return
    operation = _replace(operation, status=OperationStatus.UNDOING, leg=operation.leg - 1)
    turn.put(operation)
    send_leg(turn, operation)


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
    rest(turn, vm, operation, state, taken_back=taken_back)


def rest(turn: Turn, vm: VmRecord, operation: Operation, state: VmState, *, taken_back: bool) -> None:
    """Bring the VM to rest after its operation, give back what it no longer needs, and go on as was asked."""
    done = operation.status is OperationStatus.DONE
    host_id = vm.host_id
    if done and operation.destination is not None:
        host_id = operation.destination
    elif operation.kind is OperationKind.DEPLOY and taken_back:
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
    }
    rested = _replace(vm, **{**values, **_memory_after(vm, operation, state)})
    rested = end_vm(turn, rested) if state is VmState.DONE else without_deleted_hosts(turn, rested)
    turn.put(rested)
    tell_state(turn, vm, rested.state)


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


def on_connected(turn: Turn, host: Host, known: tuple[OperationId, ...]) -> tuple[OperationId, ...]:
    """Ask again for all that the host has to do; return the operations that it may forget."""
    for running in list(turn.cluster.running):
        operation = turn.cluster.operations[running]
        leg = operation.plan.legs[operation.leg]
        if leg.host_id == host.host_id:
            send_leg(turn, operation)
        elif any(holder == host.advertisement.holder for step in leg.steps for holder, _ in _fetched(step)):
            # It may have forgotten whom it lets fetch.
            _admit(turn, leg, turn.cluster.hosts[leg.host_id])
    return tuple(each for each in known if each not in turn.cluster.running)


def _host_name(turn: Turn, host_id: HostId) -> str:
    host = turn.cluster.hosts.get(host_id)
    return host.name if host else f"host {host_id}"
