"""The simulated driver does exactly what it is told: slowly, wrongly, never, or not at all."""

import msgspec
import pytest

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer import simulated
from innkeeper_plugins.vocabulary import DiskFormat


class Clock:
    """Counts the time that was slept away."""

    def __init__(self):
        self.slept_s = 0.0

    def sleep(self, seconds):
        self.slept_s += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def disk(a_disk, place):
    return a_disk(driver="simulated", format=DiskFormat.RAW, image=place.add_image(b"x"))


def failures(driver, place, vm, disk, calls):
    """Numbers of the calls of clone that failed, counted from 1."""
    failed = []
    for number in range(1, calls + 1):
        try:
            driver.clone(place, vm, disk)
        except DriverError:
            failed.append(number)
    return failed


def test_without_orders_it_neither_waits_nor_leaves_files(place, a_vm, disk, clock):
    driver = simulated.make({}, sleep=clock.sleep)
    vm = a_vm(disk)
    driver.clone(place, vm, disk)

    assert driver.stat(place, vm, disk).exists
    assert list(place.vm_dirs(vm)) == [place.root / "datastores" / "default" / "7"]
    assert not (place.root / "datastores").exists()
    assert clock.slept_s == 0.0


@pytest.mark.parametrize("latency", [0.25, {"clone": 0.25, "delete": 9.0}])
def test_each_call_takes_the_time_it_was_told(place, a_vm, disk, clock, latency):
    driver = simulated.make({"latency_s": latency}, sleep=clock.sleep)
    driver.clone(place, a_vm(disk), disk)
    driver.clone(place, a_vm(disk), disk)

    assert clock.slept_s == pytest.approx(0.5)


def test_calls_fail_by_their_numbers(place, a_vm, disk, clock):
    driver = simulated.make({"fail": {"clone": [2, 5]}, "fail_code": "no_space"}, sleep=clock.sleep)

    assert failures(driver, place, a_vm(disk), disk, 6) == [2, 5]


def test_a_failure_says_that_it_was_told_to(place, a_vm, disk, clock):
    driver = simulated.make({"fail": {"clone": 1.0}, "fail_code": "no_space"}, sleep=clock.sleep)
    with pytest.raises(DriverError) as failed:
        driver.clone(place, a_vm(disk), disk)

    assert (failed.value.code, str(failed.value)) == ("no_space", "call 1 of clone failed, as it was told")


def test_chance_is_repeatable_from_the_seed(place, a_vm, disk, clock):
    def run(seed):
        driver = simulated.make({"seed": seed, "fail": {"clone": 0.3}}, sleep=clock.sleep)
        return failures(driver, place, a_vm(disk), disk, 50)

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 5 < len(run(1)) < 25


def test_a_verb_hangs_until_it_is_cancelled(place, a_vm, disk, clock):
    driver = simulated.make({"hang": {"clone": [1]}}, sleep=clock.sleep)
    place.cancel_after = 30
    with pytest.raises(DriverError) as failed:
        driver.clone(place, a_vm(disk), disk)

    assert failed.value.code == "cancelled"
    assert clock.slept_s == pytest.approx(3.0)


def test_a_verb_that_nobody_cancels_hangs_for_a_limited_time(place, a_vm, disk, clock):
    driver = simulated.make({"hang": {"clone": [1]}, "hang_s": 60.0}, sleep=clock.sleep)
    with pytest.raises(DriverError) as failed:
        driver.clone(place, a_vm(disk), disk)

    assert failed.value.code == "timeout"
    assert clock.slept_s == pytest.approx(60.0)


def test_a_lie_says_done_and_has_done_nothing(place, a_vm, disk, clock):
    driver = simulated.make({"lie": {"clone": [1]}}, sleep=clock.sleep)
    vm = a_vm(disk)
    driver.clone(place, vm, disk)
    assert not driver.stat(place, vm, disk).exists
    driver.clone(place, vm, disk)

    assert driver.stat(place, vm, disk).exists


def test_stat_lies_by_saying_the_opposite(place, a_vm, disk, clock):
    driver = simulated.make({"lie": {"stat": [1, 3]}}, sleep=clock.sleep)
    vm = a_vm(disk)
    before = [driver.stat(place, vm, disk).exists for _ in range(2)]
    driver.clone(place, vm, disk)

    assert before == [True, False]
    assert [driver.stat(place, vm, disk).exists for _ in range(2)] == [False, True]


def test_with_files_a_failure_leaves_a_half_made_one_and_a_disk_outlives_the_driver(place, a_vm, disk, clock):
    orders = {"files": True, "fail": {"clone": [1]}}
    driver = simulated.make(orders, sleep=clock.sleep)
    vm = a_vm(disk)
    with pytest.raises(DriverError):
        driver.clone(place, vm, disk)
    assert [path.name for path in place.vm_dir(vm).iterdir()] == ["disk.0.partial"]
    driver.clone(place, vm, disk)

    assert [path.name for path in place.vm_dir(vm).iterdir()] == ["disk.0"]
    assert simulated.make(orders, sleep=clock.sleep).stat(place, vm, disk).exists


def test_a_missing_image_can_be_overlooked_on_purpose(place, a_vm, disk, clock):
    (place.images / disk.image.sha256).unlink()
    with pytest.raises(DriverError) as missing:
        simulated.make({}, sleep=clock.sleep).clone(place, a_vm(disk), disk)
    simulated.make({"needs_image": False}, sleep=clock.sleep).clone(place, a_vm(disk), disk)

    assert missing.value.code == "image_missing"


@pytest.mark.parametrize(
    ("orders", "error"),
    [
        ({"fails": {}}, "unknown field `fails`"),
        ({"latency_s": "slow"}, r"Expected .*got `str`"),
        ({"fail": {"clone": ["2"]}}, "Expected `int`"),
    ],
)
def test_a_mistake_in_the_orders_is_an_error(orders, error):
    with pytest.raises(msgspec.ValidationError, match=error):
        simulated.make(orders)


@pytest.mark.parametrize("table", ["fail", "hang", "lie", "latency_s"])
def test_an_order_for_an_unknown_verb_is_an_error(table):
    with pytest.raises(ValueError, match=r"there is no verb 'clon'; did you mean 'clone'\?"):
        simulated.make({table: {"clon": 1.0}})
