"""A limit on how often something may happen; the time comes in as an argument."""


class Allowance:
    """So much a second, saved up to a limit."""

    __slots__ = ("_as_of_s", "_capacity", "_left", "_rate_per_s")

    def __init__(self, rate_per_s: float, *, capacity: float) -> None:
        """Begin with everything saved up.

        Args:
            rate_per_s: How much comes back in a second.
            capacity: How much can be taken at once after a quiet time.
        """
        self._rate_per_s = rate_per_s
        self._capacity = capacity
        self._left = capacity
        self._as_of_s: float | None = None

    def take(self, amount: float, now_s: float) -> bool:
        """Take the amount if there is as much; otherwise take nothing."""
        if self.wait_s(amount, now_s) > 0:
            return False
        self._left -= amount
        return True

    def wait_s(self, amount: float, now_s: float) -> float:
        """Return how long it takes until the amount can be taken; 0 where it can be now.

        An amount over the capacity can be taken once all is saved up, and leaves a debt.
        """
        elapsed_s = max(0.0, now_s - self._as_of_s) if self._as_of_s is not None else 0.0
        self._left = min(self._capacity, self._left + elapsed_s * self._rate_per_s)
        self._as_of_s = now_s
        return max(0.0, (min(amount, self._capacity) - self._left) / self._rate_per_s)
