"""What the request table cannot hold (streams, waiting, files), as a table of its own with the same rules."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from innkeeper_controller.api.body import DisconnectedError
from innkeeper_controller.api.identity import Caller, Headers
from innkeeper_controller.api.refusals import body_of, status_of
from innkeeper_controller.reactor import allow
from innkeeper_controller.requests.table import Who
from innkeeper_controller.turn import RefusalError

METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
#: Status of an answer that nobody reads any more; only logs see it.
NOBODY_THERE: Final = 499

Handler = Callable[[Request, Caller], Awaitable[Response]]
#: A method that is one once it has its object; which class that is, the module of the table knows.
Unbound = Callable[[Any, Request, Caller], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One way in beside the request table."""

    #: Noun and verb: ``event.follow``.
    name: str
    method: str
    path: str
    who: Who
    #: One sentence.
    summary: str
    handler: Unbound
    #: Names and meanings of its query parameters.
    query: tuple[tuple[str, str], ...] = ()
    #: Media type of what it takes and gives; empty for nothing taken.
    takes: str = ""
    gives: str = "application/json"


@dataclass(frozen=True, slots=True)
class Bound:
    """An endpoint that is there."""

    endpoint: Endpoint
    handler: Handler


def bound(endpoints: Iterable[Endpoint], owner: object) -> tuple[Bound, ...]:
    """Return the endpoints whose handlers are methods of ``owner``."""
    return tuple(Bound(each, partial(each.handler, owner)) for each in endpoints)


def refused(refusal: RefusalError) -> Response:
    """Return the refusal as a response."""
    return Response(body_of(refusal), status_of(refusal), media_type="application/json")


def router(
    endpoints: Iterable[Bound],
    callers: Callable[[Headers], Caller],
    methods_of: Callable[[str], list[str]],
    more: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """Return the application of these endpoints, which also says what is wrong with any other path.

    Args:
        endpoints: All of them.
        callers: Gives who asks, by the headers.
        methods_of: Gives the methods that the request table has for a path.
        more: Routes of others on the same port.
    """
    by_path: dict[str, dict[str, Bound]] = {}
    for each in endpoints:
        by_path.setdefault(each.endpoint.path, {})[each.endpoint.method] = each
    routes = [Route(path, _guarded(by_method, callers), methods=METHODS) for path, by_method in by_path.items()]

    async def unknown(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        methods = methods_of(path)
        response = _not_allowed(path, methods) if methods else _nothing_at(path)
        await response(scope, receive, send)

    return Router([*routes, *more], default=unknown, redirect_slashes=False)


def _guarded(
    by_method: Mapping[str, Bound], callers: Callable[[Headers], Caller]
) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of a path behind the same check of rights and the same form of refusals as the table's."""

    async def handle(request: Request) -> Response:
        found = by_method.get(request.method)
        if found is None:
            return _not_allowed(request.url.path, sorted(by_method))
        try:
            caller = callers(request.scope["headers"])
            allow(found.endpoint.who, caller.user)
            return await found.handler(request, caller)
        except RefusalError as refusal:
            return refused(refusal)
        except DisconnectedError:
            return Response(status_code=NOBODY_THERE)

    return handle


def _not_allowed(path: str, methods: list[str]) -> Response:
    allowed = ", ".join(methods)
    response = refused(RefusalError("bad_request", f"{path} takes {allowed} only."))
    response.status_code = HTTPStatus.METHOD_NOT_ALLOWED
    response.headers["Allow"] = allowed
    return response


def _nothing_at(path: str) -> Response:
    return refused(RefusalError("not_found", f"There is nothing at {path}; /v1/openapi.json lists what there is."))
