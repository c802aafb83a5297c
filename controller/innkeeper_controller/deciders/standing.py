"""How another scheduler does, for whoever explains why a VM waits."""

import math
from dataclasses import dataclass

from innkeeper_controller.records import Moment


@dataclass(slots=True)
class Standing:
    """What is known of it; kept in memory only."""

    #: ``the program /usr/local/bin/first-fit``
    called: str
    #: When it was last asked; None while it was not.
    asked_at_s: Moment | None = None
    #: What went wrong last, one clause of a sentence; empty where it did well.
    trouble: str = ""
    #: Until then the built-in scheduler decides.
    rests_until_s: Moment = -math.inf

    def rests(self, now_s: Moment) -> bool:
        """Say whether the built-in scheduler decides."""
        return now_s < self.rests_until_s

    def words(self, now_s: Moment) -> str:
        """Return who decides, one sentence."""
        if self.rests(now_s):
            left_s = self.rests_until_s - now_s
            return (
                f"{_upper(self.called)} failed ({self.trouble}), so the built-in scheduler decides; "
                f"it is asked again in {left_s:.0f} s."
            )
        if self.asked_at_s is None:
            return f"{_upper(self.called)} decides; it was not asked yet."
        return f"{_upper(self.called)} decides; it was last asked {max(0.0, now_s - self.asked_at_s):.0f} s ago."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
