"""Those who wait for operations to end; tells them when the end is durable, and nothing else."""

import asyncio
from collections.abc import Sequence

from innkeeper_controller.records import Operation
from innkeeper_controller.store.rows import Transaction
from innkeeper_plugins.vocabulary import OperationId


class OperationWaits:
    """``{operation: those who wait for it}``; ``watch`` gets what has become durable."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._waiting: dict[OperationId, set[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        """Return for how many operations somebody waits."""
        return len(self._waiting)

    async def wait(self, operation_id: OperationId, timeout_s: float) -> None:
        """Come back when the operation has ended, or after ``timeout_s``."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(operation_id, set())
        waiting.add(ended)
        try:
            await asyncio.wait((ended,), timeout=timeout_s)
        finally:
            waiting.discard(ended)
            if not waiting and self._waiting.get(operation_id) is waiting:
                del self._waiting[operation_id]

    def close(self) -> None:
        """Let nobody wait any longer."""
        for waiting in self._waiting.values():
            for ended in waiting:
                ended.set_result(None)
        self._waiting.clear()

    def watch(self, transactions: Sequence[Transaction]) -> None:
        """Wake those whose operations have ended."""
        if not self._waiting:
            return
        for transaction in transactions:
            for put in transaction.changes:
                if isinstance(put.new, Operation) and put.new.ended_at_s is not None:
                    for ended in self._waiting.pop(put.new.operation_id, ()):
                        ended.set_result(None)
