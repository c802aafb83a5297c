"""Consoles over HTTP."""

import asyncio

import msgspec
import pytest

from innkeeper_controller.api.console import MAX_BUFFERED_BYTES
from innkeeper_hostagent.protocol.messages import CloseConsole, ConsoleInput, ConsoleOutput, OpenConsole
from innkeeper_plugins.vocabulary import HostId, VmState

NUMBER = int.from_bytes(b"\7" * 6, "big")


async def running(site) -> int:
    """Return a VM of ann's that runs on a host that is there."""
    host_id = await site.host()
    vm_id = await site.submit(hold=True)
    vm = site.controller.reactor.cluster.vms[vm_id]
    await site.put(msgspec.structs.replace(vm, state=VmState.RUNNING, host_id=host_id))
    return vm_id


def says(site, data: bytes = b"", *, ended: bool = False, reason: str = "", host_id: int = 1) -> None:
    message = ConsoleOutput(stream_id=NUMBER, data=data, ended=ended, reason=reason)
    site.controller.hosts.on_message(host_id, message)


async def opened(site, vm_id: int):
    opening = asyncio.create_task(site.open("GET", f"/v1/vms/{vm_id}/console", token="ann"))
    assert await site.links.next() == (1, OpenConsole(stream_id=NUMBER, vm_id=vm_id, generation=0))
    says(site, b"login: ")
    return await opening


def test_what_a_guest_prints_comes_as_it_is_printed_and_what_is_typed_reaches_it(serve):
    async def scenario(site):
        vm_id = await running(site)
        stream = await opened(site, vm_id)
        first = await stream.chunk()
        typed = await site.ask("POST", f"/v1/vms/{vm_id}/console/{NUMBER}/input", body=b"root\n", token="ann")
        told = await site.links.next()
        says(site, b"ro")
        says(site, b"ot\r\n")
        second = await stream.chunk()
        says(site, b"bye", ended=True, reason="the guest is off")
        rest = await stream.rest()

        assert (stream.status, stream.headers["x-console-stream"]) == (200, str(NUMBER))
        assert (first, second) == (b"login: ", b"root\r\n")
        assert (typed.status, told) == (200, (1, ConsoleInput(stream_id=NUMBER, data=b"root\n")))
        assert rest == b"bye\r\n[console closed: the guest is off]\r\n"
        assert len(site.service.consoles) == 0
        assert site.links.sent == []

    serve(scenario)


def test_a_reader_that_leaves_closes_the_console_at_the_host(serve):
    async def scenario(site):
        stream = await opened(site, await running(site))
        stream.close()

        assert await site.links.next() == (1, CloseConsole(stream_id=NUMBER))
        assert len(site.service.consoles) == 0

    serve(scenario)


def test_a_console_that_the_host_refuses_is_a_refusal(serve):
    async def scenario(site):
        vm_id = await running(site)
        opening = asyncio.create_task(site.ask("GET", f"/v1/vms/{vm_id}/console", token="ann"))
        await site.links.next()
        says(site, ended=True, reason="it has no serial port")
        answer = await opening

        assert (answer.status, answer.error["code"]) == (409, "unreachable")
        assert answer.error["message"] == "The console of VM 0 did not open: it has no serial port."
        assert len(site.service.consoles) == 0

    serve(scenario)


def test_a_console_ends_with_its_host(serve):
    async def scenario(site):
        stream = await opened(site, await running(site))
        site.controller.hosts.on_lost(1)

        assert await stream.rest() == b"login: \r\n[console closed: its host is not connected any more]\r\n"
        assert len(site.service.consoles) == 0

    serve(scenario)


def test_a_console_that_is_not_read_fast_enough_ends(serve):
    async def scenario(site):
        stream = await opened(site, await running(site))
        await stream.chunk()
        for _ in range(5):
            says(site, bytes(MAX_BUFFERED_BYTES // 4))
        rest = await stream.rest()

        assert rest.endswith(b"[console closed: what it prints is not read fast enough]\r\n")
        assert await site.links.next() == (1, CloseConsole(stream_id=NUMBER))

    serve(scenario)


def test_a_host_speaks_only_of_consoles_that_are_its_own(serve):
    async def scenario(site):
        stream = await opened(site, await running(site))
        await stream.chunk()
        says(site, b"lies", host_id=2)
        site.controller.hosts.on_message(1, ConsoleOutput(stream_id=5, data=b"nobody's"))
        says(site, b"truth", ended=True)

        assert await stream.rest() == b"truth"
        assert site.controller.counters["console_strangers"] == 2

    serve(scenario)


def test_only_those_who_may_have_a_console_and_type_into_their_own(serve):
    async def scenario(site):
        vm_id = await running(site)
        stream = await opened(site, vm_id)
        path = f"/v1/vms/{vm_id}/console"
        answers = [
            await site.ask("GET", path, token=""),
            await site.ask("GET", path, token="bob"),
            await site.ask("GET", "/v1/vms/99/console", token="ann"),
            await site.ask("GET", "/v1/vms/x/console", token="ann"),
            await site.ask("POST", f"{path}/{NUMBER}/input", body=b"x", token="bob"),
            await site.ask("POST", f"{path}/{NUMBER + 1}/input", body=b"x", token="ann"),
            await site.ask("POST", f"/v1/vms/{vm_id + 1}/console/{NUMBER}/input", body=b"x", token="ann"),
            await site.ask("POST", f"{path}/{NUMBER}/input", body=b"x" * 65537, token="ann"),
        ]

        assert [answer.status for answer in answers] == [401, 403, 404, 400, 403, 404, 404, 413]
        assert site.links.sent == []
        stream.close()

    serve(scenario)


@pytest.mark.parametrize(("host_id", "status"), [(None, "wrong_state"), (1, "unreachable")])
def test_a_vm_without_a_host_that_is_there_has_no_console(serve, host_id, status):
    async def scenario(site):
        vm_id = await running(site)
        vm = site.controller.reactor.cluster.vms[vm_id]
        host = site.controller.reactor.cluster.hosts[HostId(1)]
        await site.put(msgspec.structs.replace(vm, host_id=host_id), msgspec.structs.replace(host, connected=False))
        answer = await site.ask("GET", f"/v1/vms/{vm_id}/console", token="ann")

        assert answer.error["code"] == status

    serve(scenario)


def test_no_more_consoles_are_opened_than_the_limit(serve):
    async def scenario(site):
        vm_id = await running(site)
        site.service.consoles._max_open = 1
        stream = await opened(site, vm_id)
        answer = await site.ask("GET", f"/v1/vms/{vm_id}/console", token="ann")

        assert (answer.status, answer.error["code"]) == (429, "too_many")
        stream.close()

    serve(scenario)
