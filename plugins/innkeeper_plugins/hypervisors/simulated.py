"""The hypervisor driver ``simulated``: guests that only pretend, and are slow, fail, hang or lie when told to.

It must not start a process: it is for rehearsing, testing and measuring everything else.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors import simulated_changes as changes
from innkeeper_plugins.hypervisors.simulated_console import SimulatedConsole
from innkeeper_plugins.hypervisors.simulated_guests import (
    DirectoryStore,
    Guest,
    GuestStore,
    MemoryStore,
    lie_about,
    new_guest,
    read_checkpoint,
    write_guest,
)
from innkeeper_plugins.protocols import HYPERVISOR_CAPABILITIES, Place, checkpoint_path
from innkeeper_plugins.transfer.misbehaviour import Misbehaviour, Orders
from innkeeper_plugins.vocabulary import Disk, Nic, Observation, PowerState, Vm, VmId, may_be_same

NAME = "simulated"
VERBS = (
    "deploy",
    "shutdown",
    "cancel",
    "save",
    "restore",
    "migrate",
    "reboot",
    "reset",
    "attach_disk",
    "detach_disk",
    "attach_nic",
    "detach_nic",
    "snapshot_create",
    "snapshot_revert",
    "snapshot_delete",
    "grow_disk",
    "resize",
    "poll",
    "console",
)
SCHEME = "sim"

_replace = msgspec.structs.replace


class SimulatedOptions(Orders, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of ``[drivers.simulated]``: the orders to misbehave, and these."""

    #: Absolute path of a directory to keep guests in; empty to forget them with the agent.
    state_directory: str = ""
    #: Name of this host among the hosts of a ``World``.
    host: str = ""
    #: The guests do not hear the power button, and do not let go of what is detached.
    deaf: bool = False


class World:
    """Simulated hosts in one process that can migrate guests to each other."""

    def __init__(self) -> None:
        #: ``{host: its driver}``
        self.hosts: dict[str, SimulatedDriver] = {}


def make(
    config: Mapping[str, Any],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
    world: World | None = None,
) -> "SimulatedDriver":
    """Make the driver from ``[drivers.simulated]``.

    Args:
        config: See ``SimulatedOptions``.
        sleep: Waits for so many seconds.
        clock: Says how late it is, in seconds.
        world: The other hosts of this process that guests can be migrated to.

    Raises:
        msgspec.ValidationError: a key is unknown or a value has the wrong type.
        ValueError: an order names a verb that does not exist.
        OSError: the directory cannot be made.
    """
    return SimulatedDriver(msgspec.convert(dict(config), SimulatedOptions), sleep=sleep, clock=clock, world=world)


