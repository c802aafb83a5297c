"""What may be done with a VM in which state, on which host; and how a FAILED one goes on."""

import msgspec
import pytest
from tests.controller.builders import (
    BARE,
    NOW_S,
    SEALED_DISK,
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
    end_leg,
    finish,
    now,
    operation_of,
    outcome_of,
    picture,
    refusal,
    say,
    script,
    sent,
    submit,
)

from innkeeper_controller import verify
from innkeeper_controller.lifecycle import MOVES, ROUTES
from innkeeper_controller.records import Datastore, HostState, OperationKind
from innkeeper_controller.requests import vms
from innkeeper_hostagent.protocol.messages import CarryOut, Disown, LegStatus, Observed
from innkeeper_plugins.vocabulary import HostId, Observation, PowerState, VmState

REST = (
    VmState.PENDING,
    VmState.HOLD,
    VmState.RUNNING,
    VmState.UNKNOWN,
    VmState.SUSPENDED,
    VmState.STOPPED,
    VmState.POWEROFF,
    VmState.UNDEPLOYED,
    VmState.FAILED,
)
BOOM = outcome_of("no_space")


def origins(*kinds):
    return {state for kind in kinds for way in ROUTES[OperationKind(kind)] for state in way.origins}


def moved_by(request):
    return {state for state, name in MOVES if name == request}


