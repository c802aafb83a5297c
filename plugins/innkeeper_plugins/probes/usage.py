"""How busy the machine is: processor time and memory in use, for heartbeats.

Processor use is the mean since the last call, so one process has one caller of ``load``.
"""

from dataclasses import dataclass
from pathlib import Path

from innkeeper_plugins.probes import memory

STAT = Path("/proc/stat")
#: Columns of the ``cpu`` lines that are not work: idle and waiting for disks.
IDLE_COLUMNS = (3, 4)
#: Columns up to ``steal``; the ones behind it are counted in ``user`` already.
COUNTED_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class Ticks:
    """Processor time since the machine started, summed over its processors, in clock ticks."""

    busy: int = 0
    total: int = 0
    processors: int = 0


def parse(stat: str) -> Ticks:
    """Read the text of ``/proc/stat``."""
    lines = [line.split() for line in stat.splitlines() if line.startswith("cpu")]
    if not lines:
        return Ticks()
    columns = [int(column) for column in lines[0][1 : COUNTED_COLUMNS + 1]]
    idle = sum(columns[index] for index in IDLE_COLUMNS if index < len(columns))
    return Ticks(busy=sum(columns) - idle, total=sum(columns), processors=len(lines) - 1)


def used_cores(before: Ticks, after: Ticks) -> float:
    """Return how many processors were busy between two readings, in the mean."""
    passed = after.total - before.total
    if passed <= 0:
        return 0.0
    # The idle count of a processor that goes offline may run backwards.
    share = (after.busy - before.busy) / passed
    return round(min(max(share, 0.0), 1.0) * after.processors, 2)


class LoadMeter:
    """Remembers the last reading, so that each sample is the mean since the one before."""

    def __init__(self) -> None:
        self._last = Ticks()

    def sample(self) -> tuple[float, int]:
        """Return the cores and the MiB in use; the first sample is the mean since the machine started."""
        before, self._last = self._last, parse(STAT.read_text(encoding="ascii"))
        now = memory.read()
        return used_cores(before, self._last), now.total_mib - now.available_mib


_METER = LoadMeter()


def load() -> tuple[float, int]:
    """Return the cores and the MiB in use on this machine since the last call in this process."""
    return _METER.sample()
