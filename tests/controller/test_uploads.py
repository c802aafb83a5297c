"""The spool of uploaded files."""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from innkeeper_controller.uploads import Spool, Uploaded, UploadError, WrongDigestError

CONTENT = b"abc" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def spool(directory: Path, **values) -> Spool:
    return Spool(directory / "spool", **{"max_bytes": 10_000, "expires_s": 60.0} | values)


def fill(to: Spool, content: bytes = CONTENT) -> Uploaded:
    upload = to.begin()
    upload.write(content[:10])
    upload.write(content[10:])
    return upload.finish()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "spool").iterdir())


def test_a_file_is_found_by_its_digest(tmp_path: Path):
    to = spool(tmp_path)
    uploaded = fill(to)
    file = to.open_digest(DIGEST)

    assert uploaded == Uploaded(upload_id=DIGEST, sha256=DIGEST, size_bytes=3000)
    assert file.read() == CONTENT
    file.close()
    assert to.size_of(DIGEST) == 3000
    assert names(tmp_path) == [DIGEST]


def test_the_same_bytes_twice_are_one_file(tmp_path: Path):
    to = spool(tmp_path)

    assert fill(to) == fill(to)
    assert names(tmp_path) == [DIGEST]


def test_an_upload_that_was_broken_off_leaves_nothing(tmp_path: Path):
    upload = spool(tmp_path).begin()
    upload.write(CONTENT)
    upload.abort()

    assert names(tmp_path) == []


def test_a_write_that_comes_after_the_end_goes_nowhere(tmp_path: Path):
    upload = spool(tmp_path).begin()
    upload.abort()
    reused = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    upload.write(CONTENT)
    upload.abort()
    os.close(reused)

    assert (tmp_path / "other").read_bytes() == b""


def test_other_bytes_than_were_announced_are_refused_and_leave_nothing(tmp_path: Path):
    to = spool(tmp_path)
    upload = to.begin()
    upload.write(b"other")
    with pytest.raises(WrongDigestError, match=f"not {DIGEST}; upload it again"):
        upload.finish(DIGEST)
    upload.abort()

    assert names(tmp_path) == []


def test_what_a_crash_has_left_is_deleted_at_the_next_start(tmp_path: Path):
    to = spool(tmp_path)
    fill(to)
    upload = to.begin()
    upload.write(CONTENT)
    before = names(tmp_path)
    spool(tmp_path)
    upload.abort()

    assert len(before) == 2
    assert names(tmp_path) == [DIGEST]


def test_a_file_that_is_too_long_is_refused(tmp_path: Path):
    upload = spool(tmp_path, max_bytes=99).begin()
    with pytest.raises(UploadError, match="longer than the 99 bytes"):
        upload.write(CONTENT)
    upload.abort()

    assert names(tmp_path) == []


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", DIGEST.upper(), DIGEST + "\n", "0" * 64, ".part"])
def test_only_digests_of_what_is_there_open_anything(tmp_path: Path, digest: str):
    to = spool(tmp_path)
    fill(to)
    to.delete([digest])

    assert to.open_digest(digest) is None
    assert to.size_of(digest) is None
    assert names(tmp_path) == [DIGEST]


def test_a_link_in_the_spool_is_not_followed(tmp_path: Path):
    to = spool(tmp_path)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "spool" / DIGEST).symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        to.open_digest(DIGEST)


def test_a_file_that_is_being_read_can_be_deleted(tmp_path: Path):
    to = spool(tmp_path)
    fill(to)
    file = to.open_digest(DIGEST)
    to.delete([DIGEST, "0" * 64])

    assert file.read() == CONTENT
    file.close()
    assert names(tmp_path) == []


def test_old_files_go_unless_they_are_wanted(tmp_path: Path):
    to = spool(tmp_path)
    new, wanted, old = fill(to), fill(to, b"wanted"), fill(to, b"old")
    for uploaded in (wanted, old):
        os.utime(tmp_path / "spool" / uploaded.sha256, (1.0, 1.0))
    to.expire({wanted.sha256})

    assert names(tmp_path) == sorted([new.sha256, wanted.sha256])


def test_uploads_leave_of_the_disk_what_the_database_may_need(tmp_path: Path):
    upload = spool(tmp_path, keep_free_bytes=2**62).begin()
    with pytest.raises(UploadError, match="no room for the file"):
        upload.write(CONTENT)
    upload.abort()

    assert names(tmp_path) == []


@pytest.mark.root
def test_a_full_disk_is_told_and_leaves_nothing():
    with tempfile.TemporaryDirectory(prefix="inn-small-") as directory:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", directory], check=True)
        try:
            upload = spool(Path(directory), max_bytes=10**9).begin()
            with pytest.raises(UploadError, match="no room for the file: No space left on device"):
                upload.write(bytes(100_000))
            upload.abort()

            assert names(Path(directory)) == []
        finally:
            subprocess.run(["umount", directory], check=True)
