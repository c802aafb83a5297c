"""One turn: what it gathers, and that a refused one has gathered nothing."""

import msgspec
import pytest
from tests.controller.builders import ADMIN, NOW_S, a_host, a_reactor, a_site, picture, submit, turn_of

from innkeeper_controller.cluster import Put
from innkeeper_controller.records import Event
from innkeeper_controller.turn import REFUSALS, Mistake, RefusalError
from innkeeper_hostagent.protocol.messages import Confirm
from innkeeper_plugins.vocabulary import HostId

replace = msgspec.structs.replace


def test_a_change_carries_the_record_before_and_after_it():
    reactor = a_reactor()
    turn = turn_of(reactor)
    host = a_host(1)
    renamed = replace(host, labels={"RACK": "4"})
    turn.put(host)
    turn.put(renamed)
    turn.drop(renamed)

    assert turn.changes == [
        Put("host", HostId(1), None, host),
        Put("host", HostId(1), host, renamed),
        Put("host", HostId(1), renamed, None),
    ]


def test_an_event_says_who_when_and_by_which_request():
    turn = turn_of(a_reactor())
    turn.request_id = "r7"
    turn.event("vm.state", "vm:3", operation_id="o4", old="PENDING", new="HOLD")

    assert turn.events == [
        Event(
            what="vm.state",
            subject="vm:3",
            at_s=NOW_S,
            actor=ADMIN.name,
            request_id="r7",
            operation_id="o4",
            detail={"old": "PENDING", "new": "HOLD"},
        )
    ]


def test_messages_are_kept_in_order():
    turn = turn_of(a_reactor())
    first, second = Confirm(operations=()), Confirm(operations=("o1",))
    turn.send(HostId(2), first)
    turn.send(HostId(1), second)

    assert turn.sends == [(2, first), (1, second)]


def test_a_turn_that_is_taken_back_has_changed_told_and_sent_nothing():
    reactor = a_site()
    vm = submit(reactor)
    before = picture(reactor.cluster)
    turn = turn_of(reactor)
    turn.put(replace(vm, host_id=HostId(1), end_asked_by="ann"))
    turn.drop(reactor.cluster.vms[vm.vm_id])
    turn.event("vm.state", "vm:0")
    turn.send(HostId(1), Confirm(operations=()))
    turn.take_back()

    assert (turn.changes, turn.events, turn.sends) == ([], [], [])
    assert picture(reactor.cluster) == before


def test_a_refusal_keeps_its_code_and_all_mistakes():
    mistakes = (Mistake(message="one", line=1), Mistake(message="two", field="DISK"))
    refused = RefusalError("bad_template", "2 mistakes", mistakes=mistakes)

    assert (refused.code, str(refused), refused.mistakes) == ("bad_template", "2 mistakes", mistakes)


@pytest.mark.parametrize("code", REFUSALS)
def test_every_code_has_a_status_that_says_whose_fault_it_is(code):
    assert 400 <= REFUSALS[code] <= 503
