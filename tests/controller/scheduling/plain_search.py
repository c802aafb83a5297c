"""The best host found as plainly as can be: every host by itself, in Python, from what is on it.

It shares with the scheduler only the expressions, and the puzzles of nodes and of devices.
"""

import math
from collections import Counter

import numpy as np

from innkeeper_controller.scheduling.columns.hosts import Rows
from innkeeper_controller.scheduling.nodes import holdings, numa, pci
from innkeeper_controller.scheduling.nodes.shortage import Shortage
from innkeeper_controller.scheduling.scores import concerned
from innkeeper_controller.scheduling.wishes import HOST_SCOPE, Relation


class PlainHost:
    """A host and the VMs on it."""

    def __init__(self, view):
        self.view = view
        self.loads = {}
        #: ``{datastore: MiB}`` left, counted from what the host said last.
        self.rooms = {}
        self.images = set()
        self.busy = 0.0
        self.see(None)

    def see(self, old):
        for name, room in self.view.datastores.items():
            if old is None or old.datastores.get(name) != room:
                given = sum(load.datastores.get(name, 0) for load in self.loads.values())
                self.rooms[name] = min(room.free_mib, room.inventory.capacity - given)
        for name in set(self.rooms).difference(self.view.datastores):
            del self.rooms[name]
        self.count()

    def count(self):
        """Sum up what is used, exactly."""
        loads = self.loads.values()
        self.cpu_used = round(sum(load.capacity.cpu_cores for load in loads), 6)
        self.memory_used = float(sum(load.ordinary_memory_mib for load in loads))

    def take(self, load):
        self.loads[load.vm_id] = load
        self.images.update(digest for digest in load.images if digest not in self.view.images)
        for name, mib in load.datastores.items():
            if name in self.rooms:
                self.rooms[name] -= mib
        self.count()

    def give_back(self, vm_id):
        load = self.loads.pop(vm_id)
        for name, mib in load.datastores.items():
            if name in self.rooms:
                self.rooms[name] += mib
        self.count()

    @property
    def attributes(self):
        cpu, memory = self.view.cpu.capacity, self.view.memory.capacity
        free_cpu, free_memory = (cpu - self.cpu_used) * 100.0, (memory - self.memory_used) * 1024.0
        return {
            **self.view.attributes,
            **dict.fromkeys(("TOTAL_CPU", "MAX_CPU"), cpu * 100.0),
            **dict.fromkeys(("USED_CPU", "CPU_USAGE"), self.cpu_used * 100.0),
            "FREE_CPU": free_cpu,
            **dict.fromkeys(("TOTAL_MEMORY", "MAX_MEM"), memory * 1024.0),
            **dict.fromkeys(("USED_MEMORY", "MEM_USAGE"), self.memory_used * 1024.0),
            **dict.fromkeys(("FREE_MEMORY", "FREE_MEM"), free_memory),
            "RUNNING_VMS": float(len(self.loads)),
            "CURRENT_VMS": tuple(sorted(self.loads)),
        }

    def place(self, scope):
        """Return what is one place with other hosts; None for no place."""
        return self.view.host_id if scope == HOST_SCOPE else self.view.labels.get(scope)


