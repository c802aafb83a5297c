"""The built-in scheduler: lets waiting VMs and free hosts meet, through the same ``deploy`` that people use.

It decides nothing itself: ``queueing`` has the order and ``scheduling`` the choice; here is only what is done with it.
"""

from collections import deque
from itertools import islice
from typing import Final

import msgspec

from innkeeper_controller import actions
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.placement import queueing
from innkeeper_controller.placement.departures import placer_of
from innkeeper_controller.placement.fitting import demand_of
from innkeeper_controller.placement.waits import NO_HOST, why_waits
from innkeeper_controller.records import Moment, VmRecord
from innkeeper_controller.scheduling.choice.alike import is_kept_away
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.model import Demand, Placement
from innkeeper_controller.scheduling.order import queue
from innkeeper_controller.scheduling.order.queue import Limits
from innkeeper_controller.turn import Mark, RefusalError, Turn
from innkeeper_plugins.vocabulary import HostId, VmId, VmState

_replace = msgspec.structs.replace

ACTOR = "scheduler"
#: At most so many VMs are looked at in one turn, so that a turn stays short.
BATCH: Final = 64
#: Hosts that are tried for one VM before it is left for later, where records do not hold what the columns promised.
MAX_TRIES: Final = 4
#: A line that is older is made anew, so that who came meanwhile is in it.
LINE_UP_INTERVAL_S: Final = 1.0
#: Why a VM waits is asked anew no more often: it may be asked of many.
NOTE_INTERVAL_S: Final = 60.0
#: VMs that are looked at again in one tick because what was told of them may be out of date.
MAX_AGAIN: Final = 4


