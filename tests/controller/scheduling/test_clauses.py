"""Each clause: when it lets a VM in, and what it says when it does not."""

import pytest

from innkeeper_controller.scheduling.clauses import CLAUSES, checks_for, size_text
from innkeeper_controller.scheduling.model import Obstacle
from innkeeper_plugins.vocabulary import HostId


def obstacles(demand, host):
    return [found for check in checks_for(demand) if (found := check(demand, host))]


def test_a_vm_fits_on_a_host_that_has_everything(demand, host):
    assert obstacles(demand(requirements="ARCH = x86_64"), host()) == []


def test_a_vm_fits_to_the_last_mib_and_the_last_fraction_of_a_core(demand, host):
    assert obstacles(demand(cpu_cores=0.3, memory_mib=8192), host(cpu_cores=0.1 + 0.2)) == []
    assert obstacles(demand(datastores={"default": 16}), host(datastores={"default": 16})) == []


@pytest.mark.parametrize(
    ("asked", "has", "expected"),
    [
        (
            {},
            {"usable": False, "unusable_reason": "draining"},
            Obstacle(clause="host state", message="the host is draining"),
        ),
        (
            {"memory_mib": 8192},
            {"memory_mib": 65536, "used_memory_mib": 58880},
            Obstacle(
                clause="memory", message="8 GiB of memory are needed, 6.5 GiB of 64 GiB are free", shortfall=0.1875
            ),
        ),
        (
            {"memory_mib": 300},
            {"memory_mib": 200, "used_memory_mib": 250},
            Obstacle(
                clause="memory", message="300 MiB of memory are needed, -50 MiB of 200 MiB are free", shortfall=1.0
            ),
        ),
        (
            {"cpu_cores": 4},
            {"cpu_cores": 16, "used_cpu_cores": 13},
            Obstacle(clause="cpu", message="4 cores are needed, 3 of 16 are free", shortfall=0.25),
        ),
        (
            {"cpu_cores": 1},
            {"cpu_cores": 2, "used_cpu_cores": 1.5},
            Obstacle(clause="cpu", message="1 core is needed, 0.5 of 2 are free", shortfall=0.5),
        ),
        (
            {"cpu_cores": 0.5},
            {"cpu_cores": float("nan")},
            Obstacle(clause="cpu", message="0.5 cores are needed, nan of nan are free", shortfall=1.0),
        ),
        (
            {"hypervisor": "xen"},
            {},
            Obstacle(clause="hypervisor", message="the host has no hypervisor driver xen; it has libvirt"),
        ),
        (
            {"hypervisor": ""},
            {"hypervisors": frozenset()},
            Obstacle(clause="hypervisor", message="the host has no hypervisor driver at all"),
        ),
        (
            {"transfer_drivers": frozenset({"shared", "ceph"})},
            {},
            Obstacle(clause="transfer driver", message="the host has no transfer driver ceph, shared; it has qcow2"),
        ),
        (
            {"datastores": {"fast": 5}},
            {},
            Obstacle(clause="datastore", message="the host has no datastore fast; it has default"),
        ),
        (
            {"datastores": {"default": 2048}},
            {"datastores": {"default": 512}},
            Obstacle(
                clause="datastore", message="2 GiB are needed in datastore default, 512 MiB are free", shortfall=0.75
            ),
        ),
        (
            {"bridges": frozenset({"br7"})},
            {"bridges": frozenset()},
            Obstacle(clause="bridge", message="the host has no bridge br7"),
        ),
        (
            {"requirements": "FREE_CPU > 900 & RACK = r1"},
            {},
            Obstacle(
                clause="requirements",
                message='FREE_CPU > 900 is required, but it is 800; RACK = "r1" is required, but the host has no RACK',
                shortfall=2.0,
            ),
        ),
        (
            {"excluded": frozenset({HostId(1)})},
            {},
            Obstacle(clause="exclusion", message="the VM is kept away from this host for now"),
        ),
    ],
    ids=lambda value: value.clause if isinstance(value, Obstacle) else "",
)
def test_a_clause_that_fails_says_so_with_the_numbers(demand, host, asked, has, expected):
    assert obstacles(demand(**asked), host(**has)) == [expected]


def test_a_vm_without_networks_disks_and_wishes_is_only_asked_what_concerns_it(demand):
    plain = demand(datastores={}, transfer_drivers=frozenset(), bridges=frozenset())

    assert [check.__name__ for check in checks_for(plain)] == ["host_state", "memory", "cpu", "hypervisor"]


def test_every_clause_says_in_a_sentence_when_it_holds():
    assert all(clause.check.__doc__.strip().endswith(".") for clause in CLAUSES)


@pytest.mark.parametrize(
    ("mib", "text"),
    [(0, "0 MiB"), (512, "512 MiB"), (1024, "1 GiB"), (1025, "1025 MiB"), (6656, "6.5 GiB"), (1 << 20, "1024 GiB")],
)
def test_sizes_are_readable_and_exact(mib, text):
    assert size_text(mib) == text
