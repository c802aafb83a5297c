"""Images named by a path: only below the directories that the operator allows, whatever is in the way."""

import os

import pytest

from innkeeper_hostagent.sources import file_chunks
from innkeeper_plugins.errors import DriverError


@pytest.fixture
def allowed(tmp_path):
    directory = tmp_path / "import"
    (directory / "linux").mkdir(parents=True)
    (directory / "linux" / "tiny.raw").write_bytes(b"x" * 5000)
    (tmp_path / "secret").write_text("keep out")
    return directory


def read(path, *allowed):
    totals = []
    return b"".join(file_chunks(path, allowed, totals.append)), totals


def refused(path, *allowed):
    with pytest.raises(DriverError) as refusal:
        read(path, *allowed)
    return refusal.value.code


def test_a_file_below_an_allowed_directory_is_read_by_relative_or_absolute_path(allowed, tmp_path):
    expected = (b"x" * 5000, [5000])

    assert read("linux/tiny.raw", tmp_path / "other", allowed) == expected
    assert read(str(allowed / "linux" / "tiny.raw"), allowed) == expected


@pytest.mark.parametrize("path", ["../secret", "linux/../../secret", "", "/", ".", "linux", "nothing", "linux/none"])
def test_anything_else_is_refused(allowed, path):
    assert refused(path, allowed) == "refused"


def test_an_absolute_path_elsewhere_is_refused(allowed, tmp_path):
    assert refused(str(tmp_path / "secret"), allowed) == "refused"


def test_links_are_not_followed_wherever_they_are(allowed, tmp_path):
    (allowed / "link").symlink_to(tmp_path / "secret")
    (allowed / "up").symlink_to(tmp_path)

    assert refused("link", allowed) == "refused"
    assert refused("up/secret", allowed) == "refused"


def test_a_pipe_is_refused_and_not_waited_for(allowed):
    os.mkfifo(allowed / "pipe")

    assert refused("pipe", allowed) == "refused"


def test_without_allowed_directories_the_refusal_says_where_to_name_them(allowed):
    with pytest.raises(DriverError, match="name some in dirs"):
        read("linux/tiny.raw")
