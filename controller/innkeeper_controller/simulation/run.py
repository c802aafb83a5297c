"""Runs a trace over a fleet under a virtual clock: what arrives is placed by the scheduler's core, what ends leaves.

The clock is the trace's; nothing here reads another one, and no lifetime is told to the core before it is over.
"""

import heapq
import math
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from innkeeper_controller.scheduling.model import Demand, NoPlacement
from innkeeper_controller.simulation.fragmentation import Fragmentation
from innkeeper_controller.simulation.host_shapes import HostShape, capacities
from innkeeper_controller.simulation.ledger import Ledger, rooms
from innkeeper_controller.simulation.placing import Move, Placing
from innkeeper_controller.simulation.traces import Floats, Trace
from innkeeper_controller.simulation.waiting import Kind, Request, WaitingRoom
from innkeeper_plugins.vocabulary import Capacity, HostId, VmId

#: Gets requests that arrived, of how many.
Heard: TypeAlias = Callable[[int, int], None]
#: Requests between two reports of progress.
_HEARD_EVERY: Final = 1024

TOO_LARGE: Final = "larger than any host"
GANG_TOO_LARGE: Final = "more VMs at once than all hosts take"
NO_ROOM: Final = "no room for all VMs of the request"


@dataclass(frozen=True, slots=True)
class Rules:
    """How a run goes."""

    #: True to let what does not fit wait; False to count it as failed.
    waits: bool = True
    #: The clock stops here; inf to go on until nothing happens any more.
    until_s: float = math.inf


