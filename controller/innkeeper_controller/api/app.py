"""The HTTP application: requests of the table on the shortest way, everything else through Starlette."""

import time

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from innkeeper_controller.api.body import DisconnectedError, read_body
from innkeeper_controller.api.identity import Caller, caller_of
from innkeeper_controller.api.past import Past
from innkeeper_controller.api.refusals import body_of, status_of
from innkeeper_controller.api.routes import Found, Routes
from innkeeper_controller.api.traffic import Traffic
from innkeeper_controller.opennebula.endpoint import PATHS as XMLRPC_PATHS
from innkeeper_controller.reactor import allow
from innkeeper_controller.shell import Controller
from innkeeper_controller.turn import RefusalError

_log = structlog.get_logger("api")
_JSON = (b"content-type", b"application/json")
OK = 200


class Api:
    """The ASGI application."""

    def __init__(
        self,
        controller: Controller,
        routes: Routes,
        others: ASGIApp,
        traffic: Traffic,
        *,
        xmlrpc: ASGIApp,
        max_request_bytes: int,
    ) -> None:
        """Keep whom to ask.

        Args:
            controller: Answers.
            routes: Those of the request table.
            others: Gets every path that the request table does not have.
            traffic: Counts.
            xmlrpc: Answers OpenNebula's clients.
            max_request_bytes: Longest body.
        """
        self._controller = controller
        self._others = others
        self._xmlrpc = xmlrpc
        self._traffic = traffic
        self._max_request_bytes = max_request_bytes
        self._routes = routes
        self._past = Past(controller)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["raw_path"] in XMLRPC_PATHS:
            await self._xmlrpc(scope, receive, send)
            return
        found = self._routes.find(scope["method"], scope["raw_path"].decode("ascii"))
        if found is None:
            await self._others(scope, receive, send)
            return
        began_s = time.perf_counter()
        caller_id = ""
        try:
            caller = caller_of(scope["headers"], self._controller.reactor.cluster, self._controller.clock())
            caller_id = caller.request_id
            status, body = OK, await self._answer(found, caller, scope, receive)
        except RefusalError as refusal:
            status, body = status_of(refusal), body_of(refusal)
        except DisconnectedError:
            return
        await _send(send, status, body)
        name = found.route.request.name
        took_s = time.perf_counter() - began_s
        self._traffic.count(name, status, took_s)
        # The log of events is the audit; a line here for each request would cost more than the request.
        _log.debug("request", request=name, status=status, took_s=took_s, request_id=caller_id)

    async def _answer(self, found: Found, caller: Caller, scope: Scope, receive: Receive) -> bytes:
        route = found.route
        # Before anything of the body is read: strangers cost nothing and learn nothing.
        allow(route.request.who, caller.user)
        body = b""
        if route.parameters.has_body:
            body = await read_body(receive, max_bytes=self._max_request_bytes)
        params = route.parameters.read(found.in_path, scope["query_string"], body)
        name = route.request.name
        if self._past.is_asked(name, params):
            return await self._past.answer(name, params, caller.user)
        try:
            return await self._controller.request_json(name, params, user=caller.user, request_id=caller.request_id)
        except RefusalError as refusal:
            if refusal.code == "not_found" and self._past.may_know(name):
                return await self._past.answer_or(refusal, name, params, caller.user)
            raise


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [_JSON, (b"content-length", str(len(body)).encode("ascii"))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
