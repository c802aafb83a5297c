"""Waiting for operations over HTTP: the one request that takes as long as what it is about."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from innkeeper_controller.api import queries
from innkeeper_controller.api.endpoints import Endpoint
from innkeeper_controller.api.identity import Caller
from innkeeper_controller.api.past import Past
from innkeeper_controller.requests.operations import NamedOperation
from innkeeper_controller.requests.table import Who
from innkeeper_controller.shell import Controller
from innkeeper_controller.turn import RefusalError

#: Longest wait of one request; a client that wants to wait longer asks again.
MAX_WAIT_S: Final = 60.0
_DEFAULT_WAIT_S: Final = 20.0


class Operations:
    """The handler."""

    def __init__(self, controller: Controller) -> None:
        """Keep whom to ask."""
        self._controller = controller
        self._past = Past(controller)

    async def wait(self, request: Request, caller: Caller) -> Response:
        """Wait and show."""
        queries.check_names(request, ("timeout_s",))
        timeout_s = queries.seconds(request, "timeout_s", _DEFAULT_WAIT_S, most=MAX_WAIT_S)
        params = NamedOperation(operation_id=request.path_params["operation_id"])
        await self._controller.wait_operation(params.operation_id, timeout_s)
        try:
            body = await self._controller.request_json("operation.show", params, user=caller.user)
        except RefusalError as refusal:
            if refusal.code != "not_found":
                raise
            body = await self._past.answer_or(refusal, "operation.show", params, caller.user)
        return Response(body, media_type="application/json")


ENDPOINTS: Final = (
    Endpoint(
        name="operation.wait",
        method="GET",
        path="/v1/operations/{operation_id}/wait",
        who=Who.USER,
        summary="Wait until an operation has ended, and show it; `ended_at_s` says whether it has.",
        handler=Operations.wait,
        query=(("timeout_s", f"Longest wait, up to {MAX_WAIT_S:g} s."),),
    ),
)
