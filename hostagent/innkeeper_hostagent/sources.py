"""Where an image to be imported comes from, as a stream of pieces: a path on this host, or a URL.

Nothing is written here, and what the bytes are is found out elsewhere.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath
from typing import Final

from innkeeper_plugins.errors import DriverError

_CHUNK_BYTES: Final = 1024 * 1024
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def file_chunks(path: str, allowed: Iterable[Path], total: Callable[[int], None]) -> Iterator[bytes]:
    """Yield a file below one of the allowed directories, in pieces of at most 1 MiB.

    Args:
        path: Relative to one of them, or absolute and below one of them.
        allowed: The import directories of the agent's configuration.
        total: Told the length in bytes once.

    Raises:
        DriverError: ``refused`` where it lies elsewhere, is behind a link or is no regular file; ``tool_failed``
            where it cannot be read.
    """
    descriptor = open_below(path, tuple(allowed))
    try:
        total(os.fstat(descriptor).st_size)
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise DriverError(f"cannot read {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def open_below(path: str, allowed: tuple[Path, ...]) -> int:
    """Return an open descriptor of a regular file below one of the allowed directories, no link followed.

    Raises:
        DriverError: as ``file_chunks`` does.
    """
    missing = False
    for directory in allowed:
        names = _names_below(path, directory)
        if names is None:
            continue
        try:
            return _open_names(directory, names)
        except FileNotFoundError:
            missing = True
        except OSError as error:
            raise DriverError(f"cannot open {path}: {error.strerror}", code="refused") from error
    listed = ", ".join(map(str, allowed)) or "none; name some in dirs of [import] in agent.toml"
    why = "is not there" if missing else "is not below a directory that images may come from"
    raise DriverError(f"{path} {why} (allowed: {listed})", code="refused")


def _names_below(path: str, directory: Path) -> tuple[str, ...] | None:
    """Return the names that lead from the directory to the file; None where they do not."""
    pure = PurePath(path)
    if pure.is_absolute():
        if not pure.is_relative_to(directory):
            return None
        pure = pure.relative_to(directory)
    return pure.parts if pure.parts and ".." not in pure.parts and "\0" not in path else None


def _open_names(directory: Path, names: tuple[str, ...]) -> int:
    parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names[:-1]:
            child = os.open(name, _DIRECTORY, dir_fd=parent)
            os.close(parent)
            parent = child
        descriptor = os.open(names[-1], _FILE, dir_fd=parent)
    finally:
        os.close(parent)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DriverError(f"{names[-1]} is not a regular file", code="refused")
    return descriptor
