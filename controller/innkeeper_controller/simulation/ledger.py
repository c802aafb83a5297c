"""What each simulated host has left, kept beside the scheduler's own books so that neither is believed alone.

It decides nothing, and asserts that nothing is given away twice.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from innkeeper_controller.simulation.traces import Floats, Integers
from innkeeper_plugins.vocabulary import Capacity, HostId

#: Sums of fractions of cores are this exact, no more.
CPU_TOLERANCE_CORES: Final = 1e-6


class Ledger:
    """Hosts 1 to N with what they have left; index 0 of each list stands for no host."""

    def __init__(self, hosts: Sequence[Capacity]) -> None:
        """Start with empty hosts."""
        self.hosts = [Capacity(), *hosts]
        self.cores_free = [host.cpu_cores for host in self.hosts]
        self.memory_free_mib = [host.memory_mib for host in self.hosts]
        self.vms_on = [0] * len(self.hosts)
        self.cores_used = 0.0
        self.memory_used_mib = 0
        #: Hosts with a VM at least.
        self.hosts_used = 0
        self.vms = 0

    def take(self, host_id: HostId, load: Capacity) -> None:
        """Note that a VM is on the host now."""
        cores = self.cores_free[host_id] - load.cpu_cores
        memory_mib = self.memory_free_mib[host_id] - load.memory_mib
        assert cores >= -CPU_TOLERANCE_CORES, f"host {host_id} was given {-cores:g} cores more than it has"
        assert memory_mib >= 0, f"host {host_id} was given {-memory_mib} MiB more than it has"
        self.cores_free[host_id] = cores
        self.memory_free_mib[host_id] = memory_mib
        self.cores_used += load.cpu_cores
        self.memory_used_mib += load.memory_mib
        self.vms += 1
        self.vms_on[host_id] += 1
        if self.vms_on[host_id] == 1:
            self.hosts_used += 1

    def give_back(self, host_id: HostId, load: Capacity) -> None:
        """Note that a VM is no longer on the host."""
        self.cores_free[host_id] += load.cpu_cores
        self.memory_free_mib[host_id] += load.memory_mib
        self.cores_used -= load.cpu_cores
        self.memory_used_mib -= load.memory_mib
        self.vms -= 1
        self.vms_on[host_id] -= 1
        assert self.vms_on[host_id] >= 0, f"host {host_id} gave back a VM that it had not"
        if not self.vms_on[host_id]:
            self.hosts_used -= 1
            # Errors of summing end where the host is empty.
            self.cores_free[host_id] = self.hosts[host_id].cpu_cores
        if not self.vms:
            self.cores_used = 0.0

    def free(self) -> tuple[Floats, Integers]:
        """Return free cores and free MiB of hosts 1 to N."""
        return np.array(self.cores_free[1:]), np.array(self.memory_free_mib[1:], dtype=np.int64)

    def rooms(self, load: Capacity) -> int:
        """Return how many VMs of that size could be started now."""
        cores, memory_mib = self.free()
        return int(rooms(load, cores, memory_mib).sum())


def rooms(load: Capacity, cores_free: Floats, memory_free_mib: Integers) -> Integers:
    """Return how many VMs of that size each host could take."""
    by_memory = np.maximum(0, memory_free_mib) // load.memory_mib
    by_cores = np.floor((np.maximum(0.0, cores_free) + CPU_TOLERANCE_CORES) / load.cpu_cores).astype(np.int64)
    fitting: Integers = np.minimum(by_memory, by_cores)
    return fitting
