"""How tightly VMs are packed: on arrival, with a few moves, and by rebalancing; beside a peer and an exact solver.

The trace is a slice of Azure's VMs (Cortez et al., SOSP 2017): the file that the environment names in
``INNKEEPER_TRACE``, or else ``shared/traces/azure-v1-dev.csv.gz`` beside this repository.
"""

import importlib.util
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench_scheduling import Row, at_most, told

from innkeeper_controller.inventory import Inventory
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.columns.fleet import Fleet
from innkeeper_controller.scheduling.model import Demand, HostView
from innkeeper_controller.scheduling.moves.balancing import BalancePlan, Goal, Limits, balance
from innkeeper_controller.scheduling.wishes import Relation, Term
from innkeeper_controller.simulation.core import Core
from innkeeper_controller.simulation.host_shapes import parse_hosts
from innkeeper_controller.simulation.measures import Measures, measure
from innkeeper_controller.simulation.run import run
from innkeeper_controller.simulation.trace_files import read_trace
from innkeeper_controller.simulation.traces import Trace
from innkeeper_plugins.vocabulary import Capacity, HostId, VmId

HERE = Path(__file__).resolve().parent
TRACE = Path(os.environ.get("INNKEEPER_TRACE", HERE.parents[2] / "shared" / "traces" / "azure-v1-dev.csv.gz"))
HOSTS = "2000x64c128g"
MAX_RATIO, MAX_RATIO_MOVED, MAX_MOVES_PER_100 = 1.080, 1.03, 1.0
SEED = 7
#: Cores and MiB of VMs, and of the host.
CORES, MEMORY_MIB = (1, 2, 4, 8), (2_048, 4_096, 8_192, 16_384)
HOST_CORES, HOST_MIB = 64.0, 131_072
FLEET, VMS, MAX_PLAN_S = 1_000, 10_000, 2.0
#: Small hosts for the exact solver, so that how VMs are put together makes a difference.
SMALL_FLEET, SMALL_VMS, INSTANCES, TIME_LIMIT_S = 18, 30, 5, 20.0
SMALL_CORES, SMALL_MIB = 16.0, 32_768
MAX_OVER_EXACT = 1.25


# --- on arrival


def simulated(trace: Trace, policy: str, moves_per_vm: float) -> Measures:
    """Return what becomes of the trace."""
    shapes = parse_hosts(HOSTS)
    began_s = time.perf_counter()
    outcome = run(trace, shapes, Core(shapes, policy, moves_per_vm=moves_per_vm))
    return measure(outcome, shapes, wall_s=time.perf_counter() - began_s)


def packing_rows() -> list[Row]:
    """Measure the peak of hosts in use over the fluid bound."""
    if not TRACE.exists():
        return [told(f"packing: left out, for there is no trace {TRACE.name}", "-", "")]
    trace = read_trace(TRACE, memory_gib=1.0)
    alone, moved, peer = (
        simulated(trace, policy, rate) for policy, rate in (("packing", 0.0), ("packing", 0.01), ("balanced", 0.0))
    )
    of = f"{trace.vms.sum():,} VMs, peak of hosts in use over the fluid bound"
    return [
        at_most(f"packing: {of}", alone.peak_over_bound, "x", MAX_RATIO),
        at_most("packing: the same, where VMs may be moved", moved.peak_over_bound, "x", MAX_RATIO_MOVED),
        at_most("packing: moves for 100 VMs", 100 * moved.migrations / moved.placed, "", MAX_MOVES_PER_100),
        told("packing: best fit by the mean of cores and memory", peer.peak_over_bound, "x"),
        told("packing: simulated placements, one after the other", alone.placements_per_s, "/s"),
        told("packing: the same, where VMs may be moved", moved.placements_per_s, "/s"),
    ]


# --- rebalancing


