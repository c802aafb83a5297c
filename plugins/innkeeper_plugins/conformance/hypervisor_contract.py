"""What every hypervisor driver promises, as tests: subclass ``HypervisorContract`` and say how your driver is made.

It must not know any driver: what differs between them is declared in the subclass or in ``capabilities``.
"""

import queue
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from innkeeper_plugins.conformance.changing_contract import ChangingContract
from innkeeper_plugins.conformance.guests import (
    LOOK_INTERVAL_S,
    SEEN_TIMEOUT_S,
    ending_codes,
    failure_of,
    needs,
    neighbour,
    of_generation,
    read_until,
    said,
    wait_for,
    wait_until,
    with_console,
)
from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import (
    HYPERVISOR_CAPABILITIES,
    Console,
    HypervisorDriver,
    checkpoint_path,
)
from innkeeper_plugins.vocabulary import Observation, PowerState, Vm


class HypervisorContract(ChangingContract):
    """Subclass as ``class TestMine(HypervisorContract)`` with ``make_driver`` and ``bootable_vm``."""

    #: What the guest prints once it can be used; empty for a guest that prints nothing.
    greeting = b""
    #: How long it may take for that.
    boot_timeout_s = 120.0
    #: False where the guests end with the agent, because they only exist in its memory.
    outlives_agent = True
    #: How long a guest that has greeted may take to go off by its power button.
    grace_s = 60

    def make_driver(self) -> HypervisorDriver:
        """Return a new driver on the same hypervisor each time, as an agent has it after a restart."""
        raise NotImplementedError("return your driver here")

    def bootable_vm(self, place: LocalPlace) -> Vm:
        """Return a VM that starts and greets; what it needs is put into the place."""
        raise NotImplementedError("return a VM of yours here")

    def crash(self, driver: HypervisorDriver, vm: Vm) -> None:
        """Let the running guest die as by a fault of its hypervisor."""
        pytest.skip(f"{driver.name} says no way to let a guest of {vm.name} die")

    @pytest.fixture
    def place(self, tmp_path: Path) -> LocalPlace:
        """Return a host to work on."""
        return LocalPlace(tmp_path)

    @pytest.fixture
    def vm(self, place: LocalPlace) -> Vm:
        """Return the VM that the tests are about, of generation 5."""
        return msgspec.structs.replace(self.bootable_vm(place), generation=5)

    @pytest.fixture
    def driver(self, place: LocalPlace, vm: Vm) -> Iterator[HypervisorDriver]:
        """Return the driver; what a test leaves running is switched off."""
        driver = self.make_driver()
        yield driver
        for left in (vm, neighbour(vm)):
            driver.cancel(place, of_generation(left, 1_000_000))
        driver.close()

    def ready(self, driver: HypervisorDriver, place: LocalPlace, vm: Vm) -> None:
        """Deploy the guest and wait until it greets."""
        driver.deploy(place, vm)
        if self.greeting and "console" in driver.capabilities:
            with_console(driver, place, vm, lambda console: read_until(console, self.greeting, self.boot_timeout_s))

    def test_the_driver_declares_only_known_abilities(self, driver: HypervisorDriver) -> None:
        assert driver.name
        assert driver.capabilities <= HYPERVISOR_CAPABILITIES.keys()

    def test_a_guest_that_is_deployed_twice_runs_once(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        first = driver.deploy(place, vm)
        again = driver.deploy(place, vm)

        assert first == again
        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]

    def test_no_order_of_a_lower_generation_touches_a_guest(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        driver.deploy(place, vm)

        assert ending_codes(driver, place, of_generation(vm, 4)) == ["refused", "refused", "refused"]
        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]

    def test_no_order_for_another_vm_of_the_same_number_touches_a_guest(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        driver.deploy(place, vm)
        others = msgspec.structs.replace(vm, uuid=neighbour(vm).uuid, generation=6)

        assert ending_codes(driver, place, others) == ["refused", "refused", "refused"]
        assert [one.uuid for one in driver.poll() if one.vm_id == vm.vm_id] == [vm.uuid]
        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]

    def test_a_guest_that_runs_is_not_deployed_over_by_a_higher_generation(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        driver.deploy(place, vm)
        with pytest.raises(DriverError) as refused:
            driver.deploy(place, of_generation(vm, 6))

        assert refused.value.code == "refused"
        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]

    def test_a_guest_that_is_off_is_deployed_anew_by_a_higher_generation(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        driver.deploy(place, vm)
        driver.shutdown(place, vm, grace_s=0, force=True)
        driver.deploy(place, of_generation(vm, 6))

        assert said(driver, vm) == [(vm.vm_id, 6, PowerState.RUNNING)]

    def test_a_cancelled_guest_is_forgotten_and_one_that_is_not_there_is_fine(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        driver.cancel(place, vm)
        driver.deploy(place, vm)
        driver.cancel(place, vm)
        driver.cancel(place, vm)

        assert said(driver, vm) == []

    def test_a_guest_that_was_shut_down_is_off_until_it_is_cancelled(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        self.ready(driver, place, vm)
        driver.shutdown(place, vm, grace_s=self.grace_s, force=False)
        driver.shutdown(place, vm, grace_s=self.grace_s, force=False)

        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.OFF)]
        driver.cancel(place, vm)
        assert said(driver, vm) == []

    def test_shutting_down_a_guest_that_is_not_there_is_fine(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        driver.shutdown(place, vm, grace_s=1, force=False)

        assert said(driver, vm) == []

    def test_a_guest_that_does_not_go_off_in_time_runs_on_unless_it_is_forced(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        driver.deploy(place, vm)
        with pytest.raises(DriverError) as late:
            driver.shutdown(place, vm, grace_s=0, force=False)

        assert late.value.code == "timeout"
        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]
        driver.shutdown(place, vm, grace_s=0, force=True)
        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.OFF)]

    def test_a_saved_guest_goes_on_from_its_checkpoint_in_a_higher_generation(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        needs(driver, "save")
        self.ready(driver, place, vm)
        name = driver.deploy(place, vm)
        driver.save(place, vm)
        driver.save(place, vm)
        assert checkpoint_path(place, vm).exists()
        assert not any(power is PowerState.RUNNING for _, _, power in said(driver, vm))

        later = of_generation(vm, 6)
        assert driver.restore(place, later) == name
        assert driver.restore(place, later) == name

        assert not checkpoint_path(place, vm).exists()
        assert said(driver, vm) == [(vm.vm_id, 6, PowerState.RUNNING)]

    def test_a_cancelled_save_leaves_the_guest_running_or_has_come_too_late(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        needs(driver, "save")
        driver.deploy(place, vm)
        place.cancel_after = 0
        stopped = failure_of(lambda: driver.save(place, vm))
        place.cancel_after = None

        assert stopped in {None, "cancelled"}
        assert checkpoint_path(place, vm).exists() is (stopped is None)
        running = [(vm.vm_id, 5, PowerState.RUNNING)]
        assert (said(driver, vm) == running) is (stopped is not None)

    @pytest.mark.parametrize("verb", ["save", "restore", "reboot", "reset", "console"])
    def test_what_needs_a_guest_says_that_there_is_none(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm, verb: str
    ) -> None:
        needs(driver, {"restore": "save"}.get(verb, verb))
        with pytest.raises(DriverError) as missing:
            getattr(driver, verb)(place, vm)

        assert missing.value.code == "guest_missing"

    @pytest.mark.parametrize("verb", ["reboot", "reset"])
    def test_a_guest_that_is_restarted_keeps_running(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm, verb: str
    ) -> None:
        self.ready(driver, place, vm)
        getattr(driver, verb)(place, vm)
        getattr(driver, verb)(place, vm)

        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]

    def test_a_crash_is_seen_and_the_guest_can_be_deployed_again(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        driver.deploy(place, vm)
        self.crash(driver, vm)
        wait_until(lambda: said(driver, vm) == [(vm.vm_id, 5, PowerState.CRASHED)])
        driver.deploy(place, vm)

        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]

    def test_the_console_shows_the_greeting_however_late_it_is_opened(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        needs(driver, "console")
        self.ready(driver, place, vm)

        def look(console: Console) -> None:
            read_until(console, self.greeting, SEEN_TIMEOUT_S)
            console.close()
            assert console.read(0) is None

        with_console(driver, place, vm, look)

    def test_an_open_console_ends_with_its_guest(self, driver: HypervisorDriver, place: LocalPlace, vm: Vm) -> None:
        needs(driver, "console")
        driver.deploy(place, vm)

        def look(console: Console) -> None:
            console.write(b"\n")
            driver.cancel(place, vm)
            wait_until(lambda: console.read(LOOK_INTERVAL_S) is None)
            with pytest.raises(DriverError):
                console.write(b"anybody?")

        with_console(driver, place, vm, look)

    def test_a_watcher_is_told_when_a_guest_starts_and_when_it_has_gone(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        needs(driver, "events")
        told: queue.Queue[Observation] = queue.Queue()
        driver.watch(told.put)
        driver.deploy(place, vm)
        first = wait_for(told, vm, PowerState.RUNNING)
        driver.cancel(place, vm)
        last = wait_for(told, vm, PowerState.ABSENT)

        assert (first.generation, last.generation) == (5, 5)

    def test_a_new_driver_finds_the_guests_of_the_one_before(
        self, driver: HypervisorDriver, place: LocalPlace, vm: Vm
    ) -> None:
        if not self.outlives_agent:
            pytest.skip("the guests exist only in the agent's memory")
        before = self.make_driver()
        name = before.deploy(place, vm)
        before.close()

        assert said(driver, vm) == [(vm.vm_id, 5, PowerState.RUNNING)]
        assert driver.deploy(place, vm) == name

    def test_no_verb_touches_the_guest_of_another_vm(self, driver: HypervisorDriver, place: LocalPlace, vm: Vm) -> None:
        other = neighbour(vm)
        driver.deploy(place, other)
        driver.deploy(place, vm)
        driver.cancel(place, vm)

        assert said(driver, other) == [(other.vm_id, 5, PowerState.RUNNING)]
