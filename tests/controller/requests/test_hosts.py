"""Requests about hosts: names, tokens, states, and what keeps a host from being deleted."""

import msgspec
import pytest
from tests.controller.builders import (
    BARE,
    NOW_S,
    SETTINGS,
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
    picture,
    refusal,
    say,
    told,
)

from innkeeper_controller.records import HostState
from innkeeper_hostagent.protocol.join import digest as secret_digest
from innkeeper_hostagent.protocol.join import parse
from innkeeper_hostagent.protocol.messages import Heartbeat
from innkeeper_plugins.vocabulary import Capacity, HostId, VmState


def refused(reactor, request, /, **params):
    """Return code and text of a refusal, after checking that it has changed nothing."""
    before = picture(reactor.cluster)
    error = refusal(lambda: ask(reactor, request, **params))
    assert picture(reactor.cluster) == before
    return error.code, str(error)


def test_a_new_host_gets_a_number_and_a_token_that_pins_the_controllers_key():
    reactor = a_reactor()
    turn, answer = ask_turn(reactor, "host.add", name="web1", labels={"RACK": "4"})
    host = reactor.cluster.hosts[HostId(1)]
    token = parse(answer.join_token)

    assert (answer.host_id, answer.name, answer.expires_at_s) == (1, "web1", NOW_S + SETTINGS.join_token_lifetime_s)
    assert (token.endpoint, token.controller_public_key) == (SETTINGS.agents_endpoint, SETTINGS.public_key)
    assert (host.state, host.labels, host.public_key) == (HostState.JOINING, {"RACK": "4"}, "")
    assert host.join_token_sha256 == secret_digest(token.secret)
    assert told(turn) == [("host.added", "host:1")]


def test_hosts_are_counted_from_1_for_0_is_the_controller():
    reactor = a_reactor()

    assert [ask(reactor, "host.add", name=name).host_id for name in ("a", "b")] == [1, 2]


@pytest.mark.parametrize("name", ["", " ", "7", "a b", "a/b", "ö!", "x\n", "x" * 129])
def test_a_host_needs_a_name_that_is_one(name):
    assert refused(a_reactor(), "host.add", name=name) == (
        "bad_request",
        f"{name[:40]!r} is no host name; use up to 128 letters, digits and - _ ., and not a number alone.",
    )


def test_a_name_is_given_once():
    reactor = a_reactor(a_host(1))

    assert refused(reactor, "host.add", name="h1") == (
        "name_taken",
        "There is a host h1 already; `inn host token h1` makes a new token.",
    )


@pytest.mark.parametrize("wanted", ["h1", "1"])
def test_a_host_is_found_by_name_and_number(wanted):
    assert ask(a_reactor(a_host(1)), "host.show", host=wanted).name == "h1"


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("h11", "There is no host h11. Did you mean h1?"),
        ("7", "There is no host 7. `inn host list` shows what there is."),
        ("9" * 5000, f"There is no host {'9' * 128}.... `inn host list` shows what there is."),
        ("", "There is no host . `inn host list` shows what there is."),
    ],
)
def test_a_host_that_is_not_there_is_not_found(wanted, text):
    assert refused(a_reactor(a_host(1)), "host.show", host=wanted) == ("not_found", text)


@pytest.mark.parametrize(
    ("verb", "state"),
    [("disable", HostState.DISABLED), ("drain", HostState.DRAINING), ("enable", HostState.ON)],
)
def test_a_host_is_switched_and_told_of_once(verb, state):
    reactor = a_reactor(a_host(1, state=HostState.DISABLED if verb == "enable" else HostState.ON))
    turns = [ask_turn(reactor, f"host.{verb}", host="h1") for _ in range(2)]

    assert reactor.cluster.hosts[HostId(1)].state is state
    assert [answer.state for _, answer in turns] == [state.value] * 2
    assert [told(turn) for turn, _ in turns] == [[(f"host.{state.value}", "host:1")], []]


@pytest.mark.parametrize("verb", ["enable", "disable", "drain"])
def test_a_host_that_has_not_joined_cannot_be_switched(verb):
    reactor = a_reactor()
    ask(reactor, "host.add", name="web1")

    assert refused(reactor, f"host.{verb}", host="web1") == (
        "wrong_state",
        "Host web1 has not joined yet; run its join command first.",
    )


def test_a_lost_host_is_shown_as_lost_whatever_people_want_of_it():
    states = [
        ask(a_reactor(a_host(1, **values)), "host.show", host="h1").state
        for values in ({}, {"connected": False}, {"connected": False, "state": HostState.DISABLED})
    ]

    assert states == ["on", "lost", "lost"]


def test_a_host_is_listed_with_what_is_used_of_it():
    reactor = a_site()
    a_vm(reactor)
    say(reactor, 1, Heartbeat(cpu_used_cores=0.5, memory_used_mib=99), now_s=NOW_S + 2)
    one, two = ask(reactor, "host.list")

    assert (one.used, one.vms, one.cpu_used_cores, one.memory_used_mib, one.heard_at_s) == (
        Capacity(cpu_cores=1.0, memory_mib=512),
        1,
        0.5,
        99,
        NOW_S + 2,
    )
    assert (two.used, two.vms) == (Capacity(), 0)
    assert ask(reactor, "host.show", host="h1").vm_ids == (0,)


