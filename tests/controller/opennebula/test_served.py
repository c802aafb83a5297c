"""OpenNebula's client for Python against a controller that is served, and hostile bodies against the same."""

import asyncio
import gzip
import xmlrpc.client

import msgspec
import pyone
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from innkeeper_controller import passwords
from innkeeper_controller.opennebula.faults import INTERNAL
from innkeeper_controller.opennebula.methods import METHODS
from innkeeper_controller.records import User

TEMPLATE = 'NAME = "web"\nCPU = 0.5\nMEMORY = 64\nLABELS = "a,b"\n'
ANN = "ann:ann-token"


def test_a_vm_is_made_shown_held_and_ended(serve) -> None:
    async def scenario(_site, caller) -> None:
        vm_id = await caller.ask("vm.allocate", TEMPLATE, True, session=ANN)
        shown = await caller.ask("vm.info", vm_id, session=ANN)
        assert (shown.ID, shown.NAME, shown.UNAME, shown.STATE, shown.LCM_STATE) == (vm_id, "web", "ann", 2, 0)
        assert (shown.TEMPLATE["MEMORY"], shown.USER_TEMPLATE["LABELS"]) == ("64", "a,b")
        assert await caller.ask("vm.action", "release", vm_id, session=ANN) == vm_id
        assert (await caller.ask("vm.info", str(vm_id), True, session=ANN)).STATE == 1
        assert await caller.ask("vm.action", "terminate-hard", vm_id, session=ANN) == vm_id

        done = await caller.ask("vm.info", vm_id, session=ANN)
        assert (done.STATE, done.NAME) == (6, "web")
        for state, ids in ((-2, [0]), (-1, []), (6, [0])):
            found = await caller.ask("vmpool.info", -2, -1, -1, state, session=ANN)
            assert [each.ID for each in found.VM] == ids
        with pytest.raises(pyone.OneAuthorizationException):
            await caller.ask("vm.info", vm_id, session="bob:bob-token")

    serve(scenario)


def test_a_template_that_is_xml_makes_the_same_vm(serve) -> None:
    async def scenario(_site, caller) -> None:
        fields = {"NAME": "web", "CPU": "0.5", "MEMORY": "64", "LABELS": "a,b"}
        ids = [await caller.ask("vm.allocate", text, True) for text in (TEMPLATE, {"TEMPLATE": fields}, fields)]
        shown = [await caller.ask("vm.info", vm_id) for vm_id in ids]

        assert {(each.NAME, each.TEMPLATE["CPU"], each.USER_TEMPLATE["LABELS"]) for each in shown} == {
            ("web", "0.5", "a,b")
        }

    serve(scenario)


def test_refusals_are_the_exceptions_that_clients_know(serve) -> None:
    async def scenario(_site, caller) -> None:
        vm_id = await caller.ask("vm.allocate", TEMPLATE, True, session=ANN)
        expected = {
            ("vm.info", (77,), ANN): pyone.OneNoExistsException,
            ("vm.info", (vm_id,), "bob:bob-token"): pyone.OneAuthorizationException,
            ("vm.info", (vm_id,), "ann:wrong"): pyone.OneAuthenticationException,
            ("vm.info", (vm_id,), "nobody:x"): pyone.OneAuthenticationException,
            ("vm.info", ("x",), ANN): pyone.OneApiException,
            ("vm.info", (), ANN): pyone.OneApiException,
            ("vm.info", (1, True, 3), ANN): pyone.OneApiException,
            ("vm.action", ("dance", vm_id), ANN): pyone.OneApiException,
            ("vm.action", ("suspend", vm_id), ANN): pyone.OneActionException,
            ("vm.allocate", ("CPU = ",), ANN): pyone.OneException,
            ("vmpool.info", (-5, -1, -1), ANN): pyone.OneApiException,
            ("vmpool.info", (-2, -1, -1, -1, "VM.NAME=x"), ANN): pyone.OneInternalException,
            ("vm.nothing", (), ANN): pyone.OneException,
        }
        for (method, arguments, session), kind in expected.items():
            with pytest.raises(pyone.OneException) as caught:
                await caller.ask(method, *arguments, session=session)
            assert caught.type is kind, (method, arguments, str(caught.value))

    serve(scenario)


