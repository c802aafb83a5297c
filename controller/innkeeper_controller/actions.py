"""What can be done with a VM: each action checks, plans and starts its operation.

Requests, the scheduler and the drain of a host all come through here, so that every rule stands once.
"""

from collections.abc import Callable

import msgspec

from innkeeper_controller import lifecycle, operations, planner, quotas, rest
from innkeeper_controller.lifecycle import IllegalMoveError
from innkeeper_controller.placement import claims, fitting
from innkeeper_controller.planner import CannotPlanError, PlanOptions
from innkeeper_controller.records import Host, HostState, Operation, OperationKind, Plan, VmRecord
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_hostagent.protocol.messages import Disown
from innkeeper_plugins.vocabulary import DriverKind, HostId, PowerState, VmState

_replace = msgspec.structs.replace

#: States in which a VM has given its host up and keeps what it needs to come back.
_HOSTLESS = frozenset({VmState.STOPPED, VmState.UNDEPLOYED})


def move(turn: Turn, vm: VmRecord, request: str) -> VmRecord:
    """Bring a VM at rest into another state without any host.

    Raises:
        RefusalError: ``busy`` or ``wrong_state``.
    """
    operations.check_free(turn, vm)
    try:
        state = lifecycle.move(vm.state, request)
    except IllegalMoveError as error:
        raise RefusalError("wrong_state", f"{error}.") from error
    moved = _replace(vm, state=state, since_s=turn.now_s, error="")
    if state is VmState.DONE:
        moved = rest.end_vm(turn, moved)
    rest.put_vm(turn, moved)
    rest.tell_state(turn, vm, state)
    return moved


def hold(turn: Turn, vm: VmRecord) -> None:
    """Keep a waiting VM from the scheduler."""
    move(turn, vm, "hold")


def release(turn: Turn, vm: VmRecord) -> None:
    """Give a held VM to the scheduler."""
    move(turn, vm, "release")


def deploy(turn: Turn, vm: VmRecord, host: Host, *, fits: bool = False) -> None:
    """Deploy a waiting VM on that host, or bring one that gave its host up back on it.

    Args:
        turn: The turn.
        vm: The VM.
        host: Where it goes.
        fits: The scheduler's columns have said so in this turn; they follow every record, so they are not asked again.

    Raises:
        RefusalError: ``busy``, ``wrong_state``, ``unreachable``, ``no_capacity``, ``in_use`` or ``over_quota``.
    """
    operations.check_free(turn, vm)
    if vm.state in _HOSTLESS:
        quotas.charge_running(turn, vm)
        vm = move(turn, vm, "resume")
    operations.check_route(OperationKind.DEPLOY, vm.state)
    check_there(host)
    if not fits:
        _check_room(turn, vm, host)
    vm = _next_generation(claims.claimed(turn, with_hypervisor(vm, host), host))
    operations.start(turn, vm, OperationKind.DEPLOY, plan_deployment(turn, vm, host), destination=host.host_id)


def plan_deployment(turn: Turn, vm: VmRecord, host: Host) -> Plan:
    """Return the plan that deploys a waiting VM on that host.

    Raises:
        RefusalError: ``unreachable``: an image or a file of the VM is on no host that is there.
    """
    old_host = turn.cluster.hosts.get(vm.sealed_on) if vm.sealed_on is not None else None
    holders = planner.holders_for(vm.spec, host, _holding(turn, vm)) if planner.images_of(vm.spec) else {}
    if old_host is not None and old_host.connected and old_host.advertisement.holder is not None:
        holders |= {file.sha256: (old_host.advertisement.holder,) for file in vm.sealed}
    return _planned(lambda: planner.deploy(vm, host, old_host, holders))


def _holding(turn: Turn, vm: VmRecord) -> list[Host]:
    """Return the hosts that have any image of the VM, by number."""
    holders = turn.cluster.placement.holders
    found = {host_id for ref in vm.spec.images for host_id in holders.get(ref.sha256, ())}
    return [turn.cluster.hosts[host_id] for host_id in sorted(found)]


