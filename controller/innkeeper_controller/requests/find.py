"""Finding what a request names, by id or by name; who may have it, ``access`` says."""

import difflib
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from innkeeper_controller import access
from innkeeper_controller.access import Right
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import (
    AclRule,
    ClusterRecord,
    Datastore,
    Group,
    Host,
    Image,
    Network,
    Operation,
    StoredTemplate,
    User,
    VmRecord,
)
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import OperationId, VmId

_Record = TypeVar("_Record")

#: Longest name of a thing; templates have the same limit.
MAX_NAME_CHARACTERS = 128
#: Names of a kind that a wrong one is compared with; among more it would take too long.
MAX_COMPARED: Final = 2_000
#: Likely names that are looked at; the first that who asks may know is suggested.
_CLOSE: Final = 3
#: More digits than any number of ours has.
_MAX_DIGITS = 18


def check_name(noun: str, name: str, *, characters: str = "") -> None:
    """Refuse what cannot be the name of a new thing.

    Args:
        noun: What it is to be the name of.
        name: The name.
        characters: What it may have beside letters and digits; all that can be printed where this is empty.

    Raises:
        RefusalError: ``bad_request``.
    """
    is_plain = name == name.strip() and name.isprintable() and "/" not in name
    if characters:
        is_plain = all(each.isalnum() or each in characters for each in name)
    if not (0 < len(name) <= MAX_NAME_CHARACTERS and is_plain and not name.isdecimal()):
        may = (
            f"letters, digits and {' '.join(characters)}" if characters else "characters that can be printed, but no /"
        )
        raise RefusalError(
            "bad_request",
            f"{name[:40]!r} is no {noun} name; use up to {MAX_NAME_CHARACTERS} {may}, and not a number alone.",
        )


class MissingError(RefusalError):
    """Something is not there. What was probably meant is told only by ``told``, to whoever may know of that."""

    def __init__(
        self, noun: str, wanted: str, known: Mapping[str, Any], records: Mapping[Any, Any] | None = None
    ) -> None:
        """Say what is missing.

        Args:
            noun: What it is.
            wanted: Its name or number.
            known: ``{name: record}``, or ``{name: number}`` where there are records by number.
            records: ``{number: record}``, of what is kept by number.
        """
        self._wanted = wanted if len(wanted) <= MAX_NAME_CHARACTERS else wanted[:MAX_NAME_CHARACTERS] + "..."
        self._known, self._records = known, records
        self._text = f"There is no {noun} {self._wanted}."
        super().__init__("not_found", f"{self._text} `inn {noun} list` shows what there is.")

    def told(self, turn: Turn) -> str:
        """Return the sentence with what was probably meant, if who asks may use that."""
        known = self._known if len(self._known) <= MAX_COMPARED else {}
        for name in difflib.get_close_matches(self._wanted, known, n=_CLOSE):
            record = self._known[name] if self._records is None else self._records[self._known[name]]
            if turn.user is None or access.may(
                turn.cluster, turn.user, Right.USE, access.thing_of(turn.cluster, record)
            ):
                return f"{self._text} Did you mean {name}?"
        return str(self)


def hinted(turn: Turn, refusal: RefusalError) -> RefusalError:
    """Return the refusal as whoever asks in this turn may read it."""
    return RefusalError(refusal.code, refusal.told(turn)) if isinstance(refusal, MissingError) else refusal


def told(turn: Turn, refusal: RefusalError) -> str:
    """Return a refusal's sentence for whoever asks in this turn."""
    return refusal.told(turn) if isinstance(refusal, MissingError) else str(refusal)


def _number(wanted: str) -> int:
    """Return the number, -1 for one that is longer than any of ours."""
    return int(wanted) if len(wanted) <= _MAX_DIGITS else -1


def _by_number(noun: str, wanted: str, records: Mapping[Any, _Record], ids: Mapping[str, Any]) -> _Record:
    """Return one of the records that are kept by number; types of numbers differ."""
    number = _number(wanted) if wanted.isdecimal() else ids.get(wanted)
    record = records.get(number) if number is not None else None
    if record is None:
        raise MissingError(noun, wanted, ids, records)
    return record


def _by_name(noun: str, wanted: str, records: Mapping[str, _Record], names: Mapping[int, str]) -> _Record:
    """Return one of the records that are kept by name."""
    record = records.get(names.get(_number(wanted), wanted) if wanted.isdecimal() else wanted)
    if record is None:
        raise MissingError(noun, wanted, records)
    return record


def host(cluster: Cluster, wanted: str) -> Host:
    """Return the host of that id or name."""
    return _by_number("host", wanted, cluster.hosts, cluster.host_ids)


def image(cluster: Cluster, wanted: str) -> Image:
    """Return the image of that id or name."""
    return _by_number("image", wanted, cluster.images, cluster.image_ids)


def network(cluster: Cluster, wanted: str) -> Network:
    """Return the network of that id or name."""
    return _by_number("network", wanted, cluster.networks, cluster.network_ids)


def datastore(cluster: Cluster, wanted: str) -> Datastore:
    """Return the datastore of that number or name."""
    return _by_name("datastore", wanted, cluster.datastores, cluster.datastore_names)


def template(cluster: Cluster, wanted: str) -> StoredTemplate:
    """Return the stored template of that id or name."""
    return _by_number("template", wanted, cluster.templates, cluster.template_ids)


def user(cluster: Cluster, wanted: str) -> User:
    """Return the user of that number or name."""
    return _by_name("user", wanted, cluster.users, cluster.user_names)


def group(cluster: Cluster, wanted: str) -> Group:
    """Return the group of that number or name."""
    return _by_name("group", wanted, cluster.groups, cluster.group_names)


def cluster_record(cluster: Cluster, wanted: str) -> ClusterRecord:
    """Return the cluster of that id or name."""
    return _by_number("cluster", wanted, cluster.clusters, cluster.cluster_ids)


def acl_rule(cluster: Cluster, rule_id: int) -> AclRule:
    """Return the ACL rule of that number."""
    if rule_id not in cluster.acl_rules:
        raise RefusalError("not_found", f"There is no ACL rule {rule_id}. `inn acl list` shows what there is.")
    return cluster.acl_rules[rule_id]


def operation(cluster: Cluster, wanted: str) -> Operation:
    """Return the operation of that id, where memory still has it."""
    found = cluster.operations.get(OperationId(wanted))
    if found is None:
        raise RefusalError(
            "not_found", f"There is no operation {wanted} in progress; `inn vm history` has the ended ones."
        )
    return found


def operation_of(cluster: Cluster, vm: VmRecord) -> Operation | None:
    """Return the VM's operation in progress, else its last one, else None."""
    operation_id = vm.operation_id or vm.last_operation_id
    return cluster.operations.get(operation_id) if operation_id else None


def vm(turn: Turn, vm_id: int) -> VmRecord:
    """Return the VM, which must not be DONE.

    Raises:
        RefusalError: ``not_found``.
    """
    found = turn.cluster.vms.get(VmId(vm_id))
    if found is None:
        done = 0 <= vm_id <= turn.cluster.last_ids.get("vm", -1)
        text = f"VM {vm_id} is DONE; `inn vm history {vm_id}` tells its life." if done else f"There is no VM {vm_id}."
        raise RefusalError("not_found", text)
    return found
