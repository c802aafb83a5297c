"""Following: from submission to RUNNING, operations to their end, uploads with a bar; on a terminal and off it."""

import io
import json
import re
import sys
import threading

import pytest
from fake_controller import Say, refused
from samples import DIGEST, NO_SPACE, NOW_S, detail, image, operation, vm

from innkeeper_controller.cli.progress import bar, transfer

EVENTS = "GET /v1/events"
SHOW = "GET /v1/vms/7"
WHY = "GET /v1/vms/7/why"
ABOUT_TO_BE_PLACED = {"vm_id": 7, "name": "web", "state": "PENDING", "reason": "It fits and is about to be placed."}
FITS_NOWHERE = {
    **ABOUT_TO_BE_PLACED,
    "reason": "None of 2 hosts can take the VM as things stand.",
    "advice": "It starts by itself as soon as one can.",
    "nearest_miss": "host-a comes closest: the host has no bridge br0.",
}
WAIT = "GET /v1/operations/o3/wait"


@pytest.fixture
def template(tmp_path):
    file = tmp_path / "web.one"
    file.write_text("NAME = web\nCPU = 1\nMEMORY = 512\n")
    return file


def _events(*events):
    """A stream that gives these and then stays open."""
    data = [b"id: %d\ndata: %s\n\n" % (number, json.dumps(each).encode()) for number, each in enumerate(events, 1)]
    return Say(kind="text/event-stream", chunks=data, hold=threading.Event())


@pytest.fixture
def deploying(fake):
    """VM 7 waits, is deployed by o3, and runs."""
    busy = vm(state="PROLOG", host="host-a", operation_id="o3")
    fake.answers = {
        "POST /v1/vms": {"vm_ids": [7]},
        EVENTS: _events({"what": "vm.state"}),
        SHOW: [Say(vm(state="PENDING")), Say(busy), Say(detail())],
        WHY: ABOUT_TO_BE_PLACED,
        WAIT: [
            Say(
                operation("running", kind="deploy", step="1 PROLOG qcow2 clone disk.0", total_bytes=100, done_bytes=43)
            ),
            Say(operation("done", kind="deploy")),
        ],
    }
    return fake


def test_submit_prints_the_ids_and_nothing_else(run, fake, template):
    fake.answers = {"POST /v1/vms": {"vm_ids": [7, 8]}}

    ran = run("vm", "submit", template, "-n", 2, "--name", "w", "--set", "MEMORY=1", "--set", "A=b=c", "--hold")

    assert (ran.code, ran.out, ran.err) == (0, "7\n8\n", "")
    assert fake.asked[0].json == {
        "template": template.read_text(),
        "count": 2,
        "name": "w",
        "hold": True,
        "set": {"MEMORY": "1", "A": "b=c"},
    }


def test_submit_says_what_follows_when_it_is_to_say_more(run, fake, template):
    fake.answers = {"POST /v1/vms": {"vm_ids": [7]}}

    assert run("vm", "submit", template, "-v").out == (
        "VM 7 is PENDING. `inn vm wait 7` follows it until it runs, `inn vm why 7` says where it stands.\n"
    )
    assert run("vm", "submit", template, "-v", "--hold").out == (
        "VM 7 is in HOLD. `inn vm release 7` gives it to the scheduler, `inn vm deploy 7 HOST` to a host.\n"
    )


def test_a_template_comes_from_standard_input_too(run, fake, monkeypatch):
    fake.answers = {"POST /v1/vms": refused("bad_template", "1 mistake", mistakes=[{"message": "x", "line": 1}])}
    monkeypatch.setattr(sys, "stdin", io.StringIO("NAME = a"))

    ran = run("vm", "submit", "-")

    assert fake.asked[0].json["template"] == "NAME = a"
    assert "<stdin>:1:1: x" in ran.err


