"""Host shapes as people write them: ``1000x64c128g,50x96c384g``; text to values and nothing else."""

import re
from collections.abc import Sequence
from typing import Final

from innkeeper_plugins.vocabulary import Capacity, Value

#: More than one controller is made for.
MAX_HOSTS: Final = 1_000_000
MAX_CORES: Final = 100_000
MAX_MEMORY_MIB: Final = 1024 * 1024 * 1024
_SHAPE: Final = re.compile(r"(\d+)\s*x\s*(\d+(?:\.\d+)?)c\s*(\d+(?:\.\d+)?)([mgt])(?:i?b)?", re.IGNORECASE)
_MIB: Final = {"m": 1, "g": 1024, "t": 1024 * 1024}
_EXPECTED: Final = "expected is COUNTxCORESMEMORY such as 2000x64c128g; several have commas between them"


class HostShape(Value):
    """So many hosts of one size."""

    count: int
    capacity: Capacity


def parse_hosts(text: str) -> tuple[HostShape, ...]:
    """Return the shapes in the order given, each with at least one host.

    Raises:
        ValueError: it is no such list, or has more hosts than can be simulated.
    """
    shapes = tuple(_shape(part.strip()) for part in text.split(","))
    if host_count(shapes) > MAX_HOSTS:
        raise ValueError(f"{host_count(shapes):,} hosts are more than can be simulated ({MAX_HOSTS:,})")
    return shapes


def _shape(text: str) -> HostShape:
    match = _SHAPE.fullmatch(text)
    if not match:
        raise ValueError(f"{text[:40]!r} is no host shape; {_EXPECTED}")
    cores, memory_mib = float(match[2]), round(float(match[3]) * _MIB[match[4].lower()])
    count = int(match[1][:20])
    if not count or not 0 < cores <= MAX_CORES or not 0 < memory_mib <= MAX_MEMORY_MIB:
        raise ValueError(f"{text[:40]!r}: hosts, cores and memory have to be more than zero, and not absurd")
    return HostShape(count=count, capacity=Capacity(cpu_cores=cores, memory_mib=memory_mib))


def host_count(shapes: Sequence[HostShape]) -> int:
    """Return how many hosts there are in all."""
    return sum(shape.count for shape in shapes)


def capacities(shapes: Sequence[HostShape]) -> list[Capacity]:
    """Return the capacity of each host."""
    return [shape.capacity for shape in shapes for _ in range(shape.count)]
