"""Events over HTTP: followed as server-sent events, read in pages, and those of one VM."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from innkeeper_controller.api import queries
from innkeeper_controller.api.endpoints import Endpoint
from innkeeper_controller.api.feed import Feed
from innkeeper_controller.api.identity import Caller
from innkeeper_controller.api.past import Past
from innkeeper_controller.records import Event, User
from innkeeper_controller.requests.table import Who
from innkeeper_controller.requests.vms import OneVm
from innkeeper_controller.shell import Controller
from innkeeper_controller.store.archive import MAX_PAGE, EventFilter
from innkeeper_controller.turn import RefusalError
from innkeeper_plugins.vocabulary import VmId

_encode = msgspec.json.Encoder().encode

EVENT_STREAM: Final = "text/event-stream"
#: A feed without events says after so long that it is alive.
QUIET_S: Final = 15.0
_MAX_SEQ: Final = 2**53
_FILTERS: Final = (
    ("subject", "What they are about: `vm:7`."),
    ("what", "How their names begin: `step.`"),
    ("operation_id", "The operation that they belong to."),
    ("request_id", "The request that caused them."),
)
_PAGING: Final = (
    ("after", "Only events with higher numbers; without it the newest are given."),
    ("limit", f"At most so many, up to {MAX_PAGE}."),
)
#: Beginnings of the names of what `log` shows.
_LOG: Final = ("operation.", "step.")


class Events:
    """The handlers."""

    def __init__(self, controller: Controller, feed: Feed) -> None:
        """Keep where events come from."""
        self._controller = controller
        self._feed = feed
        self._past = Past(controller)

    async def follow(self, request: Request, caller: Caller) -> Response:
        """Stream, where the client wants a stream."""
        if EVENT_STREAM not in request.headers.get("accept", ""):
            return await self.past(request, caller)
        queries.check_names(request, [name for name, _ in _FILTERS + _PAGING])
        last = request.headers.get("last-event-id", "") or queries.text(request, "after")
        if last and not (last.isascii() and last.isdecimal() and int(last) <= _MAX_SEQ):
            raise RefusalError("bad_request", f"Last-Event-ID has to be the number of an event, not {last!r}.")
        events = self._feed.follow(int(last) if last else None, _filter(request, caller.user), quiet_s=QUIET_S)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_lines(events), media_type=EVENT_STREAM, headers=headers)

    async def past(self, request: Request, caller: Caller) -> Response:
        """Give a page."""
        queries.check_names(request, [name for name, _ in _FILTERS + _PAGING])
        return await self._page(request, _filter(request, caller.user))

    async def history(self, request: Request, caller: Caller) -> Response:
        """Give a page of a VM's events."""
        queries.check_names(request, [name for name, _ in _PAGING])
        vm_id = await self._authorized(request, caller)
        return await self._page(request, EventFilter(subject=f"vm:{vm_id}"))

    async def log(self, request: Request, caller: Caller) -> Response:
        """Give a page of a VM's operations and steps."""
        queries.check_names(request, [name for name, _ in _PAGING])
        vm_id = await self._authorized(request, caller)
        return await self._page(request, EventFilter(subject=f"vm:{vm_id}", what=_LOG))

    async def _page(self, request: Request, wanted: EventFilter) -> Response:
        limit = queries.whole(request, "limit", MAX_PAGE, most=MAX_PAGE)
        after = queries.whole(request, "after", -1, most=_MAX_SEQ)
        reading = self._controller.reading
        if after < 0:
            found = await reading.last_events(limit=limit, wanted=wanted)
        else:
            found = await reading.events(after=after, limit=limit, wanted=wanted)
        return Response(_encode([event for event, _ in found]), media_type="application/json")

    async def _authorized(self, request: Request, caller: Caller) -> VmId:
        """Return the VM's number, if the caller may see the VM: whoever may `show` it.

        Raises:
            RefusalError: ``not_found`` or ``forbidden``.
        """
        text = request.path_params["vm_id"]
        if not (text.isascii() and text.isdecimal()):
            raise RefusalError("bad_request", f"A VM is named by its number, not {text!r}.")
        params = OneVm(vm_id=int(text))
        try:
            await self._controller.request_json("vm.show", params, user=caller.user)
        except RefusalError as refusal:
            if refusal.code != "not_found":
                raise
            await self._past.answer_or(refusal, "vm.show", params, caller.user)
        return VmId(params.vm_id)


def _filter(request: Request, user: User | None) -> EventFilter:
    assert user is not None, "the table lets users only"
    what = queries.text(request, "what")
    return EventFilter(
        subject=queries.text(request, "subject"),
        what=(what,) if what else (),
        operation_id=queries.text(request, "operation_id"),
        request_id=queries.text(request, "request_id"),
        visible_to="" if user.is_admin else user.name,
        visible_from_s=0.0 if user.is_admin else user.created_at_s,
    )


async def _lines(events: AsyncIterator[Event | None]) -> AsyncIterator[bytes]:
    # Told at once, so that a client knows that it misses nothing from here on.
    yield b": connected\n\n"
    async for event in events:
        if event is None:
            yield b": quiet\n\n"
        else:
            yield b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, event.what.encode(), _encode(event))


ENDPOINTS: Final = (
    Endpoint(
        name="event.follow",
        method="GET",
        path="/v1/events",
        who=Who.USER,
        summary="Follow the events as they happen (Accept: text/event-stream; Last-Event-ID goes on), or page.",
        handler=Events.follow,
        query=_FILTERS + _PAGING,
        gives=EVENT_STREAM,
    ),
    Endpoint(
        name="event.past",
        method="GET",
        path="/v1/events/past",
        who=Who.USER,
        summary="Read events that are over, the oldest first.",
        handler=Events.past,
        query=_FILTERS + _PAGING,
    ),
    Endpoint(
        name="vm.history",
        method="GET",
        path="/v1/vms/{vm_id}/history",
        who=Who.USER,
        summary="Read all that has happened to a VM, even after its end.",
        handler=Events.history,
        query=_PAGING,
    ),
    Endpoint(
        name="vm.log",
        method="GET",
        path="/v1/vms/{vm_id}/log",
        who=Who.USER,
        summary="Read the operations and steps of a VM, with the drivers' own words.",
        handler=Events.log,
        query=_PAGING,
    ),
)
