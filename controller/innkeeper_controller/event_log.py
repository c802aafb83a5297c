"""Writes what has become durable to the log, with the ids by which the hosts' logs know it; decides nothing.

Single VMs' comings and goings are in the database's own log: here are operations, hosts, images and networks.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from innkeeper_controller.store.rows import Transaction

_log = structlog.get_logger("events")

#: Kinds of event of which there may be thousands a second.
_TOO_MANY: Final = ("vm.", "step.", "state.")


def log_events(transactions: Sequence[Transaction]) -> None:
    """Write a line for each event of the kinds that are worth one."""
    for transaction in transactions:
        for index, event in enumerate(transaction.events):
            if event.what.startswith(_TOO_MANY):
                continue
            _log.info(
                event.what,
                seq=transaction.first_seq + index,
                subject=event.subject,
                actor=event.actor,
                request_id=event.request_id,
                operation_id=event.operation_id,
                **{f"detail_{name}": value for name, value in event.detail.items()},
            )
