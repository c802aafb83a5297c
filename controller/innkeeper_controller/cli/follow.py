"""Following what was started: operations to their end, VMs to a state at rest, the present step on the terminal."""

import sys
import time
from collections.abc import Iterable
from typing import NamedTuple

from innkeeper_controller.cli import words
from innkeeper_controller.cli.complaints import failure
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Json
from innkeeper_controller.cli.progress import LiveLine, bar
from innkeeper_controller.client import WAIT_SLICE_S, WaitTimeoutError

#: How often an operation is asked for while somebody watches.
LIVE_SLICE_S = 0.3
#: States in which nothing more happens to a VM by itself.
AT_REST = frozenset({"RUNNING", "HOLD", "SUSPENDED", "STOPPED", "POWEROFF", "UNDEPLOYED", "FAILED", "DONE", "UNKNOWN"})


class Deadline(NamedTuple):
    """When patience ends."""

    at_s: float | None

    @classmethod
    def after(cls, timeout_s: float | None) -> "Deadline":
        """Begin now."""
        return cls(None if timeout_s is None else time.monotonic() + timeout_s)

    def left_s(self) -> float | None:
        """Seconds left, not below zero; None for no end."""
        return None if self.at_s is None else max(0.0, self.at_s - time.monotonic())


def follow_operation(inn: Invocation, label: str, operation_id: str, deadline: Deadline) -> Json:
    """Show an operation's steps until it has ended, and return it.

    Args:
        inn: The invocation.
        label: What it is about: ``VM 7``.
        operation_id: Which.
        deadline: When patience ends.

    Raises:
        WaitTimeoutError: it goes on.
    """
    line = LiveLine(sys.stderr)
    slice_s = LIVE_SLICE_S if line.live or inn.verbose else WAIT_SLICE_S
    steps = _Steps(label, line, inn)
    operation: Json = {}
    try:
        for operation in inn.client.watch_operation(operation_id, timeout_s=deadline.left_s(), slice_s=slice_s):
            steps.tell(operation)
            line.draw(f"{label}: {progress_of(operation)}")
    except WaitTimeoutError as late:
        raise WaitTimeoutError(f"{late} {_still(operation)}".strip()) from late
    finally:
        line.wipe()
    return operation


def _still(operation: Json) -> str:
    """Return where an operation stands that took longer than patience, and who says more."""
    kind, _, number = operation.get("subject", "").partition(":")
    more = f" `inn vm why {number}` says more." if kind == "vm" else ""
    return f"It is: {progress_of(operation)}.{more}"


class _Steps:
    """Tells each step once: off a terminal (if more is to be said) when it begins, on one when it is over."""

    def __init__(self, label: str, line: LiveLine, inn: Invocation) -> None:
        self._label, self._line, self._inn = label, line, inn
        self._step = ""
        self._since_s = 0.0

    def tell(self, operation: Json) -> None:
        """Say what is new."""
        ended = operation.get("ended_at_s") is not None
        step = "" if ended else operation.get("step", "").partition(" ")[2]
        if step == self._step:
            return
        now_s = time.monotonic()
        if self._line.live and self._step and operation["status"] in {"running", "done"}:
            self._line.wipe()
            self._inn.note(f"{self._label}: {self._step}, {words.span(now_s - self._since_s)}")
        elif not self._line.live and self._inn.verbose and step:
            self._inn.note(f"{self._label}: {step}")
        self._step, self._since_s = step, now_s


def progress_of(operation: Json) -> str:
    """Return how far an operation is, what matters most first: kind, bar, step and hosts, or whom it waits for."""
    parts = [operation["kind"] + ("" if operation["status"] == "running" else f" {operation['status']}")]
    if operation.get("total_bytes"):
        parts[0] += f" {bar(operation.get('done_bytes', 0), operation['total_bytes'])}"
    if operation.get("waits_for"):
        parts.append(f"waits for host {operation['waits_for']}")
    elif operation.get("step"):
        parts.append(operation["step"].partition(" ")[2])
    if operation.get("hosts"):
        parts.append(f"on {' to '.join(operation['hosts'])}")
    return ", ".join(parts)


def ended(label: str, operation: Json) -> str:
    """Return how an operation ended, in words."""
    took = words.span(max(0.0, (operation.get("ended_at_s") or 0.0) - operation.get("started_at_s", 0.0)))
    if operation["status"] == "failed":
        return f"{label}: {operation['kind']} {failure(operation.get('error') or {})}"
    return f"{label}: {operation['kind']} {operation['status']} in {took}"


def follow_vm(inn: Invocation, vm_id: int, deadline: Deadline, *, until: Iterable[str] = AT_REST) -> Json:
    """Show what happens to a VM until it is in one of the states and no operation runs; return it.

    Raises:
        RefusedError: there is no such VM.
        WaitTimeoutError: it has not come there in time.
    """
    line = LiveLine(sys.stderr)
    wanted = frozenset(until)
    told = ""
    # Listening begins before the first look, so that nothing can happen unseen between the two.
    events = inn.client.events(subject=f"vm:{vm_id}", timeout_s=deadline.left_s())
    try:
        while True:
            vm = inn.call("vm.show", vm_id=vm_id)
            if vm["state"] in wanted and not vm.get("operation_id"):
                return vm
            is_news = told != (told := _tell(inn, line, vm, told))
            if vm.get("operation_id"):
                line.wipe()
                follow_operation(inn, label_of(vm), vm["operation_id"], deadline)
            else:
                if is_news and vm["state"] == "PENDING":
                    _explain(inn, line, vm)
                line.draw(f"{label_of(vm)}: waits for a host", now=True)
                next(events)
    except WaitTimeoutError as late:
        text = f"{label_of(vm)} is {vm['state']} after {words.span(inn.timeout_s or 0)}"
        raise WaitTimeoutError(f"{text}; `inn vm why {vm_id}` says why.") from late
    finally:
        line.wipe()
        events.close()


def _tell(inn: Invocation, line: LiveLine, vm: Json, told: str) -> str:
    """Note the VM's state where it is a new one."""
    where = f" on {vm['host']}" if vm.get("host") else ""
    now = f"{vm['state']}{where}"
    if now != told and (inn.verbose or not line.live):
        line.wipe()
        inn.note(f"{label_of(vm)}: {now}")
    return now


def _explain(inn: Invocation, line: LiveLine, vm: Json) -> None:
    """Say why a VM waits that does not start by itself at once; else nobody knows what is waited for."""
    answer = inn.call("vm.why", vm_id=vm["vm_id"])
    if not answer.get("advice"):
        return
    line.wipe()
    reasons = " ".join(answer[key] for key in ("reason", "nearest_miss") if answer.get(key))
    inn.note(f"{label_of(vm)} waits: {reasons}")
    inn.note(f"  `inn vm why {vm['vm_id']}` says more; Ctrl-C leaves it waiting.")


def came_to(vm: Json) -> str:
    """Return what became of a VM that was followed: its state, and for a failure all that is known of it."""
    where = f" on {vm['host']}" if vm.get("host") and vm["state"] != "DONE" else ""
    if vm["state"] != "FAILED":
        return f"is {vm['state']}{where}."
    last = vm.get("last_operation") or {}
    reason = f"{last['kind']} {failure(last['error'])}" if last.get("error") else vm.get("error", "")
    return f"is FAILED: {reason}\n  `inn vm why {vm['vm_id']}` says more."


def label_of(vm: Json) -> str:
    """Return how a VM is called in messages: ``VM 7 web``."""
    return f"VM {vm['vm_id']} {vm['name']}"
