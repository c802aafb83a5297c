"""Requests that are carried out for an administrator and tell of it; whom they let in, ``test_rights`` tests."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from tests.controller.builders import (
    ADMIN,
    ANN,
    BARE,
    BOB,
    NOW_S,
    a_site,
    a_vm,
    ask,
    ask_turn,
    change,
    picture,
    refusal,
)

from innkeeper_controller import verify
from innkeeper_controller.reactor import allow
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.requests.table import Who
from innkeeper_plugins.vocabulary import HostId, VmState

USERS = {"nobody": None, "stranger": BOB, "owner": ANN, "admin": ADMIN}


@dataclass(frozen=True)
class Sample:
    """A request that is carried out if who asks may ask."""

    params: dict[str, Any] = field(default_factory=dict)
    #: State of VM 0, which is ann's.
    state: VmState = VmState.HOLD
    #: Verbs that ann asks for first.
    after: tuple[str, ...] = ()


def _vm(state=VmState.HOLD, after=(), **params):
    return Sample({"vm_id": 0, **params}, state, after=after)


SAMPLES = {
    "system.status": Sample(),
    "system.verify": Sample(),
    "system.whoami": Sample(),
    "host.add": Sample({"name": "new"}),
    "host.token": Sample({"host": "h1"}),
    "host.list": Sample(),
    "host.show": Sample({"host": "h1"}),
    "host.enable": Sample({"host": "h1"}),
    "host.disable": Sample({"host": "h1"}),
    "host.drain": Sample({"host": "h1"}),
    "host.delete": Sample({"host": "h2"}),
    "host.set": Sample({"host": "h1", "cpu": {"allocation_ratio": 2}}),
    "cluster.set": Sample({"cluster": "default", "cpu": {"allocation_ratio": 2}}),
    "datastore.add": Sample({"name": "fast"}),
    "datastore.list": Sample(),
    "datastore.show": Sample({"datastore": "default"}),
    "datastore.delete": Sample({"datastore": "spare"}),
    "image.add": Sample({"name": "new", "path": "x.img", "host": "h1"}),
    "image.list": Sample(),
    "image.show": Sample({"image": "tiny"}),
    "image.delete": Sample({"image": "tiny"}),
    "network.add": Sample({"name": "new", "ranges": ({"size": 3, "ip": "10.9.0.1"},)}),
    "network.list": Sample(),
    "network.show": Sample({"network": "lan"}),
    "network.delete": Sample({"network": "lan"}),
    "network.hold": Sample({"network": "lan", "address": "10.0.0.9"}),
    "network.release": Sample({"network": "lan", "address": "10.0.0.7"}),
    "network.leases": Sample({"network": "lan"}),
    "vm.submit": Sample({"template": BARE}),
    "vm.list": Sample(),
    "vm.show": _vm(),
    "vm.plan": _vm(VmState.RUNNING, after=("suspend",)),
    "vm.why": _vm(),
    "vm.deploy": _vm(host="h1"),
    "vm.migrate": _vm(VmState.RUNNING, host="h2"),
    "vm.recover": _vm(VmState.FAILED, how="rollback"),
    "vm.cancel": _vm(VmState.RUNNING, after=("suspend",)),
    "vm.hold": _vm(VmState.PENDING),
    "vm.release": _vm(VmState.HOLD),
    "vm.suspend": _vm(VmState.RUNNING),
    "vm.resume": _vm(VmState.SUSPENDED),
    "vm.stop": _vm(VmState.RUNNING),
    "vm.poweroff": _vm(VmState.RUNNING),
    "vm.undeploy": _vm(VmState.RUNNING),
    "vm.reboot": _vm(VmState.RUNNING),
    "vm.shutdown": _vm(VmState.RUNNING),
    "vm.terminate": _vm(VmState.RUNNING),
    "operation.list": Sample(),
    "operation.show": Sample({"operation_id": "o0"}, VmState.RUNNING, after=("suspend",)),
    "operation.cancel": Sample({"operation_id": "o0"}, VmState.RUNNING, after=("suspend",)),
}


def world_for(sample):
    reactor = a_site()
    a_vm(reactor, sample.state, template=BARE)
    ask(reactor, "datastore.add", name="spare")
    ask(reactor, "network.hold", network="lan", address="10.0.0.7")
    for verb in sample.after:
        ask(reactor, f"vm.{verb}", user=ANN, vm_id=0)
    return reactor


@pytest.mark.parametrize("who", ["nobody", "admin"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_request_is_carried_out_for_an_administrator_and_changes_nothing_for_nobody(name, who):
    sample = SAMPLES[name]
    reactor = world_for(sample)
    before = picture(reactor.cluster)
    turns = []
    refused = refusal(lambda: turns.append(ask_turn(reactor, name, user=USERS[who], **sample.params)[0]))

    assert (refused and refused.code) == ("unauthenticated" if who == "nobody" else None)
    if refused or not REQUESTS[name].changes:
        assert picture(reactor.cluster) == before
        assert [(turn.changes, turn.events, turn.sends) for turn in turns] == ([] if refused else [([], [], [])])
    assert verify.findings(reactor.cluster) == ()


@pytest.mark.parametrize("name", [name for name in SAMPLES if REQUESTS[name].changes])
def test_what_changes_something_for_an_administrator_tells_of_it(name):
    reactor = world_for(SAMPLES[name])
    turn, _ = ask_turn(reactor, name, **SAMPLES[name].params)

    if turn.changes:
        assert turn.events
        assert {event.actor for event in turn.events} == {"root"}
        assert {event.request_id for event in turn.events} == {"r1"}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_has_a_name_a_path_and_a_sentence(name):
    request = REQUESTS[name]

    assert request.name == name
    assert request.path.startswith("/v1/")
    assert request.summary[0].isupper()
    assert request.summary.endswith(".")
    parameters = {part[1:-1] for part in request.path.split("/") if part.startswith("{")}
    assert parameters <= set(request.params.__struct_fields__)


def test_no_two_requests_share_a_method_and_a_path():
    ways = [(request.method, request.path) for request in REQUESTS.values()]

    assert len(set(ways)) == len(ways)


@pytest.mark.parametrize(
    ("who", "user", "text"),
    [
        (Who.USER, None, "Say who you are: send your token (inn: --token-file or INNKEEPER_TOKEN)."),
        (Who.ADMIN, None, "Say who you are: send your token (inn: --token-file or INNKEEPER_TOKEN)."),
        (Who.ADMIN, ANN, "Only an administrator may do this."),
        (Who.ANYONE, None, None),
        (Who.USER, ANN, None),
        (Who.ADMIN, ADMIN, None),
    ],
)
def test_who_may_ask_for_what(who, user, text):
    refused = refusal(lambda: allow(who, user))

    assert (refused and str(refused)) == text


def test_what_belongs_to_somebody_is_refused_with_whose_it_is():
    reactor = world_for(SAMPLES["vm.suspend"])
    refused = refusal(lambda: ask(reactor, "vm.suspend", user=BOB, vm_id=0))

    text = "User [3] bob: Not authorized to perform MANAGE VM [0]; ask ann or an administrator."
    assert (refused.code, str(refused)) == ("forbidden", text)


def test_operations_of_others_are_not_listed():
    reactor = world_for(SAMPLES["operation.show"])
    ask(reactor, "image.add", user=BOB, name="bobs", path="x.img", host="h1")

    listed = {
        who: [each.operation_id for each in ask(reactor, "operation.list", user=user)]
        for who, user in USERS.items()
        if user
    }
    assert listed == {"stranger": ["o1"], "owner": ["o0"], "admin": ["o0", "o1"]}


def test_an_operation_about_what_is_no_more_is_shown_to_who_asked_for_it():
    """As after the deletion of an image, and as the archive's handler has it."""
    reactor = world_for(SAMPLES["operation.show"])
    reactor.cluster.vms.clear()

    assert ask(reactor, "operation.show", user=ANN, operation_id="o0").kind == "suspend"
    assert refusal(lambda: ask(reactor, "operation.show", user=BOB, operation_id="o0")).code == "forbidden"
    newer = msgspec.structs.replace(ANN, created_at_s=NOW_S + 1)
    change(reactor, newer)
    assert refusal(lambda: ask(reactor, "operation.show", user=newer, operation_id="o0")).code == "forbidden"


def test_an_agent_cannot_ask_for_anything():
    """Its messages reach the handlers of agents only, which know no request."""
    reactor = world_for(SAMPLES["vm.suspend"])
    before = picture(reactor.cluster)
    for params in (SAMPLES["vm.suspend"].params, {"host": "h1"}):
        reactor.message(HostId(1), params, NOW_S)

    assert picture(reactor.cluster) == before
