"""What libvirt's numbers mean."""

import pytest

libvirt = pytest.importorskip("libvirt")

from innkeeper_plugins.errors import DriverError  # noqa: E402 - only where libvirt is
from innkeeper_plugins.hypervisors.libvirt import statistics  # noqa: E402
from innkeeper_plugins.hypervisors.libvirt.failures import driver_error, reported  # noqa: E402
from innkeeper_plugins.hypervisors.libvirt.identity import Identity  # noqa: E402
from innkeeper_plugins.vocabulary import Observation, PowerState, VmId  # noqa: E402

GUEST = Identity(vm_id=VmId(7), generation=3)


@pytest.mark.parametrize(
    ("state", "reason", "power"),
    [
        (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED, PowerState.RUNNING),
        (libvirt.VIR_DOMAIN_BLOCKED, 0, PowerState.RUNNING),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER, PowerState.PAUSED),
        (libvirt.VIR_DOMAIN_PMSUSPENDED, 0, PowerState.PAUSED),
        (libvirt.VIR_DOMAIN_SHUTDOWN, 0, PowerState.RUNNING),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN, PowerState.OFF),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, PowerState.CRASHED),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DAEMON, PowerState.CRASHED),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_FAILED, PowerState.OFF),
        (libvirt.VIR_DOMAIN_CRASHED, 0, PowerState.CRASHED),
        (99, 0, PowerState.RUNNING),
    ],
)
def test_every_state_of_libvirt_is_one_of_ours(state, reason, power):
    assert statistics.power_state(state, reason) is power


def test_an_observation_has_cpu_seconds_and_what_the_guest_takes_of_the_host():
    stats = {"state.state": 1, "state.reason": 1, "cpu.time": 2_500_000_000, "balloon.current": 98304}

    assert statistics.observation(GUEST, {**stats, "balloon.rss": 131072}) == Observation(
        vm_id=VmId(7), generation=3, power=PowerState.RUNNING, cpu_time_s=2.5, memory_mib=128
    )
    assert statistics.observation(GUEST, stats).memory_mib == 96


def test_a_guest_that_is_off_takes_no_memory():
    stats = {"state.state": 5, "state.reason": 1, "cpu.time": 1_000_000_000, "balloon.current": 98304}

    assert statistics.observation(GUEST, stats) == Observation(
        vm_id=VmId(7), generation=3, power=PowerState.OFF, cpu_time_s=1.0
    )


def libvirt_error(code, message):
    error = libvirt.libvirtError("as libvirt-python makes it")
    error.err = (code, 0, message, 2, "", None, None, 0, 0)
    return error


@pytest.mark.parametrize(
    ("number", "said", "code"),
    [
        (libvirt.VIR_ERR_NO_DOMAIN, "Domain not found", "guest_missing"),
        (libvirt.VIR_ERR_OPERATION_TIMEOUT, "cannot acquire state change lock", "timeout"),
        (libvirt.VIR_ERR_OPERATION_ABORTED, "migration out job: canceled by client", "cancelled"),
        (libvirt.VIR_ERR_SYSTEM_ERROR, "unable to write: No space left on device", "no_space"),
        (libvirt.VIR_ERR_CONFIG_UNSUPPORTED, "unsupported configuration", "tool_failed"),
    ],
)
def test_an_error_of_libvirt_becomes_one_of_ours_with_its_own_words(number, said, code):
    error = driver_error(libvirt_error(number, said), "Guest inn-7 could not be started")

    assert (error.code, str(error), error.stderr) == (code, f"Guest inn-7 could not be started: {said}", said)


def test_an_error_of_libvirt_is_reported_with_what_was_tried():
    with pytest.raises(DriverError, match="this: no") as failed, reported("this"):
        raise libvirt_error(libvirt.VIR_ERR_OPERATION_FAILED, "no")

    assert isinstance(failed.value.__cause__, libvirt.libvirtError)