def test_submit_follows_the_vm_until_it_runs(run, deploying, template):
    ran = run("vm", "submit", template, "--wait")

    assert (ran.code, ran.out) == (0, "VM 7 web is RUNNING on host-a at 10.0.0.7, 10 s after it was submitted.\n")
    assert ran.err == "VM 7 web: PENDING\nVM 7 web: PROLOG on host-a\n"
    assert [line.partition("?")[0] for line in deploying.lines] == [
        "POST /v1/vms",
        EVENTS,
        SHOW,
        WHY,
        SHOW,
        WAIT,
        WAIT,
        SHOW,
    ]


def test_a_terminal_shows_the_present_step_and_is_left_clean(run_on_terminal, deploying, template):
    ran = run_on_terminal("vm", "submit", template, "--wait")

    assert ran.code == 0
    assert ran.err.endswith("\r\x1b[K")
    assert [re.sub(r"\d+ ms", "N ms", line) for line in ran.shown] == [
        "VM 7 web: waits for a host",
        "VM 7 web: deploy [##########..............]  43%, PROLOG qcow2 clone disk.0, on",
        "VM 7 web: PROLOG qcow2 clone disk.0, N ms",
        "VM 7 web: deploy done, SAVE libvirt save, on host-a",
    ]


def test_a_vm_that_fails_is_exit_code_1_with_its_error(run, fake, template):
    failed = vm(state="FAILED", error="The datastore is full.")
    fake.answers = {"POST /v1/vms": {"vm_ids": [7]}, EVENTS: _events(), SHOW: failed}

    ran = run("vm", "submit", template, "--wait")

    assert (ran.code, ran.out) == (1, "VM 7 web is FAILED: The datastore is full.\n  `inn vm why 7` says more.\n")


def test_a_vm_that_waits_longer_than_patience_is_exit_code_4(run, fake, template):
    fake.answers = {
        "POST /v1/vms": {"vm_ids": [7]},
        EVENTS: _events(),
        SHOW: vm(state="PENDING"),
        WHY: ABOUT_TO_BE_PLACED,
    }

    ran = run("vm", "submit", template, "--wait", "--timeout", "100ms")

    assert ran.code == 4
    assert "error: VM 7 web is PENDING after 100 ms; `inn vm why 7` says why." in ran.err


def test_whoever_waits_for_a_vm_that_fits_nowhere_is_told_why_at_once_and_once(run, fake, template):
    fake.answers = {
        "POST /v1/vms": {"vm_ids": [7]},
        EVENTS: _events({"what": "vm.released"}),
        SHOW: vm(state="PENDING"),
        WHY: FITS_NOWHERE,
    }

    ran = run("vm", "submit", template, "--wait", "--timeout", "300ms")

    assert ran.err.startswith(
        "VM 7 web: PENDING\n"
        "VM 7 web waits: None of 2 hosts can take the VM as things stand. "
        "host-a comes closest: the host has no bridge br0.\n"
        "  `inn vm why 7` says more; Ctrl-C leaves it waiting.\n"
        "error: VM 7 web is PENDING after 300 ms"
    )
    assert fake.lines.count(WHY) == 1


def test_remarks_on_a_template_are_told_although_it_was_taken(run, fake, template):
    remark = {"message": "TIMEZONE has no effect yet.", "field": "TIMEZONE", "line": 2, "column": 1}
    fake.answers = {"POST /v1/vms": {"vm_ids": [7], "remarks": [remark]}}

    ran = run("vm", "submit", template)

    assert (ran.code, ran.out, ran.err) == (0, "7\n", f"{template}:2:1: TIMEZONE has no effect yet.\n")


def test_patience_that_ends_says_where_the_operation_stands(run, fake):
    waiting = operation("running", waits_for="host-a", step="")
    fake.answers = {"POST /v1/vms/7/suspend": {"vm_id": 7, "state": "SAVE", "operation_id": "o3"}, WAIT: waiting}

    ran = run("vm", "suspend", "7", "--wait", "--timeout", "0")

    assert ran.code == 4
    assert ran.err.startswith(
        "error: VM 7: Operation o3 has not ended in time. It is: suspend, waits for host host-a, on host-a. "
        "`inn vm why 7` says more.\n"
    )


