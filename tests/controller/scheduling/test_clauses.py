"""Each clause: when it lets a VM in, and what it says when it does not."""

import math

import pytest
from msgspec.structs import replace
from sample_hosts import DEVICES, NODES, make_demand, make_fleet, make_host, make_load, rooms

from innkeeper_controller.inventory import Inventory
from innkeeper_controller.scheduling.answers.verdicts import obstacles_on
from innkeeper_controller.scheduling.clauses import BINDING, CLAUSES
from innkeeper_controller.scheduling.model import Obstacle, Room
from innkeeper_controller.scheduling.wishes import Relation, Term
from innkeeper_controller.scheduling.words import size_text
from innkeeper_plugins.vocabulary import HostId, NumaWish, PciWish, PinPolicy


def obstacles(demand, fleet, number=1):
    """Return clause, message and shortfall of all that keeps a VM from a host."""
    found = list(obstacles_on(demand, fleet, HostId(number), CLAUSES))
    return [(each.clause, each.message, each.shortfall) for each in found]


def test_a_vm_fits_on_a_host_that_has_everything(demand, host):
    assert obstacles(demand(requirements="ARCH = x86_64"), make_fleet(host())) == []


def test_a_vm_fits_to_the_last_mib_and_the_last_fraction_of_a_core(demand, host):
    full = make_fleet(host(), used={1: (7.9, 7680)})
    tight = make_fleet(host(datastores=rooms(default=16), cpu_cores=0.1 + 0.2))

    assert obstacles(demand(cpu_cores=0.1, memory_mib=512), full) == []
    assert obstacles(demand(cpu_cores=0.3), tight) == []
    assert [each[0] for each in obstacles(demand(cpu_cores=0.11, memory_mib=513), full)] == ["memory", "cpu"]


def term(relation, **more):
    return Term(relation=relation, groups=("db",), **more)


TOGETHER, APART, SPREAD = (term(each, scope="rack") for each in Relation)


