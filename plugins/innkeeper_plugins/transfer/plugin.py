"""Registers the built-in transfer drivers with the hooks."""

from collections.abc import Iterable

from innkeeper_plugins.hookspecs import TransferFactory, hookimpl
from innkeeper_plugins.transfer import full_copy, qcow2, shared, simulated


@hookimpl
def register_transfer_drivers() -> Iterable[tuple[str, TransferFactory]]:
    """Return the drivers that come with Innkeeper."""
    return [(module.NAME, module.make) for module in (qcow2, full_copy, shared, simulated)]
