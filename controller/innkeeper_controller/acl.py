"""ACL rules in OpenNebula's string form: ``@1 VM+NET/#5 USE+MANAGE *``, read, written, and asked.

A rule names users (``#3`` one, ``@1`` a group, ``*`` all), kinds of things and which of them (``#3``, ``@1`` of a
group, ``%0`` of a cluster, ``*``), rights and zones. Rules only let in. OpenNebula's documents describe the form
("Managing ACL Rules"); its XML-RPC interface speaks of the same as 64-bit numbers in hexadecimal.
"""

from functools import lru_cache
from typing import Final

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import User
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.vocabulary import Value

#: Bits of the kinds in OpenNebula's numbers.
KIND_BITS: Final = {
    "VM": 0x1000000000,
    "HOST": 0x2000000000,
    "NET": 0x4000000000,
    "IMAGE": 0x8000000000,
    "USER": 0x10000000000,
    "TEMPLATE": 0x20000000000,
    "GROUP": 0x40000000000,
    "ACL": 0x80000000000,
    "DATASTORE": 0x100000000000,
    "CLUSTER": 0x200000000000,
    "DOCUMENT": 0x400000000000,
    "ZONE": 0x800000000000,
    "SECGROUP": 0x1000000000000,
    "VDC": 0x2000000000000,
    "VROUTER": 0x4000000000000,
    "MARKETPLACE": 0x8000000000000,
    "MARKETPLACEAPP": 0x10000000000000,
    "VMGROUP": 0x20000000000000,
    "VNTEMPLATE": 0x40000000000000,
    "HOOK": 0x80000000000000,
    "BACKUPJOB": 0x100000000000000,
}
RIGHT_BITS: Final = {"USE": 1, "MANAGE": 2, "ADMIN": 4, "CREATE": 8}
#: Which of them, in a number: one, a group, all, a cluster.
SCOPE_BITS: Final = {"#": 0x100000000, "@": 0x200000000, "*": 0x400000000, "%": 0x800000000}
_ID_BITS: Final = 0xFFFFFFFF

#: What a new controller lets users do: make things, go where there is room, and use what administrators set up.
FIRST_RULES: Final = (
    "@1 VM+NET+IMAGE+TEMPLATE+DOCUMENT+SECGROUP/* CREATE *",
    "@1 HOST/* MANAGE *",
    "@1 NET+DATASTORE/* USE *",
    "* ZONE+CLUSTER/* USE *",
)


class AclError(InnkeeperError):
    """A rule that cannot be read; the text says what is wrong and how it is written."""


class Scope(Value):
    """One thing, those of a group or a cluster, or all."""

    #: ``#``, ``@``, ``%`` or ``*``.
    mark: str
    number: int = -1

    @property
    def text(self) -> str:
        """The scope as it is written."""
        return self.mark if self.mark == "*" else f"{self.mark}{self.number}"


class Rule(Value):
    """A rule, read."""

    users: Scope
    kinds: frozenset[str]
    things: Scope
    #: In lower case.
    rights: frozenset[str]
    zones: Scope


@lru_cache(maxsize=4096)
def read(text: str) -> Rule:
    """Read a rule.

    Raises:
        AclError: it cannot be read.
    """
    words = text.split()
    if len(words) not in {3, 4}:
        raise AclError(
            f"{text[:80]!r} is no ACL rule; one reads like `@1 VM+NET/* USE *`: users, things, rights, zone."
        )
    kinds, _, things = words[1].partition("/")
    return Rule(
        users=_scope(words[0], "#@*"),
        kinds=_names(kinds, KIND_BITS),
        things=_scope(things, "#@%*"),
        rights=frozenset(each.lower() for each in _names(words[2], RIGHT_BITS)),
        zones=_scope(words[3], "#*") if len(words) == len(("users", "things", "rights", "zone")) else Scope(mark="*"),
    )


