"""Registers the built-in hypervisor drivers with the hooks."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hookspecs import HypervisorFactory, hookimpl
from innkeeper_plugins.hypervisors import simulated
from innkeeper_plugins.hypervisors.libvirt import embed
from innkeeper_plugins.hypervisors.libvirt.options import embed_root, parse_options
from innkeeper_plugins.protocols import HypervisorDriver

MENDING = "apt install libvirt-dev pkg-config gcc python3-dev && pip install 'innkeeper[libvirt]'"


@hookimpl
def register_hypervisor_drivers() -> Iterable[tuple[str, HypervisorFactory]]:
    """Return the drivers that come with Innkeeper."""
    return [("libvirt", make_libvirt), (simulated.NAME, simulated.make)]


def make_libvirt(config: Mapping[str, Any]) -> HypervisorDriver:
    """Make the driver ``libvirt``; its library is loaded only where it is used.

    Raises:
        DriverError: the library is not installed; the text says how to mend that.
        msgspec.ValidationError: a key is unknown or a value has the wrong type.
        ValueError: the URI is not supported.
    """
    root = embed_root(parse_options(config).uri)
    with contextlib.ExitStack() as stack:
        if root is not None:
            embed.prepare(root)
            stack.enter_context(embed.logging_below(root))
        try:
            from innkeeper_plugins.hypervisors.libvirt import driver  # start-up time, and it may be missing
        except ImportError as error:
            raise DriverError(
                f"libvirt's Python binding is not installed; run: {MENDING}", stderr=str(error)
            ) from error
    return driver.make(config)
