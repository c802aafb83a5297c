"""Plans come true: VMs go where a plan says, k more fit where k is said, and what no longer holds is refused."""

from random import Random

import msgspec
import pytest
from tests.controller.builders import (
    ADMIN,
    ANN,
    BARE,
    BOB,
    NOW_S,
    SHARED,
    TEMPLATE,
    a_host,
    a_network,
    a_reactor,
    a_site,
    a_vm,
    an_image,
    ask,
    ask_turn,
    change,
    digest,
    drivers,
    finish,
    now,
    picture,
    put,
    refusal,
    say,
    submit,
)

from innkeeper_controller.placement import capacity, departures, evacuations, losses, prospects
from innkeeper_controller.placement.fitting import demand_of
from innkeeper_controller.records import DefaultLimits, HostState, OperationKind
from innkeeper_controller.requests.plans import ApplyPlan
from innkeeper_controller.scheduling.options import Options, OrderOptions
from innkeeper_hostagent.protocol.messages import Heartbeat
from innkeeper_plugins.vocabulary import HostId, VmState

builtins = msgspec.to_builtins
SEEDS = range(12)
WISHES = (
    "",
    'SCHED_REQUIREMENTS = "FREE_CPU > 200"\n',
    'SCHED_RANK = "-RUNNING_VMS"\n',
    'SCHED_REQUIREMENTS = "NAME != h2"\n',
    'PLACEMENT_GROUP = "web"\nANTI_AFFINITY = [ GROUP = "web" ]\n',
)


NO_ADDRESSES = (
    "Network lan has 10 of 10 addresses free, 12 are needed; terminate a VM, release a held address, or make another "
    "network."
)


def a_cluster(seed, **settings):
    """Return hosts of random sizes with random VMs on them, all at rest."""
    random = Random(seed)
    hosts = [
        a_host(number, images=[digest("e")], cpu_cores=random.choice((2.0, 4.0, 8.0)), memory_mib=8192)
        for number in range(1, 7)
    ]
    reactor = a_reactor(*hosts, an_image(), a_network(size=200), **settings)
    for _ in range(8):
        template = TEMPLATE + random.choice(WISHES)
        submit(reactor, template, hold=False, set={"CPU": str(random.choice((0.5, 1, 2)))})
    settle(reactor)
    return random, reactor


def settle(reactor):
    """Let all that waits be looked at, and all that was begun come to its end."""
    reactor.schedule(NOW_S)
    while busy := [vm for vm in reactor.cluster.vms.values() if vm.operation_id is not None]:
        for vm in busy:
            finish(reactor, vm)
        reactor.schedule(NOW_S)


def hosts_of(plan):
    return {number: each.host_id for each in plan.placed for number in each.numbers}


def hosts_now(reactor, vm_ids):
    vms = [reactor.cluster.vms[vm_id] for vm_id in vm_ids]
    return {number: vm.host_id for number, vm in enumerate(vms) if vm.host_id is not None}


def fields_of(plan):
    """Return what a client sends of a plan that it got."""
    known = ApplyPlan.__struct_fields__
    return {key: value for key, value in builtins(plan).items() if key in known}


# --- submissions


