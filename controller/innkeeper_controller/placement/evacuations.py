"""Where the VMs of a host would go if it were drained, and which would stay; nothing stays changed."""

from typing import Final

import msgspec

from innkeeper_controller import actions
from innkeeper_controller.placement import departures
from innkeeper_controller.placement.fitting import demand_of
from innkeeper_controller.placement.waits import waiting_words
from innkeeper_controller.records import Host, VmRecord
from innkeeper_controller.scheduling.answers.elsewhere import verdicts_elsewhere
from innkeeper_controller.scheduling.answers.remedies import remedy_words
from innkeeper_controller.scheduling.model import Verdicts
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value, VmState

_replace = msgspec.structs.replace

#: ``{state: whether to move live, in the order to be tried}``, as a drain does.
WAYS: Final = {VmState.RUNNING: (True, False), VmState.SUSPENDED: (False,), VmState.POWEROFF: (False,)}


class Move(Value):
    """A VM that would move."""

    vm_id: int
    name: str
    state: str
    host_id: int
    host: str
    #: While it runs, instead of saved and restored.
    live: bool
    #: Why not live although it runs, one sentence; empty where it is, or does not run.
    why_not_live: str = ""


class Stuck(Value):
    """A VM that would go nowhere."""

    vm_id: int
    name: str
    state: str
    #: One sentence.
    why: str
    #: What would help, a sentence each.
    remedies: tuple[str, ...] = ()


class DrainPlan(Value):
    """What would happen if a host were drained now."""

    #: ``drain``.
    kind: str
    #: Of the state that was seen; ``plan.apply`` refuses in another.
    version: str
    host_id: int
    host: str
    #: In the order in which it would be done.
    moves: tuple[Move, ...]
    stuck: tuple[Stuck, ...] = ()


def plan_drain(turn: Turn, host: Host) -> DrainPlan:
    """Return where the VMs of a host would go: the drain itself, taken back again.

    Raises:
        RefusalError: ``unreachable``: nothing can be moved from a host that is not there.
    """
    if not host.connected:
        raise RefusalError(
            "unreachable",
            f"Host {host.name} is not connected, so that nothing can be moved from it; start its agent, or see what "
            f"could start elsewhere: `inn plan lose {host.name}`.",
        )
    version = turn.cluster.fleet.version()
    mark, freed = turn.mark(), turn.cluster.freed
    moves: list[Move] = []
    stuck: list[Stuck] = []
    for vm_id in sorted(turn.cluster.vms_on.get(host.host_id, ())):
        found = _move(turn, host, turn.cluster.vms[vm_id])
        (moves if isinstance(found, Move) else stuck).append(found)  # type: ignore[arg-type]  # each with its kind
    turn.take_back(mark)
    # Nothing has become better for anybody: those who wait need not be looked at again.
    turn.cluster.freed = freed
    return DrainPlan(
        kind="drain",
        version=version,
        host_id=host.host_id,
        host=host.name,
        moves=tuple(moves),
        stuck=tuple(stuck),
    )


def _move(turn: Turn, host: Host, vm: VmRecord) -> Move | Stuck:
    why = _why_left(host, vm)
    if why:
        return Stuck(vm_id=vm.vm_id, name=vm.name, state=vm.state.value, why=why)
    why_not = ""
    for live in WAYS[vm.state]:
        mark = turn.mark()
        try:
            target = departures.choose_target(turn, vm)
            actions.migrate(turn, vm, target, live=live)
        except RefusalError as error:
            turn.take_back(mark)
            why_not = why_not or str(error)
            if error.code == "no_capacity":
                return _nowhere(turn, host, vm)
            continue
        return Move(
            vm_id=vm.vm_id,
            name=vm.name,
            state=vm.state.value,
            host_id=target.host_id,
            host=target.name,
            live=live,
            why_not_live=why_not,
        )
    return Stuck(vm_id=vm.vm_id, name=vm.name, state=vm.state.value, why=why_not)


def _why_left(host: Host, vm: VmRecord) -> str:
    """Return why a drain leaves the VM where it is; empty where it moves it."""
    if vm.operation_id is not None:
        return f"It is busy ({vm.state}); a drain moves it once that has ended."
    if vm.host_id != host.host_id:
        return f"Its files lie there; let it go on elsewhere (inn vm resume {vm.vm_id}) or end it."
    if vm.state not in WAYS:
        return f"It is {vm.state}, which no drain moves; recover or end it (inn vm why {vm.vm_id})."
    return ""


def _nowhere(turn: Turn, host: Host, vm: VmRecord) -> Stuck:
    """Return why no other host takes the VM."""
    demand = _replace(demand_of(turn.cluster, vm), excluded=frozenset({host.host_id}))
    with turn.cluster.placement.without(vm.vm_id):
        found = verdicts_elsewhere(demand, departures.placer_of(turn).search)
    return stuck_for(vm, found)


def stuck_for(vm: VmRecord, found: Verdicts) -> Stuck:
    """Return why no host takes a VM that has to leave its own.

    Args:
        vm: The VM.
        found: What the hosts say of it that it does not have to leave.
    """
    nearest = next(iter(found.hosts), None)
    why = waiting_words(found.counts, found.hosts_total) if found.hosts_total else "There is no other host."
    remedy = ""
    if nearest is not None:
        why += f" {nearest.host_name} comes closest: {'; '.join(each.message for each in nearest.obstacles)}."
        remedy = remedy_words(nearest.host_name, nearest.obstacles)
    return Stuck(vm_id=vm.vm_id, name=vm.name, state=vm.state.value, why=why, remedies=(remedy,) if remedy else ())