def check_room(turn: Turn, vm: VmRecord, host: Host) -> None:
    """Refuse a host that is not there, not free for VMs, too full, or without what the VM needs.

    These are the rules that nobody may break.

    Raises:
        RefusalError: ``unreachable``, ``in_use`` or ``no_capacity``.
    """
    check_there(host)
    _check_room(turn, vm, host)


def check_there(host: Host) -> None:
    """Refuse a host that is not there, or not free for VMs.

    Raises:
        RefusalError: ``unreachable`` or ``in_use``.
    """
    if not host.connected:
        raise RefusalError("unreachable", f"Host {host.name} is not connected; start its agent or choose another host.")
    if host.state is not HostState.ON:
        raise RefusalError("in_use", f"Host {host.name} is {host.state}; enable it (`inn host enable {host.name}`).")


def _check_room(turn: Turn, vm: VmRecord, host: Host) -> None:
    obstacle = fitting.obstacle(turn.cluster, vm, host)
    if obstacle is not None:
        raise RefusalError("no_capacity", f"Host {host.name} cannot take VM {vm.vm_id}: {obstacle.message}.")


def with_hypervisor(vm: VmRecord, host: Host) -> VmRecord:
    """Return the VM with the host's first hypervisor, where its template left that open.

    Raises:
        RefusalError: ``no_capacity``: the host has none.
    """
    if vm.spec.hypervisor:
        return vm
    names = [facts.name for facts in host.advertisement.drivers if facts.kind is DriverKind.HYPERVISOR]
    if not names:
        raise RefusalError(
            "no_capacity", f"Host {host.name} has no hypervisor; `inn-agent check` on it says what it lacks."
        )
    return _replace(vm, spec=_replace(vm.spec, hypervisor=names[0]))


def _next_generation(vm: VmRecord) -> VmRecord:
    return _replace(vm, spec=_replace(vm.spec, generation=vm.spec.generation + 1))


def _planned(compile_plan: Callable[[], Plan]) -> Plan:
    try:
        return compile_plan()
    except CannotPlanError as error:
        raise RefusalError("unreachable", str(error)) from error


def home_of(turn: Turn, vm: VmRecord) -> Host:
    """Return the host that the VM is on.

    Raises:
        RefusalError: ``wrong_state``: it is on none.
    """
    host = turn.cluster.hosts.get(vm.host_id) if vm.host_id is not None else None
    if host is None:
        raise RefusalError("wrong_state", f"VM {vm.vm_id} is {vm.state} and on no host.")
    return host


def at_home(turn: Turn, vm: VmRecord, kind: OperationKind, *, hard: bool = False) -> None:
    """Start an operation that runs on the VM's own host only.

    Raises:
        RefusalError: ``busy`` or ``wrong_state``.
    """
    operations.check_free(turn, vm)
    operations.check_route(kind, vm.state)
    options = PlanOptions(hard=hard, grace_s=turn.settings.shutdown_grace_s)
    operations.start(turn, vm, kind, planner.at_home(kind, vm, home_of(turn, vm), options))


def suspend(turn: Turn, vm: VmRecord) -> None:
    """Save the guest's memory; the VM stays on its host."""
    claims.check_savable(vm, "suspended")
    at_home(turn, vm, OperationKind.SUSPEND)


def resume(turn: Turn, vm: VmRecord) -> None:
    """Let the VM go on: on its host, or, where it gave its host up, wherever the scheduler puts it.

    Raises:
        RefusalError: ``busy``, ``wrong_state`` or ``over_quota``.
    """
    quotas.charge_running(turn, vm)
    if vm.state in _HOSTLESS:
        move(turn, vm, "resume")
    else:
        at_home(turn, vm, OperationKind.RESUME)


def stop(turn: Turn, vm: VmRecord) -> None:
    """Save the guest's memory and give the host's capacity back."""
    claims.check_savable(vm, "stopped")
    at_home(turn, vm, OperationKind.STOP)


