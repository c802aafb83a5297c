"""Every state of a VM is explained in plain words, and what is told of a wait is what is in the way."""

import msgspec
import pytest
from tests.controller.builders import (
    ADMIN,
    BARE,
    NOW_S,
    SEALED_DISK,
    a_host,
    a_reactor,
    a_site,
    a_vm,
    an_image,
    ask,
    digest,
    end_leg,
    finish,
    now,
    operation_of,
    outcome_of,
    put,
    say,
    script,
    submit,
)

from innkeeper_controller.opennebula.documents.vm_template import user_template
from innkeeper_controller.records import Failures, HostState
from innkeeper_controller.scheduling.options import Options, OrderOptions
from innkeeper_hostagent.protocol.messages import LegStatus, StepStarted
from innkeeper_plugins.vocabulary import HostId, VmId, VmState

BOOM = outcome_of("no_space")


def waiting(reactor, template=BARE, **params):
    return submit(reactor, template, hold=False, **params)


def why(reactor, vm, *, now_s=NOW_S):
    answer = ask(reactor, "vm.why", vm_id=vm.vm_id, now_s=now_s)
    return answer.reason, answer.advice


def busy(reactor, state, verb, **params):
    vm = a_vm(reactor, state)
    ask(reactor, f"vm.{verb}", vm_id=vm.vm_id, **params)
    return vm


def test_why_a_vm_waits_without_any_host():
    reactor = a_reactor()

    assert why(reactor, waiting(reactor)) == ("There is no host yet.", "Add one: inn host add NAME.")


def test_why_a_vm_waits_that_fits_nowhere():
    reactor = a_reactor(a_host(1, memory_mib=100), a_host(2, state=HostState.DISABLED))
    first, second = waiting(reactor), waiting(reactor)
    reactor.schedule(NOW_S)
    answer = ask(reactor, "vm.why", vm_id=second.vm_id)

    assert why(reactor, first) == (
        "None of 2 hosts can take it: host state keeps 1 out, memory 1. No VM's end would make it fit anywhere.",
        "It starts by itself as soon as one can.",
    )
    assert not [each for each in answer.remedies if "end" in each.split()], "what helps nobody is no remedy"
    assert (answer.queue_position, answer.counts) == (2, {"memory": 1, "host state": 1})
    assert [(each.host, each.fits, each.obstacles) for each in answer.hosts] == [
        ("h1", False, (("memory", "512 MiB of memory are needed, 100 MiB of 100 MiB are free"),)),
        ("h2", False, (("host state", "the host is disabled"),)),
    ]
    assert answer.nearest_miss == "h1 comes closest: 512 MiB of memory are needed, 100 MiB of 100 MiB are free."


def test_why_a_vm_waits_that_is_held():
    reactor = a_reactor(a_host(1), a_host(2, connected=False))

    assert why(reactor, submit(reactor, BARE)) == (
        "It is held; 1 of 2 hosts could take it.",
        "Give it to the scheduler: inn vm release 0; or choose: inn vm deploy 0 HOST.",
    )


def test_why_a_vm_waits_without_a_scheduler():
    reactor = a_reactor(a_host(1), scheduler="none")

    assert why(reactor, waiting(reactor)) == (
        "The scheduler is off; 1 of 1 hosts could take the VM.",
        "Deploy it by hand: inn vm deploy 0 HOST.",
    )


def test_why_a_vm_waits_that_is_about_to_be_placed():
    reactor = a_reactor(a_host(1))

    assert why(reactor, waiting(reactor)) == ("It fits and is about to be placed.", "")


def test_why_a_vm_waits_whose_image_is_out_of_reach():
    reactor = a_reactor(a_host(1), an_image())
    vm = waiting(reactor, "NAME = web\nMEMORY = 1\nDISK = [ IMAGE = tiny ]\n")

    assert why(reactor, vm) == (
        "Image tiny is on no host.",
        "It starts by itself as soon as a host that has it is there.",
    )


def test_why_a_vm_waits_whose_files_are_out_of_reach():
    reactor = a_reactor(a_host(1, connected=False), a_host(2))
    vm = a_vm(reactor, VmState.STOPPED, template=BARE)
    ask(reactor, "vm.resume", vm_id=vm.vm_id)

    assert why(reactor, vm) == (
        "Its files lie on host h1, which is lost.",
        "It starts by itself as soon as a host that has it is there.",
    )


