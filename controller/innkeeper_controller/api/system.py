"""Endpoints about the controller itself: its health, its numbers, its document, and whether its log is its state."""

from collections.abc import Callable
from typing import Final

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from innkeeper_controller.api.endpoints import Endpoint
from innkeeper_controller.api.identity import Caller
from innkeeper_controller.api.metrics import Metrics
from innkeeper_controller.requests.system import Verdict
from innkeeper_controller.requests.table import Who
from innkeeper_controller.shell import Controller
from innkeeper_controller.verify import Finding

_JSON: Final = "application/json"
_encode = msgspec.json.Encoder().encode
_UNAVAILABLE: Final = 503


class System:
    """The handlers."""

    def __init__(self, controller: Controller, metrics: Metrics, document: Callable[[], object]) -> None:
        """Keep where the answers are; ``document`` makes the OpenAPI document, once."""
        self._controller, self._metrics, self._document = controller, metrics, document
        self._encoded_document = b""

    async def health(self, _request: Request, _caller: Caller) -> Response:
        """Say how it is."""
        trouble = self._controller.pipeline.trouble
        answer = {"status": "unavailable", "reason": trouble} if trouble else {"status": "ok"}
        return Response(_encode(answer), _UNAVAILABLE if trouble else 200, media_type=_JSON)

    async def metrics(self, _request: Request, _caller: Caller) -> Response:
        """Give the numbers."""
        return Response(self._metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def openapi(self, _request: Request, _caller: Caller) -> Response:
        """Describe the API."""
        self._encoded_document = self._encoded_document or _encode(self._document())
        return Response(self._encoded_document, media_type=_JSON)

    async def verify_log(self, _request: Request, _caller: Caller) -> Response:
        """Compare the log with the tables."""
        await self._controller.pipeline.settled()
        checked, found = await self._controller.reading.differences(None)
        findings = tuple(Finding(check="log", subject=text.split(":")[0], message=text) for text in found)
        return Response(_encode(Verdict(findings=findings, checked=checked)), media_type=_JSON)


ENDPOINTS: Final = (
    Endpoint(
        name="system.health",
        method="GET",
        path="/healthz",
        who=Who.ANYONE,
        summary="Say whether requests are being answered; 503 with the reason while nothing can be written.",
        handler=System.health,
    ),
    Endpoint(
        name="system.metrics",
        method="GET",
        path="/metrics",
        who=Who.ANYONE,
        summary="Give the controller's numbers to Prometheus.",
        handler=System.metrics,
        gives="text/plain",
    ),
    Endpoint(
        name="system.openapi",
        method="GET",
        path="/v1/openapi.json",
        who=Who.ANYONE,
        summary="Describe the whole API as OpenAPI 3.1.",
        handler=System.openapi,
    ),
    Endpoint(
        name="system.verify_log",
        method="GET",
        path="/v1/verify/log",
        who=Who.ADMIN,
        summary="Tell the whole log again and check that it gives the state; takes a while where it is long.",
        handler=System.verify_log,
    ),
)
