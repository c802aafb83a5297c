"""Deciding how much of hosts may be given away: what is kept, what is cleared, what is refused, who hears of it."""

import math

import msgspec
import pytest
from tests.controller.builders import (
    ANN,
    BARE,
    a_host,
    a_reactor,
    a_vm,
    ask,
    ask_turn,
    picture,
    refusal,
    submit,
    told,
)

from innkeeper_controller.inventory import Allowance
from innkeeper_controller.requests.allow import SetHost, after, checked
from innkeeper_controller.turn import RefusalError
from innkeeper_plugins.vocabulary import HostId, VmState


def own(reactor):
    return reactor.cluster.hosts[HostId(1)].allowances


def refused(reactor, request, /, **params):
    """Return code and text of a refusal, after checking that it has changed nothing."""
    before = picture(reactor.cluster)
    error = refusal(lambda: ask(reactor, request, **params))
    assert picture(reactor.cluster) == before
    return error.code, str(error)


def test_what_is_given_is_kept_and_the_rest_stays():
    reactor = a_reactor(a_host())
    ask(reactor, "host.set", host="h1", cpu={"reserved": 2, "allocation_ratio": 4})
    turn, _ = ask_turn(reactor, "host.set", host="h1", cpu={"allocation_ratio": 3}, memory={"reserved": 2048})

    assert own(reactor) == {
        "cpu": Allowance(reserved=2.0, allocation_ratio=3.0),
        "memory": Allowance(reserved=2048.0),
    }
    assert told(turn) == [("host.allowances_set", "host:1")]
    assert turn.events[0].detail == {
        "name": "h1",
        "allowances": {"cpu": {"reserved": 2.0, "allocation_ratio": 3.0}, "memory": {"reserved": 2048.0}},
    }


def test_asking_twice_changes_nothing():
    reactor = a_reactor(a_host())
    ask(reactor, "host.set", host="h1", cpu={"reserved": 2})
    turn, _ = ask_turn(reactor, "host.set", host="h1", cpu={"reserved": 2})

    assert (turn.changes, turn.events) == ([], [])


@pytest.mark.parametrize(
    ("clear", "left"),
    [
        (["cpu.reserved"], {"cpu": Allowance(allocation_ratio=4.0), "disk": Allowance(allocation_ratio=2.0)}),
        (["cpu.reserved", "cpu.allocation_ratio"], {"disk": Allowance(allocation_ratio=2.0)}),
        (["cpu"], {"disk": Allowance(allocation_ratio=2.0)}),
        (["all"], {}),
        (
            ["memory", "memory.reserved"],
            {"cpu": Allowance(reserved=2.0, allocation_ratio=4.0), "disk": Allowance(allocation_ratio=2.0)},
        ),
    ],
)
def test_what_is_cleared_is_decided_no_longer(clear, left):
    reactor = a_reactor(a_host())
    ask(reactor, "host.set", host="h1", cpu={"reserved": 2, "allocation_ratio": 4}, disk={"allocation_ratio": 2})
    ask(reactor, "host.set", host="h1", clear=clear)

    assert own(reactor) == left


def test_what_is_cleared_and_given_at_once_is_what_is_given():
    reactor = a_reactor(a_host())
    ask(reactor, "host.set", host="h1", cpu={"reserved": 2, "allocation_ratio": 4})
    ask(reactor, "host.set", host="h1", cpu={"allocation_ratio": 1.5}, clear=["all"])

    assert own(reactor) == {"cpu": Allowance(allocation_ratio=1.5)}


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (
            {"cpu": {"allocation_ratio": 0}},
            "cpu.allocation_ratio is 0; it has to be more than 0 and at most 1000.",
        ),
        (
            {"disk": {"allocation_ratio": 1000.5}},
            "disk.allocation_ratio is 1000.5; it has to be more than 0 and at most 1000.",
        ),
        ({"memory": {"reserved": 1e13}}, "memory.reserved is 1e+13, which no host has."),
        ({"memory": {"min_unit": -1}}, "memory.min_unit is -1; it has to be 0 or more."),
        ({"cpu": {"step_size": -0.5}}, "cpu.step_size is -0.5; it has to be 0 or more."),
        ({"cpu": {"max_unit": 0}}, "cpu.max_unit is 0; it has to be more than 0."),
        ({"cpu": {"min_unit": 4, "max_unit": 2}}, "No VM could take cpu: at least 4 and at most 2."),
        (
            {"clear": ["gpu"]},
            (
                "'gpu' is nothing that is decided; clear cpu, memory, disk, one of their reserved, allocation_ratio, "
                "min_unit, max_unit, step_size as cpu.reserved, or all."
            ),
        ),
        (
            {"clear": ["cpu.size"]},
            (
                "'cpu.size' is nothing that is decided; clear cpu, memory, disk, one of their reserved, "
                "allocation_ratio, min_unit, max_unit, step_size as cpu.reserved, or all."
            ),
        ),
    ],
)
@pytest.mark.parametrize(
    ("request_name", "of"), [("host.set", {"host": "h1"}), ("cluster.set", {"cluster": "default"})]
)
def test_what_cannot_be_meant_is_refused(params, text, request_name, of):
    assert refused(a_reactor(a_host()), request_name, **of, **params) == ("bad_request", text)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", Allowance.__struct_fields__)