def test_why_a_vm_is_busy():
    reactor = a_site()
    vm = busy(reactor, VmState.RUNNING, "suspend")
    under_way = why(reactor, vm)
    ask(reactor, "vm.cancel", vm_id=vm.vm_id)

    assert under_way == (
        "suspend is under way on host h1.",
        "Follow it: inn operation wait o0; cancel it: inn vm cancel 0.",
    )
    assert why(reactor, vm) == ("suspend is being cancelled on host h1.", "Follow it: inn operation wait o0.")


def test_why_a_vm_is_busy_with_what_cannot_be_cancelled():
    reactor = a_site()
    undone, cleaned = (busy(reactor, VmState.RUNNING, "migrate", host="h2") for _ in range(2))
    end_leg(reactor, undone)
    end_leg(reactor, undone, LegStatus.UNDONE, outcomes={2: BOOM})
    end_leg(reactor, cleaned)
    end_leg(reactor, cleaned)

    assert why(reactor, undone) == (
        "migrate is being taken back on host h1.",
        "Follow it: inn operation wait o0.",
    )
    assert why(reactor, cleaned) == ("migrate is under way on host h1.", "Follow it: inn operation wait o1.")


def test_why_a_vm_waits_for_a_host_that_is_lost():
    reactor = a_site()
    vm = busy(reactor, VmState.RUNNING, "suspend")
    reactor.lost(HostId(1), NOW_S)

    assert why(reactor, vm, now_s=NOW_S + 7) == (
        "suspend waits for host h1, which has been lost for 7 s.",
        (
            "Start its agent again (systemctl start inn-agent on h1); if the machine is dead for certain: "
            "inn host delete h1 --force."
        ),
    )


def test_why_a_vm_has_failed():
    reactor = a_site()
    vm = busy(reactor, VmState.HOLD, "deploy", host="h1")
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: BOOM})

    assert why(reactor, vm) == (
        "deploy failed: it says no_space",
        "Mend the cause, then inn vm recover 0 --retry; or --rollback; or inn vm terminate 0.",
    )


def test_why_a_vm_has_failed_whose_host_was_deleted_long_after_its_last_operation():
    reactor = a_site()
    vm = busy(reactor, VmState.HOLD, "deploy", host="h1")
    finish(reactor, vm)
    reactor.lost(HostId(1), NOW_S)
    ask(reactor, "host.delete", host="h1", force=True)

    assert why(reactor, vm)[0] == (
        "It has failed: The host that had all of it was deleted; `inn vm recover 0 --retry` starts it anew."
    )


@pytest.mark.parametrize(
    ("state", "reason", "advice"),
    [
        (VmState.RUNNING, "It is RUNNING on host h1.", ""),
        (VmState.SUSPENDED, "It is SUSPENDED on host h1.", "Let it go on: inn vm resume 0."),
        (VmState.POWEROFF, "It is POWEROFF on host h1.", "Let it go on: inn vm resume 0."),
        (VmState.STOPPED, "It is STOPPED; its files lie on host h1.", "Let it go on: inn vm resume 0."),
        (VmState.UNDEPLOYED, "It is UNDEPLOYED; its files lie on host h1.", "Let it go on: inn vm resume 0."),
    ],
)
def test_why_a_vm_rests(state, reason, advice):
    reactor = a_site()

    assert why(reactor, a_vm(reactor, state)) == (reason, advice)


def test_why_a_vm_rests_whose_host_has_just_been_lost():
    reactor = a_site()
    vm = a_vm(reactor, VmState.RUNNING)
    reactor.lost(HostId(1), NOW_S)

    assert why(reactor, vm, now_s=NOW_S + 3)[0] == "It is RUNNING on host h1. The host has been lost for 3 s."


def test_why_a_vm_rests_whose_last_operation_did_not_work():
    reactor = a_site()
    vm = busy(reactor, VmState.RUNNING, "suspend")
    end_leg(reactor, vm, LegStatus.UNDONE, outcomes={0: BOOM})

    assert why(reactor, vm)[0] == (
        "It is RUNNING on host h1. Its last operation, suspend, did not work: it says no_space"
    )


def test_why_a_vm_is_unknown():
    reactor = a_site()
    vm = a_vm(reactor, VmState.UNKNOWN)
    back = why(reactor, vm)
    reactor.lost(HostId(1), NOW_S)

    assert back == ("Host h1 is connected, but has not said yet whether the guest runs.", "")
    assert why(reactor, vm, now_s=NOW_S + 61) == (
        "Nothing is known of the guest: host h1 has been lost for 61 s.",
        "Start its agent again; if the machine is dead for certain: inn host delete h1 --force.",
    )


