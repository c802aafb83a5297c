"""Commands run to their end or not at all, and a failure keeps the tool's own words."""

import os
import signal
import time

import pytest

from innkeeper_plugins import commands
from innkeeper_plugins.errors import DriverError


def shell(script, **options):
    return commands.run(["sh", "-c", script], **{"timeout_s": 20, **options})


def test_what_a_command_prints_comes_back():
    completed = shell("cat; echo aside >&2", stdin=b"said")

    assert (completed.stdout, completed.stderr) == (b"said", b"aside\n")


def test_more_than_a_pipe_holds_goes_in_and_comes_out():
    much = os.urandom(1024) * 2048

    assert shell("cat", stdin=much).stdout == much


def test_a_tool_that_does_not_read_its_input_succeeds():
    assert shell("exec 0<&-; exit 0", stdin=b"x" * 1_000_000).stdout == b""


def test_a_failure_keeps_the_argv_the_exit_status_and_the_words():
    with pytest.raises(DriverError) as failed:
        shell("echo first >&2; echo 'cannot do it' >&2; exit 3")

    error = failed.value
    assert (str(error), error.code, error.argv, error.exit_status, error.stderr) == (
        "sh failed with exit status 3: cannot do it",
        "tool_failed",
        ("sh", "-c", "echo first >&2; echo 'cannot do it' >&2; exit 3"),
        3,
        "first\ncannot do it\n",
    )


def test_only_the_end_of_much_standard_error_is_kept():
    with pytest.raises(DriverError) as failed:
        shell("head -c 100000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1")

    assert len(failed.value.stderr) == commands.STDERR_LIMIT_BYTES
    assert failed.value.stderr.endswith("xend\n")


@pytest.mark.parametrize("words", ["No space left on device", "Disk quota exceeded", "File too large", "ENOSPC"])
def test_words_of_a_full_disk_are_recognised(words):
    with pytest.raises(DriverError) as failed:
        shell(f"echo 'writing: {words}' >&2; exit 1")

    assert failed.value.code == "no_space"


def test_a_tool_killed_by_the_file_size_limit_counts_as_a_full_disk():
    with pytest.raises(DriverError) as failed:
        shell("kill -XFSZ $$")

    assert (failed.value.code, failed.value.exit_status) == ("no_space", -signal.SIGXFSZ)


def test_a_tool_that_is_missing_is_named_with_its_package(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(commands, "ADMIN_PATH", "/nowhere-either")
    with pytest.raises(DriverError) as failed:
        commands.run(["qemu-img", "info"], timeout_s=1)

    assert str(failed.value) == (
        "qemu-img could not be started: No such file or directory; install it: apt install qemu-utils"
    )


def test_a_timeout_kills_the_whole_group(tmp_path):
    alive = tmp_path / "pid"
    with pytest.raises(DriverError) as failed:
        shell(f"sleep 1000 & echo $! > {alive}; echo waiting >&2; wait", timeout_s=0.3)

    assert (failed.value.code, failed.value.stderr) == ("timeout", "waiting\n")
    assert_gone(int(alive.read_text()))


def test_a_cancellation_kills_the_whole_group(tmp_path):
    alive = tmp_path / "pid"
    with pytest.raises(DriverError) as failed:
        shell(f"sleep 1000 & echo $! > {alive}; wait", cancelled=lambda: alive.exists() and alive.stat().st_size > 0)

    assert failed.value.code == "cancelled"
    assert_gone(int(alive.read_text()))


def test_a_child_left_behind_with_the_pipes_open_does_not_hold_the_command_up(tmp_path):
    alive = tmp_path / "pid"
    completed = shell(f"sleep 1000 & echo $! > {alive}; echo done")

    assert completed.stdout == b"done\n"
    assert_gone(int(alive.read_text()))


def test_what_the_caller_raises_while_it_is_asked_kills_the_command_too(tmp_path):
    alive = tmp_path / "pid"

    def cancelled():
        if alive.exists() and alive.stat().st_size > 0:
            raise RuntimeError("from the caller")
        return False

    with pytest.raises(RuntimeError, match="from the caller"):
        shell(f"echo $$ > {alive}; sleep 1000", cancelled=cancelled)

    assert_gone(int(alive.read_text()))


def test_a_tool_that_prints_without_end_is_stopped(monkeypatch):
    monkeypatch.setattr(commands, "STDOUT_LIMIT_BYTES", 1_000_000)
    with pytest.raises(DriverError, match="printed more than 1000000 bytes"):
        shell("cat /dev/zero")


def test_the_environment_is_small_and_speaks_c(monkeypatch):
    monkeypatch.setenv("A_SECRET", "hidden")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(commands, "KEPT_VARIABLES", ("PATH",))

    printed = commands.run(["env"], timeout_s=20, env={"WANTED": "yes"}).stdout.decode().splitlines()

    assert sorted(printed) == [
        "LC_ALL=C",
        "PATH=/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
        "WANTED=yes",
    ]


def test_our_open_files_are_not_inherited(tmp_path):
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003 - it takes no keywords

        assert b"/open" not in shell("ls -l /proc/self/fd").stdout


def test_a_limited_command_cannot_take_more_memory_than_it_may():
    limits = commands.Limits(address_space_bytes=256 * 1024 * 1024, cpu_s=10)

    assert commands.run(["true"], timeout_s=20, limits=limits).stdout == b""
    with pytest.raises(DriverError) as failed:
        commands.run(
            ["head", "-c", "1", "--", "/dev/zero"], timeout_s=20, limits=commands.Limits(address_space_bytes=1, cpu_s=1)
        )
    assert failed.value.argv == ("head", "-c", "1", "--", "/dev/zero")


def test_a_limited_command_cannot_compute_for_longer_than_it_may():
    with pytest.raises(DriverError) as failed:
        shell("while :; do :; done", limits=commands.Limits(address_space_bytes=2**30, cpu_s=1))

    assert failed.value.exit_status in {-signal.SIGXCPU, -signal.SIGKILL}


def assert_gone(pid):
    # A killed grandchild is reaped by init in its own time; a zombie runs no more.
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        try:
            with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
                if stat.read().rpartition(")")[2].split()[0] in {"Z", "X"}:
                    return
        except FileNotFoundError:
            return
    pytest.fail(f"process {pid} still runs")
