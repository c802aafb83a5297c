"""Free room that is of no use: what hosts in use have left where one more VM of a usual size does not fit.

It looks at moments given by the trace, a few hundred in a run, and keeps no clock.
"""

from array import array
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from innkeeper_controller.simulation.ledger import Ledger, rooms
from innkeeper_controller.simulation.traces import Floats, Integers, Trace
from innkeeper_plugins.vocabulary import Capacity

#: Looks from the first arrival to the last.
LOOKS: Final = 400
#: ``{name: percentile of cores, and of memory, of the VMs of the trace}``
PERCENTILES: Final = {"median": 50, "p95": 95}


@dataclass(slots=True)
class Lost:
    """The part of the capacity of hosts in use that is free and of no use, 0 to 1; one entry a look."""

    cpu: "array[float]" = field(default_factory=lambda: array("d"))
    memory: "array[float]" = field(default_factory=lambda: array("d"))


class Fragmentation:
    """What was seen of it in a run."""

    def __init__(self, shapes: dict[str, Capacity], first_s: float, every_s: float) -> None:
        """Look first at ``first_s``, then at the first instant of every further ``every_s``."""
        #: ``{name: the size that has to fit}``
        self.shapes = shapes
        self.next_s = first_s
        self._every_s = every_s
        self.time_s = array("d")
        #: By name of the size.
        self.lost = {name: Lost() for name in shapes}
        self._totals: tuple[Floats, Integers] | None = None

    @classmethod
    def of(cls, trace: Trace) -> "Fragmentation":
        """Return one that suits the trace."""
        shapes = {name: _usual(trace, percentile) for name, percentile in PERCENTILES.items()}
        first_s, last_s = float(trace.arrival_s[0]), float(trace.arrival_s[-1])
        return cls(shapes, first_s, max(1.0, (last_s - first_s) / LOOKS))

    def look(self, now_s: float, ledger: Ledger) -> None:
        """Note how things stand."""
        self.next_s = now_s + self._every_s
        self.time_s.append(now_s)
        if self._totals is None:
            hosts = ledger.hosts[1:]
            cores = np.array([host.cpu_cores for host in hosts])
            self._totals = cores, np.array([host.memory_mib for host in hosts], dtype=np.int64)
        in_use = np.array(ledger.vms_on[1:]) > 0
        cores, memory_mib = ledger.free()
        of_cores, of_memory_mib = (float(total[in_use].sum()) or 1.0 for total in self._totals)
        for name, shape in self.shapes.items():
            useless = in_use & (rooms(shape, cores, memory_mib) == 0)
            self.lost[name].cpu.append(float(cores[useless].sum()) / of_cores)
            self.lost[name].memory.append(float(memory_mib[useless].sum()) / of_memory_mib)


def _usual(trace: Trace, percentile: int) -> Capacity:
    """Return the size that so many percent of the VMs do not exceed, for cores and for memory by themselves."""
    return Capacity(
        cpu_cores=_percentile(trace.cpu_cores, trace.vms, percentile),
        memory_mib=int(_percentile(trace.memory_mib, trace.vms, percentile)),
    )


def _percentile(values: Floats | Integers, weights: Integers, percentile: int) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    at = int(np.searchsorted(reached, reached[-1] * percentile / 100))
    return float(values[order[at]])
