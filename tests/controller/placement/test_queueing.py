"""The queue of a cluster: what it is made of follows the records, waits end in time, and a restart changes nothing."""

import itertools
import os

import msgspec
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from tests.controller.builders import (
    ANN,
    BARE,
    BOB,
    NOW_S,
    SEALED_DISK,
    a_host,
    a_reactor,
    a_site,
    a_vm,
    ask,
    change,
    finish,
    now,
    put,
    refusal,
    submit,
    told,
    turn_of,
)

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.indexes.queue_index import QueueIndex
from innkeeper_controller.opennebula.documents.vm_template import user_template
from innkeeper_controller.placement import queueing
from innkeeper_controller.records import HistoryRecord, VmRecord
from innkeeper_controller.scheduling.options import Options, OrderOptions
from innkeeper_controller.scheduling.order.queue import LeftOut, Line, Waiting
from innkeeper_controller.scheduling.wishes import Gang, Relation, Term, Wishes
from innkeeper_plugins.vocabulary import HostId, Vm, VmId, VmState

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
GANG = Gang(name="mpi", size=3)
MPI = BARE + "GANG = [ NAME = mpi, SIZE = 3 ]\n"


def waiting(reactor, template=BARE, *, now_s=NOW_S, **params):
    """Return a VM that waits since then."""
    vm = submit(reactor, template, hold=False, **params)
    return change(reactor, vm, since_s=now_s)


def order(reactor, now_s=NOW_S, **more):
    return queueing.order_of(reactor.cluster, reactor.settings, now_s, **more)


def expired(reactor, now_s):
    turn = turn_of(reactor, user=None, now_s=now_s)
    queueing.expire(turn)
    return turn


def rebuilt(cluster):
    """Return the cluster as a restart finds it."""
    found = Cluster()
    kinds = (cluster.users, cluster.hosts, cluster.operations, cluster.vms, cluster.history_records)
    found.load_records(itertools.chain.from_iterable(each.values() for each in kinds), dict(cluster.last_ids))
    return found


# --- the order


def test_vms_that_wait_are_ordered_by_what_their_records_say():
    reactor = a_reactor(a_host())
    late, early, urgent = (
        waiting(reactor, BARE + more, now_s=NOW_S - waited_s, user=user)
        for more, waited_s, user in (("", 0, ANN), ("", 7200, ANN), ("", 0, BOB))
    )
    urgent = change(reactor, urgent, wishes=Wishes(priority=5))

    assert order(reactor) == [urgent.vm_id, early.vm_id, late.vm_id]
    assert order(reactor, vm_ids=[late.vm_id, early.vm_id, VmId(99)]) == [early.vm_id, late.vm_id]


def test_who_holds_many_cores_for_long_comes_after_who_holds_none():
    reactor = a_site()
    a_vm(reactor)
    mine, of_bob = waiting(reactor), waiting(reactor, user=BOB)
    first = order(reactor)

    assert first == [mine.vm_id, of_bob.vm_id]
    assert order(reactor, NOW_S + 60) == [of_bob.vm_id, mine.vm_id]


def test_a_start_begins_with_the_stays_that_memory_has():
    stays = [
        HistoryRecord(
            vm_id=VmId(1), seq=seq, host_id=HostId(1), host_name="h1", owner=owner, group="users", cpu_cores=cores,
            began_at_s=NOW_S - 100, ended_at_s=ended_at_s,
        )
        for seq, owner, cores, ended_at_s in ((0, "ann", 3.0, NOW_S - 50), (1, "bob", 1.0, None))
    ]  # fmt: skip
    reactor = a_reactor()
    reactor.cluster.history_records = {each.history_id: each for each in stays}

    found = queueing.shares_of(reactor.cluster, reactor.settings, NOW_S)
    assert found.share_of_user("ann", NOW_S) == pytest.approx(0.6, rel=1e-3)
    assert found.share_of_user("bob", NOW_S) == pytest.approx(0.4, rel=1e-3)