@pytest.mark.parametrize("state", [each for each in VmState if each is not VmState.DONE])
def test_every_state_is_explained(state):
    reactor = a_site()
    vm = a_vm(reactor, state, sealed=(SEALED_DISK,))
    answer = ask(reactor, "vm.why", vm_id=vm.vm_id)

    assert (answer.state, answer.reason != "") == (state, True)


def test_why_shows_the_operation_with_the_step_that_runs():
    reactor = a_site()
    vm = busy(reactor, VmState.HOLD, "deploy", host="h1")
    say(reactor, 1, StepStarted(operation_id="o0", leg=0, step_id=0))
    answer = ask(reactor, "vm.why", vm_id=vm.vm_id)

    assert (answer.operation.step, answer.operation.kind) == ("0 PROLOG qcow2 clone disk.0", "deploy")
    assert script(operation_of(reactor, vm).plan)[0][1][0] == answer.operation.step


# --- what is told of one that waits


def asked(reactor, vm, *, now_s=NOW_S, **params):
    return ask(reactor, "vm.why", vm_id=vm.vm_id, now_s=now_s, **params)


def template(name="web", *, cpu=1, memory=512, more=""):
    return f"NAME = {name}\nCPU = {cpu}\nMEMORY = {memory}\n{more}\n"


def running_on(reactor, host, **size):
    vm = submit(reactor, template("guest", **size), user=ADMIN)
    ask(reactor, "vm.deploy", vm_id=vm.vm_id, host=host)
    return finish(reactor, vm)


def test_one_that_fits_nowhere_is_told_what_comes_closest_and_what_would_help():
    reactor = a_reactor(a_host(1, memory_mib=8192), a_host(2, memory_mib=2048))
    guest = running_on(reactor, "h1", memory=6144)
    vm = waiting(reactor, template("big", memory=4096))
    answer = asked(reactor, vm)

    assert answer.reason == "None of 2 hosts can take it: memory keeps 2 out."
    assert answer.nearest_miss == "h1 comes closest: 4 GiB of memory are needed, 2 GiB of 8 GiB are free."
    assert answer.remedies == (
        "h1 would take it with 2 GiB more memory.",
        "MEMORY = 2048 instead of 4096 in its template would do on h1.",
        f"It would fit on h1 if VM {guest.vm_id} ended.",
    )
    assert answer.ends_vm_ids == (guest.vm_id,)
    assert (answer.hosts_total, answer.fitting, answer.queue_position) == (2, 0, 1)
    assert answer.queue == "place 1 of 1: priority 0, waited 0.0 h +0.0, fair share +10.0"
    assert [(each.host, each.remedy) for each in answer.hosts] == [
        ("h1", "with 2 GiB more memory"),
        ("h2", "with 2 GiB more memory"),
    ]


def test_the_end_of_those_that_are_named_starts_it():
    reactor = a_reactor(a_host(1, memory_mib=8192))
    running_on(reactor, "h1", memory=4096)
    running_on(reactor, "h1", memory=3072)
    vm = waiting(reactor, template("big", memory=6000))
    for vm_id in asked(reactor, vm).ends_vm_ids:
        ask(reactor, "vm.terminate", vm_id=vm_id, hard=True)
        finish(reactor, reactor.cluster.vms[VmId(vm_id)])
    reactor.schedule(NOW_S)

    assert now(reactor, vm).host_id == HostId(1)


def test_vms_of_a_low_priority_are_named_first():
    reactor = a_reactor(a_host(1, memory_mib=4096))
    running_on(reactor, "h1", memory=2048, more="USER_PRIORITY = 5")
    second = running_on(reactor, "h1", memory=2048)
    vm = waiting(reactor, template("big", memory=2048))

    assert asked(reactor, vm).ends_vm_ids == (second.vm_id,)


def test_only_so_many_hosts_are_told_but_all_are_counted():
    reactor = a_reactor(*(a_host(number, memory_mib=number) for number in range(1, 31)))
    vm = waiting(reactor)
    few, everything = asked(reactor, vm, limit=3), asked(reactor, vm, limit=3, all=True)

    assert [each.host for each in few.hosts] == ["h30", "h29", "h28"]
    assert (len(everything.hosts), few.hosts_total, few.counts) == (30, 30, {"memory": 30})
    assert [(each.clauses, each.count, each.hosts) for each in few.alike] == [
        (("memory",), 30, ("h30", "h29", "h28")),
    ]