def test_the_answer_to_a_refusal_has_five_elements(serve) -> None:
    async def scenario(_site, caller) -> None:
        succeeded, message, code, number, index = await caller.plain("one.vm.info", 77)

        assert (succeeded, code, number, index) == (False, 0x400, 77, -1)
        assert message.startswith("[one.vm.info] Error getting virtual machine [77].")
        assert await caller.plain("one.vm.info", 77, session="admin:no") == [
            False,
            "[one.vm.info] User couldn't be authenticated, aborting call.",
            0x100,
            -1,
            -1,
        ]

    serve(scenario)


def test_a_refusal_says_what_is_missing_and_not_that_the_thing_itself_is(serve) -> None:
    async def scenario(_site, caller) -> None:
        lan = await caller.ask("vn.allocate", 'NAME = "lan"\nAR = [ IP = 10.0.0.1, SIZE = 2 ]', -1)
        vm_id = await caller.ask("vm.allocate", TEMPLATE, True, session=ANN)
        expected = {
            ("one.vn.info", 9): "Error getting virtual network [9]. There is no network 9.",
            ("one.vn.chown", lan, 99, -1): "There is no user 99.",
            ("one.vn.rm_ar", lan, 7): "Network lan has no range 7; it has 0.",
            ("one.vm.scheddelete", vm_id, 5): f"VM {vm_id} has no scheduled action 5; it has none.",
        }
        for (method, *arguments), sentence in expected.items():
            succeeded, message, code, number, _ = await caller.plain(method, *arguments)
            assert (succeeded, code, number) == (False, 0x400, arguments[0])
            assert message.startswith(f"[{method}] {sentence}")

    serve(scenario)


def test_who_owns_a_thing_is_not_sent_to_themselves(serve) -> None:
    async def scenario(_site, caller) -> None:
        vm_id = await caller.ask("vm.allocate", TEMPLATE, True, session=ANN)
        answers = [
            await caller.plain("one.vm.chown", vm_id, 0, -1, session=session) for session in (ANN, "bob:bob-token")
        ]

        assert [message.rpartition(";")[2] for _, message, *_ in answers] == [
            " ask an administrator.",
            " ask ann or an administrator.",
        ]

    serve(scenario)


def test_chmod_takes_nothing_but_one_zero_and_leave(serve) -> None:
    async def scenario(_site, caller) -> None:
        vm_id = await caller.ask("vm.allocate", TEMPLATE, True)
        refused = await caller.plain("one.vm.chmod", vm_id, 1, 1, 0, 7, 0, 0, -1, -1, -1)

        text = "[one.vm.chmod] group use is 7; it has to be 1, 0, or -1 to leave it."
        assert refused == [False, text, 0x1000, vm_id, -1]
        assert (await caller.ask("vm.info", vm_id)).PERMISSIONS.GROUP_U == 0

    serve(scenario)


def test_pages_end_with_one_that_is_not_full(serve) -> None:
    async def scenario(_site, caller) -> None:
        for _ in range(5):
            await caller.ask("vm.allocate", TEMPLATE, True)

        async def ids(*arguments) -> list[int]:
            return [each.ID for each in (await caller.ask("vmpool.info", *arguments)).VM]

        assert [await ids(-2, start, -2, -1) for start in (0, 2, 4, 6)] == [[4, 3], [2, 1], [0], []]
        assert await ids(-2, 1, 3, -1) == [3, 2, 1]
        assert await ids(-3) == [4, 3, 2, 1, 0]
        assert await ids("-2", "3", "-1", "2") == [4, 3]
        found = await caller.ask("vmpool.infoset", "1,3,77", True)
        assert sorted(each.ID for each in found.VM) == [1, 3]

    serve(scenario)


def test_every_list_answers_every_arity(serve) -> None:
    lists = [name for name in METHODS if name.endswith("pool.info") or name in {"one.acl.info", "one.hooklog.info"}]

    async def scenario(_site, caller) -> None:
        for name in lists:
            for count in range(len(METHODS[name].arguments) + 1):
                default = [-2, -1, -1, -1, ""][:count]
                answer = await caller.plain(name, *default)
                assert answer[0] is True, (name, answer)
                assert answer[1].startswith("<"), name

    serve(scenario)


def test_whoever_has_no_session_learns_nothing_of_any_method(serve) -> None:
    async def scenario(_site, caller) -> None:
        for name in METHODS:
            # No text at all: a guess takes as long as a password, 150 of them too long.
            assert (await caller.plain(name, session=7))[2] == 0x100, name

    serve(scenario)


