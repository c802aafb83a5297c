"""Calls the plugins that want to know what has become of VMs, after it is durable; waits for none of them."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import structlog

from innkeeper_controller.records import VmRecord
from innkeeper_controller.store.rows import Transaction

_log = structlog.get_logger("hooks")

#: Calls that may wait for slow plugins; more are left out and counted.
MAX_WAITING: Final = 10_000

#: ``vm_state_changed`` as ``hookspecs`` has it.
VmStateChanged = Callable[..., object]


class Hooks:
    """One thread that calls one hook after the other, in the order of what happened."""

    def __init__(self, vm_state_changed: VmStateChanged, *, max_waiting: int = MAX_WAITING) -> None:
        """Keep whom to call."""
        self._vm_state_changed = vm_state_changed
        self._max_waiting = max_waiting
        # Each of the two is written by one thread only.
        self._begun = self._over = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hooks")
        #: ``called``, ``failed`` and ``left_out``: how often.
        self.counters: Counter[str] = Counter()

    def watch(self, transactions: Sequence[Transaction]) -> None:
        """Tell of every VM whose state has changed."""
        for transaction in transactions:
            for put in transaction.changes:
                if isinstance(put.new, VmRecord):
                    old = put.old.state.value if isinstance(put.old, VmRecord) else ""
                    if old != put.new.state.value:
                        self._call(put.new.vm_id, old, put.new.state.value)

    def close(self) -> None:
        """Give up the calls that have not begun."""
        self._thread.shutdown(cancel_futures=True)

    def _call(self, vm_id: int, old: str, new: str) -> None:
        if self._begun - self._over >= self._max_waiting:
            self.counters["left_out"] += 1
            return
        self._begun += 1
        call = self._thread.submit(self._vm_state_changed, vm_id=vm_id, old_state=old, new_state=new)
        call.add_done_callback(self._ended)

    def _ended(self, call: "Future[object]") -> None:
        self._over += 1
        error = None if call.cancelled() else call.exception()
        self.counters["failed" if error else "called"] += 1
        if error:
            _log.error("hook.failed", hook="vm_state_changed", why=repr(error))
