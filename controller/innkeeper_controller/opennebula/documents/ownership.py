"""What every owned thing has in OpenNebula's documents: whose it is, who may do what with it, and its lock.

The order of the elements differs from kind to kind; the kinds put them where they belong.
"""

from typing import Protocol

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.markup import element, escaped, moment
from innkeeper_controller.opennebula.numbers import GONE, LOCK_LEVELS
from innkeeper_controller.records import Lock

#: Permissions in OpenNebula's order, with their bits.
_PERMISSIONS = tuple(
    (f"{who}_{right}", bit << shift)
    for who, shift in (("OWNER", 6), ("GROUP", 3), ("OTHER", 0))
    for right, bit in (("U", 4), ("M", 2), ("A", 1))
)
#: ``{mode: its element}``
_SHOWN = {
    mode: "".join(f"<{name}>{int(bool(mode & bit))}</{name}>" for name, bit in _PERMISSIONS) for mode in range(0o1000)
}


class Owned(Protocol):
    """A record of something that belongs to a user and a group."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def owner(self) -> str:
        """The user's name."""
        ...

    @property
    def group(self) -> str:
        """The group's name."""
        ...


def user_id(cluster: Cluster, name: str) -> int:
    """Return the user's number; -1 where there is no such user any more."""
    user = cluster.users.get(name)
    return GONE if user is None else user.user_id


def group_id(cluster: Cluster, name: str) -> int:
    """Return the group's number; -1 where there is no such group any more."""
    group = cluster.groups.get(name)
    return GONE if group is None else group.group_id


def head(cluster: Cluster, number: int, owned: Owned) -> str:
    """Return the elements that every owned thing begins with, from ID to NAME."""
    return (
        f"<ID>{number}</ID><UID>{user_id(cluster, owned.owner)}</UID><GID>{group_id(cluster, owned.group)}</GID>"
        f"<UNAME>{escaped(owned.owner)}</UNAME><GNAME>{escaped(owned.group)}</GNAME><NAME>{escaped(owned.name)}</NAME>"
    )


def permissions(mode: int) -> str:
    """Return who may do what."""
    return f"<PERMISSIONS>{_SHOWN[mode & 0o777]}</PERMISSIONS>"


def lock(cluster: Cluster, value: Lock | None) -> str:
    """Return the lock, or nothing where there is none."""
    if value is None:
        return ""
    return (
        f"<LOCK>{element('LOCKED', LOCK_LEVELS[value.level])}{element('OWNER', user_id(cluster, value.owner))}"
        f"{element('TIME', moment(value.at_s))}<REQ_ID>-1</REQ_ID></LOCK>"
    )