def test_another_half_life_counts_anew():
    reactor = a_site()
    first = queueing.shares_of(reactor.cluster, reactor.settings, NOW_S)
    other = msgspec.structs.replace(reactor.settings, scheduling=Options(order=OrderOptions(half_life_s=60.0)))

    assert queueing.shares_of(reactor.cluster, reactor.settings, NOW_S) is first
    assert queueing.shares_of(reactor.cluster, other, NOW_S).half_life_s == 60.0


def test_a_place_in_the_queue_is_told_of_those_that_wait():
    reactor = a_reactor(a_host())
    first, second = waiting(reactor), waiting(reactor)
    held = submit(reactor, BARE)

    found = queueing.place_of(reactor.cluster, reactor.settings, second, NOW_S + 3600)
    assert found is not None
    assert found.words == "place 2 of 2: priority 0, waited 1.0 h +1.0, fair share +10.0"
    assert queueing.place_of(reactor.cluster, reactor.settings, held, NOW_S) is None
    assert first.vm_id == order(reactor)[0]


# --- gangs and limits


def test_a_gang_is_looked_at_once_it_is_complete():
    reactor = a_reactor(a_host())
    first, second = waiting(reactor, MPI), waiting(reactor, MPI)
    alone = queueing.line_of(reactor.cluster, reactor.settings, NOW_S)
    third = waiting(reactor, MPI)

    words = "Its gang mpi needs 3 VMs, of which 2 wait; it goes on when the rest wait too."
    assert alone == Line(units=(), left_out=dict.fromkeys([first.vm_id, second.vm_id], LeftOut(words=words)))
    assert queueing.line_of(reactor.cluster, reactor.settings, NOW_S, [third.vm_id]) == Line(
        units=((third.vm_id, first.vm_id, second.vm_id),)
    )
    assert queueing.left_out(reactor.cluster, reactor.settings, first) is None


def test_why_a_vm_is_not_looked_at_is_told():
    limits = Options(order=OrderOptions(max_placed_per_user=1))
    reactor = a_site(scheduling=limits)
    gang, mine = waiting(reactor, MPI, user=BOB), waiting(reactor)
    a_vm(reactor)

    found = [queueing.left_out(reactor.cluster, reactor.settings, each) for each in (gang, mine)]
    assert found == [
        LeftOut(words="Its gang mpi needs 3 VMs, of which 1 waits; it goes on when the rest wait too."),
        LeftOut(words="Its owner ann has 1 VM on hosts, which is the limit; it goes on when one ends."),
    ]
    assert queueing.limits_of(reactor.cluster, reactor.settings).refusal("bob") is None
    assert queueing.left_out(reactor.cluster, reactor.settings, submit(reactor, BARE)) is None


# --- the index

STATES = st.sampled_from(
    [VmState.PENDING, VmState.HOLD, VmState.RUNNING, VmState.PROLOG, VmState.UNDEPLOYED, VmState.FAILED, VmState.DONE]
)
WISHES = st.builds(
    Wishes,
    priority=st.integers(0, 1),
    gang=st.sampled_from([None, GANG, Gang(name="other", size=1)]),
    pending_timeout_s=st.sampled_from([None, 10.0, 20.0]),
)
RECORDS = st.builds(
    VmRecord,
    vm_id=st.integers(0, 3).map(VmId),
    name=st.just("vm"),
    owner=st.sampled_from(["ann", "bob"]),
    group=st.sampled_from(["users", "lab"]),
    state=STATES,
    spec=st.builds(
        Vm, vm_id=st.just(VmId(0)), name=st.just("vm"), uuid=st.just(""), generation=st.just(0),
        cpu_cores=st.sampled_from([0.1, 0.2, 1.0]), vcpus=st.just(1), memory_mib=st.just(1),
    ),
    host_id=st.sampled_from([None, HostId(1)]),
    wishes=WISHES,
    since_s=st.integers(0, 5).map(float),
)  # fmt: skip


@seed(SEED)
@settings(max_examples=40, deadline=None)
@given(st.lists(RECORDS, max_size=8))
def test_the_index_is_the_same_as_one_made_of_the_last_records(changes):
    index, last, steps = QueueIndex(), {}, []
    for new in changes:
        old = last.get(new.vm_id)
        index.apply(old, new)
        steps.append((old, new))
        last[new.vm_id] = new
    fresh = QueueIndex()
    for each in last.values():
        fresh.apply(None, each)

    assert index == fresh
    for old, new in reversed(steps):
        index.apply(new, old)
    assert index == QueueIndex()