def poweroff(turn: Turn, vm: VmRecord, *, hard: bool) -> None:
    """Power the guest off; the VM stays on its host."""
    at_home(turn, vm, OperationKind.POWEROFF, hard=hard)


def undeploy(turn: Turn, vm: VmRecord, *, hard: bool) -> None:
    """Power the guest off and give the host's capacity back."""
    at_home(turn, vm, OperationKind.UNDEPLOY, hard=hard)


def reboot(turn: Turn, vm: VmRecord, *, hard: bool) -> None:
    """Restart the guest."""
    at_home(turn, vm, OperationKind.RESET if hard else OperationKind.REBOOT)


def shutdown(turn: Turn, vm: VmRecord, *, hard: bool) -> None:
    """Power the guest off, then delete its disks."""
    at_home(turn, vm, OperationKind.SHUTDOWN, hard=hard)


def terminate(turn: Turn, vm: VmRecord, *, hard: bool = False, saves: bool = True) -> None:
    """End the VM; one that is busy is cancelled first and ended when that is done.

    Args:
        turn: The turn.
        vm: The VM.
        hard: Off at once.
        saves: Let its persistent disks become their images again.

    Raises:
        RefusalError: ``wrong_state``: it ends already.
    """
    running = turn.cluster.operations.get(vm.operation_id) if vm.operation_id else None
    if running is not None:
        if running.kind in {OperationKind.TERMINATE, OperationKind.SHUTDOWN}:
            raise RefusalError("wrong_state", f"VM {vm.vm_id} is being ended already ({running.operation_id}).")
        turn.put(_replace(vm, end_asked_by=turn.actor))
        if operations.can_cancel(running):
            operations.cancel(turn, running)
        return
    hosts = _hosts_with_any(turn, vm)
    if not hosts:
        move(turn, vm, "terminate")
        return
    if vm.state is VmState.PENDING:
        # What is to end is not to be started where its end does not work.
        vm = move(turn, vm, "hold")
    options = PlanOptions(hard=hard, grace_s=turn.settings.shutdown_grace_s)
    plan = planner.terminate(vm, hosts, options, saves_on=_host_of_disks(turn, vm) if saves else None)
    operations.start(turn, vm, OperationKind.TERMINATE, plan)


def _hosts_with_any(turn: Turn, vm: VmRecord) -> list[Host]:
    """Return the hosts that have anything of the VM, first the one that its guest may be on."""
    found = dict.fromkeys(each for each in (vm.host_id, vm.sealed_on) if each is not None)
    return [turn.cluster.hosts[each] for each in found]


def _host_of_disks(turn: Turn, vm: VmRecord) -> HostId | None:
    """Return the host that has the VM's disks as it left them; None where they may never have been made."""
    if vm.sealed_on is not None:
        return vm.sealed_on
    last = turn.cluster.operations.get(vm.last_operation_id) if vm.last_operation_id else None
    if vm.state is VmState.FAILED and last is not None and last.kind is OperationKind.DEPLOY:
        return None
    return vm.host_id


def recreate(turn: Turn, vm: VmRecord) -> None:
    """Delete all that the VM has on hosts, so that it waits again as at first.

    Raises:
        RefusalError: ``busy``, ``wrong_state`` or ``over_quota``.
    """
    operations.check_free(turn, vm)
    quotas.charge_running(turn, vm)
    hosts = _hosts_with_any(turn, vm)
    if not hosts:
        move(turn, vm, "recreate")
        return
    operations.check_route(OperationKind.RECREATE, vm.state)
    plan = planner.terminate(vm, hosts, PlanOptions(hard=True))
    operations.start(turn, vm, OperationKind.RECREATE, plan)


def resched(turn: Turn, vm: VmRecord) -> None:
    """Let the scheduler find the VM a better host.

    Raises:
        RefusalError: ``wrong_state``.
    """
    operations.check_change("resched", vm.state)
    turn.put(_replace(vm, resched=True))