def test_wait_ends_when_the_vm_is_in_the_state(run, fake):
    fake.answers = {EVENTS: _events({"what": "vm.state"}), SHOW: [Say(vm(state="RUNNING")), Say(vm(state="SUSPENDED"))]}

    assert run("vm", "wait", "7", "--for", "suspended").out == "VM 7 web is SUSPENDED.\n"


def test_an_operation_is_followed_to_its_end(run, fake):
    fake.answers = {
        "POST /v1/vms/7/suspend": {"vm_id": 7, "state": "SAVE", "operation_id": "o3"},
        WAIT: [Say(operation("running")), Say(operation())],
    }

    ran = run("vm", "suspend", "7", "--wait")

    assert (ran.code, ran.out) == (0, "VM 7: suspend done in 3.2 s\n")


def test_an_operation_that_fails_is_exit_code_1_with_the_tools_words(run, fake):
    fake.answers = {
        "POST /v1/vms/7/suspend": {"vm_id": 7, "state": "SAVE", "operation_id": "o3"},
        WAIT: operation("failed", error=NO_SPACE),
    }

    ran = run("vm", "suspend", "7", "--wait")

    assert ran.code == 1
    assert ran.out.startswith("VM 7: suspend failed on host-a in step 1 `qcow2 clone` (no_space)\n")
    assert "| qemu-img: disk.0: No space left on device" in ran.out


def test_a_cancelled_operation_is_what_cancel_wants_and_nobody_else(run, fake):
    acted = {"vm_id": 7, "state": "SAVE", "operation_id": "o3"}
    fake.answers = {
        "POST /v1/vms/7/cancel": acted,
        "POST /v1/vms/7/suspend": acted,
        WAIT: operation("cancelled"),
    }

    assert run("vm", "cancel", "7", "--wait").code == 0
    assert run("vm", "suspend", "7", "--wait").code == 1


def test_a_vm_that_goes_back_to_the_queue_is_followed_until_it_runs(run, fake):
    fake.answers = {
        "POST /v1/vms/7/resume": {"vm_id": 7, "state": "PENDING"},
        EVENTS: _events(),
        SHOW: detail(),
    }

    assert run("vm", "resume", "7", "--wait").out == "VM 7 web is RUNNING on host-a.\n"


def test_programs_get_what_it_came_to_as_one_list(run, fake):
    fake.answers = {
        "POST /v1/vms/7/stop": {"vm_id": 7, "state": "SAVE", "operation_id": "o3"},
        "POST /v1/vms/8/stop": {"vm_id": 8, "state": "SAVE", "operation_id": "o3"},
        WAIT: operation(),
    }

    answers = json.loads(run("vm", "stop", "7", "8", "--wait", "-o", "json").out)

    assert answers == [operation(), operation()]


def test_a_file_is_uploaded_registered_and_followed(run_on_terminal, fake, tmp_path):
    file = tmp_path / "d.img"
    file.write_bytes(b"x" * 3_000_000)
    digest = __import__("hashlib").sha256(file.read_bytes()).hexdigest()
    fake.answers = {
        "PUT /v1/uploads": {"sha256": digest, "size_bytes": 3_000_000, "upload_id": digest},
        "POST /v1/images": image("locked", operation_id="o3"),
        WAIT: operation(kind="import_image"),
        "GET /v1/images/0": image(),
    }

    ran = run_on_terminal("image", "add", "debian-12", "--file", file, "--type", "os", "--format", "raw")

    assert (ran.code, ran.out) == (0, "Image 0 debian-12 is ready: qcow2, 300 MiB, on host-a.\n")
    assert fake.asked[1].json == {
        "name": "debian-12",
        "type": "os",
        "format": "raw",
        "upload": True,
        "sha256": digest,
        "size_bytes": 3_000_000,
    }
    assert ran.shown[0].startswith("d.img [########................]  35% 1 MiB of 2.9 MiB")


