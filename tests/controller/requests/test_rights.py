"""Every request by everybody: generated from the request table, so that a new request cannot escape.

What is asked about belongs to ann and the group lab, with mode 640. Whether a request is let in is asked of the table;
the rights that a handler asks for beside that are tested with the handler.
"""

import hashlib
from typing import Any

import msgspec
import pytest
from tests.controller.builders import (
    ADMIN,
    NOW_S,
    TEMPLATE,
    a_host,
    a_network,
    a_reactor,
    an_image,
    ask,
    change,
    digest,
    put,
    refusal,
)

from innkeeper_controller.api.identity import caller_of
from innkeeper_controller.reactor import Reactor
from innkeeper_controller.records import Group, LoginToken, StoredTemplate, User
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.requests.table import Request, Who

#: Requests of every user that name no right, and why they need none.
WITHOUT_NEEDS = {
    "system.status": "sums over everything, nobody's in particular",
    "system.verify": "checks sums and says numbers of things only",
    "system.whoami": "is about who asks",
    "operation.list": "shows only what may be seen",
    "vm.list": "shows only what may be seen",
    "host.list": "shows only what may be seen",
    "cluster.list": "shows only what may be seen",
    "datastore.list": "shows only what may be seen",
    "image.list": "shows only what may be seen",
    "network.list": "shows only what may be seen",
    "template.list": "shows only what may be seen",
    "user.list": "shows only what may be seen",
    "group.list": "shows only what may be seen",
    "acl.list": "shows only what may be seen",
    "limits.show": "says what holds for everybody",
    "vm.accounting": "shows only what may be seen",
    "vm.showback": "shows only what may be seen",
}

#: ``{person: (groups, token's group, enabled, when the token ends)}``
PEOPLE: dict[str, tuple[tuple[str, ...], str, bool, float | None]] = {
    "ann": (("lab",), "", True, None),
    "member": (("lab",), "", True, None),
    "group admin": (("lab",), "", True, None),
    "stranger": (("other",), "", True, None),
    "with a rule": (("other",), "", True, None),
    "with a token for another group": (("lab", "other"), "other", True, None),
    "disabled": (("lab",), "", False, None),
    "with a token that ended": (("lab",), "", True, NOW_S),
    "admin": (("oneadmin",), "", True, None),
}
WHO = (*PEOPLE, "nobody", "with a wrong token")

#: Kinds of which members of groups may make their own.
MAKEABLE = {"vm", "image", "network", "template"}
OWNED = {"vm", "image", "network", "template", "datastore", "operation"}
#: What is to be named, by parameter.
NAMED: dict[str, Any] = {
    "vm_id": 0,
    "host": "h1",
    "image": "tiny",
    "network": "lan",
    "template": "web",
    "datastore": "default",
    "user": "ann",
    "group": "lab",
    "cluster": "default",
    "rule_id": 0,
    "operation_id": "o0",
}


def may(who: str, right: str, noun: str) -> bool:  # noqa: PLR0911 - a law of seven sentences
    """Say the law once more, in the words of the people of this test."""
    if who in {"admin", "with a rule"}:
        return True
    if right == "create":
        return noun in MAKEABLE
    in_lab = who in {"ann", "member", "group admin"}
    if noun in OWNED:
        for_all = right == "use" and noun in {"network", "datastore"}
        mine = who in {"ann", "group admin"} and right in {"use", "manage"}
        return for_all or mine or (who == "member" and right == "use")
    if noun == "user":
        return who in {"ann", "group admin"} and right in {"use", "manage"}
    if noun == "group":
        return in_lab and (right == "use" or (who == "group admin" and right == "manage"))
    if noun == "host":
        return right in {"use", "manage"}
    return noun == "cluster" and right == "use"


