"""What is told of a VM that waits is what is in its way: take that away and it fits, leave any of it and it does not.

``INNKEEPER_RUNS`` fleets are tried from ``INNKEEPER_SEED`` on.
"""

import os
from random import Random

import pytest
from msgspec.structs import replace
from sample_hosts import make_fleet, random_demand, random_host

from innkeeper_controller.expressions import obstacles as told_of
from innkeeper_controller.inventory import Inventory
from innkeeper_controller.scheduling.answers.verdicts import counts_of, obstacles_on, verdicts
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.clauses import CLAUSES
from innkeeper_controller.scheduling.model import Room
from innkeeper_controller.scheduling.scores import POLICIES
from innkeeper_controller.scheduling.wishes import Relation
from innkeeper_plugins.vocabulary import Capacity, VmId

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
RUNS = int(os.environ.get("INNKEEPER_RUNS", "40"))
SEEDS = range(SEED, SEED + RUNS)


class Site:
    """A fleet with VMs on it, and what each took where."""

    def __init__(self, seed, hosts=8):
        self.random = Random(seed)
        self.views = {number: random_host(self.random, number, plain=0.3) for number in range(1, hosts + 1)}
        self.fleet = make_fleet(*self.views.values())
        self.search = Search(self.fleet, POLICIES["packing"])
        self.loads = {number: {} for number in self.views}
        placer = Placer(self.fleet)
        for number in range(100, 100 + self.random.choice((0, 10, 40))):
            self.place(placer, number)

    def place(self, placer, number):
        demand = random_demand(self.random, number, list(range(100, number))[:5], list(self.views))
        found = placer.choose(demand)
        if found is not None:
            granted = placer._granted(demand, found.host_id)
            self.fleet.take(found.host_id, granted)
            self.loads[found.host_id][number] = granted

    def demand(self):
        guests = [vm_id for loads in self.loads.values() for vm_id in loads]
        demand = random_demand(self.random, 1, guests[:5], list(self.views))
        if self.random.random() < 0.5:
            size = Capacity(
                cpu_cores=self.random.choice((0.5, 4.0, 7.25, 60.0)),
                memory_mib=self.random.choice((512, 3000, 8000, 90_000)),
            )
            demand = replace(demand, capacity=size)
        return demand

    def loads_on(self, host_id):
        return list(self.loads[host_id].values())

    def verdicts(self, demand, **more):
        return verdicts(demand, self.search, loads_on=self.loads_on, **more)

    def end(self, vm_id):
        """End a VM and return what takes that back."""
        (host_id,) = [number for number, loads in self.loads.items() if vm_id in loads]
        load = self.loads[host_id].pop(vm_id)
        self.fleet.give_back(host_id, load)

        def undo():
            self.loads[host_id][vm_id] = load
            self.fleet.take(host_id, load)

        return undo

    def swap(self, vm_id):
        """End a VM and let another that takes as much have its room, so that nothing else changes."""
        (host_id,) = [number for number, loads in self.loads.items() if vm_id in loads]
        other = replace(self.loads[host_id][vm_id], vm_id=VmId(vm_id + 10_000), groups=(), terms=())
        undo = self.end(vm_id)
        self.loads[host_id][other.vm_id] = other
        self.fleet.take(host_id, other)

        def undo_both():
            self.end(other.vm_id)
            undo()

        return undo_both

    def put(self, view):
        before, self.views[view.host_id] = self.views[view.host_id], view
        self.fleet.put(view)
        return lambda: self.put(before)

    def fits(self, demand, host_id):
        return not list(obstacles_on(demand, self.fleet, host_id, CLAUSES))


# --- they agree with the choice


@pytest.mark.parametrize("seed", SEEDS)
def test_a_host_fits_where_no_obstacle_is_told_and_the_best_one_is_the_first(seed):
    site = Site(seed)
    for _ in range(10):
        demand = site.demand()
        found, best = site.verdicts(demand), site.search.best(demand)

        assert {each.host_id for each in found.hosts} == set(site.views)
        assert all(each.fits == site.fits(demand, each.host_id) for each in found.hosts)
        assert (best is not None) == found.hosts[0].fits == (found.fitting > 0)
        assert best is None or (best.host_id, best.score) == (found.hosts[0].host_id, found.hosts[0].scores["total"])
        assert found.fitting == sum(each.fits for each in found.hosts)
        assert sum(each.count for each in found.alike) == found.hosts_total - found.fitting


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_with_a_limit_the_same_hosts_come_first_and_all_are_counted(seed):
    site = Site(seed, hosts=20)
    for _ in range(5):
        demand = replace(site.demand(), numa=None, pci=())
        whole, short = site.verdicts(demand), site.verdicts(demand, limit=4)

        assert replace(short, hosts=whole.hosts) == whole
        assert short.hosts == whole.hosts[:4]


@pytest.mark.parametrize("seed", SEEDS)
def test_hosts_are_counted_once_for_each_clause_that_they_fail(seed):
    site = Site(seed)
    demand = replace(site.demand(), numa=None, pci=())
    found = site.verdicts(demand)
    failed = [clause for each in found.hosts for clause in {obstacle.clause for obstacle in each.obstacles}]

    assert found.counts == counts_of(demand, site.search) == {each: failed.count(each) for each in failed}


