"""What was found out about every host by what it is: kept, and asked again only of hosts that became something else."""

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from innkeeper_controller.scheduling.columns.changes import Changes

T = TypeVar("T")
#: Findings that are kept; the one that was made first goes first.
MAX_REMEMBERED: Final = 512


class Finding(Generic[T]):
    """What was found out, and up to which change."""

    __slots__ = ("seen", "value")

    def __init__(self, value: T, seen: int) -> None:
        """Keep a value."""
        self.value = value
        self.seen = seen


class Remembered(Generic[T]):
    """Findings of one kind, by key."""

    __slots__ = ("_changes", "_found")

    def __init__(self, changes: Changes) -> None:
        """Remember nothing yet; ``changes`` are of the hosts that findings are about."""
        self._changes = changes
        self._found: dict[Hashable, Finding[T]] = {}

    def get(self, key: Hashable, make: Callable[[], T], mend: Callable[[T, list[int]], None]) -> T:
        """Return what is known under the key.

        Args:
            key: The same for the same finding.
            make: Finds it out for all hosts.
            mend: Finds it out anew for some rows, which are said once or more often.
        """
        found = self._found.get(key)
        changes = self._changes
        if found is not None:
            seen = changes.seen
            if found.seen == seen:
                return found.value
            rows = changes.since(found.seen)
            if rows is not None:
                # Before it is mended, since it may ask for other findings.
                found.seen = seen
                try:
                    mend(found.value, rows)
                except BaseException:
                    # Half mended it is worth nothing, and a plugin's function may raise anything.
                    self._found.pop(key, None)
                    raise
                return found.value
        elif len(self._found) >= MAX_REMEMBERED:
            del self._found[next(iter(self._found))]
        found = self._found[key] = Finding(make(), changes.seen)
        return found.value
