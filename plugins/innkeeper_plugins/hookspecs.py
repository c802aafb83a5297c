"""The hooks of Innkeeper: a hook asks every plugin, a driver is chosen by name.

A plugin is a module or object with ``@hookimpl`` functions of these names, found through the entry-point
group ``innkeeper``. The built-in drivers come in by the same door.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pluggy

from innkeeper_plugins.protocols import HypervisorDriver, TransferDriver

PROJECT = "innkeeper"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

#: Makes a driver from its section of the agent's configuration, ``[drivers.NAME]``.
TransferFactory = Callable[[Mapping[str, Any]], TransferDriver]
HypervisorFactory = Callable[[Mapping[str, Any]], HypervisorDriver]
#: Finds out facts of the host: ``{"CPU_MODEL": "Nehalem", ...}``; cheap enough to run once a minute.
Probe = Callable[[], Mapping[str, str | int | float]]


@hookspec
def register_transfer_drivers() -> Iterable[tuple[str, TransferFactory]]:
    """Return the names of the plugin's transfer drivers, each with what makes it."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_hypervisor_drivers() -> Iterable[tuple[str, HypervisorFactory]]:
    """Return the names of the plugin's hypervisor drivers, each with what makes it."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_host_probes() -> Iterable[tuple[str, Probe]]:
    """Return the names of the plugin's host probes, each with the function that runs it."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_scheduling_clauses() -> Iterable[tuple[str, Any]]:
    """Return the names of the plugin's clauses, each with its ``innkeeper_plugins.scheduling.Clause``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_scheduling_scores() -> Iterable[tuple[str, Any]]:
    """Return the names of the plugin's scores, each with its ``innkeeper_plugins.scheduling.Score``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_scheduling_policies() -> Iterable[tuple[str, Mapping[str, float]]]:
    """Return the names of the plugin's policies, each with its weights: ``{"packing": 1.0, "power": 0.5}``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_schedulers() -> Iterable[tuple[str, Any]]:
    """Return the names of the plugin's schedulers, each with its ``innkeeper_plugins.scheduling.Decide``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def vm_state_changed(vm_id: int, old_state: str, new_state: str) -> None:
    """Learn that a VM changed its state, after the change is durable."""


@hookspec(firstresult=True)
def fence_host(host_name: str) -> bool | None:
    """Cut the power of a host; True when it is certainly off, None where the plugin does not know the host."""


@hookspec(firstresult=True)
def authenticate(user_name: str, secret: str) -> bool | None:
    """Say whether the secret is that user's; None where the plugin does not know the user."""
