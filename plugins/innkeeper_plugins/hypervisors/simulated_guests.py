"""The guests of a simulated hypervisor and where they are kept: in memory, or as small files that survive an agent.

It must not decide when a guest changes.
"""

import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer.whole_file import told_as_driver_errors
from innkeeper_plugins.vocabulary import Observation, PowerState, Value, Vm, VmId

SUFFIX = ".guest"
_WRITES = itertools.count()


class Guest(Value):
    """A guest that only pretends to run."""

    vm_id: VmId
    generation: int
    name: str
    power: PowerState
    cpu_cores: float
    memory_mib: int
    #: Its VM's.
    uuid: str = ""
    #: Addresses of its NICs that have one.
    ips: tuple[str, ...] = ()
    #: How often it has started, since its deployment.
    boots: int = 1
    #: When it began to run, on the driver's clock; means nothing while it is off.
    since_s: float = 0.0
    #: CPU time used before ``since_s``.
    cpu_time_s: float = 0.0
    vcpus: int = 1
    #: How far it may be resized while it runs.
    vcpus_max: int = 1
    memory_max_mib: int = 0
    #: ``{target: disk_id}`` and ``{target: bytes}`` of its disks.
    disks: dict[str, int] = {}
    sizes_bytes: dict[str, int] = {}
    #: ``{MAC address: nic_id}``
    nics: dict[str, int] = {}
    #: ``{snapshot_id: boots at that time}``
    snapshots: dict[int, int] = {}

    @property
    def runs(self) -> bool:
        """True while it is on, paused or not."""
        return self.power in {PowerState.RUNNING, PowerState.PAUSED}

    def greeting(self) -> bytes:
        """What it prints when it has started."""
        return f"simulated guest {self.name} ip={' '.join(self.ips) or 'none'} boots={self.boots} ready\r\n".encode()

    def observed(self, now_s: float) -> Observation:
        """What the hypervisor says of it."""
        return Observation(
            vm_id=self.vm_id,
            generation=self.generation,
            power=self.power,
            cpu_time_s=self.cpu_used_s(now_s),
            memory_mib=self.memory_mib if self.runs else 0,
            uuid=self.uuid,
        )

    def cpu_used_s(self, now_s: float) -> float:
        """CPU time that it has used: it is always as busy as it may be."""
        if self.power is not PowerState.RUNNING:
            return self.cpu_time_s
        return self.cpu_time_s + max(now_s - self.since_s, 0.0) * self.cpu_cores

    def begun(self, generation: int, now_s: float) -> "Guest":
        """Return it as it goes on."""
        return msgspec.structs.replace(self, generation=generation, power=PowerState.RUNNING, since_s=now_s)

    def ended(self, generation: int, power: PowerState, now_s: float) -> "Guest":
        """Return it as it is off."""
        return msgspec.structs.replace(self, generation=generation, power=power, cpu_time_s=self.cpu_used_s(now_s))


def new_guest(vm: Vm, now_s: float) -> Guest:
    """Return the guest of a VM that starts now."""
    return Guest(
        vm_id=vm.vm_id,
        generation=vm.generation,
        name=vm.name,
        power=PowerState.RUNNING,
        cpu_cores=vm.cpu_cores,
        memory_mib=vm.memory_mib,
        uuid=vm.uuid,
        ips=tuple(nic.ip for nic in vm.nics if nic.ip),
        since_s=now_s,
        vcpus=vm.vcpus,
        vcpus_max=max(vm.vcpus, vm.vcpus_max),
        memory_max_mib=max(vm.memory_mib, vm.memory_max_mib),
        disks={disk.target: disk.disk_id for disk in vm.disks},
        sizes_bytes={disk.target: disk.size_bytes for disk in vm.disks},
        nics={nic.mac: nic.nic_id for nic in vm.nics},
    )


def lie_about(observation: Observation) -> Observation:
    """Return the opposite of what a guest does."""
    told = PowerState.OFF if observation.power is PowerState.RUNNING else PowerState.RUNNING
    return msgspec.structs.replace(observation, power=told)


class GuestStore(Protocol):
    """Where guests are kept."""

    def get(self, vm_id: VmId) -> Guest | None:
        """Return the VM's guest, None where there is none."""
        ...

    def put(self, guest: Guest) -> None:
        """Keep the guest, in place of an earlier one."""
        ...

    def drop(self, vm_id: VmId) -> None:
        """Forget the VM's guest, if there is one."""
        ...

    def every(self) -> Iterable[Guest]:
        """Return all guests, by VM."""
        ...


class MemoryStore:
    """Guests that end with the process, as if the host had lost its power."""

    def __init__(self) -> None:
        self._guests: dict[VmId, Guest] = {}

    def get(self, vm_id: VmId) -> Guest | None:
        """Return the VM's guest, None where there is none."""
        return self._guests.get(vm_id)

    def put(self, guest: Guest) -> None:
        """Keep the guest."""
        self._guests[guest.vm_id] = guest

    def drop(self, vm_id: VmId) -> None:
        """Forget the VM's guest."""
        self._guests.pop(vm_id, None)

    def every(self) -> Iterable[Guest]:
        """Return all guests, by VM."""
        return [guest for _, guest in sorted(self._guests.items())]


class DirectoryStore:
    """Guests as files; every process that opens the directory sees the same ones."""

    def __init__(self, directory: Path) -> None:
        """Open the directory, made if need be.

        Raises:
            OSError: it cannot be made.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory

    def get(self, vm_id: VmId) -> Guest | None:
        """Return the VM's guest, None where there is none."""
        return _read(self._path(vm_id))

    def put(self, guest: Guest) -> None:
        """Keep the guest; a reader sees the old file or the new one."""
        write_guest(self._path(guest.vm_id), guest)

    def drop(self, vm_id: VmId) -> None:
        """Forget the VM's guest."""
        with told_as_driver_errors(self._directory):
            self._path(vm_id).unlink(missing_ok=True)

    def every(self) -> Iterable[Guest]:
        """Return all guests, by VM."""
        found = (_read(path) for path in self._directory.glob(f"*{SUFFIX}"))
        return sorted((guest for guest in found if guest is not None), key=lambda guest: guest.vm_id)

    def _path(self, vm_id: VmId) -> Path:
        return self._directory / f"{vm_id}{SUFFIX}"


def write_guest(path: Path, guest: Guest) -> None:
    """Write a guest to a file; a reader sees the old content or the new.

    Raises:
        DriverError: it cannot be written; the old content is still there.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.{next(_WRITES)}")
    with told_as_driver_errors(path):
        partial.write_bytes(msgspec.json.encode(guest))
        partial.replace(path)


def read_checkpoint(path: Path) -> Guest:
    """Return the guest that was saved to a file.

    Raises:
        DriverError: the file is none of ours.
    """
    guest = _read(path)
    if guest is None:
        raise DriverError(f"There is no checkpoint {path}", code="guest_missing")
    return guest


def _read(path: Path) -> Guest | None:
    with told_as_driver_errors(path):
        try:
            return msgspec.json.decode(path.read_bytes(), type=Guest)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise DriverError(f"{path} is no simulated guest: {error}", stderr=str(error)) from error
