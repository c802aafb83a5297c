"""Requests of the table over HTTP: found, guarded, read strictly, refused in one form."""

import asyncio
import json

import msgspec
import pytest

from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.requests.table import Who

TEMPLATE = "NAME = web\nCPU = 0.5\nMEMORY = 64\n"


def filled(path: str) -> str:
    return "/".join("7" if part.startswith("{") else part for part in path.split("/"))


def test_a_submission_is_answered_with_its_number(serve):
    async def scenario(site):
        answer = await site.ask("POST", "/v1/vms", {"template": TEMPLATE, "count": 2})

        assert (answer.status, answer.json) == (200, {"vm_ids": [0, 1]})
        assert answer.headers["content-type"] == "application/json"
        assert sorted(site.controller.reactor.cluster.vms) == [0, 1]

    serve(scenario)


def test_no_request_of_the_table_is_answered_to_somebody_without_the_right(serve):
    guarded = [each for each in REQUESTS.values() if each.who is not Who.ANYONE]

    async def scenario(site):
        for request in guarded:
            body = b"{}" if request.method == "POST" else b""
            for token, status in (("", 401), ("wrong", 401), ("ann", 403)):
                if token == "ann" and request.who is not Who.ADMIN:
                    continue
                answer = await site.ask(request.method, filled(request.path), token=token, body=body)
                assert answer.status == status, (request.name, token, answer.body)

        assert site.controller.reactor.cluster.vms == {}

    serve(scenario)


