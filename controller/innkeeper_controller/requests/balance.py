"""Requests about moving VMs so that hosts are used better."""

import msgspec

from innkeeper_controller.access import Right
from innkeeper_controller.placement import planning, rebalancing
from innkeeper_controller.records import Host
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.scheduling.moves.balancing import MEASURES, BalancePlan, Goal, PlannedMove
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import HostId, Value, VmId

#: Moving VMs is for those who may give hosts to be filled.
_NEEDS = Need(Right.CREATE, "host")
_AGAIN = "inn balance --plan -o json"


class WantedBalance(Value):
    """What hosts are to be like."""

    #: ``even``, ``consolidate`` or ``affinity``.
    goal: str = Goal.EVEN.value
    #: Moves, at most.
    max_moves: int = 100


class BalanceMove(Value):
    """One VM that goes to another host."""

    vm_id: int
    source_id: int
    target_id: int
    vm: str = ""
    source: str = ""
    target: str = ""
    #: A clause of a sentence.
    reason: str = ""
    #: What it takes off the measure.
    gain: float = 0.0


class ShownPlan(Value):
    """Moves, to be made in this order, and what they are good for."""

    #: ``balance``.
    kind: str
    goal: str
    #: Of the state that was seen; ``balance.apply`` refuses in another.
    version: str
    #: What is measured, from 0 to 1, the less the better.
    measure: str
    before: float
    after: float
    moves: tuple[BalanceMove, ...] = ()


class ApplyBalance(WantedBalance):
    """A plan as ``balance.plan`` gave it; without a version one is made now."""

    version: str = ""
    moves: tuple[BalanceMove, ...] = ()


class BalanceRun(Value):
    """A plan that is being carried out."""

    #: Empty where there is none.
    goal: str = ""
    actor: str = ""
    made: int = 0
    going: tuple[BalanceMove, ...] = ()
    left: int = 0
    #: Why no more moves are begun; empty while they are.
    stopped: str = ""


def plan(turn: Turn, params: WantedBalance) -> ShownPlan:
    """Say what could be moved."""
    return _shown(turn, _plan(turn, params))


def apply(turn: Turn, params: ApplyBalance) -> BalanceRun:
    """Begin to move as planned."""
    goal = _goal(params.goal)
    if params.version:
        planning.check_version(turn, params.version, _AGAIN)
        moves = _moves(turn, params.moves)
    else:
        moves = _plan(turn, params).moves
    if moves:
        rebalancing.begin(turn, goal, moves)
    return show(turn, Nothing())


def show(turn: Turn, _params: Nothing) -> BalanceRun:
    """Show the plan that is being carried out."""
    run = turn.cluster.balancing.run
    if run is None:
        return BalanceRun()
    return BalanceRun(
        goal=run.goal.value,
        actor=run.actor,
        made=run.made,
        going=tuple(_shown_move(turn, move) for move, _ in run.going.values()),
        left=len(run.left),
        stopped=run.stopped,
    )


def stop(turn: Turn, _params: Nothing) -> BalanceRun:
    """Begin no more moves."""
    if not rebalancing.stop(turn, f"{turn.actor} stopped it"):
        raise RefusalError("wrong_state", "No plan is being carried out; there is nothing to stop.")
    return show(turn, Nothing())


def _plan(turn: Turn, params: WantedBalance) -> BalancePlan:
    if not 0 < params.max_moves <= rebalancing.MAX_MOVES:
        raise RefusalError("bad_request", f"A plan has 1 to {rebalancing.MAX_MOVES} moves, not {params.max_moves}.")
    return rebalancing.plan(turn, _goal(params.goal), max_moves=params.max_moves)


def _goal(text: str) -> Goal:
    try:
        return Goal(text)
    except ValueError:
        raise RefusalError("bad_request", f"{text[:40]!r} is no goal; use one of {', '.join(Goal)}.") from None


def _moves(turn: Turn, moves: tuple[BalanceMove, ...]) -> tuple[PlannedMove, ...]:
    """Return the moves of a plan that came back."""
    vm_ids = {move.vm_id for move in moves}
    if len(vm_ids) < len(moves) or len(moves) > rebalancing.MAX_MOVES:
        raise RefusalError("bad_request", f"The plan moves a VM twice, or is too long; make it anew: `{_AGAIN}`.")
    for move in moves:
        if move.vm_id not in turn.cluster.vms or move.target_id not in turn.cluster.hosts:
            raise RefusalError(
                "bad_request", f"The plan has a VM or a host that is not there; make it anew: `{_AGAIN}`."
            )
    return tuple(
        PlannedMove(
            vm_id=VmId(move.vm_id),
            source_id=HostId(move.source_id),
            target_id=HostId(move.target_id),
            reason=move.reason,
            gain=move.gain,
        )
        for move in moves
    )


def _shown(turn: Turn, found: BalancePlan) -> ShownPlan:
    return ShownPlan(
        kind="balance",
        goal=found.goal.value,
        version=found.version,
        measure=MEASURES[found.goal],
        before=found.before,
        after=found.after,
        moves=tuple(_shown_move(turn, move) for move in found.moves),
    )


def _shown_move(turn: Turn, move: PlannedMove) -> BalanceMove:
    vm, hosts = turn.cluster.vms.get(move.vm_id), turn.cluster.hosts
    return BalanceMove(
        **{name: getattr(move, name) for name in msgspec.structs.asdict(move)},
        vm=vm.name if vm is not None else "",
        source=_name(hosts.get(move.source_id)),
        target=_name(hosts.get(move.target_id)),
    )


def _name(host: Host | None) -> str:
    return host.name if host is not None else ""


REQUESTS = (
    Request(
        name="balance.plan",
        method="GET",
        path="/v1/balance/plan",
        params=WantedBalance,
        answer=ShownPlan,
        who=Who.ADMIN,
        summary="Say which VMs to move so that hosts are used better; nothing is moved.",
        handler=plan,
        needs=_NEEDS,
    ),
    Request(
        name="balance.apply",
        method="POST",
        path="/v1/balance/apply",
        params=ApplyBalance,
        answer=BalanceRun,
        who=Who.ADMIN,
        summary="Move VMs as planned, a few at a time, or refuse where the plan no longer holds.",
        handler=apply,
        needs=_NEEDS,
    ),
    Request(
        name="balance.show",
        method="GET",
        path="/v1/balance",
        params=Nothing,
        answer=BalanceRun,
        who=Who.ADMIN,
        summary="Show how far the moves of a plan have come.",
        handler=show,
        needs=_NEEDS,
    ),
    Request(
        name="balance.stop",
        method="POST",
        path="/v1/balance/stop",
        params=Nothing,
        answer=BalanceRun,
        who=Who.ADMIN,
        summary="Begin no more moves of a plan; those under way go on.",
        handler=stop,
        needs=_NEEDS,
    ),
)
