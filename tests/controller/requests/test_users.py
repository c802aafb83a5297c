"""Users, groups, tokens, passwords and what people may do with whose things."""

import hashlib

import msgspec
import pytest
from tests.controller.builders import (
    ADMIN,
    ANN,
    BARE,
    BOB,
    NOW_S,
    a_reactor,
    a_site,
    ask,
    ask_with,
    change,
    picture,
    put,
    refusal,
    submit,
)

from innkeeper_controller import passwords
from innkeeper_controller.api.identity import user_of
from innkeeper_controller.narrowing import narrowed
from innkeeper_controller.records import User
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.store.answers import fingerprint, holds_secret


def ann_asks(reactor, name, **params):
    return ask_with(reactor, name, params, user=reactor.cluster.users["ann"])


def admin_asks(reactor, name, **params):
    return ask_with(reactor, name, params)


def code(act):
    refused = refusal(act)
    return refused.code if refused is not None else ""


def test_a_password_matches_itself_and_nothing_else():
    kept = passwords.hashed("s3cret", lambda count: b"\7" * count)

    assert kept.startswith("scrypt$16384$8$1$BwcHBwcHBwcHBwcHBwcHBw==$")
    assert passwords.matches("s3cret", kept)
    assert [passwords.matches(each, kept) for each in ("", "S3cret", "s3cret ", kept)] == [False] * 4
    assert passwords.hashed("", bytes) == ""
    assert not passwords.matches("", "")
    assert not passwords.matches("x", passwords.DECOY)


@pytest.mark.parametrize("sha1", [False, True])
def test_a_user_is_kept_without_the_password(sha1):
    reactor = a_reactor(sha1_passwords=sha1)
    view = admin_asks(reactor, "user.add", user="cy", password="s3cret", groups=("users",))
    kept = reactor.cluster.users["cy"]

    assert (view.user_id, view.name, view.groups, view.has_password) == (4, "cy", ("users",), True)
    assert passwords.matches("s3cret", kept.password)
    assert passwords.matches(hashlib.sha1(b"s3cret").hexdigest(), kept.password_sha1) is sha1
    assert b"s3cret" not in msgspec.json.encode(kept) + msgspec.json.encode(view)


def test_nothing_of_a_password_is_in_what_is_remembered_of_a_request():
    params = REQUESTS["user.password"].params
    first, second = (fingerprint("ann", "user.password", params(user="ann", password=each)) for each in ("a", "b"))

    assert first == second


@pytest.mark.parametrize("name", ["ann", "controller", "scheduler", "a:b", "7", "", "a/b", "a b"])
def test_a_name_that_means_something_else_is_refused(name):
    assert code(lambda: admin_asks(a_reactor(), "user.add", user=name)) in {"name_taken", "bad_request"}


def test_a_token_lets_in_until_it_ends_or_is_dropped():
    reactor = a_reactor(User(name="cy", user_id=9))
    made = admin_asks(reactor, "user.login", user="cy", valid_s=60)
    header = f"Bearer {made.token}".encode()
    assert holds_secret(made)
    assert (made.expires_at_s, user_of(header, reactor.cluster, NOW_S + 59).name) == (NOW_S + 60, "cy")
    assert code(lambda: user_of(header, reactor.cluster, NOW_S + 60)) == "unauthenticated"
    admin_asks(reactor, "user.login", user="cy", token=made.token, valid_s=0)

    assert code(lambda: user_of(header, reactor.cluster, NOW_S)) == "unauthenticated"
    assert reactor.cluster.users["cy"].tokens == ()


def test_a_user_who_is_shut_out_comes_in_by_no_token():
    reactor = a_reactor(User(name="cy", user_id=9))
    header = f"Bearer {admin_asks(reactor, 'user.login', user='cy', valid_s=-1).token}".encode()
    admin_asks(reactor, "user.enable", user="cy", enabled=False)

    assert code(lambda: user_of(header, reactor.cluster, NOW_S)) == "unauthenticated"


def test_a_token_for_one_group_reaches_no_further():
    reactor = a_reactor()
    admin_asks(reactor, "group.add", group="lab")
    put(reactor, User(name="cy", user_id=9, groups=("oneadmin", "lab")))
    token = admin_asks(reactor, "user.login", user="cy", valid_s=-1, group="lab").token
    narrow = user_of(f"Bearer {token}".encode(), reactor.cluster, NOW_S)
    assert (narrow.groups, narrow.is_admin) == (("lab",), False)

    def asks(name, **params):
        return code(lambda: ask_with(reactor, name, {"user": "cy", **params}, user=narrow))

    assert asks("user.login", valid_s=-1) == "forbidden"
    assert asks("user.password", password="x") == "forbidden"
    assert asks("user.group", group="lab") == "forbidden"
    admin_asks(reactor, "user.del_group", user="cy", group="lab")
    assert code(lambda: user_of(f"Bearer {token}".encode(), reactor.cluster, NOW_S)) == "unauthenticated"