def unresched(turn: Turn, vm: VmRecord) -> None:
    """Let the VM stay where it is."""
    if vm.resched:
        turn.put(_replace(vm, resched=False))


def check_movable(turn: Turn, vm: VmRecord, *, live: bool) -> None:
    """Refuse to move a VM that is busy or in no state to be moved.

    Raises:
        RefusalError: ``busy`` or ``wrong_state``.
    """
    operations.check_free(turn, vm)
    operations.check_route(OperationKind.MIGRATE_LIVE if live else OperationKind.MIGRATE, vm.state)


def migrate(turn: Turn, vm: VmRecord, target: Host, *, live: bool, off: str = "") -> None:
    """Move the VM to another host.

    Args:
        turn: The turn.
        vm: The VM.
        target: Where it goes.
        live: While it runs.
        off: ``off`` powers a running guest off and boots it again there, ``hard`` does so at once; empty saves it.

    Raises:
        RefusalError: ``busy``, ``wrong_state``, ``unreachable``, ``no_capacity``, ``in_use`` or ``bad_request``.
    """
    if off not in {"", "off", "hard"} or (off and live):
        raise RefusalError("bad_request", "A guest is moved live, or off, or hard off; leave the others out.")
    check_movable(turn, vm, live=live)
    source = home_of(turn, vm)
    if source.host_id == target.host_id:
        raise RefusalError("bad_request", f"VM {vm.vm_id} is on {target.name} already; choose another host.")
    if not source.connected:
        raise RefusalError("unreachable", f"Host {source.name}, where VM {vm.vm_id} is, is not connected.")
    if not off:
        claims.check_savable(vm, "migrated")
    check_room(turn, vm, target)
    vm = _next_generation(claims.claimed(turn, vm, target))
    holders = planner.holders_for(vm.spec, target, _holding(turn, vm))
    options = PlanOptions(hard=off == "hard", grace_s=turn.settings.shutdown_grace_s) if off else None
    plan = _planned(
        lambda: (
            planner.migrate_live(vm, source, target, holders)
            if live
            else planner.migrate(vm, source, target, off=options)
        )
    )
    kind = OperationKind.MIGRATE_LIVE if live else OperationKind.MIGRATE
    operations.start(turn, vm, kind, plan, destination=target.host_id)


def recover(turn: Turn, vm: VmRecord, how: str) -> None:
    """Retry the failed operation of a VM, go back to before it, delete the VM, or begin it anew.

    Raises:
        RefusalError: ``wrong_state``, ``busy`` or ``bad_request``.
    """
    if how == "delete":
        terminate(turn, vm, hard=True, saves=False)
        return
    if how == "recreate":
        recreate(turn, vm)
        return
    if how in {"success", "failure"}:
        raise RefusalError(
            "bad_request",
            f"Whether an operation went well, its host says, nobody else; to end it: inn vm cancel {vm.vm_id}.",
        )
    if how not in {"retry", "rollback"}:
        raise RefusalError("bad_request", f"Recover by retry, rollback, delete or recreate, not by {how!r}.")
    operations.check_free(turn, vm)
    if vm.state is not VmState.FAILED:
        raise RefusalError("wrong_state", f"VM {vm.vm_id} is {vm.state}, not FAILED; there is nothing to recover.")
    last = turn.cluster.operations.get(vm.last_operation_id) if vm.last_operation_id else None
    if last is None or (vm.host_id is None and (vm.sealed_on is None or _failed_since(vm, last))):
        _start_anew(turn, vm, how)
        return
    if how == "retry" and last.kind in {OperationKind.TERMINATE, OperationKind.SHUTDOWN}:
        terminate(turn, vm, hard=True)
        return
    if last.kind is OperationKind.DEPLOY:
        _start_anew(turn, vm, how)
        return
    before = _replace(vm, state=_state_now(turn, vm, VmState(last.origin)), error="", since_s=turn.now_s)
    rest.put_vm(turn, before)
    rest.tell_state(turn, vm, before.state)
    if how == "retry" and last.kind in _RETRIES:
        _RETRIES[last.kind](turn, before)