def test_one_whose_image_is_on_a_lost_host_is_told_where_it_is():
    lost = (a_host(2, images=[digest("e")], connected=False), a_host(3, images=[digest("e")], connected=False))
    reactor = a_reactor(a_host(1), lost[0], an_image())
    vm = waiting(reactor, template(more="DISK = [ IMAGE = tiny ]"))
    reactor.schedule(NOW_S)
    one = why(reactor, vm)[0]
    put(reactor, lost[1])

    assert one == "Image tiny is on host h2 only, which is lost."
    assert reactor.cluster.waits[vm.vm_id] == one
    assert why(reactor, vm)[0] == "Image tiny is on h2, h3 only, and none of them is there."


def test_one_of_a_gang_that_is_not_complete_is_told_so():
    reactor = a_reactor(a_host(1))
    vm = waiting(reactor, template(more="GANG = [ NAME = mpi, SIZE = 3 ]"))

    assert why(reactor, vm) == (
        "Its gang mpi needs 3 VMs, of which 1 waits; it goes on when the rest wait too.",
        "Until then it takes no host, though 1 of 1 hosts could take it.",
    )


def test_one_of_a_gang_that_is_too_large_for_the_hosts_is_told_so():
    reactor = a_reactor(a_host(1, memory_mib=700))
    for _ in range(2):
        vm = waiting(reactor, template(more="GANG = [ NAME = mpi, SIZE = 2 ]"))
    reactor.schedule(NOW_S)

    assert why(reactor, vm)[0].startswith(
        "Its gang mpi is placed whole or not at all: of 2 VMs, 1 fits at once. The next one: The only host cannot "
        "take it: memory keeps it out; h1 comes closest, it lacks 324 MiB of memory"
    )


def test_one_whose_owner_has_as_many_as_he_may_is_told_so():
    reactor = a_reactor(a_host(1), scheduling=Options(order=OrderOptions(max_placed_per_user=1)))
    waiting(reactor)
    reactor.schedule(NOW_S)
    vm = waiting(reactor)

    assert why(reactor, vm)[0] == "Its owner ann has 1 VM on hosts, which is the limit; it goes on when one ends."


def test_one_that_gives_up_is_told_when():
    reactor = a_reactor(a_host(1, memory_mib=100), scheduling=Options(pending_timeout_s=600))
    vm = waiting(reactor)

    assert asked(reactor, vm, now_s=NOW_S + 5).gives_up_at_s == NOW_S + 600
    assert asked(reactor, submit(reactor, BARE)).gives_up_at_s is None


def test_one_that_a_banned_host_could_take_is_told_until_when():
    failures = Failures(count=2, at_s=NOW_S, banned_until_s=NOW_S + 60, message="no space")
    reactor = a_reactor(msgspec.structs.replace(a_host(1), failures=failures))
    answer = asked(reactor, waiting(reactor))

    assert answer.reason == "The only host cannot take it: ban keeps it out."
    assert "so it gets none until" in answer.nearest_miss
    assert answer.remedies[0] == "h1 would take it after `inn host enable h1`."


def test_what_the_record_says_of_a_wait_has_the_nearest_host_and_goes_with_the_wait():
    reactor = a_reactor(a_host(1, memory_mib=300), a_host(2, memory_mib=400), a_host(3, state=HostState.DISABLED))
    vm = waiting(reactor)
    reactor.schedule(NOW_S)
    shown = ask(reactor, "vm.show", vm_id=vm.vm_id).waits_for
    document = user_template(reactor.cluster, now(reactor, vm))
    put(reactor, a_host(4))
    reactor.schedule(NOW_S + 1)

    assert shown == (
        "None of 3 hosts can take it: memory keeps 2 out, host state 1; h2 comes closest, it lacks 112 MiB of memory."
    )
    assert document == (
        f"<USER_TEMPLATE><SCHED_MESSAGE>Thu Jan  1 00:16:40 1970: {shown}</SCHED_MESSAGE></USER_TEMPLATE>"
    )
    assert ask(reactor, "vm.show", vm_id=vm.vm_id).waits_for == ""
    assert "SCHED_MESSAGE" not in user_template(reactor.cluster, now(reactor, vm))


def test_hosts_that_fit_come_with_their_scores_and_the_weights():
    reactor = a_reactor(a_host(1), a_host(2))
    answer = asked(reactor, waiting(reactor, template(more='RANK = "ID"')))

    assert (answer.fitting, [each.host for each in answer.hosts]) == (2, ["h2", "h1"])
    assert set(answer.hosts[0].scores) == {"rank", *answer.weights, "total"}
    assert answer.policy == reactor.settings.policy
