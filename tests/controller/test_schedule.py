"""Stored actions: when they are due, when again, and how they are carried out."""

from datetime import UTC, datetime

import pytest
from tests.controller.builders import ANN, a_site, a_vm, ask, change, finish, now, operation_of, refusal

from innkeeper_controller import agenda, schedule
from innkeeper_controller.records import OperationKind, ScheduledAction
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_plugins.vocabulary import VmState


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def action(at: str, **values) -> ScheduledAction:
    return ScheduledAction(action_id=0, action="poweroff", at_s=moment(at), **values)


#: ``(first time, repeat and days, done at, next time)``; the 1st of November 2026 is a Sunday.
REPEATS = [
    ("2026-11-01T06:00", {"repeat": 0, "days": "1,3"}, "2026-11-01T06:00:01", "2026-11-02T06:00"),
    ("2026-11-01T06:00", {"repeat": 0, "days": "0"}, "2026-11-01T06:00:01", "2026-11-08T06:00"),
    ("2026-11-01T06:00", {"repeat": 0, "days": "0"}, "2026-11-20T00:00", "2026-11-22T06:00"),
    ("2026-11-01T06:00", {"repeat": 1, "days": "31"}, "2026-11-01T06:00:01", "2026-12-31T06:00"),
    ("2026-11-01T06:00", {"repeat": 2, "days": "365"}, "2026-11-01T06:00:01", "2028-12-31T06:00"),
    ("2026-11-01T06:00", {"repeat": 3, "days": "5"}, "2026-11-01T06:00:01", "2026-11-01T11:00"),
    ("2026-11-01T06:00", {"repeat": 3, "days": "5"}, "2026-11-01T17:00", "2026-11-01T21:00"),
]


@pytest.mark.parametrize(("first", "repeat", "done_at", "again"), REPEATS)
def test_what_is_repeated_is_due_again_at_its_hour(first, repeat, done_at, again):
    after = schedule.done(action(first, **repeat), moment(done_at))

    assert (datetime.fromtimestamp(after.at_s, UTC), schedule.is_pending(after)) == (
        datetime.fromisoformat(again).replace(tzinfo=UTC),
        True,
    )


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"repeat": 3, "days": "1", "end_type": 1, "end_value": 1},
        {"repeat": 3, "days": "1", "end_type": 2, "end_value": int(moment("2026-11-01T06:30"))},
        {"repeat": 1, "days": ""},
    ],
)
def test_what_has_come_to_its_end_is_over(values):
    after = schedule.done(action("2026-11-01T06:00", **values), moment("2026-11-01T06:00:01"), "no")

    assert not schedule.is_pending(after)
    assert after.message == "no"
    assert schedule.next_due((after,)) is None


def test_an_action_is_done_at_its_time_with_the_rights_of_the_vms_owner():
    reactor = a_site()
    vm = a_vm(reactor, VmState.RUNNING)
    text = 'SCHED_ACTION = [ ACTION = poweroff-hard, TIME = "+60" ]'
    added = ask(reactor, "vm.schedule_add", user=ANN, vm_id=vm.vm_id, template=text)
    early = reactor.tick(1059.0)
    turn = reactor.tick(1060.0)
    operation = operation_of(reactor, vm)
    (done,) = now(reactor, vm).scheduled

    assert (added.action_id, early.changes) == (0, [])
    assert (operation.kind, operation.actor) == (OperationKind.POWEROFF, "ann")
    assert (done.done_at_s, done.message) == (1060.0, "")
    assert turn.actor == "controller"
    assert reactor.tick(1061.0).changes == []


def test_an_action_that_is_refused_says_why_and_changes_nothing_else():
    reactor = a_site()
    vm = a_vm(reactor, VmState.POWEROFF)
    text = 'SCHED_ACTION = [ ACTION = suspend, TIME = "+1" ]'
    ask(reactor, "vm.schedule_add", user=ANN, vm_id=vm.vm_id, template=text)
    reactor.tick(1002.0)
    after = now(reactor, vm)

    assert after.state is VmState.POWEROFF
    assert after.scheduled[0].message == "suspend is possible for a VM that is RUNNING; this one is POWEROFF."


def test_an_action_waits_for_the_end_of_what_its_vm_is_busy_with():
    reactor = a_site()
    vm = a_vm(reactor, VmState.RUNNING)
    text = 'SCHED_ACTION = [ ACTION = resume, TIME = "+1" ]'
    ask(reactor, "vm.schedule_add", user=ANN, vm_id=vm.vm_id, template=text)
    ask(reactor, "vm.suspend", user=ANN, vm_id=vm.vm_id)
    reactor.tick(1002.0)
    waits = now(reactor, vm).scheduled[0].done_at_s
    finish(reactor, vm)
    reactor.tick(1008.0)

    assert waits is None
    assert operation_of(reactor, vm).kind is OperationKind.RESUME


def test_an_owner_who_was_disabled_gets_nothing_done():
    reactor = a_site()
    vm = a_vm(reactor, VmState.RUNNING)
    text = 'SCHED_ACTION = [ ACTION = poweroff, TIME = "+1" ]'
    ask(reactor, "vm.schedule_add", user=ANN, vm_id=vm.vm_id, template=text)
    change(reactor, reactor.cluster.users["ann"], enabled=False)
    reactor.tick(1002.0)

    assert now(reactor, vm).scheduled[0].message == "The VM's owner, ann, is no more, or disabled."
    assert now(reactor, vm).operation_id is None


def test_actions_are_changed_and_deleted_and_their_numbers_not_used_again():
    reactor = a_site()
    vm = a_vm(reactor, VmState.RUNNING)
    text = 'SCHED_ACTION = [ ACTION = poweroff, TIME = "+{}" ]'
    ask(reactor, "vm.schedule_add", user=ANN, vm_id=vm.vm_id, template=text.format(5))
    ask(reactor, "vm.schedule_update", user=ANN, vm_id=vm.vm_id, action_id=0, template=text.format(50))
    moved = now(reactor, vm).scheduled[0].at_s
    ask(reactor, "vm.schedule_delete", user=ANN, vm_id=vm.vm_id, action_id=0)
    again = ask(reactor, "vm.schedule_add", user=ANN, vm_id=vm.vm_id, template=text.format(5))
    unknown = refusal(lambda: ask(reactor, "vm.schedule_delete", user=ANN, vm_id=vm.vm_id, action_id=0))

    assert (moved, again.action_id) == (1050.0, 1)
    assert str(unknown) == "VM 0 has no scheduled action 0; it has 1."


def test_a_vm_that_is_to_be_rescheduled_moves_and_is_not_tried_again():
    reactor = a_site()
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.resched", vm_id=vm.vm_id)
    reactor.tick(1001.0)

    assert (operation_of(reactor, vm).destination, now(reactor, vm).resched) == (2, False)
    assert reactor.cluster.rescheduled == {}


def test_a_vm_that_nothing_better_is_found_for_stays():
    reactor = a_site(hosts=1)
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.resched", vm_id=vm.vm_id)
    turn = reactor.tick(1001.0)

    assert [event.what for event in turn.events] == ["vm.not_rescheduled"]
    assert (now(reactor, vm).operation_id, now(reactor, vm).resched) == (None, False)


@pytest.mark.parametrize("word", agenda.ACTIONS)
def test_a_stored_action_takes_the_right_that_the_request_of_its_name_takes(word):
    right, _ = agenda.ACTIONS[word]
    request = REQUESTS[f"vm.{word.removesuffix('-hard').replace('-', '_')}"]

    assert (right, "vm") == (request.needs.right, request.needs.noun)
