"""Another scheduler chooses, the records decide; whatever it answers, no VM is placed twice and nobody waits for it."""

import contextlib
import json
import os
from random import Random

import pytest
from tests.controller.builders import (
    ADMIN,
    ANN,
    BARE,
    NOW_S,
    a_host,
    a_reactor,
    ask,
    finish,
    now,
    put,
    refusal,
    submit,
)

from innkeeper_controller import verify
from innkeeper_controller.deciders.rounds import FIRST_REST_S, MAX_REST_S, Outcome
from innkeeper_controller.deciders.snapshot import MAX_ASKED, Chosen, NonsenseError, from_json, to_json
from innkeeper_controller.placement.scheduler import BATCH
from innkeeper_controller.records import HostState
from innkeeper_controller.scheduling.options import Options, OrderOptions
from innkeeper_controller.turn import RefusalError
from innkeeper_hostagent.protocol.messages import Hello
from innkeeper_plugins.vocabulary import Capacity, HostId, VmState

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
HELLO = Hello(major=1, minor=0, agent_version="1", host_name="h")
NONE = Capacity()

CALLED = "the program /sched"
MPI = BARE + "GANG = [ NAME = mpi, SIZE = 2 ]\n"


class Outside:
    """A reactor, and the program that decides for it."""

    def __init__(self, *records, **settings):
        self.reactor = a_reactor(*records, scheduler="program", **settings)
        self.rounds = self.reactor.ask_outside(CALLED)
        self.now_s = NOW_S
        self.events = []

    def wait(self, template=BARE, **params):
        return submit(self.reactor, template, hold=False, **params)

    def schedule(self):
        self.noted(self.reactor.schedule(self.now_s))

    def question(self):
        """Let a second go by and return what is asked, None for nothing."""
        self.schedule()
        self.now_s += 1.0
        return self.rounds.question(self.reactor.cluster, self.reactor.settings, self.now_s)

    def answer(self, *pairs, trouble=""):
        chosen = tuple(Chosen(vm=vm if isinstance(vm, int) else vm.vm_id, host=host) for vm, host in pairs)
        self.noted(self.reactor.decided(Outcome(chosen=chosen, trouble=trouble), self.now_s))

    def noted(self, turn):
        self.events += [event for event in turn.events if event.what.startswith("scheduler.")]

    def told(self):
        """Return what people were told since this was asked last."""
        told = [(event.what, event.subject, event.detail.get("why", "")) for event in self.events]
        self.events.clear()
        return told

    def hosts(self, *vms):
        return [now(self.reactor, vm).host_id for vm in vms]

    def why(self, vm):
        return ask(self.reactor, "vm.why", vm_id=vm.vm_id, now_s=self.now_s).reason


def asked(question):
    return [vm.vm_id for vm in question.snapshot.vms]


def test_the_program_is_asked_of_who_waits_and_its_choice_is_carried_out():
    outside = Outside(a_host(1), a_host(2))
    vms = [outside.wait(), outside.wait()]
    question = outside.question()
    before = outside.hosts(*vms)
    outside.answer((vms[0], "h2"), (vms[1], "h1"))

    assert asked(question) == [0, 1]
    assert before == [None, None]
    assert outside.hosts(*vms) == [2, 1]
    assert outside.told() == []


def test_it_is_asked_one_question_at_a_time_once_a_second_and_only_after_something_changed():
    outside = Outside(a_host(1))
    outside.wait()
    first = outside.question()
    meanwhile = outside.wait()
    while_it_thinks = outside.question()
    outside.answer()
    too_early = outside.rounds.question(outside.reactor.cluster, outside.reactor.settings, first.snapshot.now_s + 0.5)
    second = outside.question()
    outside.answer()

    assert while_it_thinks is None
    assert too_early is None
    assert asked(second) == [0, meanwhile.vm_id]
    assert outside.question() is None


