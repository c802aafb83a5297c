"""Tells the controller what the guests of this host do: at once when one changes, and all of them now and then.

A guest that a step works on, or has just worked on, is left out: the step's own end tells of it, and an observation
made before that end would be false by the time it arrives.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import structlog

from innkeeper_hostagent.lanes import Lane, tell
from innkeeper_hostagent.protocol.messages import Observed
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import HypervisorDriver
from innkeeper_plugins.vocabulary import Observation, PowerState, Vm, VmId

_log = structlog.get_logger("innkeeper.agent")

#: So long after a step of its own a guest is looked at again rather than believed at once.
SETTLE_S: Final = 1.0
#: Ability of a driver that tells of changes as they happen.
_EVENTS: Final = "events"


class Watcher:
    """What was last told of each guest; every method has to be called on the loop's thread."""

    def __init__(
        self,
        hypervisors: Iterable[HypervisorDriver],
        *,
        loop: asyncio.AbstractEventLoop,
        send: Callable[[Observed], None],
        is_busy: Callable[[VmId], bool],
        held: Callable[[], Iterable[Vm]],
        poll_interval_s: float,
    ) -> None:
        """Watch nothing yet.

        Args:
            hypervisors: Asked what their guests do.
            loop: The loop on whose thread messages are sent.
            send: Sends to the controller.
            is_busy: Whether a step works on that VM now.
            held: Returns the VMs that have something on this host.
            poll_interval_s: How often all guests are told of.
        """
        self._hypervisors = tuple(hypervisors)
        self._loop = loop
        self._send = send
        self._is_busy = is_busy
        self._held = held
        self._poll_interval_s = poll_interval_s
        self._lane = Lane("poll", 1)
        #: What the controller was last told.
        self._told: dict[VmId, Observation] = {}
        #: When a step last worked on a VM.
        self._touched_s: dict[VmId, float] = {}
        #: Guests that the last look had to leave out.
        self._left_out: set[VmId] = set()
        self._polling = False
        self._wants_all = False
        self._next_poll: asyncio.TimerHandle | None = None
        self._closed = False

    def start(self) -> None:
        """Hear of changes from now on."""
        for driver in self._hypervisors:
            if _EVENTS in driver.capabilities:
                driver.watch(self._on_event_elsewhere)

    def report_all(self) -> None:
        """Tell of every guest, as soon as none of them is being worked on."""
        self._told.clear()
        self._wants_all = True
        self._poll_in(0.0)

    def touch(self, vm_id: VmId) -> None:
        """Note that a step begins or ends its work on the VM."""
        self._touched_s[vm_id] = self._loop.time()
        if vm_id in self._left_out:
            self._poll_in(SETTLE_S)

    def guest_of(self, vm_id: VmId) -> Observation | None:
        """Return the guest of that number as it was last seen; None where it was not."""
        seen = self._told.get(vm_id)
        return seen if seen is not None and seen.power is not PowerState.ABSENT else None

    def close(self) -> None:
        """Tell nothing any more."""
        self._closed = True
        if self._next_poll is not None:
            self._next_poll.cancel()
        self._lane.close()

    def _on_event_elsewhere(self, seen: Observation) -> None:
        if not self._closed:
            tell(self._loop, self._on_event, seen)

    def _on_event(self, seen: Observation) -> None:
        if self._closed:
            return
        if self._is_busy(seen.vm_id) or self._loop.time() < self._touched_s.get(seen.vm_id, 0.0) + SETTLE_S:
            self._poll_in(SETTLE_S)
        elif _differs(self._told.get(seen.vm_id), seen):
            if self._polling:
                # The look under way may have seen the guest before the change: what it says of it does not count.
                self.touch(seen.vm_id)
                self._poll_in(SETTLE_S)
            self._tell([seen], complete=False)

    def _poll_in(self, delay_s: float) -> None:
        """Ask the hypervisors then, or earlier if that has been arranged already."""
        at_s = self._loop.time() + delay_s
        if self._next_poll is not None:
            if self._next_poll.when() <= at_s:
                return
            self._next_poll.cancel()
        self._next_poll = self._loop.call_at(at_s, self._poll)

    def _poll(self) -> None:
        self._next_poll = None
        if self._closed:
            return
        if self._polling:
            # What is being asked now may have been answered before the change that this is about.
            self._poll_in(SETTLE_S)
            return
        self._polling = True
        began_s = self._loop.time()
        self._lane.submit(lambda: self._ask(began_s))

    def _ask(self, began_s: float) -> None:
        seen: list[Observation] = []
        is_whole = True
        for driver in self._hypervisors:
            try:
                seen += driver.poll()
            except DriverError as error:
                _log.warning("poll_failed", driver=driver.name, error=str(error), stderr=error.stderr)
                is_whole = False
        if not self._closed:
            tell(self._loop, self._on_polled, began_s, seen, is_whole)

    def _on_polled(self, began_s: float, seen: list[Observation], is_whole: bool) -> None:  # noqa: FBT001 - by the loop
        self._polling = False
        if self._closed:
            return
        worked_on = {vm_id for vm_id, at_s in self._touched_s.items() if at_s >= began_s or self._is_busy(vm_id)}
        self._touched_s = {
            vm_id: at_s for vm_id, at_s in self._touched_s.items() if vm_id in worked_on or at_s + SETTLE_S > began_s
        }
        self._left_out = worked_on
        fresh = [guest for guest in seen if guest.vm_id not in worked_on]
        if is_whole and not worked_on:
            self._wants_all = False
            self._told.clear()
            self._tell([*fresh, *self._without_guest(fresh)], complete=True)
        else:
            gone = self._gone(seen, worked_on) if is_whole else ()
            self._tell([guest for guest in (*fresh, *gone) if _differs(self._told.get(guest.vm_id), guest)])
        self._poll_in(SETTLE_S if self._wants_all else self._poll_interval_s)

    def _without_guest(self, seen: list[Observation]) -> Iterator[Observation]:
        """Yield the VMs of which only files are here: whose VM it is not any more, wants to hear of those as well."""
        known = {guest.vm_id for guest in seen}
        for vm in self._held():
            if vm.vm_id not in known:
                absent = PowerState.ABSENT
                yield Observation(vm_id=vm.vm_id, generation=vm.generation, power=absent, uuid=vm.uuid)

    def _gone(self, seen: list[Observation], worked_on: set[VmId]) -> Iterator[Observation]:
        """Yield guests that were told of and that no hypervisor knows any more."""
        known = {guest.vm_id for guest in seen} | worked_on
        for vm_id, told in self._told.items():
            if vm_id not in known:
                yield Observation(vm_id=vm_id, generation=told.generation, power=PowerState.ABSENT, uuid=told.uuid)

    def _tell(self, guests: list[Observation], *, complete: bool = False) -> None:
        self._told.update((guest.vm_id, guest) for guest in guests)
        if guests or complete:
            self._send(Observed(guests=tuple(guests), complete=complete))


def _differs(told: Observation | None, seen: Observation) -> bool:
    if told is None:
        return seen.power is not PowerState.ABSENT
    return (told.generation, told.power) != (seen.generation, seen.power)