@dataclass(slots=True)
class Course:
    """How things stood after each instant at which something happened; columns of one length."""

    time_s: "array[float]" = field(default_factory=lambda: array("d"))
    cores_used: "array[float]" = field(default_factory=lambda: array("d"))
    memory_used_mib: "array[float]" = field(default_factory=lambda: array("d"))
    hosts_used: "array[float]" = field(default_factory=lambda: array("d"))
    vms_waiting: "array[float]" = field(default_factory=lambda: array("d"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to; numbers are VMs unless they say otherwise, and ``arrived = placed + waiting + failed``."""

    arrived: int
    placed: int
    #: Those still waiting when the run ended.
    waiting: int
    failed: int
    migrations: int
    #: ``{reason: VMs}``
    failures: dict[str, int]
    #: Of each request that was placed, in the order of arrival.
    waits_s: Floats
    course: Course
    fragmentation: Fragmentation
    #: Where the clock stopped.
    end_s: float


def run(
    trace: Trace,
    shapes: Sequence[HostShape],
    placing: Placing,
    *,
    rules: Rules = Rules(),
    heard: Heard = lambda arrived, of: None,  # noqa: ARG005 - nobody listens
) -> Outcome:
    """Return what becomes of the trace; the same for the same arguments.

    Args:
        trace: What arrives, and how long it stays once it was placed.
        shapes: The hosts, empty at first.
        placing: The core, with just these hosts.
        rules: How the run goes.
        heard: Told now and then how many requests arrived, of how many.

    Raises:
        AssertionError: the core gave room away that a host does not have.
    """
    simulation = _Simulation(trace, capacities(shapes), placing, rules)
    told = 0
    while (now_s := simulation.next_s()) <= rules.until_s and now_s < math.inf:
        simulation.step(now_s)
        if simulation.arrived - told >= _HEARD_EVERY:
            told = simulation.arrived
            heard(told, len(trace))
    heard(simulation.arrived, len(trace))
    return simulation.outcome()


class _Simulation:
    """The state between two instants."""

    def __init__(self, trace: Trace, hosts: Sequence[Capacity], placing: Placing, rules: Rules) -> None:
        self.placing = placing
        self.rules = rules
        self.ledger = Ledger(hosts)
        self.waiting = WaitingRoom()
        #: Requests that arrived, which is the number of the next one.
        self.arrived = 0
        self._arrival_s = [*trace.arrival_s.tolist(), math.inf]
        self._lifetime_s = trace.lifetime_s.tolist()
        self._shape = list(zip(trace.cpu_cores.tolist(), trace.memory_mib.tolist(), trace.vms.tolist(), strict=True))
        #: VMs of all requests before; a VM's number is that of its request's first and so on.
        self._first_vm = [0, *np.cumsum(trace.vms).tolist()]
        #: ``{shape: (kind, why even an empty fleet could not take it: empty where it could)}``
        self._kinds: dict[tuple[float, int, int], tuple[Kind, str]] = {}
        self._host_of: dict[VmId, HostId] = {}
        #: ``(when, request)``, the next one first.
        self._ends: list[tuple[float, Request]] = []
        self._wait_s = np.full(len(trace), np.nan)
        self._course = Course()
        self._fragmentation = Fragmentation.of(trace)
        self._failures: Counter[str] = Counter()
        #: ``{kind that did not fit: why}``, until something ends.
        self._refused: dict[Kind, str] = {}
        #: Hosts that VMs were moved away from, which those who wait have not been told of.
        self._left: dict[HostId, None] = {}
        self._placed = self._migrations = 0

    def next_s(self) -> float:
        """Return when something happens next; inf for never."""
        arrival_s: float = self._arrival_s[self.arrived]
        return min(arrival_s, self._ends[0][0]) if self._ends else arrival_s

    def step(self, now_s: float) -> None:
        """Let everything happen that happens at this instant: first what ends, then what arrives."""
        freed: dict[HostId, None] = {}
        while self._ends and self._ends[0][0] <= now_s:
            self._end(heapq.heappop(self._ends)[1], now_s, freed)
        self._serve(freed, now_s)
        while self._arrival_s[self.arrived] <= now_s:
            self.arrived += 1
            self._arrive(self.arrived - 1, now_s)
        self._note(now_s)
        self._left.update(self._move(self.placing.moves(now_s)))
        while self._left:
            left, self._left = self._left, {}
            self._serve(left, now_s)
            self._note(now_s)

    def outcome(self) -> Outcome:
        """Return what has happened until now."""
        course = self._course
        last_s = course.time_s[-1] if course.time_s else 0.0
        return Outcome(
            arrived=self._first_vm[self.arrived],
            placed=self._placed,
            waiting=self.waiting.vms,
            failed=sum(self._failures.values()),
            migrations=self._migrations,
            failures=dict(self._failures.most_common()),
            waits_s=self._wait_s[~np.isnan(self._wait_s)],
            course=course,
            fragmentation=self._fragmentation,
            # Where nothing was left to happen, the time until then is not part of the run.
            end_s=self.rules.until_s if self.next_s() < math.inf else last_s,
        )

    def _end(self, request: Request, now_s: float, freed: dict[HostId, None]) -> None:
        capacity = self._kinds[self._shape[request]][0].capacity
        for number in range(self._first_vm[request], self._first_vm[request + 1]):
            vm_id = VmId(number)
            host_id = self._host_of.pop(vm_id)
            self.placing.end(vm_id, now_s=now_s)
            self.ledger.give_back(host_id, capacity)
            freed[host_id] = None

    def _arrive(self, request: Request, now_s: float) -> None:
        shape = self._shape[request]
        known = self._kinds.get(shape)
        if known is None:
            known = self._kinds[shape] = self._kind(shape)
        kind, never = known
        if never:
            self._failures[never] += kind.vms
        elif kind in self._refused:
            self._turn_away(request, kind, self._refused[kind])
        else:
            reason = self._start(request, kind, now_s)
            if isinstance(reason, str):
                self._refused[kind] = reason
                self._turn_away(request, kind, reason)

    def _kind(self, shape: tuple[float, int, int]) -> tuple[Kind, str]:
        """Return the kind, and why even an empty fleet could not take it: empty where it could."""
        cores, memory_mib, vms = shape
        kind = Kind(Capacity(cpu_cores=cores, memory_mib=memory_mib), vms)
        hosts = self.ledger.hosts[1:]
        all_cores = np.array([host.cpu_cores for host in hosts])
        all_memory_mib = np.array([host.memory_mib for host in hosts], dtype=np.int64)
        at_most = int(rooms(kind.capacity, all_cores, all_memory_mib).sum())
        return kind, "" if at_most >= vms else GANG_TOO_LARGE if at_most else TOO_LARGE

    def _turn_away(self, request: Request, kind: Kind, reason: str) -> None:
        if self.rules.waits:
            self.waiting.add(kind, request)
        else:
            self._failures[reason] += kind.vms

    def _start(self, request: Request, kind: Kind, now_s: float) -> list[HostId] | str:
        """Place all VMs of a request and return their hosts, or place none and return why."""
        if kind.vms > 1 and self.ledger.rooms(kind.capacity) < kind.vms:
            return NO_ROOM
        vm_ids = range(self._first_vm[request], self._first_vm[request + 1])
        for number in vm_ids:
            decision = self.placing.place(Demand(vm_id=VmId(number), capacity=kind.capacity), now_s=now_s)
            self._left.update(self._move(self.placing.made_room()))
            if isinstance(decision, NoPlacement):
                self._take_back(vm_ids[: number - vm_ids.start], kind, now_s)
                return f"no room: {_main_clause(decision)}"
            self.ledger.take(decision.host_id, kind.capacity)
            self._host_of[VmId(number)] = decision.host_id
        self._started(request, now_s)
        return [self._host_of[VmId(number)] for number in vm_ids]

    def _take_back(self, vm_ids: Iterable[int], kind: Kind, now_s: float) -> None:
        for number in vm_ids:
            self.placing.end(VmId(number), now_s=now_s)
            self.ledger.give_back(self._host_of.pop(VmId(number)), kind.capacity)

    def _started(self, request: Request, now_s: float) -> None:
        self._placed += self._first_vm[request + 1] - self._first_vm[request]
        self._wait_s[request] = now_s - self._arrival_s[request]
        lifetime_s = self._lifetime_s[request]
        if lifetime_s < math.inf:
            heapq.heappush(self._ends, (now_s + lifetime_s, request))

    def _serve(self, freed: dict[HostId, None], now_s: float) -> None:
        def start(request: Request, kind: Kind) -> list[HostId]:
            hosts = self._start(request, kind, now_s)
            return [] if isinstance(hosts, str) else hosts

        if freed:
            self._refused.clear()
        if freed and self.waiting:
            self.waiting.serve(freed, self.ledger, start)

    def _move(self, moves: Sequence[Move]) -> dict[HostId, None]:
        """Carry out what a policy moves and return the hosts that it left, moves in the order given."""
        left: dict[HostId, None] = {}
        for move in moves:
            capacity = self._capacity_of(move.vm_id)
            source = self._host_of[move.vm_id]
            self.ledger.take(move.host_id, capacity)
            self.ledger.give_back(source, capacity)
            self._host_of[move.vm_id] = move.host_id
            left[source] = None
        self._migrations += len(moves)
        return left

    def _capacity_of(self, vm_id: VmId) -> Capacity:
        request = bisect_right(self._first_vm, vm_id) - 1
        return self._kinds[self._shape[request]][0].capacity

    def _note(self, now_s: float) -> None:
        course, ledger = self._course, self.ledger
        course.time_s.append(now_s)
        course.cores_used.append(ledger.cores_used)
        course.memory_used_mib.append(ledger.memory_used_mib)
        course.hosts_used.append(ledger.hosts_used)
        course.vms_waiting.append(self.waiting.vms)
        if now_s >= self._fragmentation.next_s:
            self._fragmentation.look(now_s, ledger)


def _main_clause(decision: NoPlacement) -> str:
    """Return the clause that keeps the most hosts out, of several the first by name."""
    counts = decision.counts
    return min(counts, key=lambda clause: (-counts[clause], clause)) if counts else "no host"
