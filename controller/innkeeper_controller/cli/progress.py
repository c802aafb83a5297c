"""One line on a terminal that says how far something is, rewritten in place; silent anywhere else."""

import shutil
import time
from typing import TextIO

from innkeeper_controller.cli import words

REDRAW_INTERVAL_S = 0.1
BAR_CELLS = 24
#: A rate is only told once there is this much to measure it by.
MEASURED_AFTER_S = 0.5


class LiveLine:
    """A line that is overwritten until it is kept or wiped."""

    def __init__(self, stream: TextIO) -> None:
        """Write to ``stream`` if it is a terminal."""
        self._stream = stream
        self._on = stream.isatty()
        self._drawn_at_s = 0.0
        self._dirty = False

    @property
    def live(self) -> bool:
        """True where somebody can see it."""
        return self._on

    def draw(self, text: str, *, now: bool = False) -> None:
        """Show the text in place of what stood there; too soon after the last one it is passed over, unless ``now``."""
        moment_s = time.monotonic()
        if not self._on or (not now and moment_s - self._drawn_at_s < REDRAW_INTERVAL_S):
            return
        self._drawn_at_s = moment_s
        self._dirty = True
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r\x1b[K{text[:width]}")
        self._stream.flush()

    def wipe(self) -> None:
        """Leave nothing on the line."""
        if self._dirty:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._dirty = False


def bar(done: int, total: int) -> str:
    """Return ``[####......]  40%``; empty where the total is not known."""
    if total <= 0:
        return ""
    share = min(1.0, done / total)
    filled = int(share * BAR_CELLS)
    return f"[{'#' * filled}{'.' * (BAR_CELLS - filled)}] {share * 100:3.0f}%"


def transfer(done_bytes: int, total_bytes: int, elapsed_s: float) -> str:
    """Return bar, amounts, rate and time left of a transfer that has run for ``elapsed_s``."""
    text = f"{bar(done_bytes, total_bytes)} {words.size(done_bytes)} of {words.size(total_bytes)}".strip()
    if elapsed_s < MEASURED_AFTER_S or not done_bytes:
        return text
    rate = done_bytes / elapsed_s
    left_s = max(0, total_bytes - done_bytes) / rate
    return f"{text}, {words.size(rate)}/s, {words.span(left_s)} left"
