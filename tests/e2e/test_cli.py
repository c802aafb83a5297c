"""What a person at a terminal sees of a real guest."""

import os
import pty
import re
import select
import subprocess

import pytest
from waiting import PATIENCE_S

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def read_until(terminal, text):
    """Return what a terminal shows up to a text.

    Raises:
        AssertionError: it never showed it.
    """
    shown = ""
    while text not in shown:
        assert select.select([terminal], [], [], PATIENCE_S)[0], f"{text!r} was never shown, but {shown!r}"
        shown += os.read(terminal, 4096).decode(errors="replace")
    return shown


def test_the_console_shows_all_that_a_guest_prints_from_its_start(cluster):
    vm_id = cluster.submit("talker")
    cluster.wait(vm_id)
    shown = cluster.inn_text("vm", "console", str(vm_id), "--until", "boots=1", "--timeout", "150s")

    assert "INNKEEPER-GUEST-READY name=talker" in shown


def test_what_is_typed_into_the_console_reaches_the_guest(cluster, resident):
    terminal, inner = pty.openpty()
    argv = cluster.lab.switch.argv(cluster.inn_argv("vm", "console", str(resident)))
    with subprocess.Popen(argv, stdin=inner, stdout=inner, stderr=inner, start_new_session=True) as console:
        os.close(inner)
        try:
            read_until(terminal, "leaves")
            os.write(terminal, b"\recho six times seven is $((6 * 7))\r")
            read_until(terminal, "six times seven is 42")
            os.write(terminal, b"\x1d")
            read_until(terminal, "the guest runs on")
            console.wait(PATIENCE_S)
        finally:
            # Whatever was not shown, nobody waits for the console's own end.
            console.kill()
    os.close(terminal)

    assert console.returncode == 0
    assert cluster.show(resident)["state"] == "RUNNING"


def test_a_vm_that_fits_nowhere_is_told_why_for_each_host(cluster):
    vm_id = cluster.submit("giant", more='VCPU = 1\nSCHED_REQUIREMENTS = "FREE_CPU > 6400"\n')
    why = cluster.inn_text("vm", "why", str(vm_id))
    cluster.inn("vm", "terminate", str(vm_id), "--wait")

    for host in ("h1", "h2"):
        assert re.search(rf"^{host} +requirements: FREE_CPU > 6400", why, re.MULTILINE), why


def test_the_plan_is_the_script_that_the_host_keeps(cluster, resident):
    cluster.do("suspend", resident)
    cluster.do("resume", resident)
    plan = cluster.inn("vm", "plan", str(resident))
    home = cluster.home(resident)
    scripts = home.run(["sh", "-c", f"cat /srv/datastore/vms/{resident}/transfer.*"])

    assert plan["lines"] == [[home.name, "0 BOOT libvirt restore memory from checkpoint"]]
    assert plan["lines"][0][1] in scripts


def test_log_and_history_tell_every_step_and_state_even_of_a_vm_that_has_ended(cluster):
    vm_id = cluster.boot("storied")
    cluster.do("terminate", vm_id, "--hard")
    log = cluster.inn_text("vm", "log", str(vm_id))
    history = cluster.inn("vm", "history", str(vm_id))

    for step in ("qcow2 clone disk.0: ok", "libvirt deploy start the guest: ok", "qcow2 delete all files: ok"):
        assert step in log
    assert [event["detail"]["new"] for event in history if event["what"] == "vm.state"] == [
        "PROLOG",
        "BOOT",
        "RUNNING",
        "SHUTDOWN",
        "EPILOG",
        "DONE",
    ]


def test_events_are_told_as_they_happen(cluster, resident):
    with cluster.following(f"vm:{resident}") as events:
        cluster.begin("suspend", resident)
        began = events.until("operation.started", kind="suspend")
        ended = events.until("operation.done", kind="suspend")
    cluster.do("resume", resident)

    assert (began["actor"], began["operation_id"]) == ("oneadmin", ended["operation_id"])
    assert began["seq"] < ended["seq"]


def test_the_whole_log_told_again_is_the_present_state(cluster, resident):
    assert "Everything agrees" in cluster.inn_text("verify")
    assert "Everything agrees" in cluster.inn_text("verify", "--log")


def test_lists_say_in_words_what_there_is(cluster, resident):
    vm = cluster.show(resident)
    listed = cluster.inn_text("vm", "list")
    shown = cluster.inn_text("vm", "show", str(resident))
    status = cluster.inn_text("status")

    for word in ("resident", "RUNNING", vm["host"], vm["ips"][0]):
        assert word in listed
        assert word in shown
    assert "2 connected" in status or "2 on" in status, status
