"""Makes a file whole or not at all: written under another name, synced, then renamed.

It must not know what is in the file.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from innkeeper_plugins.commands import FULL_ERRNOS
from innkeeper_plugins.errors import DriverError

#: A file of this ending is never taken for a whole one; the next try replaces it, ``delete`` removes it.
PARTIAL_SUFFIX = ".partial"
#: A guest's disk is nobody else's business; the hypervisor's own user gets it from the hypervisor.
FILE_MODE = 0o600
MIB = 1024 * 1024


def partial_path(target: Path) -> Path:
    """Return the name that ``target`` has while it is being made."""
    return target.with_name(target.name + PARTIAL_SUFFIX)


@contextlib.contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give a path to make a file under; at the end of the block it becomes ``target``, durably.

    Raises:
        DriverError: ``no_space``, or whatever the block raised; nothing half-made is left, and an older
            ``target`` is as it was.
    """
    partial = partial_path(target)
    with told_as_driver_errors(target):
        partial.unlink(missing_ok=True)
        try:
            yield partial
            partial.chmod(FILE_MODE)
            sync(partial)
            partial.replace(target)
            sync(target.parent)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def told_as_driver_errors(path: Path) -> Iterator[None]:
    """Turn an error of the operating system about ``path`` into a ``DriverError`` that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_ERRNOS:
            raise _no_space(path, stderr=str(error)) from error
        raise DriverError(f"{error.strerror or error}: {error.filename or path}", stderr=str(error)) from error
    except DriverError as error:
        # Only a tool's words come without advice: they know the argv and not the way out.
        if error.code == "no_space" and error.argv:
            raise _no_space(path, argv=error.argv, exit_status=error.exit_status, stderr=error.stderr) from error
        raise


def sync(path: Path) -> None:
    """Make a file's content, or a directory's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _no_space(
    path: Path, *, argv: tuple[str, ...] = (), exit_status: int | None = None, stderr: str = ""
) -> DriverError:
    usage = shutil.disk_usage(path.parent)
    return DriverError(
        f"no room for {path.name} in {path.parent}: {usage.free // MIB} of {usage.total // MIB} MiB are free; "
        "delete VMs or images there that nobody needs, or enlarge the file system, and retry",
        code="no_space",
        argv=argv,
        exit_status=exit_status,
        stderr=stderr,
    )
