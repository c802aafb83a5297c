"""The demo's own controller and agents as processes, and what else of the demo runs or lies on this machine.

A process belongs to the demo when its command line names the demo's directory, which no other one has ever had.
"""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from stage import DemoError

READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Daemon:
    """A program that runs in the background and has said that it is ready."""

    def __init__(self, argv: list[str], *, environment: Mapping[str, str], log: Path) -> None:
        """Start it and wait until it notifies as systemd is notified.

        Raises:
            DemoError: it ended, or said nothing in time; it does not run any more.
        """
        self.argv = argv
        self.log = log
        address = log.with_suffix(".ready")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver, log.open("ab") as output:
            receiver.bind(str(address))
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**environment, "NOTIFY_SOCKET": str(address)},
                # Ctrl-C is for the demo, which then ends its daemons in order.
                start_new_session=True,
            )
            self._wait_until_ready(receiver)
        address.unlink()

    def _wait_until_ready(self, receiver: socket.socket) -> None:
        end = os.pidfd_open(self.process.pid)
        try:
            deadline_s = time.monotonic() + READY_TIMEOUT_S
            while (left_s := deadline_s - time.monotonic()) > 0:
                happened, _, _ = select.select([receiver, end], [], [], left_s)
                if receiver not in happened:
                    break
                if b"READY=1" in receiver.recv(4096).splitlines():
                    return
        finally:
            os.close(end)
        self.stop()
        raise DemoError(f"{' '.join(self.argv)} did not start:\n{self.log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Ask it to end, and make it end should it not; twice is fine."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def processes_of(directory: Path) -> dict[int, str]:
    """Return ``{pid: command line}`` of every process whose command line names the demo's directory."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if any(str(directory) in word for word in words) and int(entry.name) != os.getpid():
            found[int(entry.name)] = " ".join(words)
    return found


def end_processes(directory: Path) -> None:
    """End everything of the demo: first as a request, then, what is still there, at once."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        _signal_all(directory, signal_number)


def _signal_all(directory: Path, signal_number: signal.Signals) -> None:
    ends = []
    for pid in processes_of(directory):
        try:
            # The descriptor pins the process, so that no other one with its number is hit.
            end = os.pidfd_open(pid)
            ends.append(end)
            if pid in processes_of(directory):
                signal.pidfd_send_signal(end, signal_number)
        except ProcessLookupError:
            continue
    deadline_s = time.monotonic() + STOP_TIMEOUT_S
    for end in ends:
        select.select([end], [], [], max(0.0, deadline_s - time.monotonic()))
        os.close(end)
