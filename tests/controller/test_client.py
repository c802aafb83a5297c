"""The client: what it sends, what it makes of answers, and what it does when the connection does not hold."""

import io
import re
import sys
import threading
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "cli"))

from fake_controller import FakeController, Say, refused

from innkeeper_controller.client import Client, RefusedError, UnreachableError, WaitTimeoutError
from innkeeper_controller.client_http import parse_events


@pytest.fixture
def fake():
    controller = FakeController()
    yield controller
    controller.close()


@pytest.fixture
def client(fake):
    made = Client(fake.endpoint, "secret")
    yield made
    made.close()


def test_parameters_go_into_the_path_the_query_or_the_body(fake, client):
    fake.answers = {"GET /v1/hosts/h%2F1": {}, "GET /v1/vms": [], "POST /v1/vms": {}, "DELETE /v1/hosts/h": {}}

    client.call("host.show", host="h/1")
    client.call("vm.list", state="RUNNING", name=None, limit=5)
    client.call("vm.submit", template="A=1", hold=True, name=None)
    client.call("host.delete", host="h", force=True)

    assert [(asked.line, asked.json) for asked in fake.asked] == [
        ("GET /v1/hosts/h%2F1", None),
        ("GET /v1/vms?state=RUNNING&limit=5", None),
        ("POST /v1/vms", {"template": "A=1", "hold": True}),
        ("DELETE /v1/hosts/h?force=true", None),
    ]


def test_every_request_has_the_token_and_an_id_of_its_own(fake, client):
    fake.answers = {"GET /v1/vms": []}

    client.call("vm.list")
    client.call("vm.list")
    client.call("vm.list", request_id="mine")

    first, second, third = (asked.headers["X-Request-Id"] for asked in fake.asked)
    assert {asked.headers["Authorization"] for asked in fake.asked} == {"Bearer secret"}
    assert first != second
    assert third == "mine"


