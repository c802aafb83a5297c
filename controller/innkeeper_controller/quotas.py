"""Judges whether users and groups may have more: limits against what ``usage`` counts; counts nothing itself.

A limit is a number; -1 or none at all stands for the default of users or of groups, -2 for no limit.
The group of administrators and its members have none.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import ADMINS, Group, User, VmRecord
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_controller.usage import RUNNING_STATES, Account, Amounts, amounts_of
from innkeeper_plugins.vocabulary import VmState

#: In place of a limit: what is said for all users, or all groups, holds.
DEFAULT: Final = -1.0
#: In place of a limit: there is none.
UNLIMITED: Final = -2.0
#: Shares of cores are sums of decimal fractions.
_ROUNDING: Final = 1e-6
_NOTHING: Final[Mapping[str, float]] = {}


def charge(turn: Turn, owner: str, group: str, amounts: Amounts) -> None:
    """Make sure that an owner and a group may have that much more; to be called before the records are put.

    Args:
        turn: The turn of a request.
        owner: User who gets it; empty where that user has it already.
        group: The same of a group.
        amounts: What comes on top, as ``usage.amounts_of`` gives it.

    Raises:
        RefusalError: ``over_quota``.
    """
    for account in (("user", owner), ("group", group)):
        if not account[1]:
            continue
        found = first_excess(turn.cluster, account, amounts)
        if found is not None:
            raise RefusalError("over_quota", _sentence(turn.cluster, account, found, amounts[found]))


def charge_running(turn: Turn, vm: VmRecord) -> None:
    """Make sure that a VM which has given its host back may run again.

    Raises:
        RefusalError: ``over_quota``.
    """
    if vm.state in RUNNING_STATES or vm.state is VmState.DONE:
        return
    running = {name: amount for name, amount in amounts_of(_woken(vm)).items() if name.startswith("vm.running_")}
    charge(turn, vm.owner, vm.group, running)


def _woken(vm: VmRecord) -> VmRecord:
    return msgspec.structs.replace(vm, state=VmState.RUNNING)


def first_excess(cluster: Cluster, account: Account, amounts: Amounts) -> str | None:
    """Return the resource of which the account would have more than it may; None where all is well."""
    own, defaults = _limits(cluster, account)
    if not own and not defaults:
        return None
    used = cluster.usages.of(account)
    for resource, amount in amounts.items():
        limit = _limit(resource, own, defaults)
        if limit is not None and amount > 0 and used.get(resource, 0.0) + amount > limit + _ROUNDING:
            return resource
    return None


def limit_of(cluster: Cluster, account: Account, resource: str) -> float | None:
    """Return how much of a resource the account may have; None for as much as it wants."""
    return _limit(resource, *_limits(cluster, account))


def limited(cluster: Cluster, account: Account) -> Iterator[str]:
    """Go over the resources that something is said about, for the account itself or for all of its kind."""
    own, defaults = _limits(cluster, account)
    yield from sorted({*own, *defaults})


def _limits(cluster: Cluster, account: Account) -> tuple[Mapping[str, float], Mapping[str, float]]:
    kind, name = account
    record: User | Group | None = cluster.users.get(name) if kind == "user" else cluster.groups.get(name)
    if name == ADMINS or (isinstance(record, User) and record.is_admin):
        return _NOTHING, _NOTHING
    defaults = cluster.default_limits.get(kind)
    return (record.limits if record is not None else _NOTHING), (defaults.limits if defaults else _NOTHING)


def _limit(resource: str, own: Mapping[str, float], defaults: Mapping[str, float]) -> float | None:
    limit = own.get(resource, DEFAULT)
    if limit == DEFAULT:
        limit = defaults.get(resource, UNLIMITED)
    return None if limit in {UNLIMITED, DEFAULT} else limit


def _sentence(cluster: Cluster, account: Account, resource: str, wanted: float) -> str:
    kind, name = account
    limit = limit_of(cluster, account, resource) or 0.0
    used = cluster.usages.of(account).get(resource, 0.0)
    return (
        f"{kind.capitalize()} {name} may have {limit:g} of {resource}, has {used:g} and wants {wanted:g} more;"
        f" give something back, or ask an administrator for more (inn {kind} limits {name})."
    )
