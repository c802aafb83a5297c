"""Registers the built-in probes with the hooks."""

from collections.abc import Iterable

from innkeeper_plugins.hookspecs import Probe, hookimpl
from innkeeper_plugins.probes import bridges, cpu, hypervisor, kernel, memory, numa, pci


@hookimpl
def register_host_probes() -> Iterable[tuple[str, Probe]]:
    """Return the built-in probes."""
    return (
        ("cpu", cpu.facts),
        ("memory", memory.facts),
        ("numa", numa.facts),
        ("kernel", kernel.facts),
        ("bridges", bridges.facts),
        ("pci", pci.facts),
        ("hypervisor", hypervisor.facts),
    )
