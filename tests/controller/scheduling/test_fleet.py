"""The columns of a fleet: an index of what it was told, whatever happened in between."""

import os
from random import Random

import pytest
from msgspec.structs import replace
from sample_hosts import make_fleet, make_host, make_load, random_demand, random_host, rooms

from innkeeper_controller.scheduling.columns import changes
from innkeeper_controller.scheduling.columns.fleet import Fleet
from innkeeper_controller.scheduling.columns.hosts import all_rows
from innkeeper_controller.scheduling.wishes import Relation, Term
from innkeeper_plugins.vocabulary import HostId

SEED = int(os.environ.get("INNKEEPER_SEED", "1"))
RUNS = int(os.environ.get("INNKEEPER_RUNS", "20"))


class Told:
    """What a fleet was told, and is to be an index of."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.fleet = Fleet()
        self.views, self.loads, self.last_id = {}, {}, 0

    def go(self, steps):
        for _ in range(steps):
            self.random.choices((self.put, self.drop, self.take, self.give_back), (3, 1, 12, 8))[0]()

    def put(self):
        number = HostId(self.random.randint(1, 12))
        # what a host says is free of its datastores does not bind: that depends on when it said it
        view = replace(random_host(self.random, number), datastores=rooms(default=10**6, fast=10**6))
        self.views[number] = view
        self.loads.setdefault(number, {})
        self.fleet.put(view)

    def drop(self):
        number = HostId(self.random.randint(1, 12))
        self.views.pop(number, None)
        self.loads.pop(number, None)
        self.fleet.drop(number)

    def take(self):
        if self.views:
            number = self.random.choice(list(self.views))
            self.last_id += 1
            self.loads[number][self.last_id] = load = random_demand(self.random, self.last_id, [1, 2, 3])
            self.fleet.take(number, load)

    def give_back(self):
        numbers = [number for number, loads in self.loads.items() if loads]
        if numbers:
            number = self.random.choice(numbers)
            vm_id = self.random.choice(list(self.loads[number]))
            self.fleet.give_back(number, self.loads[number].pop(vm_id))

    def afresh(self):
        fleet = make_fleet(*self.views.values())
        for number, loads in self.loads.items():
            for load in loads.values():
                fleet.take(number, load)
        return fleet


@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_a_fleet_says_what_one_says_that_was_told_only_how_things_are(seed):
    told = Told(seed)
    told.go(200)

    again = told.afresh()
    assert told.fleet == again
    assert told.fleet.version() == again.version()
    assert {scope: each for scope, each in told.fleet.repelling.items() if each.is_empty} == {}


@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_what_is_remembered_of_hosts_is_what_they_say_now(seed):
    told = Told(seed)
    for _ in range(20):
        told.go(10)
        hosts, again = asked(told.fleet), asked(told.afresh())

        assert hosts == again


def asked(fleet):
    """Return what every host says of a flag, a label, an attribute and, as it comes from outside, an image."""
    rows = [fleet.row_of[number] for number in sorted(fleet.row_of)]
    bridged, places, said = fleet.each("br1", lambda view: "br1" in view.bridges), fleet.places("rack"), {}
    for coded in (places, fleet.coded("HEAT")):
        said[id(coded)] = [coded.values[code] if (code := coded.codes.item(row)) >= 0 else None for row in rows]
    return bridged[rows].tolist(), list(said.values()), fleet.has_bans, fleet.has_limits


def test_a_copy_and_what_it_was_made_of_change_each_for_itself():
    fleet = make_fleet(make_host(1), make_host(2), used={1: (2, 512)})
    term = Term(relation=Relation.APART, groups=("db",))
    fleet.take(HostId(1), make_load(7, groups=("db",), terms=(term,), images={"i": 1}, datastores={"default": 5}))
    copy, before = fleet.copy(), fleet.picture()

    assert copy == fleet
    copy.give_back(HostId(1), make_load(7, groups=("db",), terms=(term,), images={"i": 1}, datastores={"default": 5}))
    copy.take(HostId(2), make_load(8, cpu_cores=1, groups=("db",), datastores={"other": 1}))
    copy.put(make_host(3, labels={"rack": "r"}))
    copy.drop(HostId(1))
    assert fleet.picture() == before
    after = copy.picture()
    fleet.take(HostId(2), make_load(9, memory_mib=1, groups=("web",)))
    fleet.drop(HostId(1))
    assert copy.picture() == after


def test_the_version_changes_with_what_comes_goes_moves_and_changes_and_with_nothing_else():
    fleet = make_fleet(make_host(1), make_host(2))
    load = make_load(7, cpu_cores=1)
    seen = [fleet.version()]

    def differs(*acts):
        for act, *arguments in acts:
            act(*arguments)
        seen.append(fleet.version())
        return seen[-1] != seen[-2]

    assert differs((fleet.take, HostId(1), load))
    assert not differs((fleet.hear, HostId(1), 0.5), (fleet.number, "disk:new"), (fleet.put, make_host(1)))
    assert differs((fleet.give_back, HostId(1), load), (fleet.take, HostId(2), load))
    assert differs((fleet.give_back, HostId(2), load), (fleet.take, HostId(2), make_load(7, cpu_cores=2)))
    assert differs((fleet.put, make_host(1, usable=False)))
    assert differs((fleet.put, make_host(3)))
    assert differs((fleet.drop, HostId(2)))
    assert not differs((fleet.take, HostId(9), load), (fleet.give_back, HostId(1), load), (fleet.drop, HostId(9)))
    assert len(set(seen)) == 7


def test_a_vm_that_moves_is_on_two_hosts_until_it_has_left_one():
    fleet, load = make_fleet(make_host(1), make_host(2), make_host(3)), make_load(7, cpu_cores=1)
    fleet.take(HostId(2), load)
    fleet.take(HostId(3), load)

    assert fleet.rows_with_vm(7) == (1, 2)
    fleet.give_back(HostId(2), load)
    assert fleet.rows_with_vm(7) == (2,)
    fleet.take(HostId(1), load)
    fleet.give_back(HostId(1), load)
    assert fleet.rows_with_vm(7) == (2,)
    fleet.give_back(HostId(3), load)
    assert (fleet.rows_with_vm(7), fleet.number("vms").tolist()) == ((), [0, 0, 0])


def test_room_that_was_given_away_stays_so_when_a_host_says_the_same_again():
    fleet, view = make_fleet(make_host(1, datastores=rooms(default=100))), make_host(1, datastores=rooms(default=100))
    fleet.take(HostId(1), make_load(7, datastores={"default": 30}))
    fleet.put(replace(view, usable=False))

    assert fleet.number("disk:default").tolist() == [70]
    assert fleet.number("disk:elsewhere").tolist() == [float("-inf")]
    with pytest.raises(KeyError):
        fleet.number("elsewhere")


def test_rows_are_used_again_and_say_nothing_of_who_had_them_before():
    fleet = make_fleet(make_host(1, datastores=rooms(fast=5)), used={1: (2, 512)})
    fleet.hear(HostId(1), 0.5)
    fleet.drop(HostId(1))
    fleet.put(make_host(2))

    assert fleet == make_fleet(make_host(2))
    assert fleet.count == 1


def test_a_fleet_grows_beyond_any_number_of_rows_and_what_is_remembered_with_it():
    fleet, expected = Fleet(), []
    for number in range(1, 300):
        fleet.put(make_host(number, bridges=frozenset({"br1"} if number % 3 else {})))
        expected.append(number % 3 > 0)
        if number % 20 == 0:
            assert all_rows(fleet).each("br1", lambda view: "br1" in view.bridges).tolist() == expected

    assert fleet.coded("ID").codes[: fleet.count].tolist() == list(range(299))


def test_who_is_too_far_behind_the_changes_begins_anew(monkeypatch):
    monkeypatch.setattr(changes, "MAX_CHANGES", 3)
    log = changes.Changes()
    log.note(1)
    behind = log.seen
    log.note(2)
    log.note(3)

    assert log.since(behind) == [2, 3]
    log.note(4)
    assert log.since(behind) is None
    assert log.since(log.seen) == []


def test_values_that_no_host_says_any_longer_are_forgotten():
    fleet = make_fleet(make_host(1, facts={"HEAT": 0}), make_host(2, facts={"HEAT": 1.0}))
    for heat in range(2, 1000):
        fleet.put(make_host(1, facts={"HEAT": heat}))
        coded = fleet.coded("HEAT")
        assert [coded.values[code] for code in coded.codes[:2].tolist()] == [heat, 1.0]

    assert len(coded.values) <= 2 * len(coded.codes)