class SimulatedDriver:
    """Every verb of ``HypervisorDriver``, on guests that are only remembered."""

    name = NAME
    capabilities = frozenset(HYPERVISOR_CAPABILITIES)

    def __init__(
        self,
        options: SimulatedOptions,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        world: World | None = None,
    ) -> None:
        """Take the orders and find the guests that an earlier agent left.

        Raises:
            ValueError: an order names a verb that does not exist.
            OSError: the directory cannot be made.
        """
        self._options = options
        self._clock = clock
        self._sleep = sleep
        self._misbehaviour = Misbehaviour(options, VERBS, sleep=sleep)
        directory = options.state_directory
        self._store: GuestStore = DirectoryStore(Path(directory)) if directory else MemoryStore()
        self._changed: list[Callable[[Observation], None]] = []
        self._consoles: dict[VmId, list[SimulatedConsole]] = {}
        self._world = world or World()
        self._world.hosts[options.host] = self

    def deploy(self, place: Place, vm: Vm) -> str:
        """Start the guest; see ``HypervisorDriver``."""
        guest = self._find(vm)
        if guest is not None and guest.runs:
            if guest.generation < vm.generation:
                raise DriverError(f"VM {vm.vm_id} already runs, of generation {guest.generation}", code="refused")
        elif self._misbehaviour.meet("deploy", place.progress):
            self._put(new_guest(vm, self._clock()))
        return _deploy_id(vm)

    def shutdown(self, place: Place, vm: Vm, *, grace_s: int, force: bool) -> None:
        """Press the power button, which a deaf guest does not hear; see ``HypervisorDriver``."""
        guest = self._find(vm)
        if guest is None or not guest.runs or not self._misbehaviour.meet("shutdown", place.progress):
            return
        if self._options.deaf or not grace_s:
            for second in range(grace_s):
                place.progress(second, grace_s)
                self._sleep(1.0)
            if not force:
                raise DriverError(f"VM {vm.vm_id} still runs after {grace_s} s", code="timeout")
        self._put(guest.ended(vm.generation, PowerState.OFF, self._clock()))

    def cancel(self, place: Place, vm: Vm) -> None:
        """Switch the guest off and forget it; see ``HypervisorDriver``."""
        guest = self._find(vm)
        if guest is not None and self._misbehaviour.meet("cancel", place.progress):
            self._drop(guest)

    def save(self, place: Place, vm: Vm) -> None:
        """Write the guest to its checkpoint and forget it; see ``HypervisorDriver``."""
        guest, checkpoint = self._find(vm), checkpoint_path(place, vm)
        if guest is None or not guest.runs:
            if not checkpoint.exists():
                raise _not_running(vm)
            return
        if self._misbehaviour.meet("save", place.progress):
            write_guest(checkpoint, guest.ended(vm.generation, PowerState.OFF, self._clock()))
            self._drop(guest)

    def restore(self, place: Place, vm: Vm) -> str:
        """Start the guest from its checkpoint; see ``HypervisorDriver``."""
        guest, checkpoint = self._find(vm), checkpoint_path(place, vm)
        if guest is not None and guest.runs:
            self._store.put(_replace(guest, generation=vm.generation))
        else:
            if not checkpoint.exists():
                raise DriverError(f"VM {vm.vm_id} has no checkpoint on this host", code="guest_missing")
            if not self._misbehaviour.meet("restore", place.progress):
                return _deploy_id(vm)
            self._put(read_checkpoint(checkpoint).begun(vm.generation, self._clock()))
        checkpoint.unlink(missing_ok=True)
        return _deploy_id(vm)

    def migrate(self, place: Place, vm: Vm, *, destination_uri: str, shared_storage: bool) -> None:  # noqa: ARG002 - as the protocol has it
        """Move the running guest; see ``HypervisorDriver``."""
        guest, receive, there = self._find(vm), *self._destination(destination_uri)
        if guest is None or not guest.runs:
            arrived = there.get(vm.vm_id)
            if arrived is None or not arrived.runs:
                raise _not_running(vm)
        elif self._misbehaviour.meet("migrate", place.progress):
            receive(_replace(guest, generation=vm.generation))
            self._drop(guest)

    def migration_uri(self) -> str:
        """Return where this host takes migrations, empty where it is alone and keeps no files."""
        if self._options.host:
            return f"{SCHEME}:{self._options.host}"
        return f"{SCHEME}://{self._options.state_directory}" if self._options.state_directory else ""

    def reboot(self, place: Place, vm: Vm) -> None:
        """Start the guest anew; see ``HypervisorDriver``."""
        self._restart("reboot", place, vm)

    def reset(self, place: Place, vm: Vm) -> None:
        """Start the guest anew; see ``HypervisorDriver``."""
        self._restart("reset", place, vm)

    def attach_disk(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Note the disk on the guest; see ``HypervisorDriver``."""
        self._change("attach_disk", place, vm, lambda guest: changes.with_disk(guest, disk))

    def detach_disk(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Strike the disk off, which a deaf guest does not let go; see ``HypervisorDriver``."""
        self._unplug("detach_disk", place, vm, lambda guest: changes.without_disk(guest, disk))

    def attach_nic(self, place: Place, vm: Vm, nic: Nic) -> None:
        """Note the network card on the guest; see ``HypervisorDriver``."""
        self._change("attach_nic", place, vm, lambda guest: changes.with_nic(guest, nic))

    def detach_nic(self, place: Place, vm: Vm, nic: Nic) -> None:
        """Strike the network card off, which a deaf guest does not let go; see ``HypervisorDriver``."""
        self._unplug("detach_nic", place, vm, lambda guest: changes.without_nic(guest, nic))

    def snapshot_create(self, place: Place, vm: Vm, snapshot_id: int, name: str) -> str:  # noqa: ARG002 - as the protocol has it
        """Note the snapshot on the guest; see ``HypervisorDriver``."""
        self._change("snapshot_create", place, vm, lambda guest: changes.kept(guest, snapshot_id))
        return f"sim-snapshot-{snapshot_id}"

    def snapshot_revert(self, place: Place, vm: Vm, snapshot_id: int, hypervisor_id: str) -> None:  # noqa: ARG002 - as the protocol has it
        """Let the guest be what it was; see ``HypervisorDriver``."""
        self._change("snapshot_revert", place, vm, lambda guest: changes.reverted(guest, snapshot_id))

    def snapshot_delete(self, place: Place, vm: Vm, snapshot_id: int, hypervisor_id: str) -> None:  # noqa: ARG002 - as the protocol has it
        """Strike the snapshot off; see ``HypervisorDriver``."""
        guest = self._find(vm)
        if guest is None or snapshot_id not in guest.snapshots:
            return
        if self._misbehaviour.meet("snapshot_delete", place.progress):
            self._store.put(changes.dropped(guest, snapshot_id))

    def grow_disk(self, place: Place, vm: Vm, disk: Disk, size_bytes: int) -> None:
        """Note the disk's size on the guest; see ``HypervisorDriver``."""
        self._change("grow_disk", place, vm, lambda guest: changes.grown(guest, disk, size_bytes))

    def resize(self, place: Place, vm: Vm, vcpus: int, memory_mib: int) -> None:
        """Note processors and memory on the guest; see ``HypervisorDriver``."""
        self._change("resize", place, vm, lambda guest: changes.resized(guest, vm, vcpus, memory_mib))

    def poll(self) -> list[Observation]:
        """Say of every guest what it does, or the opposite where that was ordered; see ``HypervisorDriver``."""
        honest, now_s = self._misbehaviour.meet("poll", _nobody_asks), self._clock()
        seen = [guest.observed(now_s) for guest in self._store.every()]
        return seen if honest else [lie_about(one) for one in seen]

    def watch(self, changed: Callable[[Observation], None]) -> None:
        """Call ``changed`` at every change that this driver makes, until ``close``; see ``HypervisorDriver``."""
        self._changed.append(changed)

    def console(self, place: Place, vm: Vm) -> SimulatedConsole:
        """Open the guest's serial console, which greets; see ``HypervisorDriver``."""
        guest = self._find(vm)
        if guest is None or not guest.runs:
            raise _not_running(vm)
        greeting = guest.greeting() if self._misbehaviour.meet("console", place.progress) else b""
        consoles = self._consoles.setdefault(vm.vm_id, [])
        console = SimulatedConsole(greeting, closed=lambda one: consoles.remove(one) if one in consoles else None)
        consoles.append(console)
        return console

    def close(self) -> None:
        """Tell nobody any more; guests run on."""
        self._changed.clear()
        for vm_id in tuple(self._consoles):
            self._end_consoles(vm_id)

    def crash(self, vm_id: VmId) -> None:
        """Let a guest die, as its own process might."""
        guest = self._store.get(vm_id)
        if guest is not None and guest.runs:
            self._put(guest.ended(guest.generation, PowerState.CRASHED, self._clock()))

    def receive(self, guest: Guest) -> None:
        """Take over a guest that another host of the world sends.

        Raises:
            DriverError: ``refused``: it has been here in a later life.
        """
        known = self._store.get(guest.vm_id)
        if known is not None and known.generation > guest.generation:
            raise DriverError(f"VM {guest.vm_id} is here in generation {known.generation}", code="refused")
        self._put(guest)

    def _find(self, vm: Vm) -> Guest | None:
        guest = self._store.get(vm.vm_id)
        if guest is not None and not may_be_same(guest.uuid, vm.uuid):
            raise DriverError(f"The guest {vm.vm_id} is that of another controller's VM, {guest.uuid}", code="refused")
        if guest is not None and guest.generation > vm.generation:
            raise DriverError(
                f"VM {vm.vm_id} is here in generation {guest.generation}; this order is for {vm.generation}",
                code="refused",
            )
        return guest

    def _destination(self, uri: str) -> tuple[Callable[[Guest], None], GuestStore]:
        parts = urlsplit(uri)
        if parts.scheme == SCHEME and parts.path.startswith("/"):
            store = DirectoryStore(Path(parts.path))
            return store.put, store
        host = self._world.hosts.get(parts.path)
        if parts.scheme != SCHEME or host is None:
            raise DriverError(f"There is no simulated host at {uri}")
        return host.receive, host._store  # noqa: SLF001 - another of our own kind

    def _change(self, verb: str, place: Place, vm: Vm, change: Callable[[Guest], Guest]) -> None:
        """Let a running guest become another one, unless it is that already."""
        guest = self._find(vm)
        if guest is None or not guest.runs:
            raise _not_running(vm)
        changed = change(guest)
        if changed == guest:
            self._store.put(_replace(guest, generation=vm.generation))
        elif self._misbehaviour.meet(verb, place.progress):
            self._put(_replace(changed, generation=vm.generation))

    def _unplug(self, verb: str, place: Place, vm: Vm, change: Callable[[Guest], Guest]) -> None:
        guest = self._find(vm)
        if guest is None or not guest.runs:
            return
        if self._options.deaf and change(guest) != guest:
            raise DriverError(f"Guest {guest.name} has not let go; try again, or power it off first", code="timeout")
        self._change(verb, place, vm, change)

    def _restart(self, verb: str, place: Place, vm: Vm) -> None:
        guest = self._find(vm)
        if guest is None or not guest.runs:
            raise _not_running(vm)
        if self._misbehaviour.meet(verb, place.progress):
            again = _replace(guest, generation=vm.generation, boots=guest.boots + 1)
            self._put(again)
            for console in self._consoles.get(vm.vm_id, ()):
                console.show(again.greeting())

    def _put(self, guest: Guest) -> None:
        self._store.put(guest)
        if not guest.runs:
            self._end_consoles(guest.vm_id)
        self._tell(guest.observed(self._clock()))

    def _drop(self, guest: Guest) -> None:
        self._store.drop(guest.vm_id)
        self._end_consoles(guest.vm_id)
        gone = PowerState.ABSENT
        self._tell(Observation(vm_id=guest.vm_id, generation=guest.generation, power=gone, uuid=guest.uuid))

    def _end_consoles(self, vm_id: VmId) -> None:
        for console in tuple(self._consoles.pop(vm_id, ())):
            console.close()

    def _tell(self, observation: Observation) -> None:
        for changed in self._changed:
            changed(observation)


def _deploy_id(vm: Vm) -> str:
    return f"sim-{vm.vm_id}"


def _not_running(vm: Vm) -> DriverError:
    return DriverError(f"VM {vm.vm_id} does not run on this host", code="guest_missing")


def _nobody_asks(_done_bytes: int, _total_bytes: int) -> None:
    """Stand in for the progress of a verb that nobody can cancel."""