def test_a_file_with_another_digest_than_expected_is_not_registered(run, fake, tmp_path):
    file = tmp_path / "d.img"
    file.write_bytes(b"abc")
    digest = __import__("hashlib").sha256(b"abc").hexdigest()
    fake.answers = {"PUT /v1/uploads": {"sha256": digest, "size_bytes": 3, "upload_id": digest}}

    ran = run("image", "add", "debian-12", "--file", file, "--sha256", DIGEST)

    assert ran.code == 1
    assert f"has sha256 {digest}, not {DIGEST}; nothing was registered" in ran.err
    assert fake.lines == ["PUT /v1/uploads"]


def test_an_import_that_fails_is_exit_code_1_and_says_why(run, fake):
    fake.answers = {
        "POST /v1/images": image("locked", operation_id="o3"),
        WAIT: operation(
            "failed", kind="import_image", error={"code": "bad_image", "message": "It has a backing file."}
        ),
        "GET /v1/images/0": image("error"),
    }

    ran = run("image", "add", "debian-12", "--path", "d.img", "--host", "host-a")

    assert ran.code == 1
    assert ran.out == "Image 0 debian-12 could not be imported; `inn image delete debian-12` forgets it.\n"
    assert "Image 0 debian-12: import_image failed (bad_image)\n  It has a backing file.\n" in ran.err


def test_a_bar_and_a_rate_say_how_far_it_is():
    assert bar(0, 0) == ""
    assert bar(7, 10) == "[################........]  70%"
    assert transfer(10 << 20, 20 << 20, 2.0) == "[############............]  50% 10 MiB of 20 MiB, 5 MiB/s, 2.0 s left"
    assert transfer(10 << 20, 20 << 20, 0.1) == "[############............]  50% 10 MiB of 20 MiB"


def test_events_go_on_until_nobody_listens_any_more(run, fake):
    told = {"what": "vm.state", "subject": "vm:7", "at_s": NOW_S, "detail": {"old": "BOOT", "new": "RUNNING"}}
    stop = Say(status=401, body={"error": {"code": "unauthenticated", "message": "The token was revoked."}})
    fake.answers = {
        "GET /v1/events/past": [],
        EVENTS: [Say(kind="text/event-stream", chunks=[b"id: 1\ndata: %s\n\n" % json.dumps(told).encode()]), stop],
    }

    ran = run("events", "--follow", "--subject", "vm:7", "-o", "json")

    assert ran.code == 1
    assert json.loads(ran.out) == told
    assert fake.asked[-1].headers["Last-Event-ID"] == "1"


@pytest.mark.parametrize(("past", "begins_after"), [([], "0"), ([4, 9], "9")])
def test_events_are_followed_from_the_last_one_that_was_shown(run, fake, past, begins_after):
    told = {"what": "vm.state", "subject": "vm:7", "at_s": NOW_S, "detail": {"old": "BOOT", "new": "RUNNING"}}
    stop = Say(status=401, body={"error": {"code": "unauthenticated", "message": "The token was revoked."}})
    fake.answers = {"GET /v1/events/past": [{**told, "seq": seq} for seq in past], EVENTS: [stop]}

    run("events", "--follow")

    assert fake.asked[-1].headers["Last-Event-ID"] == begins_after


def test_ending_a_busy_vm_is_followed_beyond_what_it_was_busy_with(run, fake):
    fake.answers = {
        "POST /v1/vms/7/terminate": {"vm_id": 7, "state": "SAVE", "operation_id": "o3"},
        EVENTS: _events({"what": "vm.state"}),
        SHOW: [
            Say(vm(state="SAVE", operation_id="o3")),
            Say(vm(state="RUNNING", operation_id="o4")),
            Say(vm(state="DONE")),
        ],
        WAIT: operation("cancelled"),
        "GET /v1/operations/o4/wait": operation(operation_id="o4", kind="terminate"),
    }

    ran = run("vm", "terminate", "7", "--wait")

    assert (ran.code, ran.out) == (0, "VM 7 web is DONE.\n")