def _scope(text: str, marks: str) -> Scope:
    mark, number = text[:1], text[1:]
    if text == "*" and "*" in marks:
        return Scope(mark="*")
    if mark in marks and mark != "*" and number.isdecimal() and int(number) <= _ID_BITS:
        return Scope(mark=mark, number=int(number))
    shown = ", ".join(f"{each}5" if each != "*" else "*" for each in marks)
    raise AclError(f"{text[:40]!r} is no part of an ACL rule; here it may be {shown}.")


def _names(text: str, known: dict[str, int]) -> frozenset[str]:
    names = text.upper().split("+")
    unknown = [each for each in names if each not in known]
    if unknown:
        raise AclError(f"{unknown[0][:40]!r} in an ACL rule is none of {', '.join(known)}.")
    return frozenset(names)


def shown(rule: Rule) -> str:
    """Write the rule in its string form, words in OpenNebula's order."""
    kinds = "+".join(each for each in KIND_BITS if each in rule.kinds)
    rights = "+".join(each for each in RIGHT_BITS if each.lower() in rule.rights)
    return f"{rule.users.text} {kinds}/{rule.things.text} {rights} {rule.zones.text}"


def numbers(rule: Rule) -> tuple[int, int, int, int]:
    """Return the rule as OpenNebula's numbers: users, things, rights, zones."""
    kinds = sum(KIND_BITS[each] for each in rule.kinds)
    rights = sum(RIGHT_BITS[each.upper()] for each in rule.rights)
    return _number(rule.users), kinds | _number(rule.things), rights, _number(rule.zones)


def _number(scope: Scope) -> int:
    return SCOPE_BITS[scope.mark] | max(scope.number, 0)


def from_numbers(users: int, things: int, rights: int, zones: int) -> Rule:
    """Return the rule that OpenNebula's numbers stand for.

    Raises:
        AclError: they stand for none.
    """
    kinds = frozenset(word for word, bit in KIND_BITS.items() if things & bit)
    names = frozenset(word.lower() for word, bit in RIGHT_BITS.items() if rights & bit)
    if not kinds or not names:
        raise AclError("The rule names no kind of things, or no right.")
    return Rule(users=_scope_of(users), kinds=kinds, things=_scope_of(things), rights=names, zones=_scope_of(zones))


def _scope_of(number: int) -> Scope:
    for mark, bit in SCOPE_BITS.items():
        if number & bit:
            return Scope(mark=mark) if mark == "*" else Scope(mark=mark, number=number & _ID_BITS)
    raise AclError(f"{number:x} names neither one, nor a group, nor all.")


def allows(
    cluster: Cluster, user: User, right: str, kind: str, number: int, *, group: str, clusters: tuple[int, ...]
) -> bool:
    """Return whether some rule gives the user that right.

    Args:
        cluster: Has the rules.
        user: Who asks.
        right: In lower case.
        kind: OpenNebula's word.
        number: The thing's; -1 for making one.
        group: The thing's; empty for none.
        clusters: Those it is in.
    """
    found = scopes(cluster, user, right, kind)
    return any(reaches(cluster, scope, number, group=group, clusters=clusters) for scope in found)


def scopes(cluster: Cluster, user: User, right: str, kind: str) -> tuple[Scope, ...]:
    """Return which things of a kind the rules give the user that right on."""
    rules = (read(record.text) for record in cluster.acl_rules.values())
    return tuple(
        rule.things
        for rule in rules
        if right in rule.rights and kind in rule.kinds and _is_user(cluster, rule.users, user)
    )


def reaches(cluster: Cluster, scope: Scope, number: int, *, group: str, clusters: tuple[int, ...]) -> bool:
    """Return whether a thing is one of those."""
    if scope.mark == "*":
        return True
    if scope.mark == "#":
        return scope.number == number
    if scope.mark == "@":
        return cluster.group_names.get(scope.number) == group
    return scope.number in clusters


def _is_user(cluster: Cluster, scope: Scope, user: User) -> bool:
    if scope.mark == "#":
        return scope.number == user.user_id
    return scope.mark == "*" or cluster.group_names.get(scope.number) in user.groups