def test_a_host_that_comes_is_a_reason_to_ask_again():
    outside = Outside(a_host(1))
    outside.wait()
    outside.question()
    outside.answer()
    put(outside.reactor, a_host(2))

    assert [host.name for host in outside.question().snapshot.hosts] == ["h1", "h2"]


def test_a_vm_that_it_leaves_out_waits_and_why_tells_that_the_program_decides():
    outside = Outside(a_host(1))
    vm = outside.wait()
    not_yet = outside.why(vm)
    outside.question()
    outside.answer()
    outside.now_s += 3

    assert not_yet == "The program /sched decides; it was not asked yet."
    assert outside.why(vm) == (
        "The program /sched decides; it was last asked 3 s ago. The program /sched chose no host for it."
    )
    assert outside.hosts(vm) == [None]


def test_a_full_host_is_refused_and_told_and_the_others_go_where_it_chose():
    outside = Outside(a_host(1, memory_mib=600), a_host(2))
    vms = [outside.wait(), outside.wait(), outside.wait()]
    outside.question()
    outside.answer((vms[0], "h1"), (vms[1], "h1"), (vms[2], "h2"))
    told = outside.told()

    assert outside.hosts(*vms) == [1, None, 2]
    assert [(what, subject) for what, subject, _ in told] == [("scheduler.refused", "vm:1")]
    assert told[0][2].startswith("Host h1 cannot take VM 1: ")
    assert outside.why(vms[1]).startswith("The program /sched decides; it was last asked 0 s ago. The program /sched")
    assert "chose h1, which was refused: Host h1 cannot take VM 1" in outside.why(vms[1])
    assert asked(outside.question()) == [1]


def test_what_a_person_did_meanwhile_counts():
    outside = Outside(a_host(1), a_host(2))
    vms = [outside.wait(), outside.wait(), outside.wait(), outside.wait()]
    outside.question()
    ask(outside.reactor, "vm.deploy", vm_id=0, host="h2")
    ask(outside.reactor, "vm.hold", vm_id=1)
    ask(outside.reactor, "vm.terminate", vm_id=2, hard=True)
    outside.answer(*((vm, "h1") for vm in vms))

    assert outside.hosts(vms[0], vms[1], vms[3]) == [2, None, 1]
    assert outside.told() == [
        ("scheduler.refused", f"vm:{number}", "it does not wait any more") for number in (0, 1, 2)
    ]


@pytest.mark.parametrize("change", ["lost", "disabled", "deleted"])
def test_a_host_that_fails_meanwhile_gets_nothing(change):
    outside = Outside(a_host(1), a_host(2))
    vm = outside.wait()
    outside.question()
    match change:
        case "lost":
            outside.reactor.lost(HostId(1), outside.now_s)
        case "disabled":
            put(outside.reactor, a_host(1, state=HostState.DISABLED))
        case "deleted":
            ask(outside.reactor, "host.disable", host="h1")
            ask(outside.reactor, "host.delete", host="h1", force=True)
    outside.answer((vm, "h1"))

    assert outside.hosts(vm) == [None]
    assert [(what, subject) for what, subject, _ in outside.told()] == [
        ("scheduler.refused", "vm:0"),
        ("scheduler.program_failed", "controller"),
    ]


LIES = {
    "it placed VM 77, which it was not asked about": ((77, "h1"),),
    "it placed VM 0 twice": ((0, "h1"), (0, "h2")),
    "it placed VM 0 on host 'h9', which does not exist": ((0, "h9"), (1, "h1")),
}


@pytest.mark.parametrize("lie", LIES)
def test_nothing_of_an_answer_that_cannot_be_right_is_carried_out_and_the_built_in_scheduler_takes_over(lie):
    outside = Outside(a_host(1), a_host(2))
    vms = [outside.wait(), outside.wait()]
    outside.question()
    outside.answer(*LIES[lie])
    at_once = outside.hosts(*vms)
    outside.schedule()

    assert at_once == [None, None]
    assert outside.hosts(*vms) == [1, 1]
    assert outside.told() == [("scheduler.program_failed", "controller", lie)]


