"""The NUMA nodes: which processors and how much memory are close to each other."""

from dataclasses import dataclass
from pathlib import Path

from innkeeper_plugins.probes import memory

NODES = Path("/sys/devices/system/node")


@dataclass(frozen=True, slots=True, kw_only=True)
class NumaNode:
    """One node."""

    node_id: int
    #: Logical processors as the kernel lists them: ``0-3,8-11``.
    cpus: str
    memory_mib: int


def parse(node_id: int, cpulist: str, meminfo: str) -> NumaNode:
    """Read the files ``cpulist`` and ``meminfo`` of a node."""
    plain = meminfo.replace(f"Node {node_id} ", "")
    return NumaNode(node_id=node_id, cpus=cpulist.strip(), memory_mib=memory.parse(plain).total_mib)


def read(root: Path = NODES) -> tuple[NumaNode, ...]:
    """Return this machine's nodes; none where the kernel knows nothing of them."""
    paths = {int(path.name[4:]): path for path in root.glob("node*") if path.name[4:].isdecimal()}
    return tuple(
        parse(node_id, _text(paths[node_id] / "cpulist"), _text(paths[node_id] / "meminfo"))
        for node_id in sorted(paths)
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii") if path.exists() else ""


def facts() -> dict[str, str | int | float]:
    """Return the facts of this machine's nodes; a machine without NUMA is one node."""
    nodes = read()
    found: dict[str, str | int | float] = {"NUMA_NODES": len(nodes) or 1}
    for node in nodes:
        found[f"NUMA_NODE_{node.node_id}_CPUS"] = node.cpus
        found[f"NUMA_NODE_{node.node_id}_MEMORY_MIB"] = node.memory_mib
    return found
