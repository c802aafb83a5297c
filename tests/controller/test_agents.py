"""What the controller believes of its agents: each speaks of itself, and an observation only corrects what rests."""

import msgspec
import pytest
from tests.controller.builders import (
    BARE,
    NOW_S,
    SETTINGS,
    a_host,
    a_reactor,
    a_site,
    a_vm,
    ask,
    change,
    digest,
    drivers,
    end_leg,
    leg_ended,
    now,
    operation_of,
    picture,
    say,
    sent,
    submit,
    told,
)

from innkeeper_controller import agents
from innkeeper_controller.lifecycle import CORRECTIONS, correct
from innkeeper_controller.records import HostState
from innkeeper_hostagent.protocol.join import parse
from innkeeper_hostagent.protocol.messages import (
    Advertise,
    Confirm,
    ConsoleOutput,
    Disown,
    Goodbye,
    Heartbeat,
    Hello,
    ImagesChanged,
    Join,
    Joined,
    LegEnded,
    LegStatus,
    Observed,
    Progress,
    Refused,
    StepStarted,
    Welcome,
)
from innkeeper_plugins.vocabulary import Advertisement, Capacity, HostId, Observation, PowerState, VmState

replace = msgspec.structs.replace
HELLO = Hello(major=1, minor=0, agent_version="1.2", host_name="anything")
RUNNING, OFF = PowerState.RUNNING, PowerState.OFF


def guest(vm_id, generation=1, power=RUNNING):
    return Observation(vm_id=vm_id, generation=generation, power=power)


def observed(*guests, complete=False):
    return Observed(guests=guests, complete=complete)


def join(reactor, token, key="K" * 40, *, now_s=NOW_S):
    message = Join(major=1, minor=0, host_name="calls-itself", token=token)
    return reactor.joined(key, message, now_s)


def token_of(answer):
    return parse(answer.join_token).secret.reveal()


# --- joining


def test_a_host_joins_once_with_its_token():
    reactor = a_reactor()
    added = ask(reactor, "host.add", name="web1")
    turn, answer = join(reactor, token_of(added))
    host = reactor.cluster.hosts[HostId(1)]

    assert answer == Joined(host_id=1, host_name="web1", cluster_id=reactor.settings.cluster_id)
    assert (host.state, host.public_key, host.join_token_sha256, host.connected) == (
        HostState.ON,
        "K" * 40,
        "",
        False,
    )
    assert [(event.what, event.detail) for event in turn.events] == [
        ("host.joined", {"name": "web1", "called_itself": "calls-itself"})
    ]


@pytest.mark.parametrize("token", ["", "0" * 40, "wrong"])
def test_a_wrong_token_is_refused_and_changes_nothing(token):
    reactor = a_reactor(a_host(7))
    ask(reactor, "host.add", name="web1")
    before = picture(reactor.cluster)
    turn, answer = join(reactor, token)

    assert answer == Refused(
        code="bad_token", message="The join token is not known or was used; make a new one with `inn host token NAME`."
    )
    assert (picture(reactor.cluster), turn.changes) == (before, [])


def test_a_used_token_is_refused_to_another_key():
    reactor = a_reactor()
    token = token_of(ask(reactor, "host.add", name="web1"))
    join(reactor, token)

    assert join(reactor, token, "X" * 40)[1].code == "bad_token"
    assert reactor.cluster.hosts[HostId(1)].public_key == "K" * 40


def test_a_repeated_join_is_answered_as_before_for_the_answer_may_have_got_lost():
    reactor = a_reactor()
    token = token_of(ask(reactor, "host.add", name="web1"))
    first = join(reactor, token)[1]
    turn, again = join(reactor, token)

    assert (again, turn.changes) == (first, [])


@pytest.mark.parametrize(("late_s", "code"), [(0, None), (1, "bad_token")])
def test_a_token_expires(late_s, code):
    reactor = a_reactor()
    token = token_of(ask(reactor, "host.add", name="web1"))
    answer = join(reactor, token, now_s=NOW_S + SETTINGS.join_token_lifetime_s + late_s)[1]

    assert getattr(answer, "code", None) == code
    if code:
        assert answer.message == "The join token has expired; make a new one with `inn host token web1`."


def test_a_key_of_another_host_is_refused():
    reactor = a_reactor(a_host(7))
    token = token_of(ask(reactor, "host.add", name="web1"))
    answer = join(reactor, token, "h7")[1]

    assert answer.code == "name_taken"
    assert reactor.cluster.host_of_key == {"h7": 7}


