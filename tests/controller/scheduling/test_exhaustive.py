"""The choice is the one that asking every host would make, whatever happened before.

``INNKEEPER_RUNS`` histories of a hundred choices each are tried from ``INNKEEPER_SEED`` on; 1000 make a soak.
"""

import os
from random import Random

import pytest
from msgspec.structs import replace
from plain_search import PlainFleet
from sample_hosts import random_demand, random_host

from innkeeper_controller.scheduling.choice.blocks import Sizes
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.columns.fleet import Fleet
from innkeeper_controller.scheduling.scores import POLICIES, policy_of
from innkeeper_plugins.vocabulary import HostId

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
RUNS = int(os.environ.get("INNKEEPER_RUNS", "20"))
CHOICES = 100
FEW = (0, 1, 2, 3, 5, 8, 13, 20, 30, 40)
POLICIES_TRIED = (
    *POLICIES.values(),
    policy_of(packing=-1.0, reliability=0.5),
    policy_of(striping=-0.3, fixed=-2.0, image_locality=-1.0, affinity=-1.0),
    policy_of(idleness=-1.0, packing=0.5, reliability=-0.7),
    (),
)
SIZES = (
    Sizes(few=0, block=4, hot=3, warm=8),
    Sizes(few=0, block=1, hot=1, warm=2),
    Sizes(few=4, block=3, hot=8, warm=0),
    Sizes(few=0, block=4, hot=1000, warm=0),
    Sizes(few=0, block=16, hot=0, warm=10),
    Sizes(),
)


class History:
    """One fleet and its plain counterpart, and what happens to both."""

    def __init__(self, seed, size):
        self.random = Random(seed)
        self.fleet, self.plain_share = Fleet(), self.random.choice((0.0, 0.5, 1.0))
        self.plain = PlainFleet(self.fleet)
        self.policy = self.random.choice(POLICIES_TRIED)
        self.placer = Placer(self.fleet, self.policy, sizes=self.random.choice(SIZES))
        self.last_vm_id = self.last_host_id = self.choices = 0
        self.demand = None
        for _ in range(size):
            self.join()

    def go(self, choices):
        acts = (self.place, self.place_alike, self.end, self.change, self.hear, self.leave, self.join, self.move)
        weights = (50, 30, 25, 4, 4, 1, 1, 2)
        while self.choices < choices:
            self.random.choices(acts, weights)[0]()

    def place(self):
        self.last_vm_id += 1
        vm_ids = [vm_id for vm_id, *_ in self.guests()][:5]
        self.demand = random_demand(self.random, self.last_vm_id, vm_ids, list(self.plain.hosts))
        self.choose()

    def place_alike(self):
        if self.demand is None:
            return
        for _ in range(self.random.randint(1, 6)):
            self.last_vm_id += 1
            self.demand = replace(self.demand, vm_id=self.last_vm_id)
            self.choose()

    def choose(self):
        self.choices += 1
        expected = self.plain.best(self.demand, self.policy)
        chosen = self.placer.choose(self.demand)
        assert (chosen and (chosen.host_id, chosen.rank, chosen.score)) == expected, self.demand
        if chosen is not None and self.random.random() < 0.9:
            assert self.placer.place(self.demand) == chosen
            host = self.plain.hosts[chosen.host_id]
            numa_cells, pci_addresses = self.plain.devices(self.demand, host)
            host.take(replace(self.demand, numa_cells=numa_cells, pci_addresses=pci_addresses))

    def guests(self):
        return [(vm_id, host, load) for host in self.plain.hosts.values() for vm_id, load in host.loads.items()]

    def end(self):
        guests = self.guests()
        if guests:
            vm_id, host, load = self.random.choice(guests)
            host.give_back(vm_id)
            self.placer.end(host.view.host_id, load)

    def move(self):
        """Let a VM take a second host while it moves, and perhaps leave the first one."""
        guests = self.guests()
        if not guests:
            return
        vm_id, host, load = self.random.choice(guests)
        there = self.random.choice(list(self.plain.hosts.values()))
        if load.numa_cells or load.pci_addresses or vm_id in there.loads or self.fleet.rows_with_vm(vm_id)[1:]:
            return
        there.take(load)
        self.fleet.take(there.view.host_id, load)
        if self.random.random() < 0.7:
            host.give_back(vm_id)
            self.fleet.give_back(host.view.host_id, load)

    def host_id(self):
        return self.random.choice(list(self.plain.hosts))

    def put(self, view):
        self.fleet.put(view)
        self.plain.put(view)

    def change(self):
        """Let a host say something else of itself: all, or only whether it is there."""
        if self.plain.hosts:
            number = self.host_id()
            view = self.plain.hosts[number].view
            self.put(
                random_host(self.random, number)
                if self.random.random() < 0.4
                else replace(view, usable=not view.usable, failures=self.random.randint(0, 2))
            )

    def hear(self):
        if self.plain.hosts:
            number, busy = self.host_id(), self.random.choice((0.0, 0.25, 0.25, 1.0))
            self.fleet.hear(number, busy)
            self.plain.hosts[number].busy = busy

    def leave(self):
        if self.plain.hosts:
            number = self.host_id()
            self.fleet.drop(number)
            del self.plain.hosts[number]

    def join(self):
        self.last_host_id += 1
        self.put(random_host(self.random, HostId(self.last_host_id), plain=self.plain_share))


@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_the_choice_is_the_one_that_asking_every_host_would_make(seed):
    history = History(seed, FEW[seed % len(FEW)])

    history.go(CHOICES)


@pytest.mark.parametrize(("size", "choices"), [(300, 60), (700, 40), (2000, 15)])
def test_the_choice_is_the_same_among_many_hosts(size, choices):
    for seed in range(SEED, SEED + max(1, RUNS // 100)):
        history = History(seed + size, size)

        history.go(choices)
