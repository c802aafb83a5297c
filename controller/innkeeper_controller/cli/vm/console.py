"""``inn vm console``: a guest's serial console in a terminal, or printed for a script."""

import contextlib
import os
import queue
import select
import sys
import termios
import threading
import tty
from collections.abc import Generator, Iterator

import click

from innkeeper_controller.cli.commands import verb
from innkeeper_controller.cli.complete import vms as complete_vms
from innkeeper_controller.cli.follow import Deadline
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.vm.names import vm_id_of
from innkeeper_controller.client import ConsoleStream, WaitTimeoutError

#: Control-].
ESCAPE = b"\x1d"
#: Bytes of the guest's output that are searched for ``--until``.
KEPT_BYTES = 65536


@verb(
    "console",
    "inn vm console 7",
    "inn vm console 7 --until 'login:' --timeout 60s",
    timed=True,
    shows=False,
)
@click.argument("vm", metavar="VM", shell_complete=complete_vms)
@click.option("--until", metavar="TEXT", help="Print until the guest has printed that, then end.")
@click.option("--print", "only_print", is_flag=True, help="Print only, even on a terminal.")
def console(inn: Invocation, vm: str, until: str | None, *, only_print: bool) -> None:
    """Open a VM's serial console, or print it.

    On a terminal what you type goes to the guest, and Ctrl-] leaves. With --until, --print, or without a terminal it
    only prints, until Ctrl-C, the end of the console, the text or the timeout.
    """
    stream = inn.client.console(vm_id_of(inn, vm))
    deadline = Deadline.after(inn.timeout_s)
    try:
        if until is None and not only_print and sys.stdin.isatty() and sys.stdout.isatty():
            inn.note(f"Console of VM {vm}. Ctrl-] leaves.\r")
            with _raw(sys.stdin.fileno()):
                _talk(stream, sys.stdin.fileno())
            inn.note("\nLeft the console; the guest runs on.")
        else:
            _print(inn, stream, until, deadline)
    finally:
        stream.close()


def _chunks(stream: ConsoleStream) -> "queue.SimpleQueue[bytes]":
    """Read the stream in a thread; an empty chunk says that it has ended."""
    chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        while chunk := stream.read():
            chunks.put(chunk)
        chunks.put(b"")

    threading.Thread(target=read, daemon=True, name="console").start()
    return chunks


def _print(inn: Invocation, stream: ConsoleStream, until: str | None, deadline: Deadline) -> None:
    sought = until.encode() if until else b""
    seen = b""
    for chunk in _in_time(stream, deadline, until):
        sys.stdout.buffer.write(chunk)
        sys.stdout.flush()
        seen = (seen + chunk)[-KEPT_BYTES - len(sought) :]
        if sought and sought in seen:
            inn.say("")
            return
    if sought:
        inn.note(f"error: The console ended before it showed {until!r}.")
        raise click.exceptions.Exit(1)


def _in_time(stream: ConsoleStream, deadline: Deadline, until: str | None) -> Iterator[bytes]:
    chunks = _chunks(stream)
    while True:
        try:
            chunk = chunks.get(timeout=deadline.left_s())
        except queue.Empty:
            if until is None:
                return
            raise WaitTimeoutError(f"The console has not shown {until!r} in time.") from None
        if not chunk:
            return
        yield chunk


@contextlib.contextmanager
def _raw(descriptor: int) -> Generator[None]:
    """Give every key to us, and the terminal back as it was."""
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _talk(stream: ConsoleStream, typed: int) -> None:
    """Carry bytes both ways until Ctrl-] or the console's end."""
    woken, wake = os.pipe()

    def show() -> None:
        while chunk := stream.read():
            os.write(sys.stdout.fileno(), chunk)
        os.write(wake, b".")

    threading.Thread(target=show, daemon=True, name="console").start()
    while True:
        ready, _, _ = select.select([typed, woken], [], [])
        if woken in ready:
            return
        data, escape, _ = os.read(typed, 1024).partition(ESCAPE)
        if data:
            stream.write(data)
        if escape or not data:
            return
