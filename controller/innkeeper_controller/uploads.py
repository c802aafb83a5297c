"""The spool: files that were uploaded to the controller and that a host has not fetched yet, each named by its digest.

It knows no image and no request; what is still wanted is told to it.
"""

import contextlib
import hashlib
import io
import os
import re
import secrets
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.vocabulary import Value

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PART: Final = ".part"


class UploadError(InnkeeperError):
    """The bytes cannot be kept; nothing of them is left."""


class WrongDigestError(UploadError):
    """Other bytes have arrived than were announced; nothing of them is left."""


class Uploaded(Value):
    """A file in the spool."""

    #: The digest as well; it names the upload until an image is made of it.
    upload_id: str
    sha256: str
    size_bytes: int


class Upload:
    """One file on its way into the spool; ``finish`` or ``abort`` ends it.

    Blocks for as long as the disk needs. May be aborted while another thread still writes: that write is the last.
    """

    def __init__(self, directory: Path, *, max_bytes: int, keep_free_bytes: int) -> None:
        """Begin an empty file.

        Raises:
            UploadError: the spool takes none.
        """
        self._directory = directory
        self._path = directory / f"{secrets.token_hex(8)}{_PART}"
        self._max_bytes = max_bytes
        self._keep_free_bytes = keep_free_bytes
        self._digest = hashlib.sha256()
        # Without it a late write could go to whatever file has got the descriptor's number meanwhile.
        self._lock = threading.Lock()
        self._is_over = False
        self.size_bytes = 0
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UploadError(f"The controller cannot write to {directory}: {error.strerror}.") from error

    def write(self, chunk: bytes) -> None:
        """Add bytes.

        Raises:
            UploadError: there are too many, or the disk is full.
        """
        with self._lock:
            if not self._is_over:
                self._append(chunk)

    def _append(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        if self.size_bytes > self._max_bytes:
            raise UploadError(f"The file is longer than the {self._max_bytes} bytes that limits.upload_mib allows.")
        self._digest.update(chunk)
        left = memoryview(chunk)
        try:
            self._check_room(len(chunk))
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            raise UploadError(f"The controller has no room for the file: {error.strerror}.") from error

    def _check_room(self, size_bytes: int) -> None:
        disk = os.fstatvfs(self._descriptor)
        if self._keep_free_bytes and disk.f_bavail * disk.f_frsize < self._keep_free_bytes + size_bytes:
            raise UploadError(f"The controller has no room for the file: {self._keep_free_bytes} bytes stay free.")

    def finish(self, wanted_sha256: str = "") -> Uploaded:
        """Make the file durable under its digest.

        Raises:
            WrongDigestError: it is not the one that was wanted.
            UploadError: the disk refuses.
        """
        sha256 = self._digest.hexdigest()
        if wanted_sha256 and sha256 != wanted_sha256:
            raise WrongDigestError(f"The file that arrived has sha256 {sha256}, not {wanted_sha256}; upload it again.")
        with self._lock:
            try:
                os.fsync(self._descriptor)
                self._path.rename(self._directory / sha256)
                _sync(self._directory)
            except OSError as error:
                raise UploadError(f"The controller cannot keep the file: {error.strerror}.") from error
            self._end()
        return Uploaded(upload_id=sha256, sha256=sha256, size_bytes=self.size_bytes)

    def abort(self) -> None:
        """Leave nothing; after ``finish`` it does nothing."""
        with self._lock:
            if not self._is_over:
                self._end()
                self._path.unlink(missing_ok=True)

    def _end(self) -> None:
        self._is_over = True
        os.close(self._descriptor)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Spool:
    """The directory."""

    def __init__(self, directory: Path, *, max_bytes: int, expires_s: float, keep_free_bytes: int = 0) -> None:
        """Make the directory and delete what broken uploads have left.

        Args:
            directory: Ours alone.
            max_bytes: Largest upload.
            expires_s: A file that nobody wants is deleted after so long.
            keep_free_bytes: What uploads leave of the disk, which may be the database's as well.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self.max_bytes = max_bytes
        self._expires_s = expires_s
        self._keep_free_bytes = keep_free_bytes
        for path in directory.glob(f"*{_PART}"):
            path.unlink()

    def begin(self) -> Upload:
        """Return a new upload.

        Raises:
            UploadError: the spool takes none.
        """
        return Upload(self._directory, max_bytes=self.max_bytes, keep_free_bytes=self._keep_free_bytes)

    def size_of(self, digest: str) -> int | None:
        """Return the size of the file of that digest, bytes; None where there is none."""
        if not _DIGEST.fullmatch(digest):
            return None
        try:
            return (self._directory / digest).stat().st_size
        except FileNotFoundError:
            return None

    def open_digest(self, digest: str) -> io.FileIO | None:
        """Return the file of that digest, open for reading; None where there is none."""
        if not _DIGEST.fullmatch(digest):
            return None
        try:
            descriptor = os.open(self._directory / digest, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        return io.FileIO(descriptor)

    def delete(self, digests: Collection[str]) -> None:
        """Delete files; those who read one just now read on."""
        for digest in digests:
            if _DIGEST.fullmatch(digest):
                (self._directory / digest).unlink(missing_ok=True)

    def expire(self, wanted: Collection[str]) -> None:
        """Delete files that have lain for too long, but for those of which images are being made."""
        oldest_s = time.time() - self._expires_s
        for path in self._directory.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if _DIGEST.fullmatch(path.name) and path.name not in wanted and path.stat().st_mtime < oldest_s:
                    path.unlink()