def test_introspection_needs_no_session(serve) -> None:
    async def scenario(site, _caller) -> None:
        async def ask(method: str, *arguments):
            answer = await site.ask("POST", "/RPC2", token="", body=xmlrpc.client.dumps(arguments, method).encode())
            return xmlrpc.client.loads(answer.body)[0][0]

        assert set(METHODS) < set(await ask("system.listMethods"))
        assert "int vm id" in await ask("system.methodHelp", "one.vm.info")
        assert await ask("system.methodSignature", "one.vm.info") == [["array", "string", "int", "boolean"]]
        with pytest.raises(xmlrpc.client.Fault, match="-506"):
            await ask("system.methodHelp", "one.none")

    serve(scenario)


def test_clients_of_1_4_get_two_elements_and_the_old_names(serve) -> None:
    async def scenario(site, caller) -> None:
        await site.host()
        ok, vm_id = await caller.plain("one.vm.allocate", TEMPLATE, path="/RPC1")
        _, vm = await caller.plain("one.vm.info", vm_id, path="/RPC1")
        _, host = await caller.plain("one.host.info", 1, path="/RPC1")
        _, pool = await caller.plain("one.vmpool.info", -2, path="/RPC1")

        assert ok is True
        for name in ("USERNAME", "LAST_POLL", "STIME", "ETIME", "DEPLOY_ID", "MEMORY", "CPU", "NET_TX", "NET_RX"):
            assert f"<{name}>" in vm, name
            assert f"<{name}>" in pool, name
        for name in ("LAST_MON_TIME", "TM_MAD", "HID", "MAX_CPU", "FREE_MEM", "USED_DISK", "RUNNING_VMS"):
            assert f"<{name}>" in host, name
        assert "<LABELS>a,b</LABELS>" in vm.partition("<TEMPLATE>")[2]
        for method, arguments in (("hostpool", ()), ("vnpool", (-2,)), ("userpool", ())):
            assert (await caller.plain(f"one.{method}.info", *arguments, path="/RPC1"))[0] is True, method
        assert len(await caller.plain("one.vm.info", 77, path="/RPC1")) == 2
        with pytest.raises(xmlrpc.client.Fault, match="-506"):
            await caller.plain("one.imagepool.info", path="/RPC1")

    serve(scenario)


def test_a_session_of_1_4_gets_the_answers_of_its_time_wherever_it_asks(serve) -> None:
    async def scenario(site, caller) -> None:
        site.service._xmlrpc._sessions.takes_sha1 = True
        kept = passwords.hashed(passwords.sha1_of("secret"), lambda count: b"\1" * count)
        await site.put(User(name="haizea", user_id=9, groups=("oneadmin",), password_sha1=kept))
        session = f"haizea:{passwords.sha1_of('secret')}"

        assert await caller.plain("one.vm.allocate", TEMPLATE, session=session) == [True, 0]
        assert "<USERNAME>haizea</USERNAME>" in (await caller.plain("one.vmpool.info", -2, session=session))[1]
        assert (await caller.plain("one.vm.info", 0, session="haizea:secret"))[2] == 0x100
        site.service._xmlrpc._sessions.takes_sha1 = False
        site.service._xmlrpc._sessions._known.clear()
        assert (await caller.plain("one.vm.info", 0, session=session))[2] == 0x100

    serve(scenario)


def test_bodies_that_are_encoded_too_long_or_not_posted_are_answered(serve) -> None:
    body = xmlrpc.client.dumps(("admin:admin-token",), "one.system.version").encode()

    async def scenario(site, caller) -> None:
        packed = await site.ask(
            "POST", "/RPC2", token="", body=gzip.compress(body), headers={"Content-Encoding": "gzip"}
        )
        assert xmlrpc.client.loads(packed.body)[0][0][0] is True
        unknown = await site.ask("POST", "/RPC2", token="", body=body, headers={"Content-Encoding": "br"})
        assert b"faultCode" in unknown.body
        assert (await site.ask("GET", "/RPC2", token="")).status == 405
        for length in (100_001, 50_000_000):
            # Nothing of the body is sent, and the answer is there.
            stream = await site.raw(b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)
            assert (stream.status, stream.headers["connection"]) == (413, "close")
            assert b"faultCode" in await stream.rest()
        chunks = b"186a1\r\n" + b"a" * 100_001 + b"\r\n"
        stream = await site.raw(b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        assert stream.status == 413
        assert (await caller.plain("one.system.version"))[0] is True

    serve(scenario)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.text(max_size=20) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
).filter(lambda value: value is not None)
CALLS = st.tuples(st.sampled_from(sorted(METHODS)), st.lists(VALUES, max_size=6))