@pytest.mark.parametrize(
    ("name", "params", "text"),
    [
        ("vm.shw", {}, "There is no request 'vm.shw'; `inn requests` lists them."),
        ("vm.show", {"vm": 7}, "/v1/vms/{vm_id} needs vm_id."),
    ],
)
def test_a_call_that_no_request_can_be_made_of_says_what_is_wrong_and_asks_nobody(fake, client, name, params, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        client.call(name, **params)

    assert fake.asked == []


def test_a_broken_connection_is_tried_again_with_the_same_request_id(fake, client):
    fake.answers = {"GET /v1/status": {}, "POST /v1/vms": [Say(hang_up=True), Say(hang_up=True), Say({"vm_ids": [7]})]}
    client.call("system.status")

    assert client.call("vm.submit", template="") == {"vm_ids": [7]}
    submits = [asked for asked in fake.asked if asked.method == "POST"]
    assert len(submits) == 3
    assert len({asked.headers["X-Request-Id"] for asked in submits}) == 1


def test_a_refusal_keeps_code_sentence_and_mistakes(fake, client):
    mistake = {"message": "no such image", "field": "DISK/IMAGE", "line": 3, "column": 8, "suggestion": "web"}
    fake.answers = {"POST /v1/vms": refused("bad_template", "1 mistake", status=422, mistakes=[mistake])}

    with pytest.raises(RefusedError) as caught:
        client.call("vm.submit", template="")

    assert (caught.value.code, str(caught.value), caught.value.status) == ("bad_template", "1 mistake", 422)
    assert caught.value.mistakes == (mistake,)


def test_nobody_there_is_unreachable_at_once():
    with pytest.raises(UnreachableError, match="Nothing listens"):
        Client("127.0.0.1:1").call("vm.list")


def test_http_that_is_asked_for_tls_says_so(fake):
    address = fake.endpoint.removeprefix("http://")
    with pytest.raises(UnreachableError, match="It may speak http, not https"):
        Client(f"https://{address}").call("vm.list")


def test_a_stopping_controller_and_a_stranger_are_unreachable(fake, client):
    fake.answers = {"GET /v1/vms": refused("unavailable", "It stops.", status=503), "GET /v1/status": Say(b"<html>")}

    with pytest.raises(UnreachableError, match="It stops"):
        client.call("vm.list")
    with pytest.raises(UnreachableError, match="not from an Innkeeper controller"):
        client.call("system.status")


@pytest.mark.parametrize("endpoint", ["ftp://host", "http://", "://"])
def test_an_endpoint_that_is_no_address_is_refused(endpoint):
    with pytest.raises(ValueError, match="is not an address"):
        Client(endpoint)


def test_waiting_asks_again_until_the_operation_has_ended(fake, client):
    path = "GET /v1/operations/o3/wait"
    fake.answers = {path: [Say({"status": "running"}), Say({"status": "done", "ended_at_s": 5.0})]}

    assert client.wait_operation("o3") == {"status": "done", "ended_at_s": 5.0}
    assert fake.lines == ["GET /v1/operations/o3/wait?timeout_s=20.000"] * 2


def test_waiting_ends_with_its_own_error_when_the_time_is_over(fake, client):
    fake.answers = {"GET /v1/operations/o3/wait": {"status": "running"}}

    with pytest.raises(WaitTimeoutError, match="Operation o3 has not ended in time"):
        client.wait_operation("o3", timeout_s=0.0)


def test_an_upload_sends_every_byte_once_and_tells_how_far_it_is(fake, client):
    content = bytes(range(256)) * 10_000
    digest = __import__("hashlib").sha256(content).hexdigest()
    fake.answers = {"PUT /v1/uploads": {"sha256": digest, "size_bytes": len(content), "upload_id": digest}}
    told = []

    uploaded = client.upload(io.BytesIO(content), len(content), told.append)

    assert uploaded["sha256"] == digest
    assert fake.asked[0].body == content
    assert told == [1024 * 1024, 2 * 1024 * 1024, len(content)]


def test_an_upload_that_arrived_changed_is_refused(fake, client):
    fake.answers = {"PUT /v1/uploads": {"sha256": "0" * 64, "size_bytes": 3, "upload_id": "x"}}

    with pytest.raises(RefusedError, match="other bytes"):
        client.upload(io.BytesIO(b"abc"), 3)


def test_a_file_that_ends_early_breaks_the_upload(fake, client):
    client.link.timeout_s = 0.2

    with pytest.raises(UnreachableError, match="broke during the upload"):
        client.upload(io.BytesIO(b"abc"), 10)


def _sse(*events):
    return b"".join(b"id: %d\nevent: e\ndata: %s\n\n" % event for event in events)


def test_events_go_on_behind_the_last_one_when_the_stream_breaks(fake, client):
    kind = "text/event-stream"
    fake.answers = {
        "GET /v1/events": [
            Say(kind=kind, chunks=[b": hello\n\n", _sse((4, b'{"seq":4}'), (5, b'{"seq":5}'))]),
            Say(kind=kind, chunks=[_sse((6, b'{"seq":6}'))], hold=threading.Event()),
        ]
    }

    events = client.events(subject="vm:7")
    seen = [next(events)["seq"] for _ in range(3)]
    events.close()

    assert seen == [4, 5, 6]
    assert fake.lines == ["GET /v1/events?subject=vm%3A7"] * 2
    assert [asked.headers.get("Last-Event-ID") for asked in fake.asked] == [None, "5"]


def test_listening_ends_when_the_time_is_over(fake, client):
    fake.answers = {"GET /v1/events": Say(kind="text/event-stream", chunks=[b": hello\n\n"], hold=threading.Event())}

    events = client.events(timeout_s=0.05)
    with pytest.raises(WaitTimeoutError):
        next(events)
    events.close()


def test_events_of_several_lines_comments_and_carriage_returns_are_read():
    lines = [
        b": c\r\n",
        b"id: 1\r\n",
        b'data: {"a":\r\n',
        b"data: 1}\r\n",
        b"\r\n",
        b"event: x\n",
        b"\n",
        b"data: 2\n",
        b"\n",
    ]

    assert list(parse_events(lines)) == [("1", "", {"a": 1}), ("1", "", 2)]


def test_a_console_is_read_as_it_comes_and_written_to_by_its_number(fake, client):
    fake.answers = {
        "GET /v1/vms/7/console": Say(headers={"X-Console-Stream": "42"}, chunks=[b"login: "], kind="text/plain"),
        "POST /v1/vms/7/console/42/input": {},
    }

    console = client.console(7)
    shown = console.read()
    console.write(b"root\r")

    ended = console.read()
    console.close()

    assert (shown, ended) == (b"login: ", b"")
    assert fake.asked[-1].body == b"root\r"


def test_a_console_that_cannot_be_opened_says_why(fake, client):
    fake.answers = {"GET /v1/vms/7/console": refused("wrong_state", "VM 7 is POWEROFF.")}

    with pytest.raises(RefusedError, match="POWEROFF"):
        client.console(7)


def test_a_long_history_is_read_page_after_page(fake, client):
    events = [{"seq": number} for number in range(1, 2501)]
    first = "GET /v1/vms/7/history?after=0&limit=1000"
    fake.answers = {
        first: events[:1000],
        "GET /v1/vms/7/history?after=1000&limit=1000": events[1000:2000],
        "GET /v1/vms/7/history?after=2000&limit=1000": events[2000:],
    }

    assert client.history(7) == events


def test_a_vm_is_waited_for_without_missing_what_happens_in_between(fake, client):
    fake.answers = {
        "GET /v1/events": Say(kind="text/event-stream", chunks=[_sse((1, b"{}"), (2, b"{}"))], hold=threading.Event()),
        "GET /v1/vms/7": [
            Say({"vm_id": 7, "state": "PENDING"}),
            Say({"vm_id": 7, "state": "RUNNING", "operation_id": "o1"}),
            Say({"vm_id": 7, "state": "RUNNING"}),
        ],
    }

    assert client.wait_vm(7, timeout_s=10) == {"vm_id": 7, "state": "RUNNING"}
    assert fake.lines == ["GET /v1/events?subject=vm%3A7", *["GET /v1/vms/7"] * 3]


def test_a_vm_that_does_not_come_there_in_time_is_told_with_where_it_is(fake, client):
    held = Say(kind="text/event-stream", chunks=[b": hello\n\n"], hold=threading.Event())
    fake.answers = {"GET /v1/events": held, "GET /v1/vms/7": {"vm_id": 7, "state": "SUSPENDED"}}

    with pytest.raises(WaitTimeoutError, match="VM 7 is SUSPENDED and has not become RUNNING in time"):
        client.wait_vm(7, timeout_s=0.1)
