"""What libvirt's numbers mean."""

import pytest

libvirt = pytest.importorskip("libvirt")

from innkeeper_plugins.errors import DriverError  # noqa: E402 - only where libvirt is
from innkeeper_plugins.hypervisors.libvirt import guests, statistics  # noqa: E402
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


class Tuned:
    """A running guest whose CPU shares are set, or refused with an error of that number."""

    def __init__(self, refusal=None):
        self.refusal = refusal
        self.asked = []

    def setSchedulerParametersFlags(self, parameters, _flags):  # noqa: N802 - libvirt's name
        self.asked.append(parameters)
        if self.refusal is not None:
            raise libvirt_error(self.refusal, "CPU tuning is not available in session mode")


@pytest.mark.parametrize(
    "refusal",
    [
        None,
        libvirt.VIR_ERR_OPERATION_INVALID,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    ],
)
def test_a_host_without_control_groups_runs_guests_without_shares(monkeypatch, tmp_path, refusal):
    monkeypatch.setattr(guests, "CGROUP_V2", tmp_path / "none")
    domain = Tuned(refusal)
    guests.share_cpu(domain, 0.5)

    assert domain.asked == [{"cpu_shares": 512}]


def test_another_refusal_of_shares_is_an_error():
    with pytest.raises(libvirt.libvirtError):
        guests.share_cpu(Tuned(libvirt.VIR_ERR_INTERNAL_ERROR), 0.5)


@pytest.mark.parametrize(("cpu_cores", "shares"), [(0.001, 2), (2.0, 200), (500.0, 10_000)])
def test_shares_stay_within_what_control_groups_allow(monkeypatch, tmp_path, cpu_cores, shares):
    monkeypatch.setattr(guests, "CGROUP_V2", tmp_path)
    domain = Tuned()
    guests.share_cpu(domain, cpu_cores)

    assert domain.asked == [{"cpu_shares": shares}]
