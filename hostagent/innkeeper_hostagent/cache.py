"""The images of this host: verified files named by their SHA-256, one directory a datastore, the least used evicted.

Nothing gets a name here before its digest has been checked by whoever brings it; nothing here fetches or inspects.

``<datastore>/images/<sha256>`` is the image, read-only; ``<sha256>.json`` beside it says what it is, and its time of
modification when it was used last; ``<sha256>.manifest`` has the digests of its chunks, for those who fetch it;
``partial/`` holds what is not whole yet.
"""

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from innkeeper_hostagent.protocol.bulk import beside_of
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.vocabulary import Digest, DiskFormat, ImageRef, Value

IMAGE_MODE: Final = 0o444
DIRECTORY_MODE: Final = 0o711
_IMAGES: Final = "images"
_PARTIAL: Final = "partial"
_MANIFEST: Final = ".json"
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_MIB: Final = 1024 * 1024
#: What was fetched in part is kept so long for another try.
PARTIAL_KEPT_S: Final = 24 * 3600.0


class Manifest(Value):
    """What an image in the cache is."""

    sha256: Digest
    size_bytes: int
    virtual_size_bytes: int
    format: DiskFormat
    name: str = ""
    #: At home here: never evicted.
    home: bool = False


def is_digest(text: str) -> bool:
    """Whether the text is a digest, and so may be part of a path."""
    return _DIGEST.match(text) is not None


def manifest_of(image: ImageRef) -> Manifest:
    """Return what an image that came from another host is."""
    return Manifest(
        sha256=image.sha256,
        size_bytes=image.size_bytes,
        virtual_size_bytes=image.virtual_size_bytes,
        format=image.format,
        name=image.name,
    )


