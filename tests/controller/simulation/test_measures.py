"""The numbers that a run comes to."""

import msgspec
import pytest
from best_fit import BestFit, trace_of

from innkeeper_controller.simulation.host_shapes import parse_hosts
from innkeeper_controller.simulation.measures import (
    Measures,
    Use,
    Useless,
    Waits,
    fluid_bound_hosts,
    mean_over_time,
    measure,
)
from innkeeper_controller.simulation.run import Course, Rules, run

GIB = 1024


def course_with(cores, memory_mib):
    course = Course()
    for column, value in zip(
        (course.time_s, course.cores_used, course.memory_used_mib), (0, cores, memory_mib), strict=True
    ):
        column.append(value)
    return course


def test_all_measures_of_a_small_run():
    requests = [(0, 3, GIB, 100), (0, 2, 6 * GIB, 100), (50, 2, GIB, 100), (50, 1, 99 * GIB, 1)]
    hosts = parse_hosts("2x4c8g")
    outcome = run(trace_of(*requests), hosts, BestFit("2x4c8g"))

    assert measure(outcome, hosts, wall_s=0.5) == Measures(
        arrived=4,
        placed=3,
        waiting=0,
        failed=1,
        failures={"larger than any host": 1},
        hosts=2,
        peak_hosts=2,
        fluid_bound_hosts=2,
        peak_over_bound=1.0,
        migrations=0,
        # 5 of 8 cores for 50 s, 7 for 50 s, 2 for 50 s; 7, 8 and 1 of 16 GiB.
        cpu_utilisation=Use(mean=0.583333, peak=0.875),
        memory_utilisation=Use(mean=0.333333, peak=0.5),
        waiting_s=Waits(mean=0.0, p50=0.0, p95=0.0, p99=0.0, max=0.0),
        fragmentation=fragmentation_of_the_small_run(),
        duration_s=150.0,
        wall_s=0.5,
        placements_per_s=6.0,
    )


def fragmentation_of_the_small_run():
    """50 s each: free on the hosts in use are 1 and 2 cores (7, 2 GiB); 1 and 0 (7, 1 GiB); 2 on one host (7 GiB)."""
    return {
        "median": Useless(cpu_cores=2.0, memory_mib=GIB, cpu=round(2 / 8 / 3, 6), memory=round((7 + 8) / 16 / 3, 6)),
        # Fits nowhere.
        "p95": Useless(
            cpu_cores=3.0,
            memory_mib=99 * GIB,
            cpu=round((3 / 8 + 1 / 8 + 2 / 4) / 3, 6),
            memory=round((9 / 16 + 8 / 16 + 7 / 8) / 3, 6),
        ),
    }


def test_measures_of_a_run_in_which_nothing_arrives_are_zero():
    hosts = parse_hosts("2x4c8g")
    outcome = run(trace_of((10, 1, GIB, None)), hosts, BestFit("2x4c8g"), rules=Rules(until_s=5))

    assert msgspec.to_builtins(measure(outcome, hosts, wall_s=0.0)) == {
        **dict.fromkeys(("arrived", "placed", "waiting", "failed", "peak_hosts", "fluid_bound_hosts", "migrations"), 0),
        **dict.fromkeys(("peak_over_bound", "duration_s", "wall_s", "placements_per_s"), 0.0),
        "failures": {},
        "hosts": 2,
        "cpu_utilisation": {"mean": 0.0, "peak": 0.0},
        "memory_utilisation": {"mean": 0.0, "peak": 0.0},
        "waiting_s": {"mean": 0.0, "p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0},
        "fragmentation": {
            name: {"cpu_cores": 1.0, "memory_mib": GIB, "cpu": 0.0, "memory": 0.0} for name in ("median", "p95")
        },
    }


def test_waiting_is_told_by_percentiles_that_somebody_waited():
    hosts = parse_hosts("1x1c1g")
    outcome = run(trace_of(*[(0, 1, GIB, 10)] * 100), hosts, BestFit("1x1c1g"))

    assert measure(outcome, hosts, wall_s=1.0).waiting_s == Waits(
        mean=495.0, p50=500.0, p95=950.0, p99=990.0, max=990.0
    )


@pytest.mark.parametrize(
    ("hosts", "cores", "memory_mib", "bound"),
    [
        ("10x4c8g", 0, 0, 0),
        ("10x4c8g", 4, 8 * GIB, 1),
        ("10x4c8g", 4.1, GIB, 2),
        ("10x4c8g", 12.000000000001, GIB, 3),
        ("10x4c8g", 1, 17 * GIB, 3),
        # Those with the most of what is asked for come first, whatever the order in which they were given.
        ("10x4c8g,1x16c1g", 17, 0, 2),
        ("10x4c8g,1x16c1g", 17, 17 * GIB, 3),
        ("1x4c8g,1x16c8g", 20, 0, 2),
    ],
)
def test_the_fluid_bound_pours_the_largest_demand_into_the_largest_hosts(hosts, cores, memory_mib, bound):
    assert fluid_bound_hosts(course_with(cores, memory_mib), parse_hosts(hosts)) == bound


def test_a_mean_over_time_weighs_each_value_by_how_long_it_held():
    assert mean_over_time([0, 10, 40], [1.0, 2.0, 5.0], end_s=50) == pytest.approx((10 + 60 + 50) / 50)
    assert mean_over_time([7], [3.0], end_s=7) == 3.0
    assert mean_over_time([], [], end_s=7) == 0.0