@pytest.mark.parametrize("headers", [{"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}])
def test_a_header_without_a_token_is_no_token(serve, headers):
    async def scenario(site):
        answer = await site.ask("GET", "/v1/vms", token="", headers=headers)

        assert (answer.status, answer.error["code"]) == (401, "unauthenticated")

    serve(scenario)


@pytest.mark.parametrize(
    ("body", "message", "field"),
    [
        ({"tempalte": "x"}, "There is no parameter tempalte, did you mean template?", "tempalte"),
        ({"template": TEMPLATE, "count": "2"}, "Parameter count: Expected `int`, got `str`.", "count"),
        ({}, "Parameter template: it is missing.", "template"),
        ([], "The body is no JSON object.", None),
        ({"template": "a\0b"}, "A text in the body has a NUL character.", None),
    ],
)
def test_a_wrong_parameter_is_named(serve, body, message, field):
    async def scenario(site):
        answer = await site.ask("POST", "/v1/vms", body)

        assert (answer.status, answer.error["code"], answer.error["message"]) == (400, "bad_request", message)
        assert [mistake["field"] for mistake in answer.error["mistakes"]] == ([field] if field else [])

    serve(scenario)


def test_all_unknown_parameters_are_named_at_once_wherever_they_are(serve):
    async def scenario(site):
        body = {"nmae": "lan", "ranges": [{"size": 3, "ip": "10.0.0.1"}, {"sise": 3}]}
        answer = await site.ask("POST", "/v1/networks", body)

        assert answer.error["message"] == "There is no parameter nmae, did you mean name? (2 mistakes)"
        assert [mistake["field"] for mistake in answer.error["mistakes"]] == ["nmae", "ranges[1].sise"]

    serve(scenario)


@pytest.mark.parametrize("body", [b"{", b'{"a": 1e999}', b"\xff", b"[" * 100_000, b'"\\ud800"'])
def test_what_is_no_json_is_refused(serve, body):
    async def scenario(site):
        answer = await site.ask("POST", "/v1/vms", body=body)

        assert (answer.status, answer.error["code"]) == (400, "bad_request")
        assert answer.error["message"].startswith("The body is no JSON")

    serve(scenario)


def test_a_body_that_is_too_long_is_refused(serve):
    async def scenario(site):
        answer = await site.ask("POST", "/v1/vms", {"template": "x" * 100_000})

        assert (answer.status, answer.error["code"]) == (413, "too_large")

    serve(scenario)


def test_parameters_come_from_path_query_and_body_and_only_once(serve):
    async def scenario(site):
        vm_id = await site.submit(hold=True)
        shown = await site.ask("GET", f"/v1/vms/{vm_id}", token="ann")
        listed = await site.ask("GET", "/v1/vms?state=hold&limit=5&after=-1")
        wrong = await site.ask("GET", "/v1/vms?limit=many")
        unknown = await site.ask("GET", "/v1/vms?stat=hold")
        no_number = await site.ask("GET", "/v1/vms/seven")
        twice = await site.ask("GET", "/v1/vms?limit=1&limit=2")
        path_and_body = await site.ask("POST", f"/v1/vms/{vm_id}/release", {"vm_id": 8}, token="ann")
        nul = await site.ask("GET", "/v1/vms?name=a%00b")

        assert shown.json["vm_id"] == vm_id
        assert [vm["vm_id"] for vm in listed.json] == [vm_id]
        assert [answer.error["message"] for answer in (wrong, unknown, no_number, twice, path_and_body, nul)] == [
            "Parameter limit: Expected `int`, got `str`.",
            "There is no parameter stat, did you mean state?",
            "Parameter vm_id: Expected `int`, got `str`.",
            "Parameter limit is there twice.",
            "Parameter vm_id is there twice.",
            "A text in the query string has a NUL character.",
        ]

    serve(scenario)


def test_delete_takes_its_parameters_from_the_query(serve):
    async def scenario(site):
        host_id = await site.host()
        answer = await site.ask("DELETE", f"/v1/hosts/{host_id}?force=true")

        assert (answer.status, answer.json) == (200, {})
        assert site.controller.reactor.cluster.hosts == {}

    serve(scenario)


def test_an_encoded_slash_stays_within_its_parameter(serve):
    async def scenario(site):
        answer = await site.ask("GET", "/v1/hosts/a%2Fb")

        assert (answer.status, answer.error["message"][:23]) == (404, "There is no host a/b. `")

    serve(scenario)


def test_a_request_is_asked_again_with_its_number(serve):
    async def scenario(site):
        headers = {"X-Request-Id": "r-1"}
        first = await site.ask("POST", "/v1/vms", {"template": TEMPLATE}, headers=headers)
        again = await site.ask("POST", "/v1/vms", {"template": TEMPLATE}, headers=headers)
        other = await site.ask("POST", "/v1/vms", {"template": TEMPLATE, "count": 2}, headers=headers)
        by_other = await site.ask("POST", "/v1/vms", {"template": TEMPLATE}, headers=headers, token="ann")

        assert first.json == again.json == {"vm_ids": [0]}
        assert (other.status, by_other.status) == (400, 400)

    async def after_restart(site):
        answer = await site.ask("POST", "/v1/vms", {"template": TEMPLATE}, headers={"X-Request-Id": "r-1"})

        assert answer.json == {"vm_ids": [0]}

    serve(scenario)
    serve(after_restart)


@pytest.mark.parametrize("number", ["x" * 129, "a\tb", "\u00e9"])
def test_a_number_that_is_none_is_refused(serve, number):
    async def scenario(site):
        answer = await site.ask("POST", "/v1/vms", {"template": TEMPLATE}, headers={"X-Request-Id": number})

        assert (answer.status, answer.error["mistakes"][0]["field"]) == (400, "X-Request-Id")

    serve(scenario)


def test_every_mistake_of_a_template_is_told(serve):
    async def scenario(site):
        answer = await site.ask("POST", "/v1/vms", {"template": "NAEM = web\nCPU = x\n"})

        assert (answer.status, answer.error["code"]) == (422, "bad_template")
        assert len(answer.error["mistakes"]) >= 2
        assert {mistake.get("line") for mistake in answer.error["mistakes"]} >= {1, 2}

    serve(scenario)


def test_what_there_is_not_is_said_in_the_same_form(serve):
    async def scenario(site):
        answers = [
            await site.ask(method, path)
            for method, path in (
                ("GET", "/"),
                ("GET", "/v1/vms/"),
                ("GET", "/v1//vms"),
                ("PATCH", "/v1/vms"),
                ("DELETE", "/v1/events"),
            )
        ]

        assert [(answer.status, answer.error["code"]) for answer in answers] == [
            (404, "not_found"),
            (404, "not_found"),
            (404, "not_found"),
            (405, "bad_request"),
            (405, "bad_request"),
        ]
        assert [answers[3].headers["allow"], answers[4].headers["allow"]] == ["GET, POST", "GET"]

    serve(scenario)


def test_a_vm_that_is_done_can_still_be_shown_and_listed(serve):
    async def scenario(site):
        vm_id, live = await site.submit(), await site.submit()
        await site.ask("POST", f"/v1/vms/{vm_id}/terminate", {}, token="ann")
        shown = await site.ask("GET", f"/v1/vms/{vm_id}", token="ann")
        to_another = await site.ask("GET", f"/v1/vms/{vm_id}", token="bob")
        never = await site.ask("GET", "/v1/vms/99")
        listed = await site.ask("GET", "/v1/vms?state=DONE")
        named = await site.ask("GET", "/v1/vms?state=done&name=tor")
        nobody = await site.ask("GET", "/v1/vms?state=DONE", token="")

        assert (shown.json["vm_id"], shown.json["state"]) == (vm_id, "DONE")
        assert (to_another.status, never.status, nobody.status) == (403, 404, 401)
        assert [vm["vm_id"] for vm in listed.json] == [vm_id]
        assert named.json == []
        assert [vm["vm_id"] for vm in (await site.ask("GET", "/v1/vms")).json] == [live]

    serve(scenario)


def test_whoever_has_an_old_name_anew_sees_nothing_of_before(serve):
    async def scenario(site):
        vm_id = await site.submit()
        await site.ask("POST", f"/v1/vms/{vm_id}/suspend", {}, token="ann")
        await site.ask("POST", f"/v1/vms/{vm_id}/terminate", {}, token="ann")
        own = await site.ask("GET", "/v1/vms?state=DONE", token="ann")
        to_another = await site.ask("GET", "/v1/vms?state=DONE", token="bob")
        asked_for = await site.ask("GET", "/v1/vms?state=DONE&owner=ann", token="bob")
        ann = site.controller.reactor.cluster.users["ann"]
        await site.put(msgspec.structs.replace(ann, created_at_s=ann.created_at_s + 1e12))
        anew = await site.ask("GET", "/v1/vms?state=DONE", token="ann")
        shown = await site.ask("GET", f"/v1/vms/{vm_id}", token="ann")

        assert [[vm["vm_id"] for vm in each.json] for each in (own, to_another, asked_for, anew)] == [
            [vm_id],
            [],
            [],
            [],
        ]
        assert shown.status == 404

    serve(scenario)


def test_requests_on_one_connection_are_answered_in_order(serve):
    async def scenario(site):
        body = json.dumps({"template": TEMPLATE}).encode()
        head = f"POST /v1/vms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-token\r\nContent-Length: {len(body)}"
        stream = await site.raw((f"{head}\r\n\r\n".encode() + body) * 3)
        ids = [json.loads(await stream.rest())["vm_ids"][0]]
        for _ in range(2):
            await stream.next_head()
            ids.append(json.loads(await stream.rest())["vm_ids"][0])

        assert ids == [0, 1, 2]

    serve(scenario)


def test_many_clients_get_their_own_answers(serve):
    async def scenario(site):
        answers = await asyncio.gather(
            *[site.ask("POST", "/v1/vms", {"template": TEMPLATE, "name": f"n{n}"}) for n in range(30)]
        )
        vms = site.controller.reactor.cluster.vms

        assert [vms[answer.json["vm_ids"][0]].name for answer in answers] == [f"n{n}" for n in range(30)]

    serve(scenario)