@settings(max_examples=1, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_arguments_get_an_answer_or_a_fault_and_never_a_traceback(serve, data) -> None:
    calls = data.draw(st.lists(CALLS, min_size=100, max_size=100))

    async def scenario(_site, caller) -> None:
        broken: list[object] = []
        for name, arguments in calls:
            try:
                answer = await asyncio.wait_for(caller.plain(name, *_plain(arguments)), 1.0)
            except xmlrpc.client.Fault as fault:
                broken += [(name, arguments)] if fault.faultCode == INTERNAL else []
                continue
            assert len(answer) == (3 if answer[0] else 5), (name, arguments)
            broken += [(name, arguments)] if not answer[0] and "fault" in answer[1] else []

        assert broken == []

    serve(scenario)


@settings(max_examples=1, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(st.binary(max_size=300), min_size=60, max_size=60))
def test_any_bytes_get_a_fault_within_a_second(serve, bodies) -> None:
    call = xmlrpc.client.dumps(("admin:admin-token", 5), "one.vm.info").encode()
    cut = [call[: number * (len(call) - 20) // len(bodies)] + body for number, body in enumerate(bodies)]

    async def scenario(site, _caller) -> None:
        for body in [*bodies, *cut]:
            answer = await asyncio.wait_for(site.ask("POST", "/RPC2", token="", body=body), 1.0)
            assert (answer.status, b"faultCode" in answer.body) == (200, True), body

    serve(scenario)


def _plain(value):
    """Return a value without what XML cannot carry."""
    if isinstance(value, str):
        return "".join(each for each in value if each.isprintable())
    if isinstance(value, list):
        return [_plain(each) for each in value if each is not None]
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items() if each is not None}
    return value


def test_whoever_has_an_old_name_anew_sees_nothing_of_before(serve) -> None:
    async def scenario(site, caller) -> None:
        vm_id = await caller.ask("vm.allocate", TEMPLATE, True, session=ANN)
        await caller.ask("vm.action", "terminate-hard", vm_id, session=ANN)
        assert [each.ID for each in (await caller.ask("vmpool.info", -2, -1, -1, 6, session=ANN)).VM] == [vm_id]
        ann = site.controller.reactor.cluster.users["ann"]
        await site.put(msgspec.structs.replace(ann, created_at_s=ann.created_at_s + 1e12))

        with pytest.raises(pyone.OneNoExistsException):
            await caller.ask("vm.info", vm_id, session=ANN)
        for flag in (-3, -2):
            assert list((await caller.ask("vmpool.info", flag, -1, -1, 6, session=ANN)).VM) == []
        assert [each.ID for each in (await caller.ask("vmpool.info", -2, -1, -1, 6)).VM] == [vm_id]

    serve(scenario)


def test_rules_are_shown_to_administrators_alone(serve) -> None:
    async def scenario(_site, caller) -> None:
        rule_id = await caller.ask("acl.addrule", "0x100000007", "0x1100000001", "0x1", "0x400000000")

        assert rule_id in [each.ID for each in (await caller.ask("acl.info")).ACL]
        assert list((await caller.ask("acl.info", session=ANN)).ACL) == []

    serve(scenario)


def test_the_vms_of_others_are_not_in_the_leases_of_a_network(serve) -> None:
    async def scenario(site, caller) -> None:
        network_id = await caller.ask("vn.allocate", 'NAME = shown\nAR = [ TYPE = IP4, IP = "10.5.0.1", SIZE = 4 ]', -1)
        await caller.ask("vn.chmod", network_id, 1, 1, 0, 1, 0, 0, 1, 0, 0)
        text = f"{TEMPLATE}NIC = [ NETWORK_ID = {network_id} ]\n"
        vm_ids = [await caller.ask("vm.allocate", text, True, session=who) for who in (ANN, "bob:bob-token")]

        async def told(session: str) -> list[int]:
            shown = await caller.ask("vn.info", network_id, session=session)
            return [lease.VM for lease in shown.AR_POOL.AR[0].LEASES.LEASE]

        assert [await told(who) for who in (ANN, "bob:bob-token")] == [[vm_ids[0], -1], [-1, vm_ids[1]]]

    serve(scenario)