def test_a_token_for_the_only_group_of_its_user_lets_in_to_no_more_than_that():
    reactor = a_reactor()
    token = admin_asks(reactor, "user.login", user="ann", valid_s=-1, group="users").token
    narrow = user_of(f"Bearer {token}".encode(), reactor.cluster, NOW_S)
    ann = reactor.cluster.users["ann"]
    assert narrow.groups == ann.groups

    def asks(name, **params):
        return code(lambda: ask_with(reactor, name, {"user": "ann", **params}, user=narrow))

    assert asks("user.login", valid_s=-1) == "forbidden"
    assert asks("user.password", password="x") == "forbidden"
    assert asks("user.login", group="users", valid_s=60) == "forbidden"
    assert asks("user.login", token=token, group="users", valid_s=-1) == "forbidden"
    assert asks("user.login", valid_s=0) == "forbidden"
    assert asks("user.login", token=token, valid_s=0) == ""
    assert reactor.cluster.users["ann"].password == ann.password


def test_a_token_for_one_group_administers_no_other():
    reactor = a_reactor()
    for group in ("lab", "hall"):
        admin_asks(reactor, "group.add", group=group)
    put(reactor, User(name="cy", user_id=9, groups=("lab", "hall")), User(name="di", user_id=10, groups=("hall",)))
    ask_with(reactor, "group.add_admin", {"group": "hall", "user": "cy"})
    whole = reactor.cluster.users["cy"]
    narrow = {group: narrowed(whole, group) for group in ("lab", "hall")}

    def asks(user):
        return code(lambda: ask_with(reactor, "user.show", {"user": "di"}, user=user))

    assert [asks(each) for each in (whole, narrow["hall"], narrow["lab"])] == ["", "", "forbidden"]


def test_a_user_has_so_many_tokens_and_no_more():
    reactor = a_reactor()
    for number in range(63):
        ann_asks(reactor, "user.login", user="ann", token=f"{number:032}", valid_s=-1)
    assert code(lambda: ann_asks(reactor, "user.login", user="ann", token="x" * 32)) == "too_many"
    ann_asks(reactor, "user.login", user="ann", valid_s=0)

    assert reactor.cluster.users["ann"].tokens == ()
    assert code(lambda: ann_asks(reactor, "user.login", user="ann", token="short")) == "bad_request"


def test_the_first_administrator_stays():
    reactor = a_reactor()
    asked = [
        code(lambda: admin_asks(reactor, "user.delete", user="root")),
        code(lambda: admin_asks(reactor, "user.enable", user="root", enabled=False)),
        code(lambda: admin_asks(reactor, "user.group", user="0", group="users")),
        code(lambda: admin_asks(reactor, "user.del_group", user="root", group="oneadmin")),
        code(lambda: admin_asks(reactor, "group.delete", group="oneadmin")),
        code(lambda: admin_asks(reactor, "group.delete", group="users")),
    ]

    assert asked == ["forbidden", "forbidden", "forbidden", "bad_request", "forbidden", "forbidden"]


def test_who_still_has_something_is_not_deleted_and_leaves_nothing_when_gone():
    reactor = a_reactor()
    vm = submit(reactor, BARE)
    refused = refusal(lambda: admin_asks(reactor, "user.delete", user="ann"))
    text = "User ann still owns VM 0; delete that, or give it to others with chown."
    assert (refused.code, str(refused)) == ("in_use", text)
    admin_asks(reactor, "vm.chown", vm_id=vm.vm_id, owner="bob")
    rule = admin_asks(reactor, "acl.add", rule="#2 HOST/* ADMIN").rule_id
    admin_asks(reactor, "group.add_admin", group="users", user="ann")
    admin_asks(reactor, "user.delete", user="ann")

    assert "ann" not in reactor.cluster.users
    assert rule not in reactor.cluster.acl_rules
    assert reactor.cluster.groups["users"].admins == ()
    assert reactor.cluster.user_of_token.get("bb") is None
    assert admin_asks(reactor, "user.add", user="ann").user_id == 4


