"""Tells whether a host has become better for somebody who waits; compares only, and wakes nobody.

Numbers that shrink give no hope, nor do images that go: no VM fits better for them. What requirements may ask by name
gives hope however it changes, for they may ask that something is not there.
"""

from innkeeper_controller.records import Failures, Host, HostState
from innkeeper_plugins.vocabulary import Advertisement, DatastoreFacts

#: What an advertisement has beside numbers and images; any change of it may help somebody.
_NAMED = ("drivers", "bridges", "facts", "holder", "numa", "pci")


def people_gave_hope(old: Host, new: Host) -> bool:
    """Return whether what people decide of a host, or its being there, has changed so that more may fit."""
    if not old.connected or (new.state is HostState.ON and old.state is not new.state):
        return True
    if _is_banned(old.failures) and not _is_banned(new.failures):
        return True
    return (old.labels, old.cluster_id, old.allowances) != (new.labels, new.cluster_id, new.allowances)


def _is_banned(failures: Failures | None) -> bool:
    return failures is not None and failures.banned_until_s > 0


def is_better(old: Advertisement, new: Advertisement) -> bool:
    """Return whether a VM that fitted nowhere might fit on the host now that it says this of itself."""
    if new is old:
        return False
    had, has = old.capacity, new.capacity
    if has.cpu_cores > had.cpu_cores or has.memory_mib > had.memory_mib:
        return True
    if any(getattr(old, name) != getattr(new, name) for name in _NAMED):
        return True
    return _has_more_room(old.datastores, new.datastores) or not set(new.images).issubset(old.images)


def _has_more_room(old: tuple[DatastoreFacts, ...], new: tuple[DatastoreFacts, ...]) -> bool:
    if old == new:
        return False
    had = {each.name: each for each in old}
    if had.keys() != {each.name for each in new}:
        return True
    return any(each.free_mib > had[each.name].free_mib or each.total_mib > had[each.name].total_mib for each in new)
