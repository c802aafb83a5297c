"""Which hosts hold members of which placement groups: counts by host, kept as VMs come and go."""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.int64]


class Members:
    """The hosts of one group."""

    __slots__ = ("_rows", "counts")

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        """Begin with ``{row: members}``."""
        self.counts = counts if counts is not None else {}
        self._rows: IntArray | None = None

    def add(self, row: int, count: int) -> None:
        """Count members that came to a host, or with a negative count left it."""
        left = self.counts.get(row, 0) + count
        if left:
            if row not in self.counts:
                self._rows = None
            self.counts[row] = left
        else:
            self.counts.pop(row, None)
            self._rows = None

    def rows(self) -> IntArray:
        """Return the rows that hold any."""
        if self._rows is None:
            self._rows = np.fromiter(self.counts, dtype=np.int64, count=len(self.counts))
        return self._rows


class Membership:
    """All groups, by key: the name of a group, or ``#7`` for the VM of that number alone."""

    def __init__(self) -> None:
        """Begin with none."""
        self._of: dict[str, Members] = {}

    def copy(self) -> "Membership":
        """Return one that changes by itself."""
        other = Membership()
        other._of = {key: Members(dict(members.counts)) for key, members in self._of.items()}
        return other

    def add(self, keys: Iterable[str], row: int, count: int) -> None:
        """Count a VM that came to a host (1) or left it (-1) in each of its groups."""
        for key in keys:
            members = self._of.get(key)
            if members is None:
                members = self._of[key] = Members()
            members.add(row, count)
            if not members.counts:
                del self._of[key]

    def forget(self, row: int) -> None:
        """Count nobody on a host any longer."""
        for key, members in list(self._of.items()):
            if row in members.counts:
                members.add(row, -members.counts[row])
                if not members.counts:
                    del self._of[key]

    def rows(self, keys: Iterable[str]) -> list[IntArray]:
        """Return the rows that hold members of any of the groups, one array a group."""
        return [members.rows() for key in keys if (members := self._of.get(key)) is not None]

    def counts(self, keys: Iterable[str]) -> dict[int, int]:
        """Return ``{row: members of any of the groups}``; a VM in two of them counts twice."""
        found = [members.counts for key in keys if (members := self._of.get(key)) is not None]
        if len(found) <= 1:
            return found[0] if found else {}
        summed: dict[int, int] = {}
        for counts in found:
            for row, count in counts.items():
                summed[row] = summed.get(row, 0) + count
        return summed

    @property
    def is_empty(self) -> bool:
        """Whether no group has any member."""
        return not self._of

    def of_row(self, row: int) -> dict[str, int]:
        """Return ``{group: members on one host}``."""
        return {key: members.counts[row] for key, members in self._of.items() if row in members.counts}

    def by_row(self) -> dict[int, dict[str, int]]:
        """Return ``{row: {group: members}}`` of all rows that hold any."""
        found: dict[int, dict[str, int]] = {}
        for key, members in self._of.items():
            for row, count in members.counts.items():
                found.setdefault(row, {})[key] = count
        return found


def vm_key(vm_id: int) -> str:
    """Return the key under which one VM is a group of its own."""
    return f"#{vm_id}"
