"""Moves VMs so that hosts are used better: as people ask, and unattended as the operator allows.

What to move, ``scheduling.balancing`` plans; here plans are made of the records and carried out, a few moves at a time.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from innkeeper_controller import actions
from innkeeper_controller.placement.balance_runs import ACTOR, Run
from innkeeper_controller.placement.departures import placer_of
from innkeeper_controller.placement.fitting import demand_of
from innkeeper_controller.placement.movables import Movables, recent_moves, why_not_movable
from innkeeper_controller.placement.planning import placer_on_copy
from innkeeper_controller.records import OperationStatus, VmRecord
from innkeeper_controller.scheduling.answers.verdicts import obstacles_on
from innkeeper_controller.scheduling.moves.balancing import BalancePlan, Goal, Limits, PlannedMove, balance
from innkeeper_controller.scheduling.moves.making_room import Room, RoomMaker
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import VmId

#: Moves of one plan, at most.
MAX_MOVES: Final = 1_000
#: Moves of a plan that nobody asked for.
MAX_UNATTENDED_MOVES: Final = 200
#: VMs that may have to move for one that waits.
MAX_MOVES_FOR_ONE: Final = 3
#: Hosts that are looked at for that.
MAX_HOSTS_FOR_ONE: Final = 500
_HOUR_S: Final = 3_600.0


def plan(turn: Turn, goal: Goal, *, max_moves: int) -> BalancePlan:
    """Return what could be moved now, all by itself: nothing that was moved before counts."""
    movables = Movables(turn.cluster, now_s=turn.now_s, keeps_company=goal is not Goal.AFFINITY)
    return _plan(turn, goal, movables, Limits(max_moves=max_moves))


def _plan(turn: Turn, goal: Goal, movables: Movables, limits: Limits) -> BalancePlan:
    return balance(
        placer_on_copy(turn).search,
        goal,
        movables.loads_on,
        demand_of=movables.demand_of,
        limits=limits,
        all_loads_on=movables.all_loads_on,
    )


def room_for(turn: Turn, vm: VmRecord) -> Room | None:
    """Return how a VM that fits on no host in use would fit on one after a few others moved; None where nobody can say.

    The fleet is as it was afterwards.
    """
    movables = Movables(turn.cluster, now_s=turn.now_s)
    maker = RoomMaker(placer_of(turn).search, movables.loads_on, movables.demand_of, max_candidates=MAX_HOSTS_FOR_ONE)
    return maker.find(demand_of(turn.cluster, vm), MAX_MOVES_FOR_ONE)


def begin(turn: Turn, goal: Goal, moves: Sequence[PlannedMove]) -> None:
    """Begin to carry moves out, in their order; the first ones are under way at once.

    Raises:
        RefusalError: ``busy``: others are being carried out.
    """
    balancing = turn.cluster.balancing
    if balancing.run is not None:
        raise RefusalError(
            "busy", "VMs are being moved for an earlier plan; wait (`inn balance`) or stop it (`inn balance --stop`)."
        )
    at_once = max(1, turn.settings.scheduling.balance.max_at_once)
    balancing.run = run = Run(goal=goal, actor=turn.actor, max_at_once=at_once, left=deque(moves))
    turn.event("balance.begun", "controller", goal=goal.value, moves=len(moves))
    _go_on(turn, run)


def stop(turn: Turn, reason: str) -> bool:
    """Begin no more moves of the present plan; those under way go on. Say whether there was one."""
    run = turn.cluster.balancing.run
    if run is None:
        return False
    run.stopped = run.stopped or reason
    _end_if_over(turn, run)
    return True


def on_tick(turn: Turn) -> None:
    """Go on with the present plan; without one, see whether something is to be moved unattended."""
    run = turn.cluster.balancing.run
    if run is not None:
        _go_on(turn, run)
    else:
        _look(turn)


# --- unattended


def _look(turn: Turn) -> None:
    options, balancing = turn.settings.scheduling.balance, turn.cluster.balancing
    if not options.goal:
        return
    if balancing.looked_at_s is None or turn.now_s < balancing.looked_at_s:
        # At the start agents are still to come back.
        balancing.looked_at_s = turn.now_s
    if turn.now_s - balancing.looked_at_s < options.every_s:
        return
    balancing.looked_at_s = turn.now_s
    found = unattended_plan(turn)
    if found.moves:
        actor, turn.actor = turn.actor, ACTOR
        begin(turn, found.goal, found.moves)
        turn.actor = actor


def unattended_plan(turn: Turn) -> BalancePlan:
    """Return what would be moved now with nobody asking, within the operator's limits."""
    options, goal = turn.settings.scheduling.balance, Goal(turn.settings.scheduling.balance.goal)
    movables = Movables(
        turn.cluster,
        now_s=turn.now_s,
        cool_down_s=options.cool_down_s,
        keeps_company=goal is not Goal.AFFINITY,
    )
    limits = Limits(
        max_moves=MAX_UNATTENDED_MOVES,
        max_per_host=options.max_per_host_and_hour,
        spent=recent_moves(turn.cluster, turn.now_s - _HOUR_S),
        minimum_gain=options.minimum_gain,
    )
    return _plan(turn, goal, movables, limits)


