"""Runs the tools of the host: the one place of the project that starts a process.

It must not know what any tool is for: who calls it says what to do about a failure.
"""

import contextlib
import errno
import logging
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from innkeeper_plugins.errors import DriverError

#: Told of every command before it is started; whoever owns the process binds the operation to it.
_log = logging.getLogger("innkeeper.commands")

#: Standard output beyond this fails the command: no tool that we run has so much to say.
STDOUT_LIMIT_BYTES = 16 * 1024 * 1024
#: Only the end of standard error is kept: tools say last what went wrong.
STDERR_LIMIT_BYTES = 8 * 1024
#: How long a cancellation may go unnoticed.
CANCEL_POLL_S = 0.1
#: A pipe that select() calls writable takes this much without blocking.
PIPE_WRITE_BYTES = 4096
CHUNK_BYTES = 64 * 1024
#: More than a pipe can hold (1 MiB at most, by the kernel's default).
DRAIN_CHUNKS = 17

#: Where administrators' tools (``mkfs.ext4``) are when the agent was started by a person's shell.
ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
#: All that a tool sees of our environment: secrets stay ours.
KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "LD_LIBRARY_PATH")

#: Debian's package of each tool that may be missing: ``{tool: package}``.
PACKAGES = {
    "qemu-img": "qemu-utils",
    "mkfs.ext2": "e2fsprogs",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mkswap": "util-linux",
    "prlimit": "util-linux",
    "mount": "mount",
    "umount": "mount",
    "ip": "iproute2",
}

#: Errors of the system that mean a file could not grow.
FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: The same in the words of the C library, as tools print them under ``LC_ALL=C``.
FULL_WORDS = tuple(os.strerror(code) for code in sorted(FULL_ERRNOS))


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedCommand:
    """What a command that succeeded printed."""

    stdout: bytes
    #: The end of it, at most ``STDERR_LIMIT_BYTES``.
    stderr: bytes
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a command may take of the host at most; for tools that read what strangers made."""

    address_space_bytes: int
    cpu_s: int


@dataclass(slots=True)
class _Conversation:
    """What has been said to a process and by it so far."""

    argv: tuple[str, ...]
    process: subprocess.Popen[bytes]
    to_say: memoryview
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)

    def hear_stdout(self, chunk: bytes) -> None:
        self.stdout += chunk
        if len(self.stdout) > STDOUT_LIMIT_BYTES:
            raise DriverError(f"{self.argv[0]} printed more than {STDOUT_LIMIT_BYTES} bytes", argv=self.argv)

    def hear_stderr(self, chunk: bytes) -> None:
        self.stderr += chunk
        del self.stderr[:-STDERR_LIMIT_BYTES]

    def say(self) -> bool:
        """Write the next piece; True when there is nothing left to say."""
        assert self.process.stdin is not None
        try:
            written = os.write(self.process.stdin.fileno(), self.to_say[:PIPE_WRITE_BYTES])
        except BrokenPipeError:
            written = len(self.to_say)
        self.to_say = self.to_say[written:]
        return not self.to_say

    def outputs(self) -> tuple[tuple[IO[bytes], Callable[[bytes], None]], ...]:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        return (self.process.stdout, self.hear_stdout), (self.process.stderr, self.hear_stderr)


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: bytes = b"",
    cancelled: Callable[[], bool] | None = None,
    env: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> CompletedCommand:
    """Run a command to its end and return what it printed.

    It runs in a session of its own, with ``LC_ALL=C``, few of our variables and none of our open files.
    Whatever of its group is still there when it ends, or is not waited for any longer, is killed.

    Args:
        argv: The tool and its arguments; never interpreted by a shell.
        timeout_s: Seconds after which it is killed.
        stdin: What it reads on standard input.
        cancelled: Asked every ``CANCEL_POLL_S``; True kills the command.
        env: Variables to set besides.
        limits: What it may take of the host at most.

    Raises:
        DriverError: ``tool_failed``, ``no_space``, ``timeout`` or ``cancelled``; its whole group is dead.
    """
    asked = tuple(str(word) for word in argv)
    _log.info("command", extra={"argv": asked})
    started_s = time.monotonic()
    process = _start(_limited(asked, limits), env=env or {}, has_input=bool(stdin))
    said = _Conversation(asked, process, memoryview(stdin))
    try:
        _converse(said, _patience(asked, started_s + timeout_s, timeout_s, cancelled))
    except DriverError as error:
        error.stderr = error.stderr or _text(said.stderr)
        raise
    finally:
        _end(process)
    if process.returncode != 0:
        raise _failure(asked, process.returncode, _text(said.stderr))
    return CompletedCommand(
        stdout=bytes(said.stdout), stderr=bytes(said.stderr), duration_s=time.monotonic() - started_s
    )


def means_full(text: str) -> bool:
    """Say whether a tool's words mean that a file could not grow."""
    return any(words in text for words in FULL_WORDS) or "ENOSPC" in text


