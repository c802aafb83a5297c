"""A site for tests of rebalancing: a fleet, and who is where; moves are carried out as hypervisors do."""

import numpy as np
from msgspec.structs import replace
from sample_hosts import make_fleet, random_demand

from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.columns.hosts import Rows
from innkeeper_controller.scheduling.moves.balancing import Limits, balance
from innkeeper_controller.scheduling.scores import POLICIES
from innkeeper_plugins.vocabulary import HostId


class Site:
    """A fleet, and who is where."""

    def __init__(self, *hosts, policy="packing"):
        self.fleet = make_fleet(*hosts)
        self.placer = Placer(self.fleet, POLICIES[policy])
        self.demands, self.host_of = {}, {}

    def put(self, host_id, *demands):
        for demand in demands:
            self.demands[demand.vm_id], self.host_of[demand.vm_id] = demand, HostId(host_id)
            self.fleet.take(HostId(host_id), demand)
        return self

    def loads_on(self, host_id):
        return [self.demands[vm_id] for vm_id, there in self.host_of.items() if there == host_id]

    def balance(self, goal, **limits):
        return balance(
            self.placer.search, goal, self.loads_on, demand_of=self.demands.__getitem__, limits=Limits(**limits)
        )

    def carry_out(self, move):
        """Move a VM: every clause has to hold on the host that it goes to, and it leaves the other one last."""
        demand = self.demands[move.vm_id]
        assert self.host_of[move.vm_id] == move.source_id != move.target_id
        self.fleet.give_back(move.source_id, demand)
        there = Rows(self.fleet, np.array([self.fleet.row_of[move.target_id]]))
        failing = [
            clause.name
            for clause in self.placer.search.clauses
            if clause.concerns(demand, self.fleet) and not clause.holds(demand, there).all()
        ]
        assert failing == []
        self.fleet.take(move.target_id, demand)
        self.host_of[move.vm_id] = move.target_id
        row = self.fleet.row_of[move.target_id]
        assert self.fleet.number("cpu_free")[row] >= -1e-6
        assert self.fleet.number("memory_free")[row] >= 0

    def fill(self, random, count):
        """Place VMs wherever they fit."""
        for vm_id in range(1, count + 1):
            demand = random_demand(random, vm_id, list(self.demands)[:5])
            demand = replace(demand, numa=None, pci=(), requirements=None)
            found = self.placer.search.fitting(
                self.placer.search.question(demand), np.arange(self.fleet.count)
            ).tolist()
            if found:
                self.put(self.fleet.views[random.choice(found)].host_id, demand)
