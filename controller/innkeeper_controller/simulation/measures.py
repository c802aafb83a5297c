"""The numbers that a run comes to: how well hosts were used, who waited, what failed; from the run's outcome alone.

Nothing here measures time: how long the run took comes in as an argument.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from innkeeper_controller.simulation.fragmentation import Fragmentation
from innkeeper_controller.simulation.host_shapes import HostShape, host_count
from innkeeper_controller.simulation.run import Course, Outcome
from innkeeper_controller.simulation.traces import Floats
from innkeeper_plugins.vocabulary import Value

DIGITS: Final = 6
#: Sums of many fractions of cores are this exact, as a part of them.
_EXACTNESS: Final = 1e-9


class Use(Value, omit_defaults=False):
    """Of all hosts together, 0 to 1."""

    #: Over the time of the run.
    mean: float
    peak: float


class Waits(Value, omit_defaults=False):
    """Seconds from arrival to placement, over the requests that were placed; a gang counts once."""

    mean: float
    p50: float
    p95: float
    p99: float
    max: float


class Useless(Value, omit_defaults=False):
    """Free room that no VM of one size could use, as a part of the capacity of the hosts in use; mean over time."""

    #: The size that would have to fit.
    cpu_cores: float
    memory_mib: int
    cpu: float
    memory: float


class Measures(Value, omit_defaults=False):
    """All of them; ``arrived = placed + waiting + failed``, in VMs."""

    arrived: int
    placed: int
    waiting: int
    failed: int
    failures: dict[str, int]
    hosts: int
    #: Hosts with a VM at least, at most at any instant.
    peak_hosts: int
    #: No scheduler could have carried the VMs that ran, when they ran, on fewer.
    fluid_bound_hosts: int
    #: 0 where nothing ran.
    peak_over_bound: float
    migrations: int
    cpu_utilisation: Use
    memory_utilisation: Use
    waiting_s: Waits
    #: By ``fragmentation.PERCENTILES``.
    fragmentation: dict[str, Useless]
    #: Of virtual time.
    duration_s: float
    wall_s: float
    placements_per_s: float


def measure(outcome: Outcome, shapes: Sequence[HostShape], *, wall_s: float) -> Measures:
    """Return the measures of a run that took ``wall_s`` of real time."""
    course = outcome.course
    peak_hosts = int(max(course.hosts_used, default=0))
    bound = fluid_bound_hosts(course, shapes)
    cores = sum(shape.count * shape.capacity.cpu_cores for shape in shapes)
    memory_mib = sum(shape.count * shape.capacity.memory_mib for shape in shapes)
    return Measures(
        arrived=outcome.arrived,
        placed=outcome.placed,
        waiting=outcome.waiting,
        failed=outcome.failed,
        failures=outcome.failures,
        hosts=host_count(shapes),
        peak_hosts=peak_hosts,
        fluid_bound_hosts=bound,
        peak_over_bound=_rounded(peak_hosts / bound) if bound else 0.0,
        migrations=outcome.migrations,
        cpu_utilisation=_use(course.time_s, course.cores_used, outcome.end_s, cores),
        memory_utilisation=_use(course.time_s, course.memory_used_mib, outcome.end_s, memory_mib),
        waiting_s=_waits(outcome.waits_s),
        fragmentation=_useless(outcome.fragmentation, outcome.end_s),
        duration_s=_rounded(outcome.end_s - course.time_s[0]) if course.time_s else 0.0,
        wall_s=_rounded(wall_s),
        placements_per_s=round(outcome.placed / wall_s, 1) if wall_s > 0 else 0.0,
    )


def fluid_bound_hosts(course: Course, shapes: Sequence[HostShape]) -> int:
    """Return a number of hosts below which nobody could have run the same VMs at the same time.

    It is the largest demand of all VMs that ran at one instant, in cores or in memory, poured into hosts like a fluid.
    Where hosts differ, those with the most of the resource are filled first, so that no choice of hosts needs fewer.
    """
    cores = _hosts_for(max(course.cores_used, default=0.0), [(each.capacity.cpu_cores, each.count) for each in shapes])
    memory_mib = max(course.memory_used_mib, default=0.0)
    return max(cores, _hosts_for(memory_mib, [(each.capacity.memory_mib, each.count) for each in shapes]))


def _hosts_for(demand: float, sizes: Sequence[tuple[float, int]]) -> int:
    left, hosts = demand * (1 - _EXACTNESS), 0
    for size, count in sorted(sizes, reverse=True):
        needed = int(np.ceil(left / size))
        hosts += min(needed, count)
        if needed <= count:
            break
        left -= size * count
    return hosts


def _use(time_s: Sequence[float], used: Sequence[float], end_s: float, total: float) -> Use:
    peak = max(used, default=0.0) / total
    return Use(mean=_rounded(mean_over_time(time_s, used, end_s) / total), peak=_rounded(peak))


def mean_over_time(time_s: Sequence[float], values: Sequence[float], end_s: float) -> float:
    """Return the mean of what holds from each moment to the next and at last until ``end_s``; 0 for nothing."""
    if not len(values):
        return 0.0
    lasted_s = np.diff(np.array(time_s), append=end_s)
    whole_s = float(lasted_s.sum())
    return float((np.array(values) * lasted_s).sum()) / whole_s if whole_s > 0 else float(values[-1])


def _waits(waits_s: Floats) -> Waits:
    if not len(waits_s):
        return Waits(mean=0.0, p50=0.0, p95=0.0, p99=0.0, max=0.0)
    p50, p95, p99 = (_rounded(float(each)) for each in np.percentile(waits_s, (50, 95, 99), method="higher"))
    return Waits(mean=_rounded(float(waits_s.mean())), p50=p50, p95=p95, p99=p99, max=_rounded(float(waits_s.max())))


def _useless(seen: Fragmentation, end_s: float) -> dict[str, Useless]:
    return {
        name: Useless(
            cpu_cores=shape.cpu_cores,
            memory_mib=shape.memory_mib,
            cpu=_rounded(mean_over_time(seen.time_s, seen.lost[name].cpu, end_s)),
            memory=_rounded(mean_over_time(seen.time_s, seen.lost[name].memory, end_s)),
        )
        for name, shape in seen.shapes.items()
    }


def _rounded(value: float) -> float:
    return round(value, DIGITS)