def test_a_new_token_rotates_the_key_and_revokes_the_old_one():
    reactor = a_reactor()
    join(reactor, token_of(ask(reactor, "host.add", name="web1")))
    token = token_of(ask(reactor, "host.token", host="web1"))
    still = dict(reactor.cluster.host_of_key)
    answer = join(reactor, token, "N" * 40)[1]

    assert (still, answer) == (
        {"K" * 40: 1},
        Joined(host_id=1, host_name="web1", cluster_id=reactor.settings.cluster_id),
    )
    assert reactor.cluster.host_of_key == {"N" * 40: 1}


def test_a_new_token_makes_the_one_before_it_worthless():
    secrets = iter((b"\1" * 20, b"\2" * 20))
    reactor = a_reactor()
    reactor._entropy = lambda _count: next(secrets)
    old = token_of(ask(reactor, "host.add", name="web1"))
    new = token_of(ask(reactor, "host.token", host="web1"))

    assert join(reactor, old)[1].code == "bad_token"
    assert isinstance(join(reactor, new)[1], Joined)


def test_a_host_that_was_switched_off_by_a_person_stays_off_when_it_joins_again():
    reactor = a_reactor(a_host(1, state=HostState.DISABLED))
    join(reactor, token_of(ask(reactor, "host.token", host="h1")))

    assert reactor.cluster.hosts[HostId(1)].state is HostState.DISABLED


# --- sessions


def test_a_host_is_there_from_its_hello_on():
    reactor = a_reactor(a_host(1, connected=False))
    turn, welcome = reactor.connected(HostId(1), HELLO, NOW_S + 1)
    host = reactor.cluster.hosts[HostId(1)]

    assert welcome == Welcome(host_id=1, host_name="h1", heartbeat_interval_s=SETTINGS.heartbeat_interval_s)
    assert (host.connected, host.lost_at_s, reactor.cluster.heard_at_s) == (True, None, {1: NOW_S + 1})
    assert [(event.what, event.detail) for event in turn.events] == [("host.connected", {"version": "1.2"})]


def test_a_second_hello_without_a_loss_between_changes_nothing():
    reactor = a_reactor(a_host(1))

    assert reactor.connected(HostId(1), HELLO, NOW_S)[0].changes == []


def test_a_host_that_was_deleted_is_refused():
    reactor = a_reactor()
    turn, answer = reactor.connected(HostId(9), HELLO, NOW_S)

    assert answer == Refused(code="unknown_key", message="This host was deleted; join it again with a new token.")
    assert turn.changes == []


@pytest.mark.parametrize("way", ["lost", "goodbye"])
def test_a_host_is_lost_once(way):
    reactor = a_reactor(a_host(1))
    turns = [
        reactor.lost(HostId(1), NOW_S + n) if way == "lost" else say(reactor, 1, Goodbye(reason="bye"), now_s=NOW_S + n)
        for n in (1, 2)
    ]
    host = reactor.cluster.hosts[HostId(1)]

    assert (host.connected, host.lost_at_s) == (False, NOW_S + 1)
    why = "nothing was heard of its agent" if way == "lost" else "bye"
    assert [[(event.what, event.detail) for event in turn.events] for turn in turns] == [
        [("host.lost", {"why": why})],
        [],
    ]


def test_losing_a_host_that_is_no_more_changes_nothing():
    assert a_reactor().lost(HostId(9), NOW_S).changes == []


def test_vms_of_a_lost_host_are_unknown_only_after_a_while():
    reactor = a_site(unknown_after_s=60.0)
    running, suspended, busy = a_vm(reactor), a_vm(reactor, VmState.SUSPENDED), a_vm(reactor)
    elsewhere = a_vm(reactor, host_id=2)
    ask(reactor, "vm.suspend", vm_id=busy.vm_id)
    reactor.lost(HostId(1), NOW_S)
    early = reactor.tick(NOW_S + 59)
    late = reactor.tick(NOW_S + 60)
    again = reactor.tick(NOW_S + 61)

    assert (early.changes, again.changes) == ([], [])
    assert [(event.subject, event.detail) for event in late.events] == [
        ("vm:0", {"old": "RUNNING", "new": "UNKNOWN", "why": "host h1 is lost"})
    ]
    states = [now(reactor, vm).state for vm in (running, suspended, busy, elsewhere)]
    assert states == [VmState.UNKNOWN, VmState.SUSPENDED, VmState.SAVE, VmState.RUNNING]


def test_a_host_that_is_back_in_time_has_no_unknown_vms():
    reactor = a_site(unknown_after_s=60.0)
    vm = a_vm(reactor)
    reactor.lost(HostId(1), NOW_S)
    reactor.connected(HostId(1), HELLO, NOW_S + 59)
    reactor.tick(NOW_S + 600)

    assert now(reactor, vm).state is VmState.RUNNING