def test_nobody_becomes_an_administrator_by_a_rule():
    reactor = a_reactor()
    admin_asks(reactor, "acl.add", rule="#2 USER+GROUP/* USE+MANAGE+ADMIN+CREATE")
    before = picture(reactor.cluster)
    asked = [
        code(lambda: ann_asks(reactor, "user.add", user="eve", groups=("oneadmin",))),
        code(lambda: ann_asks(reactor, "user.add_group", user="ann", group="oneadmin")),
        code(lambda: ann_asks(reactor, "user.group", user="ann", group="oneadmin")),
    ]

    assert asked == ["forbidden"] * 3
    assert picture(reactor.cluster) == before


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("640", "640"), ("111------", "740"), ("-----0--1", "601"), ("---------", "640")],
)
def test_a_mode_is_set_whole_or_digit_by_digit(mode, expected):
    reactor = a_reactor()
    change(reactor, submit(reactor, BARE), mode=0o640 if mode != "-----0--1" else 0o610)

    assert ask(reactor, "vm.chmod", vm_id=0, mode=mode).mode == expected


def test_an_owner_opens_a_thing_but_gives_no_rights_that_only_administrators_have():
    reactor = a_site()
    submit(reactor, BARE)
    assert code(lambda: ask(reactor, "vm.show", user=BOB, vm_id=0)) == "forbidden"
    ask(reactor, "vm.chmod", user=ANN, vm_id=0, mode="640")
    assert ask(reactor, "vm.show", user=BOB, vm_id=0).name == "bare"

    asked = [
        code(lambda: ask(reactor, "vm.hold", user=BOB, vm_id=0)),
        code(lambda: ask(reactor, "vm.chmod", user=ANN, vm_id=0, mode="700")),
        code(lambda: ask(reactor, "vm.chown", user=ANN, vm_id=0, owner="bob")),
        code(lambda: ask(reactor, "vm.chown", user=ANN, vm_id=0, group="oneadmin")),
        code(lambda: ask(reactor, "vm.chmod", user=ANN, vm_id=0, mode="888")),
    ]
    assert asked == ["forbidden", "forbidden", "forbidden", "forbidden", "bad_request"]


def test_a_lock_keeps_everybody_off_until_it_is_taken_away():
    reactor = a_site()
    submit(reactor, BARE)
    ask(reactor, "vm.lock", user=ANN, vm_id=0, level="manage")
    asked = [
        code(lambda: ask(reactor, "vm.terminate", vm_id=0)),
        code(lambda: ask(reactor, "vm.release", user=ANN, vm_id=0)),
        code(lambda: ask(reactor, "vm.show", user=ANN, vm_id=0)),
        code(lambda: ask(reactor, "vm.unlock", user=BOB, vm_id=0)),
    ]
    assert asked == ["locked", "locked", "", "forbidden"]
    ask(reactor, "vm.unlock", user=ANN, vm_id=0)

    assert code(lambda: ask(reactor, "vm.release", user=ANN, vm_id=0)) == ""


@pytest.mark.parametrize(
    ("noun", "named", "name", "refused"),
    [
        ("vm", {"vm_id": 0}, "other", ""),
        ("image", {"image": "tiny"}, "small", ""),
        ("network", {"network": "lan"}, "wan", ""),
        ("host", {"host": "h1"}, "h2", "name_taken"),
        ("host", {"host": "h1"}, "node 1", "bad_request"),
        ("cluster", {"cluster": "default"}, "main", ""),
        ("datastore", {"datastore": "default"}, "other", "bad_request"),
        ("image", {"image": "tiny"}, "7", "bad_request"),
    ],
)
def test_a_thing_is_renamed_if_the_name_is_free(noun, named, name, refused):
    reactor = a_site()
    submit(reactor, BARE)

    assert code(lambda: ask_with(reactor, f"{noun}.rename", {**named, "name": name})) == refused


def test_only_an_administrator_says_how_a_network_reaches_the_wire():
    reactor = a_site()
    ask(reactor, "network.update", user=ANN, network="lan", template="DNS = 10.0.0.53\nNOTE = x", append=True)
    refused = code(lambda: ask(reactor, "network.update", user=ANN, network="lan", template="BRIDGE = br0"))
    network = reactor.cluster.networks[0]

    assert (network.dns, network.attributes, refused) == ("10.0.0.53", {"NOTE": "x"}, "forbidden")
    assert ask(reactor, "network.update", network="lan", template="BRIDGE = br0").name == "lan"
    assert reactor.cluster.networks[0].bridge == "br0"


