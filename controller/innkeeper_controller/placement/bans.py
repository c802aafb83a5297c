"""Bans hosts on which VMs do not start, each failure of a row for twice as long as the one before; people may pass by.

After GridWay's failure policy, which bans a resource for longer the more it fails, up to a maximum, ends the ban with
the first job that succeeds and takes failures that come together for one (``gw_scheduler_hosts.c``, FR_MAX_BANNED).
GridWay's time grows along ``1 - exp(-t/C)``; here it doubles, which people can work out.

Which failures are the host's: a start (deployment, resumption, migration to it) of which a step failed there, and

- not one that was cancelled, or whose error says that the image, the template or another host is at fault;
- not of a VM whose start before this one failed as well, wherever that was;
- not of a VM whose template failed last on another host, until a VM of that template starts somewhere: so one VM that
  runs nowhere, or a hundred that are alike, ban one host and not the fleet;
- while the host is banned, failures of what began before change no time: they are one with the failure that banned it.

Nothing here places or moves a VM.
"""

from typing import Final

import msgspec

from innkeeper_controller.cluster import Suspicion
from innkeeper_controller.records import (
    Failures,
    Host,
    Moment,
    Operation,
    OperationError,
    OperationKind,
    OperationStatus,
    VmRecord,
)
from innkeeper_controller.scheduling.options import BanOptions
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import HostId, VmId

_replace = msgspec.structs.replace

#: Operations that start a guest on a host.
STARTS: Final = frozenset(
    {OperationKind.DEPLOY, OperationKind.RESUME, OperationKind.MIGRATE, OperationKind.MIGRATE_LIVE}
)
#: Codes of failed steps that say that something else than the host is at fault; others are the host's.
NOT_THE_HOSTS: Final = frozenset(
    {
        # A person, or a later order.
        *("cancelled", "superseded"),
        # The image.
        *("image_missing", "bad_image"),
        # The template, or what is there already of the VM.
        "refused",
        # The host that something was to be fetched from.
        *("unreachable", "unknown_key", "version"),
    }
)
#: Why a host refuses a whole leg, where that is its own fault: others are a matter of time, or of our plan.
REFUSED_BY_ITS_FAULT: Final = frozenset({"no_space", "unknown_driver"})
#: A template that failed is under suspicion for so long.
SUSPECTED_FOR_S: Final = 3_600.0
#: Templates under suspicion at once; of more, those that failed first are forgotten.
MAX_SUSPECTS: Final = 256
#: Doublings beyond which every ban is as long as it can be.
_MAX_DOUBLINGS: Final = 64
#: What is kept of an error's message.
_MAX_MESSAGE: Final = 500


def after_failure(failures: Failures | None, now_s: Moment, message: str, options: BanOptions) -> Failures:
    """Return a host's failures after one more start that failed on it.

    Args:
        failures: Those before; None for none.
        now_s: When it failed.
        message: What it said.
        options: How long bans are.
    """
    message = message[:_MAX_MESSAGE]
    if failures is not None and failures.banned_until_s > now_s:
        return _replace(failures, at_s=now_s, message=message)
    count = failures.count + 1 if failures is not None else 1
    length_s = min(options.first_s * 2.0 ** min(count - 1, _MAX_DOUBLINGS), options.at_most_s)
    until_s = now_s + length_s if length_s > 0 else 0.0
    return Failures(count=count, at_s=now_s, banned_until_s=until_s, message=message)


def lift(failures: Failures, now_s: Moment) -> Failures:
    """Return the failures without a ban that is over; how many there were is kept, for the next is longer."""
    if not 0 < failures.banned_until_s <= now_s:
        return failures
    return _replace(failures, banned_until_s=0.0)


def on_start_failed(turn: Turn, operation: Operation, host_id: HostId, error: OperationError) -> None:
    """Count a failed leg against its host where it is the host's fault that the VM did not start."""
    host, vm = turn.cluster.hosts.get(host_id), _vm_of(turn, operation)
    if host is None or vm is None or operation.kind not in STARTS or host_id != _where_to(operation, vm):
        return
    if operation.cancel or not _is_the_hosts(error) or not _blames(turn, vm, host_id):
        return
    failures = after_failure(host.failures, turn.now_s, error.message, turn.settings.scheduling.ban)
    turn.put(_replace(host, failures=failures))
    was_until_s = host.failures.banned_until_s if host.failures is not None else 0.0
    if failures.banned_until_s > was_until_s:
        turn.event(
            "host.banned",
            f"host:{host_id}",
            operation_id=operation.operation_id,
            until_s=failures.banned_until_s,
            failures=failures.count,
            why=failures.message,
        )


def on_start_done(turn: Turn, operation: Operation) -> None:
    """End the row of failures of the host that a VM has started on, and the suspicion of the VM's template."""
    vm = _vm_of(turn, operation)
    if vm is None or operation.kind not in STARTS:
        return
    turn.cluster.suspicions.pop(_template_of(vm), None)
    host_id = _where_to(operation, vm)
    host = turn.cluster.hosts.get(host_id) if host_id is not None else None
    if host is not None:
        forgive(turn, host)


def forgive(turn: Turn, host: Host) -> Host:
    """End a host's ban and forget its failures; return the host."""
    if host.failures is None:
        return host
    was_banned = host.failures.banned_until_s > 0
    host = _replace(host, failures=None)
    turn.put(host)
    if was_banned:
        turn.event("host.ban_lifted", f"host:{host.host_id}")
    return host


def on_tick(turn: Turn) -> None:
    """Lift the bans that are over; what waits is looked at again then."""
    for host_id in sorted(turn.cluster.banned):
        host = turn.cluster.hosts[host_id]
        failures = lift(host.failures, turn.now_s) if host.failures is not None else None
        if failures != host.failures:
            turn.put(_replace(host, failures=failures))
            turn.event("host.ban_lifted", f"host:{host_id}")


def _is_the_hosts(error: OperationError) -> bool:
    if error.step_id is None:
        return error.code in REFUSED_BY_ITS_FAULT
    return error.code not in NOT_THE_HOSTS


def _vm_of(turn: Turn, operation: Operation) -> VmRecord | None:
    kind, _, number = operation.subject.partition(":")
    return turn.cluster.vms.get(VmId(int(number))) if kind == "vm" else None


def _where_to(operation: Operation, vm: VmRecord) -> HostId | None:
    """Return the host that the guest is to start on."""
    return vm.host_id if operation.destination is None else operation.destination


def _template_of(vm: VmRecord) -> str:
    return f"{vm.owner}\n{vm.template}"


def _blames(turn: Turn, vm: VmRecord, host_id: HostId) -> bool:
    """Return whether the host may be to blame rather than the VM, and remember where its template failed."""
    suspicions = turn.cluster.suspicions
    last = turn.cluster.operations.get(vm.last_operation_id) if vm.last_operation_id else None
    if last is not None and last.kind in STARTS and last.status is OperationStatus.FAILED:
        return False
    known = suspicions.get(_template_of(vm))
    if known is not None and known.host_id != host_id and turn.now_s - known.at_s < SUSPECTED_FOR_S:
        return False
    suspicions[_template_of(vm)] = Suspicion(host_id=host_id, at_s=turn.now_s)
    while len(suspicions) > MAX_SUSPECTS:
        del suspicions[next(iter(suspicions))]
    return True
