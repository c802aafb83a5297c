"""Waiting for operations over HTTP."""

import asyncio

import msgspec

from innkeeper_controller.records import Operation, OperationKind, OperationStatus, Plan
from innkeeper_plugins.vocabulary import OperationId

RUNNING = Operation(
    operation_id=OperationId("o0"),
    kind=OperationKind.DELETE_IMAGE,
    subject="image:0",
    origin="",
    actor="ann",
    plan=Plan(legs=()),
    started_at_s=1.0,
)
DONE = msgspec.structs.replace(RUNNING, status=OperationStatus.DONE, ended_at_s=5.0)


def test_waiting_ends_with_the_operation(serve):
    async def scenario(site):
        await site.put(RUNNING)
        waiting = asyncio.create_task(site.ask("GET", "/v1/operations/o0/wait?timeout_s=50", token="ann"))
        await site.until(lambda: len(site.controller.waits))
        await site.put(DONE)
        answer = await waiting

        assert (answer.status, answer.json["status"], answer.json["ended_at_s"]) == (200, "done", 5.0)

    serve(scenario)


def test_waiting_for_too_long_shows_how_far_it_is(serve):
    async def scenario(site):
        await site.put(RUNNING)
        answer = await site.ask("GET", "/v1/operations/o0/wait?timeout_s=0")

        assert (answer.status, answer.json["status"]) == (200, "running")
        assert "ended_at_s" not in answer.json

    serve(scenario)


def test_an_operation_that_ended_long_ago_is_shown_at_once(serve):
    async def before(site):
        await site.put(DONE)

    async def after(site):
        answers = [await site.ask("GET", f"/v1/operations/o0{path}") for path in ("/wait", "")]

        assert site.controller.reactor.cluster.operations == {}
        assert [answer.json["status"] for answer in answers] == ["done", "done"]

    serve(before)
    serve(after)


def test_what_cannot_be_waited_for_is_refused(serve):
    async def scenario(site):
        paths = (
            "o9/wait",
            "x/wait",
            "o0/wait?timeout_s=x",
            "o0/wait?timeout_s=-1",
            "o0/wait?timeout_s=nan",
            "o0/wait?a=1",
        )
        answers = [await site.ask("GET", f"/v1/operations/{path}") for path in paths]
        nobody = await site.ask("GET", "/v1/operations/o0/wait", token="")

        assert [answer.status for answer in answers] == [404, 404, 400, 400, 400, 400]
        assert nobody.status == 401

    serve(scenario)
