"""The scheduler's columns follow the records, whatever becomes of these."""

import os
import random

import msgspec
import pytest
from tests.controller.builders import BARE, a_host, a_network, a_reactor, an_image, turn_of
from tests.controller.builders import submit as submitted

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.inventory import Allowance
from innkeeper_controller.records import KINDS, ClusterRecord, HostState
from innkeeper_controller.scheduling.wishes import Relation, Term, Wishes
from innkeeper_plugins.vocabulary import DatastoreFacts, HostId, VmId, VmState

replace = msgspec.structs.replace

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
RUNS = int(os.environ.get("INNKEEPER_RUNS", "20"))
HOSTS = tuple(HostId(number) for number in range(1, 6))
WISHES = (
    Wishes(),
    Wishes(groups=("db",), terms=(Term(relation=Relation.APART, groups=("db",)),)),
    Wishes(groups=("web",), terms=(Term(relation=Relation.APART, vm_ids=(VmId(1),), scope="rack"),)),
)


def rebuilt(cluster):
    """Return a cluster filled from the records of another, as at a start."""
    again = Cluster()
    again.load_records([record for word in KINDS for record in cluster.table(word).values()], dict(cluster.last_ids))
    return again


class Changes:
    """Changes of records, some of them taken back."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.reactor = a_reactor(an_image(), a_network(), ClusterRecord(cluster_id=1, name="east"))
        self.template = submitted(self.reactor, BARE, hold=False)
        self.versions = {self.cluster.fleet.version(): self.told()}

    @property
    def cluster(self):
        return self.reactor.cluster

    def told(self):
        """Return what the version is to change with."""
        cluster = rebuilt(self.cluster)
        return {
            host_id: (view.usable, numbers.get("cpu_total"), numbers.get("cpu_used"), numbers.get("memory_used"), vms)
            for host_id, (view, numbers, vms, *_) in cluster.fleet.picture().items()
        }

    def turn(self):
        """Make a few changes; return whether they were taken back."""
        turn = turn_of(self.reactor)
        for _ in range(self.random.randint(1, 6)):
            self.random.choices((self.host, self.vm, self.vm, self.drop, self.allow))[0](turn)
        is_taken_back = self.random.random() < 0.4
        if is_taken_back:
            turn.take_back()
        return is_taken_back

    def host(self, turn):
        host_id = self.random.choice(HOSTS)
        made = a_host(
            host_id,
            connected=self.random.random() < 0.8,
            state=self.random.choice((HostState.ON, HostState.ON, HostState.DISABLED)),
            cpu_cores=self.random.choice((4.0, 8.0)),
        )
        # what is free by the host's own word depends on when it was said, so that here it never binds
        rooms = (DatastoreFacts(name="default", total_mib=10**6, free_mib=10**6),)
        made = replace(
            made,
            cluster_id=self.random.choice((0, 1)),
            labels={"rack": self.random.choice("ab")},
            advertisement=replace(made.advertisement, datastores=rooms),
        )
        turn.put(made)

    def vm(self, turn):
        if self.cluster.hosts:
            host_id, there = (self.random.choice((None, *self.cluster.hosts)) for _ in range(2))
            states = (VmState.RUNNING, VmState.PENDING, VmState.STOPPED, VmState.SUSPENDED)
            turn.put(
                replace(
                    self.template,
                    vm_id=VmId(self.random.randint(0, 8)),
                    state=self.random.choice(states),
                    host_id=host_id,
                    destination_id=there,
                    wishes=self.random.choice(WISHES),
                )
            )

    def drop(self, turn):
        records = [*self.cluster.hosts.values(), *self.cluster.vms.values()]
        if records and self.random.random() < 0.5:
            turn.drop(self.random.choice(records))

    def allow(self, turn):
        ratio = self.random.choice((1.0, 2.0))
        turn.put(ClusterRecord(cluster_id=1, name="east", allowances={"cpu": Allowance(allocation_ratio=ratio)}))


@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_the_columns_are_those_of_a_cluster_read_from_its_records_also_where_changes_were_taken_back(seed):
    changes = Changes(seed)
    for _ in range(15):
        before = changes.cluster.fleet.picture(), changes.cluster.fleet.version()
        is_taken_back = changes.turn()

        fleet = changes.cluster.fleet
        assert fleet == rebuilt(changes.cluster).fleet
        assert not is_taken_back or (fleet.picture(), fleet.version()) == before
        assert changes.versions.setdefault(fleet.version(), changes.told()) == changes.told()


def test_a_vm_that_is_left_out_for_a_while_is_back_afterwards():
    changes = Changes(SEED)
    changes.host(turn_of(changes.reactor))
    (host_id,) = changes.cluster.hosts
    turn_of(changes.reactor).put(replace(changes.template, state=VmState.RUNNING, host_id=host_id))
    before = changes.cluster.fleet.picture()

    with changes.cluster.placement.without(changes.template.vm_id) as fleet:
        assert fleet.rows_with_vm(changes.template.vm_id) == ()
    assert changes.cluster.fleet.picture() == before
