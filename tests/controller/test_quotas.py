"""Limits of users and groups: what is counted, what is refused, and that nothing is counted twice or lost."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.controller.builders import (
    ANN,
    BARE,
    BOB,
    TEMPLATE,
    a_reactor,
    a_site,
    a_vm,
    an_image,
    ask,
    ask_with,
    change,
    digest,
    leg_ended,
    picture,
    put,
    refusal,
    say,
    submit,
    turn_of,
)

from innkeeper_controller import quotas
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import User, VmRecord
from innkeeper_controller.usage import amounts_of
from innkeeper_plugins.vocabulary import VmState


def limit(reactor, template, *, group=""):
    if group:
        return ask(reactor, "group.limits", group=group, template=template).limits
    return ask_with(reactor, "user.limits", {"user": "ann", "template": template}).limits


@pytest.mark.parametrize(
    ("template", "limits"),
    [
        ("VM = [ VMS = 5, CPU = 2.5 ]", {"vm.vms": 5.0, "vm.cpu": 2.5}),
        (
            "<TEMPLATE><VM><MEMORY>1024</MEMORY><RUNNING_VMS>1</RUNNING_VMS></VM></TEMPLATE>",
            {"vm.memory": 1024.0, "vm.running_vms": 1.0},
        ),
        ("NETWORK = [ ID = 0, LEASES = 3 ]", {"network.0.leases": 3.0}),
        (
            "DATASTORE = [ ID = 1, SIZE = 100, IMAGES = 2 ]",
            {"datastore.default.size": 100.0, "datastore.default.images": 2.0},
        ),
        ("IMAGE = [ ID = 0, RVMS = -2 ]", {"image.0.rvms": -2.0}),
        ("vm.cpu=4 network.lan.leases=3,vm.vms=-1", {"vm.cpu": 4.0, "network.0.leases": 3.0}),
        ("", {}),
    ],
)
def test_limits_are_read_as_opennebula_writes_them_or_shorter(template, limits):
    assert limit(a_site(), template) == limits


@pytest.mark.parametrize(
    "template",
    [
        "VM = 5",
        "VM = [ VMS = x ]",
        "VM = [ VMS = -3 ]",
        "VM = [ VMS = nan ]",
        "VM = [ VMS = inf ]",
        "VM = [ HATS = 1 ]",
        "NETWORK = [ LEASES = 1 ]",
        "FOO = [ A = 1 ]",
        "vm.hats=1",
        "vm.cpu",
        "vm.7.cpu=1",
        "network.leases=1",
    ],
)
def test_what_is_no_limit_is_refused_and_changes_nothing(template):
    reactor = a_site()
    before = picture(reactor.cluster)

    assert refusal(lambda: limit(reactor, template)).code == "bad_request"
    assert picture(reactor.cluster) == before


def test_whoever_asks_for_more_than_the_limit_is_told_what_and_how_much():
    reactor = a_site()
    limit(reactor, "vm.cpu=2")
    submit(reactor, BARE)
    before = picture(reactor.cluster)
    refused = refusal(lambda: submit(reactor, BARE, count=2))

    text = (
        "User ann may have 2 of vm.cpu, has 2 and wants 1 more; give something back, or ask an administrator for more"
        " (inn user limits ann)."
    )
    assert (refused.code, str(refused)) == ("over_quota", text)
    assert picture(reactor.cluster) == before


@pytest.mark.parametrize(
    ("own", "default", "allowed"),
    [("", "vm.vms=1", 1), ("vm.vms=2", "vm.vms=1", 2), ("vm.vms=-1", "vm.vms=1", 1), ("vm.vms=-2", "vm.vms=1", 3)],
)
def test_a_default_holds_for_those_who_have_no_limit_of_their_own(own, default, allowed):
    reactor = a_site()
    ask(reactor, "limits.set", of="user", template=default)
    limit(reactor, own)
    made = [refusal(lambda: submit(reactor, BARE)) for _ in range(3)]

    assert made.count(None) == allowed
    assert refusal(lambda: submit(reactor, BARE, user=reactor.cluster.users["root"], count=9)) is None


def test_a_group_has_limits_over_all_of_its_members():
    reactor = a_site()
    limit(reactor, "vm.vms=2", group="users")
    submit(reactor, BARE, user=ANN)
    submit(reactor, BARE, user=BOB)

    assert refusal(lambda: submit(reactor, BARE, user=BOB)).code == "over_quota"


def test_many_who_ask_at_once_end_exactly_at_the_limit():
    reactor = a_site()
    limit(reactor, "vm.vms=40 network.lan.leases=100")
    made = [refusal(lambda: submit(reactor, BARE)) for _ in range(64)]

    assert made.count(None) == 40
    assert {each.code for each in made if each} == {"over_quota"}
    assert reactor.cluster.usages.of(("user", "ann"))["vm.vms"] == 40


def test_what_was_given_back_can_be_had_again():
    reactor = a_site()
    limit(reactor, "network.lan.leases=1")
    first = submit(reactor, TEMPLATE)
    assert refusal(lambda: submit(reactor, TEMPLATE)).code == "over_quota"
    ask_end(reactor, first)

    assert refusal(lambda: submit(reactor, TEMPLATE)) is None


def ask_end(reactor, vm):
    ask(reactor, "vm.terminate", vm_id=vm.vm_id)


def test_a_vm_that_gave_its_host_back_wakes_only_within_the_limit():
    reactor = a_site()
    vm = a_vm(reactor, VmState.POWEROFF, template=BARE)
    limit(reactor, "vm.running_vms=1")
    other = submit(reactor, BARE)
    assert refusal(lambda: ask(reactor, "vm.resume", user=ANN, vm_id=vm.vm_id)).code == "over_quota"
    ask_end(reactor, other)

    assert refusal(lambda: ask(reactor, "vm.resume", user=ANN, vm_id=vm.vm_id)) is None


def test_a_thing_is_given_only_to_who_has_room_for_it():
    reactor = a_site()
    limit(reactor, "vm.vms=0")
    submit(reactor, BARE, user=BOB)
    refused = refusal(lambda: ask(reactor, "vm.chown", vm_id=0, owner="ann"))
    assert refused.code == "over_quota"
    limit(reactor, "vm.vms=1")
    ask(reactor, "vm.chown", vm_id=0, owner="ann")

    assert reactor.cluster.usages.of(("user", "bob")) == {}
    assert reactor.cluster.usages.of(("user", "ann"))["vm.vms"] == 1


def recounted(cluster: Cluster) -> dict[tuple[str, str], Counter[str]]:
    found: dict[tuple[str, str], Counter[str]] = {}
    for record in (*cluster.vms.values(), *cluster.images.values(), *cluster.networks.values()):
        for account in (("user", record.owner), ("group", record.group)):
            for resource, amount in amounts_of(record).items():
                if amount:
                    found.setdefault(account, Counter())[resource] += amount
    return found


def counted(cluster: Cluster) -> dict[tuple[str, str], dict[str, float]]:
    accounts = [("user", name) for name in ("ann", "bob", "root")] + [("group", name) for name in ("users", "lab")]
    return {account: dict(cluster.usages.of(account)) for account in accounts if cluster.usages.of(account)}


DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "state", "give", "drop", "image", "resize", "refused"]),
        st.integers(0, 5),
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(["users", "lab"]),
        st.sampled_from(list(VmState)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(DEEDS)
def test_usages_are_what_the_records_say_after_any_changes(deeds):
    reactor = a_reactor()
    for what, number, owner, group, state in deeds:
        vm = reactor.cluster.vms.get(number)
        if what == "submit":
            submit(reactor, BARE, user=reactor.cluster.users[owner])
        elif what == "image":
            put(reactor, an_image(number, f"i{number}", owner=owner, group=group, virtual_size_bytes=number << 20))
        elif what == "refused":
            turn = turn_of(reactor)
            turn.put(an_image(number, f"i{number}", owner=owner))
            turn.take_back()
        elif isinstance(vm, VmRecord):
            _do(reactor, what, vm, owner=owner, group=group, state=state)

    assert counted(reactor.cluster) == recounted(reactor.cluster)


def _do(reactor, what, vm, *, owner, group, state):
    if what == "state":
        change(reactor, vm, state=state)
    elif what == "give":
        change(reactor, vm, owner=owner, group=group)
    elif what == "resize":
        change(reactor, vm, spec=msgspec.structs.replace(vm.spec, memory_mib=vm.spec.memory_mib + 1))
    elif what == "drop":
        change(reactor, vm, state=VmState.DONE)


def test_an_unknown_account_has_the_defaults():
    reactor = a_reactor(User(name="eve", user_id=9))
    ask(reactor, "limits.set", of="user", template="vm.vms=1")

    assert quotas.limit_of(reactor.cluster, ("user", "nobody"), "vm.vms") == 1.0
    assert quotas.limit_of(reactor.cluster, ("group", "oneadmin"), "vm.vms") is None
    assert list(quotas.limited(reactor.cluster, ("user", "eve"))) == ["vm.vms"]


@pytest.mark.parametrize("state", [VmState.POWEROFF, VmState.STOPPED, VmState.UNDEPLOYED, VmState.SUSPENDED])
def test_what_is_made_anew_counts_as_running_again(state):
    reactor = a_site()
    a_vm(reactor, VmState.RUNNING)
    resting = a_vm(reactor, state)
    limit(reactor, "vm.running_vms=1")
    before = picture(reactor.cluster)

    refused = refusal(lambda: ask(reactor, "vm.recover", vm_id=resting.vm_id, how="recreate", user=ANN))

    assert refused is not None
    assert refused.code == "over_quota"
    assert picture(reactor.cluster) == before


@pytest.mark.parametrize(("limit_mib", "state"), [(1, "error"), (2, "ready")])
def test_an_image_that_turns_out_too_large_is_of_no_use(limit_mib, state):
    reactor = a_site()
    change(reactor, reactor.cluster.images[0], owner="bob", group="oneadmin")
    limit(reactor, f"datastore.default.size={limit_mib}")
    ask(reactor, "image.add", user=ANN, name="new", url="http://x/y")
    operation = next(each for each in reactor.cluster.operations.values() if each.subject == "image:1")
    facts = {"sha256": digest("b"), "size_bytes": 9, "virtual_size_bytes": 2 * 1024 * 1024, "format": "raw"}
    step = operation.plan.legs[0].steps[0].step_id

    say(reactor, 1, leg_ended(operation, results={step: facts}))
    image = reactor.cluster.images[1]

    assert (image.state, reactor.cluster.usages.of(("user", "ann"))["datastore.default.size"]) == (state, 2.0)
    assert ("may have 1 of datastore.default.size" in image.error) == (state == "error")
    assert (refusal(lambda: ask(reactor, "image.enable", user=ANN, image="new", enabled=True)) is None) == (
        state == "ready"
    )
    assert refusal(lambda: ask(reactor, "image.delete", user=ANN, image="new")) is None