# --- carrying out


def _go_on(turn: Turn, run: Run) -> None:
    """Note which moves have ended, and begin the next ones."""
    for vm_id, (move, operation_id) in list(run.going.items()):
        vm = turn.cluster.vms.get(vm_id)
        if vm is None or vm.operation_id != operation_id:
            del run.going[vm_id]
            _note_end(turn, run, move, vm)
    while not run.stopped and run.left and len(run.going) < run.max_at_once:
        why_not = _begin_move(turn, run, run.left[0])
        if why_not and run.going:
            # What is under way may make it possible.
            break
        if why_not:
            run.stopped = f"VM {run.left[0].vm_id} cannot be moved: {why_not}"
        else:
            run.left.popleft()
    _end_if_over(turn, run)


def _note_end(turn: Turn, run: Run, move: PlannedMove, vm: VmRecord | None) -> None:
    if vm is not None and vm.host_id == move.target_id:
        run.made += 1
        return
    last = turn.cluster.operations.get(vm.last_operation_id) if vm is not None and vm.last_operation_id else None
    if vm is None:
        why = "it has ended"
    elif last is not None and last.status is not OperationStatus.DONE and last.error is not None:
        why = last.error.message
    else:
        why = "its migration was taken back"
    run.stopped = run.stopped or f"VM {move.vm_id} was not moved: {why}"


def _begin_move(turn: Turn, run: Run, move: PlannedMove) -> str:
    """Begin a migration, live where that is possible; return why it cannot be, empty where it has begun."""
    vm = turn.cluster.vms.get(move.vm_id)
    why_not = _why_not(turn, move, vm)
    if why_not or vm is None:
        return why_not
    actor, turn.actor = turn.actor, run.actor
    try:
        for live in (True, False):
            mark = turn.mark()
            try:
                actions.migrate(turn, vm, turn.cluster.hosts[move.target_id], live=live)
            except RefusalError as refusal:
                turn.take_back(mark)
                why_not = str(refusal)
            else:
                _note_begin(turn, run, move)
                return ""
    finally:
        turn.actor = actor
    return why_not


def _note_begin(turn: Turn, run: Run, move: PlannedMove) -> None:
    operation_id = turn.cluster.vms[move.vm_id].operation_id
    if operation_id is None:
        run.made += 1
    else:
        run.going[VmId(move.vm_id)] = move, operation_id


def _why_not(turn: Turn, move: PlannedMove, vm: VmRecord | None) -> str:
    """Return why a planned move does not hold any more, by the state of things and by every clause."""
    cluster = turn.cluster
    if vm is None:
        return "it has ended"
    if vm.host_id != move.source_id:
        return "it is on another host by now"
    if move.target_id not in cluster.hosts:
        return "the host that it was to go to is gone"
    stays = why_not_movable(vm)
    if stays:
        return stays
    with cluster.placement.without(vm.vm_id) as fleet:
        clauses = cluster.placement.rules.clauses
        obstacle = next(obstacles_on(demand_of(cluster, vm), fleet, move.target_id, clauses), None)
    name = cluster.hosts[move.target_id].name
    return f"{name} cannot take it any more: {obstacle.message}" if obstacle is not None else ""


def _end_if_over(turn: Turn, run: Run) -> None:
    if run.going or (run.left and not run.stopped):
        return
    turn.cluster.balancing.run = None
    turn.event(
        "balance.ended",
        "controller",
        goal=run.goal.value,
        made=run.made,
        left=len(run.left),
        why=run.stopped or "all is moved",
    )
