"""What the controller makes of the messages of its agents: one handler a message, ``on_<tag>``.

A host speaks only of itself and of VMs that it holds; anything else changes nothing.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from innkeeper_controller import legs, lifecycle, operations, rest, sanity
from innkeeper_controller.images import with_images
from innkeeper_controller.records import Host, HostState, VmRecord
from innkeeper_controller.turn import Turn
from innkeeper_hostagent.protocol.join import digest as secret_digest
from innkeeper_hostagent.protocol.messages import (
    Advertise,
    Disown,
    Goodbye,
    Heartbeat,
    Hello,
    ImagesChanged,
    Join,
    Joined,
    LegEnded,
    Observed,
    Progress,
    Refused,
    StepStarted,
    Welcome,
)
from innkeeper_plugins.vocabulary import HostId, Observation, PowerState, VmId, VmState, may_be_same

_replace = msgspec.structs.replace

#: Higher than any that a VM reaches: nothing of a VM that is DONE is to stay.
ANY_GENERATION = 2**31
#: The operators are told of the same kind of nonsense of a host no more often.
TOLD_AGAIN_S = 3_600.0


def on_join(turn: Turn, public_key: str, message: Join) -> Joined | Refused:
    """Enrol the host whose token this is under the key that it asked with."""
    digest = secret_digest(message.token)
    for host in turn.cluster.hosts.values():
        if host.join_token_sha256 and host.join_token_sha256 == digest:
            break
    else:
        return _joined_before(turn, public_key) or Refused(
            code="bad_token",
            message="The join token is not known or was used; make a new one with `inn host token NAME`.",
        )
    if host.join_expires_at_s < turn.now_s:
        return Refused(
            code="bad_token", message=f"The join token has expired; make a new one with `inn host token {host.name}`."
        )
    if public_key in turn.cluster.host_of_key and turn.cluster.host_of_key[public_key] != host.host_id:
        return Refused(code="name_taken", message="This key is enrolled under another name; delete the old host first.")
    state = HostState.ON if host.state is HostState.JOINING else host.state
    turn.put(_replace(host, public_key=public_key, join_token_sha256="", state=state))
    turn.event("host.joined", f"host:{host.host_id}", name=host.name, called_itself=message.host_name)
    return _joined(turn, host)


def _joined_before(turn: Turn, public_key: str) -> Joined | None:
    """Answer a repeated join: the first answer may have got lost."""
    host_id = turn.cluster.host_of_key.get(public_key)
    host = turn.cluster.hosts.get(host_id) if host_id is not None else None
    return _joined(turn, host) if host else None


def _joined(turn: Turn, host: Host) -> Joined:
    return Joined(host_id=host.host_id, host_name=host.name, cluster_id=turn.settings.cluster_id)


def on_connected(turn: Turn, host: Host, hello: Hello) -> Welcome:
    """Open the session: the host is there, and hears again all that it has to do."""
    turn.cluster.heard_at_s[host.host_id] = turn.now_s
    if not host.connected or host.lost_at_s is not None:
        host = _replace(host, connected=True, lost_at_s=None)
        turn.put(host)
        turn.event("host.connected", f"host:{host.host_id}", version=hello.agent_version)
    forgettable = operations.on_connected(turn, host, hello.operations)
    return Welcome(
        host_id=host.host_id,
        host_name=host.name,
        heartbeat_interval_s=turn.settings.heartbeat_interval_s,
        confirmed=forgettable,
    )


def on_lost(turn: Turn, host: Host, why: str) -> None:
    """Note that the host's agent is gone; its VMs become UNKNOWN only after a while."""
    if host.connected:
        turn.put(_replace(host, connected=False, lost_at_s=turn.now_s))
        turn.event("host.lost", f"host:{host.host_id}", why=why)