@pytest.mark.parametrize(
    ("noun", "given", "refused"),
    [
        ("network", 'DNS = "1.1.1.1 \' ; x"', "bad_template"),
        ("network", "GATEWAY = foo", "bad_template"),
        ("network", 'NETWORK_MASK = "<x>"', "bad_template"),
        ("network", "FILTER_IP_SPOOFING = NO", "forbidden"),
        ("network", 'DNS = ""', ""),
        ("image", 'SOURCE = "/etc/shadow"', "forbidden"),
        ("image", "NOTE = x", ""),
    ],
)
def test_an_owner_notes_only_what_a_template_might_have_said(noun, given, refused):
    reactor = a_site()
    name = {"network": "lan", "image": "tiny"}[noun]

    assert code(lambda: ask_with(reactor, f"{noun}.update", {noun: name, "template": given}, user=ANN)) == refused


@pytest.mark.parametrize("vlan", ["0", "4095", "00001999999", "x"])
def test_a_number_that_no_vlan_has_is_refused(vlan):
    refused = code(lambda: ask(a_site(), "network.update", network="lan", template=f"VLAN_ID = {vlan}", append=True))

    assert refused == "bad_template"


@pytest.mark.parametrize("user", [ANN, BOB])
def test_a_name_is_suggested_to_those_only_who_may_use_what_has_it(user):
    reactor = a_site()
    ask(reactor, "template.add", user=BOB, template="NAME = bobs-plan\nCPU = 1")
    told = str(refusal(lambda: ask(reactor, "template.show", user=user, template="bobs-pla")))

    assert ("Did you mean bobs-plan?" in told) == (user is BOB)
    assert told.startswith("There is no template bobs-pla.")


def test_what_is_missing_in_a_template_suggests_nothing_of_others():
    reactor = a_site()
    change(reactor, reactor.cluster.images[0], mode=0o600, owner="bob", group="oneadmin")
    text = f"{BARE}DISK = [ IMAGE = tinny ]\n"
    told = {user.name: str(refusal(lambda: submit(reactor, text, user=user))) for user in (ANN, BOB)}  # noqa: B023

    assert ("Did you mean tiny?" in told["ann"], "Did you mean tiny?" in told["bob"]) == (False, True)


def test_a_group_is_as_useful_as_the_first_one():
    reactor = a_site()
    group = admin_asks(reactor, "group.add", group="lab")
    cy = User(name="cy", user_id=9, groups=("lab",))
    put(reactor, cy)

    assert group.group_id == 100
    assert submit(reactor, user=cy).group == "lab"
    assert code(lambda: admin_asks(reactor, "group.delete", group="lab")) == "in_use"


def test_a_rule_that_there_is_already_is_not_made_twice():
    reactor = a_reactor()
    first = admin_asks(reactor, "acl.add", rule="@1 VM/* use")
    again = admin_asks(reactor, "acl.add", rule="@1  vm/*  USE  *")

    assert first == again
    assert code(lambda: admin_asks(reactor, "acl.add", rule="@1 HAT/* USE")) == "bad_request"
    assert ask(reactor, "acl.delete", rule_id=first.rule_id, user=ADMIN) == first


def test_the_notes_of_a_vm_say_where_it_may_go_and_only_what_means_something():
    reactor = a_site()
    submit(reactor, BARE, hold=False)
    reactor.cluster.unconsidered.clear()
    template = 'LABELS = web\nSCHED_REQUIREMENTS = "NAME = \\"h2\\""\nERROR = x'
    ask(reactor, "vm.update", user=ANN, vm_id=0, template=template, append=True)
    refused = code(lambda: ask(reactor, "vm.update", user=ANN, vm_id=0, template='SCHED_RANK = "1 +"', append=True))
    vm = reactor.cluster.vms[0]

    assert (vm.attributes["LABELS"], vm.requirements, refused) == ("web", 'NAME = "h2"', "bad_template")
    assert "ERROR" not in vm.attributes
    assert list(reactor.cluster.unconsidered) == [0]
    ask(reactor, "vm.update", user=ANN, vm_id=0, template="LABELS = web")
    assert reactor.cluster.vms[0].requirements == ""


@pytest.mark.parametrize("name", ["vm.schedule_add", "vm.schedule_update"])
def test_nobody_lets_the_owner_of_a_vm_do_at_a_set_time_what_they_may_not_do_now(name):
    reactor = a_site()
    vm = change(reactor, submit(reactor, BARE, user=ADMIN), group="users", mode=0o660)
    ask(reactor, "vm.schedule_add", vm_id=vm.vm_id, template="SCHED_ACTION = [ ACTION = hold, TIME = +60 ]")
    number = {} if name == "vm.schedule_add" else {"action_id": 0}

    def asks(action):
        template = f"SCHED_ACTION = [ ACTION = {action}, TIME = +60 ]"
        return code(lambda: ask_with(reactor, name, {"vm_id": vm.vm_id, "template": template, **number}, user=ANN))

    assert [asks(action) for action in ("resched", "poweroff")] == ["forbidden", ""]