# --- what is told is what is in the way


def limited(old, capacity):
    return Inventory(total=capacity, min_unit=old.min_unit, max_unit=old.max_unit, step_size=old.step_size)


def with_room(site, demand, view):
    """Return the datastores of a host with just the room that a VM needs."""
    loads = site.loads[view.host_id].values()
    given = {name: sum(load.datastores.get(name, 0) for load in loads) for name in demand.datastores}
    needed = {
        name: Room(inventory=Inventory(total=given[name] + mib), free_mib=mib)
        for name, mib in demand.datastores.items()
    }
    return {**view.datastores, **needed}


#: ``{clause: what is another of the host}``, from the site, the demand, the host and the obstacle.
OTHER_HOST = {
    "host state": lambda *_: {"usable": True, "unusable_reason": ""},
    "ban": lambda *_: {"ban": ""},
    "architecture": lambda _, demand, *__: {"arch": demand.arch},
    "cpu flags": lambda _, demand, view, __: {"cpu_flags": view.cpu_flags | demand.cpu_flags},
    "hypervisor": lambda _, demand, view, __: {"hypervisors": view.hypervisors | {demand.hypervisor or "libvirt"}},
    "transfer driver": lambda _, demand, view, __: {
        "transfer_drivers": view.transfer_drivers | demand.transfer_drivers
    },
    "bridge": lambda _, demand, view, __: {"bridges": view.bridges | demand.bridges},
    "memory": lambda _, __, view, obstacle: {"memory": limited(view.memory, view.memory.capacity + obstacle.amount)},
    "cpu": lambda _, __, view, obstacle: {"cpu": limited(view.cpu, view.cpu.capacity + obstacle.amount)},
    "limits": lambda _, __, view, ___: {
        "cpu": Inventory(total=view.cpu.capacity),
        "memory": Inventory(total=view.memory.capacity),
    },
    "datastore": lambda site, demand, view, _: {"datastores": with_room(site, demand, view)},
    "disk": lambda site, demand, view, _: {"datastores": with_room(site, demand, view)},
}
#: The same for the demand.
OTHER_DEMAND = {
    "cluster": lambda _, demand, view, __: {"clusters": {**demand.clusters, view.cluster_id: "its own"}},
    "requirements": lambda site, demand, view, obstacle: {
        "requirements": without_half(site, demand, view.host_id, obstacle)
    },
    "exclusion": lambda _, demand, view, __: {"excluded": demand.excluded - {view.host_id}},
    "anti-affinity": lambda _, demand, *__: {"terms": without(demand, Relation.APART), "groups": ()},
    "affinity": lambda _, demand, *__: {"terms": without(demand, Relation.TOGETHER)},
    "spread": lambda _, demand, *__: {"terms": without(demand, Relation.SPREAD)},
    "numa": lambda _, demand, *__: {
        "numa": None,
        "capacity": replace(demand.capacity, memory_mib=demand.ordinary_memory_mib),
    },
    "pci": lambda *_: {"pci": ()},
}


def mended(site, demand, host_id, obstacle):
    """Take away exactly what an obstacle states; return the demand and what undoes the rest."""
    view, name = site.views[host_id], obstacle.clause
    if name == "anti-affinity" and obstacle.remedy:
        return demand, [site.swap(vm_id) for vm_id in obstacle.vm_ids]
    if name in OTHER_HOST:
        return demand, [site.put(replace(view, **OTHER_HOST[name](site, demand, view, obstacle)))]
    return replace(demand, **OTHER_DEMAND[name](site, demand, view, obstacle)), []


def without(demand, relation):
    return tuple(term for term in demand.terms if term.relation is not relation)


def without_half(site, demand, host_id, obstacle):
    """Return the requirements without the half that is told of: that of what hosts are, or of what is on them."""
    attributes = site.fleet.attributes_of(site.fleet.row_of[host_id])
    static, moving = demand.requirements.halves()
    failed = "; ".join(each.message for each in told_of(static.tree, attributes)) if static is not None else ""
    return moving if failed == obstacle.message else static


@pytest.mark.parametrize("seed", SEEDS)
def test_a_vm_fits_once_all_that_is_told_is_gone_and_not_before(seed):
    site = Site(seed)
    for _ in range(6):
        demand = site.demand()
        for verdict in site.verdicts(demand).hosts:
            for kept in (None, *told_apart(verdict)):
                better, undo = demand, []
                for obstacle in verdict.obstacles:
                    if kept is None or is_other(obstacle, kept):
                        better, more = mended(site, better, verdict.host_id, obstacle)
                        undo += more
                assert site.fits(better, verdict.host_id) == (kept is None), (verdict, kept)
                for each in reversed(undo):
                    each()


def is_other(obstacle, kept):
    """Say whether an obstacle can be taken away without the one that is to be kept.

    A datastore that is not there has no room either, and requirements may be about room.
    """
    names = {kept.clause, obstacle.clause} if kept is not None else set()
    return obstacle is not kept and not names <= {"datastore", "disk"}


def told_apart(verdict):
    """Go over the obstacles that can be kept while all others go."""
    sized = any(each.clause in {"memory", "cpu"} for each in verdict.obstacles)
    return (each for each in verdict.obstacles if not (sized and each.clause == "requirements"))
