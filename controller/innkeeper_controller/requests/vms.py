"""Requests about VMs."""

import itertools
from typing import Any

from innkeeper_controller import access, actions, submission
from innkeeper_controller.access import Right
from innkeeper_controller.placement import departures
from innkeeper_controller.records import VmRecord
from innkeeper_controller.requests import find
from innkeeper_controller.requests.table import Need, Request, Who
from innkeeper_controller.requests.views import VmDetail, VmView, vm_detail, vm_view
from innkeeper_controller.requests.why import Why, WhyVm, why
from innkeeper_controller.turn import Mistake, RefusalError, Turn
from innkeeper_plugins.steps import script_line
from innkeeper_plugins.vocabulary import HostId, Value, VmState

#: Longest page of a list.
MAX_PAGE = 10_000


class SubmitVm(Value):
    """VMs to be."""

    #: Template in OpenNebula's text syntax, XML or YAML.
    template: str
    #: Name instead of the template's; several VMs get ``-0``, ``-1``... behind it.
    name: str = ""
    #: Wait in HOLD for a person instead of PENDING for the scheduler.
    hold: bool = False
    count: int = 1
    #: Attributes set or replaced: ``{"MEMORY": "512"}``.
    set: dict[str, str] = {}


class Submitted(Value):
    """The new VMs' ids, in order."""

    vm_ids: tuple[int, ...]
    #: What the template's author should know although nothing is wrong.
    remarks: tuple[Mistake, ...] = ()


class ListVms(Value):
    """Which VMs; all conditions have to hold."""

    state: str = ""
    host: str = ""
    owner: str = ""
    #: Part of the name.
    name: str = ""
    #: Only ids above this one: the last of the page before.
    after: int = -1
    limit: int = 1000


class OneVm(Value):
    """One VM."""

    vm_id: int


class DeployVm(Value):
    """A VM and the host that a person or program chose for it."""

    vm_id: int
    host: str


class EndVm(Value):
    """A VM to switch off."""

    vm_id: int
    #: Off at once instead of by the power button.
    hard: bool = False


class MigrateVm(Value):
    """A VM to move."""

    vm_id: int
    #: Empty lets the scheduler choose.
    host: str = ""
    #: While it runs, instead of saved and restored.
    live: bool = False
    #: ``off`` powers a running guest off and boots it again on the other host, ``hard`` does so at once.
    off: str = ""


class RecoverVm(Value):
    """A VM and what becomes of it."""

    vm_id: int
    #: Of a FAILED one, ``retry`` does the failed operation again, ``rollback`` goes back to before it; of any,
    #: ``delete`` ends it by force, ``recreate`` deletes what it has on hosts and lets it wait again as at first.
    how: str


class Acted(Value):
    """What has begun; an empty operation id means that it is done already."""

    vm_id: int
    state: str
    operation_id: str = ""


class Script(Value):
    """The plan of a VM's present or last operation."""

    operation_id: str
    kind: str
    status: str
    #: ``(host, line of the transfer script)``
    lines: tuple[tuple[str, str], ...]


def submit(turn: Turn, params: SubmitVm) -> Submitted:
    """Check the template, lease the addresses and store the VMs as PENDING, all or none."""
    name = {"NAME": params.name} if params.name else {}
    blueprint = submission.draw(turn, params.template, {**params.set, **name})
    records = submission.submit(turn, blueprint, hold=params.hold, count=params.count)
    return Submitted(vm_ids=tuple(vm.vm_id for vm in records), remarks=blueprint.template.remarks)


def vms(turn: Turn, params: ListVms) -> tuple[VmView, ...]:
    """List the VMs that one may use by ascending id; DONE ones are in their history only."""
    if params.state and params.state.upper() not in VmState.__members__:
        raise RefusalError("bad_request", f"{params.state!r} is no state; use one of {', '.join(VmState)}.")
    host_id = find.host(turn.cluster, params.host).host_id if params.host else None
    limit = min(max(params.limit, 1), MAX_PAGE)
    matching = (vm for vm in turn.cluster.vms.values() if _matches(vm, params, host_id))
    return tuple(vm_view(turn.cluster, vm) for vm in itertools.islice(access.visible(turn, matching), limit))


def _matches(vm: VmRecord, params: ListVms, host_id: HostId | None) -> bool:
    return (
        vm.vm_id > params.after
        and (not params.state or vm.state == params.state.upper())
        and (host_id is None or vm.host_id == host_id)
        and (not params.owner or vm.owner == params.owner)
        and params.name in vm.name
    )


def show(turn: Turn, params: OneVm) -> VmDetail:
    """Show one VM."""
    return vm_detail(turn.cluster, find.vm(turn, params.vm_id))


def acted(turn: Turn, vm: VmRecord) -> Acted:
    """Return what has begun with the VM."""
    now = turn.cluster.vms.get(vm.vm_id)
    if now is None:
        return Acted(vm_id=vm.vm_id, state=VmState.DONE.value)
    return Acted(vm_id=vm.vm_id, state=now.state.value, operation_id=now.operation_id or "")


def deploy(turn: Turn, params: DeployVm) -> Acted:
    """Deploy the VM on that host."""
    vm, host = find.vm(turn, params.vm_id), find.host(turn.cluster, params.host)
    access.authorize(turn, Right.MANAGE, host)
    actions.deploy(turn, vm, host)
    return acted(turn, vm)