class Cache:
    """The images in one datastore; its methods may be called from any thread."""

    def __init__(
        self,
        root: Path,
        *,
        limit_bytes: int,
        shared: bool = False,
        owner: str = "",
        in_use: Callable[[], Iterable[str]] = frozenset,
    ) -> None:
        """Know what is there, and clean up what an ending of the agent left half done.

        Args:
            root: The datastore's directory; made if need be.
            limit_bytes: What images that are not at home here may take.
            shared: Other hosts see the same directory: they may add and need images at any time.
            owner: Tells this host's half-made files from those of others in a shared datastore.
            in_use: Digests that disks on this host need.

        Raises:
            OSError: the file system refuses.
        """
        self._directory = root / _IMAGES
        self._partial = self._directory / _PARTIAL
        self._limit_bytes = limit_bytes
        self._shared = shared
        self._owner = f".{owner}" if shared else ""
        self._in_use = in_use
        self._lock = threading.Lock()
        self._partial.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        self._images = {manifest.sha256: manifest for manifest in self._read()}
        if not shared:
            self._clean_up(time.time() - PARTIAL_KEPT_S)

    def digests(self) -> tuple[Digest, ...]:
        """Return what is here, sorted."""
        with self._lock:
            return tuple(sorted(self._images))

    def path(self, digest: str) -> Path | None:
        """Return the image's file, None where it is not here; counts as a use."""
        path = self._path(digest)
        if digest in self._images or (self._shared and path.exists()):
            with contextlib.suppress(OSError):
                os.utime(self._manifest_path(digest))
            return path
        return None

    def partial_path(self, name: str) -> Path:
        """Return where a file that is to become an image may grow; what is there from an earlier try is left."""
        return self._partial / f"{name}{self._owner}"

    def make_room(self, size_bytes: int) -> tuple[Digest, ...]:
        """Evict the least used images until one of that size fits; return what went.

        Raises:
            DriverError: ``no_space``: too much of the cache is in use; everything is still there.
        """
        with self._lock:
            if self._shared:
                return ()
            excess_bytes = sum(m.size_bytes for m in self._images.values() if not m.home) + size_bytes
            excess_bytes -= self._limit_bytes
            if excess_bytes <= 0:
                return ()
            victims = self._victims(excess_bytes)
            for digest in victims:
                self._remove(digest)
            return victims

    def admit(self, partial: Path, manifest: Manifest) -> None:
        """Give a whole, verified file its name; durable when it returns.

        Raises:
            OSError: the file system refuses; the image is not here.
        """
        partial.chmod(IMAGE_MODE)
        _sync(partial)
        with self._lock:
            self._write_manifest(manifest)
            with contextlib.suppress(FileNotFoundError):
                beside_of(partial).replace(beside_of(self._path(manifest.sha256)))
            partial.replace(self._path(manifest.sha256))
            _sync(self._directory)
            self._images[manifest.sha256] = manifest

    def keep(self, digest: Digest) -> None:
        """Make an image that is here one that is at home here."""
        with self._lock:
            manifest = msgspec.structs.replace(self._images[digest], home=True)
            self._write_manifest(manifest)
            _sync(self._directory)
            self._images[digest] = manifest

    def drop(self, digest: Digest) -> bool:
        """Delete an image, at home here or not; False where it is not here.

        Raises:
            DriverError: ``refused``: a disk on this host needs it.
        """
        with self._lock:
            if digest not in self._images:
                return False
            if digest in set(self._in_use()):
                raise DriverError(
                    f"image {digest[:12]} is the base of a disk on this host; delete the VMs that use it first",
                    code="refused",
                )
            self._remove(digest)
            return True

    def _victims(self, excess_bytes: int) -> tuple[Digest, ...]:
        in_use = set(self._in_use())
        victims: list[Digest] = []
        for digest in sorted(self._images, key=self._used_at_ns):
            if excess_bytes <= 0:
                break
            if not self._images[digest].home and digest not in in_use:
                victims.append(digest)
                excess_bytes -= self._images[digest].size_bytes
        if excess_bytes > 0:
            raise DriverError(
                f"the image cache {self._directory} may hold {self._limit_bytes // _MIB} MiB and what is in it is in "
                "use; raise cache_limit_mib of its datastore, or delete VMs",
                code="no_space",
            )
        return tuple(victims)

    def _used_at_ns(self, digest: Digest) -> int:
        try:
            return self._manifest_path(digest).stat().st_mtime_ns
        except OSError:
            return 0

    def _remove(self, digest: Digest) -> None:
        # The image first: a manifest without an image is cleaned up, an image without a manifest would not be known.
        self._path(digest).unlink(missing_ok=True)
        self._manifest_path(digest).unlink(missing_ok=True)
        beside_of(self._path(digest)).unlink(missing_ok=True)
        del self._images[digest]

    def _path(self, digest: str) -> Path:
        if not is_digest(digest):
            raise DriverError(f"{digest[:80]!r} is not a SHA-256 digest", code="refused")
        return self._directory / digest

    def _manifest_path(self, digest: str) -> Path:
        return self._directory / f"{digest}{_MANIFEST}"

    def _write_manifest(self, manifest: Manifest) -> None:
        new_path = self._partial / f"{manifest.sha256}{_MANIFEST}{self._owner}"
        new_path.write_bytes(msgspec.json.encode(manifest))
        _sync(new_path)
        new_path.replace(self._manifest_path(manifest.sha256))

    def _read(self) -> Iterator[Manifest]:
        for path in sorted(self._directory.iterdir()):
            is_manifest = path.suffix == _MANIFEST and is_digest(path.stem)
            if is_manifest and (manifest := _decoded(path)) is not None and self._path(path.stem).is_file():
                yield manifest

    def _clean_up(self, oldest_s: float) -> None:
        """Delete files of images that are not whole, and what was begun long ago and nobody has gone on with."""
        for path in self._directory.iterdir():
            if is_digest(path.name.partition(".")[0]) and path.name.partition(".")[0] not in self._images:
                path.unlink()
        for path in self._partial.iterdir():
            if path.lstat().st_mtime < oldest_s:
                path.unlink()


def _decoded(path: Path) -> Manifest | None:
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError:
        return None
    return manifest if manifest.sha256 == path.stem else None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