def test_no_number_that_is_none_is_kept(name, value):
    with pytest.raises(RefusalError, match="which no host has"):
        after({}, SetHost(host="h1", cpu=Allowance(**{name: value})))


def test_what_says_nothing_is_not_kept():
    assert checked({"cpu": Allowance(), "disk": Allowance(reserved=0.0)}) == {"disk": Allowance(reserved=0.0)}


def test_a_cluster_decides_for_its_hosts_and_shows_it():
    reactor = a_reactor(a_host())
    turn, view = ask_turn(reactor, "cluster.set", cluster="default", cpu={"allocation_ratio": 2})

    assert view.allowances == {"cpu": Allowance(allocation_ratio=2.0)}
    assert told(turn) == [("cluster.allowances_set", "cluster:0")]
    assert ask(reactor, "host.show", host="h1").may_give.cpu_cores == 16.0
    assert ask(reactor, "cluster.show", cluster="default") == view


@pytest.mark.parametrize(("name", "of"), [("host.set", {"host": "h1"}), ("cluster.set", {"cluster": "default"})])
def test_only_administrators_decide(name, of):
    reactor = a_reactor(a_host())
    error = refusal(lambda: ask(reactor, name, user=ANN, cpu={"allocation_ratio": 2}, **of))

    assert error.code == "forbidden"


def test_a_host_that_became_overfull_keeps_what_it_has():
    reactor = a_reactor(a_host())
    vm = a_vm(reactor, template=BARE)
    turn, _ = ask_turn(reactor, "host.set", host="h1", cpu={"reserved": 7.5})

    assert (turn.sends, reactor.cluster.vms[vm.vm_id].state) == ([], VmState.RUNNING)


def test_who_waits_is_looked_at_again_when_more_may_be_given():
    reactor = a_reactor(a_host(cpu_cores=1.0))
    submit(reactor, "NAME = big\nCPU = 2\nMEMORY = 64\n", hold=False)
    reactor.schedule(1.0)
    quiet = reactor.cluster.freed
    ask(reactor, "host.set", host="h1", cpu={"allocation_ratio": 2})

    assert (quiet, reactor.cluster.freed) == (False, True)


# --- OpenNebula's way


def test_opennebulas_reserved_amounts_are_the_same_decision():
    reactor = a_reactor(a_host())
    ask(reactor, "host.set", host="h1", cpu={"allocation_ratio": 4}, memory={"reserved": 5})
    ask(
        reactor,
        "host.update",
        host="h1",
        template='RACK = 4\nRESERVED_CPU = 200\nRESERVED_MEM = "2097152"\n',
        append=True,
    )
    host = reactor.cluster.hosts[HostId(1)]

    assert host.allowances == {
        "cpu": Allowance(reserved=2.0, allocation_ratio=4.0),
        "memory": Allowance(reserved=2048.0),
    }
    assert host.labels == {"RACK": "4"}


def test_a_template_that_changes_what_is_reserved_tells_so():
    reactor = a_reactor(a_host())
    turns = [
        ask_turn(reactor, "host.update", host="h1", template=template, append=True)[0]
        for template in ("RESERVED_CPU = 200", "RACK = 4")
    ]

    assert [told(turn) for turn in turns] == [
        [("host.allowances_set", "host:1"), ("host.updated", "host:1")],
        [("host.updated", "host:1")],
    ]


def test_below_nothing_opennebula_gives_more_than_there_is():
    reactor = a_reactor(a_host())
    ask(reactor, "host.update", host="h1", template='RESERVED_CPU = "-400"')

    assert ask(reactor, "host.show", host="h1").may_give.cpu_cores == 12.0


@pytest.mark.parametrize(
    ("template", "append", "reserved"),
    [
        ("RACK = 4", True, 2.0),
        ("RACK = 4", False, None),
        ('RESERVED_CPU = ""', True, None),
        ("RESERVED_CPU = 100", False, 1.0),
    ],
)
@pytest.mark.parametrize("noun", ["host", "cluster"])
def test_what_a_whole_template_leaves_out_is_reserved_no_longer(noun, template, append, reserved):
    reactor = a_reactor(a_host())
    name = {"host": "h1", "cluster": "default"}[noun]
    ask(reactor, f"{noun}.set", **{noun: name}, cpu={"reserved": 2, "max_unit": 4})
    ask(reactor, f"{noun}.update", **{noun: name}, template=template, append=append)
    record = reactor.cluster.hosts[HostId(1)] if noun == "host" else reactor.cluster.clusters[0]

    assert record.allowances == {"cpu": Allowance(reserved=reserved, max_unit=4.0)}


@pytest.mark.parametrize("value", ["10%", "many", "nan", "1e99"])
def test_a_reserved_amount_that_is_none_is_refused(value):
    reactor = a_reactor(a_host())
    code, text = refused(reactor, "host.update", host="h1", template=f'RESERVED_CPU = "{value}"')

    assert code == "bad_request"
    assert "RESERVED_CPU is" in text or "which no host has" in text


def test_allowances_are_stored_and_read_again():
    reactor = a_reactor(a_host())
    ask(reactor, "host.set", host="h1", cpu={"reserved": 2, "step_size": 0.5})
    host = reactor.cluster.hosts[HostId(1)]

    assert msgspec.json.decode(msgspec.json.encode(host), type=type(host)) == host