def test_while_it_rests_the_built_in_scheduler_places_who_comes_and_why_tells():
    outside = Outside(a_host(1, memory_mib=600))
    outside.wait()
    outside.question()
    outside.answer(trouble="/sched was killed after 5 s")
    outside.schedule()
    second = outside.wait()
    outside.schedule()

    assert outside.hosts(second) == [None]
    assert outside.why(second).endswith(
        "The program /sched failed (/sched was killed after 5 s), so the built-in scheduler decides; "
        "it is asked again in 1 s."
    )


def test_it_is_tried_again_after_twice_as_long_each_time_and_the_operator_is_told_once():
    outside = Outside(a_host(1, memory_mib=100))
    outside.wait()
    rests = []
    for _ in range(12):
        outside.now_s = max(outside.now_s, outside.rounds.due_at_s)
        assert outside.question() is not None
        outside.answer(trouble="it crashed")
        rests.append(outside.rounds.due_at_s - outside.now_s)
    told = outside.told()
    outside.now_s = outside.rounds.due_at_s
    outside.question()
    outside.answer()

    assert rests[:4] == [FIRST_REST_S, 2.0, 4.0, 8.0]
    assert rests[-1] == MAX_REST_S
    assert told == [("scheduler.program_failed", "controller", "it crashed")]
    assert outside.told() == [("scheduler.program_works", "controller", "")]


def test_one_that_always_chooses_full_hosts_loses_the_round():
    outside = Outside(a_host(1, memory_mib=100), a_host(2))
    vm = outside.wait()
    outside.question()
    outside.answer((vm, "h1"))
    outside.schedule()

    assert outside.hosts(vm) == [2]
    assert [what for what, _, _ in outside.told()] == ["scheduler.refused", "scheduler.program_failed"]


def test_a_gang_is_placed_whole_or_not_at_all():
    outside = Outside(a_host(1), a_host(2, memory_mib=600))
    gang = [outside.wait(MPI), outside.wait(MPI)]
    alone = outside.wait()
    outside.question()
    outside.answer((gang[0], "h1"), (alone, "h1"))
    half = outside.hosts(*gang, alone)
    outside.told()
    outside.question()
    outside.answer((gang[0], "h1"), (gang[1], "h2"))

    assert half == [None, None, 1]
    assert outside.hosts(*gang) == [1, 2]


def test_it_is_not_asked_about_vms_that_would_be_over_their_owners_limit():
    options = Options(order=OrderOptions(max_placed_per_user=1))
    outside = Outside(a_host(1), scheduling=options)
    vms = [outside.wait(user=ANN), outside.wait(user=ANN)]
    question = outside.question()
    outside.answer((vms[0], "h1"))

    assert asked(question) == [0]
    assert outside.question() is None
    assert "ann" in outside.why(vms[1])


def test_a_long_queue_is_asked_about_in_parts_so_that_nobody_is_forgotten():
    outside = Outside(a_host(1))
    outside.wait(count=MAX_ASKED + 5)
    first = outside.question()
    outside.answer()
    second = outside.question()
    outside.answer()

    assert (len(asked(first)), asked(second)) == (MAX_ASKED, list(range(MAX_ASKED, MAX_ASKED + 5)))
    assert outside.question() is None


def test_many_placements_take_several_turns_that_stay_short():
    outside = Outside(a_host(1, cpu_cores=2000.0, memory_mib=1_000_000))
    count = 2 * BATCH + 7
    outside.wait(count=count)
    outside.question()
    outside.answer(*((number, "h1") for number in range(count)))
    after = [sum(vm.host_id == 1 for vm in outside.reactor.cluster.vms.values())]
    while outside.reactor.cluster.unconsidered:
        outside.schedule()
        after.append(sum(vm.host_id == 1 for vm in outside.reactor.cluster.vms.values()))

    assert after == [BATCH, 2 * BATCH, count]