def test_a_clock_that_jumps_back_makes_nothing_unknown():
    reactor = a_site(unknown_after_s=60.0)
    vm = a_vm(reactor)
    reactor.lost(HostId(1), NOW_S)
    reactor.tick(NOW_S - 3600)

    assert now(reactor, vm).state is VmState.RUNNING


def test_a_guest_that_ends_while_its_host_is_lost_becomes_unknown_no_more():
    reactor = a_site(unknown_after_s=60.0)
    vm = a_vm(reactor, VmState.UNKNOWN)
    reactor.connected(HostId(1), HELLO, NOW_S)
    say(reactor, 1, observed(complete=True))

    assert now(reactor, vm).state is VmState.POWEROFF


# --- observations


@pytest.mark.parametrize("power", PowerState)
@pytest.mark.parametrize(
    "state",
    [VmState.RUNNING, VmState.UNKNOWN, VmState.SUSPENDED, VmState.POWEROFF, VmState.FAILED],
)
def test_an_observation_corrects_a_vm_at_rest_as_the_table_says(state, power):
    reactor = a_site()
    vm = a_vm(reactor, state)
    turn = say(reactor, 1, observed(guest(vm.vm_id, power=power)))

    expected = correct(state, power)
    assert now(reactor, vm).state is expected
    why = f"host h1 says that its guest is {power}"
    changed = [("vm.state", {"old": state.value, "new": expected.value, "why": why})]
    assert [(event.what, event.detail) for event in turn.events] == (changed if (state, power) in CORRECTIONS else [])


@pytest.mark.parametrize("verb", ["suspend", "poweroff", "terminate", "reboot"])
@pytest.mark.parametrize("power", PowerState)
def test_an_observation_never_moves_a_busy_vm_nor_ends_its_operation(verb, power):
    reactor = a_site()
    vm = a_vm(reactor)
    ask(reactor, f"vm.{verb}", vm_id=vm.vm_id)
    before = now(reactor, vm)
    turn = say(reactor, 1, observed(guest(vm.vm_id, power=power), complete=True))

    assert (now(reactor, vm), turn.changes, turn.events, turn.sends) == (before, [], [], [])
    assert operation_of(reactor, vm).status == "running"


def test_a_guest_that_a_complete_observation_does_not_name_is_absent():
    reactor = a_site()
    gone, there, elsewhere = a_vm(reactor), a_vm(reactor), a_vm(reactor, host_id=2)
    stopped = a_vm(reactor, VmState.STOPPED)
    say(reactor, 1, observed(guest(there.vm_id), complete=True))

    assert [now(reactor, vm).state for vm in (gone, there, elsewhere, stopped)] == [
        VmState.POWEROFF,
        VmState.RUNNING,
        VmState.RUNNING,
        VmState.STOPPED,
    ]


def test_a_guest_that_a_partial_observation_does_not_name_is_left_alone():
    reactor = a_site()
    vm = a_vm(reactor)
    say(reactor, 1, observed())

    assert now(reactor, vm).state is VmState.RUNNING


def test_a_vm_on_its_way_here_is_not_absent_before_it_has_come():
    reactor = a_site()
    vm = a_vm(reactor)
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2")
    say(reactor, 2, observed(complete=True))

    assert vm.vm_id not in reactor.cluster.observed


def test_a_guest_of_a_lower_generation_at_home_is_the_vm_that_stayed():
    reactor = a_site()
    vm = a_vm(reactor)
    change(reactor, vm, spec=replace(vm.spec, generation=5))
    turn = say(reactor, 1, observed(guest(vm.vm_id, 4, OFF)))

    assert (now(reactor, vm).state, sent(turn)) == (VmState.POWEROFF, [])


def test_a_guest_of_a_generation_that_was_never_given_is_not_believed():
    reactor = a_site()
    vm = a_vm(reactor)
    turn = say(reactor, 1, observed(guest(vm.vm_id, 9, OFF), complete=True))

    assert (now(reactor, vm).state, turn.changes) == (VmState.RUNNING, [])


def test_guests_that_an_advertisement_names_are_observed_and_not_kept():
    reactor = a_site()
    vm = a_vm(reactor)
    told_of = replace(reactor.cluster.hosts[HostId(1)].advertisement, guests=(guest(vm.vm_id, power=OFF),))
    say(reactor, 1, Advertise(advertisement=told_of))

    assert (now(reactor, vm).state, reactor.cluster.hosts[HostId(1)].advertisement.guests) == (VmState.POWEROFF, ())


