"""Answers what VMs took of hosts, those that are DONE too: their stays come from the store.

The handlers of the table answer, on a cluster that holds those stays for this one request; nothing is decided here.
"""

import copy
from typing import Any, Final

from innkeeper_controller.reactor import allow
from innkeeper_controller.records import User
from innkeeper_controller.requests.accounting import Months, Span, span_of
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.shell import Controller
from innkeeper_controller.turn import Turn

#: Requests that are answered here.
ASKED: Final = frozenset({"vm.accounting", "vm.showback"})


async def answer(controller: Controller, name: str, params: Span | Months, user: User | None) -> Any:  # noqa: ANN401 - the table knows the type
    """Return what the request's handler answers about all stays, of the past and of now.

    Raises:
        RefusalError: as the handler does.
    """
    request = REQUESTS[name]
    allow(request.who, user)
    now_s = controller.clock()
    from_s, to_s = span_of(params, now_s)
    stored = await controller.reading.history(from_s=from_s, to_s=to_s, vm_id=params.vm_id, owner=params.owner)
    reactor = controller.reactor
    cluster = copy.copy(reactor.cluster)
    # Memory has those that are not durable yet, and what has changed since.
    cluster.history_records = {each.history_id: each for each in stored} | reactor.cluster.history_records
    turn = Turn(cluster, reactor.settings, now_s, user.name if user else "", user=user)
    return request.handler(turn, params)
