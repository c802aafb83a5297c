"""Deletes files of a VM and nothing else: no link is followed, no other file system entered.

It must not decide which directories are a VM's.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path

from innkeeper_plugins.errors import DriverError

#: A VM's directory has no more levels than this; deeper ones are not ours.
DEPTH_LIMIT = 8
#: A directory that is not empty, and one that is gone, are both no reason to fail.
STAYS = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT})


def remove_file(path: Path) -> None:
    """Delete a file or a link, whatever the link names; nothing there is fine."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def remove_if_empty(directory: Path) -> None:
    """Delete a directory that nothing is left in."""
    try:
        directory.rmdir()
    except OSError as error:
        if error.errno not in STAYS:
            raise


def remove_tree(directory: Path) -> None:
    """Delete a directory with all that is in it; nothing there is fine.

    Raises:
        DriverError: ``refused``: it is a link, is too deep, or another file system is mounted in it; what stood
            before that may be gone.
        OSError: something could not be deleted.
    """
    with contextlib.suppress(FileNotFoundError):
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise DriverError(f"{directory} is not a directory: remove it by hand", code="refused")
        _remove_content(directory, None, device=status.st_dev, depth=0)
        directory.rmdir()


def remove_all_but(directory: Path, *, keep: frozenset[Path]) -> None:
    """Delete a directory as ``remove_tree`` does, but not these files in it, nor the directory while one is there.

    Raises:
        DriverError: as ``remove_tree``.
        OSError: something could not be deleted.
    """
    kept = {path.name for path in keep if path.parent == directory and os.path.lexists(path)}
    if not kept:
        remove_tree(directory)
        return
    for path in directory.iterdir():
        if path.name in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            remove_file(path)


def _remove_content(name: Path | str, parent: int | None, *, device: int, depth: int) -> None:
    if depth > DEPTH_LIMIT:
        raise DriverError(f"{name} is too deep in a VM's directory: remove it by hand", code="refused")
    # Names are used relative to open directories, so that nobody can put a link in the way meanwhile.
    opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if os.fstat(opened).st_dev != device:
            raise DriverError(f"another file system is mounted on {name}: unmount it", code="refused")
        with os.scandir(opened) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for entry, is_directory in found:
            if is_directory:
                _remove_content(entry, opened, device=device, depth=depth + 1)
                os.rmdir(entry, dir_fd=opened)
            else:
                os.unlink(entry, dir_fd=opened)
    finally:
        os.close(opened)