@pytest.mark.parametrize(
    ("asked", "has", "used", "expected"),
    [
        (
            {},
            {"usable": False, "unusable_reason": "draining"},
            None,
            ("host state", "the host is draining", 1.0),
        ),
        ({}, {"ban": "two starts failed"}, None, ("ban", "two starts failed", 1.0)),
        (
            {"memory_mib": 8192},
            {"memory_mib": 65536},
            (0, 58880),
            ("memory", "8 GiB of memory are needed, 6.5 GiB of 64 GiB are free", 0.1875),
        ),
        (
            {"memory_mib": 300},
            {"memory_mib": 200},
            (0, 250),
            ("memory", "300 MiB of memory are needed, none of 200 MiB is free (50 MiB too much are given away)", 1.0),
        ),
        (
            {"cpu_cores": 4},
            {"cpu_cores": 16},
            (13, 0),
            ("cpu", "4 cores are needed, 3 of 16 are free", 0.25),
        ),
        (
            {"cpu_cores": 1},
            {"cpu_cores": 2},
            (1.5, 0),
            ("cpu", "1 core is needed, 0.5 of 2 are free", 0.5),
        ),
        (
            {"cpu_cores": 1},
            {"cpu": Inventory(total=4, reserved=1, allocation_ratio=2)},
            (6, 0),
            ("cpu", "1 core is needed, none of 6 (4 in all, 1 reserved, ratio 2) is free", 1.0),
        ),
        (
            {"cpu_cores": 0.5},
            {"cpu_cores": math.nan},
            None,
            ("cpu", "0.5 cores are needed, none of 0 is free", 1.0),
        ),
        (
            {"clusters": {1: "east"}},
            {"cluster": "west"},
            None,
            (
                "cluster",
                "the host is in cluster west, but only cluster east has all networks and datastores of the VM",
                1.0,
            ),
        ),
        (
            {"clusters": {}},
            {},
            None,
            ("cluster", "the host is in cluster 0, but no cluster has all networks and datastores of the VM", 1.0),
        ),
        (
            {"arch": "x86_64"},
            {"arch": "aarch64"},
            None,
            ("architecture", "the VM is for x86_64, the host is aarch64", 1.0),
        ),
        (
            {"cpu_flags": frozenset({"avx2", "sse"})},
            {"cpu_flags": frozenset({"sse"})},
            None,
            ("cpu flags", "the host's processors have no avx2", 1.0),
        ),
        (
            {"hypervisor": "xen"},
            {},
            None,
            ("hypervisor", "the host has no hypervisor driver xen; it has libvirt", 1.0),
        ),
        (
            {"hypervisor": ""},
            {"hypervisors": frozenset()},
            None,
            ("hypervisor", "the host has no hypervisor driver at all", 1.0),
        ),
        (
            {"transfer_drivers": frozenset({"shared", "ceph"})},
            {},
            None,
            ("transfer driver", "the host has no transfer driver ceph, shared; it has qcow2", 1.0),
        ),
        (
            {"datastores": {"default": 2048}},
            {"datastores": rooms(default=512)},
            None,
            ("disk", "2 GiB are needed in datastore default, 512 MiB are free", 0.75),
        ),
        (
            {"bridges": frozenset({"br7"})},
            {"bridges": frozenset()},
            None,
            ("bridge", "the host has no bridge br7", 1.0),
        ),
        (
            {"requirements": "FREE_CPU > 900"},
            {},
            None,
            ("requirements", "FREE_CPU > 900 is required, but it is 800", 1.0),
        ),
        (
            {"requirements": "ARCH = arm | RACK = r1"},
            {},
            None,
            (
                "requirements",
                'ARCH = "arm" | RACK = "r1" is required, but ARCH is x86_64, RACK is missing',
                1.0,
            ),
        ),
        (
            {"excluded": frozenset({HostId(1), HostId(9)})},
            {},
            None,
            ("exclusion", "the VM is kept away from this host for now", 1.0),
        ),
        (
            {"cpu_cores": 0.75},
            {"cpu": Inventory(total=8, min_unit=0.5, max_unit=4, step_size=0.5)},
            None,
            ("limits", "a VM here takes cores in steps of 0.5, this one takes 0.75", 1.0),
        ),
        (
            {"memory_mib": 512},
            {"memory": Inventory(total=8192, min_unit=1024)},
            None,
            ("limits", "a VM here takes at least 1024 MiB, this one takes 512", 1.0),
        ),
        (
            {"terms": (SPREAD,)},
            {},
            None,
            ("spread", "the VM is to be placed by rack, and the host has no label rack", 1.0),
        ),
        ({"numa": NumaWish(pin_policy=PinPolicy.CORE), "vcpus": 9}, {"numa": NODES}, None, ("numa", ..., ...)),
        ({"pci": (PciWish(vendor="1af4"),)}, {"pci": DEVICES}, None, ("pci", ..., ...)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) and value and isinstance(value[0], str) else "",
)
def test_a_clause_that_fails_says_so_with_the_numbers(demand, host, asked, has, used, expected):
    fleet = make_fleet(host(**has), used={1: used} if used else None)

    found = obstacles(demand(**asked), fleet)
    (obstacle,) = found
    assert tuple(b if b is ... else a for a, b in zip(obstacle, expected, strict=True)) == expected


def test_a_datastore_that_the_host_does_not_have_is_named_and_none_has_room_in_it(demand, host):
    assert obstacles(demand(datastores={"fast": 5}), make_fleet(host())) == [
        ("datastore", "the host has no datastore fast; it has default", 1.0),
        ("disk", "the host has no room for its disks in any datastore of that name", 1.0),
    ]


def test_both_halves_of_requirements_say_what_they_lack(demand, host):
    assert obstacles(demand(requirements="FREE_CPU > 900 & RACK = r1"), make_fleet(host())) == [
        ("requirements", 'RACK = "r1" is required, but the host has no RACK', 1.0),
        ("requirements", "FREE_CPU > 900 is required, but it is 800", 1.0),
    ]


def racks(host):
    """Return two hosts of rack r1 and one of r2, with a member of db on the first."""
    fleet = make_fleet(host(1, labels={"rack": "r1"}), host(2, labels={"rack": "r1"}), host(3, labels={"rack": "r2"}))
    fleet.take(HostId(1), make_load(7, groups=("db",)))
    return fleet


def fits_on(demand, fleet):
    return [host_id for host_id in fleet.row_of if not obstacles(demand, fleet, host_id)]


@pytest.mark.parametrize(
    ("asked", "hosts"),
    [
        (term(Relation.TOGETHER), [1]),
        (TOGETHER, [1, 2]),
        (term(Relation.APART), [2, 3]),
        (APART, [3]),
        (term(Relation.SPREAD), [2, 3]),
        (SPREAD, [3]),
        (replace(SPREAD, max_skew=2), [1, 2, 3]),
        (Term(relation=Relation.APART, vm_ids=(7,)), [2, 3]),
        (Term(relation=Relation.TOGETHER, groups=("nobody",)), [1, 2, 3]),
        (replace(APART, is_hard=False), [1, 2, 3]),
    ],
    ids=lambda value: f"{value.relation}-{value.scope}" if isinstance(value, Term) else "",
)
def test_a_term_decides_by_host_or_by_the_label_that_is_its_scope(demand, host, asked, hosts):
    assert fits_on(demand(terms=(asked,)), racks(host)) == hosts


@pytest.mark.parametrize(("scope", "hosts"), [("host", [2, 3]), ("rack", [3]), ("room", [1, 2, 3])])
def test_a_vm_that_wants_to_be_apart_keeps_those_away_that_come_later(demand, host, scope, hosts):
    fleet = racks(host)
    lonely = make_load(8, terms=(Term(relation=Relation.APART, groups=("web",), vm_ids=(5,), scope=scope),))
    fleet.take(HostId(1), lonely)

    assert fits_on(demand(2, groups=("web",)), fleet) == hosts
    assert fits_on(demand(5), fleet) == hosts
    assert fits_on(demand(6), fleet) == [1, 2, 3]
    fleet.give_back(HostId(1), lonely)
    assert fits_on(demand(5), fleet) == [1, 2, 3]


def test_who_chooses_by_hand_may_pass_over_wishes_of_the_owner_and_no_other_clause():
    assert {clause.name for clause in CLAUSES if clause not in BINDING} == {
        *("ban", "requirements", "affinity", "anti-affinity", "spread", "exclusion"),
    }


def test_a_vm_without_networks_disks_and_wishes_is_only_asked_what_concerns_it(demand, host):
    plain, fleet = demand(datastores={}, transfer_drivers=frozenset(), bridges=frozenset()), make_fleet(host())

    assert [clause.name for clause in CLAUSES if clause.concerns(plain, fleet)] == [
        *("host state", "hypervisor", "memory", "cpu"),
    ]


@pytest.mark.parametrize("nonsense", [math.nan, -1.0, -math.inf, math.inf])
def test_a_host_that_tells_nonsense_of_itself_gets_no_vm(demand, host, nonsense):
    fleet = make_fleet(host(1, cpu_cores=nonsense), host(2, memory_mib=nonsense))

    assert [each[0] for each in obstacles(demand(), fleet, 1)] == ["cpu"]
    assert [each[0] for each in obstacles(demand(), fleet, 2)] == ["memory"]


def test_a_datastore_has_left_what_it_says_or_what_is_not_given_away_yet_whichever_is_less(demand, host):
    limited = {"default": Room(inventory=Inventory(total=100), free_mib=1000)}
    fleet = make_fleet(host(datastores=limited))
    fleet.take(HostId(1), make_load(7, datastores={"default": 60}))

    assert [size for size in (40, 41) if not obstacles(demand(datastores={"default": size}), fleet)] == [40]


def test_every_clause_says_in_a_sentence_when_it_holds():
    silent = [clause.name for clause in CLAUSES if not (clause.holds.__doc__ or "").strip().endswith(".")]

    assert set(silent) <= {"affinity", "spread"}


def test_an_obstacle_that_is_told_has_a_remedy_where_room_is_short(demand, host):
    fleet = make_fleet(host())

    (found,) = obstacles_on(demand(memory_mib=9216), fleet, HostId(1), CLAUSES)
    assert found == Obstacle(
        clause="memory",
        message="9 GiB of memory are needed, 8 GiB of 8 GiB are free",
        shortfall=1024 / 9216,
        amount=1024.0,
        lack="1 GiB of memory",
        remedy="with 1 GiB more memory",
    )


@pytest.mark.parametrize(
    ("mib", "text"),
    [(0, "0 MiB"), (512, "512 MiB"), (1024, "1 GiB"), (1025, "1025 MiB"), (6656, "6.5 GiB"), (1 << 20, "1024 GiB")],
)
def test_sizes_are_readable_and_exact(mib, text):
    assert size_text(mib) == text


@pytest.mark.parametrize(
    ("used", "said"),
    [
        (5, "1 core is needed, none of 2 is free (3 cores too many are given away)"),
        (3, "1 core is needed, none of 2 is free (1 core too many is given away)"),
    ],
)
def test_cores_that_are_given_away_too_often_are_counted(used, said):
    fleet = make_fleet(make_host(1, cpu_cores=2))
    fleet.take(HostId(1), make_load(7, cpu_cores=used))

    assert [each.message for each in obstacles_on(make_demand(cpu_cores=1), fleet, HostId(1), CLAUSES)] == [said]


def test_a_vm_that_is_too_large_for_a_host_is_told_the_most_that_one_takes():
    fleet = make_fleet(make_host(1, memory=Inventory(total=4096, max_unit=512)))

    assert [each.message for each in obstacles_on(make_demand(memory_mib=1024), fleet, HostId(1), CLAUSES)] == [
        "a VM here takes at most 512 MiB, this one takes 1024"
    ]
