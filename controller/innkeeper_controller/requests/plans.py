"""Requests about what would happen, and about letting it happen exactly so."""

from innkeeper_controller import access, actions
from innkeeper_controller.access import Right
from innkeeper_controller.placement import capacity, evacuations, losses, planning
from innkeeper_controller.placement.capacity import Capacity
from innkeeper_controller.placement.evacuations import DrainPlan, Move
from innkeeper_controller.placement.losses import LossPlan
from innkeeper_controller.placement.planning import OnHost, SubmitPlan
from innkeeper_controller.placement.prospects import WantedVms
from innkeeper_controller.requests import find, hosts
from innkeeper_controller.requests.hosts import NamedHost
from innkeeper_controller.requests.table import Need, Request, Who
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import HostId, Value

#: Hosts that one question may let die together.
MAX_LOST = 1000


class LostHosts(Value):
    """Hosts that die."""

    #: Together, by id or name.
    hosts: tuple[str, ...] = ()
    #: Each host that there is, by itself, in place of ``hosts``.
    any: bool = False


class WantedKind(Value):
    """VMs of a template."""

    template: str
    #: Attributes set or replaced: ``{"MEMORY": "512"}``.
    set: dict[str, str] = {}


class ApplyPlan(Value):
    """What counts of a plan that ``plan.submit`` or ``plan.drain`` gave."""

    #: ``submit`` or ``drain``.
    kind: str
    version: str
    #: Of a submission.
    wanted: WantedVms | None = None
    placed: tuple[OnHost, ...] = ()
    #: Of a drain.
    host: str = ""
    moves: tuple[Move, ...] = ()


class Applied(Value):
    """What has begun."""

    #: VMs that were submitted, or that move.
    vm_ids: tuple[int, ...]
    #: Those of them that had no host in the plan and wait for one.
    waiting: tuple[int, ...] = ()


def submit(turn: Turn, params: WantedVms) -> SubmitPlan:
    """Say where VMs would go."""
    return planning.plan(turn, params)


def drain(turn: Turn, params: NamedHost) -> DrainPlan:
    """Say where the VMs of a host would go."""
    return evacuations.plan_drain(turn, find.host(turn.cluster, params.host))


def lose(turn: Turn, params: LostHosts) -> LossPlan:
    """Say whether the VMs of hosts that die would find room."""
    if params.any == bool(params.hosts) or len(params.hosts) > MAX_LOST:
        raise RefusalError(
            "bad_request", f"Name the hosts that die (at most {MAX_LOST}), or say any for each of them in turn."
        )
    if params.any:
        return losses.plan_any_loss(turn)
    named = {(host := find.host(turn.cluster, name)).host_id: host for name in params.hosts}
    return losses.plan_loss(turn, tuple(named.values()))


def show_capacity(turn: Turn, params: WantedKind) -> Capacity:
    """Say how many more VMs fit."""
    return capacity.capacity(turn, WantedVms(template=params.template, set=params.set))


def apply(turn: Turn, params: ApplyPlan) -> Applied:
    """Do as planned, all or nothing."""
    if params.kind == "submit" and params.wanted is not None:
        return _submit_as_planned(turn, params, params.wanted)
    if params.kind == "drain" and params.host:
        return _drain_as_planned(turn, params)
    raise RefusalError(
        "bad_request",
        f"A plan of kind {params.kind[:40]!r} cannot be applied; give what `inn plan submit -o json` or "
        "`inn plan drain -o json` printed.",
    )


def _submit_as_planned(turn: Turn, params: ApplyPlan, wanted: WantedVms) -> Applied:
    access.authorize_creation(turn, "VM")
    records = planning.apply(turn, params.version, wanted, params.placed)
    waiting = tuple(vm.vm_id for vm in records if vm.operation_id is None)
    return Applied(vm_ids=tuple(vm.vm_id for vm in records), waiting=waiting)


def _drain_as_planned(turn: Turn, params: ApplyPlan) -> Applied:
    host = find.host(turn.cluster, params.host)
    access.authorize(turn, Right.ADMIN, host)
    planning.check_version(turn, params.version, f"inn plan drain {host.name} -o json")
    hosts.drain(turn, NamedHost(host=host.name))
    for each in params.moves:
        vm = find.vm(turn, each.vm_id)
        if vm.host_id != host.host_id:
            raise RefusalError("bad_request", f"VM {vm.vm_id} is not on {host.name}; plan that host anew.")
        target = turn.cluster.hosts.get(HostId(each.host_id))
        if target is None:
            raise RefusalError("stale", f"Host {each.host} is gone; plan anew: `inn plan drain {host.name}`.")
        # A plan is no proof: who may drain a host may not for that reason choose others for what is on it.
        access.authorize(turn, Right.MANAGE, target)
        actions.migrate(turn, vm, target, live=each.live)
    return Applied(vm_ids=tuple(each.vm_id for each in params.moves))


REQUESTS = (
    Request(
        name="plan.submit",
        method="POST",
        path="/v1/plans/submit",
        params=WantedVms,
        answer=SubmitPlan,
        who=Who.USER,
        summary="Say where VMs would go if they were submitted now; nothing is stored.",
        handler=submit,
        needs=Need(Right.CREATE, "vm"),
    ),
    Request(
        name="plan.drain",
        method="POST",
        path="/v1/plans/drain",
        params=NamedHost,
        answer=DrainPlan,
        who=Who.USER,
        summary="Say where the VMs of a host would go if it were drained now; nothing is moved.",
        handler=drain,
        needs=Need(Right.ADMIN, "host"),
    ),
    Request(
        name="plan.lose",
        method="POST",
        path="/v1/plans/lose",
        params=LostHosts,
        answer=LossPlan,
        who=Who.ADMIN,
        summary="Say whether the VMs of hosts would find room elsewhere if those died now: N+1.",
        handler=lose,
        needs=Need(Right.CREATE, "host"),
    ),
    Request(
        name="plan.apply",
        method="POST",
        path="/v1/plans/apply",
        params=ApplyPlan,
        answer=Applied,
        who=Who.USER,
        summary="Do exactly as planned, or refuse where the plan no longer holds.",
        handler=apply,
        needs=Need(Right.CREATE, "vm"),
    ),
    Request(
        name="capacity.show",
        method="POST",
        path="/v1/capacity",
        params=WantedKind,
        answer=Capacity,
        who=Who.USER,
        summary="Say how many more VMs of a template fit now, by cluster, and what runs out first.",
        handler=show_capacity,
        needs=Need(Right.CREATE, "vm"),
    ),
)