def test_the_snapshot_has_what_there_is_field_by_field():
    host = a_host(1, bridges=("br0",))
    outside = Outside(host)
    outside.wait(
        "NAME = web\nCPU = 0.5\nMEMORY = 512\nUSER_PRIORITY = 3\nRANK = FREE_CPU\nLICENSE = oracle\n", user=ADMIN
    )
    told = json.loads(to_json(outside.question().snapshot))
    (vm,), (told_host,) = told.pop("vms"), told.pop("hosts")

    assert told == {"version": 1, "now_s": NOW_S + 1, "waiting_total": 1, "places": {}}
    assert vm["attributes"]["LICENSE"] == "oracle"
    assert {
        name: vm[name]
        for name in ("vm_id", "name", "owner", "cpu", "memory_mib", "rank", "priority", "gang", "clusters")
    } == {
        "vm_id": 0,
        "name": "web",
        "owner": "root",
        "cpu": 0.5,
        "memory_mib": 512,
        "rank": "FREE_CPU",
        "priority": 3,
        "gang": None,
        "clusters": [0],
    }
    assert told_host["attributes"]["NAME"] == "h1"
    assert {name: told_host[name] for name in ("host_id", "name", "usable", "cpu_free", "memory_free_mib", "vms")} == {
        "host_id": 1,
        "name": "h1",
        "usable": True,
        "cpu_free": 8.0,
        "memory_free_mib": 16384,
        "vms": 0,
    }
    assert told_host["datastores"] == {"default": {"free_mib": 50_000}}


def test_the_snapshot_tells_where_those_are_that_somebody_wants_near_or_far():
    outside = Outside(a_host(1), a_host(2))
    (web, db) = (outside.wait(BARE + "PLACEMENT_GROUP = web\n"), outside.wait())
    ask(outside.reactor, "vm.deploy", vm_id=web.vm_id, host="h2")
    ask(outside.reactor, "vm.deploy", vm_id=db.vm_id, host="h1")
    outside.wait(BARE + f"ANTI_AFFINITY = [ GROUP = web ]\nAFFINITY = [ VM = {db.vm_id} ]\n")
    told = json.loads(to_json(outside.question().snapshot))

    assert [host["groups"] for host in told["hosts"]] == [{}, {"ann/web": 1}]
    assert told["places"] == {"1": "h1"}
    assert {
        (term["relation"], *term.get("groups", ()), *term.get("vm_ids", ())) for term in told["vms"][0]["terms"]
    } == {
        ("apart", "ann/web"),
        ("together", 1),
    }


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x00\xff\xfe" * 100,
        b"null",
        b"[]",
        b"{}",
        b'{"placements": 3}',
        b'{"placements": [{"vm": "7", "host": "h1"}]}',
        b'{"placements": [{"vm": 7.5, "host": "h1"}]}',
        b'{"placements": [{"vm": NaN, "host": "h1"}]}',
        b'{"placements": [{"vm": 7}]}',
        b'{"placements": [{"vm": 7, "host": 1}]}',
        b'{"placements": [{"vm": 1e400, "host": "h1"}]}',
        b'{"placements": [{"vm": 7, "host": "\xff"}]}',
        b'{"placements": []} and more',
        b"[" * 10_000,
        b'{"x": ' * 10_000,
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\0" * 1_000_000,
    ],
)
def test_an_answer_that_is_none_is_refused_and_says_what_one_looks_like(text):
    refused = refusal_of(text)

    assert str(refused).startswith('its answer is not like {"placements": [{"vm": 7, "host": "h1"}]}: ')
    assert len(str(refused)) < 300


def refusal_of(text):
    with pytest.raises(NonsenseError) as refused:
        from_json(text)
    return refused.value


def test_an_answer_may_have_more_than_is_asked_for():
    assert from_json(b'{"placements": [{"vm": 7, "host": "h1", "why": "cold"}], "took_s": 1}') == (
        Chosen(vm=7, host="h1"),
    )