@seed(SEED)
@settings(max_examples=30, deadline=None)
@given(st.lists(RECORDS, max_size=8))
def test_every_vm_that_waits_has_its_deadline_in_a_heap(changes):
    index, last = QueueIndex(), {}
    for new in changes:
        index.apply(last.get(new.vm_id), new)
        last[new.vm_id] = new
    for each in index.waiting.values():
        own = each.timeout_s
        heap, key = (index.arrivals, each.since_s) if own is None else (index.deadlines, each.since_s + own)

        assert (key, each.vm_id) in heap


def test_deadlines_of_the_past_do_not_pile_up():
    reactor = a_reactor()
    vm = waiting(reactor)
    for number in range(2000):
        change(reactor, now(reactor, vm), state=VmState.HOLD)
        vm = change(reactor, now(reactor, vm), state=VmState.PENDING, since_s=NOW_S + number)

    assert len(reactor.cluster.queue.arrivals) < 1100
    assert reactor.cluster.queue.waiting == {
        vm.vm_id: Waiting(vm_id=vm.vm_id, owner="ann", group="users", since_s=NOW_S + 1999)
    }


# --- the end of a wait


def test_a_wait_ends_at_its_limit_with_what_it_waited_for():
    reactor = a_reactor(a_host())
    vm = waiting(reactor, BARE + "PENDING_TIMEOUT = 60\n")
    reactor.cluster.waits[vm.vm_id] = "None of 1 hosts has 512 MiB free."
    early = expired(reactor, NOW_S + 59.9)
    turn = expired(reactor, NOW_S + 60)

    assert early.events == []
    assert now(reactor, vm) == msgspec.structs.replace(
        vm,
        state=VmState.FAILED,
        since_s=NOW_S + 60,
        error="It was PENDING for 60 s, its limit, and was not placed: None of 1 hosts has 512 MiB free.",
    )
    assert told(turn) == [("vm.state", f"vm:{vm.vm_id}"), ("vm.wait_ended", f"vm:{vm.vm_id}")]
    assert expired(reactor, NOW_S + 999).events == []


def test_what_the_operator_decided_counts_where_the_template_says_nothing():
    reactor = a_reactor(a_host(), scheduling=Options(pending_timeout_s=30.0))
    usual, patient = waiting(reactor), waiting(reactor, BARE + "PENDING_TIMEOUT = 40\n")
    expired(reactor, NOW_S + 30)
    states = [now(reactor, each).state for each in (usual, patient)]
    expired(reactor, NOW_S + 40)

    assert states == [VmState.FAILED, VmState.PENDING]
    assert now(reactor, patient).error == (
        "It was PENDING for 40 s, its limit, and was not placed: no scheduler has looked at it."
    )


def test_without_a_limit_a_vm_waits_for_ever():
    reactor = a_reactor(a_host())
    vm = waiting(reactor)
    expired(reactor, NOW_S + 1e9)

    assert now(reactor, vm).state is VmState.PENDING


def test_a_wait_that_began_anew_has_all_of_its_time():
    reactor = a_reactor(a_host())
    vm = waiting(reactor, BARE + "PENDING_TIMEOUT = 60\n")
    ask(reactor, "vm.hold", vm_id=vm.vm_id, now_s=NOW_S + 50)
    ask(reactor, "vm.release", vm_id=vm.vm_id, now_s=NOW_S + 55)
    expired(reactor, NOW_S + 100)
    state = now(reactor, vm).state
    expired(reactor, NOW_S + 115)

    assert (state, now(reactor, vm).state) == (VmState.PENDING, VmState.FAILED)


def test_a_restart_remembers_who_waits_until_when():
    reactor = a_reactor(a_host())
    vm = waiting(reactor, BARE + "PENDING_TIMEOUT = 60\n")
    reactor.cluster = rebuilt(reactor.cluster)
    expired(reactor, NOW_S + 60)

    assert now(reactor, vm).state is VmState.FAILED


