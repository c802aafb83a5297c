"""The core of the scheduler alone: VMs of which no two ask for the same on hosts that are half full, no I/O at all.

Hosts are of four shapes, in a hundred racks and five clusters, some of them disabled, and filled by a seeded hand. VMs
ask for cores, memory, a disk in one of three datastores and one of twenty requirements, and keep away from their group.
The best of some rounds counts: the machine may be doing something else as well.
"""

import gc
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from innkeeper_controller.expressions import compile_requirement
from innkeeper_controller.indexes.host_views import view_of
from innkeeper_controller.records import ClusterRecord, Host, HostState
from innkeeper_controller.scheduling.answers.verdicts import verdicts
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.columns.fleet import Fleet
from innkeeper_controller.scheduling.model import Demand, Load, Placement
from innkeeper_controller.scheduling.wishes import Relation, Term
from innkeeper_plugins.vocabulary import (
    Advertisement,
    Capacity,
    DatastoreFacts,
    DriverFacts,
    DriverKind,
    HostId,
    VmId,
)

SEED = 4
HOSTS = 10_000
#: VMs of one measurement, the same at all sizes of the fleet.
VMS = 4_000
WARM_UP = 400
ROUNDS = 3
RACKS, CLUSTERS = 100, 5
#: One host of so many is disabled.
DISABLED = 50
GROUP_SIZE = 10
DATASTORES = ("default", "fast", "large")
#: Cores, MiB.
SHAPES = ((32.0, 131_072), (64.0, 262_144), (64.0, 524_288), (128.0, 524_288))
MIN_PER_S = 8_000
MIN_OF_SMALL = 0.7
SMALL, LARGE = 5_000, 100_000
MAX_PASS_S, MAX_ALIKE_S, MAX_WHY_S = 0.25, 0.5, 0.1
HELD_VMS, MAX_RSS_MB = 1_000_000, 600

DRIVERS = (
    DriverFacts(kind=DriverKind.HYPERVISOR, name="simulated"),
    DriverFacts(kind=DriverKind.TRANSFER, name="simulated"),
)
REQUIREMENTS = tuple(
    compile_requirement(text)
    for number in range(5)
    for text in (
        f'RACK != "r{number}"',
        f'ZONE = "z{number % 3}" | FREE_CPU > {400 * (number + 1)}',
        f'FREE_CPU > {100 * (number + 1)} & RACK != "r{number + 5}"',
        f'CPUSPEED > {1000 + number} & !(CLUSTER = "c{number}")',
    )
)

Row = dict[str, object]


# --- who there is and what is asked ----------------------------------------------------------------------------------


def hosts(count: int) -> Iterator[Host]:
    """Give the hosts of a fleet."""
    for number in range(count):
        cores, mib = SHAPES[number % len(SHAPES)]
        yield Host(
            host_id=HostId(number + 1),
            name=f"h{number}",
            state=HostState.DISABLED if number % DISABLED == DISABLED - 1 else HostState.ON,
            connected=True,
            cluster_id=number % CLUSTERS,
            labels={"RACK": f"r{number % RACKS}", "ZONE": f"z{number % 3}"},
            advertisement=Advertisement(
                capacity=Capacity(cpu_cores=cores, memory_mib=mib),
                drivers=DRIVERS,
                datastores=tuple(
                    DatastoreFacts(name=name, total_mib=8_000_000, free_mib=8_000_000) for name in DATASTORES
                ),
                facts={"ARCH": "x86_64", "CPUSPEED": 2400},
            ),
        )


def fleet_of(count: int, *, least: float = 0.25, most: float = 0.75) -> Fleet:
    """Return a fleet; of each host's cores a part between ``least`` and ``most`` is taken."""
    drawn, fleet, numbers = random.Random(SEED), Fleet(), itertools.count(10_000_000)
    clusters = [ClusterRecord(cluster_id=number, name=f"c{number}") for number in range(CLUSTERS)]
    for host in hosts(count):
        fleet.put(view_of(host, clusters[host.cluster_id]))
        left = host.advertisement.capacity.cpu_cores * drawn.uniform(least, most)
        while left > 0:
            load = drawn_load(drawn, next(numbers))
            left -= load.capacity.cpu_cores
            if left > 0:
                fleet.take(host.host_id, load)
    return fleet


def drawn_load(drawn: random.Random, number: int) -> Load:
    """Return what a VM that was there before takes; it belongs to nobody's group."""
    capacity = Capacity(cpu_cores=drawn.randint(1, 64) / 4, memory_mib=drawn.randint(128, 32_768))
    return Load(vm_id=VmId(number), capacity=capacity, datastores={drawn.choice(DATASTORES): drawn.randint(0, 204_800)})


def demands(count: int, *, first: int = 0) -> list[Demand]:
    """Return VMs of which no two ask for the same."""
    drawn = random.Random(SEED + first)
    return [demand(drawn, number) for number in range(first, first + count)]


def demand(drawn: random.Random, number: int) -> Demand:
    """Return one VM."""
    group = f"g{number // GROUP_SIZE}"
    return Demand(
        vm_id=VmId(number),
        capacity=Capacity(cpu_cores=drawn.randint(1, 64) / 4, memory_mib=drawn.randint(128, 32_768)),
        datastores={drawn.choice(DATASTORES): drawn.randint(0, 204_800)},
        hypervisor="simulated",
        transfer_drivers=frozenset({"simulated"}),
        requirements=drawn.choice(REQUIREMENTS),
        groups=(group,),
        terms=(Term(relation=Relation.APART, groups=(group,)),),
    )


# --- measuring -------------------------------------------------------------------------------------------------------