def test_without_a_scheduler_clients_a_person_and_a_failing_host_never_place_a_vm_twice_nor_beyond_what_there_is():
    """The public request is all there is; each is held to the records as they are at that moment."""
    reactor = a_reactor(a_host(1, memory_mib=1100), a_host(2, memory_mib=1100), a_host(3), scheduler="none")
    vms = [submit(reactor, BARE, hold=False) for _ in range(8)]
    reactor.schedule(NOW_S)
    untouched = [now(reactor, vm).host_id for vm in vms]
    reactor.lost(HostId(3), NOW_S)
    refused = [
        refusal(lambda vm=vm, host=host: ask(reactor, "vm.deploy", vm_id=vm.vm_id, host=host))
        for host in ("h1", "h3", "h2", "h1")
        for vm in vms
    ]

    placed = [now(reactor, vm).host_id for vm in vms]
    assert untouched == [None] * 8
    assert sorted(host for host in placed if host) == [1, 1, 2, 2]
    assert sum(each is None for each in refused) == 4
    assert {each.code for each in refused if each} == {"no_capacity", "unreachable", "busy"}
    assert all(now(reactor, vm).state is VmState.PENDING for vm in vms if now(reactor, vm).host_id is None)


def placed_beyond(outside):
    """Return the hosts that have more than there is, and what else of the state contradicts itself."""
    hosts = outside.reactor.cluster.hosts.values()
    full = [host.name for host in hosts if outside.reactor.cluster.used.get(host.host_id, NONE).memory_mib > 1300]
    return full, verify.findings(outside.reactor.cluster)


def one_of(outside, random):
    """Return something that a person, a host, a program or time does."""
    number = outside.reactor.cluster.last_ids.get("vm", 0)
    vm_id, host_id = random.randrange(max(0, number - 12), number + 1), random.randrange(1, 4)
    return random.choice(
        [
            lambda: outside.wait(random.choice([BARE, MPI]), count=random.randrange(1, 4)),
            lambda: ask(outside.reactor, "vm.deploy", vm_id=vm_id, host=f"h{host_id}"),
            lambda: ask(outside.reactor, "vm.hold", vm_id=vm_id),
            lambda: ask(outside.reactor, "vm.release", vm_id=vm_id),
            lambda: ask(outside.reactor, "vm.terminate", vm_id=vm_id, hard=True),
            lambda: (
                vm_id in outside.reactor.cluster.vms and finish(outside.reactor, outside.reactor.cluster.vms[vm_id])
            ),
            lambda: outside.reactor.lost(HostId(host_id), outside.now_s),
            lambda: outside.reactor.connected(HostId(host_id), HELLO, outside.now_s),
            lambda: outside.noted(outside.reactor.tick(outside.now_s)),
            outside.question,
            outside.question,
            lambda: setattr(outside, "now_s", max(outside.now_s, outside.rounds.due_at_s)),
        ]
    )


def any_answer(outside, random):
    """Return an answer that may be right, wrong, or none."""
    kind = random.random()
    if kind < 0.1:
        return (), "it crashed"
    if kind < 0.2:
        return [(random.randrange(20), f"h{random.randrange(1, 5)}") for _ in range(4)], ""
    wanted = [vm.vm_id for vm in outside.rounds._question.snapshot.vms if random.random() < 0.7]
    return [(vm_id, f"h{random.randrange(1, 4)}") for vm_id in wanted], ""


@pytest.mark.parametrize("number", range(30))
def test_whatever_people_hosts_and_the_program_do_at_once_nothing_is_placed_twice_or_beyond_what_there_is(number):
    random = Random(SEED * 1000 + number)
    outside = Outside(*(a_host(host_id, memory_mib=1300) for host_id in (1, 2, 3)))
    for _ in range(120):
        with contextlib.suppress(RefusalError):
            one_of(outside, random)()
        if outside.rounds.is_asked and random.random() < 0.5:
            pairs, trouble = any_answer(outside, random)
            outside.answer(*pairs, trouble=trouble)
        assert placed_beyond(outside) == ([], ()), f"INNKEEPER_SEED={SEED}, number {number}"