def test_a_vm_that_waited_too_long_keeps_its_address_and_waits_again_when_people_retry():
    reactor = a_site()
    vm = waiting(reactor, "MEMORY = 512\nCPU = 1\nNIC = [ NETWORK = lan ]\nPENDING_TIMEOUT = 60\n")
    leases = dict(reactor.cluster.leases)
    expired(reactor, NOW_S + 60)
    kept = dict(reactor.cluster.leases)
    ask(reactor, "vm.recover", vm_id=vm.vm_id, how="retry", now_s=NOW_S + 100)

    assert leases == kept != {}
    assert now(reactor, vm) == msgspec.structs.replace(vm, since_s=NOW_S + 100)


@pytest.mark.parametrize(("how", "state"), [("retry", VmState.PENDING), ("rollback", VmState.HOLD)])
def test_a_stopped_vm_that_found_no_host_again_keeps_its_files(how, state):
    reactor = a_site()
    vm = a_vm(reactor, VmState.RUNNING)
    ask(reactor, "vm.stop", vm_id=vm.vm_id)
    stopped = finish(reactor, vm)
    ask(reactor, "vm.resume", vm_id=vm.vm_id, now_s=NOW_S + 1)
    change(reactor, now(reactor, vm), wishes=Wishes(pending_timeout_s=60.0))
    expired(reactor, NOW_S + 61)
    failed = now(reactor, vm)
    ask(reactor, "vm.recover", vm_id=vm.vm_id, how=how, now_s=NOW_S + 70)
    found = now(reactor, vm)

    assert stopped is not None
    assert stopped.sealed == (SEALED_DISK,)
    assert failed.state is VmState.FAILED
    assert (found.state, found.sealed, found.sealed_on, found.saved) == (state, (SEALED_DISK,), stopped.sealed_on, True)


def test_a_vm_that_is_being_deployed_or_ended_is_left_alone():
    reactor = a_site()
    vm = waiting(reactor, BARE + "PENDING_TIMEOUT = 60\n")
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1")
    gone = waiting(reactor, BARE + "PENDING_TIMEOUT = 60\n")
    ask(reactor, "vm.terminate", vm_id=gone.vm_id)
    turn = expired(reactor, NOW_S + 60)

    assert (turn.events, now(reactor, vm).state.value in {"PROLOG", "BOOT"}) == ([], True)


# --- what templates say, in records


def test_a_submitted_vm_has_the_wishes_of_its_template():
    reactor = a_reactor(a_host())
    vm = submit(reactor, MPI + "USER_PRIORITY = 7\nPLACEMENT_GROUP = web\n", user=reactor.cluster.users["root"])

    assert vm.wishes == Wishes(priority=7, groups=("web",), gang=GANG)


def test_priority_is_for_administrators_unless_the_configuration_says_otherwise():
    reactor = a_reactor(a_host())
    found = refusal(lambda: submit(reactor, BARE + "SCHED_PRIORITY = 7\n"))
    free = a_reactor(a_host(), restricted_vm=())

    assert found is not None
    assert (found.code, [each.field for each in found.mistakes]) == ("forbidden", ["SCHED_PRIORITY"])
    assert submit(free, BARE + "SCHED_PRIORITY = 7\n").wishes == Wishes(priority=7)


def test_a_vm_that_is_named_has_to_be_there_and_to_be_for_who_names_it():
    reactor = a_reactor(a_host())
    mine, of_bob = submit(reactor, BARE), submit(reactor, BARE, user=BOB)
    missing = refusal(lambda: submit(reactor, BARE + 'AFFINITY = [ VM = "77" ]\n'))
    foreign = refusal(lambda: submit(reactor, BARE + f'ANTI_AFFINITY = [ VM = "{of_bob.vm_id}" ]\n'))
    made = submit(reactor, BARE + f'AFFINITY = [ VM = "{mine.vm_id}" ]\n')

    assert missing is not None
    assert [(each.field, each.line, each.column, each.message) for each in missing.mistakes] == [
        ("AFFINITY/VM", 4, 20, "There is no VM 77, or it has ended; `inn vm list` shows those that there are.")
    ]
    assert foreign is not None
    assert foreign.code == "forbidden"
    assert [each.vm_ids for each in made.wishes.terms] == [(mine.vm_id,)]