class Scattered:
    """Hosts with VMs where chance put them."""

    def __init__(
        self, hosts: int, vms: int, seed: int, *, size: tuple[float, int] = (HOST_CORES, HOST_MIB), terms: bool = True
    ) -> None:
        """Put them there."""
        drawn = random.Random(seed)
        self.fleet, self.hosts = Fleet(), hosts
        self.demands: dict[VmId, Demand] = {}
        self.on: dict[HostId, list[Demand]] = {}
        for number in range(1, hosts + 1):
            cpu, memory = (Inventory(total=total) for total in size)
            view = HostView(host_id=HostId(number), name=f"h{number}", cpu=cpu, memory=memory, hypervisors=_ANY)
            self.fleet.put(view)
        for number in range(1, vms + 1):
            self._put(drawn, _vm(drawn, number, terms=terms))

    def _put(self, drawn: random.Random, demand: Demand) -> None:
        """Put a VM on a host with room, as if nobody asked what else it wants."""
        while True:
            host_id = HostId(drawn.randint(1, self.hosts if drawn.random() < 0.7 else self.hosts // 3))
            row = self.fleet.row_of[host_id]
            free = self.fleet.number("cpu_free")[row], self.fleet.number("memory_free")[row]
            if free[0] >= demand.capacity.cpu_cores and free[1] >= demand.capacity.memory_mib:
                break
        self.fleet.take(host_id, demand)
        self.demands[demand.vm_id] = demand
        self.on.setdefault(host_id, []).append(demand)

    def plan(self, goal: Goal, max_moves: int) -> BalancePlan:
        """Return what to move."""

        def loads_on(host_id: HostId) -> Sequence[Demand]:
            return self.on.get(host_id, ())

        search, demand_of = Placer(self.fleet).search, self.demands.__getitem__
        return balance(search, goal, loads_on, demand_of=demand_of, limits=Limits(max_moves=max_moves))


_ANY = frozenset({"simulated"})


def _vm(drawn: random.Random, number: int, *, terms: bool) -> Demand:
    group = f"g{number // 5}"
    apart = Term(relation=Relation.APART, groups=(group,), is_hard=number % 4 == 1)
    return Demand(
        vm_id=VmId(number),
        capacity=Capacity(cpu_cores=drawn.choice(CORES), memory_mib=drawn.choice(MEMORY_MIB)),
        groups=(group,) if terms and number % 2 else (),
        terms=(apart,) if terms and number % 2 else (),
    )


def plan_rows() -> list[Row]:
    """Measure how long a plan takes."""
    site, found = Scattered(FLEET, VMS, SEED), []
    for goal in Goal:
        began_s = time.perf_counter()
        plan = site.plan(goal, 100)
        took_s = time.perf_counter() - began_s
        name = f"balance: plan {goal}, {FLEET} hosts, {VMS} VMs, {len(plan.moves)} moves"
        found.append(at_most(name, took_s, "s", MAX_PLAN_S))
    return found


def exact_rows() -> list[Row]:
    """Measure hosts in use after consolidation by the fewest that there could be."""
    if importlib.util.find_spec("highspy") is None:
        return [told("balance: consolidation is not compared, for highspy is not installed", "-", "")]
    size = SMALL_CORES, SMALL_MIB
    sites = [Scattered(SMALL_FLEET, SMALL_VMS, SEED + each, size=size, terms=False) for each in range(INSTANCES)]
    ratios = [_over_exact(site) for site in sites]
    name = f"balance: hosts in use after consolidation by the fewest possible, mean of {INSTANCES}, {SMALL_VMS} VMs"
    return [at_most(name, sum(ratios) / len(ratios), "x", MAX_OVER_EXACT)]


def _over_exact(site: Scattered) -> float:
    used = round(site.plan(Goal.CONSOLIDATE, SMALL_VMS).after * SMALL_FLEET)
    sizes = Counter((each.capacity.cpu_cores, each.capacity.memory_mib) for each in site.demands.values())
    asked = {
        "sizes": [[*size, count] for size, count in sorted(sizes.items())],
        "host": [SMALL_CORES, SMALL_MIB],
        "at_most": used,
        "time_limit_s": TIME_LIMIT_S,
    }
    argv = [sys.executable, str(HERE / "exact.py")]
    child = subprocess.run(
        argv, input=json.dumps(asked), check=True, stdout=subprocess.PIPE, text=True, timeout=10 * TIME_LIMIT_S
    )
    return used / int(json.loads(child.stdout)["bound"])


def rows() -> list[Row]:
    """Measure."""
    return [*plan_rows(), *exact_rows(), *packing_rows()]
