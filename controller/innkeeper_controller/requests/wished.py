"""What people say later on of a VM's place in the queue, and of whom it wants near or far."""

from typing import Final

from innkeeper_controller import access
from innkeeper_controller.access import Right
from innkeeper_controller.records import VmRecord
from innkeeper_controller.requests import find
from innkeeper_controller.requests.templates import refused_mistakes
from innkeeper_controller.templates import attributes_of
from innkeeper_controller.templates.vocabulary import WISHES
from innkeeper_controller.templates.wishes import with_changes
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import VmState

_WAITING: Final = frozenset({VmState.PENDING, VmState.HOLD})


_PRIORITIES: Final = ("SCHED_PRIORITY", "USER_PRIORITY")


def shown(vm: VmRecord) -> dict[str, str]:
    """Return a VM's notes with its priority, as clients see it among them and send it back."""
    return dict.fromkeys(_PRIORITIES, str(vm.wishes.priority)) | vm.attributes if vm.wishes.priority else vm.attributes


def noted(turn: Turn, vm: VmRecord, given: dict[str, str]) -> dict[str, object]:
    """Take what is said of a VM's wishes out of new notes, and return it as fields of its record.

    Wishes that nothing is said of stay as they are: clients that replace all notes do not know of them.

    Raises:
        RefusalError: ``bad_template``; ``not_found`` or ``forbidden``: a VM that is named; or ``wrong_state``: where
            the VM is on a host, others were placed by its groups.
    """
    changes = {name: given.pop(name) for name in sorted(WISHES & given.keys())}
    for name in _PRIORITIES:
        if changes.get(name) == str(vm.wishes.priority):
            del changes[name]
    if not changes:
        return {}
    with refused_mistakes():
        wishes = with_changes(vm.wishes, attributes_of(changes))
    is_elsewhere = (wishes.groups, wishes.terms, wishes.gang) != (vm.wishes.groups, vm.wishes.terms, vm.wishes.gang)
    if is_elsewhere and vm.state not in _WAITING:
        text = f"Whom VM {vm.vm_id} wants near or far is changed while it is PENDING or HOLD; it is {vm.state}."
        raise RefusalError("wrong_state", text)
    before = {each for term in vm.wishes.terms for each in term.vm_ids}
    for vm_id in sorted({each for term in wishes.terms for each in term.vm_ids} - before):
        access.authorize(turn, Right.MANAGE, find.vm(turn, vm_id))
    return {"wishes": wishes}
