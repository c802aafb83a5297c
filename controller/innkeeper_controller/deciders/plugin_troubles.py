"""Tells operators what goes wrong with plugins' clauses and scores: once, not for each VM."""

from typing import Final

from innkeeper_controller.records import Moment
from innkeeper_controller.scheduling.strangers import Troubles
from innkeeper_controller.turn import Turn

#: The same trouble of the same plugin is told no more often.
TELL_INTERVAL_S: Final = 3_600.0
#: VMs that a failing clause keeps waiting are looked at again no more often.
RETRY_INTERVAL_S: Final = 60.0


class PluginTroubles:
    """What was told, and when."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._told_at_s: dict[tuple[str, str], Moment] = {}
        self._retry_at_s: Moment | None = None

    def on_tick(self, turn: Turn, troubles: Troubles) -> bool:
        """Tell what is new; True where all that the scheduler remembers of hosts is to be asked again."""
        for name, why in troubles.take().items():
            key = name, _kind(why)
            last_s = self._told_at_s.get(key)
            if last_s is None or turn.now_s - last_s >= TELL_INTERVAL_S:
                self._told_at_s[key] = turn.now_s
                turn.event("scheduler.plugin_failed", "controller", name=name, why=why)
            if self._retry_at_s is None:
                self._retry_at_s = turn.now_s + RETRY_INTERVAL_S
        if self._retry_at_s is None or turn.now_s < self._retry_at_s:
            return False
        self._retry_at_s = None
        turn.cluster.freed = True
        return True


def _kind(why: str) -> str:
    """Return what is the same for troubles of one kind: the error's name, or nothing for one that was slow."""
    name, colon, _ = why.partition(":")
    return name if colon else ""
