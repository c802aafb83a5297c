"""Only what is a VM's is deleted: no link is followed and no other file system entered."""

import os

import pytest

from innkeeper_plugins import commands
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer.removal import (
    DEPTH_LIMIT,
    remove_all_but,
    remove_file,
    remove_if_empty,
    remove_tree,
)


@pytest.fixture
def directory(tmp_path):
    directory = tmp_path / "7"
    (directory / "snapshots").mkdir(parents=True)
    (directory / "disk.0").write_text("data")
    (directory / "snapshots" / "1").write_text("data")
    os.mkfifo(directory / "console")
    return directory


def test_everything_in_the_directory_goes_and_twice_is_fine(directory):
    remove_tree(directory)
    remove_tree(directory)

    assert not directory.exists()
    assert directory.parent.exists()


def test_links_go_and_what_they_name_stays(directory, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("keep")
    (directory / "to-directory").symlink_to(tmp_path / "precious")
    (directory / "to-file").symlink_to(tmp_path / "precious" / "file")
    (directory / "to-nothing").symlink_to("/nowhere")
    remove_tree(directory)

    assert not directory.exists()
    assert (tmp_path / "precious" / "file").read_text() == "keep"


def test_a_directory_that_is_a_link_is_left_for_a_person(directory, tmp_path):
    (tmp_path / "8").symlink_to(directory)
    with pytest.raises(DriverError, match="remove it by hand") as failed:
        remove_tree(tmp_path / "8")

    assert failed.value.code == "refused"
    assert (directory / "disk.0").exists()


def test_a_directory_that_is_too_deep_is_left_for_a_person(tmp_path):
    deepest = tmp_path / "7" / "/".join("d" * (DEPTH_LIMIT + 1))
    deepest.mkdir(parents=True)
    with pytest.raises(DriverError, match="too deep"):
        remove_tree(tmp_path / "7")

    assert deepest.exists()


@pytest.mark.root
def test_a_file_system_mounted_inside_is_not_emptied(directory):
    commands.run(("mount", "-t", "tmpfs", "tmpfs", str(directory / "snapshots")), timeout_s=20)
    try:
        (directory / "snapshots" / "precious").write_text("keep")
        with pytest.raises(DriverError, match="another file system is mounted") as failed:
            remove_tree(directory)

        assert failed.value.code == "refused"
        assert (directory / "snapshots" / "precious").read_text() == "keep"
    finally:
        commands.run(("umount", str(directory / "snapshots")), timeout_s=20)


def test_files_to_keep_stay_with_their_directory(directory):
    remove_all_but(directory, keep=frozenset({directory / "disk.0", directory / "disk.9"}))

    assert sorted(path.name for path in directory.iterdir()) == ["disk.0"]


def test_with_nothing_to_keep_there_the_directory_goes(directory):
    remove_all_but(directory, keep=frozenset({directory / "disk.9", directory.parent / "8" / "disk.0"}))

    assert not directory.exists()


def test_a_file_or_an_empty_directory_goes_and_twice_is_fine(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("data")
    for _ in range(2):
        remove_file(tmp_path / "file")
        remove_if_empty(tmp_path / "empty")

    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_something_in_it_stays(directory):
    remove_if_empty(directory)

    assert (directory / "disk.0").exists()