def test_a_put_of_the_same_vm_changes_nothing():
    reactor = a_reactor(a_host())
    vm = waiting(reactor)
    before = dict(reactor.cluster.queue.waiting)
    put(reactor, msgspec.structs.replace(vm, resched=True))

    assert reactor.cluster.queue.waiting == before


def test_people_change_the_wishes_of_a_vm_that_waits():
    reactor = a_reactor(a_host())
    vm = waiting(reactor, BARE + "AFFINITY = [ GROUP = db ]\n")
    reactor.cluster.unconsidered.clear()
    text = 'SCHED_PRIORITY = 4\nAFFINITY = ""\nSPREAD = [ GROUP = "web, app", SCOPE = rack ]\nNOTE = kept\n'
    ask(reactor, "vm.update", vm_id=vm.vm_id, template=text, append=True)

    spread = Term(relation=Relation.SPREAD, groups=("web", "app"), scope="rack")
    assert now(reactor, vm) == msgspec.structs.replace(
        vm, wishes=Wishes(priority=4, terms=(spread,)), attributes={"NOTE": "kept"}
    )
    assert list(reactor.cluster.unconsidered) == [vm.vm_id]
    assert reactor.cluster.queue.waiting[vm.vm_id].priority == 4


def test_where_a_vm_is_on_a_host_its_relations_stay_as_they_are():
    reactor = a_site()
    vm = a_vm(reactor)
    found = refusal(lambda: ask(reactor, "vm.update", vm_id=vm.vm_id, template="PLACEMENT_GROUP = web", append=True))
    ask(reactor, "vm.update", vm_id=vm.vm_id, template="SCHED_PRIORITY = 4", append=True)
    raised = refusal(
        lambda: ask(reactor, "vm.update", vm_id=vm.vm_id, template="SCHED_PRIORITY = 9", append=True, user=ANN)
    )

    assert found is not None
    assert (found.code, str(found)) == (
        "wrong_state",
        f"Whom VM {vm.vm_id} wants near or far is changed while it is PENDING or HOLD; it is RUNNING.",
    )
    assert now(reactor, vm).wishes == Wishes(priority=4)
    assert raised is not None
    assert raised.code == "forbidden"


def test_a_vm_that_is_named_later_on_has_to_be_for_who_names_it():
    reactor = a_reactor(a_host())
    mine, of_bob = waiting(reactor), waiting(reactor, user=BOB)
    found = [
        refusal(
            lambda name=name: ask(
                reactor, "vm.update", vm_id=mine.vm_id, template=f"AFFINITY = [ VM = {name} ]", append=True, user=ANN
            )
        )
        for name in (of_bob.vm_id, 77)
    ]

    assert [each and each.code for each in found] == ["forbidden", "not_found"]


def test_a_user_who_sends_back_what_a_client_shows_changes_no_priority():
    reactor = a_reactor(a_host())
    vm = change(reactor, waiting(reactor), wishes=Wishes(priority=5))
    reactor.cluster.waits[vm.vm_id] = "There is no host yet."
    text = 'USER_PRIORITY = "5"\nSCHED_MESSAGE = "There is no host yet."\nNOTE = kept\n'
    shown = user_template(reactor.cluster, vm)
    ask(reactor, "vm.update", vm_id=vm.vm_id, template=text, append=False, user=ANN)
    first = now(reactor, vm)
    ask(reactor, "vm.update", vm_id=vm.vm_id, template="NOTE = other", append=False, user=ANN)

    assert "<USER_PRIORITY>5</USER_PRIORITY>" in shown
    assert ": There is no host yet.</SCHED_MESSAGE>" in shown
    assert (first.wishes, first.attributes) == (Wishes(priority=5), {"NOTE": "kept"})
    assert (now(reactor, vm).wishes, now(reactor, vm).attributes) == (Wishes(priority=5), {"NOTE": "other"})