#: ``{verb: (its parameters, the states that it is possible in)}``, from the lifecycle's own tables.
VERBS = {
    "hold": ({}, moved_by("hold")),
    "release": ({}, moved_by("release")),
    "deploy": ({"host": "h2"}, origins("deploy") | moved_by("resume")),
    "suspend": ({}, origins("suspend")),
    "resume": ({}, origins("resume") | moved_by("resume")),
    "stop": ({}, origins("stop")),
    "poweroff": ({}, origins("poweroff")),
    "undeploy": ({}, origins("undeploy")),
    "reboot": ({}, origins("reboot")),
    "shutdown": ({}, origins("shutdown")),
    "terminate": ({}, origins("terminate") | moved_by("terminate")),
    "migrate": ({"host": "h2"}, origins("migrate")),
    "recover": ({"how": "retry"}, {VmState.FAILED}),
    "cancel": ({}, set()),
    "resched": ({}, {VmState.RUNNING}),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", REST)
def test_a_verb_is_possible_in_the_states_of_the_table_and_refused_in_all_others(verb, state):
    params, possible = VERBS[verb]
    reactor = a_site(scheduler="none")
    vm = a_vm(reactor, state)
    before = picture(reactor.cluster)
    refused = refusal(lambda: ask(reactor, f"vm.{verb}", vm_id=vm.vm_id, **params))

    if state in possible:
        assert refused is None
        assert picture(reactor.cluster) != before
    else:
        assert (refused.code, str(state) in str(refused)) == ("wrong_state", True)
        assert picture(reactor.cluster) == before
    assert verify.findings(reactor.cluster) == ()


@pytest.mark.parametrize("state", [VmState.STOPPED, VmState.UNDEPLOYED])
def test_a_vm_that_gave_its_host_up_comes_back_on_the_host_that_is_chosen_or_stays_as_it_is(state):
    reactor = a_site(scheduler="none")
    vm = a_vm(reactor, state)
    before = picture(reactor.cluster)
    change(reactor, reactor.cluster.hosts[HostId(2)], state=HostState.DISABLED)
    refused = refusal(lambda: ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h2"))
    change(reactor, reactor.cluster.hosts[HostId(2)], state=HostState.ON)

    assert (refused.code, picture(reactor.cluster)) == ("in_use", before)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h2")
    operation = operation_of(reactor, vm)
    assert (operation.kind, operation.destination) == (OperationKind.DEPLOY, HostId(2))


def test_every_verb_of_a_vms_life_is_among_them():
    acting = {each.name.removeprefix("vm.") for each in vms.REQUESTS if each.changes}

    assert acting - {"submit", "unresched"} == set(VERBS)


# --- room


@pytest.mark.parametrize(
    ("values", "code", "text"),
    [
        ({"connected": False}, "unreachable", "Host h2 is not connected; start its agent or choose another host."),
        ({"state": HostState.DISABLED}, "in_use", "Host h2 is disabled; enable it (`inn host enable h2`)."),
        ({"state": HostState.DRAINING}, "in_use", "Host h2 is draining; enable it (`inn host enable h2`)."),
        ({"state": HostState.OFFLINE}, "in_use", "Host h2 is offline; enable it (`inn host enable h2`)."),
        ({"memory_mib": 511}, "no_capacity", "512 MiB of memory are needed, 511 MiB of 511 MiB are free"),
        ({"cpu_cores": 0.5}, "no_capacity", "1 core is needed, 0.5 of 0.5 are free"),
        ({"cpu_cores": float("nan")}, "no_capacity", "1 core is needed, none of 0 is free"),
        ({"has": drivers()[:1]}, "no_capacity", "the host has no hypervisor driver at all"),
        (
            {"has": drivers(transfer=["copy"])},
            "no_capacity",
            "the host has no transfer driver qcow2; it has copy",
        ),
        ({"datastores": ["fast"]}, "no_capacity", "the host has no datastore default; it has fast"),
    ],
)
def test_a_host_that_cannot_take_the_vm_is_refused_with_the_reason(values, code, text):
    reactor = a_reactor(a_host(1), a_host(2, **values))
    submit(reactor, BARE)
    before = picture(reactor.cluster)
    refused = refusal(lambda: ask(reactor, "vm.deploy", vm_id=0, host="h2"))

    sentence = f"Host h2 cannot take VM 0: {text}." if code == "no_capacity" else text
    assert (refused.code, str(refused)) == (code, sentence)
    assert picture(reactor.cluster) == before


def in_cluster(reactor, kind, key, *cluster_ids):
    """Put a network or datastore into these clusters alone."""
    change(reactor, reactor.cluster.table(kind)[key], clusters=cluster_ids)


@pytest.mark.parametrize(
    ("clusters", "text"),
    [
        (
            {("network", 0): (100,)},
            "the host is in cluster default, but no cluster has all networks and datastores of the VM",
        ),
        (
            {("network", 0): (100, 101), ("datastore", "default"): (101,)},
            "the host is in cluster default, but only cluster far has all networks and datastores of the VM",
        ),
        ({("network", 0): (0, 100), ("datastore", "default"): (0, 101)}, None),
    ],
)
def test_by_hand_and_by_the_scheduler_a_vm_stays_in_the_clusters_of_its_networks_and_datastores(clusters, text):
    reactor = a_site(1)
    for name in ("near", "far"):
        ask(reactor, "cluster.add", name=name)
    for (kind, key), cluster_ids in clusters.items():
        in_cluster(reactor, kind, key, *cluster_ids)
    vm = submit(reactor)
    why = ask(reactor, "vm.why", vm_id=vm.vm_id)
    refused = refusal(lambda: ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1"))

    assert [found for each in why.hosts for found in each.obstacles] == ([("cluster", text)] if text else [])
    assert (refused and str(refused)) == (text and f"Host h1 cannot take VM 0: {text}.")


def test_a_vm_starts_as_soon_as_its_host_comes_into_the_cluster_of_its_network():
    reactor = a_site(1)
    ask(reactor, "cluster.add", name="near")
    for noun in ("network", "datastore"):
        ask(reactor, f"cluster.add_{noun}", cluster="near", **{noun: "lan" if noun == "network" else "default"})
    ask(reactor, "cluster.del_network", cluster="default", network="lan")
    submit(reactor, hold=False)
    reactor.schedule(NOW_S)
    before = len(reactor.cluster.running)
    ask(reactor, "cluster.add_host", cluster="near", host="h1")
    reactor.schedule(NOW_S)

    assert (before, len(reactor.cluster.running)) == (0, 1)


def test_an_images_own_datastore_says_the_cluster_where_it_shares_its_place_on_the_hosts():
    team = Datastore(datastore_id=100, name="team", kept_in="default", clusters=(100,))
    host = msgspec.structs.replace(a_host(1, images=[digest("e")]), cluster_id=100)
    reactor = a_reactor(team, host, an_image(datastore="team"))
    vm = submit(reactor, "NAME = x\nMEMORY = 1\nDISK = [ IMAGE = tiny ]\n")
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1")

    assert (vm.spec.datastore, vm.spec.disks[0].datastore, now(reactor, vm).state) == (
        "default",
        "default",
        VmState.PROLOG,
    )


def test_thirds_of_a_core_fill_a_core():
    reactor = a_reactor(a_host(1, cpu_cores=1.0))
    for _ in range(3):
        vm = submit(reactor, "NAME = third\nCPU = 0.3333333\nMEMORY = 1\n")
        ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1")

    assert (
        refusal(lambda: ask(reactor, "vm.deploy", vm_id=submit(reactor, BARE).vm_id, host="h1")).code == "no_capacity"
    )


@pytest.mark.parametrize("cpu", ["0.1", "0.3333333", "0.6666667", "0.7", "0.0100005"])
def test_by_hand_as_many_vms_fit_as_the_scheduler_places(cpu):
    template = f"NAME = part\nCPU = {cpu}\nMEMORY = 1\n"
    by_hand, scheduled = a_reactor(a_host(1, cpu_cores=2.0)), a_reactor(a_host(1, cpu_cores=2.0))
    fitted = 0
    while refusal(lambda: ask(by_hand, "vm.deploy", vm_id=submit(by_hand, template).vm_id, host="h1")) is None:
        fitted += 1
    submit(scheduled, template, hold=False, count=250)
    while scheduled.cluster.unconsidered:
        scheduled.schedule(NOW_S)

    assert len(scheduled.cluster.running) == fitted
    assert verify.findings(scheduled.cluster) == verify.findings(by_hand.cluster) == ()


def test_a_host_on_which_vms_take_nothing_more_than_it_has_can_be_filled_by_both_ways_together():
    reactor = a_reactor(a_host(1, cpu_cores=2.0, memory_mib=1024))
    one, two = submit(reactor, BARE), submit(reactor, BARE)
    ask(reactor, "vm.deploy", vm_id=one.vm_id, host="h1")
    ask(reactor, "vm.release", vm_id=two.vm_id)
    reactor.schedule(NOW_S)

    assert reactor.cluster.used[HostId(1)].memory_mib == 1024


# --- hypervisors, generations


def test_the_first_hypervisor_of_the_host_is_taken_where_the_template_leaves_it_open():
    reactor = a_site()
    vm = submit(reactor, BARE)
    named = submit(reactor, BARE + "HYPERVISOR = other\n")
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1")
    refused = refusal(lambda: ask(reactor, "vm.deploy", vm_id=named.vm_id, host="h1"))

    assert now(reactor, vm).spec.hypervisor == "simulated"
    assert str(refused) == "Host h1 cannot take VM 1: the host has no hypervisor driver other; it has simulated."


def test_the_generation_is_raised_whenever_the_vm_may_move_and_only_then():
    reactor = a_site()
    vm = submit(reactor)
    seen = []
    for verb, params in (
        ("deploy", {"host": "h1"}),
        ("suspend", {}),
        ("resume", {}),
        ("migrate", {"host": "h2"}),
        ("migrate", {"host": "h1", "live": True}),
        ("stop", {}),
        ("resume", {}),
        ("deploy", {"host": "h2"}),
    ):
        ask(reactor, f"vm.{verb}", vm_id=vm.vm_id, **params)
        if verb == "resume" and now(reactor, vm).state is VmState.PENDING:
            seen.append(now(reactor, vm).spec.generation)
            continue
        seen.append(finish(reactor, vm).spec.generation)

    assert seen == [1, 1, 1, 2, 3, 3, 3, 4]


# --- migrate


def test_a_vm_is_not_moved_to_where_it_is():
    reactor = a_site()
    a_vm(reactor)
    refused = refusal(lambda: ask(reactor, "vm.migrate", vm_id=0, host="h1"))

    assert (refused.code, str(refused)) == ("bad_request", "VM 0 is on h1 already; choose another host.")


def test_a_vm_is_not_moved_from_a_host_that_is_not_there():
    reactor = a_site()
    a_vm(reactor)
    reactor.lost(HostId(1), NOW_S)
    refused = refusal(lambda: ask(reactor, "vm.migrate", vm_id=0, host="h2"))

    assert (refused.code, str(refused)) == ("unreachable", "Host h1, where VM 0 is, is not connected.")


def test_a_vm_without_a_target_goes_to_the_best_other_host():
    reactor = a_reactor(a_host(1), a_host(2, cpu_cores=0.5), a_host(3))
    vm = a_vm(reactor, template=BARE)
    ask(reactor, "vm.migrate", vm_id=vm.vm_id)

    assert now(reactor, vm).destination_id == 3


def test_a_vm_that_no_other_host_can_take_stays():
    reactor = a_reactor(a_host(1), a_host(2, connected=False))
    a_vm(reactor, template=BARE)
    refused = refusal(lambda: ask(reactor, "vm.migrate", vm_id=0))

    assert (refused.code, str(refused)) == (
        "no_capacity",
        "No other host can take VM 0; `inn host list` shows what is free.",
    )


def test_that_a_vm_is_in_the_wrong_state_is_said_before_that_nobody_could_take_it():
    reactor = a_reactor(a_host(1))
    a_vm(reactor, VmState.FAILED, template=BARE)
    busy = a_vm(reactor, template=BARE)
    ask(reactor, "vm.suspend", vm_id=busy.vm_id)

    assert [refusal(lambda n=n: ask(reactor, "vm.migrate", vm_id=n)).code for n in (0, 1)] == ["wrong_state", "busy"]


def test_a_live_migration_that_is_not_possible_says_why():
    reactor = a_reactor(a_host(1), a_host(2, migration_uri=" "))
    vm = a_vm(reactor, template=BARE)
    host = reactor.cluster.hosts[HostId(2)]
    change(reactor, host, advertisement=change_facts(host))
    before = picture(reactor.cluster)
    refused = refusal(lambda: ask(reactor, "vm.migrate", vm_id=vm.vm_id, host="h2", live=True))

    assert (refused.code, str(refused)) == (
        "unreachable",
        "Host h2 takes no live migrations; set migration_uri in its agent's configuration.",
    )
    assert picture(reactor.cluster) == before


def change_facts(host):
    return msgspec.structs.replace(host.advertisement, facts={})


def test_an_image_that_nobody_holds_is_refused_before_anything_is_begun():
    reactor = a_reactor(a_host(1), an_image(), a_network())
    submit(reactor)
    before = picture(reactor.cluster)
    refused = refusal(lambda: ask(reactor, "vm.deploy", vm_id=0, host="h1"))

    assert refused.code == "unreachable"
    assert picture(reactor.cluster) == before


# --- terminate


def test_a_vm_that_failed_on_one_host_and_has_files_on_another_is_deleted_from_both():
    reactor = a_site()
    vm = a_vm(reactor, VmState.STOPPED)
    ask(reactor, "vm.resume", vm_id=vm.vm_id)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h2")
    end_leg(reactor, vm, LegStatus.FAILED, outcomes={0: BOOM})
    ask(reactor, "vm.terminate", vm_id=vm.vm_id)

    assert script(operation_of(reactor, vm).plan) == [
        (2, ["0 SHUTDOWN simulated cancel off", "1 EPILOG qcow2 delete all files"]),
        (1, ["2 EPILOG qcow2 delete all files"]),
    ]
    assert finish(reactor, vm) is None


def test_a_waiting_vm_whose_end_does_not_work_is_not_started_after_all():
    reactor = a_site()
    vm = a_vm(reactor, VmState.STOPPED)
    ask(reactor, "vm.resume", vm_id=vm.vm_id)
    ask(reactor, "vm.terminate", vm_id=vm.vm_id)
    end_leg(reactor, vm, LegStatus.REFUSED, outcomes={}, reason="busy")
    turn = reactor.schedule(NOW_S)

    assert (now(reactor, vm).state, now(reactor, vm).sealed_on, sent(turn)) == (VmState.HOLD, 1, [])


def test_a_vm_whose_host_is_away_is_ended_when_it_is_back():
    reactor = a_site()
    vm = a_vm(reactor, VmState.UNKNOWN)
    reactor.lost(HostId(1), NOW_S)
    turn, answer = ask_turn(reactor, "vm.terminate", vm_id=vm.vm_id)

    assert (sent(turn), answer.state, answer.operation_id) == ([], "SHUTDOWN", "o0")


# --- recover


def failed(reactor, state, verb, *, status=LegStatus.FAILED, legs=0, **params):
    """Return a VM that failed at a verb; a deployment's begins in HOLD."""
    vm = a_vm(reactor, state)
    ask(reactor, f"vm.{verb}", vm_id=vm.vm_id, **params)
    for _ in range(legs):
        end_leg(reactor, vm)
    end_leg(reactor, vm, status, outcomes={0: BOOM})
    assert now(reactor, vm).state is VmState.FAILED
    return vm


def recovered(reactor, vm, how):
    ask(reactor, "vm.recover", vm_id=vm.vm_id, how=how)
    record = now(reactor, vm)
    operation = reactor.cluster.operations.get(record.operation_id) if record.operation_id else None
    return record.state, record.host_id, operation.kind if operation else None


@pytest.mark.parametrize(
    ("state", "verb", "rollback", "retry"),
    [
        ("SUSPENDED", "resume", (VmState.SUSPENDED, 1, None), (VmState.BOOT, 1, "resume")),
        ("POWEROFF", "resume", (VmState.POWEROFF, 1, None), (VmState.BOOT, 1, "resume")),
        ("SUSPENDED", "stop", (VmState.SUSPENDED, 1, None), (VmState.EPILOG, 1, "stop")),
        ("POWEROFF", "undeploy", (VmState.POWEROFF, 1, None), (VmState.EPILOG, 1, "undeploy")),
        ("SUSPENDED", "terminate", (VmState.SUSPENDED, 1, None), (VmState.SHUTDOWN, 1, "terminate")),
        ("STOPPED", "terminate", (VmState.STOPPED, None, None), (VmState.SHUTDOWN, None, "terminate")),
        ("UNDEPLOYED", "terminate", (VmState.UNDEPLOYED, None, None), (VmState.SHUTDOWN, None, "terminate")),
    ],
)
def test_a_failed_vm_goes_back_to_before_or_tries_again(state, verb, rollback, retry):
    found = []
    for how in ("rollback", "retry"):
        reactor = a_site()
        vm = failed(reactor, VmState(state), verb)
        found.append(recovered(reactor, vm, how))
        assert verify.findings(reactor.cluster) == ()

    assert found == [rollback, retry]


@pytest.mark.parametrize("verb", ["suspend", "stop", "poweroff", "undeploy", "reboot", "shutdown", "terminate"])
@pytest.mark.parametrize(
    ("power", "state"),
    [
        (None, VmState.UNKNOWN),
        (PowerState.RUNNING, VmState.RUNNING),
        (PowerState.OFF, VmState.POWEROFF),
        (PowerState.ABSENT, VmState.POWEROFF),
    ],
)
def test_a_vm_that_ran_before_goes_back_to_what_its_host_says(verb, power, state):
    reactor = a_site()
    vm = failed(reactor, VmState.RUNNING, verb)
    if power:
        say(reactor, 1, Observed(guests=(Observation(vm_id=vm.vm_id, generation=1, power=power),)))

    assert recovered(reactor, vm, "rollback") == (state, 1, None)


@pytest.mark.parametrize("verb", ["suspend", "stop", "poweroff", "undeploy"])
def test_a_retry_is_refused_where_nobody_knows_whether_the_guest_runs_and_nothing_has_changed(verb):
    reactor = a_site()
    vm = failed(reactor, VmState.RUNNING, verb)
    before = picture(reactor.cluster)
    refused = refusal(lambda: ask(reactor, "vm.recover", vm_id=vm.vm_id, how="retry"))

    assert (refused.code, picture(reactor.cluster)) == ("wrong_state", before)


@pytest.mark.parametrize("verb", ["shutdown", "terminate"])
def test_a_failed_end_is_tried_again_as_an_end(verb):
    reactor = a_site()
    vm = failed(reactor, VmState.RUNNING, verb)

    assert recovered(reactor, vm, "retry") == (VmState.SHUTDOWN, 1, "terminate")
    assert script(operation_of(reactor, vm).plan)[0][1][0] == "0 SHUTDOWN simulated cancel off"


def test_a_failed_migration_goes_back_to_where_the_vm_was():
    reactor = a_site()
    vm = failed(reactor, VmState.SUSPENDED, "migrate", host="h2", legs=1)

    assert recovered(reactor, vm, "rollback") == (VmState.SUSPENDED, 1, None)


@pytest.mark.parametrize(("how", "state"), [("retry", VmState.PENDING), ("rollback", VmState.HOLD)])
def test_a_first_deployment_that_was_taken_back_starts_anew(how, state):
    reactor = a_site()
    vm = failed(reactor, VmState.HOLD, "deploy", status=LegStatus.UNDONE, host="h1")
    turn, answer = ask_turn(reactor, "vm.recover", vm_id=vm.vm_id, how=how)

    assert (answer.state, now(reactor, vm).host_id, now(reactor, vm).error, sent(turn)) == (state, None, "", [])


@pytest.mark.parametrize(("how", "state"), [("retry", VmState.PENDING), ("rollback", VmState.HOLD)])
def test_what_a_deployment_left_on_its_host_is_cleaned_up_before_the_vm_starts_anew(how, state):
    reactor = a_site()
    vm = failed(reactor, VmState.HOLD, "deploy", host="h1")
    say(reactor, 1, Observed(guests=(), complete=True))
    turn, answer = ask_turn(reactor, "vm.recover", vm_id=vm.vm_id, how=how)

    assert (answer.state, now(reactor, vm).host_id) == (state, None)
    assert sent(turn) == [(1, Disown(vm_id=vm.vm_id, generation=1, uuid=vm.spec.uuid))]


def test_a_vm_whose_guest_runs_where_it_could_not_be_taken_back_is_not_started_twice():
    reactor = a_site()
    vm = failed(reactor, VmState.HOLD, "deploy", host="h1")
    say(reactor, 1, Observed(guests=(Observation(vm_id=vm.vm_id, generation=1, power=PowerState.RUNNING),)))
    before = picture(reactor.cluster)
    refused = refusal(lambda: ask(reactor, "vm.recover", vm_id=vm.vm_id, how="retry"))

    assert (refused.code, str(refused)) == (
        "wrong_state",
        "The guest of VM 0 is running on host h1; end it: inn vm terminate 0.",
    )
    assert picture(reactor.cluster) == before


def test_a_vm_that_may_run_on_a_host_that_is_away_is_not_started_twice():
    reactor = a_site()
    vm = failed(reactor, VmState.HOLD, "deploy", host="h1")
    reactor.lost(HostId(1), NOW_S)
    refused = refusal(lambda: ask(reactor, "vm.recover", vm_id=vm.vm_id, how="retry"))
    ask(reactor, "host.delete", host="h1", force=True)

    assert (refused.code, str(refused)) == (
        "unreachable",
        (
            "Host h1, where VM 0 may run, is not connected; start its agent, or, if the machine is dead for certain, "
            "`inn host delete h1 --force`."
        ),
    )
    assert recovered(reactor, vm, "retry") == (VmState.PENDING, None, None)


def test_the_only_copy_of_a_stopped_vm_is_not_cleaned_up():
    reactor = a_site()
    vm = a_vm(reactor, VmState.STOPPED)
    ask(reactor, "vm.resume", vm_id=vm.vm_id)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host="h1")
    end_leg(reactor, vm, LegStatus.FAILED, outcomes={0: BOOM})
    turn, _ = ask_turn(reactor, "vm.recover", vm_id=vm.vm_id, how="retry")

    record = now(reactor, vm)
    assert (sent(turn), record.state, record.sealed, record.sealed_on, record.saved) == (
        [],
        VmState.PENDING,
        (SEALED_DISK,),
        1,
        True,
    )


def test_a_vm_whose_host_was_deleted_starts_anew_although_its_shutdown_had_not_worked_before():
    """The shutdown was another day's; nobody has asked for the VM's end."""
    reactor = a_site(scheduler="none")
    vm = a_vm(reactor)
    ask(reactor, "vm.shutdown", vm_id=vm.vm_id)
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: outcome_of("timeout")})
    reactor.lost(HostId(1), NOW_S)
    ask(reactor, "host.delete", host="h1", force=True)

    assert recovered(reactor, vm, "retry") == (VmState.PENDING, None, None)


