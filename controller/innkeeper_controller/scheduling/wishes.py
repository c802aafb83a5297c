"""What a VM asks of the scheduler beside room: its turn in the queue and whom it wants near or far; values only."""

from enum import StrEnum

from innkeeper_plugins.vocabulary import Value, VmId

#: The scope of a term that is about one host; any other scope is the label of hosts that tells the places apart.
HOST_SCOPE = "host"
#: Between a group's owner and its name, in what the scheduler works on: two users' groups of one name are two.
OWNER_MARK = "/"


class Relation(StrEnum):
    """Where a VM wants to be, seen from others."""

    #: Where one of them is already; anywhere while none is.
    TOGETHER = "together"
    #: Where none of them is.
    APART = "apart"
    #: So that no place of the scope has more than ``max_skew`` of them above the emptiest.
    SPREAD = "spread"


class Term(Value):
    """One relation to others."""

    relation: Relation
    #: Placement groups whose members are meant; empty for none.
    groups: tuple[str, ...] = ()
    #: VMs that are meant beside them.
    vm_ids: tuple[VmId, ...] = ()
    #: ``host``, or a label of hosts (``rack``, ``zone``): hosts with one value of it are one place. Hosts without the
    #: label are no place: a hard term keeps the VM off them.
    scope: str = HOST_SCOPE
    #: False for a wish, which only scores.
    is_hard: bool = True
    #: Weight of a wish against the policy's scores.
    weight: float = 1.0
    #: For SPREAD: how many more than in the emptiest place, the VM itself included; at least 1.
    max_skew: int = 1


class Gang(Value):
    """VMs that are placed all at once or not at all."""

    name: str
    #: How many have to wait before any is placed, at least 1.
    size: int


class Wishes(Value):
    """All of it, as the template says it."""

    #: The higher the sooner; -1000 to 1000.
    priority: int = 0
    #: Placement groups that the VM is a member of, in the terms of others and its own.
    groups: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    gang: Gang | None = None
    #: How long it may be PENDING; None for the operator's setting.
    pending_timeout_s: float | None = None
    #: Flags that the host's processor needs (``avx2``).
    cpu_flags: tuple[str, ...] = ()
