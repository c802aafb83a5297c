"""A file is whole or it is not there, and errors say what to do."""

import errno
import os

import pytest

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer.whole_file import partial_path, whole


@pytest.fixture
def target(tmp_path):
    return tmp_path / "disk.0"


def fail_half_way(target, error):
    with whole(target) as partial:
        partial.write_text("half")
        raise error


def names(target):
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_takes_its_name_when_it_is_whole(target):
    with whole(target) as partial:
        partial.write_text("content")
        assert names(target) == ["disk.0.partial"]

    assert names(target) == ["disk.0"]
    assert target.read_text() == "content"
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_failure_leaves_nothing_and_an_older_file_as_it_was(target):
    target.write_text("old")
    with pytest.raises(RuntimeError, match="stop"):
        fail_half_way(target, RuntimeError("stop"))

    assert names(target) == ["disk.0"]
    assert target.read_text() == "old"


def test_what_an_earlier_try_left_is_replaced(target):
    partial_path(target).write_text("much longer than what comes now")
    with whole(target) as partial:
        partial.write_text("new")

    assert names(target) == ["disk.0"]
    assert target.read_text() == "new"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_says_what_to_do(target, code):
    with pytest.raises(DriverError) as failed:
        fail_half_way(target, OSError(code, os.strerror(code)))

    assert names(target) == []
    assert failed.value.code == "no_space"
    assert str(failed.value).startswith(f"no room for disk.0 in {target.parent}: ")
    assert str(failed.value).endswith(
        "delete VMs or images there that nobody needs, or enlarge the file system, and retry"
    )


def test_a_tool_s_words_of_a_full_disk_are_kept_beside_the_advice(target):
    told = DriverError("cp failed", code="no_space", argv=("cp", "a", "b"), exit_status=1, stderr="cp: no space")
    with pytest.raises(DriverError) as failed:
        fail_half_way(target, told)

    error = failed.value
    assert str(error).startswith("no room for disk.0")
    assert (error.code, error.argv, error.exit_status, error.stderr) == (
        "no_space",
        ("cp", "a", "b"),
        1,
        "cp: no space",
    )


def test_other_errors_of_the_system_become_errors_of_the_driver(target):
    with pytest.raises(DriverError) as failed:
        fail_half_way(target, PermissionError(errno.EACCES, "Permission denied", "/somewhere"))

    assert (failed.value.code, str(failed.value)) == ("tool_failed", "Permission denied: /somewhere")
