"""Plans and capacity on the command line: what a real controller answers, on one screen, with what to do next."""

import json

import msgspec
import pytest
from fake_controller import refused
from tests.controller.builders import (
    ADMIN,
    ANN,
    BARE,
    TEMPLATE,
    a_host,
    a_network,
    a_reactor,
    a_site,
    a_vm,
    an_image,
    ask_with,
    change,
    digest,
    put,
)

from innkeeper_controller.cli.plan import applied_text
from innkeeper_controller.records import DefaultLimits, StoredTemplate
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.turn import RefusalError
from innkeeper_plugins.vocabulary import VmState

NEAREST = "h2 comes closest: 1 core is needed, none of 2 is free."


@pytest.fixture
def world(fake, run, tmp_path):
    """Run ``inn`` against a real controller's answers."""

    def go(reactor, *arguments, user=ADMIN):
        def answer(request):
            def asked(got):
                params = got.json if got.method == "POST" else {}
                for part, given in zip(request.path.split("/"), got.target.split("/"), strict=True):
                    if part.startswith("{"):
                        params = {**params, part[1:-1]: given}
                try:
                    return msgspec.to_builtins(ask_with(reactor, request.name, params, user=user))
                except RefusalError as error:
                    return refused(error.code, str(error))

            return asked

        names = ("plan.submit", "plan.drain", "plan.lose", "plan.apply", "capacity.show")
        for request in (REQUESTS[name] for name in names):
            fake.answers[f"{request.method} {request.path}"] = answer(request)
        fake.answers["GET /v1/templates/kept"] = answer(REQUESTS["template.show"])
        for name, text in (("bare.vm", BARE), ("web.vm", TEMPLATE)):
            (tmp_path / name).write_text(text)
        return run(*(tmp_path / each if str(each).endswith((".vm", ".json")) else each for each in arguments))

    return go


def two_hosts(**settings):
    return a_reactor(a_host(1, cpu_cores=2.0), a_host(2, cpu_cores=1.0), scheduler="none", **settings)


# --- submit


def test_a_plan_says_where_vms_would_go_and_why_the_others_would_wait(world):
    ran = world(two_hosts(), "plan", "submit", "bare.vm", "-n", "4", user=ANN)

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "3 VMs would go to 2 hosts; 1 would wait.",
        "HOST  VMS  WHICH",
        "h1      2  0..1",
        "h2      1  2",
        "Why: None of 2 hosts can take it: cpu keeps 2 out.",
        "  h1 comes closest: 1 core is needed, none of 2 is free.",
        "  h1 would take it with 1 more core.",
        "With -o json the plan can be kept; `inn plan apply FILE` then does exactly so.",
    ]


def test_a_plan_tells_of_those_who_wait_already(world):
    reactor = two_hosts()
    ask_with(reactor, "vm.submit", {"template": BARE})
    ran = world(reactor, "plan", "submit", "bare.vm", user=ANN)

    assert ran.out.splitlines()[:2] == [
        "1 VM would go to 1 host, none would wait.",
        "1 VM waits already and keeps its turn of the queue: it finds a host.",
    ]


def test_a_submission_that_would_be_refused_ends_with_1(world):
    reactor = two_hosts()
    put(reactor, DefaultLimits(of="user", limits={"vm.vms": 1.0}))
    ran = world(reactor, "plan", "submit", "bare.vm", "-n", "2", user=ANN)

    assert ran.code == 1
    assert ran.out.startswith("It would be refused: User ann may have 1 of vm.vms, has 0 and wants 2 more;")
    assert "inn plan apply" not in ran.out


def test_a_plan_of_many_hosts_fits_one_screen_unless_all_is_wanted(world):
    reactor = a_reactor(*(a_host(number, cpu_cores=1.0) for number in range(1, 61)))
    short = world(reactor, "plan", "submit", "bare.vm", "-n", "60").out.splitlines()
    whole = world(reactor, "plan", "submit", "bare.vm", "-n", "60", "-o", "wide").out.splitlines()

    assert (len(short), len(whole)) == (24, 63)
    assert short[22] == "... and 40 more; -o wide shows all."


def test_a_stored_template_is_planned_by_its_name(world):
    reactor = two_hosts()
    put(reactor, StoredTemplate(template_id=0, name="kept", owner="ann", group="users", text=BARE))

    assert world(reactor, "plan", "submit", "kept").out.startswith("1 VM would go to 1 host")
    assert world(reactor, "capacity", "--template", "kept").out.startswith("3 more fit; cpu runs out first.")