def world() -> Reactor:
    reactor = a_reactor(a_host(images=[digest("e")]), an_image(), a_network())
    for number, group in enumerate(("lab", "other"), 100):
        ask(reactor, "group.add", group=group)
        assert reactor.cluster.groups[group].group_id == number
    for number, (name, (groups, scope, enabled, ends)) in enumerate(PEOPLE.items(), 10):
        token = LoginToken(token_sha256=hashlib.sha256(name.encode()).hexdigest(), group=scope, expires_at_s=ends)
        put(reactor, User(name=name, user_id=number, groups=groups, tokens=(token,), enabled=enabled))
    put(reactor, Group(group_id=100, name="lab", admins=("group admin",)))
    rights = "USE+MANAGE+ADMIN+CREATE"
    kinds = "VM+HOST+NET+IMAGE+USER+TEMPLATE+GROUP+ACL+DATASTORE+CLUSTER"
    ask(reactor, "acl.add", rule=f"#{reactor.cluster.users['with a rule'].user_id} {kinds}/* {rights}")
    of_ann = {"owner": "ann", "group": "lab", "mode": 0o640}
    put(reactor, StoredTemplate(template_id=0, name="web", **of_ann))
    for record in (reactor.cluster.images[0], reactor.cluster.networks[0], reactor.cluster.datastores["default"]):
        change(reactor, record, **of_ann)
    ask(reactor, "vm.submit", template=TEMPLATE, hold=True)
    change(reactor, reactor.cluster.vms[0], **of_ann)
    ask(reactor, "vm.deploy", vm_id=0, host="h1")
    assert list(reactor.cluster.operations) == ["o0"]
    return reactor


@pytest.fixture(scope="module")
def reactor() -> Reactor:
    """Return a world that all share: nothing here changes it."""
    return world()


def params_of(request: Request) -> Any:
    """Return parameters that name what the right is asked about; whatever else is needed is empty."""
    empty = {str: "x", int: 0, float: 0.0, bool: False}
    given = {}
    for field in msgspec.structs.fields(request.params):
        if field.name in NAMED:
            given[field.name] = NAMED[field.name]
        elif field.required:
            given[field.name] = empty.get(field.type, "x")
    return msgspec.convert(given, type=request.params)


def asked(reactor: Reactor, request: Request, who: str) -> str:
    """Return the code that somebody is refused with; empty where the request is let in."""
    headers = [] if who == "nobody" else [(b"authorization", f"Bearer {who}".encode())]

    def act() -> None:
        user = caller_of(headers, reactor.cluster, NOW_S).user
        reactor.look(request.name, params_of(request), lambda _: None, user=user, now_s=NOW_S)

    refused = refusal(act)
    return refused.code if refused is not None else ""


def expected(request: Request, who: str) -> str:
    if who in {"nobody", "with a wrong token", "disabled", "with a token that ended"}:
        return "unauthenticated"
    if request.who is Who.ADMIN and who != "admin":
        return "forbidden"
    needs = request.needs
    return "" if needs is None or may(who, needs.right.value, needs.noun) else "forbidden"


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_lets_in_whom_the_law_lets_in(reactor: Reactor, name: str):
    request = REQUESTS[name]

    assert {who: asked(reactor, request, who) for who in WHO} == {who: expected(request, who) for who in WHO}


def test_a_request_without_a_right_has_a_reason():
    assert {name for name, request in REQUESTS.items() if request.needs is None} == set(WITHOUT_NEEDS)


def test_no_request_is_open_to_those_who_do_not_say_who_they_are():
    assert [name for name, request in REQUESTS.items() if request.who is Who.ANYONE] == []


#: Hosts and clusters are no secret, and the first datastores are for all to use.
OPEN = {"host.list", "cluster.list", "datastore.list"}
LISTS = sorted({name for name in REQUESTS if name.endswith(".list")} - OPEN)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_nothing_of_what_one_may_not_use(reactor: Reactor, name: str):
    stranger = msgspec.structs.replace(reactor.cluster.users["stranger"], groups=())

    shown = ask(reactor, name, user=stranger)
    # Oneself is no secret.
    assert [each for each in shown if getattr(each, "name", "") != "stranger"] == []
    assert ask(reactor, name, user=ADMIN)


def test_a_group_admin_has_no_power_over_an_administrator_in_the_same_group(reactor: Reactor):
    put(reactor, User(name="both", user_id=90, groups=("lab", "oneadmin")))
    user = reactor.cluster.users["group admin"]
    request = REQUESTS["user.password"]
    params = request.params(user="both", password="x")
    refused = refusal(lambda: reactor.request(request.name, params, user=user, request_id="r1", now_s=NOW_S))

    assert refused is not None
    assert refused.code == "forbidden"
