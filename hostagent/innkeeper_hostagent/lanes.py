"""Worker threads with a width: so many jobs at once and no more, the others wait in order.

The threads are daemons: a driver that hangs must not keep the agent from ending, since its guests run on and the
journal knows what was under way.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue

Job = Callable[[], None]


class Lane:
    """At most ``width`` threads of its own, started as they are needed."""

    __slots__ = ("_idle", "_lock", "_name", "_queue", "_threads", "_width")

    def __init__(self, name: str, width: int) -> None:
        """Start no thread yet."""
        self._name = name
        self._width = width
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        #: Threads that wait, less the jobs that wait for them.
        self._idle = 0

    def submit(self, job: Job) -> None:
        """Run the job as soon as a thread is free; it must not raise."""
        with self._lock:
            start = self._idle <= 0 and self._threads < self._width
            if start:
                self._threads += 1
                number = self._threads
            else:
                self._idle -= 1
        self._queue.put(job)
        if start:
            threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True).start()

    def close(self) -> None:
        """Let the threads end after what they do now and what waits; nobody waits for them."""
        with self._lock:
            threads = self._threads
        for _ in range(threads):
            self._queue.put(None)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            job()
            with self._lock:
                self._idle += 1


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *values: object) -> None:
    """Call back on the loop's thread, from any thread; nothing where the loop has ended meanwhile."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *values)
