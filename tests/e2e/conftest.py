import contextlib
import os
from dataclasses import replace
from pathlib import Path

import guest as builder
import pytest
from cluster import Cluster
from lab import Lab
from remains import remains
from waiting import eventually

#: A kernel without anything that these guests do not need boots three times as fast; the tests pass without it.
QUICK_KERNEL = Path(__file__).parents[3] / "shared" / "lab" / "vmlinuz-tiny"
#: Tidying up behind a VM goes on for a moment after its end has been told.
TIDY_S = 20
#: How much of a daemon's log is shown with a test that failed.
LOG_CHARACTERS = 6000

HAS_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show with a failure what the daemons said, and remember it."""
    report = yield
    if report.failed:
        item.stash[HAS_FAILED] = True
        if cluster := item.funcargs.get("cluster"):
            report.sections += said_by(cluster)
    return report


def said_by(cluster):
    logs = sorted(cluster.lab.directory.glob("*/log/*.log"))
    return [(str(log.relative_to(cluster.lab.directory)), log.read_text()[-LOG_CHARACTERS:]) for log in logs]


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


class Clusters:
    """One cluster for all tests, and a new one after a test that failed."""

    def __init__(self, cache, guest):
        self._cache = cache
        self._guest = guest
        self._opened = contextlib.ExitStack()
        self._cluster = None

    def get(self):
        if self._cluster is None:
            lab = self._opened.enter_context(Lab(hosts=2, cache=self._cache))
            self._cluster = Cluster(lab, self._guest)
        return self._cluster

    def check(self):
        """Everything has to be as before the test, by every account; only the resident may stay."""
        keep = self._cluster.terminate_all()
        if remains(self._cluster, keep=keep):
            with contextlib.suppress(AssertionError):
                eventually(lambda: not remains(self._cluster, keep=keep), "an empty cluster", timeout_s=TIDY_S)

            assert remains(self._cluster, keep=keep) == []

    def end(self):
        """Nothing at all may be left, not even of the resident."""
        if self._cluster is not None:
            self._cluster.evict()
            self.check()

    def close(self):
        self._cluster = None
        self._opened.close()


@pytest.fixture(scope="session")
def clusters(cache, guest):
    clusters = Clusters(cache, guest)
    try:
        yield clusters
        clusters.end()
    finally:
        clusters.close()


@pytest.fixture
def cluster(clusters, request):
    """Give a cluster to which nothing has happened but that a resident may run in it."""
    try:
        yield clusters.get()
        if not request.node.stash.get(HAS_FAILED, False):
            clusters.check()
    except BaseException:
        clusters.close()
        raise
    if request.node.stash.get(HAS_FAILED, False):
        clusters.close()


@pytest.fixture
def resident(cluster):
    """Give the number of a VM whose guest answers; what it went through before makes no difference."""
    return cluster.resident()
