"""Attributes that only administrators may give: what they are unless the configuration says otherwise, and a search.

Who is an administrator is not known here.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from innkeeper_controller.templates.attributes import Attribute, brief
from innkeeper_controller.turn import Mistake

#: ``NAME`` or ``VECTOR/KEY``; ``*`` stands for any letters. What somebody else pays for, or gets hurt by.
VM = (
    "CONTEXT/FILES",
    "NIC/MAC",
    "NIC/VLAN_ID",
    "NIC/BRIDGE",
    "NIC/FILTER",
    "NIC/*BOUND_*_BW",
    "NIC/*BOUND_*_KB",
    "NIC/PCI",
    "NIC_ALIAS/MAC",
    "NIC_ALIAS/VLAN_ID",
    "NIC_ALIAS/BRIDGE",
    "NIC_ALIAS/*BOUND_*",
    "NIC_DEFAULT/MAC",
    "NIC_DEFAULT/VLAN_ID",
    "NIC_DEFAULT/BRIDGE",
    "NIC_DEFAULT/FILTER",
    "DISK/*_SEC*",
    "DISK/ORIGINAL_SIZE",
    "DISK/SIZE_PREV",
    "DEPLOY_ID",
    "CPU_COST",
    "MEMORY_COST",
    "DISK_COST",
    "PCI",
    "EMULATOR",
    "RAW",
    "SCHED_PRIORITY",
    "USER_PRIORITY",
    "TOPOLOGY/PIN_POLICY",
    "TOPOLOGY/HUGEPAGE_SIZE",
    "NUMA_NODE",
)
IMAGE = ("SOURCE", "DISK_TYPE")
NETWORK = (
    "VN_MAD",
    "PHYDEV",
    "VLAN_ID",
    "BRIDGE",
    "BRIDGE_TYPE",
    "CONF",
    "BRIDGE_CONF",
    "OVS_BRIDGE_CONF",
    "IP_LINK_CONF",
    "FILTER",
    "FILTER_*_SPOOFING",
    "*BOUND_*_BW",
    "*BOUND_*_KB",
    "AR/VN_MAD",
    "AR/PHYDEV",
    "AR/VLAN_ID",
    "AR/BRIDGE",
    "CLUSTER_IDS",
)


#: In a table, what stands for all of the usual ones.
USUAL = "usual"


def restricted(
    attributes: Sequence[Attribute], table: Iterable[str], *, usual: Sequence[str] = VM
) -> tuple[Mistake, ...]:
    """Return a mistake with its place for each attribute that the table has; of a vector, for each such key.

    Args:
        attributes: What somebody has written, without what was only handed on.
        table: Names as in ``VM``.
        usual: What ``USUAL`` stands for in the table.
    """
    whole, keys = _split(name for each in table for name in (usual if each == USUAL else (each,)))
    return tuple(mistake for each in attributes for mistake in _of(each, whole, keys))


def _split(table: Iterable[str]) -> tuple[list[str], list[tuple[str, str]]]:
    parts = [each.upper().partition("/") for each in table]
    return [name for name, _, key in parts if not key], [(name, key) for name, _, key in parts if key]


def _of(attribute: Attribute, whole: Sequence[str], keys: Sequence[tuple[str, str]]) -> Iterable[Mistake]:
    name = attribute.name
    if any(fnmatchcase(name, pattern) for pattern in whole):
        yield _mistake(name, attribute.line, attribute.column)
        return
    patterns = [key for vector, key in keys if fnmatchcase(name, vector)]
    for pair in attribute.value if patterns and isinstance(attribute.value, tuple) else ():
        if any(fnmatchcase(pair.key, pattern) for pattern in patterns):
            yield _mistake(f"{name}/{pair.key}", pair.line, pair.column)


def _mistake(name: str, line: int, column: int) -> Mistake:
    message = f"Only administrators may give {brief(name)}; leave it out."
    return Mistake(message=message, field=name, line=line, column=column)
