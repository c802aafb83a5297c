"""A copy has the bytes of the source, holes stay holes, and only data is carried."""

import errno
import fcntl
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer import extents
from innkeeper_plugins.transfer.extents import Copied, Extent, copy_sparse, data_extents

KIB64 = 64 * 1024


def sparse_file(path, pieces, size_bytes):
    """A file with data ``{offset: content}`` and holes elsewhere."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
        for offset, content in pieces.items():
            file.seek(offset)
            file.write(content)
    return path


def extents_of(path):
    with path.open("rb") as file:
        return list(data_extents(file.fileno()))


@pytest.fixture
def sparse(tmp_path):
    pieces = {0: b"a" * KIB64, 16 * KIB64: b"b" * KIB64}
    return sparse_file(tmp_path / "source", pieces, 64 * KIB64)


def test_only_stretches_with_data_are_found(sparse):
    assert extents_of(sparse) == [Extent(0, KIB64), Extent(16 * KIB64, KIB64)]


def test_a_file_of_one_hole_has_no_extents_and_keeps_its_length(tmp_path):
    sparse_file(tmp_path / "source", {}, 8 * KIB64)

    assert extents_of(tmp_path / "source") == []
    assert copy_sparse(tmp_path / "source", tmp_path / "copy") == Copied(
        size_bytes=8 * KIB64, data_bytes=0, reflinked=False
    )
    assert (tmp_path / "copy").read_bytes() == bytes(8 * KIB64)


def test_a_copy_has_the_same_bytes_and_the_same_holes(sparse, tmp_path):
    copied = copy_sparse(sparse, tmp_path / "copy")

    assert copied == Copied(size_bytes=64 * KIB64, data_bytes=2 * KIB64, reflinked=False)
    assert (tmp_path / "copy").read_bytes() == sparse.read_bytes()
    assert extents_of(tmp_path / "copy") == extents_of(sparse)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.dictionaries(st.integers(0, 300_000), st.binary(min_size=1, max_size=5000), max_size=5),
    tail=st.integers(0, 100_000),
)
def test_any_file_is_copied_exactly(tmp_path, pieces, tail):
    size_bytes = max([offset + len(content) for offset, content in pieces.items()], default=0) + tail
    source = sparse_file(tmp_path / "source", pieces, size_bytes)
    (tmp_path / "copy").unlink(missing_ok=True)
    copy_sparse(source, tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == source.read_bytes()


def test_progress_counts_data_and_ends_at_the_whole(sparse, tmp_path):
    told = []
    copy_sparse(sparse, tmp_path / "copy", progress=lambda done, total: told.append((done, total)))

    assert told == [(0, 64 * KIB64), (KIB64, 2 * KIB64), (2 * KIB64, 2 * KIB64)]


def test_what_progress_raises_ends_the_copy(sparse, tmp_path):
    def progress(done, _total):
        if done:
            raise DriverError("enough", code="cancelled")

    with pytest.raises(DriverError, match="enough"):
        copy_sparse(sparse, tmp_path / "copy", progress=progress)

    assert (tmp_path / "copy").stat().st_size == KIB64


def test_a_target_that_exists_is_not_overwritten(sparse, tmp_path):
    (tmp_path / "copy").write_text("precious")
    with pytest.raises(FileExistsError):
        copy_sparse(sparse, tmp_path / "copy")

    assert (tmp_path / "copy").read_text() == "precious"


def test_between_file_systems_bytes_are_read_and_written(sparse, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "copy_file_range", refuse)

    assert copy_sparse(sparse, tmp_path / "copy").data_bytes == 2 * KIB64
    assert (tmp_path / "copy").read_bytes() == sparse.read_bytes()


def test_a_file_system_that_knows_no_holes_gives_the_whole_file(sparse, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "lseek", refuse)

    assert extents_of(sparse) == [Extent(0, 64 * KIB64)]


def test_a_file_system_that_shares_blocks_carries_no_bytes(sparse, tmp_path, monkeypatch):
    asked = []
    # Neither ext4 nor tmpfs can do it, so the kernel's answer is played.
    monkeypatch.setattr(fcntl, "ioctl", lambda _target, request, _source: asked.append(request))

    assert copy_sparse(sparse, tmp_path / "copy") == Copied(size_bytes=64 * KIB64, data_bytes=0, reflinked=True)
    assert asked == [extents.FICLONE]


@pytest.mark.parametrize("broken", ["copy_file_range", "ioctl"])
def test_a_real_error_is_not_taken_for_a_missing_ability(sparse, tmp_path, monkeypatch, broken):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl if broken == "ioctl" else os, broken, fail)

    with pytest.raises(OSError, match="Input/output error"):
        copy_sparse(sparse, tmp_path / "copy")


@pytest.mark.parametrize("size_bytes", [0, 10 * KIB64, 65 * KIB64])
def test_a_source_that_changes_its_length_meanwhile_is_an_error(sparse, tmp_path, size_bytes):
    with pytest.raises(OSError, match="changed its length"):
        copy_sparse(sparse, tmp_path / "copy", progress=lambda *_: os.truncate(sparse, size_bytes))
