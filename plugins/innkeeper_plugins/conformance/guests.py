"""Looks at guests from outside, as the tests of hypervisor drivers do: by polling, listening and reading consoles.

It must not check promises: it says what it sees, and gives up after a while.
"""

import queue
import threading
import time
from collections.abc import Callable

import msgspec
import pytest

from innkeeper_plugins.conformance.place import LocalPlace
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import HYPERVISOR_CAPABILITIES, Console, HypervisorDriver
from innkeeper_plugins.vocabulary import Observation, PowerState, Vm, VmId

#: How often something that is bound to come is looked for.
LOOK_INTERVAL_S = 0.05
#: How long a change may take to be seen.
SEEN_TIMEOUT_S = 15.0


def of_generation(vm: Vm, generation: int) -> Vm:
    """Return the VM in another generation."""
    return msgspec.structs.replace(vm, generation=generation)


def neighbour(vm: Vm) -> Vm:
    """Return another VM like this one, without its cards."""
    head, digit = vm.uuid[:-1], vm.uuid[-1]
    return msgspec.structs.replace(
        vm, vm_id=VmId(vm.vm_id + 1), name="neighbour", uuid=head + ("0" if digit != "0" else "1"), nics=()
    )


def needs(driver: HypervisorDriver, ability: str) -> None:
    """Skip the test where the driver does not declare an optional ability."""
    if ability in HYPERVISOR_CAPABILITIES and ability not in driver.capabilities:
        pytest.skip(f"{driver.name} does not declare {ability}")


def failure_of(call: Callable[[], object]) -> str | None:
    """Return the code that a verb failed with, None where it did not."""
    try:
        call()
    except DriverError as error:
        return error.code
    return None


def ending_codes(driver: HypervisorDriver, place: LocalPlace, vm: Vm) -> list[str | None]:
    """Return the codes that the verbs which could start or end the VM's guest fail with."""
    orders: list[Callable[[], object]] = [
        lambda: driver.deploy(place, vm),
        lambda: driver.shutdown(place, vm, grace_s=0, force=True),
        lambda: driver.cancel(place, vm),
    ]
    return [failure_of(order) for order in orders]


def said(driver: HypervisorDriver, vm: Vm) -> list[tuple[VmId, int, PowerState]]:
    """Return what the driver says of the VM's guest: nothing, or one line."""
    return [(one.vm_id, one.generation, one.power) for one in driver.poll() if one.vm_id == vm.vm_id]


def with_console(driver: HypervisorDriver, place: LocalPlace, vm: Vm, look: Callable[[Console], object]) -> None:
    """Open the guest's console, look at it and close it, twice."""
    console = driver.console(place, vm)
    try:
        look(console)
    finally:
        console.close()
        console.close()


def read_until(console: Console, wanted: bytes, timeout_s: float) -> bytes:
    """Return what the console shows up to and with ``wanted``."""
    shown, deadline_s = b"", time.monotonic() + timeout_s
    while wanted not in shown:
        left_s = deadline_s - time.monotonic()
        data = console.read(max(left_s, 0.0)) if left_s > 0 else None
        assert data is not None, f"{wanted!r} did not come; the console shows {shown[-1000:]!r}"
        shown += data
    return shown


def wait_until(claim: Callable[[], bool], timeout_s: float = SEEN_TIMEOUT_S) -> None:
    """Look again and again until the claim is true."""
    deadline_s, pause = time.monotonic() + timeout_s, threading.Event()
    while not claim():
        assert time.monotonic() < deadline_s, "it did not come true in time"
        pause.wait(LOOK_INTERVAL_S)


def wait_for(told: "queue.Queue[Observation]", vm: Vm, power: PowerState) -> Observation:
    """Return the next report of the VM in that state."""
    while True:
        seen = told.get(timeout=SEEN_TIMEOUT_S)
        if (seen.vm_id, seen.power) == (vm.vm_id, power):
            return seen
