"""Which things of a pool a call shows: filter flags, ranges and pages, and what the caller may see.

It draws nothing itself: documents come from ``fragments`` and ``documents``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from innkeeper_controller import access
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents import cluster as cluster_documents
from innkeeper_controller.opennebula.documents import datastore, group, image, network, template, user
from innkeeper_controller.opennebula.documents.quotas import default_group_quotas, default_user_quotas
from innkeeper_controller.records import User
from innkeeper_controller.turn import RefusalError, Turn

#: Whose things: the primary group's, one's own, all that one may use, one's own and one's groups'.
GROUP, MINE, ALL, MINE_AND_GROUPS = -4, -3, -2, -1


@dataclass(frozen=True, slots=True)
class Range:
    """The second and third number of pool calls."""

    start: int = -1
    end: int = -1

    @property
    def is_everything(self) -> bool:
        """Whether it leaves nothing out."""
        return self.start < 0 and self.end == -1

    def of(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return those that it covers of numbers in the order of the answer.

        An end below -1 is a page: so many behind the ``start`` first ones.
        """
        if self.is_everything:
            return numbers
        if self.end < -1:
            first = max(self.start, 0)
            return numbers[first : first - self.end]
        return [each for each in numbers if each >= self.start and (self.end == -1 or each <= self.end)]


def check_flag(flag: int) -> None:
    """Refuse a filter flag that means nothing.

    Raises:
        RefusalError: ``bad_request``.
    """
    if flag < GROUP:
        raise RefusalError("bad_request", f"Incorrect filter_flag {flag}; it is -4 to -1, or the number of a user.")


def sees_everything(turn: Turn, flag: int) -> bool:
    """Return whether nothing is to be left out: an administrator asks for all."""
    return flag == ALL and (turn.user is None or turn.user.is_admin)


def chosen(turn: Turn, records: Iterable[Any], flag: int) -> Iterable[Any]:
    """Return the records that the flag and the caller's rights leave."""
    caller = turn.user
    if caller is None or flag == ALL:
        return access.visible(turn, records)
    wanted = filter(meant_by(turn.cluster, caller, flag), records)
    return wanted if flag == MINE else access.visible(turn, wanted)


def meant_by(cluster: Cluster, caller: User, flag: int) -> Callable[[Any], bool]:
    """Return what tells of anything with an owner and a group whether the flag means it, rights aside."""
    if flag == ALL:
        return lambda _: True
    if flag == MINE:
        return lambda each: bool(each.owner == caller.name)
    if flag == MINE_AND_GROUPS:
        return lambda each: each.owner == caller.name or each.group in caller.groups
    if flag == GROUP:
        return lambda each: bool(each.group == caller.groups[0])
    owner = cluster.user_names.get(flag)
    return lambda each: bool(each.owner == owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool whose documents are drawn whenever they are asked for."""

    #: The element around all of them.
    root: str
    #: Request whose right is needed.
    request: str
    records: Callable[[Cluster], Iterable[Any]]
    #: Attribute that is OpenNebula's number.
    number: str
    draw: Callable[[Cluster, Any], str]
    #: What stands behind all of them.
    end: Callable[[Cluster], str] = lambda _: ""
    #: Whether its calls name whose things are meant, and which of them.
    is_paged: bool = True

    def document(self, turn: Turn, flag: int, wanted: Range, *, newest_first: bool) -> str:
        """Return the pool as the caller sees it."""
        check_flag(flag)
        found = {getattr(each, self.number): each for each in chosen(turn, self.records(turn.cluster), flag)}
        numbers = wanted.of(sorted(found, reverse=newest_first))
        inside = "".join([self.draw(turn.cluster, found[number]) for number in numbers])
        return f"<{self.root}>{inside}{self.end(turn.cluster)}</{self.root}>"


def _user(cluster: Cluster, record: Any) -> str:  # noqa: ANN401 - as in the table
    return user.user_in_pool(cluster, record) + user.user_quotas(cluster, record)


def _group(cluster: Cluster, record: Any) -> str:  # noqa: ANN401 - as in the table
    return group.group_in_pool(cluster, record) + group.group_quotas(cluster, record)


#: ``{method: its pool}``
POOLS: Final[Mapping[str, Pool]] = {
    "one.vnpool.info": Pool(
        root="VNET_POOL",
        request="network.list",
        records=lambda cluster: cluster.networks.values(),
        number="network_id",
        draw=network.network_in_pool,
    ),
    "one.imagepool.info": Pool(
        root="IMAGE_POOL",
        request="image.list",
        records=lambda cluster: cluster.images.values(),
        number="image_id",
        draw=image.image,
    ),
    "one.templatepool.info": Pool(
        root="VMTEMPLATE_POOL",
        request="template.list",
        records=lambda cluster: cluster.templates.values(),
        number="template_id",
        draw=template.template,
    ),
    "one.datastorepool.info": Pool(
        root="DATASTORE_POOL",
        request="datastore.list",
        records=lambda cluster: cluster.datastores.values(),
        number="datastore_id",
        is_paged=False,
        draw=datastore.datastore,
    ),
    "one.clusterpool.info": Pool(
        root="CLUSTER_POOL",
        request="cluster.list",
        records=lambda cluster: cluster.clusters.values(),
        number="cluster_id",
        is_paged=False,
        draw=cluster_documents.cluster_document,
    ),
    "one.userpool.info": Pool(
        root="USER_POOL",
        request="user.list",
        records=lambda cluster: cluster.users.values(),
        number="user_id",
        is_paged=False,
        draw=_user,
        end=default_user_quotas,
    ),
    "one.grouppool.info": Pool(
        root="GROUP_POOL",
        request="group.list",
        records=lambda cluster: cluster.groups.values(),
        number="group_id",
        is_paged=False,
        draw=_group,
        end=default_group_quotas,
    ),
}
