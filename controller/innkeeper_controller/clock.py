"""The controller's clock: follows the machine's, but never jumps; knows nothing of what is timed by it."""

import time
from collections.abc import Callable

#: How much faster or slower than real time the clock may run while it catches up.
MAX_SLEW = 0.1


class SteadyClock:
    """Seconds since the epoch that never go back.

    Leases and silences are measured by it, so that somebody who sets the machine's clock neither loses hosts
    nor lets tokens live for ever: any interval is right within ``MAX_SLEW``, and after a while so are the moments.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin with what the machine's clock says now."""
        self._wall, self._monotonic = wall, monotonic
        self._seen_s = monotonic()
        self._now_s = wall()

    def __call__(self) -> float:
        """Return the moment."""
        seen_s = self._monotonic()
        passed_s = seen_s - self._seen_s
        self._seen_s = seen_s
        behind_s = self.skew_s() - passed_s
        self._now_s += passed_s + max(-MAX_SLEW * passed_s, min(MAX_SLEW * passed_s, behind_s))
        return self._now_s

    def skew_s(self) -> float:
        """Return how far the machine's clock is ahead of this one."""
        return self._wall() - self._now_s