class Scheduler:
    """Goes through the line of those who wait; who fits nowhere is looked at again once something became better."""

    def __init__(self) -> None:
        """Begin knowing nothing."""
        self._placer: Placer | None = None
        #: What is still to be looked at, in order as it was then; gangs together.
        self._line: deque[tuple[VmId, ...]] = deque()
        self._lined_up_at_s: Moment = 0.0
        #: ``{VM: hosts for which no plan could be made}``, until something becomes better.
        self._refused: dict[VmId, frozenset[HostId]] = {}
        self._noted_at_s: dict[VmId, Moment] = {}
        #: VMs that were looked at too soon to ask anew why they wait: what is told of them may be out of date.
        self._outdated: dict[VmId, None] = {}
        #: What the VM that was explained last asks, and why it waits: many that are alike come one after the other.
        self._explained: tuple[object, str] | None = None

    def run(self, turn: Turn) -> None:
        """Deploy what fits: VMs that are new, or all that wait once something became better; a limited number."""
        cluster = turn.cluster
        # What plugins say may be otherwise in another turn.
        self._explained = None
        if cluster.freed:
            cluster.freed = False
            cluster.unconsidered = dict(cluster.pending)
            self._refused.clear()
            self._line.clear()
            self._noted_at_s = {each: at_s for each, at_s in self._noted_at_s.items() if each in cluster.pending}
        if turn.settings.scheduler == "none":
            cluster.unconsidered.clear()
        if turn.now_s - self._lined_up_at_s > LINE_UP_INTERVAL_S:
            self._line.clear()
        if not self._line and cluster.unconsidered:
            self._begin(turn)
        limits = queueing.limits_of(cluster, turn.settings)
        looked_at = 0
        while self._line and looked_at < BATCH:
            unit = self._line.popleft()
            looked_at += len(unit)
            self._look_at(turn, unit, limits)

    def on_tick(self, turn: Turn) -> None:
        """Let some be looked at again of whom something was told that may have changed since; nothing else may come."""
        for vm_id in list(islice(self._outdated, MAX_AGAIN)):
            if vm_id not in turn.cluster.pending:
                del self._outdated[vm_id]
            elif not self._was_just_asked(turn, vm_id):
                del self._outdated[vm_id]
                turn.cluster.unconsidered[vm_id] = None

    def forget(self) -> None:
        """Ask everything of every host again: what a plugin said may have been wrong."""
        self._placer = self._explained = None

    def _begin(self, turn: Turn) -> None:
        """Put those whom nobody has looked at in line; who is left out is told why."""
        cluster = turn.cluster
        self._lined_up_at_s = turn.now_s
        line = queueing.line_of(cluster, turn.settings, turn.now_s, cluster.unconsidered)
        self._line.extend(line.units)
        for vm_id, left_out in line.left_out.items():
            cluster.unconsidered.pop(vm_id, None)
            self._note(turn, cluster.vms[vm_id], left_out.words)

    def _look_at(self, turn: Turn, unit: tuple[VmId, ...], limits: Limits) -> None:
        """Place the VMs of a unit, all or none."""
        cluster = turn.cluster
        vms = [vm for vm_id in unit if (vm := cluster.vms.get(vm_id)) is not None and vm.state is VmState.PENDING]
        for vm_id in unit:
            cluster.unconsidered.pop(vm_id, None)
        if len(vms) < len(unit):
            # One has ended meanwhile: those that are left are lined up anew.
            cluster.unconsidered.update(dict.fromkeys(vm.vm_id for vm in vms))
            return
        if not cluster.hosts:
            self._leave_out(turn, vms, NO_HOST)
            return
        refusal = limits.refusal(vms[0].owner, len(vms))
        if refusal is not None:
            self._leave_out(turn, vms, refusal.words, next_pass=refusal.next_pass)
            return
        mark = turn.mark()
        told = {vm_id: words for vm_id in unit if (words := cluster.waits.get(vm_id))}
        for vm in vms:
            if not self._place(turn, vm):
                # Why is asked while those of its gang that fit have taken their hosts.
                why = "" if self._was_just_asked(turn, vm.vm_id) else self._why_not(turn, vm)
                placed = sum(turn.cluster.vms[each.vm_id].state is not VmState.PENDING for each in vms)
                self._take_back(turn, mark, unit, told)
                if not why:
                    self._outdated[vm.vm_id] = None
                    return
                gang = vm.wishes.gang
                words = queue.too_large(gang, waiting=len(vms), fitting=placed, why=why) if gang is not None else why
                self._leave_out(turn, vms, words)
                return
        limits.count(vms[0].owner, len(vms))

    def _take_back(self, turn: Turn, mark: Mark, unit: tuple[VmId, ...], told: dict[VmId, str]) -> None:
        """Let the VMs of a unit wait as before: what they give back is nothing new to others, nor they to the line."""
        cluster, freed = turn.cluster, turn.cluster.freed
        turn.take_back(mark)
        cluster.freed = freed
        for vm_id in unit:
            cluster.unconsidered.pop(vm_id, None)
        cluster.waits.update(told)

    def _leave_out(self, turn: Turn, vms: list[VmRecord], words: str, *, next_pass: bool = False) -> None:
        for vm in vms:
            if next_pass:
                turn.cluster.unconsidered[vm.vm_id] = None
            self._note(turn, turn.cluster.vms[vm.vm_id], words)

    def _place(self, turn: Turn, vm: VmRecord) -> bool:
        """Deploy a VM on the best host; where its records refuse that one, on the next best."""
        if not _within_reach(turn.cluster, vm):
            return False
        placer = self._placer_for(turn)
        for _ in range(MAX_TRIES):
            found = placer.choose(self._demand_of(turn.cluster, vm))
            if found is None:
                return False
            if self._deploy(turn, vm, found):
                return True
        return False

    def _deploy(self, turn: Turn, vm: VmRecord, found: Placement) -> bool:
        mark = turn.mark()
        try:
            actions.deploy(turn, vm, turn.cluster.hosts[found.host_id], fits=True)
        except RefusalError:
            # The columns promised what the records do not hold: another host may do, as `why` will tell.
            freed = turn.cluster.freed
            turn.take_back(mark)
            turn.cluster.freed = freed
            self._refused[vm.vm_id] = self._refused.get(vm.vm_id, frozenset()) | {found.host_id}
            return False
        self._noted_at_s.pop(vm.vm_id, None)
        return True

    def _demand_of(self, cluster: Cluster, vm: VmRecord) -> Demand:
        refused = self._refused.get(vm.vm_id)
        demand = demand_of(cluster, vm)
        return _replace(demand, excluded=refused) if refused else demand

    def _placer_for(self, turn: Turn) -> Placer:
        if self._placer is None or self._placer.fleet is not turn.cluster.fleet:
            self._placer, self._explained = placer_of(turn), None
        return self._placer

    def _was_just_asked(self, turn: Turn, vm_id: VmId) -> bool:
        """Say whether it is too soon to ask anew why a VM waits of which something is told."""
        last = self._noted_at_s.get(vm_id)
        return last is not None and turn.now_s - last < NOTE_INTERVAL_S and vm_id in turn.cluster.waits

    def _why_not(self, turn: Turn, vm: VmRecord) -> str:
        self._noted_at_s[vm.vm_id] = turn.now_s
        cluster, placer = turn.cluster, self._placer_for(turn)
        demand = self._demand_of(cluster, vm)
        if demand.excluded or is_kept_away(demand, cluster.fleet):
            # These are told by their number.
            return why_waits(cluster, vm, demand, placer.search)
        seen = (cluster.fleet.changes.seen, cluster.fleet.became.seen)
        question = (_replace(demand, vm_id=VmId(0)), vm.spec.images, vm.sealed, vm.sealed_on, seen)
        if self._explained is None or self._explained[0] != question:
            self._explained = (question, why_waits(cluster, vm, demand, placer.search))
        return self._explained[1]

    def _note(self, turn: Turn, vm: VmRecord, words: str) -> None:
        """Keep why a VM waits, for its record as people see it."""
        if vm.vm_id not in turn.cluster.pending or turn.cluster.waits.get(vm.vm_id) == words:
            return
        turn.cluster.waits[vm.vm_id] = words


def _within_reach(cluster: Cluster, vm: VmRecord) -> bool:
    """Say whether the VM's images and files are on hosts that are there; elsewhere it can start nowhere."""
    if vm.sealed:
        old_host = cluster.hosts.get(vm.sealed_on) if vm.sealed_on is not None else None
        if old_host is None or not old_host.connected:
            return False
    return all(_is_held(cluster, ref.sha256) for ref in vm.spec.images)


def _is_held(cluster: Cluster, digest: str) -> bool:
    return any(cluster.hosts[host_id].connected for host_id in cluster.placement.holders.get(digest, ()))