def migrate(turn: Turn, params: MigrateVm) -> Acted:
    """Move the VM to another host."""
    vm = find.vm(turn, params.vm_id)
    actions.check_movable(turn, vm, live=params.live)
    target = find.host(turn.cluster, params.host) if params.host else departures.choose_target(turn, vm)
    access.authorize(turn, Right.MANAGE, target)
    actions.migrate(turn, vm, target, live=params.live, off=params.off)
    return acted(turn, vm)


def recover(turn: Turn, params: RecoverVm) -> Acted:
    """Bring a FAILED VM on."""
    vm = find.vm(turn, params.vm_id)
    actions.recover(turn, vm, params.how)
    return acted(turn, vm)


def cancel(turn: Turn, params: OneVm) -> Acted:
    """Cancel the VM's operation in progress."""
    vm = find.vm(turn, params.vm_id)
    actions.cancel(turn, vm)
    return acted(turn, vm)


def plan(turn: Turn, params: OneVm) -> Script:
    """Show the transfer script of the VM's present or last operation."""
    vm = find.vm(turn, params.vm_id)
    operation = find.operation_of(turn.cluster, vm)
    if operation is None:
        raise RefusalError("not_found", f"VM {vm.vm_id} has had no operation yet, so there is no transfer script.")
    hosts = turn.cluster.hosts
    return Script(
        operation_id=operation.operation_id,
        kind=operation.kind.value,
        status=operation.status.value,
        lines=tuple(
            (hosts[leg.host_id].name if leg.host_id in hosts else str(leg.host_id), script_line(step))
            for leg in operation.plan.legs
            for step in leg.steps
        ),
    )


def _simple(verb: str, summary: str, right: Right = Right.MANAGE) -> Request:
    def handler(turn: Turn, params: OneVm) -> Acted:
        vm = find.vm(turn, params.vm_id)
        actions.ACTIONS[verb](turn, vm)
        return acted(turn, vm)

    return act(verb, OneVm, summary, handler, right)


def _switch(verb: str, summary: str) -> Request:
    def handler(turn: Turn, params: EndVm) -> Acted:
        vm = find.vm(turn, params.vm_id)
        actions.SWITCHES[verb](turn, vm, hard=params.hard)
        return acted(turn, vm)

    return act(verb, EndVm, summary, handler)


def act(
    verb: str,
    params: type[Value],
    summary: str,
    handler: Any,  # noqa: ANN401 - as in the table
    right: Right = Right.MANAGE,
    *,
    answer: type[Value] = Acted,
) -> Request:
    """Return the row of a request that changes one VM."""
    return Request(
        name=f"vm.{verb}",
        method="POST",
        path=f"/v1/vms/{{vm_id}}/{verb}",
        params=params,
        answer=answer,
        who=Who.USER,
        summary=summary,
        handler=handler,
        needs=Need(right, "vm"),
    )


def read_row(  # noqa: PLR0917 - a row of the table
    verb: str,
    path: str,
    params: type[Value],
    answer: Any,  # noqa: ANN401 - as in the table
    summary: str,
    handler: Any,  # noqa: ANN401 - as in the table
) -> Request:
    """Return the row of a request that shows something of VMs."""
    return Request(
        name=f"vm.{verb}",
        method="GET",
        path=path,
        params=params,
        answer=answer,
        who=Who.USER,
        summary=summary,
        handler=handler,
        needs=Need(Right.USE, "vm") if "{" in path else None,
    )


REQUESTS = (
    Request(
        name="vm.submit",
        method="POST",
        path="/v1/vms",
        params=SubmitVm,
        answer=Submitted,
        who=Who.USER,
        summary="Submit one VM or many alike from a template.",
        handler=submit,
        needs=Need(Right.CREATE, "vm"),
    ),
    read_row("list", "/v1/vms", ListVms, tuple[VmView, ...], "List VMs, filtered and paged on the server.", vms),
    read_row("show", "/v1/vms/{vm_id}", OneVm, VmDetail, "Show all that is known of a VM.", show),
    read_row(
        "plan",
        "/v1/vms/{vm_id}/plan",
        OneVm,
        Script,
        "Show the transfer script of the present or last operation.",
        plan,
    ),
    read_row("why", "/v1/vms/{vm_id}/why", WhyVm, Why, "Explain why the VM is where it is.", why),
    act("deploy", DeployVm, "Deploy a waiting VM on the host that you choose.", deploy, Right.ADMIN),
    act("migrate", MigrateVm, "Move a VM to another host, saved and restored, or live.", migrate, Right.ADMIN),
    act(
        "recover", RecoverVm, "Retry the failed operation of a VM, roll it back, or delete or recreate the VM.", recover
    ),
    act("cancel", OneVm, "Cancel the operation that a VM is busy with.", cancel),
    _simple("resched", "Let the scheduler move a running VM to a better host.", Right.ADMIN),
    _simple("unresched", "Let a VM stay where it is after all.", Right.ADMIN),
    _simple("hold", "Keep a waiting VM from the scheduler."),
    _simple("release", "Give a held VM to the scheduler."),
    _simple("suspend", "Save a running VM's memory and keep it on its host."),
    _simple("resume", "Let a suspended, stopped, undeployed or powered-off VM go on."),
    _simple("stop", "Save a VM's memory and give its host's capacity back."),
    _switch("poweroff", "Power a guest off and keep its VM on the host."),
    _switch("undeploy", "Power a guest off and give its host's capacity back."),
    _switch("reboot", "Restart a guest, by asking it or (hard) by its reset button."),
    _switch("shutdown", "Power a guest off, then delete its disks: the ordinary end of a VM."),
    _switch("terminate", "End a VM in any state: off by force after a while, disks deleted, addresses given back."),
)