@pytest.mark.parametrize("seed", SEEDS)
def test_vms_go_where_the_plan_says(seed):
    random, reactor = a_cluster(seed)
    template = TEMPLATE + random.choice(WISHES)
    params = {"template": template, "count": random.randint(1, 40)}
    before = picture(reactor.cluster)
    turn, plan = ask_turn(reactor, "plan.submit", user=ANN, **params)

    assert (turn.changes, turn.events, picture(reactor.cluster)) == ([], [], before)
    answer = ask(reactor, "vm.submit", user=ANN, **params)
    reactor.schedule(NOW_S)
    assert hosts_now(reactor, answer.vm_ids) == hosts_of(plan)
    assert plan.waiting == params["count"] - len(hosts_of(plan))
    assert (plan.misfit is None) == (plan.waiting == 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_plan_is_applied_exactly(seed):
    random, reactor = a_cluster(seed, scheduler="none")
    plan = ask(reactor, "plan.submit", user=ANN, template=TEMPLATE + random.choice(WISHES), count=12)
    applied = ask(reactor, "plan.apply", user=ANN, **fields_of(plan))

    assert hosts_now(reactor, applied.vm_ids) == hosts_of(plan)
    assert len(applied.waiting) == plan.waiting
    assert {reactor.cluster.vms[vm_id].state for vm_id in applied.waiting} <= {VmState.PENDING}


def test_those_who_wait_already_keep_their_turn():
    reactor = a_reactor(a_host(1, cpu_cores=4.0), scheduler="none")
    submit(reactor, BARE, hold=False, set={"CPU": "3"})
    plan = ask(reactor, "plan.submit", user=BOB, template=BARE, count=2)

    assert (plan.queued, plan.queued_placed, hosts_of(plan), plan.waiting) == (1, 1, {0: 1}, 1)


def test_a_vm_with_more_points_is_planned_before_those_that_wait():
    reactor = a_reactor(a_host(1, cpu_cores=4.0), scheduler="none")
    submit(reactor, BARE, hold=False, set={"CPU": "3"})
    plan = ask(reactor, "plan.submit", template=BARE + "USER_PRIORITY = 90\n", count=2)

    assert (plan.queued, plan.queued_placed, plan.waiting) == (1, 0, 0)


def test_those_who_were_looked_at_in_vain_are_not_looked_at_again_until_something_has_become_better():
    reactor = a_reactor(a_host(1, cpu_cores=2.0))
    large = submit(reactor, BARE, hold=False, set={"CPU": "3"})
    reactor.schedule(NOW_S)
    vain = ask(reactor, "plan.submit", user=ANN, template=BARE, count=2)
    put(reactor, a_host(2, cpu_cores=3.0))
    better = ask(reactor, "plan.submit", user=ANN, template=BARE, count=3)

    assert (vain.queued, vain.queued_placed, hosts_of(vain)) == (1, 0, {0: 1, 1: 1})
    assert (better.queued, better.queued_placed, better.waiting) == (1, 1, 1)
    reactor.schedule(NOW_S)
    assert now(reactor, large).host_id == 2


def test_a_vm_that_waits_for_an_image_takes_no_room_in_a_plan():
    reactor = a_reactor(a_host(1, cpu_cores=1.0), an_image(), a_network(), scheduler="none")
    submit(reactor, TEMPLATE, hold=False)
    plan = ask(reactor, "plan.submit", user=ANN, template=BARE)

    assert (plan.queued, plan.queued_placed, hosts_of(plan)) == (1, 0, {0: 1})


def test_a_plan_says_why_vms_would_wait_and_what_would_help():
    reactor = a_reactor(a_host(1, cpu_cores=1.0))
    plan = ask(reactor, "plan.submit", user=ANN, template=BARE, count=2)

    assert plan.misfit.why == "The only host cannot take it: cpu keeps it out."
    assert plan.misfit.nearest_miss == "h1 comes closest: 1 core is needed, none of 1 is free."
    assert "h1 would take it with 1 more core." in plan.misfit.remedies


def test_without_a_host_a_plan_says_how_to_add_one():
    plan = ask(a_reactor(), "plan.submit", user=ANN, template=BARE)

    assert (plan.misfit.why, plan.misfit.remedies) == ("There is no host yet.", ("Add one: inn host add NAME.",))


def test_a_plan_whose_image_is_nowhere_says_so():
    plan = ask(a_reactor(a_host(1), an_image(), a_network()), "plan.submit", user=ANN, template=TEMPLATE)

    assert (plan.placed, plan.misfit.why) == ((), "Image tiny is on no host.")


def test_a_gang_that_has_no_room_as_a_whole_is_planned_nowhere():
    reactor = a_reactor(a_host(1, cpu_cores=2.0))
    gang = BARE + 'GANG = [ NAME = "mpi", SIZE = 3 ]\n'
    plan = ask(reactor, "plan.submit", user=ANN, template=gang, count=3)
    too_few = ask(reactor, "plan.submit", user=ANN, template=gang, count=2)

    assert (plan.placed, plan.waiting, "gang" in plan.misfit.why) == ((), 3, True)
    assert too_few.misfit.why.startswith("Its gang mpi needs 3 VMs, of which 2 wait")


def test_addresses_and_quotas_that_would_be_missing_are_told_together():
    reactor = a_site()
    put(reactor, DefaultLimits(of="user", limits={"vm.vms": 5.0}), DefaultLimits(of="group", limits={"vm.cpu": 3.0}))
    plan = ask(reactor, "plan.submit", user=ANN, template=TEMPLATE, count=12)

    few = "give something back, or ask an administrator for more"
    assert plan.refusals == (
        NO_ADDRESSES,
        f"User ann may have 5 of vm.vms, has 0 and wants 12 more; {few} (inn user limits ann).",
        f"Group users may have 3 of vm.cpu, has 0 and wants 12 more; {few} (inn group limits users).",
    )
    assert plan.waiting == 0


def test_whatever_else_a_submission_is_refused_for_is_told_too():
    reactor = a_site(max_pending=3)
    plan = ask(reactor, "plan.submit", user=ANN, template=BARE, count=4)

    assert plan.refusals == ("0 VMs wait already; try again when some of them have started.",)


def test_mistakes_of_a_template_are_told_as_when_it_is_submitted():
    error = refusal(lambda: ask(a_site(), "plan.submit", user=ANN, template="CPU = much\n"))

    assert error.code == "bad_template"


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_only_what_may_be_submitted_at_once_is_planned(count):
    assert refusal(lambda: ask(a_site(), "plan.submit", template=BARE, count=count)).code == "bad_request"


# --- stale or not


def a_plan_and_its_cluster():
    reactor = a_site(3, scheduler="none")
    a_vm(reactor, VmState.RUNNING, template=BARE)
    a_vm(reactor, VmState.POWEROFF, host_id=2, template=BARE)
    return reactor, fields_of(ask(reactor, "plan.submit", user=ANN, template=BARE, count=3))


RELEVANT = {
    "a VM comes": lambda reactor: a_vm(reactor, VmState.RUNNING, template=BARE),
    "a VM ends": lambda reactor: (ask(reactor, "vm.terminate", vm_id=0), finish(reactor, reactor.cluster.vms[0])),
    "a VM moves": lambda reactor: ask(reactor, "vm.migrate", vm_id=0, host="h3"),
    "a host is disabled": lambda reactor: ask(reactor, "host.disable", host="h3"),
    "a host is lost": lambda reactor: reactor.lost(HostId(3), NOW_S),
    "a host comes": lambda reactor: put(reactor, a_host(4)),
    "a host goes": lambda reactor: ask(reactor, "host.delete", host="h3"),
    "a host shrinks": lambda reactor: put(reactor, a_host(3, cpu_cores=4.0)),
    "a host gives more away": lambda reactor: ask(reactor, "host.set", host="h1", cpu={"allocation_ratio": 2}),
}
IRRELEVANT = {
    "nothing": lambda _reactor: None,
    "an event": lambda reactor: ask(reactor, "image.list"),
    "a user": lambda reactor: ask(reactor, "template.add", template='NAME = "other"\nCPU = 1\n'),
    "a held VM": lambda reactor: submit(reactor, BARE),
    "a heartbeat": lambda reactor: say(reactor, 1, Heartbeat(cpu_used_cores=7.5, memory_used_mib=9_000)),
    "a tick": lambda reactor: reactor.tick(NOW_S + 1),
    "a plan": lambda reactor: ask(reactor, "plan.submit", template=BARE, count=5),
    "a label": lambda reactor: change(reactor, reactor.cluster.hosts[2], labels={"rack": "r1"}),
}


@pytest.mark.parametrize("what", RELEVANT)
def test_a_plan_is_stale_once_something_relevant_has_changed(what):
    reactor, plan = a_plan_and_its_cluster()
    RELEVANT[what](reactor)
    ask(reactor, "host.list")
    before = picture(reactor.cluster)
    error = refusal(lambda: ask(reactor, "plan.apply", user=ANN, **plan))

    assert (error.code, "make it anew: `inn plan submit" in str(error)) == ("stale", True)
    assert picture(reactor.cluster) == before


@pytest.mark.parametrize("what", IRRELEVANT)
def test_a_plan_holds_while_only_other_things_have_changed(what):
    reactor, plan = a_plan_and_its_cluster()
    IRRELEVANT[what](reactor)

    assert len(ask(reactor, "plan.apply", user=ANN, **plan).vm_ids) == 3


def test_a_plan_that_somebody_has_changed_gets_no_host_that_the_scheduler_would_not_give():
    reactor, plan = a_plan_and_its_cluster()
    plan["wanted"]["template"] = BARE + 'SCHED_REQUIREMENTS = "NAME = h2"\n'
    plan["placed"] = [{"host_id": 1, "host": "h1", "numbers": [0, 1, 2]}]
    error = refusal(lambda: ask(reactor, "plan.apply", user=ANN, **plan))

    assert (error.code, "VM 0 of the plan can no longer go to h1" in str(error)) == ("stale", True)


def test_a_plan_passes_nobody_who_stands_in_line_before():
    reactor = a_reactor(a_host(1, cpu_cores=1.0), scheduler="none")
    plan = fields_of(ask(reactor, "plan.submit", user=BOB, template=BARE))
    submit(reactor, BARE + "USER_PRIORITY = 9\n", user=ADMIN, hold=False)

    assert refusal(lambda: ask(reactor, "plan.apply", user=BOB, **plan)).code == "stale"


def test_a_plan_does_not_get_around_the_limit_of_a_user():
    options = Options(order=OrderOptions(max_placed_per_user=2))
    reactor = a_reactor(a_host(1), scheduler="none", scheduling=options)
    plan = ask(reactor, "plan.submit", user=ANN, template=BARE, count=3)
    forged = {**fields_of(plan), "placed": [{"host_id": 1, "host": "h1", "numbers": [0, 1, 2]}]}

    assert (hosts_of(plan), plan.waiting) == ({0: 1, 1: 1}, 1)
    assert refusal(lambda: ask(reactor, "plan.apply", user=ANN, **forged)).code == "stale"


@pytest.mark.parametrize("numbers", [[0, 0], [3], [-1]])
def test_a_plan_that_makes_no_sense_is_refused(numbers):
    reactor, plan = a_plan_and_its_cluster()
    plan["placed"] = [{"host_id": 1, "host": "h1", "numbers": numbers}]

    assert refusal(lambda: ask(reactor, "plan.apply", user=ANN, **plan)).code == "bad_request"


def test_a_host_that_there_is_not_makes_a_plan_stale():
    reactor, plan = a_plan_and_its_cluster()
    plan["placed"] = [{"host_id": 99, "host": "h99", "numbers": [0]}]

    assert refusal(lambda: ask(reactor, "plan.apply", user=ANN, **plan)).code == "stale"


def test_nothing_is_submitted_where_a_quota_is_in_the_way_of_a_plan():
    reactor, plan = a_plan_and_its_cluster()
    put(reactor, DefaultLimits(of="user", limits={"vm.vms": 3.0}))
    before = picture(reactor.cluster)

    assert refusal(lambda: ask(reactor, "plan.apply", user=ANN, **plan)).code == "over_quota"
    assert picture(reactor.cluster) == before


@pytest.mark.parametrize("kind", ["lose", "submit", "drain", ""])
def test_what_is_no_plan_is_refused(kind):
    assert refusal(lambda: ask(a_site(), "plan.apply", kind=kind, version="x")).code == "bad_request"


# --- drains


@pytest.mark.parametrize("seed", SEEDS)
def test_a_drain_moves_vms_as_its_plan_says(seed):
    _, reactor = a_cluster(seed)
    host_id = next(vm.host_id for vm in reactor.cluster.vms.values())
    before = picture(reactor.cluster)
    turn, plan = ask_turn(reactor, "plan.drain", host=str(host_id))

    assert (turn.changes, turn.events, turn.sends, picture(reactor.cluster)) == ([], [], [], before)
    ask(reactor, "host.drain", host=str(host_id))
    reactor.tick(NOW_S)
    moving = {vm.vm_id: vm.destination_id for vm in reactor.cluster.vms.values() if vm.destination_id is not None}
    assert moving == {each.vm_id: each.host_id for each in plan.moves}
    assert [each.live for each in plan.moves] == [
        reactor.cluster.operations[reactor.cluster.vms[each.vm_id].operation_id].kind is OperationKind.MIGRATE_LIVE
        for each in plan.moves
    ]


@pytest.mark.parametrize("name", ["plan.submit", "plan.drain", "plan.lose", "capacity.show"])
def test_a_plan_gives_those_who_wait_no_hope(name):
    reactor = a_site(2)
    a_vm(reactor, VmState.RUNNING)
    reactor.schedule(NOW_S)
    params = {"plan.drain": {"host": "h1"}, "plan.lose": {"any": True}}.get(name, {"template": TEMPLATE})
    ask(reactor, name, **params)

    assert (reactor.cluster.freed, reactor.cluster.unconsidered, reactor.cluster.bettered) == (False, {}, {})


def test_a_plan_knows_the_states_that_a_drain_moves():
    assert evacuations.WAYS == departures._MOVED_AWAY


def test_a_plan_of_a_drain_says_which_stay_and_why():
    reactor = a_site(2, scheduler="none")
    put(reactor, a_host(2, cpu_cores=1.0))
    vms = [a_vm(reactor, state, template=BARE) for state in (VmState.RUNNING, VmState.FAILED, VmState.STOPPED)]
    tall = a_vm(reactor, VmState.RUNNING, template="NAME = tall\nCPU = 2\nMEMORY = 64\n")
    plan = ask(reactor, "plan.drain", host="h1")

    assert [(each.vm_id, each.host, each.live) for each in plan.moves] == [(vms[0].vm_id, "h2", True)]
    assert [(each.vm_id, each.why) for each in plan.stuck] == [
        (vms[1].vm_id, "It is FAILED, which no drain moves; recover or end it (inn vm why 1)."),
        (vms[2].vm_id, "Its files lie there; let it go on elsewhere (inn vm resume 2) or end it."),
        (
            tall.vm_id,
            "The only host cannot take it: cpu keeps it out. h2 comes closest: 2 cores are needed, none of 1 is free.",
        ),
    ]


def test_a_plan_of_a_drain_is_applied_exactly_and_lets_nobody_come():
    reactor = a_site(3, scheduler="none")
    vms = [a_vm(reactor, VmState.RUNNING, template=BARE) for _ in range(3)]
    plan = ask(reactor, "plan.drain", host="h1")
    applied = ask(reactor, "plan.apply", **fields_of(plan))

    assert applied.vm_ids == tuple(vm.vm_id for vm in vms)
    assert reactor.cluster.hosts[1].state is HostState.DRAINING
    assert [now(reactor, vm).destination_id for vm in vms] == [each.host_id for each in plan.moves]


def test_a_drain_is_applied_by_nobody_who_may_not_drain_the_host():
    reactor = a_site(2, scheduler="none")
    a_vm(reactor, VmState.RUNNING, template=BARE)
    plan = fields_of(ask(reactor, "plan.drain", host="h1"))

    assert refusal(lambda: ask(reactor, "plan.apply", user=ANN, **plan)).code == "forbidden"
    assert refusal(lambda: ask(reactor, "plan.drain", user=ANN, host="h1")).code == "forbidden"


def test_what_would_keep_everybody_waiting_is_not_planned_but_counted_up_to_a_limit(monkeypatch):
    apart = BARE.replace("CPU = 1", "CPU = 0.1") + "PLACEMENT_GROUP = web\nSPREAD = [ GROUP = web ]\n"
    reactor = a_site(2)
    each = prospects.work_of(demand_of(reactor.cluster, submit(reactor, apart)), reactor.cluster.fleet)
    monkeypatch.setattr(prospects, "MAX_WORK", 3 * each)
    monkeypatch.setattr(capacity, "MAX_WORK", 3 * each)

    assert ask(reactor, "plan.submit", user=ANN, template=apart, count=3).waiting == 0
    assert refusal(lambda: ask(reactor, "plan.submit", user=ANN, template=apart, count=4)).code == "too_large"
    found = ask(reactor, "capacity.show", user=ANN, template=apart)
    assert (found.on_hosts, found.at_least) == (3, True)
    assert ask(reactor, "plan.submit", user=ANN, template=BARE, count=10).waiting == 0


def test_who_may_drain_one_host_sends_its_vms_to_no_host_that_is_another_s():
    reactor = a_site(3, scheduler="none")
    vm = a_vm(reactor, VmState.RUNNING, template=BARE)
    ask(reactor, "acl.delete", rule_id=next(each.rule_id for each in ask(reactor, "acl.list") if "HOST" in each.rule))
    ask(reactor, "acl.add", rule=f"#{BOB.user_id} HOST/#1 ADMIN")
    plan = fields_of(ask(reactor, "plan.drain", user=BOB, host="h1"))

    assert refusal(lambda: ask(reactor, "plan.apply", user=BOB, **plan)).code == "forbidden"
    assert (now(reactor, vm).destination_id, reactor.cluster.hosts[1].state) == (None, HostState.ON)

    ask(reactor, "acl.add", rule=f"#{BOB.user_id} HOST/* MANAGE")
    assert ask(reactor, "plan.apply", user=BOB, **plan).vm_ids == (vm.vm_id,)


def test_a_plan_of_a_drain_is_stale_once_a_vm_has_come():
    reactor = a_site(2, scheduler="none")
    a_vm(reactor, VmState.RUNNING, template=BARE)
    plan = fields_of(ask(reactor, "plan.drain", host="h1"))
    a_vm(reactor, VmState.RUNNING, template=BARE)
    error = refusal(lambda: ask(reactor, "plan.apply", **plan))

    assert (error.code, "`inn plan drain h1 -o json`" in str(error)) == ("stale", True)
    assert reactor.cluster.hosts[1].state is HostState.ON


def test_a_host_that_is_not_there_cannot_be_drained_even_in_a_plan():
    reactor = a_reactor(a_host(1, connected=False))
    error = refusal(lambda: ask(reactor, "plan.drain", host="h1"))

    assert (error.code, "inn plan lose h1" in str(error)) == ("unreachable", True)


# --- hosts that die


@pytest.mark.parametrize("seed", SEEDS)
def test_vms_of_a_host_that_may_die_are_placed_once_it_has_died(seed):
    _, reactor = a_cluster(seed)
    host_id = next(vm.host_id for vm in reactor.cluster.vms.values())
    before = picture(reactor.cluster)
    plan = ask(reactor, "plan.lose", hosts=(str(host_id),))

    assert picture(reactor.cluster) == before
    reactor.lost(host_id, NOW_S)
    ask(reactor, "host.delete", host=str(host_id), force=True)
    bereft = [vm.vm_id for vm in reactor.cluster.vms.values() if vm.state is VmState.FAILED]
    for vm_id in bereft:
        ask(reactor, "vm.recover", vm_id=vm_id, how="retry")
    reactor.schedule(NOW_S)
    placed = {vm_id for vm_id in bereft if reactor.cluster.vms[vm_id].host_id is not None}
    assert plan.losses[0].vms == len(bereft)
    assert plan.holds == (len(placed) == len(bereft))
    assert {each.vm_id for each in plan.survivors} == placed


@pytest.mark.parametrize("seed", SEEDS)
def test_each_host_in_turn_comes_to_what_each_comes_to_by_itself(seed):
    _, reactor = a_cluster(seed)
    alone = [ask(reactor, "plan.lose", hosts=(host.name,)) for host in reactor.cluster.hosts.values()]
    together = ask(reactor, "plan.lose", any=True)

    assert together.holds == all(each.holds for each in alone)
    assert [(loss.hosts, loss.without_room) for loss in together.losses] == [
        (each.losses[0].hosts, each.losses[0].without_room) for each in alone if not each.holds
    ]


def test_disks_on_storage_that_others_see_outlive_their_host():
    shared = drivers(abilities=SHARED)
    hosts = [a_host(number, images=[digest("e")], has=shared) for number in (1, 2)]
    reactor = a_reactor(*hosts, an_image(), a_network(), scheduler="none")
    a_vm(reactor, VmState.RUNNING)
    put(reactor, a_host(3, images=[digest("e")]))
    a_vm(reactor, VmState.RUNNING, host_id=3)
    plan = ask(reactor, "plan.lose", hosts=("h1", "h3"))

    assert [(each.vm_id, each.disks) for each in plan.survivors] == [(0, "kept"), (1, "anew")]
    assert (plan.holds, plan.losses[0].anew) == (True, 1)


def test_what_lies_on_the_dead_host_alone_is_told_to_be_lost():
    reactor = a_reactor(a_host(1, images=[digest("e")]), a_host(2), an_image(), a_network(), scheduler="none")
    a_vm(reactor, VmState.RUNNING)
    a_vm(reactor, VmState.STOPPED)
    plan = ask(reactor, "plan.lose", hosts=("h1",))

    assert (plan.holds, plan.losses[0].files_lost) == (False, 1)
    assert [each.why for each in plan.losses[0].stuck] == ["Image tiny is on no other host that is there."]


@pytest.mark.parametrize("params", [{}, {"hosts": ("h1",), "any": True}])
def test_hosts_that_die_are_named_or_each_in_turn(params):
    assert refusal(lambda: ask(a_site(), "plan.lose", **params)).code == "bad_request"


@pytest.mark.parametrize("params", [{"hosts": ("h1",)}, {"any": True}])
def test_more_hosts_than_can_be_looked_at_at_once_are_refused(monkeypatch, params):
    monkeypatch.setattr(losses, "MAX_TRIED", 0)
    reactor = a_site()
    a_vm(reactor, VmState.RUNNING, template=BARE)

    assert refusal(lambda: ask(reactor, "plan.lose", **params)).code == "too_large"


def test_only_administrators_ask_what_if_a_host_died():
    assert refusal(lambda: ask(a_site(), "plan.lose", user=ANN, any=True)).code == "forbidden"


# --- capacity


@pytest.mark.parametrize("seed", SEEDS)
def test_as_many_run_as_the_capacity_says_and_not_one_more(seed):
    random, reactor = a_cluster(seed)
    template = TEMPLATE + random.choice(WISHES)
    in_vain = set(reactor.cluster.pending)
    answer = ask(reactor, "capacity.show", user=ANN, template=template)
    if answer.fits:
        ask(reactor, "vm.submit", user=ANN, template=template, count=answer.fits)
        reactor.schedule(NOW_S)

    assert set(reactor.cluster.pending) == in_vain
    assert not answer.at_least
    last = ask(reactor, "vm.submit", user=ANN, template=template)
    reactor.schedule(NOW_S)
    assert reactor.cluster.vms[last.vm_ids[0]].state is VmState.PENDING
    assert answer.fits == answer.on_hosts == sum(each.fits for each in answer.clusters)
    assert bool(answer.runs_out) == bool(answer.fits)


def test_capacity_is_told_by_cluster_with_what_runs_out_there():
    reactor = a_reactor(a_host(1, cpu_cores=4.0), a_host(2, memory_mib=1024))
    ask(reactor, "cluster.add", name="spare")
    spare = reactor.cluster.cluster_ids["spare"]
    change(reactor, reactor.cluster.hosts[2], cluster_id=spare)
    change(reactor, reactor.cluster.datastores["default"], clusters=(0, spare))
    answer = ask(reactor, "capacity.show", user=ANN, template=BARE)

    assert [(each.cluster, each.hosts, each.fits, each.runs_out) for each in answer.clusters] == [
        ("default", 1, 4, "cpu"),
        ("spare", 1, 2, "memory"),
    ]


def test_addresses_and_quotas_bound_what_hosts_have_room_for():
    reactor = a_site()
    put(reactor, DefaultLimits(of="user", limits={"vm.cpu": 7.5}))
    a_vm(reactor, VmState.RUNNING)
    answer = ask(reactor, "capacity.show", user=ANN, template=TEMPLATE)

    assert (answer.fits, answer.on_hosts, answer.runs_out) == (6, 15, "quota vm.cpu of user ann")
    assert [(each.what, each.fits) for each in answer.bounds] == [
        ("quota vm.cpu of user ann", 6),
        ("addresses of network lan", 9),
    ]
    with_more = ask(reactor, "capacity.show", user=ADMIN, template=TEMPLATE)
    assert (with_more.fits, with_more.runs_out) == (9, "addresses of network lan")


def test_capacity_of_what_fits_nowhere_says_why():
    reactor = a_reactor(a_host(1, cpu_cores=1.0))
    answer = ask(reactor, "capacity.show", user=ANN, template=BARE, set={"CPU": "2"})

    assert (answer.fits, answer.runs_out, answer.clusters[0].counts) == (0, "", {"cpu": 1})
    assert answer.misfit.why == "The only host cannot take it: cpu keeps it out."


def test_capacity_is_what_is_left_once_those_who_wait_are_placed():
    reactor = a_reactor(a_host(1, cpu_cores=4.0), scheduler="none")
    submit(reactor, BARE, hold=False)

    assert ask(reactor, "capacity.show", user=ANN, template=BARE).fits == 3
