"""Requests about operations in progress; ended ones are read from the store."""

from innkeeper_controller import access, operations
from innkeeper_controller.access import Right
from innkeeper_controller.cluster import UNFINISHED
from innkeeper_controller.requests import find
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.requests.views import OperationView, operation_view
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value


class NamedOperation(Value):
    """One operation, by id."""

    operation_id: str


def running(turn: Turn, _params: Nothing) -> tuple[OperationView, ...]:
    """List the operations that go on, those about other people's things only for administrators."""
    found = (turn.cluster.operations[each] for each in turn.cluster.running)
    return tuple(operation_view(turn.cluster, each) for each in access.visible(turn, found))


def show(turn: Turn, params: NamedOperation) -> OperationView:
    """Show one operation."""
    operation = find.operation(turn.cluster, params.operation_id)
    return operation_view(turn.cluster, operation)


def cancel(turn: Turn, params: NamedOperation) -> OperationView:
    """Ask for the end of an operation; it ends when its host has taken it back."""
    operation = find.operation(turn.cluster, params.operation_id)
    if operation.status not in UNFINISHED:
        raise RefusalError("wrong_state", f"Operation {operation.operation_id} has ended: {operation.status}.")
    operations.cancel(turn, operation)
    return operation_view(turn.cluster, turn.cluster.operations[operation.operation_id])


REQUESTS = (
    Request(
        name="operation.list",
        method="GET",
        path="/v1/operations",
        params=Nothing,
        answer=tuple[OperationView, ...],
        who=Who.USER,
        summary="List the operations that go on.",
        handler=running,
    ),
    Request(
        name="operation.show",
        method="GET",
        path="/v1/operations/{operation_id}",
        params=NamedOperation,
        answer=OperationView,
        who=Who.USER,
        summary="Show an operation with its step and progress.",
        handler=show,
        needs=Need(Right.USE, "operation"),
    ),
    Request(
        name="operation.cancel",
        method="POST",
        path="/v1/operations/{operation_id}/cancel",
        params=NamedOperation,
        answer=OperationView,
        who=Who.USER,
        summary="Stop an operation as soon as it can be stopped, and take back what it did.",
        handler=cancel,
        needs=Need(Right.MANAGE, "operation"),
    ),
)
