"""Machines for the lab: processes in network, mount, UTS and PID namespaces of their own.

A machine is only as alive as its first process: when that ends, however it ends, the kernel ends every other process
in it and takes its network and mounts away. Nothing here touches the network or the mounts of the real machine.
"""

import contextlib
import itertools
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

INIT = Path(__file__).parent / "machine_init.sh"
#: Each process takes the next with it: this one, the one that unshares, the machine's first.
LAST_WISH = ("setpriv", "--pdeathsig", "KILL", "--")
UNSHARE = ("unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child=KILL", "--")
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
_ready_sockets = itertools.count()


class LabError(Exception):
    """The lab could not do what was asked; the text carries the output of the tool that failed."""


def run(argv: Sequence[str], *, typed: str = "", timeout_s: float = 120) -> str:
    """Run a command to its end, with ``typed`` as its standard input, and return what it printed.

    Raises:
        LabError: it failed; the text has its output.
    """
    done = subprocess.run(argv, input=typed, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def child_of(parent: subprocess.Popen[bytes]) -> int:
    """Return the first child of a process that is about to have one, as this PID namespace numbers it.

    Raises:
        LabError: the process has ended.
    """
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    while parent.poll() is None:
        if numbers := children.read_text().split():
            return int(numbers[0])
        os.sched_yield()
    raise LabError(f"{parent.args} has ended with {parent.returncode}")


class Program:
    """A long-running program in a machine."""

    def __init__(self, entering: subprocess.Popen[bytes], log: Path) -> None:
        #: What brought the program into the machine, and ends with it.
        self.entering = entering
        #: Takes everything that the program prints.
        self.log = log

    @property
    def pid(self) -> int:
        """Its number outside the machine.

        Raises:
            LabError: it has ended.
        """
        return child_of(self.entering)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.entering.poll() is None

    def kill(self, signal_number: int = signal.SIGKILL) -> None:
        """Send it a signal and return once it has ended; a program that has ended already is fine."""
        if self.running:
            os.kill(self.pid, signal_number)
        self.entering.wait(STOP_TIMEOUT_S)

    def terminate(self) -> None:
        """Ask it to end and return once it has."""
        self.kill(signal.SIGTERM)


class Machine:
    """A named machine without any network card, until the lab cables it."""

    def __init__(self, directory: Path, name: str, *, shared: Path, hosts_file: str) -> None:
        """Start the machine; returns when its private directories are in place.

        ``directory/srv`` shows inside as ``/srv``, ``shared`` as ``/srv/shared``.

        Raises:
            LabError: it did not start; nothing of it runs.
        """
        self.directory = directory
        self.name = name
        for kind in ("srv", "etc", "lib", "cache", "log"):
            (directory / kind).mkdir(parents=True, exist_ok=True)
        (directory / "hosts").write_text(hosts_file)
        self._programs: list[Program] = []
        self._shared = shared
        self.power_on()

    def power_on(self) -> None:
        """Start the machine with the disks that it had; nothing else of before is there.

        Raises:
            LabError: it did not start; nothing of it runs.
        """
        self._outer = self._started(self._shared)
        #: Number of its first process outside the machine.
        self.pid = child_of(self._outer)

    def _started(self, shared: Path) -> subprocess.Popen[bytes]:
        complaints = self.directory / "log" / "init.log"
        with complaints.open("wb") as stderr:
            outer = subprocess.Popen(
                [*LAST_WISH, *UNSHARE, "sh", str(INIT), str(self.directory), self.name, str(shared)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        assert outer.stdout is not None
        with outer.stdout as said:
            ready, _, _ = select.select([said], [], [], START_TIMEOUT_S)
            if ready and said.readline() == b"ready\n":
                return outer
        outer.kill()
        outer.wait()
        raise LabError(f"{self.name} did not start:\n{complaints.read_text()}")

    @property
    def root(self) -> Path:
        """The machine's file system as seen from outside."""
        return Path(f"/proc/{self.pid}/root")

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs ``argv`` inside."""
        return [*f"nsenter --target={self.pid} --mount --uts --net --pid --root --wd --".split(), *argv]

    def run(self, argv: Sequence[str], *, typed: str = "", timeout_s: float = 120) -> str:
        """Run a command inside to its end and return what it printed.

        Raises:
            LabError: it failed; the text has its output.
        """
        return run(self.argv(argv), typed=typed, timeout_s=timeout_s)

    def spawn(
        self, argv: Sequence[str], *, log: str, output: int | None = None, environment: Mapping[str, str] | None = None
    ) -> Program:
        """Start a program inside that runs on.

        The file ``log`` in ``directory/log`` takes what it prints, but for its standard output where ``output`` is
        a descriptor.
        """
        path = self.directory / "log" / log
        with path.open("ab") as complaints:
            entering = subprocess.Popen(
                self.argv(argv),
                stdin=subprocess.DEVNULL,
                stdout=complaints if output is None else output,
                stderr=complaints,
                env={**os.environ, **(environment or {})},
            )
        self._programs.append(Program(entering, path))
        return self._programs[-1]

    def spawn_ready(self, argv: Sequence[str], *, log: str, environment: Mapping[str, str] | None = None) -> Program:
        """Start a program inside and return when it says that it is ready, in the way that systemd is told.

        Raises:
            LabError: it ended or said nothing in time; the text has what it printed.
        """
        with self._notified() as (address, wait_until_ready):
            program = self.spawn(argv, log=log, environment={**(environment or {}), "NOTIFY_SOCKET": address})
            wait_until_ready(program)
        return program

    @contextlib.contextmanager
    def _notified(self) -> Iterator[tuple[str, Callable[[Program], None]]]:
        name = f"ready.{next(_ready_sockets)}"
        path = self.directory / "srv" / name
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.bind(str(path))
            try:
                yield f"/srv/{name}", lambda program: _wait_until_ready(receiver, program)
            finally:
                path.unlink()

    def processes(self) -> list[str]:
        """Return the command lines of what runs in the machine."""
        space = f"/proc/{self.pid}/ns/pid"
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if (path / "ns" / "pid").samefile(space):
                    found.append((path / "cmdline").read_bytes().decode(errors="replace").replace("\0", " "))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found

    def power_off(self) -> None:
        """End the machine as a power cut does, and return once nothing in it runs; twice is fine."""
        if self._outer.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self._outer.wait(STOP_TIMEOUT_S)
        for program in self._programs:
            program.entering.wait(STOP_TIMEOUT_S)
        self._programs.clear()


def _wait_until_ready(receiver: socket.socket, program: Program) -> None:
    end = os.pidfd_open(program.entering.pid)
    try:
        while True:
            happened, _, _ = select.select([receiver, end], [], [], START_TIMEOUT_S)
            if receiver not in happened:
                program.kill()
                raise LabError(f"{program.entering.args} never became ready:\n{program.log.read_text()}")
            if b"READY=1" in receiver.recv(4096).splitlines():
                return
    finally:
        os.close(end)