def _limited(argv: tuple[str, ...], limits: Limits | None) -> tuple[str, ...]:
    # prlimit sets the limits and becomes the command; a preexec_fn could deadlock, since verbs run in threads.
    if limits is None:
        return argv
    return ("prlimit", f"--as={limits.address_space_bytes}", f"--cpu={limits.cpu_s}", "--core=0", "--", *argv)


def _start(argv: tuple[str, ...], *, env: Mapping[str, str], has_input: bool) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    path = f"{kept.get('PATH', os.defpath)}:{ADMIN_PATH}"
    try:
        return subprocess.Popen(
            argv,
            executable=_find(argv[0], path),
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**kept, "PATH": path, "LC_ALL": "C", **env},
            start_new_session=True,
        )
    except OSError as error:
        raise _not_started(argv, error) from error


def _find(tool: str, path: str) -> str:
    if os.sep in tool:
        return tool
    for directory in path.split(os.pathsep):
        candidate = os.path.join(directory, tool)  # noqa: PTH118 - twenty times cheaper than a Path, and on every call
        if os.access(candidate, os.X_OK):
            return candidate
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), tool)


def _not_started(argv: tuple[str, ...], error: OSError) -> DriverError:
    package = PACKAGES.get(argv[0])
    advice = f"; install it: apt install {package}" if package else ""
    return DriverError(f"{argv[0]} could not be started: {error.strerror}{advice}", argv=argv, stderr=str(error))


def _patience(
    argv: tuple[str, ...], deadline_s: float, timeout_s: float, cancelled: Callable[[], bool] | None
) -> Callable[[], float]:
    """Return what tells how long to wait now, and raises when there is nothing left to wait for."""

    def wait_s() -> float:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise DriverError(f"{argv[0]} was killed after {timeout_s:g} s", code="timeout", argv=argv)
        if cancelled is None:
            return left_s
        if cancelled():
            raise DriverError(f"{argv[0]} was killed: the operation was cancelled", code="cancelled", argv=argv)
        return min(left_s, CANCEL_POLL_S)

    return wait_s


def _converse(said: _Conversation, wait_s: Callable[[], float]) -> None:
    exit_fd = os.pidfd_open(said.process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(exit_fd, selectors.EVENT_READ)
            for stream, hear in said.outputs():
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ, hear)
            if said.process.stdin is not None:
                selector.register(said.process.stdin, selectors.EVENT_WRITE)
            while not _turn(selector, said, exit_fd, wait_s()):
                pass
    finally:
        os.close(exit_fd)
    _drain(said)


def _turn(selector: selectors.BaseSelector, said: _Conversation, exit_fd: int, wait_s: float) -> bool:
    """Hear and say what is ready; True when the process has ended."""
    exited = False
    for key, events in selector.select(wait_s):
        if key.fd == exit_fd:
            exited = True
        elif events & selectors.EVENT_WRITE:
            if said.say():
                selector.unregister(key.fileobj)
                assert said.process.stdin is not None
                said.process.stdin.close()
        elif chunk := os.read(key.fd, CHUNK_BYTES):
            key.data(chunk)
        else:
            selector.unregister(key.fileobj)
    return exited


def _drain(said: _Conversation) -> None:
    # A child that outlives the tool may hold the pipes open for ever: take what is in them, then go.
    for stream, hear in said.outputs():
        with contextlib.suppress(BlockingIOError):
            for _ in range(DRAIN_CHUNKS):
                chunk = os.read(stream.fileno(), CHUNK_BYTES)
                if not chunk:
                    break
                hear(chunk)


def _end(process: subprocess.Popen[bytes]) -> None:
    # Nobody has waited for it yet, so its id cannot have been given to another process.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    process.wait()


def _text(data: bytearray) -> str:
    return data.decode(errors="replace")


def _failure(argv: tuple[str, ...], status: int, stderr: str) -> DriverError:
    said = stderr.strip().rpartition("\n")[2]
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"failed with exit status {status}"
    full = means_full(stderr) or status == -signal.SIGXFSZ
    return DriverError(
        f"{argv[0]} {how}" + (f": {said}" if said else ""),
        code="no_space" if full else "tool_failed",
        argv=argv,
        exit_status=status,
        stderr=stderr,
    )
