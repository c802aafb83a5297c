"""The agent's own steps with images: fetch one from another host, import one, drop one.

An image gets its name in the cache only after its digest has been checked; an imported one is inspected before that.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from innkeeper_hostagent import downloads, sources
from innkeeper_hostagent.acts import Act
from innkeeper_hostagent.cache import Cache, Manifest, manifest_of
from innkeeper_hostagent.caches import Caches
from innkeeper_hostagent.downloads import Terms
from innkeeper_hostagent.fetching import Fetcher
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.images import VIRTUAL_SIZE_LIMIT_BYTES, ImageFacts, inspect
from innkeeper_plugins.steps import DropImage, Fetch, ImportImage, SaveImage
from innkeeper_plugins.transfer.whole_file import told_as_driver_errors
from innkeeper_plugins.vocabulary import Digest, Disk, DiskFormat

#: How often a fetch that waits for another one of the same image looks whether it has been cancelled.
_WAIT_S: Final = 0.2
_ZEROS: Final = bytes(1024 * 1024)


@dataclass(slots=True)
class ImageSteps:
    """What is needed to carry those steps out; its methods block and may run in several threads."""

    caches: Caches
    fetcher: Fetcher
    import_dirs: tuple[Path, ...]
    terms: Terms
    #: Finds out what an imported file is.
    examine: Callable[[Path, DiskFormat | None], ImageFacts] = inspect
    _under_way: set[str] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def fetch(self, step: Fetch, act: Act) -> None:
        """Bring the image into the cache; one that is here already is left alone.

        Raises:
            DriverError: nobody has it, there is no room, or the operation was cancelled; what came so far is kept.
        """
        digest = step.image.sha256
        with self._alone(digest, act):
            if self.caches.find(digest) is not None:
                return
            cache = self.caches.of(step.image.datastore)
            if evicted := cache.make_room(step.image.size_bytes):
                self.caches.changed((), evicted)
            partial = cache.partial_path(digest)
            self.fetcher.fetch(digest, step.image.size_bytes, step.holders, partial, act)
            with told_as_driver_errors(partial):
                cache.admit(partial, manifest_of(step.image))
        self.caches.changed((digest,), ())

    def import_image(self, step: ImportImage, act: Act) -> dict[str, str | int | float]:
        """Take an image in, at home here for good; return what it is.

        Raises:
            DriverError: it is not what was declared, not allowed, or does not fit; nothing of it is left.
        """
        cache = self.caches.of(step.datastore)
        partial = cache.partial_path(f"import-{step.image_id}")
        try:
            with told_as_driver_errors(partial):
                digest = self._receive(step, partial, act)
                _check_declared(step, digest, partial.stat().st_size)
                facts = self.examine(partial, _declared_format(step))
                return self._settle(cache, partial, digest, facts)
        finally:
            _remove_partial(partial)

    def save_image(
        self, step: SaveImage, disk: Disk, copy: Callable[[Path], None], act: Act
    ) -> dict[str, str | int | float]:
        """Take what ``copy`` makes of the disk in as an image, at home here for good; return what it is.

        Raises:
            DriverError: it could not be copied, is not what an image may be, or does not fit; nothing of it is left.
        """
        cache = self.caches.of(step.datastore or disk.datastore)
        partial = cache.partial_path(f"save-{step.image_id}")
        try:
            with told_as_driver_errors(partial):
                copy(partial)
                facts = self.examine(partial, disk.format)
                return self._settle(cache, partial, _digest_of(partial, act), facts)
        finally:
            _remove_partial(partial)

    def drop(self, step: DropImage) -> None:
        """Delete the image wherever this host has it.

        Raises:
            DriverError: ``refused``: a disk needs it.
        """
        for cache in self.caches.all():
            if cache.drop(step.sha256):
                self.caches.changed((), (step.sha256,))

    def _receive(self, step: ImportImage, partial: Path, act: Act) -> Digest:
        if step.holders:
            if not step.sha256 or step.size_bytes is None:
                raise DriverError("an upload has to say its digest and its length", code="refused")
            self.fetcher.fetch(Digest(step.sha256), step.size_bytes, step.holders, partial, act)
            return Digest(step.sha256)
        if not step.url and not step.path:
            return _write_sparse(partial, _nothing(step.size_bytes or 0, act), step.size_bytes or 0)
        return _write_sparse(partial, self._chunks(step, act), self.terms.max_bytes)

    def _chunks(self, step: ImportImage, act: Act) -> Iterator[bytes]:
        totals: list[int] = []
        if step.url:
            stream = downloads.chunks(step.url, self.terms, totals.append)
        else:
            stream = sources.file_chunks(step.path, self.import_dirs, totals.append)
        done_bytes = 0
        for chunk in stream:
            done_bytes += len(chunk)
            act.progress(done_bytes, totals[0])
            yield chunk

    def _settle(self, cache: Cache, partial: Path, digest: Digest, facts: ImageFacts) -> dict[str, str | int | float]:
        manifest = Manifest(
            sha256=digest,
            size_bytes=facts.size_bytes,
            virtual_size_bytes=facts.virtual_size_bytes,
            format=facts.format,
            home=True,
        )
        if digest in cache.digests():
            cache.keep(digest)
        else:
            cache.admit(partial, manifest)
            self.caches.changed((digest,), ())
        return {
            "sha256": digest,
            "size_bytes": facts.size_bytes,
            "virtual_size_bytes": facts.virtual_size_bytes,
            "format": facts.format.value,
        }

    @contextmanager
    def _alone(self, digest: str, act: Act) -> Iterator[None]:
        """Wait until no other thread fetches that image."""
        with self._changed:
            while digest in self._under_way:
                act.progress(0, 0)
                self._changed.wait(_WAIT_S)
            self._under_way.add(digest)
        try:
            yield
        finally:
            with self._changed:
                self._under_way.discard(digest)
                self._changed.notify_all()


def _remove_partial(partial: Path) -> None:
    # With what a driver or a fetch keeps beside it; the name of another image may begin with this one's.
    for path in (partial, *partial.parent.glob(f"{partial.name}.*")):
        path.unlink(missing_ok=True)


def _nothing(size_bytes: int, act: Act) -> Iterator[bytes]:
    """Return the content of an empty disk, piece by piece."""
    if not 0 < size_bytes <= VIRTUAL_SIZE_LIMIT_BYTES:
        raise DriverError(
            f"an empty image has from 1 to {VIRTUAL_SIZE_LIMIT_BYTES} bytes, and not {size_bytes}", code="refused"
        )
    for done_bytes in range(0, size_bytes, len(_ZEROS)):
        act.progress(done_bytes, size_bytes)
        yield _ZEROS[: size_bytes - done_bytes]


def _digest_of(path: Path, act: Act) -> Digest:
    size_bytes = path.stat().st_size
    hasher = hashlib.sha256()
    done_bytes = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(len(_ZEROS)):
            hasher.update(chunk)
            done_bytes += len(chunk)
            act.progress(done_bytes, size_bytes)
    return Digest(hasher.hexdigest())


def _write_sparse(path: Path, stream: Iterator[bytes], max_bytes: int) -> Digest:
    """Write what comes, zeros as holes, and return its digest."""
    hasher = hashlib.sha256()
    size_bytes = 0
    with path.open("wb", buffering=0) as file:
        for chunk in stream:
            hasher.update(chunk)
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                raise DriverError(
                    f"the image is longer than {max_bytes} bytes; raise max_mib in [import]", code="refused"
                )
            if chunk == _ZEROS[: len(chunk)]:
                file.seek(len(chunk), os.SEEK_CUR)
            else:
                _write_all(file.fileno(), chunk)
        file.truncate(size_bytes)
    return Digest(hasher.hexdigest())


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def _check_declared(step: ImportImage, digest: str, size_bytes: int) -> None:
    if step.sha256 and step.sha256 != digest:
        raise DriverError(
            f"the image's SHA-256 is {digest} and was declared {step.sha256}: it is damaged, or another one",
            code="bad_image",
        )
    if step.size_bytes is not None and step.size_bytes != size_bytes:
        raise DriverError(
            f"the image has {size_bytes} bytes and was declared to have {step.size_bytes}: it was cut off",
            code="bad_image",
        )


def _declared_format(step: ImportImage) -> DiskFormat | None:
    try:
        return DiskFormat(step.format) if step.format else None
    except ValueError as error:
        known = ", ".join(DiskFormat)
        raise DriverError(f"format {step.format!r} is not known; choose one of {known}", code="bad_image") from error