def on_tick(turn: Turn) -> None:
    """Make the VMs of hosts that were gone for too long UNKNOWN."""
    for host in list(turn.cluster.hosts.values()):
        if host.lost_at_s is None or turn.now_s - host.lost_at_s < turn.settings.unknown_after_s:
            continue
        for vm_id in sorted(turn.cluster.vms_on.get(host.host_id, ())):
            vm = turn.cluster.vms[vm_id]
            if vm.state is VmState.RUNNING and vm.operation_id is None and vm.host_id == host.host_id:
                _rest(turn, vm, lifecycle.move(vm.state, "host_lost"), f"host {host.name} is lost")


def on_advertise(turn: Turn, host: Host, message: Advertise) -> None:
    """Take over what the host says of itself."""
    advertisement, nonsense = sanity.sane(_replace(message.advertisement, guests=()))
    _tell_nonsense(turn, host, nonsense)
    if advertisement != host.advertisement:
        turn.put(_replace(host, advertisement=advertisement))
    _observe(turn, host, message.advertisement.guests, complete=False)


def _tell_nonsense(turn: Turn, host: Host, nonsense: sanity.Nonsense) -> None:
    """Remember what of an advertisement cannot be; tell each kind of it once in a while, however it changes."""
    if not nonsense:
        turn.cluster.nonsense.pop(host.host_id, None)
        return
    turn.cluster.nonsense[host.host_id] = tuple(nonsense.values())
    told = turn.cluster.nonsense_told_at_s.setdefault(host.host_id, {})
    new = [kind for kind in sanity.kinds_of(nonsense) if turn.now_s - told.get(kind, -TOLD_AGAIN_S) >= TOLD_AGAIN_S]
    if new:
        told.update(dict.fromkeys(new, turn.now_s))
        turn.event("host.nonsense", f"host:{host.host_id}", why=sanity.sentence(host.name, nonsense))


def on_heartbeat(turn: Turn, host: Host, message: Heartbeat) -> None:
    """Note the host's load, in memory only."""
    load = sanity.sane_load(message)
    turn.cluster.load[host.host_id] = load
    turn.cluster.samples.add_host(host.host_id, load, turn.now_s)
    cores = host.advertisement.capacity.cpu_cores
    if cores > 0:
        turn.cluster.fleet.hear(host.host_id, load.cpu_used_cores / cores)


def on_step_started(turn: Turn, host: Host, message: StepStarted) -> None:
    """Follow an operation."""
    legs.on_step_started(turn, host.host_id, message)


def on_progress(turn: Turn, host: Host, message: Progress) -> None:
    """Follow a long step, in memory only."""
    operation = turn.cluster.operations.get(message.operation_id)
    progress = turn.cluster.progress.get(message.operation_id)
    if operation is None or progress is None:
        return
    leg = operation.plan.legs[operation.leg]
    if leg.host_id != host.host_id or message.step_id not in {step.step_id for step in leg.steps}:
        return
    progress.step_id = message.step_id
    progress.done_bytes = message.done_bytes
    progress.total_bytes = message.total_bytes


def on_leg_ended(turn: Turn, host: Host, message: LegEnded) -> None:
    """Go on with an operation."""
    legs.on_leg_ended(turn, host.host_id, message)


def on_observed(turn: Turn, host: Host, message: Observed) -> None:
    """Correct VMs at rest."""
    _observe(turn, host, message.guests, complete=message.complete)


