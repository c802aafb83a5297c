"""Finds the plugins of this host and makes drivers by name.

It must not let a broken plugin stop the rest: what went wrong is in ``problems``, for the operator.
"""

import difflib
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import pluggy

from innkeeper_plugins import hookspecs
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.hookspecs import PROJECT, HypervisorFactory, Probe, TransferFactory
from innkeeper_plugins.protocols import HypervisorDriver, TransferDriver

ENTRY_POINT_GROUP = "innkeeper"

Driver = TypeVar("Driver")


class PluginError(InnkeeperError):
    """A driver cannot be had under that name; the operator of the host must act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A plugin, or a part of one, that was left out."""

    plugin: str
    #: One sentence that says why.
    reason: str


@dataclass(frozen=True, slots=True)
class _Offer:
    """What a plugin brings under a name."""

    plugin: str
    brings: Any  # a factory or a probe: each hook's caller knows which


class Registry:
    """The drivers and probes of all plugins, by name."""

    def __init__(self, plugins: Mapping[str, object]) -> None:
        """Take ``{plugin name: module or object with hook implementations}``."""
        self._problems: list[Problem] = []
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for name, plugin in plugins.items():
            self._register(name, plugin)
        hook = self._manager.hook
        self._transfer = self._offers("transfer driver", hook.register_transfer_drivers)
        self._hypervisors = self._offers("hypervisor driver", hook.register_hypervisor_drivers)
        self._probes = self._offers("host probe", hook.register_host_probes)
        self._clauses = self._offers("scheduling clause", hook.register_scheduling_clauses)
        self._scores = self._offers("scheduling score", hook.register_scheduling_scores)
        self._policies = self._offers("scheduling policy", hook.register_scheduling_policies)
        self._schedulers = self._offers("scheduler", hook.register_schedulers)

    @classmethod
    def load(cls, extra: Mapping[str, object] | None = None) -> "Registry":
        """Find the plugins of the entry-point group ``innkeeper``; ``extra`` come on top."""
        plugins: dict[str, object] = {}
        problems = []
        for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
            name = f"{point.dist.name if point.dist else '?'}:{point.name}"
            try:
                plugins[name] = point.load()
            except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything, and must cost only itself
                problems.append(Problem(plugin=name, reason=f"cannot be imported: {_told(error)}"))
        registry = cls({**plugins, **(extra or {})})
        registry._problems[:0] = problems
        return registry

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was left out, and why."""
        return tuple(self._problems)

    @property
    def hook(self) -> Any:  # noqa: ANN401 - pluggy's own type says no more: each hook has its signature in hookspecs
        """The hooks of all plugins, to be called by their names in ``hookspecs``."""
        return self._manager.hook

    def transfer_names(self) -> tuple[str, ...]:
        """Return the names of the transfer drivers that can be made, sorted."""
        return _usable(self._transfer)

    def hypervisor_names(self) -> tuple[str, ...]:
        """Return the names of the hypervisor drivers that can be made, sorted."""
        return _usable(self._hypervisors)

    def transfer(self, name: str, config: Mapping[str, Any]) -> TransferDriver:
        """Make the transfer driver of that name.

        Args:
            name: As datastores name it.
            config: Its section of the agent's configuration, ``[drivers.NAME]``; ``{}`` where there is none.

        Raises:
            PluginError: no plugin brings it, two do, or it refuses the configuration.
        """
        factory: TransferFactory = _the_one("transfer driver", name, self._transfer)
        return _made("transfer driver", name, factory, config)

    def hypervisor(self, name: str, config: Mapping[str, Any]) -> HypervisorDriver:
        """Make the hypervisor driver of that name, as ``transfer`` does.

        Raises:
            PluginError: no plugin brings it, two do, or it refuses the configuration.
        """
        factory: HypervisorFactory = _the_one("hypervisor driver", name, self._hypervisors)
        return _made("hypervisor driver", name, factory, config)

    def probes(self) -> dict[str, Probe]:
        """Return every host probe by name; of two with one name neither is there."""
        return _brought_once(self._probes)

    def scheduling_clauses(self) -> dict[str, Any]:
        """Return every ``scheduling.Clause`` by name; of two with one name neither is there."""
        return _brought_once(self._clauses)

    def scheduling_scores(self) -> dict[str, Any]:
        """Return every ``scheduling.Score`` by name, as ``scheduling_clauses`` does."""
        return _brought_once(self._scores)

    def scheduling_policies(self) -> dict[str, Mapping[str, float]]:
        """Return the weights of every policy by name, as ``scheduling_clauses`` does."""
        return _brought_once(self._policies)

    def schedulers(self) -> dict[str, Any]:
        """Return every ``scheduling.Decide`` by name, as ``scheduling_clauses`` does."""
        return _brought_once(self._schedulers)

    def _register(self, name: str, plugin: object) -> None:
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except (ValueError, pluggy.PluginValidationError) as error:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            self._problems.append(Problem(plugin=name, reason=_told(error)))

    def _offers(self, what: str, hook: pluggy.HookCaller) -> dict[str, list[_Offer]]:
        offers: dict[str, list[_Offer]] = {}
        for implementation in hook.get_hookimpls():
            plugin = implementation.plugin_name
            for name, brings in self._brought(plugin, implementation.function):
                offers.setdefault(name, []).append(_Offer(plugin, brings))
        for name, those in offers.items():
            if len(those) > 1:
                self._problems.append(Problem(plugin=those[-1].plugin, reason=_conflict(what, name, those)))
        return offers

    def _brought(self, plugin: str, hook: Callable[..., Any]) -> list[tuple[str, Any]]:
        try:
            return [(str(name), brings) for name, brings in hook()]
        except Exception as error:  # noqa: BLE001 - a stranger's hook may raise anything, and must cost only itself
            self._problems.append(Problem(plugin=plugin, reason=f"its hook failed: {_told(error)}"))
            return []


def _usable(offers: Mapping[str, list[_Offer]]) -> tuple[str, ...]:
    return tuple(sorted(name for name, those in offers.items() if len(those) == 1))


def _brought_once(offers: Mapping[str, list[_Offer]]) -> dict[str, Any]:
    return {name: offers[name][0].brings for name in _usable(offers)}


def _the_one(what: str, name: str, offers: Mapping[str, list[_Offer]]) -> Any:  # noqa: ANN401 - what the hook brings
    those = offers.get(name, [])
    if not those:
        raise PluginError(_unknown(what, name, _usable(offers)))
    if len(those) > 1:
        raise PluginError(_conflict(what, name, those))
    return those[0].brings


def _made(what: str, name: str, factory: Callable[[Mapping[str, Any]], Driver], config: Mapping[str, Any]) -> Driver:
    try:
        return factory(config)
    except (msgspec.ValidationError, InnkeeperError, ImportError, OSError, TypeError, ValueError) as error:
        raise PluginError(f"the {what} {name!r} cannot be made from [drivers.{name}]: {_told(error)}") from error


def _unknown(what: str, name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"this host has no {what} {name!r}{hint} It has: {', '.join(known) or 'none'}"


def _conflict(what: str, name: str, those: list[_Offer]) -> str:
    plugins = " and ".join(sorted(offer.plugin for offer in those))
    return f"{plugins} both bring the {what} {name!r}: uninstall one of them"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
