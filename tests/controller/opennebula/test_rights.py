"""Every method, asked by everybody who may and who may not: made from the method table and what its requests need."""

import hashlib

import pytest

from innkeeper_controller.access import KIND_OF_NOUN, Right
from innkeeper_controller.opennebula.methods import METHODS
from innkeeper_controller.opennebula.methods.terms import RIGHTS
from innkeeper_controller.records import (
    AddressRange,
    Datastore,
    Group,
    Image,
    LoginToken,
    Network,
    StoredTemplate,
    User,
    VmRecord,
)
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import ImageId, Vm, VmId, VmState

NUMBER = 50
OWNED = {"owner": "olga", "group": "web", "mode": 0o640}
SPEC = Vm(vm_id=VmId(NUMBER), name="vm", uuid="u", generation=1, cpu_cores=1.0, vcpus=1, memory_mib=64, hypervisor="")
#: What belongs to olga, and the group web may use.
THINGS = {
    "vm": VmRecord(vm_id=VmId(NUMBER), name="vm", state=VmState.HOLD, spec=SPEC, **OWNED),
    "image": Image(image_id=ImageId(NUMBER), name="image", datastore="default", **OWNED),
    "network": Network(network_id=NUMBER, name="network", ranges=(AddressRange(size=9, ip="10.0.0.1"),), **OWNED),
    "template": StoredTemplate(template_id=NUMBER, name="template", text="CPU = 1\nMEMORY = 64\n", **OWNED),
    "datastore": Datastore(datastore_id=NUMBER, name="store", **OWNED),
}
#: Arguments that mean something where others would be refused before anybody's rights are looked at.
VALUES = {
    "action": "hold",
    "operation": 2,
    "level": 1,
    "size": "100",
    "template": "NAME = made\nIP = 10.0.0.1\nCPU = 1\n",
    "extra template": "",
    "rights": "1",
    "user": "100000000",
    "resource": "1400000000",
    "zone": "",
    # To let somebody administrate needs more than to manage.
    **dict.fromkeys(RIGHTS, -1),
}
ALLOWED = {
    "owner": {Right.USE, Right.MANAGE},
    "member": {Right.USE},
    "stranger": set(),
    "admin": set(Right),
}
SESSIONS = {"owner": "olga:t", "member": "mia:t", "stranger": "sam:t", "admin": "admin:admin-token"}
NOBODY = ("olga:late", "olga:wrong", "dora:t", "none:t", "olga", "", 5)


def users() -> list[User]:
    def token(text: str, expires_at_s: float | None = None) -> LoginToken:
        return LoginToken(token_sha256=hashlib.sha256(text.encode()).hexdigest(), expires_at_s=expires_at_s)

    # Everybody's token has to be another one: here it is the name and a t.
    return [
        User(name="olga", user_id=60, groups=("others",), tokens=(token("olga t"), token("late", 1.0))),
        User(name="mia", user_id=61, groups=("web",), tokens=(token("mia t"),)),
        User(name="sam", user_id=62, groups=("others",), tokens=(token("sam t"),)),
        User(name="dora", user_id=63, groups=("oneadmin",), tokens=(token("dora t"),), enabled=False),
    ]


def session_of(session: object) -> object:
    """Return the session with the token that is its user's own."""
    return f"{session[:-2]}:{session[:-2]} t" if isinstance(session, str) and session.endswith(":t") else session


def arguments_of(name: str) -> list[object]:
    found: list[object] = []
    for each in METHODS[name].arguments:
        plain = {"int": 1, "bool": False, "array": [], "int or string": -1}.get(each.kind, "x")
        thing = each.name.removesuffix(" id")
        is_own = thing in THINGS and each.name.endswith(" id") and needed(name)[1] == thing
        found.append(NUMBER if is_own else VALUES.get(each.name, plain))
    return found


def needed(name: str) -> tuple[Right | None, str]:
    """Return the right that all requests of a method need, and on what."""
    method = METHODS[name]
    row = REQUESTS["vm.hold" if name == "one.vm.action" else method.requests[0]] if method.requests else None
    return (row.needs.right, row.needs.noun) if row is not None and row.needs is not None else (None, "")


ABOUT_ONE = [name for name in METHODS if needed(name)[1] in THINGS and needed(name)[0] is not Right.CREATE]
MAKING = [name for name in METHODS if needed(name)[0] is Right.CREATE and needed(name)[1] in KIND_OF_NOUN]
#: Owners may not give away what they own, and whoever instantiates makes a VM as well.
MORE_THAN_THE_TABLE = {
    *(f"one.{each}.chown" for each in ("vm", "image", "vn", "template", "datastore")),
    "one.template.instantiate",
}


async def prepared(site):
    """Put the users there, without any rule that lets somebody in."""
    for rule in list(site.controller.reactor.cluster.acl_rules.values()):
        await dropped(site, rule)
    await site.put(Group(group_id=160, name="web"), Group(group_id=161, name="others"), *users())
    # Comparing takes long on purpose; here nobody's password fits anyway.
    site.service._xmlrpc._sessions._matches = lambda _password, _kept: False


async def dropped(site, record) -> None:
    def turn() -> Turn:
        reactor = site.controller.reactor
        turn = Turn(reactor.cluster, reactor.settings, 1.0, "controller")
        turn.drop(record)
        return turn

    await site.controller.carry_out(turn)


@pytest.mark.parametrize("who", SESSIONS)
def test_what_is_done_with_a_thing_is_what_its_mode_lets_its_caller_do(serve, who: str) -> None:
    async def scenario(site, caller) -> None:
        await prepared(site)
        wrong = []
        for name in ABOUT_ONE:
            right, noun = needed(name)
            await site.put(THINGS[noun])
            answer = await caller.plain(name, *arguments_of(name), session=session_of(SESSIONS[who]))
            is_forbidden = answer[0] is False and answer[2] == 0x200
            if is_forbidden == (right in ALLOWED[who]) and not (is_forbidden and name in MORE_THAN_THE_TABLE):
                wrong.append((name, right, answer))

        assert wrong == []

    serve(scenario)


@pytest.mark.parametrize("who", ["stranger", "admin"])
def test_nobody_makes_anything_without_a_rule_but_administrators(serve, who: str) -> None:
    async def scenario(site, caller) -> None:
        await prepared(site)
        for name in MAKING:
            await site.put(*THINGS.values())
            answer = await caller.plain(name, *arguments_of(name), session=session_of(SESSIONS[who]))
            assert (answer[0] is False and answer[2] == 0x200) == (who == "stranger"), (name, answer)

    serve(scenario)


def test_who_is_nobody_gets_the_same_answer_everywhere(serve) -> None:
    async def scenario(site, caller) -> None:
        await prepared(site)
        for name in METHODS:
            expected = [False, f"[{name}] User couldn't be authenticated, aborting call.", 0x100, -1, -1]
            for session in NOBODY:
                assert await caller.plain(name, *arguments_of(name), session=session_of(session)) == expected

    serve(scenario)
