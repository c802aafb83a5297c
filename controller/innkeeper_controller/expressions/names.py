"""The attributes of a host that expressions may ask for, and what people write for them."""

import difflib
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from innkeeper_controller.expressions.errors import ExpressionError
from innkeeper_controller.expressions.syntax import Rank, Requirement, names_in

#: ``{attribute: one sentence}``: what every host has; facts and labels of hosts come on top.
STANDARD: dict[str, str] = {
    "ID": "Number of the host.",
    "NAME": "Name of the host.",
    "HOSTNAME": "The same, as early OpenNebula called it.",
    "CLUSTER": "Name of the host's cluster.",
    "CLUSTER_ID": "Number of the host's cluster; 0 is `default`.",
    "HYPERVISOR": "Hypervisor drivers of the host; `=` holds if it is one of them.",
    "ARCH": "Processor architecture, `x86_64`.",
    "TOTAL_CPU": "Processors, 100 for each core.",
    "MAX_CPU": "The same.",
    "USED_CPU": "What the VMs on the host were given, 100 for each core.",
    "CPU_USAGE": "The same.",
    "FREE_CPU": "What is left for new VMs, 100 for each core.",
    "TOTAL_MEMORY": "Memory in KB.",
    "MAX_MEM": "The same.",
    "USED_MEMORY": "What the VMs on the host were given, in KB.",
    "MEM_USAGE": "The same.",
    "FREE_MEMORY": "What is left for new VMs, in KB.",
    "FREE_MEM": "The same.",
    "RUNNING_VMS": "How many VMs are on the host.",
    "CURRENT_VMS": "Numbers of the VMs on the host; `=` and `@>` hold if it is one of them.",
    "DATASTORES": "Names of the datastores that the host has.",
    "BRIDGES": "Names of the bridges that the host has.",
}
#: Facts that the built-in probes tell; a host may lack some.
PROBED: frozenset[str] = frozenset(
    {
        "CPU_MODEL", "CPU_VENDOR", "CPU_FLAGS", "CPU_CORES", "CPU_THREADS", "CPU_VIRTUALIZATION", "KVM", "QEMU_VERSION",
        "LIBVIRT_VERSION", "HUGE_PAGES", "HUGE_PAGE_SIZE_KIB", "SWAP_MIB", "PCI_GPUS", "PCI_DEVICES", "NUMA_NODES",
        "TOTAL_MEMORY_MIB", "OS", "OS_VERSION", "KERNEL",
    }
)  # fmt: skip
KNOWN: frozenset[str] = frozenset(STANDARD) | PROBED
CURRENT_VMS: Final = "CURRENT_VMS"
#: What VMs that come and go may change: numbers on every host, and the list of the VMs itself.
DYNAMIC: frozenset[str] = frozenset(
    {
        "TOTAL_CPU", "MAX_CPU", "USED_CPU", "CPU_USAGE", "FREE_CPU", "TOTAL_MEMORY", "MAX_MEM", "USED_MEMORY",
        "MEM_USAGE", "FREE_MEMORY", "FREE_MEM", "RUNNING_VMS", CURRENT_VMS,
    }
)  # fmt: skip

#: What OpenNebula calls them, or did in its versions 1 and 2.
_OLD = {
    "FREECPU": "FREE_CPU",
    "FREEMEMORY": "FREE_MEMORY",
    "TOTALCPU": "TOTAL_CPU",
    "TOTALMEMORY": "TOTAL_MEMORY",
    "USEDCPU": "USED_CPU",
    "USEDMEMORY": "USED_MEMORY",
    "TOTAL_MEM": "TOTAL_MEMORY",
    "USED_MEM": "USED_MEMORY",
    "MODELNAME": "CPU_MODEL",
    "VM_MAD": "HYPERVISOR",
}
#: Written names that are remembered.
_REMEMBERED = 1024
_PLAIN = re.compile(r"[A-Z_][A-Z0-9_]*")
#: Parents in OpenNebula's host document whose children are our attributes.
_PARENTS = frozenset({"HOST", "TEMPLATE", "HOST_SHARE", "CLUSTER_TEMPLATE", "MONITORING", "CAPACITY", "SYSTEM"})
_VM_PATHS = frozenset({("VMS", "ID"), ("VMS", "VM", "ID")})


@lru_cache(_REMEMBERED)
def canonical(written: str) -> str:
    """Return the attribute that a name or a path into OpenNebula's host document means.

    ``"HOST/VMS/ID"`` is ``CURRENT_VMS``, ``HOST/HOST_SHARE/FREE_CPU`` and ``FREECPU`` are ``FREE_CPU``.

    Raises:
        ValueError: it can mean none.
    """
    steps = tuple(step.strip() for step in written.upper().strip().strip("/").split("/"))
    while len(steps) > 1 and steps[0] in _PARENTS:
        steps = steps[1:]
    if steps in _VM_PATHS:
        return CURRENT_VMS
    if len(steps) != 1 or not written.isascii() or not _PLAIN.fullmatch(steps[0]):
        raise ValueError(f"{written!r} is neither a host attribute nor a path to one, like HOST/VMS/ID.")
    return _OLD.get(steps[0], steps[0])


def last_step(written: str) -> str:
    """Return the attribute that a path that leads nowhere probably meant: ``FREE_CPU`` for ``HOST/A/FREE_CPU``."""
    step = written.upper().rstrip("/ ").rpartition("/")[2].strip()
    return likely(_OLD.get(step, step), KNOWN)


def likely(name: str, known: Collection[str]) -> str:
    """Return the known attribute that was probably meant; empty where none is close."""
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)), "")


def unknown_names(text: str, tree: Requirement | Rank, known: Collection[str]) -> tuple[ExpressionError, ...]:
    """Return one error, not raised, for each attribute that ``known`` lacks, with what was probably meant.

    An attribute may be unknown because no host has it yet: the caller decides whether that is a mistake.
    """
    return tuple(
        ExpressionError(text, position, f"No host attribute is called {name}.", suggestion=likely(name, known))
        for name, position in dict(names_in(tree)).items()
        if name not in known
    )