def test_recovering_knows_four_ways():
    reactor = a_site()
    a_vm(reactor, VmState.FAILED)
    refused = refusal(lambda: ask(reactor, "vm.recover", vm_id=0, how="pray"))

    text = "Recover by retry, rollback, delete or recreate, not by 'pray'."
    assert (refused.code, str(refused)) == ("bad_request", text)


def test_a_failed_vm_that_is_retried_can_be_deployed_and_run():
    reactor = a_site()
    vm = failed(reactor, VmState.HOLD, "deploy", status=LegStatus.UNDONE, host="h1")
    ask(reactor, "vm.recover", vm_id=vm.vm_id, how="retry")
    turn = reactor.schedule(NOW_S)
    record = finish(reactor, vm)

    assert [type(message) for _, message in sent(turn)] == [CarryOut]
    assert (record.state, record.spec.generation) == (VmState.RUNNING, 2)


def test_a_vm_needs_its_host_for_what_is_done_at_home():
    reactor = a_reactor(a_host(1, images=[digest("e")]), an_image(), a_network())
    vm = a_vm(reactor, VmState.SUSPENDED)
    change(reactor, vm, host_id=None)
    refused = refusal(lambda: ask(reactor, "vm.resume", vm_id=vm.vm_id))

    assert (refused.code, str(refused)) == ("wrong_state", "VM 0 is SUSPENDED and on no host.")
