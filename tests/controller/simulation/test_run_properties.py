"""What holds of every run, whatever arrives."""

import math

from best_fit import BestFit, trace_of
from hypothesis import given, settings
from hypothesis import strategies as st

from innkeeper_controller.scheduling.scores import POLICIES
from innkeeper_controller.simulation import report
from innkeeper_controller.simulation.core import Core
from innkeeper_controller.simulation.host_shapes import capacities, parse_hosts
from innkeeper_controller.simulation.ledger import rooms
from innkeeper_controller.simulation.measures import measure
from innkeeper_controller.simulation.run import Rules, run

GIB = 1024
HOSTS = st.sampled_from(["1x4c8g", "3x4c8g", "2x4c8g,1x8c4g", "5x1c1g"])
REQUEST = st.tuples(
    st.integers(0, 30),
    st.sampled_from([0.1, 0.5, 1, 2, 3, 8]),
    st.sampled_from([100, GIB, 3 * GIB, 8 * GIB]),
    st.one_of(st.none(), st.integers(0, 20)),
    st.sampled_from([1, 1, 1, 2, 3]),
)
TRACES = st.lists(REQUEST, min_size=1, max_size=40).map(lambda rows: trace_of(*sorted(rows, key=lambda row: row[0])))
RULES = st.builds(Rules, waits=st.booleans(), until_s=st.one_of(st.just(math.inf), st.integers(0, 40)))


class Watched:
    """A core of which every answer is checked against plain sums over the VMs that are there."""

    def __init__(self, core, hosts):
        self.core = core
        self.hosts = capacities(parse_hosts(hosts))
        self.live = {}
        self.made = ()

    def place(self, demand, *, now_s):
        decision = self.core.place(demand, now_s=now_s)
        self.made = self.core.made_room()
        for move in self.made:
            self.live[move.vm_id] = move.host_id, self.live[move.vm_id][1]
        if hasattr(decision, "host_id"):
            self.live[demand.vm_id] = decision.host_id, demand.capacity
            here = [load for host_id, load in self.live.values() if host_id == decision.host_id]
            assert sum(load.cpu_cores for load in here) <= self.hosts[decision.host_id - 1].cpu_cores + 1e-6
            assert sum(load.memory_mib for load in here) <= self.hosts[decision.host_id - 1].memory_mib
        return decision

    def end(self, vm_id, *, now_s):
        del self.live[vm_id]
        self.core.end(vm_id, now_s=now_s)

    def moves(self, now_s):
        return self.core.moves(now_s)

    def made_room(self):
        return self.made


def go(hosts, trace, rules, policy, moves_per_vm=0.0):
    core = BestFit(hosts) if policy is None else Core(parse_hosts(hosts), policy, moves_per_vm=moves_per_vm)
    watched = Watched(core, hosts)
    outcome = run(trace, parse_hosts(hosts), watched, rules=rules)
    return outcome, watched


CORES = st.sampled_from([None, *POLICIES])


@settings(max_examples=60, deadline=None)
@given(HOSTS, TRACES, RULES, CORES)
def test_every_vm_is_placed_or_waits_or_failed_and_no_host_is_ever_overfilled(hosts, trace, rules, policy):
    outcome, watched = go(hosts, trace, rules, policy)

    arrived = int(trace.vms[trace.arrival_s <= rules.until_s].sum())
    assert outcome.arrived == arrived == outcome.placed + outcome.waiting + outcome.failed
    assert outcome.failed == sum(outcome.failures.values())
    assert outcome.waiting == 0 or rules.waits
    used = outcome.course.hosts_used
    assert (not len(used) and not watched.live) or used[-1] == len({host_id for host_id, _ in watched.live.values()})
    assert all(wait_s >= 0 for wait_s in outcome.waits_s)


@settings(max_examples=60, deadline=None)
@given(HOSTS, TRACES, RULES, CORES)
def test_no_run_uses_fewer_hosts_at_its_peak_than_the_fluid_bound(hosts, trace, rules, policy):
    outcome, _ = go(hosts, trace, rules, policy)

    measures = measure(outcome, parse_hosts(hosts), wall_s=1.0)
    assert measures.fluid_bound_hosts <= measures.peak_hosts <= measures.hosts
    assert measures.peak_over_bound >= 1 or not measures.placed


@settings(max_examples=100, deadline=None)
@given(HOSTS, TRACES, RULES, st.sampled_from([*POLICIES]), st.sampled_from([0.1, 0.5, 3.0]))
def test_no_more_is_moved_than_may_be_and_no_host_is_overfilled_by_it(hosts, trace, rules, policy, moves_per_vm):
    outcome, watched = go(hosts, trace, rules, policy, moves_per_vm)

    assert outcome.migrations <= moves_per_vm * outcome.placed
    used = outcome.course.hosts_used
    assert (not len(used) and not watched.live) or used[-1] == len({host_id for host_id, _ in watched.live.values()})


@settings(max_examples=30, deadline=None)
@given(HOSTS, TRACES, RULES, CORES)
def test_the_same_run_comes_to_the_same_answer_and_the_same_pictures(hosts, trace, rules, policy):
    shapes = parse_hosts(hosts)
    said = []
    for _ in range(2):
        outcome, _ = go(hosts, trace, rules, policy)
        measures = measure(outcome, shapes, wall_s=1.0)
        said.append((measures, report.pictures(outcome, shapes, measures, trace="t", policy="p")))

    assert said[0] == said[1]


@settings(max_examples=60, deadline=None)
@given(HOSTS, TRACES)
def test_nobody_waits_at_the_end_for_room_that_is_there(hosts, trace):
    """What the waiting room passes over when a VM ends would not have fitted."""
    outcome, watched = go(hosts, trace, Rules(), None)

    running = set(watched.live)
    shapes = list(zip(trace.cpu_cores, trace.memory_mib, trace.vms, strict=True))
    first, waits = 0, []
    for shape in shapes:
        ever = {asked for _, verb, asked in watched.core.asked if verb == "end"} | running
        if first not in ever:
            waits.append(shape)
        first += int(shape[2])
    free = watched.core.free
    for cores, memory_mib, vms in waits:
        load = capacities(parse_hosts(f"1x{cores}c{memory_mib}m"))[0]
        assert rooms(load, free[:, 0], free[:, 1].astype(int)).sum() < vms
    assert outcome.waiting <= sum(int(vms) for _, _, vms in waits)
