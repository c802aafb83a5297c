"""The last samples of what guests and hosts used; in memory only, told by agents, and bounded."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from innkeeper_controller.records import Moment
from innkeeper_hostagent.protocol.messages import Heartbeat
from innkeeper_plugins.vocabulary import HostId, Observation, PowerState, Value, VmId

#: Samples that are kept of a guest, and of a host.
MAX_GUEST_SAMPLES: Final = 16
MAX_HOST_SAMPLES: Final = 64
#: Samples that are closer together are not kept apart: the newer stands for both.
GUEST_INTERVAL_S: Final = 30.0
HOST_INTERVAL_S: Final = 15.0


class GuestSample(Value):
    """What a guest had used at one moment."""

    at_s: Moment
    #: Since it started.
    cpu_time_s: float
    #: Of one core, since the sample before; 0 for the first.
    cpu_percent: float
    memory_mib: int


class HostSample(Value):
    """What a host used at one moment."""

    at_s: Moment
    cpu_used_cores: float
    memory_used_mib: int


@dataclass(slots=True)
class Samples:
    """The samples of all guests and hosts."""

    guests: dict[VmId, deque[GuestSample]] = field(default_factory=dict)
    hosts: dict[HostId, deque[HostSample]] = field(default_factory=dict)

    def add_guest(self, vm_id: VmId, guest: Observation, now_s: Moment) -> None:
        """Keep what was heard of a guest that runs."""
        if guest.power not in {PowerState.RUNNING, PowerState.PAUSED}:
            return
        kept = self.guests.setdefault(vm_id, deque(maxlen=MAX_GUEST_SAMPLES))
        before = kept[-1] if kept else None
        if before is not None and now_s - before.at_s < GUEST_INTERVAL_S:
            return
        percent = 0.0
        if before is not None and guest.cpu_time_s >= before.cpu_time_s:
            percent = round(100.0 * (guest.cpu_time_s - before.cpu_time_s) / (now_s - before.at_s), 2)
        sample = GuestSample(at_s=now_s, cpu_time_s=guest.cpu_time_s, cpu_percent=percent, memory_mib=guest.memory_mib)
        kept.append(sample)

    def add_host(self, host_id: HostId, load: Heartbeat, now_s: Moment) -> None:
        """Keep what was heard of a host."""
        kept = self.hosts.setdefault(host_id, deque(maxlen=MAX_HOST_SAMPLES))
        if kept and now_s - kept[-1].at_s < HOST_INTERVAL_S:
            return
        sample = HostSample(at_s=now_s, cpu_used_cores=load.cpu_used_cores, memory_used_mib=load.memory_used_mib)
        kept.append(sample)

    def of_guest(self, vm_id: VmId) -> tuple[GuestSample, ...]:
        """Return the samples of a guest, the oldest first."""
        return tuple(self.guests.get(vm_id, ()))

    def of_host(self, host_id: HostId) -> tuple[HostSample, ...]:
        """Return the samples of a host, the oldest first."""
        return tuple(self.hosts.get(host_id, ()))

    def forget_guest(self, vm_id: VmId) -> None:
        """Let go of the samples of a guest that is no more."""
        self.guests.pop(vm_id, None)

    def forget_host(self, host_id: HostId) -> None:
        """Let go of the samples of a host that is no more."""
        self.hosts.pop(host_id, None)
