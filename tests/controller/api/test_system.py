"""The controller's own endpoints, and the server's limits."""

import asyncio
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from innkeeper_controller.api.catalogue import ENDPOINTS
from innkeeper_controller.api.server import MAX_HEADER_BYTES
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.requests.table import Who


def test_health_says_whether_anything_can_be_written(serve):
    async def scenario(site):
        well = await site.ask("GET", "/healthz", token="")
        site.controller.pipeline.trouble = "disk full"
        ill = await site.ask("GET", "/healthz", token="")
        site.controller.pipeline.trouble = ""

        assert (well.status, well.json) == (200, {"status": "ok"})
        assert (ill.status, ill.json) == (503, {"status": "unavailable", "reason": "disk full"})

    serve(scenario)


def test_metrics_are_what_prometheus_reads(serve):
    async def scenario(site):
        await site.host()
        await site.submit()
        await site.ask("GET", "/v1/vms/99")
        text = (await site.ask("GET", "/metrics", token="")).body.decode()
        samples = {
            (sample.name, *[value for _, value in sorted(sample.labels.items())]): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

        assert samples["innkeeper_vms", "PENDING"] == 1
        assert samples["innkeeper_hosts", "on"] == 1
        assert samples["innkeeper_http_requests_total", "vm.submit", "200"] == 1
        assert samples["innkeeper_http_requests_total", "vm.show", "404"] == 1
        assert samples["innkeeper_http_seconds_count", "vm.submit"] == 1
        assert samples["innkeeper_http_seconds_bucket", "+Inf", "vm.submit"] == 1
        assert samples["innkeeper_fabric_total", "malformed"] == 3
        assert samples["innkeeper_store_writable",] == 1
        commits = samples["innkeeper_store_commit_seconds_count",]
        assert commits == samples["innkeeper_store_commit_turns_count",] > 0

    serve(scenario)


def references(value: object):
    if isinstance(value, dict):
        for name, each in value.items():
            yield from [each] if name == "$ref" else references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_the_document_describes_every_request_and_refers_to_nothing_that_is_missing(serve):
    async def scenario(site):
        document = (await site.ask("GET", "/v1/openapi.json", token="")).json
        described = {
            (method.upper(), path): operation["operationId"]
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }
        known = {(each.method, each.path): each.name for each in (*REQUESTS.values(), *ENDPOINTS)}

        assert document["openapi"] == "3.1.0"
        assert described == known
        for reference in references(document):
            target = document
            for part in reference.removeprefix("#/").split("/"):
                target = target[part]
        submit = document["paths"]["/v1/vms"]["post"]
        assert submit["requestBody"]["content"]["application/json"]["schema"] == {
            "$ref": "#/components/schemas/SubmitVm"
        }
        migrate = document["paths"]["/v1/vms/{vm_id}/migrate"]["post"]
        assert [each["name"] for each in migrate["parameters"] if each["in"] == "path"] == ["vm_id"]
        assert "vm_id" not in migrate["requestBody"]["content"]["application/json"]["schema"]["properties"]
        listed = document["paths"]["/v1/vms"]["get"]
        assert {each["name"] for each in listed["parameters"]} >= {"state", "after", "limit"}

    serve(scenario)


def test_no_endpoint_is_answered_to_somebody_without_the_right(serve):
    async def scenario(site):
        for endpoint in ENDPOINTS:
            path = "/".join("7" if part.startswith("{") else part for part in endpoint.path.split("/"))
            stranger = await site.ask(endpoint.method, path, token="")
            assert (stranger.status == 401) is (endpoint.who is not Who.ANYONE), endpoint.name
            wrong = await site.ask(endpoint.method, path, token="wrong")
            assert wrong.status == 401, endpoint.name
            if endpoint.who is Who.ADMIN:
                assert (await site.ask(endpoint.method, path, token="ann")).status == 403, endpoint.name

    serve(scenario)


def test_the_log_can_be_verified_on_a_live_system(serve):
    async def scenario(site):
        await site.submit()
        answer = await site.ask("GET", "/v1/verify/log")

        assert answer.status == 200
        assert answer.json["findings"] == []
        assert answer.json["checked"] >= 5

    serve(scenario)


def test_head_gets_no_body_and_blocks_nobody(serve):
    async def scenario(site):
        head = b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        stream = await site.raw(head + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        first = stream.status
        await stream.next_head()

        assert (first, stream.status) == (405, 200)
        assert json.loads(await stream.rest()) == {"status": "ok"}

    serve(scenario)


async def hung_up(site, begins: bytes, *, again: int = 1) -> bool:
    """Send a beginning, maybe several times, and return whether the connection is ended without an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        for _ in range(again):
            writer.write(begins)
            await writer.drain()
        return await reader.read() == b""
    except ConnectionError:
        return True
    finally:
        writer.close()


@pytest.mark.parametrize("begins", [b"GET /healthz HTTP/1.1\r\nX: ", b"GET /"])
def test_endless_headers_end_the_connection(serve, begins):
    async def scenario(site):
        assert await hung_up(site, begins + b"x" * MAX_HEADER_BYTES, again=2)

    serve(scenario)


@pytest.mark.parametrize(
    "begins",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost:",
        b"PUT /v1/uploads HTTP/1.1\r\nAuthorization: Bearer ann-token\r\nContent-Length: 9\r\n\r\nabc",
    ],
)
def test_a_request_that_never_becomes_complete_ends_the_connection(serve, begins):
    async def scenario(site):
        assert await hung_up(site, begins)
        await site.until(lambda: list((site.directory / "uploads").iterdir()) == [])

    serve(scenario, silent_s=0.01)


def test_what_is_no_http_is_answered_once_and_hung_up(serve):
    async def scenario(site):
        stream = await site.raw(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        await stream.rest()

        assert stream.status == 400
        assert await stream.reader.read() == b""

    serve(scenario)