def timed_s(measured: Callable[[], object]) -> float:
    """Return how long it takes; what was made before is not looked through for garbage meanwhile."""
    gc.collect()
    gc.freeze()
    began_s = time.perf_counter()
    measured()
    return time.perf_counter() - began_s


class Rate:
    """Placements on one fleet, in rounds; what was placed goes away again after each."""

    def __init__(self, count: int) -> None:
        """Make the fleet, and place a few VMs for a beginning."""
        self._fleet = fleet_of(count)
        self._placer = Placer(self._fleet)
        self._placer.place_all(demands(WARM_UP, first=9_000_000))
        self._demands = demands(VMS)
        self.best_per_s = 0.0

    def measure(self) -> None:
        """Do one round."""
        decisions: list[object] = []
        took_s = timed_s(lambda: decisions.extend(self._placer.place_all(self._demands)))
        self.best_per_s = max(self.best_per_s, VMS / took_s)
        for demand, decision in zip(self._demands, decisions, strict=True):
            assert isinstance(decision, Placement), f"VM {demand.vm_id} was not placed"
            self._fleet.give_back(decision.host_id, demand)


def rate_rows() -> list[Row]:
    """Measure placements a second; sizes that are compared take turns."""
    middle = Rate(HOSTS)
    for _ in range(ROUNDS):
        middle.measure()
    small, large = Rate(SMALL), Rate(LARGE)
    for _ in range(ROUNDS):
        small.measure()
        large.measure()
    of_small = large.best_per_s / small.best_per_s
    return [
        at_least(f"core: placements of distinct VMs on {HOSTS} hosts", middle.best_per_s, "/s", MIN_PER_S),
        told(f"core: the same on {SMALL} hosts", small.best_per_s, "/s"),
        told(f"core: the same on {LARGE} hosts", large.best_per_s, "/s"),
        at_least(f"core: rate on {LARGE} hosts over rate on {SMALL}", of_small, "x", MIN_OF_SMALL),
    ]


def pass_row() -> Row:
    """Measure one pass of 1,000 VMs over 1,000 hosts so full that many VMs fit nowhere and are told why."""
    full = fleet_of(1_000, least=0.95, most=1.0)
    waiting = demands(1_000)
    best_s, left = float("inf"), 0
    for _ in range(ROUNDS):
        placer = Placer(full.copy())
        decisions: list[object] = []
        best_s = min(
            best_s, timed_s(lambda placer=placer, decisions=decisions: decisions.extend(placer.place_all(waiting)))
        )  # type: ignore[misc]  # bound to this round's
        left = sum(not isinstance(each, Placement) for each in decisions)
    return at_most(f"core: one pass of 1,000 VMs over 1,000 hosts, {left} told why not", best_s, "s", MAX_PASS_S)


def alike_row() -> Row:
    """Measure many VMs that ask for the same."""
    pattern = Demand(vm_id=VmId(0), capacity=Capacity(cpu_cores=2.0, memory_mib=4_096), datastores={"default": 10_240})
    fleet = fleet_of(HOSTS)
    alike = [
        Demand(vm_id=VmId(number), capacity=pattern.capacity, datastores=pattern.datastores) for number in range(10_000)
    ]
    best_s = min(timed_s(lambda: Placer(fleet.copy()).place_all(alike)) for _ in range(ROUNDS))
    return at_most(f"core: 10,000 VMs that ask for the same, {HOSTS} hosts", best_s, "s", MAX_ALIKE_S)


def why_rows() -> list[Row]:
    """Measure the whole explanation of one VM, of one that fits on many hosts and of one that fits on none."""
    search = Placer(fleet_of(HOSTS)).search
    fits = demands(1)[0]
    too_large = Demand(vm_id=VmId(1), capacity=Capacity(cpu_cores=1_000.0, memory_mib=9_000_000))
    names = {"fits on many": fits, "fits on none": too_large}
    return [
        at_most(
            f"core: whole `why` on {HOSTS} hosts, of a VM that {name}",
            min(timed_s(lambda each=each: verdicts(each, search)) for _ in range(ROUNDS)),  # type: ignore[misc]  # bound to this one
            "s",
            MAX_WHY_S,
        )
        for name, each in names.items()
    ]


def memory_row() -> Row:
    """Measure the memory of a process that holds hosts and VMs and nothing else."""
    argv = [sys.executable, str(Path(__file__).resolve())]
    child = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    rss_mb = json.loads(child.stdout)["rss_mb"]
    return at_most(f"core: memory of {HOSTS} hosts and {HELD_VMS} VMs", rss_mb, "MB", MAX_RSS_MB)


def hold_many() -> None:
    """Hold many VMs, as in the child process."""
    drawn, fleet = random.Random(SEED), fleet_of(HOSTS, least=0.0, most=0.0)
    for number in range(HELD_VMS):
        fleet.take(HostId(number % HOSTS + 1), demand(drawn, number))
    sys.stdout.write(json.dumps({"rss_mb": psutil.Process().memory_info().rss / 1e6}))


def rows() -> list[Row]:
    """Measure."""
    return [pass_row(), *rate_rows(), alike_row(), *why_rows(), memory_row()]


def told(name: str, value: float, unit: str) -> Row:
    """Return a row that is only told."""
    return {"name": name, "value": value, "unit": unit, "bound": None, "holds": None}


def at_most(name: str, value: float, unit: str, bound: float) -> Row:
    """Return a row of what may not be more."""
    return {"name": name, "value": value, "unit": unit, "bound": f"<= {bound}", "holds": value <= bound}


def at_least(name: str, value: float, unit: str, bound: float) -> Row:
    """Return a row of what may not be less."""
    return {"name": name, "value": value, "unit": unit, "bound": f">= {bound}", "holds": value >= bound}


if __name__ == "__main__":
    hold_many()
