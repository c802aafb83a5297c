"""Room made by moving a few VMs: every move holds by itself, and looking for it changes nothing."""

import os
from random import Random

import numpy as np
import pytest
from msgspec.structs import replace
from sample_hosts import make_demand, make_fleet, make_host, random_demand, random_host

from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.columns.hosts import Rows
from innkeeper_controller.scheduling.model import Placement
from innkeeper_controller.scheduling.moves.making_room import Move, Room, RoomMaker, best_among, rows_in_use
from innkeeper_controller.scheduling.scores import POLICIES
from innkeeper_controller.scheduling.wishes import Relation, Term
from innkeeper_plugins.vocabulary import HostId, VmId

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))


class Site:
    """A fleet, and who is where."""

    def __init__(self, *hosts, policy="packing"):
        self.fleet = make_fleet(*hosts)
        self.placer = Placer(self.fleet, POLICIES[policy])
        self.demands, self.host_of = {}, {}
        self.maker = RoomMaker(self.placer.search, self.loads_on, self.demands.__getitem__)

    def put(self, host_id, demand):
        self.demands[demand.vm_id], self.host_of[demand.vm_id] = demand, HostId(host_id)
        self.fleet.take(HostId(host_id), demand)
        return self

    def loads_on(self, host_id):
        return [self.demands[vm_id] for vm_id, there in self.host_of.items() if there == host_id]

    def carry_out(self, move):
        """Move a VM as a hypervisor does: it has left its host only once it is on the other one."""
        demand = self.demands[move.vm_id]
        assert self.host_of[move.vm_id] == move.source_id
        self.fleet.give_back(move.source_id, demand)
        row = self.fleet.row_of[move.target_id]
        assert best_among(self.placer.search, demand, rows_in_use(self.fleet)) is not None
        assert all(
            clause.holds(demand, _row(self.fleet, row)).all()
            for clause in self.placer.search.clauses
            if clause.concerns(demand, self.fleet)
        )
        self.fleet.take(move.target_id, demand)
        self.host_of[move.vm_id] = move.target_id


def _row(fleet, row):
    return Rows(fleet, np.array([row]))


def moves(*triples):
    return tuple(
        Move(vm_id=VmId(vm), source_id=HostId(source), target_id=HostId(target)) for vm, source, target in triples
    )


def small_site():
    """Two hosts of eight cores, each half taken by small VMs."""
    site = Site(make_host(1), make_host(2), make_host(3))
    site.put(1, make_demand(1, cpu_cores=4)).put(1, make_demand(2, cpu_cores=1)).put(1, make_demand(3, cpu_cores=1))
    return site.put(2, make_demand(4, cpu_cores=5)).put(2, make_demand(5, cpu_cores=1))


def test_the_fewest_and_smallest_vms_make_way():
    site = small_site()

    assert site.maker.find(make_demand(9, cpu_cores=3), 3) == Room(host_id=HostId(1), moves=moves((2, 1, 2)))


def test_no_more_vms_are_moved_than_may_be():
    site = small_site()

    assert site.maker.find(make_demand(9, cpu_cores=4), 2) == Room(host_id=HostId(1), moves=moves((2, 1, 2), (3, 1, 2)))
    assert site.maker.find(make_demand(9, cpu_cores=4), 1) is None
    assert site.maker.find(make_demand(9, cpu_cores=3), 0) is None


def test_nobody_goes_to_an_empty_host():
    site = Site(make_host(1), make_host(2))
    site.put(1, make_demand(1, cpu_cores=6))

    assert site.maker.find(make_demand(9, cpu_cores=4), 3) is None


def test_vms_with_nodes_or_devices_stay_where_they_are():
    site = Site(make_host(1), make_host(2))
    site.put(1, make_demand(1, cpu_cores=6)).put(1, replace(make_demand(2), pci_addresses=("0000:01:00.0",)))
    site.put(2, make_demand(3, cpu_cores=7))

    assert site.maker.find(make_demand(9, cpu_cores=2), 3) is None


def test_a_vm_that_may_not_go_to_the_only_other_host_gives_no_room():
    apart = Term(relation=Relation.APART, groups=("db",))
    site = Site(make_host(1), make_host(2))
    site.put(1, make_demand(1, cpu_cores=5)).put(1, make_demand(2, cpu_cores=2, groups=("db",), terms=(apart,)))
    site.put(2, make_demand(3, cpu_cores=6, groups=("db",)))

    assert site.maker.find(make_demand(9, cpu_cores=3), 3) is None


def test_a_vm_that_lacks_something_that_moving_does_not_mend_gets_no_room():
    site = small_site()

    assert site.maker.find(make_demand(9, cpu_cores=3, arch="aarch64", requirements="ARCH = s390x"), 3) is None


@pytest.mark.parametrize("number", range(5))
def test_of_hosts_that_are_alike_an_empty_one_is_taken_only_where_none_in_use_has_room(number):
    random = Random(SEED * 1_000 + number)
    site = Site(*[make_host(each) for each in range(1, 30)])
    for vm_id in range(1, 150):
        size = {"cpu_cores": random.choice((0.5, 1, 2, 4)), "memory_mib": random.choice((256, 1024, 2048))}
        demand = make_demand(vm_id, **size)
        in_use = best_among(site.placer.search, demand, rows_in_use(site.fleet))
        found = site.placer.choose(demand)
        if found is not None:
            assert bool(site.loads_on(found.host_id)) == (in_use is not None)
            site.put(found.host_id, demand)
        if random.random() < 0.3:
            ended = random.choice(sorted(site.host_of))
            site.fleet.give_back(site.host_of.pop(ended), site.demands.pop(ended))


@pytest.mark.parametrize("number", range(40))
def test_whatever_is_found_holds_move_by_move_and_looking_leaves_the_fleet_as_it_was(number):
    random = Random(SEED * 1_000 + number)
    site = Site(*[random_host(random, each, plain=0.8) for each in range(1, 9)], policy=random.choice(list(POLICIES)))
    filled(site, random)
    for vm_id in range(1_000, 1_020):
        wanted = random_demand(random, vm_id, list(site.demands)[:5], list(site.fleet.row_of))
        wanted = replace(wanted, numa=None, pci=())
        before = site.fleet.copy()
        room = site.maker.find(wanted, random.randint(1, 3))
        assert site.fleet == before
        if room is not None and best_among(site.placer.search, wanted, rows_in_use(site.fleet)) is None:
            for move in room.moves:
                site.carry_out(move)
            row = site.fleet.row_of[room.host_id]
            assert best_among(site.placer.search, wanted, _row(site.fleet, row).at) is not None
            site.put(room.host_id, wanted)


def filled(site, random):
    """Place VMs until many hosts are full."""
    for vm_id in range(1, 120):
        demand = random_demand(random, vm_id, list(site.demands)[:5], list(site.fleet.row_of))
        found = site.placer.choose(replace(demand, numa=None, pci=()))
        if isinstance(found, Placement):
            site.put(found.host_id, replace(demand, numa=None, pci=()))
