"""Deletes uploaded files once a host has made an image of them, and those of which nobody makes one."""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import Operation, OperationStatus
from innkeeper_controller.store.rows import Transaction
from innkeeper_controller.uploads import Spool
from innkeeper_plugins.steps import ImportImage

_LOOK_EVERY_S: Final = 3600.0


class UploadCleanup:
    """Watches imports end; files go in a thread, since a large one takes its time."""

    def __init__(self, spool: Spool, cluster: Cluster) -> None:
        """Keep where files and imports are."""
        self._spool, self._cluster = spool, cluster
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look for old files now, and again every hour."""
        self._thread.submit(self._spool.expire, self._wanted())
        self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self.start)

    def close(self) -> None:
        """Finish what has begun."""
        if self._timer is not None:
            self._timer.cancel()
        self._thread.shutdown()

    def watch(self, transactions: Sequence[Transaction]) -> None:
        """Delete the files of imports that are done; after a failed one the file may be wanted once more."""
        done: set[str] = set()
        for transaction in transactions:
            for put in transaction.changes:
                if isinstance(put.new, Operation) and put.new.status is OperationStatus.DONE:
                    done |= _uploads_of(put.new)
        if done:
            self._thread.submit(self._spool.delete, done - self._wanted())

    def _wanted(self) -> set[str]:
        """Return the digests that running imports fetch from here."""
        running: Iterable[Operation] = (self._cluster.operations[each] for each in self._cluster.running)
        return {digest for operation in running for digest in _uploads_of(operation)}


def _uploads_of(operation: Operation) -> set[str]:
    return {
        step.sha256
        for leg in operation.plan.legs
        for step in leg.steps
        if isinstance(step, ImportImage) and step.holders
    }
