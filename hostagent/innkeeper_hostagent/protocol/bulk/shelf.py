"""The files that a bulk server serves now, open, with their manifests.

Whether somebody may have one is not asked here. Used from the server's thread; manifests are made on one of its own,
since that reads the whole file.
"""

import os
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from innkeeper_hostagent.protocol.bulk.manifest import BadManifestError, Manifest, make_manifest
from innkeeper_hostagent.protocol.bulk.messages import Description, Preparing
from innkeeper_plugins.vocabulary import Digest

#: Files kept open at once; the one that was asked for least recently is closed first.
_MAX_OPEN: Final = 32
#: A file that nobody asks for is closed after this, so that a deleted one gives its space back.
_IDLE_S: Final = 30.0
_SUFFIX: Final = ".manifest"

Opener = Callable[[str], BinaryIO | Path | None]


class _Stopped(Exception):  # noqa: N818 - it is no error
    """The server closes."""


@dataclass(slots=True, eq=False)
class Book:
    """An open file."""

    digest: Digest
    file: BinaryIO
    #: Where its manifest is to be kept; None where the file was given open, and its directory is not ours to write to.
    beside: Path | None
    size_bytes: int
    used_s: float
    manifest: Manifest | None = None
    #: Why there will be no manifest; empty while there may be one.
    problem: str = ""
    done_bytes: int = 0
    is_queued: bool = False
    #: Held by whoever uses the descriptor, so that it is not closed meanwhile.
    lock: threading.Lock = field(default_factory=threading.Lock)

    def preparing(self) -> Preparing:
        """Say how far the manifest is."""
        return Preparing(digest=self.digest, done_bytes=self.done_bytes, total_bytes=self.size_bytes)


class Shelf:
    """Open files by digest."""

    def __init__(self, open_digest: Opener) -> None:
        """Begin with nothing open and nothing running.

        Args:
            open_digest: Gives the file of a digest, as a path or open; None for one that this host has not.
        """
        self._open_digest = open_digest
        self._books: OrderedDict[Digest, Book] = OrderedDict()
        self._work: queue.SimpleQueue[Book | None] = queue.SimpleQueue()
        self._maker: threading.Thread | None = None
        self._stopped = threading.Event()

    def book(self, digest: Digest, now_s: float) -> Book | None:
        """Return the open file; None where this host does not have it.

        Raises:
            OSError: it cannot be opened.
        """
        book = self._books.get(digest)
        if book is None:
            book = self._opened(digest, now_s)
            if book is None:
                return None
            self._books[digest] = book
        book.used_s = now_s
        self._books.move_to_end(digest)
        return book

    def prepare(self, book: Book) -> None:
        """Begin to make the file's manifest, if there is none yet."""
        if book.is_queued or book.manifest is not None:
            return
        book.is_queued = True
        if self._maker is None:
            self._maker = threading.Thread(target=self._make_all, name="innkeeper-manifests", daemon=True)
            self._maker.start()
        self._work.put(book)

    def tidy(self, now_s: float) -> None:
        """Close what nobody has asked for lately, and what is too many."""
        for book in list(self._books.values()):
            is_old = now_s - book.used_s > _IDLE_S or len(self._books) > _MAX_OPEN
            if is_old and book.lock.acquire(blocking=False):
                book.file.close()
                del self._books[book.digest]
                book.lock.release()

    def close(self) -> None:
        """Stop and close everything."""
        self._stopped.set()
        self._work.put(None)
        if self._maker is not None:
            self._maker.join()
        for book in self._books.values():
            book.file.close()
        self._books.clear()

    def _opened(self, digest: Digest, now_s: float) -> Book | None:
        found = self._open_digest(digest)
        if found is None:
            return None
        beside = beside_of(found) if isinstance(found, Path) else None
        file = found.open("rb", buffering=0) if isinstance(found, Path) else found
        size_bytes = os.fstat(file.fileno()).st_size
        book = Book(digest, file, beside, size_bytes, now_s)
        book.manifest = load(beside or _beside_open(file), digest, size_bytes)
        return book

    def _make_all(self) -> None:
        while (book := self._work.get()) is not None and not self._stopped.is_set():
            with book.lock, suppress(_Stopped):
                if not book.file.closed:
                    self._make(book)

    def _make(self, book: Book) -> None:
        def progress(done_bytes: int, _: int) -> None:
            book.done_bytes = done_bytes
            if self._stopped.is_set():
                raise _Stopped

        try:
            manifest, digest = make_manifest(book.file, progress)
        except (OSError, BadManifestError) as error:
            book.problem = str(error)
            return
        if digest != book.digest:
            book.problem = f"the file's digest is {digest}: it has been damaged"
            return
        if book.beside is not None:
            with suppress(OSError):
                # Only a cache: without it the manifest is made anew next time.
                save(book.beside, digest, manifest)
        book.manifest = manifest


def beside_of(path: Path) -> Path:
    """Return where the manifest of the file at that path is kept."""
    return path.with_name(path.name + _SUFFIX)


def _beside_open(file: BinaryIO) -> Path:
    """Return where the manifest of an open file is, if somebody has put it there."""
    return beside_of(Path(f"/proc/self/fd/{file.fileno()}").readlink())


def save(path: Path, digest: Digest, manifest: Manifest) -> None:
    """Keep a manifest, replacing what is there at once; a power cut may lose it.

    Raises:
        OSError: the file system refuses; what was there is still there.
    """
    description = Description(
        digest=digest, part=0, parts=1, size_bytes=manifest.size_bytes, runs=manifest.runs, prefixes=manifest.prefixes
    )
    new_path = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with ExitStack() as undo:
        undo.callback(new_path.unlink, missing_ok=True)
        new_path.write_bytes(msgspec.msgpack.encode(description))
        new_path.replace(path)
        undo.pop_all()


def load(path: Path, digest: Digest, size_bytes: int) -> Manifest | None:
    """Return the manifest that was kept; None where there is none, or one of another file."""
    try:
        kept = msgspec.msgpack.decode(path.read_bytes(), type=Description)
    except (OSError, msgspec.DecodeError):
        return None
    if kept.digest != digest or kept.size_bytes != size_bytes:
        return None
    return Manifest(size_bytes=kept.size_bytes, runs=kept.runs, prefixes=kept.prefixes)
