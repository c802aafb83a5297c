"""A directory where files cannot grow, until there is room again.

It must not leave a mount or a limit behind.
"""

import contextlib
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from innkeeper_plugins import commands
from innkeeper_plugins.errors import DriverError

#: Less than any disk or context disk takes.
ROOM_BYTES = 64 * 1024
MORE_ROOM_BYTES = 256 * 1024 * 1024
TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class FullDirectory:
    """A directory where files cannot grow."""

    #: Makes room.
    make_room: Callable[[], None]
    #: What a driver has to call it; with a mere limit on files some tools find words of their own.
    codes: frozenset[str]


@contextlib.contextmanager
def full_directory(directory: Path) -> Iterator[FullDirectory]:
    """Make files in ``directory`` unable to grow.

    With root it is a file system of its own; without, a limit on every file that this process and its tools write.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            make_room = stack.enter_context(_tiny_mount(directory))
        except DriverError:
            make_room = stack.enter_context(_limited_files())
            yield FullDirectory(make_room, frozenset({"no_space", "tool_failed"}))
        else:
            yield FullDirectory(make_room, frozenset({"no_space"}))


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
