"""When something does not work: what is said, where, and with which exit code."""

import json

import pytest
from fake_controller import Say, refused
from samples import running, vm

from innkeeper_controller.cli.main import main

TEMPLATE = "NAME = web\nMEMROY = 512\n\tDISK = [ IMAGE = debain ]\n"
MISTAKES = [
    {"message": "There is no image debain.", "field": "DISK/IMAGE", "line": 3, "column": 19, "suggestion": "debian-12"},
    {"message": "MEMROY is no attribute.", "field": "MEMROY", "line": 2, "column": 1, "suggestion": "MEMORY"},
    {"message": "CPU is missing.", "field": "CPU"},
]


def test_a_refusal_is_exit_code_1_with_its_code_and_sentence(run, fake):
    fake.answers = {"GET /v1/hosts/h9": refused("not_found", "There is no host h9. Did you mean h1?", status=404)}

    ran = run("host", "show", "h9")

    assert (ran.code, ran.out, ran.err) == (1, "", "error[not_found]: There is no host h9. Did you mean h1?\n")


def test_every_mistake_of_a_template_is_shown_in_its_line(run, fake, tmp_path):
    file = tmp_path / "web.one"
    file.write_text(TEMPLATE)
    fake.answers = {"POST /v1/vms": refused("bad_template", "3 mistakes", status=422, mistakes=MISTAKES)}

    ran = run("vm", "submit", file)

    assert ran.code == 1
    assert ran.err == (
        f"error[bad_template]: {file} has 3 mistakes.\n"
        f"  CPU is missing.\n"
        f"{file}:2:1: MEMROY is no attribute. Did you mean MEMORY?\n"
        f"     2 | MEMROY = 512\n"
        f"       | ^\n"
        f"{file}:3:19: DISK/IMAGE: There is no image debain. Did you mean debian-12?\n"
        f"     3 |  DISK = [ IMAGE = debain ]\n"
        f"       |                   ^\n"
    )


def test_what_was_meant_is_said_even_where_the_wrong_name_contains_it(run, fake, tmp_path):
    file = tmp_path / "web.one"
    file.write_text("NAMEE = web\n")
    mistake = {"message": "NAMEE is no attribute of a VM.", "line": 1, "column": 1, "suggestion": "NAME"}
    fake.answers = {"POST /v1/vms": refused("bad_template", "1 mistake", status=422, mistakes=[mistake])}

    ran = run("vm", "submit", file)

    assert "NAMEE is no attribute of a VM. Did you mean NAME?\n" in ran.err


def test_a_mistake_that_is_the_whole_refusal_is_told_once(run, fake):
    text = "'10.0.300.1' is no IPv4 address; one looks like 192.168.0.10."
    fake.answers = {"POST /v1/networks": refused("bad_template", text, status=422, mistakes=[{"message": text}])}

    ran = run("network", "add", "lan", "--range", "10.0.300.1/5")

    assert ran.err == f"error[bad_template]: {text}\n"


def test_a_template_that_cannot_be_read_is_a_usage_error(run, fake):
    ran = run("vm", "submit", "/nowhere/web.one")

    assert ran.code == 2
    assert "The template /nowhere/web.one cannot be read: No such file or directory." in ran.err
    assert fake.asked == []


def test_programs_get_errors_as_json(run, fake):
    fake.answers = {"GET /v1/vms/9": refused("not_found", "There is no VM 9.", status=404)}

    ran = run("vm", "show", "9", "-o", "json")

    assert ran.code == 1
    assert json.loads(ran.err) == {"error": {"code": "not_found", "message": "There is no VM 9.", "mistakes": []}}


def test_nobody_there_is_exit_code_3_and_says_what_to_do(capsys):
    code = main(["vm", "list", "--endpoint", "http://127.0.0.1:1"])

    assert code == 3
    assert capsys.readouterr().err == (
        "error: Nothing listens at http://127.0.0.1:1.\n"
        "  Is inn-controller running there? Another controller is named by --endpoint, INNKEEPER_ENDPOINT or "
        "`endpoint` in ~/.config/innkeeper/cli.toml.\n"
    )


def test_an_endpoint_that_is_none_is_a_usage_error(run):
    ran = run("vm", "list", "--endpoint", "ftp://x")

    assert ran.code == 2
    assert "ftp://x is not an address like http://127.0.0.1:2633" in ran.err