def _observe(turn: Turn, host: Host, guests: tuple[Observation, ...], *, complete: bool) -> None:
    ours: list[Observation] = []
    for guest in map(sanity.sane_guest, guests):
        if may_be_same(guest.uuid, turn.settings.uuid_of(guest.vm_id)):
            ours.append(guest)
        else:
            # Another controller has a VM of the same number here: neither to be believed nor to be touched.
            _tell_stranger(turn, host, guest, "guest.foreign")
    for guest in ours:
        vm = turn.cluster.vms.get(VmId(guest.vm_id))
        if vm is None or vm.host_id != host.host_id:
            _observe_stranger(turn, host, guest, vm)
        elif guest.generation <= vm.spec.generation:
            # A move that was taken back has raised the generation, but not that of the guest that stayed.
            turn.cluster.observed[vm.vm_id] = guest
            turn.cluster.samples.add_guest(vm.vm_id, guest, turn.now_s)
            _observe_guest(turn, vm, guest.power, host)
    if not complete:
        return
    seen = {guest.vm_id for guest in ours}
    for vm_id in sorted(turn.cluster.vms_on.get(host.host_id, set()) - seen):
        vm = turn.cluster.vms[vm_id]
        if vm.host_id == host.host_id:
            absent = Observation(vm_id=vm_id, generation=vm.spec.generation, power=PowerState.ABSENT)
            turn.cluster.observed[vm_id] = absent
            _observe_guest(turn, vm, PowerState.ABSENT, host)


def _observe_guest(turn: Turn, vm: VmRecord, power: PowerState, host: Host) -> None:
    if vm.operation_id is not None:
        return
    state = lifecycle.correct(vm.state, power)
    if state is not vm.state:
        _rest(turn, vm, state, f"host {host.name} says that its guest is {power}")


def _rest(turn: Turn, vm: VmRecord, state: VmState, why: str) -> None:
    rest.put_vm(turn, _replace(vm, state=state, since_s=turn.now_s))
    turn.event("vm.state", f"vm:{vm.vm_id}", old=vm.state.value, new=state.value, why=why)


def _observe_stranger(turn: Turn, host: Host, guest: Observation, vm: VmRecord | None) -> None:
    """A guest that is not this host's: have it switched off if it is certainly over here, else only say so."""
    if vm is not None and (vm.operation_id is not None or host.host_id in {vm.destination_id, vm.sealed_on}):
        return
    over = vm is None and 0 <= guest.vm_id <= turn.cluster.last_ids.get("vm", -1)
    superseded = vm is not None and guest.generation < vm.spec.generation
    if over or superseded:
        generation = vm.spec.generation if vm is not None else ANY_GENERATION
        uuid = turn.settings.uuid_of(guest.vm_id)
        turn.send(host.host_id, Disown(vm_id=guest.vm_id, generation=generation, uuid=uuid))
    elif guest.power is not PowerState.RUNNING:
        return
    _tell_stranger(turn, host, guest, "guest.disowned" if over or superseded else "guest.foreign")


def _tell_stranger(turn: Turn, host: Host, guest: Observation, what: str) -> None:
    if (host.host_id, guest.vm_id) not in turn.cluster.strangers:
        turn.cluster.strangers.add((host.host_id, guest.vm_id))
        turn.event(what, f"host:{host.host_id}", vm_id=guest.vm_id, generation=guest.generation)


def on_images_changed(turn: Turn, host: Host, message: ImagesChanged) -> None:
    """Note which images the host holds now."""
    changed = with_images(host, added=message.added, removed=message.removed)
    if changed != host:
        turn.put(changed)


def on_goodbye(turn: Turn, host: Host, message: Goodbye) -> None:
    """The agent ended on purpose."""
    on_lost(turn, host, message.reason)


HANDLERS: dict[type, Callable[[Turn, Host, Any], None]] = {
    Advertise: on_advertise,
    Heartbeat: on_heartbeat,
    StepStarted: on_step_started,
    Progress: on_progress,
    LegEnded: on_leg_ended,
    Observed: on_observed,
    ImagesChanged: on_images_changed,
    Goodbye: on_goodbye,
}


def on_message(turn: Turn, host_id: HostId, message: object) -> None:
    """Give the message to its handler; nothing for hosts that are no more, and for messages of the shell."""
    host = turn.cluster.hosts.get(host_id)
    if host is None:
        return
    turn.cluster.heard_at_s[host_id] = turn.now_s
    handler = HANDLERS.get(type(message))
    if handler is not None:
        handler(turn, host, message)
