"""How an operation goes from leg to leg: on, back, or past a host that is gone; each report of a host is heard here.

A late or repeated report changes nothing.
"""

import msgspec

from innkeeper_controller import lifecycle, operations, parts, planner, rest
from innkeeper_controller.cluster import UNFINISHED, Progress
from innkeeper_controller.placement import bans
from innkeeper_controller.records import (
    Operation,
    OperationError,
    OperationStatus,
    VmRecord,
)
from innkeeper_controller.turn import Turn
from innkeeper_hostagent.protocol.messages import (
    Confirm,
    LegEnded,
    LegStatus,
    StepStarted,
)
from innkeeper_plugins.steps import script_line, verb_of
from innkeeper_plugins.vocabulary import HostId, Outcome, VmState

_replace = msgspec.structs.replace

#: How often a host is asked to delete what a VM left behind, before a person has to.
MAX_CLEANUP_TRIES = 4


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
    vm = rest.vm_of(turn, operation)
    if vm is None:
        return
    state = lifecycle.enter(operation.kind, VmState(operation.origin), vm.state, steps[message.step_id].phase)
    if state is not vm.state:
        rest.put_vm(turn, _replace(vm, state=state, since_s=turn.now_s))
        rest.tell_state(turn, vm, state)


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
    if not message.undo:
        # Also of a leg that failed later: the host keeps what it has saved.
        parts.take_images(turn, operation, operation.plan.legs[operation.leg], message.outcomes)
    if operation.status is OperationStatus.UNDOING:
        operations.go_back(turn, operation, taken_back=message.status is LegStatus.DONE)
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
        bans.on_start_failed(turn, operation, host_id, error)
        operations.go_back(turn, operation, taken_back=taken_back)


def _tell_outcomes(turn: Turn, operation: Operation, host_id: HostId, message: LegEnded) -> None:
    steps = {step.step_id: step for step in operation.plan.legs[operation.leg].steps}
    for step_id, outcome in sorted(message.outcomes.items()):
        line = script_line(steps[step_id]) if step_id in steps else str(step_id)
        turn.event(
            "step.ended",
            operation.subject,
            operation_id=operation.operation_id,
            host=rest.host_name(turn, host_id),
            step=line,
            undo=message.undo,
            outcome=msgspec.to_builtins(outcome),
        )


def _go_on(turn: Turn, operation: Operation, message: LegEnded) -> None:
    vm = rest.vm_of(turn, operation)
    if vm is not None:
        try:
            operation = _plan_on(turn, operation, _learn(turn, vm, operation, message.outcomes), message)
        except planner.CannotPlanError as error:
            operation = _replace(operation, error=OperationError(code="cannot_plan", message=str(error)))
            operations.go_back(turn, _replace(operation, leg=operation.leg + 1), taken_back=True)
            return
    operations.next_leg(turn, operation, message.outcomes)


def _clean_up_again(turn: Turn, operation: Operation, message: LegEnded) -> None:
    """Try once more to delete what the VM left behind; the VM itself has arrived and is not to be endangered."""
    tries = sum(planner.is_cleanup(operation.plan, leg) for leg in range(len(operation.plan.legs)))
    if tries < MAX_CLEANUP_TRIES:
        plan = planner.again(operation.plan, operation.leg)
        operation = _replace(operation, plan=plan, leg=operation.leg + 1)
        turn.put(operation)
        operations.send_leg(turn, operation)
        return
    host = rest.host_name(turn, operation.plan.legs[operation.leg].host_id)
    turn.event("vm.leftover", operation.subject, operation_id=operation.operation_id, host=host)
    rest.finish(turn, operation, done=True, taken_back=False, outcomes=message.outcomes)


def _learn(turn: Turn, vm: VmRecord, operation: Operation, outcomes: dict[int, Outcome]) -> VmRecord:
    sealed = planner.sealed_files(operation.plan.legs[operation.leg], outcomes)
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
    target = hosts.get(operation.destination)
    plan = planner.after_leg(
        operation.plan,
        operation.kind,
        vm=operation.vm,
        origin=VmState(operation.origin),
        hosts=(source, target),
        outcomes=message.outcomes,
        holders=planner.holders_for(operation.vm, target, hosts.values()) if target is not None else {},
    )
    return _replace(operation, plan=plan)


def _error_of(turn: Turn, operation: Operation, host_id: HostId, message: LegEnded) -> OperationError:
    name = rest.host_name(turn, host_id)
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
