"""Requests about hosts."""

from collections.abc import Sequence

import msgspec

from innkeeper_controller import access, operations, rest
from innkeeper_controller.access import Right
from innkeeper_controller.placement import bans
from innkeeper_controller.records import Host, HostState
from innkeeper_controller.requests import find
from innkeeper_controller.requests.clusters import clusters_of_new
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.requests.views import HostDetail, HostView, host_detail, host_view
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_hostagent.protocol.join import JoinToken, digest
from innkeeper_hostagent.protocol.keys import Secret
from innkeeper_plugins.vocabulary import HostId, Value, VmId

_replace = msgspec.structs.replace


class AddHost(Value):
    """A host to be."""

    name: str
    labels: dict[str, str] = {}
    #: OpenNebula's driver names, kept as they are given; the agent says which drivers it has.
    im_mad: str = ""
    vm_mad: str = ""
    #: The cluster that it belongs to; empty for the default one.
    cluster: str = ""


class NamedHost(Value):
    """One host, by id or name."""

    host: str


class DeleteHost(Value):
    """A host that goes."""

    host: str
    #: The person asserts that the host is dead or wiped: its VMs become FAILED and may run elsewhere.
    force: bool = False


class HostToken(Value):
    """How the host joins."""

    host_id: int
    name: str
    #: One-use and short-lived; also pins the controller's public key.
    join_token: str
    expires_at_s: float


def add(turn: Turn, params: AddHost) -> HostToken:
    """Make the host's record and the token that its agent joins with."""
    name = params.name
    find.check_name("host", name, characters="-_.")
    if name in turn.cluster.host_ids:
        raise RefusalError("name_taken", f"There is a host {name} already; `inn host token {name}` makes a new token.")
    host = Host(
        host_id=HostId(max(1, turn.cluster.next_id("host"))),
        name=name,
        labels=params.labels,
        cluster_id=clusters_of_new(turn, params.cluster)[0],
        im_mad=_mad(params.im_mad),
        vm_mad=_mad(params.vm_mad),
    )
    turn.event("host.added", f"host:{host.host_id}", name=name)
    return _new_token(turn, host)


def _mad(name: str) -> str:
    """Return a driver's name as a client gave it; ours where it gave none."""
    if not (name.isprintable() and len(name) <= find.MAX_NAME_CHARACTERS):
        raise RefusalError("bad_request", f"{name[:40]!r} is no name of a driver.")
    return name or "innkeeper"


def token(turn: Turn, params: NamedHost) -> HostToken:
    """Make a new join token; the host's present key, if it has one, is revoked when the token is used."""
    host = find.host(turn.cluster, params.host)
    turn.event("host.token", f"host:{host.host_id}")
    return _new_token(turn, host)


def _new_token(turn: Turn, host: Host) -> HostToken:
    assert turn.entropy is not None, "the shell gives every request its entropy"
    secret = Secret(turn.entropy(20).hex())
    expires_at_s = turn.now_s + turn.settings.join_token_lifetime_s
    turn.put(_replace(host, join_token_sha256=digest(secret), join_expires_at_s=expires_at_s))
    text = JoinToken(
        endpoint=turn.settings.agents_endpoint, controller_public_key=turn.settings.public_key, secret=secret
    ).text()
    return HostToken(host_id=host.host_id, name=host.name, join_token=text, expires_at_s=expires_at_s)


def hosts(turn: Turn, _params: Nothing) -> tuple[HostView, ...]:
    """List the hosts that one may use."""
    return tuple(host_view(turn.cluster, host) for host in access.visible(turn, turn.cluster.hosts.values()))


def show(turn: Turn, params: NamedHost) -> HostDetail:
    """Show one host."""
    return host_detail(turn.cluster, find.host(turn.cluster, params.host))


def _set(turn: Turn, wanted: str, state: HostState) -> HostView:
    host = find.host(turn.cluster, wanted)
    if host.state is HostState.JOINING:
        raise RefusalError("wrong_state", f"Host {host.name} has not joined yet; run its join command first.")
    if host.state is not state:
        host = _replace(host, state=state)
        turn.put(host)
        turn.event(f"host.{state.value}", f"host:{host.host_id}")
    return host_view(turn.cluster, host)


def enable(turn: Turn, params: NamedHost) -> HostView:
    """Let VMs come to the host again, also where it is banned: whoever says so has mended it."""
    _set(turn, params.host, HostState.ON)
    return host_view(turn.cluster, bans.forgive(turn, find.host(turn.cluster, params.host)))


def disable(turn: Turn, params: NamedHost) -> HostView:
    """Let no more VMs come to the host; those on it stay."""
    return _set(turn, params.host, HostState.DISABLED)


def drain(turn: Turn, params: NamedHost) -> HostView:
    """Move the host's VMs away, live where they run and the hypervisor can, and let none come."""
    return _set(turn, params.host, HostState.DRAINING)


def offline(turn: Turn, params: NamedHost) -> HostView:
    """Say that the host is away on purpose; no VM goes there, and its VMs are left as they are."""
    return _set(turn, params.host, HostState.OFFLINE)