# --- strangers


def test_a_guest_of_a_vm_that_is_done_is_disowned_and_told_of_once():
    reactor = a_site()
    vm = a_vm(reactor, VmState.HOLD)
    ask(reactor, "vm.terminate", vm_id=vm.vm_id)
    turns = [say(reactor, 1, observed(guest(vm.vm_id))) for _ in range(2)]

    order = (1, Disown(vm_id=vm.vm_id, generation=agents.ANY_GENERATION, uuid=vm.spec.uuid))
    assert [sent(turn) for turn in turns] == [[order], [order]]
    assert [told(turn) for turn in turns] == [[("guest.disowned", "host:1")], []]


@pytest.mark.parametrize("power", PowerState)
def test_a_guest_that_was_superseded_is_disowned_up_to_the_generation_that_is(power):
    reactor = a_site()
    vm = a_vm(reactor, host_id=2)
    change(reactor, vm, spec=replace(vm.spec, generation=4))
    turn = say(reactor, 1, observed(guest(vm.vm_id, 3, power)))

    assert sent(turn) == [(1, Disown(vm_id=vm.vm_id, generation=4, uuid=vm.spec.uuid))]
    assert now(reactor, vm).state is VmState.RUNNING


@pytest.mark.parametrize("state", [VmState.DONE, VmState.RUNNING, VmState.POWEROFF])
@pytest.mark.parametrize("host_id", [1, 2])
def test_a_guest_of_another_controllers_vm_is_neither_believed_nor_disowned(state, host_id):
    reactor = a_site()
    vm = a_vm(reactor, host_id=2)
    if state is VmState.DONE:
        vm = a_vm(reactor, VmState.HOLD)
        ask(reactor, "vm.terminate", vm_id=vm.vm_id)
    else:
        change(reactor, vm, state=state, spec=replace(vm.spec, generation=9))
    foreign = replace(guest(vm.vm_id, 3), uuid="6ba7b811-9dad-11d1-80b4-00c04fd430c8")
    turns = [say(reactor, host_id, observed(foreign)) for _ in range(2)]

    assert [sent(turn) for turn in turns] == [[], []]
    assert [told(turn) for turn in turns] == [[("guest.foreign", f"host:{host_id}")], []]
    assert vm.vm_id not in reactor.cluster.observed


@pytest.mark.parametrize("vm_id", [99, -1, 2**60])
def test_a_guest_of_a_number_that_was_never_given_is_only_told_of(vm_id):
    reactor = a_site()
    submit(reactor)
    turns = [say(reactor, 1, observed(guest(vm_id))) for _ in range(2)]

    assert [sent(turn) for turn in turns] == [[], []]
    assert [told(turn) for turn in turns] == [[("guest.foreign", "host:1")], []]


def test_a_guest_that_is_off_and_of_no_number_of_ours_is_nobodys_business():
    assert told(say(a_site(), 1, observed(guest(99, power=OFF)))) == []


@pytest.mark.parametrize("generation", [1, 2, 3])
def test_a_guest_that_claims_the_present_generation_elsewhere_is_only_told_of(generation):
    reactor = a_site()
    vm = a_vm(reactor, host_id=2)
    turn = say(reactor, 1, observed(guest(vm.vm_id, generation)))

    assert (sent(turn), told(turn)) == ([], [("guest.foreign", "host:1")])
    assert now(reactor, vm).state is VmState.RUNNING


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("host_id", [1, 2])
def test_a_vm_that_is_moving_is_never_disowned(live, host_id):
    reactor = a_site()
    vm = a_vm(reactor)
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2", live=live)
    sends = []
    while now(reactor, vm).operation_id:
        sends += [sent(say(reactor, host_id, observed(guest(vm.vm_id, n)))) for n in (0, 1, 2, 3)]
        end_leg(reactor, vm)

    assert [each for each in sends if each] == []


def test_files_of_a_stopped_vm_are_never_disowned():
    reactor = a_site()
    vm = a_vm(reactor, VmState.STOPPED)
    change(reactor, vm, spec=replace(vm.spec, generation=5))

    assert sent(say(reactor, 1, observed(guest(vm.vm_id, 4, OFF)))) == []
    assert sent(say(reactor, 2, observed(guest(vm.vm_id, 4, OFF)))) == [
        (2, Disown(vm_id=vm.vm_id, generation=5, uuid=vm.spec.uuid))
    ]


# --- what a host says of itself


