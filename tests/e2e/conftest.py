import os
from dataclasses import replace
from pathlib import Path

import guest as builder
import pytest
from cluster import Cluster
from lab import Lab

#: A kernel without anything that these guests do not need boots three times as fast; the tests pass without it.
QUICK_KERNEL = Path(__file__).parents[3] / "shared" / "lab" / "vmlinuz-tiny"


@pytest.fixture(scope="session")
def cache():
    """Where what takes long to make is kept from run to run."""
    return builder.cache_dir().parent


@pytest.fixture(scope="session")
def guest():
    kernel = Path(os.environ.get("INNKEEPER_TEST_KERNEL", QUICK_KERNEL))
    built = builder.build()
    return replace(built, kernel=kernel) if kernel.exists() else built


@pytest.fixture
def lab(cache):
    with Lab(hosts=2, cache=cache) as lab:
        yield lab


@pytest.fixture(scope="module")
def shared_cluster(cache, guest):
    with Lab(hosts=2, cache=cache) as lab:
        yield Cluster(lab, guest)


@pytest.fixture
def cluster(shared_cluster):
    """Give a cluster to which nothing has happened; afterwards everything must be as before, by every account."""
    yield shared_cluster
    shared_cluster.terminate_all()
    shared_cluster.inn("verify")
    assert shared_cluster.leases() == []
    for host in shared_cluster.lab.hosts:
        assert host.guests() == []
        assert host.run(["find", "/srv", "-path", "*/vms/*"]) == ""
