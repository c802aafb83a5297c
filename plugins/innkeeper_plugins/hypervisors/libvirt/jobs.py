"""Long jobs of libvirt (saving, migrating): follows them, tells of their progress and stops them when asked to."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import libvirt

from innkeeper_plugins.errors import DriverError

#: How often progress is told and a cancellation noticed.
POLL_INTERVAL_S = 0.2
ACTIVE = frozenset({libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED})

Progress = Callable[[int, int], None]


def follow(domain: libvirt.virDomain, job: Callable[[], object], progress: Progress) -> None:
    """Run a call that keeps a domain busy, and abort it when ``progress`` raises.

    A job that ends well although it was to be aborted has ended well.

    Raises:
        libvirt.libvirtError: the call failed.
        DriverError: what ``progress`` raised; the job has been taken back by libvirt.
    """
    stopped: DriverError | None = None
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="libvirt-job") as pool:
        running = pool.submit(job)
        while not wait({running}, POLL_INTERVAL_S).done:
            if stopped is None:
                stopped = _tell(domain, progress)
            if stopped is not None:
                # The first call may come before libvirt has begun the job: it is repeated until the call returns.
                with contextlib.suppress(libvirt.libvirtError):
                    domain.abortJob()
        failure = running.exception()
    if failure is not None:
        raise stopped or failure


def settle(domain: libvirt.virDomain, progress: Progress) -> None:
    """Wait for a job that an earlier, killed agent began: the daemon carries it on.

    Raises:
        DriverError: what ``progress`` raised; the job goes on.
    """
    pause = threading.Event()
    while _job_type(domain) in ACTIVE:
        progress(*_amounts(domain))
        pause.wait(POLL_INTERVAL_S)


def _tell(domain: libvirt.virDomain, progress: Progress) -> DriverError | None:
    try:
        progress(*_amounts(domain))
    except DriverError as error:
        return error
    return None


def _job_type(domain: libvirt.virDomain) -> int:
    try:
        return int(domain.jobStats().get("type", libvirt.VIR_DOMAIN_JOB_NONE))
    except libvirt.libvirtError:
        # The guest has gone (it was migrated) or its hypervisor has no jobs.
        return int(libvirt.VIR_DOMAIN_JOB_NONE)


def _amounts(domain: libvirt.virDomain) -> tuple[int, int]:
    """Return the bytes done and in total; nothing is known before the job has begun."""
    try:
        stats = domain.jobStats()
    except libvirt.libvirtError:
        return 0, 0
    return (
        int(stats.get(libvirt.VIR_DOMAIN_JOB_DATA_PROCESSED, 0)),
        int(stats.get(libvirt.VIR_DOMAIN_JOB_DATA_TOTAL, 0)),
    )