def test_a_host_may_say_anything_of_itself_and_is_believed():
    reactor = a_reactor(a_host(1))
    new = Advertisement(capacity=Capacity(cpu_cores=2, memory_mib=3), drivers=drivers(), bridges=("br0",))
    turn = say(reactor, 1, Advertise(advertisement=new))
    again = say(reactor, 1, Advertise(advertisement=new))

    assert reactor.cluster.hosts[HostId(1)].advertisement == new
    assert ([change.key for change in turn.changes], again.changes) == ([1], [])


def test_a_heartbeat_is_kept_in_memory_only():
    reactor = a_reactor(a_host(1))
    beat = Heartbeat(cpu_used_cores=1.5, memory_used_mib=7)
    turn = say(reactor, 1, beat, now_s=NOW_S + 3)

    assert (turn.changes, turn.events, reactor.cluster.load) == ([], [], {1: beat})
    assert reactor.cluster.heard_at_s == {1: NOW_S + 3}


def test_images_come_and_go():
    reactor = a_reactor(a_host(1, images=[digest("a"), digest("b")]))
    say(reactor, 1, ImagesChanged(added=(digest("c"), digest("a")), removed=(digest("b"), digest("x"))))

    assert reactor.cluster.hosts[HostId(1)].advertisement.images == (digest("a"), digest("c"))


def test_images_that_were_known_already_change_nothing():
    reactor = a_reactor(a_host(1, images=[digest("a")]))

    assert say(reactor, 1, ImagesChanged(added=(digest("a"),), removed=(digest("x"),))).changes == []


# --- a host speaks only of itself


def about(operation_id, host_vm_id):
    """Return for each message of a host one that speaks of an operation or VM."""
    return {
        StepStarted: StepStarted(operation_id=operation_id, leg=0, step_id=1),
        Progress: Progress(operation_id=operation_id, step_id=0, done_bytes=1, total_bytes=2),
        LegEnded: LegEnded(operation_id=operation_id, leg=0, undo=False, status=LegStatus.DONE, outcomes={}),
        Observed: observed(guest(host_vm_id, 1, OFF), complete=True),
        Advertise: Advertise(advertisement=replace(a_host(2).advertisement, guests=(guest(host_vm_id, 1, OFF),))),
        Heartbeat: Heartbeat(cpu_used_cores=1, memory_used_mib=1),
        ImagesChanged: ImagesChanged(),
        Goodbye: Goodbye(reason="bye"),
    }


OF_ITSELF = {Heartbeat, ImagesChanged, Goodbye, Advertise}


@pytest.mark.parametrize("handled", sorted(agents.HANDLERS, key=str), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("operation", ["another host's", "finished", "unknown"])
def test_a_host_changes_nothing_that_is_not_its_own(handled, operation):
    reactor = a_site()
    vm = a_vm(reactor, template=BARE, host_id=1)
    ask(reactor, "vm.suspend", vm_id=vm.vm_id)
    if operation == "finished":
        end_leg(reactor, vm)
    before = picture(reactor.cluster)
    turn = say(reactor, 2, about("o77" if operation == "unknown" else "o0", vm.vm_id)[handled])
    after = picture(reactor.cluster)

    for table in ("hosts", "load") if handled in OF_ITSELF else ():
        before[table].pop(2, None)
        after[table].pop(2, None)
    assert after == before
    assert [message for _, message in sent(turn) if not isinstance(message, Confirm)] == []
    assert {host_id for host_id, _ in sent(turn)} <= {2}


def test_every_message_of_a_host_is_tried_here():
    assert set(about("o0", 0)) == set(agents.HANDLERS)


@pytest.mark.parametrize("message", [about("o0", 0)[kind] for kind in agents.HANDLERS], ids=lambda m: type(m).__name__)
def test_a_host_that_is_no_more_changes_nothing(message):
    reactor = a_site()
    a_vm(reactor)
    before = picture(reactor.cluster)
    turn = say(reactor, 9, message)

    assert (picture(reactor.cluster), turn.changes, turn.sends) == (before, [], [])


def test_a_message_of_the_shells_changes_nothing():
    reactor = a_site()
    before = picture(reactor.cluster)
    turn = say(reactor, 1, ConsoleOutput(stream_id=1, data=b"x"))

    assert (picture(reactor.cluster), turn.changes) == (before, [])


def test_a_leg_of_an_operation_is_ended_by_its_own_host_only_even_where_both_take_part():
    reactor = a_site()
    vm = a_vm(reactor)
    ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2")
    before = picture(reactor.cluster)
    turn = say(reactor, 2, leg_ended(operation_of(reactor, vm)))

    assert (picture(reactor.cluster), turn.sends) == (before, [])
