"""Lets a request in: the one place where the needs that the table declares are checked.

Nothing is carried out here, and nothing is shown.
"""

from collections.abc import Callable
from typing import Any, Final

from innkeeper_controller import access
from innkeeper_controller.access import KIND_OF_NOUN, Right
from innkeeper_controller.records import Record
from innkeeper_controller.requests import find
from innkeeper_controller.requests.table import Request
from innkeeper_controller.turn import Turn

#: ``{noun: what finds the thing that the parameters name}``
NAMED: Final[dict[str, Callable[[Turn, Any], Record]]] = {
    "vm": lambda turn, params: find.vm(turn, params.vm_id),
    "host": lambda turn, params: find.host(turn.cluster, params.host),
    "network": lambda turn, params: find.network(turn.cluster, params.network),
    "image": lambda turn, params: find.image(turn.cluster, params.image),
    "datastore": lambda turn, params: find.datastore(turn.cluster, params.datastore),
    "operation": lambda turn, params: find.operation(turn.cluster, params.operation_id),
    "template": lambda turn, params: find.template(turn.cluster, params.template),
    "user": lambda turn, params: find.user(turn.cluster, params.user),
    "group": lambda turn, params: find.group(turn.cluster, params.group),
    "cluster": lambda turn, params: find.cluster_record(turn.cluster, params.cluster),
    "acl": lambda turn, params: find.acl_rule(turn.cluster, params.rule_id),
}


def admit(turn: Turn, request: Request, params: Any) -> None:  # noqa: ANN401 - the table knows the type
    """Let the request be carried out.

    Raises:
        RefusalError: ``forbidden``, ``locked``, or ``not_found`` where what it names is not there.
    """
    needs = request.needs
    if needs is None:
        return
    if needs.right is Right.CREATE:
        access.authorize_creation(turn, KIND_OF_NOUN[needs.noun])
    else:
        # What is locked may be looked at.
        despite_lock = needs.despite_lock or not request.changes
        access.authorize(turn, needs.right, NAMED[needs.noun](turn, params), despite_lock=despite_lock)