class PlainFleet:
    """Hosts by number; ``fleet`` is the one that is checked, for scores that are not known here."""

    def __init__(self, fleet):
        self.hosts = {}
        self.fleet = fleet

    def put(self, view):
        host = self.hosts.get(view.host_id)
        if host is None:
            self.hosts[view.host_id] = PlainHost(view)
        else:
            old, host.view = host.view, view
            host.see(old)

    @property
    def has_failures(self):
        return any(host.view.failures for host in self.hosts.values())

    def best(self, demand, policy):
        """Return ``(host, rank, score)`` of the best one; None where it fits on none."""
        # Counted once for all hosts.
        self.counted, self.emptiest, self.repelled = {}, {}, self.taboo(demand)
        found = [self.quality(demand, host, policy) for host in self.hosts.values() if self.fits(demand, host)]
        if not found:
            return None
        rank, score, other = max(found)
        return -other, rank, score

    def quality(self, demand, host, policy):
        rank = demand.rank.of(host.attributes) if demand.rank is not None else 0.0
        scores = concerned(policy, demand, self)
        score = sum((weight * self.score(each, demand, host) for each, weight in scores), start=0.0)
        return rank, score, -host.view.host_id

    # --- clauses

    def fits(self, demand, host):
        view = host.view
        return (
            view.usable
            and not view.ban
            and (demand.clusters is None or view.cluster_id in demand.clusters)
            and (not demand.arch or view.arch in {"", demand.arch})
            and demand.cpu_flags <= view.cpu_flags
            and (demand.hypervisor in view.hypervisors if demand.hypervisor else bool(view.hypervisors))
            and demand.transfer_drivers <= view.transfer_drivers
            and demand.bridges <= view.bridges
            and all(host.rooms.get(name, -math.inf) >= mib for name, mib in demand.datastores.items())
            and view.cpu.capacity - host.cpu_used >= demand.capacity.cpu_cores - 1e-6
            and (demand.has_pages or view.memory.capacity - host.memory_used >= demand.capacity.memory_mib)
            and self.is_within(view.cpu, demand.capacity.cpu_cores)
            and self.is_within(view.memory, demand.capacity.memory_mib)
            and view.host_id not in demand.excluded
            and (demand.requirements is None or demand.requirements.holds(host.attributes))
            and all(self.holds(term, host) for term in demand.terms if term.is_hard)
            and not any(host.place(scope) == place for scope, place in self.repelled)
            and self.has_devices(demand, host)
        )

    def is_within(self, limits, amount):
        steps = amount / limits.step_size if limits.step_size else 0.0
        return limits.min_unit <= amount <= limits.max_unit and abs(steps - round(steps)) < 1e-6

    def members(self, term, place):
        """Return how many of those whom a term means are in a place, of all hosts where it is ``...``."""
        if term not in self.counted:
            counts = self.counted[term] = Counter()
            for host in self.hosts.values():
                for load in host.loads.values():
                    meant = sum(group in load.groups for group in term.groups) + term.vm_ids.count(load.vm_id)
                    counts[host.place(term.scope)] += meant
                    counts[...] += meant
        return self.counted[term][place]

    def holds(self, term, host):
        place = host.place(term.scope)
        if place is None:
            return False
        if term.relation is Relation.SPREAD:
            return self.members(term, place) + 1 - self.least(term) <= term.max_skew
        if term.relation is Relation.TOGETHER:
            return not self.members(term, ...) or self.members(term, place) > 0
        return not self.members(term, place)

    def least(self, term):
        if term not in self.emptiest:
            places = {each.place(term.scope) for each in self.hosts.values() if each.view.is_expected} - {None}
            self.emptiest[term] = min((self.members(term, place) for place in places), default=0)
        return self.emptiest[term]

    def taboo(self, demand):
        """Return ``(scope, place)`` of all places that others keep the VM away from."""
        return {
            (term.scope, host.place(term.scope))
            for host in self.hosts.values()
            for load in host.loads.values()
            for term in load.terms
            if term.is_hard
            and term.relation is Relation.APART
            and host.place(term.scope) is not None
            and (set(term.groups) & set(demand.groups) or demand.vm_id in term.vm_ids)
        }

    def has_devices(self, demand, host):
        return not any(isinstance(each, Shortage) for each in self.devices(demand, host))

    def devices(self, demand, host):
        """Return the nodes and the devices that a VM would get."""
        view, loads = host.view, host.loads.values()
        addresses = pci.choose(demand.pci, view.pci, pci.held_by(loads)) if demand.pci else ()
        near = pci.nodes_of(() if isinstance(addresses, Shortage) else addresses, view.pci)
        if demand.numa is None:
            return (), addresses
        held, memory_mib = holdings.held_by(loads), demand.capacity.memory_mib
        return numa.assign(demand.numa, demand.vcpus, memory_mib, view.numa, held, near=near), addresses

    # --- scores

    def score(self, score, demand, host):
        of = getattr(self, score.name.replace(" ", "_"), None)
        if of is not None:
            return of(demand, host)
        row = self.fleet.row_of[host.view.host_id]
        return score.of(demand, Rows(self.fleet, np.array([row]))).item(0)

    def packing(self, demand, host):
        cpu_unit, memory_unit = self.unit(host.view.cpu), self.unit(host.view.memory)
        filled = host.cpu_used * cpu_unit + host.memory_used * memory_unit
        more = demand.capacity.cpu_cores * cpu_unit + demand.capacity.memory_mib * memory_unit
        return min(1.0, (filled + more) * 0.5)

    def unit(self, inventory):
        return 1.0 / inventory.capacity if inventory.capacity > 0 else 1.0

    def striping(self, demand, host):
        return 1.0 - self.packing(demand, host)

    def idleness(self, _demand, host):
        return 1.0 - host.busy

    def fixed(self, _demand, host):
        return host.view.priority

    def reliability(self, _demand, host):
        return 1.0 / (1.0 + host.view.failures)

    def image_locality(self, demand, host):
        has = host.view.images | host.images
        total = sum(demand.images.values())
        return sum(size for digest, size in demand.images.items() if digest in has) / total

    def affinity(self, demand, host):
        wishes = [term for term in demand.terms if not term.is_hard]
        total = sum((term.weight * self.how_well(term, host) for term in wishes), start=0.0)
        return total / sum(term.weight for term in wishes)

    def how_well(self, term, host):
        if term.relation is not Relation.SPREAD:
            return float(self.holds(term, host))
        place = host.place(term.scope)
        return 0.0 if place is None else 1.0 / (1.0 + self.members(term, place) - self.least(term))