def test_a_template_that_is_nowhere_is_a_mistake_of_usage(world):
    ran = world(two_hosts(), "plan", "submit", "nothing")

    assert (ran.code, "There is neither a file nothing nor a stored template" in ran.err) == (2, True)


# --- apply


def test_a_plan_that_was_kept_is_applied(world, tmp_path):
    reactor = two_hosts()
    (tmp_path / "p.json").write_text(world(reactor, "plan", "submit", "bare.vm", "-n", "4", "-o", "json").out)
    ran = world(reactor, "plan", "apply", "p.json")

    assert ran.out == "VMs 0..2 are started as planned. VM 3 waits; `inn vm why 3` says what for.\n"
    assert [vm.host_id for vm in reactor.cluster.vms.values()] == [1, 1, 2, None]


def test_a_stale_plan_is_refused_with_what_to_do(world, tmp_path):
    reactor = two_hosts()
    (tmp_path / "p.json").write_text(world(reactor, "plan", "submit", "bare.vm", "-o", "json").out)
    change(reactor, reactor.cluster.hosts[1], connected=False)
    ran = world(reactor, "plan", "apply", "p.json")

    assert (ran.code, ran.err.startswith("error[stale]: ")) == (1, True)
    assert "make it anew: `inn plan submit TEMPLATE -o json`" in ran.err


