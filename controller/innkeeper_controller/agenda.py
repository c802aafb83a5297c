"""Does what VMs' schedules say when its time comes, with the rights of each VM's owner, as requests would.

When that is, ``schedule`` decides.
"""

import heapq
from collections.abc import Callable
from typing import Final

import msgspec

from innkeeper_controller import access, actions, schedule, snapshots
from innkeeper_controller.access import Right
from innkeeper_controller.records import ScheduledAction, VmRecord
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import VmId

_replace = msgspec.structs.replace

#: VMs whose actions are done in one turn; more wait for the next.
MAX_VMS_PER_TURN: Final = 200
#: How long an action waits for the end of what its VM is busy with, and how often it is tried meanwhile.
PATIENCE_S: Final = 600.0
RETRY_S: Final = 5.0

Act = Callable[[Turn, VmRecord, tuple[str, ...]], object]


def carry_out(turn: Turn) -> None:
    """Do what is due; what is refused says why in its VM's record."""
    due = turn.cluster.due
    for _ in range(MAX_VMS_PER_TURN):
        if not due or due[0][0] > turn.now_s:
            return
        _, vm_id = heapq.heappop(due)
        vm = turn.cluster.vms.get(vm_id)
        for action in vm.scheduled if vm is not None else ():
            if schedule.is_due(action, turn.now_s):
                _carry_out(turn, vm_id, action)


def _carry_out(turn: Turn, vm_id: VmId, action: ScheduledAction) -> None:
    mark = turn.mark()
    actor, user = turn.actor, turn.user
    message = ""
    try:
        _act(turn, turn.cluster.vms[vm_id], action)
    except RefusalError as error:
        turn.take_back(mark)
        if error.code == "busy" and turn.now_s - action.at_s < PATIENCE_S:
            heapq.heappush(turn.cluster.due, (turn.now_s + RETRY_S, vm_id))
            return
        message = str(error)
    finally:
        turn.actor, turn.user = actor, user
    turn.event("vm.action_failed" if message else "vm.action_done", f"vm:{vm_id}", action=action.action, why=message)
    vm = turn.cluster.vms.get(vm_id)
    if vm is not None:
        after = schedule.done(action, turn.now_s, message)
        turn.put(_replace(vm, scheduled=tuple(after if each == action else each for each in vm.scheduled)))


def _act(turn: Turn, vm: VmRecord, action: ScheduledAction) -> None:
    owner = turn.cluster.users.get(vm.owner)
    if owner is None or not owner.enabled:
        raise RefusalError("forbidden", f"The VM's owner, {vm.owner}, is no more, or disabled.")
    turn.user, turn.actor = owner, owner.name
    found = ACTIONS.get(action.action)
    if found is None:
        raise RefusalError("bad_request", f"Nobody knows how to {action.action[:40]!r} a VM at a set time.")
    right, act = found
    access.authorize(turn, right, vm)
    act(turn, vm, tuple(word.strip() for word in action.args.split(",")) if action.args else ())


def _number(words: tuple[str, ...], place: int) -> int:
    word = words[place] if place < len(words) else ""
    if not word.isdecimal():
        raise RefusalError("bad_request", f"ARGS needs a number in place {place + 1}.")
    return int(word)


def _word(words: tuple[str, ...], place: int) -> str:
    return words[place] if place < len(words) else ""


#: ``{OpenNebula's word: the right that it takes, and what does it}``
ACTIONS: Final[dict[str, tuple[Right, Act]]] = {
    "hold": (Right.MANAGE, lambda turn, vm, _: actions.hold(turn, vm)),
    "release": (Right.MANAGE, lambda turn, vm, _: actions.release(turn, vm)),
    "suspend": (Right.MANAGE, lambda turn, vm, _: actions.suspend(turn, vm)),
    "resume": (Right.MANAGE, lambda turn, vm, _: actions.resume(turn, vm)),
    "stop": (Right.MANAGE, lambda turn, vm, _: actions.stop(turn, vm)),
    "poweroff": (Right.MANAGE, lambda turn, vm, _: actions.poweroff(turn, vm, hard=False)),
    "poweroff-hard": (Right.MANAGE, lambda turn, vm, _: actions.poweroff(turn, vm, hard=True)),
    "undeploy": (Right.MANAGE, lambda turn, vm, _: actions.undeploy(turn, vm, hard=False)),
    "undeploy-hard": (Right.MANAGE, lambda turn, vm, _: actions.undeploy(turn, vm, hard=True)),
    "reboot": (Right.MANAGE, lambda turn, vm, _: actions.reboot(turn, vm, hard=False)),
    "reboot-hard": (Right.MANAGE, lambda turn, vm, _: actions.reboot(turn, vm, hard=True)),
    "shutdown": (Right.MANAGE, lambda turn, vm, _: actions.shutdown(turn, vm, hard=False)),
    "terminate": (Right.MANAGE, lambda turn, vm, _: actions.terminate(turn, vm)),
    "terminate-hard": (Right.MANAGE, lambda turn, vm, _: actions.terminate(turn, vm, hard=True)),
    "resched": (Right.ADMIN, lambda turn, vm, _: actions.resched(turn, vm)),
    "unresched": (Right.ADMIN, lambda turn, vm, _: actions.unresched(turn, vm)),
    "snapshot-create": (Right.MANAGE, lambda turn, vm, words: snapshots.create(turn, vm, _word(words, 0))),
    "snapshot-revert": (Right.MANAGE, lambda turn, vm, words: snapshots.revert(turn, vm, _number(words, 0))),
    "snapshot-delete": (Right.MANAGE, lambda turn, vm, words: snapshots.delete(turn, vm, _number(words, 0))),
    "disk-snapshot-create": (
        Right.MANAGE,
        lambda turn, vm, words: snapshots.disk_create(turn, vm, _number(words, 0), _word(words, 1)),
    ),
    "disk-snapshot-revert": (
        Right.MANAGE,
        lambda turn, vm, words: snapshots.disk_revert(turn, vm, _number(words, 0), _number(words, 1)),
    ),
    "disk-snapshot-delete": (
        Right.MANAGE,
        lambda turn, vm, words: snapshots.disk_delete(turn, vm, _number(words, 0), _number(words, 1)),
    ),
}