def test_a_missing_token_says_where_one_goes(run, fake):
    fake.answers = {"GET /v1/vms": refused("unauthenticated", "The token is not known.", status=401)}

    ran = run("vm", "list")

    assert ran.code == 1
    assert "INNKEEPER_TOKEN" in ran.err
    assert "/var/lib/innkeeper-controller/admin.token" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("vm", "suspend"),
        ("vm", "suspend", "9..3"),
        ("vm", "list", "--state", "SLEEPING"),
        ("vm", "list", "--nope"),
        ("vm", "recover", "7"),
        ("vm", "recover", "7", "--retry", "--rollback"),
        ("vm", "wait", "7", "--for", "SLEEPING"),
        ("events", "--subject", "vm7"),
        ("events", "--subject", "host:host-a"),
        ("vm", "submit", "-", "--set", "MEMORY"),
        ("vm", "wait", "7", "--timeout", "soon"),
        ("image", "add", "x"),
        ("image", "add", "x", "--path", "y"),
        ("network", "add", "/nowhere/lan"),
        ("network", "add", "lan", "--range", "10.0.0.0"),
        ("host", "add", "h", "--label", "rack"),
    ],
)
def test_a_command_line_that_means_nothing_is_exit_code_2_and_asks_nobody(run, fake, arguments, monkeypatch):
    monkeypatch.setattr("sys.stdin", __import__("io").StringIO("A = 1"))

    ran = run(*arguments)

    assert (ran.code, fake.asked) == (2, [])
    assert ran.err


def test_waiting_too_long_is_exit_code_4(run, fake):
    fake.answers = {"GET /v1/operations/o3/wait": {"operation_id": "o3", "kind": "stop", "status": "running"}}

    ran = run("operation", "wait", "o3", "--timeout", "0")

    assert ran.code == 4
    assert "Operation o3 has not ended in time." in ran.err
    assert "It goes on at the controller" in ran.err


def test_the_others_get_their_turn_when_one_is_refused(run, fake):
    fake.answers = {
        "POST /v1/vms/7/hold": {"vm_id": 7, "state": "HOLD"},
        "POST /v1/vms/8/hold": refused(
            "wrong_state", "hold is possible for a VM that is PENDING; this one is RUNNING."
        ),
        "POST /v1/vms/9/hold": {"vm_id": 9, "state": "HOLD"},
    }

    ran = run("vm", "hold", "7..9")

    assert (ran.code, ran.out) == (1, "VM 7 is HOLD.\nVM 9 is HOLD.\n")
    assert ran.err == "error[wrong_state]: VM 8: hold is possible for a VM that is PENDING; this one is RUNNING.\n"


def test_a_name_means_the_one_vm_that_has_it(run, fake):
    fake.answers = {
        "GET /v1/vms?name=web": [vm(6, "web-old"), vm(7, "web")],
        "POST /v1/vms/7/hold": {"vm_id": 7, "state": "HOLD"},
    }

    assert run("vm", "hold", "web").out == "VM 7 is HOLD.\n"


def test_a_name_that_nobody_or_more_than_one_vm_has_is_refused(run, fake):
    fake.answers = {"GET /v1/vms?name=web": [vm(6), vm(7)], "GET /v1/vms?name=db": []}

    assert run("vm", "show", "web").err == "error[ambiguous]: 2 VMs are named web (6, 7); give an id.\n"
    assert (
        run("vm", "show", "db").err == "error[not_found]: There is no VM named db; `inn vm list` shows what there is.\n"
    )


def test_a_reader_that_has_had_enough_is_no_traceback(fake, tmp_path):
    import os
    import subprocess
    import sys

    fake.answers = {"GET /v1/vms": [running(number) for number in range(1000)] * 3}
    command = f"'{sys.executable}' -m innkeeper_controller.cli.main vm list --limit 1000 | head -1"
    environ = os.environ | {"INNKEEPER_ENDPOINT": fake.endpoint}
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environ, check=True)

    assert ran.stdout.split()[0] == "ID"
    assert "Traceback" not in ran.stderr


def test_a_stopping_controller_counts_as_unreachable(run, fake):
    fake.answers = {"GET /v1/vms": Say({"error": {"code": "unavailable", "message": "It stops."}}, status=503)}

    assert run("vm", "list").code == 3