@pytest.mark.parametrize("text", ["", "[]", '"x"', "{}", '{"kind": "lose", "version": "x"}'])
def test_what_is_no_plan_is_a_mistake_of_usage(world, tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    ran = world(two_hosts(), "plan", "apply", "p.json")

    assert (ran.code, "plan" in ran.err) == (2, True)


def test_a_drain_is_planned_kept_and_applied(world, tmp_path):
    reactor = a_site(2, scheduler="none")
    a_vm(reactor, VmState.RUNNING)
    (tmp_path / "p.json").write_text(world(reactor, "plan", "drain", "h1", "-o", "json").out)
    ran = world(reactor, "plan", "apply", "p.json")

    assert ran.out == "h1 is drained: 1 VM on the way, as planned.\n"
    assert reactor.cluster.vms[0].destination_id == 2


def test_a_drain_that_moves_nobody_says_who_stays_and_what_to_do(world, tmp_path):
    reactor = a_reactor(a_host(1), a_host(2, cpu_cores=1.0), scheduler="none")
    for _ in range(2):
        a_vm(reactor, VmState.RUNNING, template=BARE)
    (tmp_path / "p.json").write_text(world(reactor, "plan", "drain", "h1", "-o", "json").out)
    ran = world(reactor, "plan", "apply", "p.json")

    assert ran.out.splitlines() == [
        "h1 takes no new VMs: 1 VM is on the way, as planned; 1 VM stays.",
        "`inn plan drain h1` says why it does; once that is mended, `inn host drain h1` moves it.",
    ]


@pytest.mark.parametrize(
    ("moved", "stuck", "said"),
    [
        (0, 2, "h1 takes no new VMs, but none is on the way: 2 VMs stay."),
        (3, 1, "h1 takes no new VMs: 3 VMs are on the way, as planned; 1 VM stays."),
    ],
)
def test_how_many_stay_is_told_in_the_first_line(moved, stuck, said):
    found = {"kind": "drain", "host": "h1", "stuck": [{}] * stuck}

    assert applied_text(found, {"vm_ids": list(range(moved))}).splitlines()[0] == said


# --- drain


def test_a_plan_of_a_drain_tells_who_goes_where_and_how_and_who_stays(world):
    reactor = a_site(2, scheduler="none")
    put(reactor, a_host(2, cpu_cores=2.0, images=[digest("e")]))
    a_vm(reactor, VmState.RUNNING)
    a_vm(reactor, VmState.POWEROFF)
    a_vm(reactor, VmState.RUNNING)
    ran = world(reactor, "plan", "drain", "h1")

    assert ran.code == 1
    assert ran.out.splitlines() == [
        "2 of 3 VMs would leave h1, 1 live.",
        "VM  NAME  STATE     TO  HOW",
        " 0  web   RUNNING   h2  live",
        " 1  web   POWEROFF  h2  at rest",
        f"VM 2 web would stay: The only host cannot take it: cpu keeps it out. {NEAREST}",
        "  h2 would take it with 1 more core.",
        "With -o json the plan can be kept; `inn plan apply FILE` then does exactly so.",
    ]


def test_an_empty_host_is_told_to_be_empty(world):
    assert world(a_site(), "plan", "drain", "h1").out == "h1 has no VM.\n"


# --- lose


def test_the_first_line_says_whether_a_host_may_die(world):
    reactor = a_site(2, scheduler="none")
    a_vm(reactor, VmState.RUNNING)
    a_vm(reactor, VmState.RUNNING, template=BARE)
    ran = world(reactor, "plan", "lose", "h1")

    assert (ran.code, ran.out.splitlines()) == (
        0,
        [
            "yes: all 2 VMs of h1 would find room elsewhere.",
            "1 of them would start anew from their images: what they wrote is on no other host.",
            "1 of them would have all that they have now: they have no disk, or share storage.",
            "HOST  WOULD GET",
            "h2            2",
        ],
    )


def test_a_host_that_may_not_die_ends_with_1_and_who_has_nowhere_to_go(world):
    reactor = a_reactor(a_host(1), a_host(2, cpu_cores=1.0), an_image(), a_network(), scheduler="none")
    a_vm(reactor, VmState.RUNNING, template=BARE)
    a_vm(reactor, VmState.RUNNING, template=BARE)
    ran = world(reactor, "plan", "lose", "h1")

    assert (ran.code, ran.out.splitlines()[0]) == (
        1,
        "no: of 2 VMs of h1, 1 would find no room elsewhere.",
    )
    assert "VM 1 bare has nowhere to go: The only host cannot take it: cpu keeps it out." in ran.out


def test_any_host_says_in_one_line_whether_n_plus_1_holds(world):
    reactor = a_site(3, scheduler="none")
    a_vm(reactor, VmState.RUNNING, template=BARE)

    assert world(reactor, "plan", "lose", "--any").out == "N+1 holds for all 3 hosts.\n"


def test_any_host_names_those_for_which_n_plus_1_does_not_hold(world):
    reactor = a_reactor(a_host(1), a_host(2, cpu_cores=1.0), scheduler="none")
    for _ in range(2):
        a_vm(reactor, VmState.RUNNING, template=BARE)
    ran = world(reactor, "plan", "lose", "--any")

    assert (ran.code, ran.out.splitlines()[0]) == (1, "N+1 does not hold for 1 of 2 hosts:")
    assert ran.out.splitlines()[2].startswith("h1      2             1  The only host cannot take it: cpu")


def test_a_host_that_dies_is_not_among_those_that_are_said_to_keep_its_vms_out(world):
    reactor = a_reactor(*(a_host(number, cpu_cores=0.5) for number in (1, 2, 3)), scheduler="none")
    a_vm(reactor, VmState.RUNNING, template=BARE)

    for arguments in (("--any",), ("h1",)):
        assert "None of 2 hosts can take it: cpu keeps 2 out." in world(reactor, "plan", "lose", *arguments).out


@pytest.mark.parametrize("arguments", [(), ("--any", "h1")])
def test_lose_wants_hosts_or_any(world, arguments):
    assert world(a_site(), "plan", "lose", *arguments).code == 2


# --- capacity


def test_capacity_says_how_many_more_fit_and_what_runs_out_first(world):
    ran = world(a_site(), "capacity", "--template", "web.vm", user=ANN)

    assert ran.out.splitlines() == [
        "10 more fit; addresses of network lan run out first.",
        "CLUSTER  HOSTS  FIT  RUNS OUT",
        "default      2   16  cpu",
        "Addresses of network lan: enough for 10.",
    ]


def test_capacity_of_what_fits_nowhere_says_why_and_what_would_help(world):
    ran = world(two_hosts(), "capacity", "--template", "bare.vm", "--set", "CPU=3")

    assert ran.out.splitlines()[:3] == [
        "None more fits.",
        "None of 2 hosts can take it: cpu keeps 2 out.",
        "  h1 comes closest: 3 cores are needed, 2 of 2 are free.",
    ]


def test_capacity_is_told_to_programs(world):
    answer = json.loads(world(two_hosts(), "capacity", "--template", "bare.vm", "-o", "json").out)

    assert (answer["fits"], answer["at_least"], answer["runs_out"]) == (3, False, "cpu")
