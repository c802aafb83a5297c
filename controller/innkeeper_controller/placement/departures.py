"""Moves VMs away from hosts that are to be empty, and those that people want on better hosts."""

from collections.abc import Iterable

import msgspec

from innkeeper_controller import actions
from innkeeper_controller.placement.fitting import demand_of
from innkeeper_controller.records import Host, HostState, OperationKind, OperationStatus, VmRecord
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.scores import Policy
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import VmState

_replace = msgspec.structs.replace


def choose_target(turn: Turn, vm: VmRecord) -> Host:
    """Return the best host for a migration.

    Args:
        turn: The turn.
        vm: What is to move.

    Raises:
        RefusalError: ``no_capacity``: no other host can take the VM.
    """
    here = frozenset() if vm.host_id is None else frozenset({vm.host_id})
    demand = _replace(demand_of(turn.cluster, vm), excluded=here)
    with turn.cluster.placement.without(vm.vm_id):
        found = placer_of(turn).choose(demand)
    if found is None:
        raise RefusalError("no_capacity", f"No other host can take VM {vm.vm_id}; `inn host list` shows what is free.")
    return turn.cluster.hosts[found.host_id]


def placer_of(turn: Turn) -> Placer:
    """Return what places VMs by the operator's policy."""
    return Placer(turn.cluster.fleet, policy_of_turn(turn), turn.cluster.placement.rules.clauses)


def policy_of_turn(turn: Turn) -> Policy:
    """Return the policy that the operator chose."""
    return turn.cluster.placement.rules.policy(turn.settings.policy, turn.settings.scheduling.weights)


def drain(turn: Turn) -> None:
    """Move the VMs of draining hosts away, one operation a VM, live where that is possible."""
    for host in list(turn.cluster.hosts.values()):
        if host.state is not HostState.DRAINING or not host.connected:
            continue
        for vm_id in sorted(turn.cluster.vms_on.get(host.host_id, ())):
            vm = turn.cluster.vms[vm_id]
            if vm.operation_id is None and vm.host_id == host.host_id and vm.state in _MOVED_AWAY:
                _move_away(turn, vm)


#: ``{state: whether to move live, in the order to be tried}``
_MOVED_AWAY = {VmState.RUNNING: (True, False), VmState.SUSPENDED: (False,), VmState.POWEROFF: (False,)}


def _move_away(turn: Turn, vm: VmRecord) -> bool:
    last = turn.cluster.operations.get(vm.last_operation_id) if vm.last_operation_id else None
    failed = last is not None and last.status in {OperationStatus.FAILED, OperationStatus.CANCELLED}
    if failed and turn.now_s - vm.since_s < DRAIN_RETRY_S:
        return False
    ways = _MOVED_AWAY[vm.state]
    if failed and last is not None and last.kind is OperationKind.MIGRATE_LIVE:
        ways = (False,)
    return _move(turn, vm, ways)


def _move(turn: Turn, vm: VmRecord, ways: Iterable[bool]) -> bool:
    for live in ways:
        try:
            actions.migrate(turn, vm, choose_target(turn, vm), live=live)
        except RefusalError:
            continue
        return True
    return False


def reschedule(turn: Turn) -> None:
    """Move VMs that people want on better hosts, live where that is possible; each is tried once."""
    for vm_id in list(turn.cluster.rescheduled)[:MAX_RESCHEDULED]:
        vm = turn.cluster.vms[vm_id]
        if vm.operation_id is not None:
            continue
        tried = _replace(vm, resched=False)
        turn.put(tried)
        if vm.state is not VmState.RUNNING or not _move(turn, tried, (True, False)):
            turn.event("vm.not_rescheduled", f"vm:{vm_id}", state=vm.state.value)


#: VMs that are moved in one turn because people want them on better hosts.
MAX_RESCHEDULED = 20

#: A VM whose last operation failed or was cancelled is moved again no earlier than this.
DRAIN_RETRY_S = 60.0
