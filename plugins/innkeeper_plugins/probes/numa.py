"""The NUMA nodes: which processors, how much memory and which huge pages are close to each other.

What the kernel writes is not trusted: what cannot be read is left out, and no processor is told of twice.
"""

from collections.abc import Iterable
from pathlib import Path

from innkeeper_plugins.probes import memory
from innkeeper_plugins.vocabulary import NumaNode

NODES = Path("/sys/devices/system/node")
PROCESSORS = Path("/sys/devices/system/cpu")
#: No machine has as many; a list that goes on to there is nonsense.
MAX_PROCESSORS = 1 << 16


def parse_list(text: str) -> tuple[int, ...]:
    """Return the numbers of a list as the kernel writes it, ``0-3,8``, in order; nothing of one that is nonsense."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.strip().partition("-")
        last = last or first
        if not (first.isdecimal() and last.isdecimal()) or int(last) >= MAX_PROCESSORS:
            return ()
        found.update(range(int(first), int(last) + 1))
    return tuple(sorted(found))


def read(root: Path = NODES, processors: Path = PROCESSORS) -> tuple[NumaNode, ...]:
    """Return this machine's nodes by number; none where the kernel knows nothing of them."""
    nodes = []
    taken: set[int] = set()
    for node_id, path in sorted(_numbered(root, "node").items()):
        cpus = [cpu for cpu in parse_list(_text(path / "cpulist")) if cpu not in taken]
        taken.update(cpus)
        meminfo = _text(path / "meminfo").replace(f"Node {node_id} ", "")
        nodes.append(
            NumaNode(
                node_id=node_id,
                cores=_cores(cpus, processors),
                memory_mib=memory.parse(meminfo).total_mib,
                hugepages=_huge_pages(path / "hugepages"),
            )
        )
    return tuple(nodes)


def facts() -> dict[str, str | int | float]:
    """Return the facts of this machine's nodes; a machine without NUMA is one node."""
    nodes = read()
    found: dict[str, str | int | float] = {"NUMA_NODES": len(nodes) or 1}
    for node in nodes:
        found[f"NUMA_NODE_{node.node_id}_CPUS"] = as_list(cpu for core in node.cores for cpu in core)
        found[f"NUMA_NODE_{node.node_id}_MEMORY_MIB"] = node.memory_mib
    return found


def as_list(cpus: Iterable[int]) -> str:
    """Return numbers as the kernel lists them: ``0-3,8``."""
    spans: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if spans and spans[-1][1] == cpu - 1:
            spans[-1][1] = cpu
        else:
            spans.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _cores(cpus: Iterable[int], processors: Path) -> tuple[tuple[int, ...], ...]:
    """Return the processors of a node by core; one that nothing is known of is a core of its own."""
    left = dict.fromkeys(cpus)
    cores = []
    while left:
        cpu = next(iter(left))
        siblings = parse_list(_text(processors / f"cpu{cpu}" / "topology" / "thread_siblings_list"))
        core = tuple(each for each in sorted({cpu, *siblings}) if each in left)
        cores.append(core)
        for each in core:
            del left[each]
    return tuple(cores)


def _huge_pages(root: Path) -> dict[int, int]:
    """Return ``{size in KiB: how many}`` of the sizes that there are any of."""
    found = {}
    for path in sorted(root.glob("hugepages-*kB")):
        size_kib, number = path.name[len("hugepages-") : -len("kB")], _text(path / "nr_hugepages").strip()
        if size_kib.isdecimal() and int(size_kib) and number.isdecimal() and int(number):
            found[int(size_kib)] = int(number)
    return found


def _numbered(root: Path, prefix: str) -> dict[int, Path]:
    found = {path.name.removeprefix(prefix): path for path in root.glob(f"{prefix}*")}
    return {int(number): path for number, path in found.items() if number.isdecimal()}


def _text(path: Path) -> str:
    """Return what the file says; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
