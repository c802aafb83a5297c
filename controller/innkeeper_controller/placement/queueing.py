"""The queue of a cluster: who is placed next, who is not looked at and why, and whose time to wait is over.

``scheduling.queue`` decides the order; here it is asked about records, and what everybody used is kept up to date.
"""

import heapq
from collections.abc import Iterable
from typing import Final

import msgspec

from innkeeper_controller import lifecycle, rest
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import HistoryRecord, Moment, VmRecord
from innkeeper_controller.scheduling.order import queue
from innkeeper_controller.scheduling.order.fair_shares import FairShares
from innkeeper_controller.scheduling.order.queue import LeftOut, Limits, Line, Place
from innkeeper_controller.settings import Settings
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import VmId, VmState

#: VMs whose waits are ended in one turn; more wait for the next.
MAX_ENDED_PER_TURN: Final = 1000


def order_of(cluster: Cluster, settings: Settings, now_s: Moment, vm_ids: Iterable[VmId] | None = None) -> list[VmId]:
    """Return VMs that wait, the one that is placed first first.

    Args:
        cluster: The cluster.
        settings: What the operator decided.
        now_s: The time.
        vm_ids: The VMs to be ordered; None for all that wait. Those that do not wait are left out.
    """
    waiting = cluster.queue.waiting
    wanted = waiting.values() if vm_ids is None else [waiting[each] for each in vm_ids if each in waiting]
    return queue.ordered(list(wanted), shares_of(cluster, settings, now_s), settings.scheduling.order, now_s)


def line_of(cluster: Cluster, settings: Settings, now_s: Moment, vm_ids: Iterable[VmId] | None = None) -> Line:
    """Return what a pass goes through, in order: gangs come whole, and those with too few members are left out."""
    index = cluster.queue
    order = order_of(cluster, settings, now_s, vm_ids)
    return queue.units(order, index.waiting, index.gangs, index.gangs_on_hosts)


def limits_of(cluster: Cluster, settings: Settings) -> Limits:
    """Return the limits of users at the beginning of a pass, which then counts with them what it places."""
    return Limits(settings.scheduling.order, dict(cluster.queue.on_hosts))


def left_out(cluster: Cluster, settings: Settings, vm: VmRecord) -> LeftOut | None:
    """Return why a VM that waits is not even looked at; None where it is."""
    index = cluster.queue
    mine = index.waiting.get(vm.vm_id)
    if mine is None:
        return None
    key = queue.gang_of(mine)
    members = [index.waiting[each] for each in index.gangs[key]] if key is not None else [mine]
    if key is not None and (words := queue.missing(key, members, index.gangs_on_hosts.get(key, 0))):
        return LeftOut(words=words)
    return limits_of(cluster, settings).refusal(vm.owner, len(members))


def place_of(cluster: Cluster, settings: Settings, vm: VmRecord, now_s: Moment) -> Place | None:
    """Return where a VM is in the queue, and what put it there; None for one that does not wait."""
    waiting = cluster.queue.waiting
    mine = waiting.get(vm.vm_id)
    if mine is None:
        return None
    shares = shares_of(cluster, settings, now_s)
    return queue.place(mine, list(waiting.values()), shares, settings.scheduling.order, now_s)


def shares_of(cluster: Cluster, settings: Settings, now_s: Moment) -> FairShares:
    """Return what everybody used up to now, and note what is in use from now on.

    A start begins with the stays that memory has: those of VMs that are not DONE; ``recall`` adds others.
    """
    index = cluster.queue
    half_life_s = settings.scheduling.order.half_life_s
    if index.shares is None or index.shares.half_life_s != half_life_s:
        index.shares = FairShares(half_life_s)
        recall(index.shares, cluster.history_records.values(), now_s)
    index.shares.follow(index.cores, now_s)
    return index.shares


def recall(shares: FairShares, stays: Iterable[HistoryRecord], now_s: Moment) -> None:
    """Count what stays on hosts took up to now, decayed; what has not ended is not counted from now on."""
    for stay in stays:
        end_s = now_s if stay.ended_at_s is None else stay.ended_at_s
        shares.charge_stay((stay.owner, stay.group), stay.cpu_cores, stay.began_at_s, end_s, now_s)


def expire(turn: Turn) -> None:
    """End the waits that lasted longer than they may; costs nothing where none did."""
    index = turn.cluster.queue
    usual_s = turn.settings.scheduling.pending_timeout_s
    due = _pop_due(index.deadlines, turn.now_s, 0.0)
    if usual_s > 0:
        due += _pop_due(index.arrivals, turn.now_s, usual_s)
    for vm_id in due:
        _end_wait(turn, vm_id, usual_s)


def _pop_due(heap: list[tuple[Moment, VmId]], now_s: Moment, after_s: float) -> list[VmId]:
    found: list[VmId] = []
    # The same sum as `_end_wait` makes: nobody is popped too early for want of a digit.
    while heap and heap[0][0] + after_s <= now_s and len(found) < MAX_ENDED_PER_TURN:
        found.append(heapq.heappop(heap)[1])
    return found


def _end_wait(turn: Turn, vm_id: VmId, usual_s: float) -> None:
    """End a VM's wait if it lasted too long: it may have begun anew, or to wait for something else, meanwhile."""
    vm = turn.cluster.vms.get(vm_id)
    if vm is None or vm.state is not VmState.PENDING or vm.operation_id is not None:
        return
    limit_s = usual_s if vm.wishes.pending_timeout_s is None else vm.wishes.pending_timeout_s
    if limit_s <= 0 or vm.since_s + limit_s > turn.now_s:
        return
    why = turn.cluster.waits.get(vm_id, "").rstrip(".") or "no scheduler has looked at it"
    error = f"It was PENDING for {limit_s:g} s, its limit, and was not placed: {why}."
    state = lifecycle.move(vm.state, "timeout")
    ended = msgspec.structs.replace(vm, state=state, since_s=turn.now_s, error=error)
    rest.put_vm(turn, ended)
    rest.tell_state(turn, vm, state)
    turn.event("vm.wait_ended", f"vm:{vm_id}", waited_s=round(turn.now_s - vm.since_s, 3), limit_s=limit_s, why=why)
