"""Who used how much of late: core-seconds of users and of groups, of which the old ones count less and less.

It reads no clock and no record: every call says what time it is, and what is in use is told.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

#: A user, and the group that the VMs belong to.
Party: TypeAlias = tuple[str, str]

#: Less use than this is none: it is forgotten.
NOTHING_CORE_S: Final = 1e-3
#: Digits of sums of cores, so that they are the same in whatever order parts come and go.
_CORE_DIGITS: Final = 6
#: Accounts below which nobody is looked for who may be forgotten.
_FEW: Final = 16


@dataclass(slots=True)
class _Account:
    """What one user, or one group, or all used, as of ``at_s``, and what they use since."""

    at_s: float
    used_core_s: float = 0.0
    cores: float = 0.0


class FairShares:
    """Decayed use: after each half-life, what was used counts half."""

    def __init__(self, half_life_s: float) -> None:
        """Begin with nothing used.

        Args:
            half_life_s: More than 0.
        """
        assert half_life_s > 0, "the configuration is checked when it is read"
        self.half_life_s = half_life_s
        self._rate_per_s = math.log(2) / half_life_s
        self._users: dict[str, _Account] = {}
        self._groups: dict[str, _Account] = {}
        self._all = _Account(at_s=-math.inf)
        self._in_use: dict[Party, float] = {}
        self._kept = _FEW

    def charge(self, owner: str, group: str, core_s: float, now_s: float) -> None:
        """Count that so much was used just now."""
        for account in self._accounts(owner, group, now_s):
            account.used_core_s += core_s
        self._forget_some(now_s)

    def charge_stay(self, party: Party, cores: float, from_s: float, to_s: float, now_s: float) -> None:
        """Count cores that were used in a time that is over, decayed since."""
        if to_s > from_s:
            kept = math.exp(-self._rate_per_s * max(now_s - to_s, 0.0))
            used_core_s = cores * -math.expm1(-self._rate_per_s * (to_s - from_s)) / self._rate_per_s
            self.charge(*party, used_core_s * kept, now_s)

    def using(self, owner: str, group: str, cores: float, since_s: float) -> None:
        """Count that many cores from then on, until another number is told; 0 for none any more."""
        party = (owner, group)
        more = cores - self._in_use.get(party, 0.0)
        if not more:
            return
        for account in self._accounts(owner, group, since_s):
            account.cores = round(account.cores + more, _CORE_DIGITS)
        if cores:
            self._in_use[party] = cores
        else:
            del self._in_use[party]
        self._forget_some(since_s)

    def follow(self, in_use: Mapping[Party, float], now_s: float) -> None:
        """Count from now on what is in use: ``{(user, group): cores}``; who is not named uses nothing."""
        if in_use == self._in_use:
            return
        for party in [each for each in self._in_use if each not in in_use]:
            self.using(*party, 0.0, now_s)
        for party, cores in in_use.items():
            self.using(*party, cores, now_s)

    def share(self, owner: str, group: str, now_s: float) -> float:
        """Return how much of all that was used, 0 to 1: the mean of the user's part and of the group's."""
        return (self.share_of_user(owner, now_s) + self.share_of_group(group, now_s)) / 2

    def share_of_user(self, owner: str, now_s: float) -> float:
        """Return a user's part of all that was used, 0 to 1."""
        return self._part(self._users.get(owner), now_s)

    def share_of_group(self, group: str, now_s: float) -> float:
        """Return a group's part of all that was used, 0 to 1."""
        return self._part(self._groups.get(group), now_s)

    def used_core_s(self, owner: str, now_s: float) -> float:
        """Return what a user has used, as it counts now."""
        account = self._users.get(owner)
        return self._used(account, now_s) if account is not None else 0.0

    def __len__(self) -> int:
        """Return how many users and groups are remembered."""
        return len(self._users) + len(self._groups)

    def _part(self, account: _Account | None, now_s: float) -> float:
        total = self._used(self._all, now_s)
        if account is None or total <= NOTHING_CORE_S:
            return 0.0
        return min(self._used(account, now_s) / total, 1.0)

    def _accounts(self, owner: str, group: str, now_s: float) -> tuple[_Account, ...]:
        """Return the accounts that a use is counted in, brought up to now."""
        found = (
            self._users.setdefault(owner, _Account(now_s)),
            self._groups.setdefault(group, _Account(now_s)),
            self._all,
        )
        for account in found:
            account.used_core_s = self._used(account, now_s)
            # A clock that was set back counts nothing twice.
            account.at_s = max(account.at_s, now_s)
        return found

    def _used(self, account: _Account, now_s: float) -> float:
        """Return what the account used as it counts now: what was, decayed, and the cores in use since."""
        passed = self._rate_per_s * max(now_s - account.at_s, 0.0)
        if not passed:
            return account.used_core_s
        if math.isinf(passed):
            return 0.0
        return account.used_core_s * math.exp(-passed) + account.cores * -math.expm1(-passed) / self._rate_per_s

    def _forget_some(self, now_s: float) -> None:
        """Forget who used nothing that counts; the more there are, the more seldom they are gone over."""
        if len(self) <= 2 * self._kept:
            return
        for accounts in (self._users, self._groups):
            for name in [
                name for name, each in accounts.items() if not each.cores and self._used(each, now_s) <= NOTHING_CORE_S
            ]:
                del accounts[name]
        self._kept = max(len(self), _FEW)
