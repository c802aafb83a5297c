"""One step being carried out: how its thread tells of progress, and hears that it shall stop."""

import time
from collections.abc import Callable
from typing import Final

from innkeeper_hostagent.effects import RunStep
from innkeeper_plugins.errors import DriverError

#: A step tells of its progress no more often.
REPORT_INTERVAL_S: Final = 1.0


class Act:
    """A step under way; ``cancel`` may be called from any thread."""

    __slots__ = ("_cancelled", "_next_report_s", "_report", "run")

    def __init__(self, run: RunStep, report: Callable[["Act", int, int], None]) -> None:
        """Take the step.

        Args:
            run: What is carried out.
            report: Told of progress in the step's own thread, at most once a second.
        """
        self.run = run
        self._report = report
        self._cancelled = False
        # What is over within the interval is never reported on: its end is news enough.
        self._next_report_s = time.monotonic() + REPORT_INTERVAL_S

    def cancel(self) -> None:
        """Let the next look at ``is_cancelled`` or ``progress`` stop the step."""
        self._cancelled = True

    def is_cancelled(self) -> bool:
        """Whether the step shall stop."""
        return self._cancelled

    def progress(self, done_bytes: int, total_bytes: int) -> None:
        """Say how far the step is.

        Raises:
            DriverError: ``cancelled``: it shall stop.
        """
        if self._cancelled:
            raise DriverError("the operation was cancelled", code="cancelled")
        now_s = time.monotonic()
        if now_s >= self._next_report_s:
            self._next_report_s = now_s + REPORT_INTERVAL_S
            self._report(self, done_bytes, total_bytes)
