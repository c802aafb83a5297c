"""Whatever is taken, held, reserved, added and removed in whatever order: one owner each, and all given back."""

import os

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.controller.builders import BOB, a_network, a_reactor, ask, turn_of

from innkeeper_controller import leases
from innkeeper_controller.turn import RefusalError
from innkeeper_controller.verify import CHECKS
from innkeeper_plugins.vocabulary import VmId

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
#: Checks that hold although the VMs here are numbers only.
HELD = ("addresses-once", "ranges", "reservations")


class Addresses(RuleBasedStateMachine):
    """A network, its reservations and who has what of them."""

    def __init__(self):
        super().__init__()
        self.reactor = a_reactor(a_network(size=4, last_ar_id=0))
        self.next_third = 1
        #: Numbers of ranges that ever were.
        self.ar_ids = {0}

    @property
    def cluster(self):
        return self.reactor.cluster

    def ask(self, name, /, **params):
        """Ask; a refusal is an answer too, and must change nothing."""
        before = dict(self.cluster.leases), dict(self.cluster.networks)
        try:
            return ask(self.reactor, name, **params)
        except RefusalError:
            assert before == (dict(self.cluster.leases), dict(self.cluster.networks))
            return None

    def some_network(self, number):
        return sorted(self.cluster.networks)[number % len(self.cluster.networks)]

    @rule(number=st.integers(0, 5), vm_id=st.integers(0, 3))
    def take(self, number, vm_id):
        network = self.cluster.networks[self.some_network(number)]
        free = [
            f"{network.network_id}.{each.ar_id}.{offset}"
            for each in network.ranges
            for offset in range(each.size)
            if f"{network.network_id}.{each.ar_id}.{offset}" not in self.cluster.leases
        ]
        if free:
            assert leases.take(turn_of(self.reactor), network, vm_id=VmId(vm_id), nic_id=0).lease_id == free[0]
        else:
            with pytest.raises(RefusalError, match="free address"):
                leases.take(turn_of(self.reactor), network, vm_id=VmId(vm_id), nic_id=0)

    @precondition(lambda self: any(each.vm_id is not None for each in self.cluster.leases.values()))
    @rule(number=st.integers(0, 30))
    def give_back(self, number):
        taken = sorted(key for key, each in self.cluster.leases.items() if each.vm_id is not None)
        turn_of(self.reactor).drop(self.cluster.leases[taken[number % len(taken)]])

    @rule(verb=st.sampled_from(["hold", "release"]), third=st.integers(0, 3), last=st.integers(1, 6))
    def hold_or_release(self, verb, third, last):
        self.ask(f"network.{verb}", network="0", address=f"10.0.{third}.{last}")

    @rule(size=st.integers(1, 5))
    def add_range(self, size):
        template = f"AR = [ IP = 10.0.{self.next_third}.1, SIZE = {size} ]"
        self.next_third += 1
        grown = self.ask("network.add_range", network="0", template=template)
        if grown is not None:
            made = grown.ranges[-1].ar_id
            assert made not in self.ar_ids
            self.ar_ids.add(made)

    @rule(ar_id=st.integers(0, 5), size=st.integers(1, 7))
    def update_range(self, ar_id, size):
        self.ask("network.update_range", network="0", template=f"AR = [ AR_ID = {ar_id}, SIZE = {size} ]")

    @rule(ar_id=st.integers(0, 5), force=st.booleans())
    def delete_range(self, ar_id, force):
        self.ask("network.delete_range", network="0", ar_id=ar_id, force=force)

    @rule(size=st.integers(1, 4), number=st.integers(0, 3))
    def reserve(self, size, number):
        self.ask("network.reserve", user=BOB, network="0", template=f"SIZE = {size} NAME = mine{number}")

    @rule(size=st.integers(1, 3), number=st.integers(1, 4))
    def grow(self, size, number):
        child = self.some_network(number)
        self.ask("network.reserve", user=BOB, network="0", template=f"SIZE = {size} NETWORK_ID = {child}")

    @rule(number=st.integers(1, 4), ar_id=st.integers(0, 2))
    def free_range(self, number, ar_id):
        self.ask("network.free_range", network=str(self.some_network(number)), ar_id=ar_id)

    @rule(number=st.integers(1, 4))
    def delete_reservation(self, number):
        child = self.some_network(number)
        if child != 0:
            self.ask("network.delete", network=str(child))

    @invariant()
    def nobody_shares_an_address(self):
        assert [found for name in HELD for found in CHECKS[name](self.cluster)] == []
        used = {(each.mac, each.vm_id) for each in self.cluster.leases.values() if each.vm_id is not None}
        assert len({mac for mac, _ in used}) == len(used)

    @invariant()
    def free_addresses_are_counted(self):
        for network_id in self.cluster.networks:
            taken = sum(each.network_id == network_id for each in self.cluster.leases.values())
            assert self.cluster.lease_count.get(network_id, 0) == taken

    def teardown(self):
        """Give everything back: nothing is left, and nobody has anything of a limit."""
        turn = turn_of(self.reactor)
        for lease in list(self.cluster.leases.values()):
            if lease.vm_id is not None:
                turn.drop(lease)
        for network_id in sorted(self.cluster.networks, reverse=True):
            ask(self.reactor, "network.delete", network=str(network_id))
        assert (self.cluster.leases, self.cluster.given_back, self.cluster.lease_cursor) == ({}, {}, {})
        assert self.cluster.usages.of(("user", "bob")) == {}


TestAddresses = seed(SEED)(Addresses.TestCase)
TestAddresses.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