def _failed_since(vm: VmRecord, last: Operation) -> bool:
    """Return True where the VM failed after its last operation had ended: it waited too long."""
    return last.ended_at_s is not None and vm.since_s > last.ended_at_s


def _state_now(turn: Turn, vm: VmRecord, origin: VmState) -> VmState:
    """Return the state that the VM is really in after a failure: that of a guest which ran is what its host says."""
    if origin is not VmState.RUNNING:
        return origin
    guest = turn.cluster.observed.get(vm.vm_id)
    return lifecycle.correct(VmState.UNKNOWN, guest.power) if guest else VmState.UNKNOWN


def _start_anew(turn: Turn, vm: VmRecord, how: str) -> None:
    """Bring a VM whose deployment failed back to the queue, once it is certain that no guest of it is left.

    Raises:
        RefusalError: ``unreachable`` or ``wrong_state``: its guest runs, or may.
    """
    host = turn.cluster.hosts.get(vm.host_id) if vm.host_id is not None else None
    if host is not None:
        _check_off(turn, vm, host)
        if vm.sealed_on != host.host_id:
            turn.send(host.host_id, Disown(vm_id=vm.vm_id, generation=vm.spec.generation, uuid=vm.spec.uuid))
    moved = move(turn, vm, how)
    if moved.host_id is not None:
        rest.put_vm(turn, _replace(moved, host_id=None))


def _check_off(turn: Turn, vm: VmRecord, host: Host) -> None:
    """Refuse where the guest may run on the host that its deployment could not be taken back on."""
    if not host.connected:
        raise RefusalError(
            "unreachable",
            f"Host {host.name}, where VM {vm.vm_id} may run, is not connected; start its agent, or, if the machine is "
            f"dead for certain, `inn host delete {host.name} --force`.",
        )
    guest = turn.cluster.observed.get(vm.vm_id)
    if guest is not None and guest.power in {PowerState.RUNNING, PowerState.PAUSED}:
        raise RefusalError(
            "wrong_state",
            f"The guest of VM {vm.vm_id} is {guest.power} on host {host.name}; end it: inn vm terminate {vm.vm_id}.",
        )


#: ``{kind: how it is done again}`` for operations that need nothing but the VM.
_RETRIES: dict[OperationKind, Callable[[Turn, VmRecord], None]] = {
    OperationKind.SUSPEND: suspend,
    OperationKind.RESUME: resume,
    OperationKind.STOP: stop,
    OperationKind.POWEROFF: lambda turn, vm: poweroff(turn, vm, hard=False),
    OperationKind.UNDEPLOY: lambda turn, vm: undeploy(turn, vm, hard=False),
}


def cancel(turn: Turn, vm: VmRecord) -> None:
    """Cancel the operation that the VM is busy with.

    Raises:
        RefusalError: ``wrong_state``: it is busy with none.
    """
    running = turn.cluster.operations.get(vm.operation_id) if vm.operation_id else None
    if running is None:
        raise RefusalError("wrong_state", f"VM {vm.vm_id} is {vm.state} and busy with nothing.")
    operations.cancel(turn, running)


#: ``{verb: action}`` without any parameter.
ACTIONS: dict[str, Callable[[Turn, VmRecord], None]] = {
    "hold": hold,
    "release": release,
    "suspend": suspend,
    "resume": resume,
    "stop": stop,
    "resched": resched,
    "unresched": unresched,
}

#: ``{verb: action}`` that may be asked for ``hard``.
SWITCHES: dict[str, Callable[..., None]] = {
    "poweroff": poweroff,
    "undeploy": undeploy,
    "reboot": reboot,
    "shutdown": shutdown,
    "terminate": terminate,
}
