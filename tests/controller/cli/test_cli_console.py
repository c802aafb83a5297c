"""The console: printed for scripts until a text, typed into on a terminal, and the terminal is left as it was."""

import os
import pty
import subprocess
import sys
import termios
import threading

import pytest
from fake_controller import Say, refused

OPEN = "GET /v1/vms/7/console"
INPUT = "POST /v1/vms/7/console/42/input"


def _console(*chunks, hold=None):
    return Say(kind="application/octet-stream", headers={"X-Console-Stream": "42"}, chunks=list(chunks), hold=hold)


@pytest.fixture
def opened(fake):
    """A console that stays open after its greeting, until the test ends."""
    hold = threading.Event()
    fake.answers = {OPEN: _console(b"boot\r\nweb login: ", hold=hold), INPUT: {}}
    yield fake
    hold.set()


def test_a_script_prints_until_the_guest_has_said_it(run, opened):
    ran = run("vm", "console", "7", "--until", "login:")

    assert (ran.code, ran.out) == (0, "boot\r\nweb login: \n")


def test_the_text_is_found_across_chunks(run, fake):
    fake.answers = {OPEN: _console(b"web lo", b"gin: ")}

    assert run("vm", "console", "7", "--until", "login:").code == 0


def test_a_guest_that_does_not_say_it_in_time_is_exit_code_4(run, opened):
    ran = run("vm", "console", "7", "--until", "ready", "--timeout", "50ms")

    assert ran.code == 4
    assert "The console has not shown 'ready' in time." in ran.err


def test_a_console_that_ends_first_is_exit_code_1(run, fake):
    fake.answers = {OPEN: _console(b"panic")}

    ran = run("vm", "console", "7", "--until", "login:")

    assert (ran.code, ran.err) == (1, "error: The console ended before it showed 'login:'.\n")


def test_without_a_text_it_prints_to_the_end_or_as_long_as_it_may(run, fake, opened):
    assert run("vm", "console", "7", "--timeout", "50ms").code == 0
    fake.answers = {OPEN: _console(b"bye")}

    assert run("vm", "console", "7").out == "bye"


def test_a_guest_without_a_console_is_refused(run, fake):
    fake.answers = {OPEN: refused("wrong_state", "VM 7 is POWEROFF.")}

    assert run("vm", "console", "7").code == 1


def _read_until(descriptor, text):
    seen = b""
    while text not in seen:
        seen += os.read(descriptor, 1024)
    return seen


def test_on_a_terminal_keys_go_to_the_guest_until_the_escape(opened, tmp_path):
    typed = threading.Event()
    opened.answers[INPUT] = lambda _: typed.set() or Say({})
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    environ = os.environ | {"INNKEEPER_ENDPOINT": opened.endpoint, "HOME": str(tmp_path)}
    argv = [sys.executable, "-m", "innkeeper_controller.cli.main", "vm", "console", "7"]
    running = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)

    shown = _read_until(ours, b"web login: ")
    raw = termios.tcgetattr(theirs)
    os.write(ours, b"root\x03")
    typed.wait(10)
    os.write(ours, b"\x1d")
    shown += _read_until(ours, b"runs on.")
    code = running.wait(10)
    after = termios.tcgetattr(theirs)
    os.close(ours)
    os.close(theirs)

    assert code == 0
    assert b"Console of VM 7. Ctrl-] leaves." in shown
    assert b"".join(asked.body for asked in opened.asked if asked.method == "POST") == b"root\x03"
    assert raw[3] & (termios.ICANON | termios.ECHO | termios.ISIG) == 0
    assert after == before
