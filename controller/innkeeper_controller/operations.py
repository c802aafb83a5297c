"""Operations as they are asked for: started, sent to their hosts, asked again, cancelled.

Works on a turn; what agents are asked leaves the process after the turn is durable.
An operation that waits for a host waits; nothing here is decided by a clock.
"""

import msgspec

from innkeeper_controller import lifecycle, planner, rest
from innkeeper_controller.lifecycle import IllegalMoveError
from innkeeper_controller.records import (
    Host,
    Leg,
    Operation,
    OperationError,
    OperationKind,
    OperationStatus,
    Part,
    Plan,
    VmRecord,
)
from innkeeper_controller.settings import CONTROLLER
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_hostagent.protocol.messages import (
    Admit,
    Cancel,
    CarryOut,
)
from innkeeper_plugins.steps import Fetch, ImportImage, Migrate, Mv, verb_of
from innkeeper_plugins.vocabulary import Holder, HostId, OperationId, Outcome, Vm, VmState

_replace = msgspec.structs.replace

#: What they have to delete on a host is gone with the host.
_REMOVALS = frozenset({OperationKind.TERMINATE, OperationKind.SHUTDOWN, OperationKind.DELETE_IMAGE})


NO_PART = Part()


def operation_id(turn: Turn) -> OperationId:
    """Return the next operation's id, ``o`` and a number."""
    return OperationId(f"o{turn.cluster.next_id('operation')}")


def start(
    turn: Turn,
    vm: VmRecord,
    kind: OperationKind,
    plan: Plan,
    *,
    destination: HostId | None = None,
    part: Part = NO_PART,
) -> Operation:
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
        part=part,
        actor=turn.actor,
        request_id=turn.request_id,
        started_at_s=turn.now_s,
    )
    turn.put(operation)
    state = _occupy(turn, vm, operation)
    turn.event(
        "operation.started",
        operation.subject,
        operation_id=operation.operation_id,
        kind=kind.value,
        hosts=[rest.host_name(turn, each) for each in planner.host_ids(plan)],
    )
    rest.tell_state(turn, vm, state)
    if plan.legs:
        send_leg(turn, operation)
    else:
        rest.finish(turn, operation, done=True, taken_back=False)
    return operation


def _occupy(turn: Turn, vm: VmRecord, operation: Operation) -> VmState:
    """Let the VM be busy with the operation, and return the state that it is in then."""
    plan, destination = operation.plan, operation.destination
    first = plan.legs[0].steps[0].phase if plan.legs else vm.state
    state = lifecycle.enter(operation.kind, vm.state, vm.state, first)
    host_id = destination if vm.host_id is None else vm.host_id
    busy = _replace(
        vm,
        state=state,
        operation_id=operation.operation_id,
        host_id=host_id,
        destination_id=destination if destination not in {None, host_id} else None,
        since_s=turn.now_s,
        error="",
    )
    rest.put_vm(turn, busy)
    return state


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


def check_change(request: str, state: VmState) -> None:
    """Refuse a change of what a VM has in a state that the lifecycle does not have it in.

    Raises:
        RefusalError: ``wrong_state``.
    """
    try:
        lifecycle.check_change(request, state)
    except IllegalMoveError as error:
        raise RefusalError("wrong_state", f"{error}.") from error


def send_leg(turn: Turn, operation: Operation) -> None:
    """Ask the host of the current leg, and let it fetch what it needs; nothing where the host is not there."""
    leg = operation.plan.legs[operation.leg]
    host = turn.cluster.hosts.get(leg.host_id)
    if host is None:
        _pass_by(turn, operation, rest.host_name(turn, leg.host_id))
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
            vm=_vm_for(turn, operation, leg),
            expires_in_s=turn.settings.leg_expires_in_s,
            undo=operation.status is OperationStatus.UNDOING,
        ),
    )
    if operation.cancel and not is_past_return(operation):
        turn.send(host.host_id, Cancel(operation_id=operation.operation_id))


def _vm_for(turn: Turn, operation: Operation, leg: Leg) -> Vm | None:
    """Return the VM as the leg's host is to have it: what it holds there may be brought back, and not elsewhere.

    In a live migration it is the source that is told what the guest gets at its destination.
    """
    vm = rest.vm_of(turn, operation)
    if vm is None or operation.vm is None or vm.leaving is None or operation.kind is OperationKind.MIGRATE_LIVE:
        return operation.vm
    return _replace(vm, spec=operation.vm).spec_on(leg.host_id)


def _admit(turn: Turn, leg: Leg, host: Host) -> None:
    wanted: dict[Holder, list[str]] = {}
    for step in leg.steps:
        for holder, digest in _fetched(step):
            wanted.setdefault(holder, []).append(digest)
    if not wanted:
        return
    for holder, digests in wanted.items():
        serving = _host_of(turn, holder)
        if serving is not None:
            admit = Admit(public_key=host.public_key, digests=tuple(digests), expires_in_s=3600.0)  # type: ignore[arg-type]
            turn.send(serving, admit)


def _host_of(turn: Turn, holder: Holder) -> HostId | None:
    """Return the host that serves by that address and key; ``CONTROLLER`` for our own, None for nobody's."""
    if holder == turn.settings.holder:
        return CONTROLLER
    # A host most often serves by the key that it is known by: then there is no need to ask all hosts.
    known = turn.cluster.hosts.get(turn.cluster.host_of_key.get(holder.public_key, CONTROLLER))
    if known is not None and known.advertisement.holder == holder:
        return known.host_id
    hosts = turn.cluster.hosts.values()
    return next((host.host_id for host in hosts if host.advertisement.holder == holder), None)


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
        go_back(turn, operation, taken_back=True)
    elif operation.kind in _REMOVALS or planner.is_cleanup(operation.plan, operation.leg):
        next_leg(turn, operation, outcomes={})
    else:
        message = f"Host {host_name} was deleted."
        operation = _replace(operation, error=OperationError(code="host_gone", message=message, host=host_name))
        # A guest that was on its way may have arrived: what was prepared for it must not be touched.
        may_have_left = any(isinstance(step, Migrate) for step in steps)
        go_back(turn, operation, taken_back=not may_have_left)


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
    return not operation.cancel and not is_past_return(operation)


def is_past_return(operation: Operation) -> bool:
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


def next_leg(turn: Turn, operation: Operation, outcomes: dict[int, Outcome]) -> None:
    """Go on to the next leg, or end where there is none."""
    if operation.leg + 1 < len(operation.plan.legs):
        operation = _replace(operation, leg=operation.leg + 1, step_id=None)
        turn.put(operation)
        send_leg(turn, operation)
    else:
        rest.finish(turn, operation, done=True, taken_back=False, outcomes=outcomes)


def go_back(turn: Turn, operation: Operation, *, taken_back: bool) -> None:
    """After leg ``operation.leg`` was taken back (or could not be): take back the one before it, or end."""
    if not taken_back or operation.leg == 0:
        rest.finish(turn, operation, done=False, taken_back=taken_back)
        return
    leg = operation.plan.legs[operation.leg - 1]
    if any(verb_of(step).final for step in leg.steps):
        rest.finish(turn, operation, done=False, taken_back=False)
        return
    operation = _replace(operation, status=OperationStatus.UNDOING, leg=operation.leg - 1)
    turn.put(operation)
    send_leg(turn, operation)


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
