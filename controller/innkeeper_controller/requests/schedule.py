"""Requests about what is to be done with a VM at set times."""

import msgspec

from innkeeper_controller import access, agenda, changes, submission
from innkeeper_controller.records import ScheduledAction, VmRecord
from innkeeper_controller.requests import find
from innkeeper_controller.requests.templates import refused_mistakes
from innkeeper_controller.requests.vms import Acted, act, acted
from innkeeper_controller.templates import parse
from innkeeper_controller.templates.schedule import SchedActionTemplate, sched_action_templates
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value

_replace = msgspec.structs.replace

#: Actions that a VM has at most, those done counted.
MAX_ACTIONS = 64


class AddAction(Value):
    """What is to be done with a VM at a set time."""

    vm_id: int
    #: ``SCHED_ACTION = [ ACTION = poweroff, TIME = "+3600" ]``.
    template: str


class UpdateAction(Value):
    """An action of a VM, and what becomes of it."""

    vm_id: int
    action_id: int
    #: As of a new one.
    template: str


class OneAction(Value):
    """One action of a VM."""

    vm_id: int
    action_id: int


class Scheduled(Acted):
    """The VM and the number of its new action."""

    action_id: int = -1


def add(turn: Turn, params: AddAction) -> Scheduled:
    """Add an action to the VM's schedule."""
    vm = find.vm(turn, params.vm_id)
    if len(vm.scheduled) >= MAX_ACTIONS:
        raise RefusalError("bad_request", f"VM {vm.vm_id} has {MAX_ACTIONS} scheduled actions; delete one first.")
    vm, number = changes.next_number(vm, "action", tuple(each.action_id for each in vm.scheduled))
    action = _read(turn, vm, params.template, number)
    turn.put(_replace(vm, scheduled=(*vm.scheduled, action)))
    turn.event("vm.scheduled", f"vm:{vm.vm_id}", action=action.action, at_s=action.at_s)
    return Scheduled(vm_id=vm.vm_id, state=vm.state.value, action_id=action.action_id)


def update(turn: Turn, params: UpdateAction) -> Acted:
    """Change an action, which is to be done then as if it were new."""
    vm = find.vm(turn, params.vm_id)
    _action_of(vm, params.action_id)
    action = _read(turn, vm, params.template, params.action_id)
    turn.put(
        _replace(vm, scheduled=tuple(action if each.action_id == action.action_id else each for each in vm.scheduled))
    )
    turn.event("vm.scheduled", f"vm:{vm.vm_id}", action=action.action, at_s=action.at_s)
    return acted(turn, vm)


def delete(turn: Turn, params: OneAction) -> Acted:
    """Take an action out of the VM's schedule."""
    vm = find.vm(turn, params.vm_id)
    gone = _action_of(vm, params.action_id)
    kept = tuple(each for each in vm.scheduled if each != gone)
    turn.put(_replace(changes.remember(vm, "action", gone.action_id), scheduled=kept))
    return acted(turn, vm)


def _action_of(vm: VmRecord, action_id: int) -> ScheduledAction:
    for each in vm.scheduled:
        if each.action_id == action_id:
            return each
    has = ", ".join(str(each.action_id) for each in vm.scheduled) or "none"
    raise RefusalError("not_found", f"VM {vm.vm_id} has no scheduled action {action_id}; it has {has}.")


def _read(turn: Turn, vm: VmRecord, text: str, action_id: int) -> ScheduledAction:
    found = _templates(text)
    if len(found) != 1:
        raise RefusalError("bad_template", "Give one action, like SCHED_ACTION = [ ACTION = poweroff, TIME = +3600 ].")
    (action,) = submission.scheduled_at(found, turn.now_s, first_id=action_id)
    if action.action not in agenda.ACTIONS:
        known = ", ".join(agenda.ACTIONS)
        raise RefusalError("bad_template", f"{action.action[:40]!r} cannot be done at a set time; use one of {known}.")
    # It will be done with the rights of the VM's owner, who may be allowed more than whoever asks for it.
    right, _ = agenda.ACTIONS[action.action]
    access.authorize(turn, right, vm)
    return action


def _templates(text: str) -> tuple[SchedActionTemplate, ...]:
    with refused_mistakes():
        return sched_action_templates(parse(text))


REQUESTS = (
    act("schedule_add", AddAction, "Let something be done with a VM at a set time.", add, answer=Scheduled),
    act("schedule_update", UpdateAction, "Change what is to be done with a VM at a set time.", update),
    act("schedule_delete", OneAction, "Take an action out of a VM's schedule.", delete),
)
