"""Answers from the store what memory no longer has: VMs that are DONE and operations that have ended.

The handlers of the table answer, on a cluster that holds those records for this one request; nothing is decided here.
"""

import copy
import re

import msgspec

from innkeeper_controller import past_stays
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.namesakes import is_of_another
from innkeeper_controller.reactor import allow
from innkeeper_controller.records import Operation, User, VmRecord
from innkeeper_controller.requests.accounting import Months, Span
from innkeeper_controller.requests.admission import admit
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.requests.vms import ListVms
from innkeeper_controller.shell import Controller
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import OperationId, Value, VmId, VmState

_encode = msgspec.json.Encoder().encode

#: Requests about one thing that may have ended.
_ABOUT_ONE = frozenset({"vm.show", "vm.plan", "operation.show"})
_OPERATION_ID = re.compile(r"o[0-9]{1,18}")


class Past:
    """The archive behind the request table."""

    def __init__(self, controller: Controller) -> None:
        """Keep the way to the archive."""
        self._controller = controller

    @staticmethod
    def is_asked(name: str, params: Value) -> bool:
        """Whether the request is about what memory never has."""
        if name in past_stays.ASKED:
            return True
        return name == "vm.list" and isinstance(params, ListVms) and params.state.upper() == VmState.DONE

    @staticmethod
    def may_know(name: str) -> bool:
        """Whether the archive may have what memory has not."""
        return name in _ABOUT_ONE

    async def answer(self, name: str, params: Value, user: User | None) -> bytes:
        """List DONE VMs, or tell what VMs took of hosts.

        Raises:
            RefusalError: as the request's handler does.
        """
        if isinstance(params, Span | Months):
            return _encode(await past_stays.answer(self._controller, name, params, user))
        assert isinstance(params, ListVms), "what else is about the past alone"
        allow(REQUESTS[name].who, user)
        # Other people's are asked for by nobody but administrators: a page of them would come out empty.
        owner = params.owner if user is None or user.is_admin else user.name
        if params.owner not in {"", owner}:
            return _encode(())
        vms = await self._controller.reading.done_vms(
            after=params.after, limit=max(1, params.limit), owner=owner, name=params.name
        )
        return self._handled(name, params, user, self._cluster(*[each for each in vms if _is_of(each, user)]))

    async def answer_or(self, refusal: RefusalError, name: str, params: Value, user: User | None) -> bytes:
        """Answer with what the archive has.

        Raises:
            RefusalError: ``refusal``, where it has nothing either; or as the request's handler does.
        """
        records = await self._found(params)
        if not records or not all(_is_of(each, user) for each in records):
            raise refusal
        return self._handled(name, params, user, self._cluster(*records))

    async def _found(self, params: Value) -> list[VmRecord | Operation]:
        reading = self._controller.reading
        vm_id, operation_id = getattr(params, "vm_id", -1), getattr(params, "operation_id", "")
        if 0 <= vm_id <= self._controller.reactor.cluster.last_ids.get("vm", -1):
            vm = await reading.record("vm", vm_id)
            operation_id = getattr(vm, "last_operation_id", None) or ""
            found = [vm, await reading.record("operation", operation_id)]
        elif _OPERATION_ID.fullmatch(operation_id):
            operation = await reading.record("operation", operation_id)
            # With what it was about: who may see that, may see it.
            kind, _, number = getattr(operation, "subject", "").partition(":")
            found = [operation, await reading.record("vm", int(number)) if kind == "vm" else None]
        else:
            found = []
        return [record for record in found if isinstance(record, VmRecord | Operation)]

    def _cluster(self, *records: VmRecord | Operation) -> Cluster:
        """Return a cluster with these records instead of its own of those kinds, for reading only."""
        cluster = copy.copy(self._controller.reactor.cluster)
        cluster.vms = {VmId(each.vm_id): each for each in records if isinstance(each, VmRecord)}
        cluster.operations = {OperationId(each.operation_id): each for each in records if isinstance(each, Operation)}
        return cluster

    def _handled(self, name: str, params: Value, user: User | None, cluster: Cluster) -> bytes:
        request = REQUESTS[name]
        allow(request.who, user)
        turn = Turn(cluster, self._controller.reactor.settings, 0.0, user.name if user else "", user=user)
        admit(turn, request, params)
        return _encode(request.handler(turn, params))


def _is_of(record: VmRecord | Operation, user: User | None) -> bool:
    """Return whether a VM is from the time of the user: whoever has an old name anew has nothing of before."""
    return not (isinstance(record, VmRecord) and is_of_another(user, record.owner, record.submitted_at_s))