def delete(turn: Turn, params: DeleteHost) -> Nothing:
    """Forget the host and revoke its key."""
    host = find.host(turn.cluster, params.host)
    vm_ids = sorted(turn.cluster.vms_on.get(host.host_id, ()))
    if not params.force:
        _check_empty(turn, host, vm_ids)
    elif vm_ids and host.connected:
        raise RefusalError(
            "in_use",
            f"Host {host.name} is connected, so its machine is not dead, and its {len(vm_ids)} VMs may run; drain it "
            f"(`inn host drain {host.name}`), or stop its agent and its guests first.",
        )
    for image in list(turn.cluster.images.values()):
        if image.home == host.host_id:
            turn.put(_replace(image, home=None))
    turn.drop(host)
    turn.event("host.deleted", f"host:{host.host_id}", name=host.name, force=params.force)
    operations.on_host_deleted(turn, host)
    for vm_id in vm_ids:
        _bereave(turn, vm_id)
    return Nothing()


def _check_empty(turn: Turn, host: Host, vm_ids: list[VmId]) -> None:
    if vm_ids:
        raise RefusalError(
            "in_use",
            f"Host {host.name} has VMs ({_few(vm_ids)}); drain it first (`inn host drain {host.name}`), resume "
            "elsewhere or terminate those that are STOPPED or UNDEPLOYED, or, if the machine is dead for certain, "
            "use --force: its VMs become FAILED and can be started elsewhere.",
        )
    others = [each for each in turn.cluster.hosts.values() if each.host_id != host.host_id]
    kept = {digest for each in others for digest in each.advertisement.images}
    images = [each for each in turn.cluster.images.values() if each.home == host.host_id and each.sha256]
    only = [each for each in images if each.sha256 not in kept]
    if only:
        raise RefusalError(
            "in_use",
            f"Host {host.name} has the only copy of images ({_few([each.name for each in only])}); delete them first, "
            "or use --force: they are lost then.",
        )


def _few(names: Sequence[object]) -> str:
    """Return the first of the names, as many as fit a line."""
    return ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")  # noqa: PLR2004 - fits a line


def _bereave(turn: Turn, vm_id: VmId) -> None:
    """Let a VM at rest be without the host; one that is busy follows when its operation has ended."""
    vm = turn.cluster.vms.get(vm_id)
    if vm is None or vm.operation_id is not None:
        return
    left = rest.without_deleted_hosts(turn, vm)
    if left != vm:
        rest.put_vm(turn, left)
        rest.tell_state(turn, vm, left.state)


REQUESTS = (
    Request(
        name="host.add",
        method="POST",
        path="/v1/hosts",
        params=AddHost,
        answer=HostToken,
        who=Who.USER,
        summary="Register a host and make the one-use token that its agent joins with.",
        handler=add,
        needs=Need(Right.CREATE, "host"),
    ),
    Request(
        name="host.token",
        method="POST",
        path="/v1/hosts/{host}/token",
        params=NamedHost,
        answer=HostToken,
        who=Who.USER,
        summary="Make a new join token for a host, to enrol it again or to rotate its key.",
        handler=token,
        needs=Need(Right.ADMIN, "host"),
    ),
    Request(
        name="host.list",
        method="GET",
        path="/v1/hosts",
        params=Nothing,
        answer=tuple[HostView, ...],
        who=Who.USER,
        summary="List the hosts with their capacity and what is used of it.",
        handler=hosts,
    ),
    Request(
        name="host.show",
        method="GET",
        path="/v1/hosts/{host}",
        params=NamedHost,
        answer=HostDetail,
        who=Who.USER,
        summary="Show all that a host says of itself and the VMs on it.",
        handler=show,
        needs=Need(Right.USE, "host"),
    ),
    Request(
        name="host.enable",
        method="POST",
        path="/v1/hosts/{host}/enable",
        params=NamedHost,
        answer=HostView,
        who=Who.USER,
        summary="Let VMs come to the host again.",
        handler=enable,
        needs=Need(Right.ADMIN, "host"),
    ),
    Request(
        name="host.disable",
        method="POST",
        path="/v1/hosts/{host}/disable",
        params=NamedHost,
        answer=HostView,
        who=Who.USER,
        summary="Let no more VMs come to the host; those on it stay.",
        handler=disable,
        needs=Need(Right.ADMIN, "host"),
    ),
    Request(
        name="host.offline",
        method="POST",
        path="/v1/hosts/{host}/offline",
        params=NamedHost,
        answer=HostView,
        who=Who.USER,
        summary="Say that the host is away on purpose: no VM goes there.",
        handler=offline,
        needs=Need(Right.ADMIN, "host"),
    ),
    Request(
        name="host.drain",
        method="POST",
        path="/v1/hosts/{host}/drain",
        params=NamedHost,
        answer=HostView,
        who=Who.USER,
        summary="Move the host's VMs away and let none come.",
        handler=drain,
        needs=Need(Right.ADMIN, "host"),
    ),
    Request(
        name="host.delete",
        method="DELETE",
        path="/v1/hosts/{host}",
        params=DeleteHost,
        answer=Nothing,
        who=Who.USER,
        summary="Forget a host and revoke its key; with force even one that still has VMs.",
        handler=delete,
        needs=Need(Right.ADMIN, "host"),
    ),
)
