"""What a plugin brings to the scheduler: clauses that keep hosts out, and scores that make one better than another.

Both are asked of many hosts at once, with numpy arrays of one element a host, in any number and order: what they say
of a host must not depend on the others. They read what they are given and nothing else.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from innkeeper_plugins.vocabulary import Capacity, HostId

BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float64]


class HostFacts(Protocol):
    """What one host is."""

    @property
    def host_id(self) -> HostId:
        """Its number."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def cluster(self) -> str:
        """The name of its cluster."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that operators gave it."""
        ...

    @property
    def attributes(self) -> Mapping[str, str | float | tuple[str | float, ...]]:
        """What requirement expressions may ask of it and what VMs do not change, in upper case."""
        ...


class Hosts(Protocol):
    """Some hosts."""

    def number(self, name: str) -> FloatArray:
        """Return a column.

        ``cpu_total``, ``cpu_used``, ``cpu_free`` in cores; ``memory_total``, ``memory_used``, ``memory_free`` in MiB;
        ``disk:NAME`` for what is free in a datastore, MiB; ``vms``; ``load`` from 0 to 1; ``failures``; ``cluster_id``.
        """
        ...

    def each(self, key: Hashable, holds: Callable[[HostFacts], bool]) -> BoolArray:
        """Return what ``holds`` says of each host, remembered under the key until a host changes what it is."""
        ...


class OneHost(Protocol):
    """One host, for words about it."""

    @property
    def view(self) -> HostFacts:
        """What it is."""
        ...

    def number(self, name: str) -> float:
        """Return what a column says of it."""
        ...


class Asked(Protocol):
    """A VM that wants a host.

    What is said of one VM counts for all others that are alike in these.
    """

    @property
    def capacity(self) -> Capacity:
        """Cores and memory that it takes."""
        ...

    @property
    def groups(self) -> tuple[str, ...]:
        """Its placement groups."""
        ...

    @property
    def attributes(self) -> Mapping[str, str]:
        """Attributes of its template that Innkeeper does not interpret, in upper case."""
        ...


def _always(_asked: Asked) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """What has to hold for a VM to go to a host.

    Where one of its functions fails, it keeps the VM out of all hosts and ``inn vm why`` tells the failure.
    One that takes longer than half a second for one VM is taken for failed during the next minute.
    """

    #: Says of each host whether it holds: one bool a host, no numbers.
    holds: Callable[[Asked, Hosts], BoolArray]
    #: Says why not, of a host where it does not hold; no capital, no full stop.
    words: Callable[[Asked, OneHost], str]
    #: Which VMs it is about.
    concerns: Callable[[Asked], bool] = _always


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How good hosts are for a VM that fits on them.

    Where its function fails or is as slow as that, it is 0.
    """

    #: Says of each host how good it is, from 0 to 1; what is beyond is cut off.
    of: Callable[[Asked, Hosts], FloatArray]
    #: In every policy but ``custom`` and those of plugins, which give weights themselves.
    weight: float = 1.0
    #: Which VMs it is about; it is 0 for others.
    concerns: Callable[[Asked], bool] = _always


#: A scheduler of a plugin: it gets the snapshot that ``docs/scheduling-plugins.md`` tells field by field, and returns
#: pairs of a VM's number and a host's name. VMs that it leaves out wait on.
Decide: TypeAlias = Callable[[Mapping[str, Any]], Iterable[tuple[int, str]]]
