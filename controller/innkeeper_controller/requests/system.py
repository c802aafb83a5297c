"""Requests about the whole system."""

from innkeeper_controller import verify
from innkeeper_controller.requests.table import Nothing, Request, Who
from innkeeper_controller.requests.views import shown_state
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import Capacity, Value


class Status(Value):
    """The system at a glance."""

    cluster_id: str
    scheduler: str
    #: ``{state: hosts}``
    hosts: dict[str, int]
    #: ``{state: VMs}``
    vms: dict[str, int]
    operations: int
    images: int
    networks: int
    #: Of the hosts that are on.
    capacity: Capacity
    used: Capacity


class Verdict(Value):
    """What ``verify`` found; no finding is the healthy answer."""

    findings: tuple[verify.Finding, ...]
    #: Records looked at.
    checked: int


class WhoAmI(Value):
    """The user that the token belongs to."""

    name: str
    #: ``admin`` or ``user``.
    role: str
    user_id: int = -1
    #: The primary one first.
    groups: tuple[str, ...] = ()


def status(turn: Turn, _params: Nothing) -> Status:
    """Count what there is."""
    cluster = turn.cluster
    hosts: dict[str, int] = {}
    vms: dict[str, int] = {}
    for host in cluster.hosts.values():
        hosts[shown_state(host)] = hosts.get(shown_state(host), 0) + 1
    for vm in cluster.vms.values():
        vms[vm.state.value] = vms.get(vm.state.value, 0) + 1
    connected = [host for host in cluster.hosts.values() if host.connected]
    return Status(
        cluster_id=turn.settings.cluster_id,
        scheduler=turn.settings.scheduler,
        hosts=hosts,
        vms=vms,
        operations=len(cluster.running),
        images=len(cluster.images),
        networks=len(cluster.networks),
        capacity=_sum([host.advertisement.capacity for host in connected]),
        used=_sum([cluster.used.get(host.host_id, Capacity()) for host in connected]),
    )


def _sum(amounts: list[Capacity]) -> Capacity:
    return Capacity(
        cpu_cores=round(sum(each.cpu_cores for each in amounts), 6),
        memory_mib=sum(each.memory_mib for each in amounts),
    )


def check(turn: Turn, _params: Nothing) -> Verdict:
    """Check the invariants of the state."""
    cluster = turn.cluster
    checked = len(cluster.vms) + len(cluster.hosts) + len(cluster.leases) + len(cluster.operations)
    return Verdict(findings=verify.findings(cluster), checked=checked)


def whoami(turn: Turn, _params: Nothing) -> WhoAmI:
    """Say who the token belongs to."""
    assert turn.user is not None, "the table lets users only"
    user = turn.user
    return WhoAmI(name=user.name, role="admin" if user.is_admin else "user", user_id=user.user_id, groups=user.groups)


REQUESTS = (
    Request(
        name="system.status",
        method="GET",
        path="/v1/status",
        params=Nothing,
        answer=Status,
        who=Who.USER,
        summary="Show the system at a glance.",
        handler=status,
    ),
    Request(
        name="system.verify",
        method="GET",
        path="/v1/verify",
        params=Nothing,
        answer=Verdict,
        who=Who.ADMIN,
        summary="Check that everything agrees: capacity, leases, operations, places.",
        handler=check,
    ),
    Request(
        name="system.whoami",
        method="GET",
        path="/v1/whoami",
        params=Nothing,
        answer=WhoAmI,
        who=Who.USER,
        summary="Say who the token belongs to.",
        handler=whoami,
    ),
)
