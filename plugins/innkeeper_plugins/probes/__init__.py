"""What a host is and has: facts for requirement expressions, its capacity, its datastores and bridges.

Each probe is one small file: pure parsers over what the kernel prints, and a thin reader.
No probe changes anything on the host, and none needs root.
"""

from innkeeper_plugins.probes import bridges, cpu, hypervisor, kernel, memory, numa, pci, storage
from innkeeper_plugins.probes.usage import load
from innkeeper_plugins.vocabulary import Capacity

__all__ = ["bridges", "capacity", "cpu", "hypervisor", "kernel", "load", "memory", "numa", "pci", "storage"]


def capacity() -> Capacity:
    """Return all that this machine has: its logical processors and its memory."""
    return Capacity(cpu_cores=float(cpu.read().threads), memory_mib=memory.read().total_mib)