# --- delete


def test_an_empty_host_is_forgotten_with_its_key():
    reactor = a_reactor(a_host(1))
    turn, _ = ask_turn(reactor, "host.delete", host="h1")

    assert (reactor.cluster.hosts, reactor.cluster.host_of_key, told(turn)) == ({}, {}, [("host.deleted", "host:1")])


@pytest.mark.parametrize("state", [VmState.RUNNING, VmState.STOPPED, VmState.FAILED])
def test_a_host_with_vms_is_not_deleted_just_so(state):
    reactor = a_reactor(a_host(1))
    for _ in range(9):
        a_vm(reactor, state, template=BARE)

    assert refused(reactor, "host.delete", host="h1") == (
        "in_use",
        (
            "Host h1 has VMs (0, 1, 2, 3, 4, 5, 6, 7, ...); drain it first (`inn host drain h1`), resume elsewhere or "
            "terminate those that are STOPPED or UNDEPLOYED, or, if the machine is dead for certain, use --force: its "
            "VMs become FAILED and can be started elsewhere."
        ),
    )


def test_a_host_that_a_vm_goes_to_is_not_deleted_just_so():
    reactor = a_site()
    a_vm(reactor)
    ask(reactor, "vm.migrate", vm_id=0, host="h2")

    assert refused(reactor, "host.delete", host="h2")[0] == "in_use"


def test_a_host_that_is_there_is_not_dead_whatever_is_asserted():
    reactor = a_site()
    a_vm(reactor)

    assert refused(reactor, "host.delete", host="h1", force=True) == (
        "in_use",
        (
            "Host h1 is connected, so its machine is not dead, and its 1 VMs may run; drain it "
            "(`inn host drain h1`), or stop its agent and its guests first."
        ),
    )


def test_the_only_copy_of_an_image_is_not_lost_just_so():
    reactor = a_reactor(a_host(1, images=[digest("e")]), a_host(2), an_image())

    assert refused(reactor, "host.delete", host="h1") == (
        "in_use",
        "Host h1 has the only copy of images (tiny); delete them first, or use --force: they are lost then.",
    )
    ask(reactor, "host.delete", host="h1", force=True)
    assert reactor.cluster.images[0].home is None


def test_an_image_that_another_host_has_as_well_only_loses_its_home():
    reactor = a_site()
    ask(reactor, "host.delete", host="h1")
    shown = ask(reactor, "image.show", image="tiny")

    assert (shown.home, shown.hosts) == ("", ("h2",))


def test_an_image_that_never_arrived_keeps_no_host():
    reactor = a_reactor(a_host(1), an_image(sha256="", state="error"))
    ask(reactor, "host.delete", host="h1")

    assert reactor.cluster.hosts == {}


def test_the_name_of_a_deleted_host_is_free_and_its_number_is_not():
    reactor = a_reactor(a_host(1), a_network())
    ask(reactor, "host.delete", host="h1")

    assert ask(reactor, "host.add", name="h1").host_id == 2


def test_labels_are_what_requirements_may_ask_for():
    reactor = a_reactor(a_host(1), a_host(2))
    host = reactor.cluster.hosts[HostId(2)]
    change(reactor, host, labels={"rack": "4"})
    vm = ask(reactor, "vm.submit", template=BARE + 'SCHED_REQUIREMENTS = "RACK = 4"\n').vm_ids[0]
    reactor.schedule(NOW_S)

    assert reactor.cluster.vms[vm].host_id == 2
    assert msgspec.to_builtins(ask(reactor, "host.show", host="h2").labels) == {"rack": "4"}


def test_a_host_keeps_the_driver_names_and_the_cluster_that_it_is_given():
    reactor = a_reactor()
    ask(reactor, "cluster.add", name="near")
    ask(reactor, "host.add", name="web1", im_mad="kvm", vm_mad="kvm", cluster="near")
    ask(reactor, "host.add", name="web2")
    hosts = [reactor.cluster.hosts[HostId(number)] for number in (1, 2)]
    shown = ask(reactor, "host.show", host="web1")

    assert [(each.im_mad, each.vm_mad, each.cluster_id) for each in hosts] == [
        ("kvm", "kvm", 100),
        ("innkeeper", "innkeeper", 0),
    ]
    assert (shown.im_mad, shown.vm_mad, shown.cluster) == ("kvm", "kvm", "near")


@pytest.mark.parametrize(
    ("values", "code"), [({"cluster": "nowhere"}, "not_found"), ({"im_mad": "a\nb"}, "bad_request")]
)
def test_a_host_is_not_made_with_what_is_not_there_or_no_name(values, code):
    assert refused(a_reactor(), "host.add", name="web1", **values)[0] == code


def test_a_host_that_is_away_on_purpose_is_shown_so_even_without_its_agent():
    reactor = a_reactor(a_host(1))
    turn, _ = ask_turn(reactor, "host.offline", host="h1")
    change(reactor, reactor.cluster.hosts[HostId(1)], connected=False)

    assert told(turn) == [("host.offline", "host:1")]
    assert ask(reactor, "host.show", host="h1").state == "offline"
    assert ask(reactor, "host.enable", host="h1").state == "lost"
