"""VMs that are DONE, from the store, drawn on a cluster that holds them for this one answer; it decides nothing."""

import copy
from typing import Final

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.namesakes import is_of_another
from innkeeper_controller.records import HistoryRecord, User, VmRecord
from innkeeper_controller.shell import Controller
from innkeeper_controller.store.archive import MAX_PAGE
from innkeeper_plugins.vocabulary import VmId, VmState

#: Most that one answer has: a list of everything that ever was would be no list for people or programs.
MAX_DONE: Final = 10_000


class Past:
    """The archive of VMs."""

    def __init__(self, controller: Controller) -> None:
        """Keep the way to the archive."""
        self._controller = controller

    async def one(self, vm_id: int, user: User) -> Cluster | None:
        """Return a cluster in which that VM is, DONE; None where it is not in the archive, or was a namesake's."""
        live = self._controller.reactor.cluster
        if not 0 <= vm_id <= live.last_ids.get("vm", -1):
            return None
        record = await self._controller.reading.record("vm", vm_id)
        if not isinstance(record, VmRecord) or record.state is not VmState.DONE:
            return None
        if is_of_another(user, record.owner, record.submitted_at_s):
            return None
        return await self._cluster([record])

    async def many(self, first: int, last: int, user: User) -> Cluster:
        """Return a cluster whose VMs are the DONE ones with numbers from ``first`` to ``last``, -1 for no end.

        Those of somebody who had the user's name before are left out.
        """
        found: list[VmRecord] = []
        after = max(first, 0) - 1
        while len(found) < MAX_DONE:
            page = await self._controller.reading.done_vms(after=after, limit=MAX_PAGE, owner="", name="")
            found += [each for each in page if last < 0 or each.vm_id <= last]
            if len(page) < MAX_PAGE or (last >= 0 and page[-1].vm_id >= last):
                break
            after = page[-1].vm_id
        return await self._cluster([each for each in found if not is_of_another(user, each.owner, each.submitted_at_s)])

    async def _cluster(self, vms: list[VmRecord]) -> Cluster:
        stays: dict[VmId, list[HistoryRecord]] = {}
        if vms:
            for stay in await self._controller.reading.stays([each.vm_id for each in vms]):
                stays.setdefault(stay.vm_id, []).append(stay)
        cluster = copy.copy(self._controller.reactor.cluster)
        cluster.vms = {each.vm_id: each for each in vms}
        cluster.history_of = {vm_id: tuple(sorted(each, key=lambda stay: stay.seq)) for vm_id, each in stays.items()}
        return cluster
