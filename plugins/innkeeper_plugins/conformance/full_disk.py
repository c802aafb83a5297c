"""A directory where files cannot grow, until there is room again.

It must not leave a mount or a limit behind.
"""

import contextlib
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

from innkeeper_plugins import commands
from innkeeper_plugins.errors import DriverError

#: Less than any disk or context disk takes.
ROOM_BYTES = 64 * 1024
MORE_ROOM_BYTES = 256 * 1024 * 1024
TIMEOUT_S = 20.0


@contextlib.contextmanager
def full_directory(directory: Path) -> Iterator[Callable[[], None]]:
    """Make files in ``directory`` unable to grow; what is yielded makes room when it is called.

    With root it is a file system of its own; without, a limit on every file that this process and its tools write.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        with contextlib.suppress(DriverError), _tiny_mount(directory) as make_room:
            yield make_room
            return
    with _limited_files() as make_room:
        yield make_room


@contextlib.contextmanager
def _tiny_mount(directory: Path) -> Iterator[Callable[[], None]]:
    def mount(options: str) -> None:
        commands.run(("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)), timeout_s=TIMEOUT_S)

    mount(f"size={ROOM_BYTES}")
    try:
        yield lambda: mount(f"remount,size={MORE_ROOM_BYTES}")
    finally:
        commands.run(("umount", str(directory)), timeout_s=TIMEOUT_S)


@contextlib.contextmanager
def _limited_files() -> Iterator[Callable[[], None]]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, before[1]))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
