"""The Python client of the public API: requests by name, waiting, events, consoles and uploads.

It prints nothing, reads no environment and knows no request's meaning: ``cli/routes.py`` says where each one goes.
Not for several threads at once, except that a console may be read in one and written in another.
"""

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO
from urllib.parse import quote, urlencode

from innkeeper_controller.cli.routes import ROUTES
from innkeeper_controller.client_http import BROKEN, Json, Link, RefusedError, UnreachableError
from innkeeper_controller.client_streams import ConsoleStream, EventStream, WaitTimeoutError

__all__ = ["Client", "ConsoleStream", "RefusedError", "UnreachableError", "WaitTimeoutError"]

#: Events that are fetched in one request; the controller gives no more.
EVENTS_PAGE = 1000
#: How long one wait for an operation lasts at the controller before it is asked again.
WAIT_SLICE_S = 20.0


class Client:
    """One person's or program's way to a controller."""

    def __init__(self, endpoint: str, token: str = "", *, timeout_s: float = 60.0) -> None:
        """Connect nowhere yet.

        Args:
            endpoint: ``http://host:port``.
            token: What the controller knows the user by; empty for requests that anyone may make.
            timeout_s: Longest silence of the controller during one request.

        Raises:
            ValueError: the endpoint is no address.
        """
        self.link = Link(endpoint, token, timeout_s=timeout_s)

    def close(self) -> None:
        """Let go of the connection; the next call makes a new one."""
        self.link.close()

    def call(self, name: str, /, *, request_id: str = "", **params: object) -> Json:
        """Make one request of the table and return its answer, decoded.

        Args:
            name: ``vm.submit``.
            request_id: Makes the request idempotent; by default a new one for each call.
            params: By name; those that are None are left out.

        Raises:
            RefusedError: the controller refused; nothing has changed.
            UnreachableError: there was no answer.
            ValueError: there is no such request, or a parameter is missing that its path needs.
        """
        if name not in ROUTES:
            raise ValueError(f"There is no request {name!r}; `inn requests` lists them.")
        method, path = ROUTES[name]
        target, rest = fill(path, {key: value for key, value in params.items() if value is not None})
        if method in {"GET", "DELETE"}:
            return self.link.request(method, f"{target}{query(rest)}", request_id=request_id)
        return self.link.request(method, target, body=rest, request_id=request_id)

    def wait_operation(self, operation_id: str, *, timeout_s: float | None = None) -> Json:
        """Return the operation once it has ended.

        Raises:
            WaitTimeoutError: it goes on after ``timeout_s``.
        """
        *_, last = self.watch_operation(operation_id, timeout_s=timeout_s)
        return last

    def watch_operation(
        self, operation_id: str, *, timeout_s: float | None = None, slice_s: float = WAIT_SLICE_S
    ) -> Iterator[Json]:
        """Give the operation every ``slice_s`` seconds, and last of all when it has ended.

        Raises:
            WaitTimeoutError: it goes on after ``timeout_s``.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = slice_s if deadline_s is None else max(0.0, min(slice_s, deadline_s - time.monotonic()))
            operation = self.link.request(
                "GET", f"/v1/operations/{quote(operation_id, safe='')}/wait?timeout_s={left_s:.3f}"
            )
            yield operation
            if operation.get("ended_at_s") is not None:
                return
            if deadline_s is not None and time.monotonic() >= deadline_s:
                raise WaitTimeoutError(f"Operation {operation_id} has not ended in time.")

    def wait_vm(self, vm_id: int, *, state: str = "RUNNING", timeout_s: float | None = None) -> Json:
        """Return the VM once it rests in that state, or is FAILED or DONE instead.

        Raises:
            RefusedError: there is no such VM.
            WaitTimeoutError: it has not come there in time.
        """
        # Listening begins before the first look, so that nothing can happen unseen between the two.
        with contextlib.closing(self.events(subject=f"vm:{vm_id}", timeout_s=timeout_s)) as events:
            while True:
                vm = self.call("vm.show", vm_id=vm_id)
                if vm["state"] in {state, "FAILED", "DONE"} and not vm.get("operation_id"):
                    return vm
                try:
                    next(events)
                except WaitTimeoutError as late:
                    text = f"VM {vm_id} is {vm['state']} and has not become {state} in time."
                    raise WaitTimeoutError(text) from late

    def upload(self, file: IO[bytes], size_bytes: int, progress: Callable[[int], None] | None = None) -> Json:
        """Send a file's bytes and return ``{"sha256", "size_bytes", "upload_id"}``.

        Args:
            file: Read once, from where it stands to ``size_bytes`` further.
            size_bytes: How many bytes there are.
            progress: Called with how many bytes have been sent.

        Raises:
            RefusedError: refused, or the controller got other bytes than were sent (``bad_upload``).
            UnreachableError: the connection broke.
        """
        digest = hashlib.sha256()

        def read() -> Iterator[bytes]:
            sent_bytes = 0
            for chunk in chunks_of(file, size_bytes):
                digest.update(chunk)
                yield chunk
                sent_bytes += len(chunk)
                if progress is not None:
                    progress(sent_bytes)

        uploaded = self.link.send("/v1/uploads", read(), size_bytes)
        if uploaded["sha256"] != digest.hexdigest():
            raise RefusedError("bad_upload", "The controller received other bytes than were sent; upload it again.")
        return uploaded

    def events(self, *, after: str = "", timeout_s: float | None = None, **filters: object) -> EventStream:
        """Give events as they happen, from now on; goes on over broken connections without a gap.

        Args:
            after: Begin behind the event with that number; empty for what happens from this call on.
            timeout_s: How long to listen; None for ever.
            filters: Query parameters, such as ``subject``.

        Raises:
            RefusedError: the controller refused.
            UnreachableError: the controller is gone for longer than the retries last.
            WaitTimeoutError: the time is over.
        """
        stream = EventStream(self.link, f"/v1/events{query(filters)}", after, timeout_s)
        stream.open()
        return stream

    def past_events(self, **filters: object) -> Json:
        """Return events that are over, the oldest first, as the query parameters narrow them."""
        return self.link.request("GET", f"/v1/events/past{query(filters)}")

    def history(self, vm_id: int) -> list[Json]:
        """Return all events of a VM, even after its end."""
        return self._all_events(f"/v1/vms/{vm_id}/history")

    def log(self, vm_id: int) -> list[Json]:
        """Return the events of a VM's operations and steps, with the drivers' words."""
        return self._all_events(f"/v1/vms/{vm_id}/log")

    def verify_log(self) -> Json:
        """Return what telling the whole log again finds, in the form of ``system.verify``."""
        return self.link.request("GET", "/v1/verify/log")

    def version(self) -> str:
        """Return the controller's version."""
        return str(self.link.request("GET", "/v1/openapi.json")["info"]["version"])

    def _all_events(self, path: str) -> list[Json]:
        found: list[Json] = []
        while True:
            after = found[-1]["seq"] if found else 0
            page = self.link.request("GET", f"{path}?after={after}&limit={EVENTS_PAGE}")
            found += page
            if len(page) < EVENTS_PAGE:
                return found

    def console(self, vm_id: int) -> ConsoleStream:
        """Open a guest's serial console.

        Raises:
            RefusedError: the guest does not run, or its host is not there.
            UnreachableError: there was no answer.
        """
        try:
            stream = self.link.stream(f"/v1/vms/{vm_id}/console", {}, silence_s=None)
        except BROKEN as broken:
            raise UnreachableError(f"The console of VM {vm_id} did not open: {broken}.") from broken
        return ConsoleStream(self.link, vm_id, stream)


def fill(path: str, params: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """Return the path with its ``{names}`` filled in, and the parameters that are left."""
    rest = dict(params)
    if missing := [name for name in re.findall(r"\{(\w+)\}", path) if name not in rest]:
        raise ValueError(f"{path} needs {', '.join(missing)}.")
    return re.sub(r"\{(\w+)\}", lambda match: quote(str(rest.pop(match[1])), safe=""), path), rest


def query(params: Mapping[str, object]) -> str:
    """Return the query string with its question mark; empty where there are no parameters."""
    pairs = [(key, _text(value)) for key, value in params.items() if value is not None]
    return f"?{urlencode(pairs, doseq=True)}" if pairs else ""


def _text(value: object) -> str | list[str]:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return [str(each) for each in value]
    return str(value)


def chunks_of(file: IO[bytes], size_bytes: int, *, chunk_bytes: int = 1024 * 1024) -> Iterator[bytes]:
    """Give the next ``size_bytes`` of a file in chunks; fewer where the file ends before."""
    left_bytes = size_bytes
    while left_bytes > 0:
        chunk = file.read(min(chunk_bytes, left_bytes))
        if not chunk:
            return
        left_bytes -= len(chunk)
        yield chunk
