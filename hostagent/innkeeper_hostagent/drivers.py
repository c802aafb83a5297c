"""The drivers that this host has been configured to have, made once, found by name."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TypeVar

from innkeeper_hostagent.config import Config, driver_section
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import HypervisorDriver, TransferDriver
from innkeeper_plugins.registry import Registry
from innkeeper_plugins.vocabulary import DriverFacts, DriverKind

_Driver = TypeVar("_Driver")


class Drivers:
    """Transfer and hypervisor drivers by name."""

    def __init__(self, transfer: Mapping[str, TransferDriver], hypervisors: Mapping[str, HypervisorDriver]) -> None:
        """Take the drivers."""
        self._transfer = dict(transfer)
        self._hypervisors = dict(hypervisors)

    @classmethod
    def made(cls, config: Config, registry: Registry) -> "Drivers":
        """Make all that the configuration names.

        Raises:
            PluginError: one of them cannot be had; those made before it are closed.
        """
        with contextlib.ExitStack() as made:
            names = dict.fromkeys(name for store in config.datastores.values() for name in store.drivers)
            transfer = {
                name: registry.transfer(name, driver_section(config, DriverKind.TRANSFER, name)) for name in names
            }
            hypervisors = {}
            for name in dict.fromkeys(config.hypervisors):
                hypervisors[name] = registry.hypervisor(name, driver_section(config, DriverKind.HYPERVISOR, name))
                made.callback(hypervisors[name].close)
            made.pop_all()
            return cls(transfer, hypervisors)

    def transfer(self, name: str) -> TransferDriver:
        """Return the transfer driver of that name.

        Raises:
            DriverError: ``refused``: this host does not have it.
        """
        return _found("transfer", self._transfer, name)

    def hypervisor(self, name: str) -> HypervisorDriver:
        """Return the hypervisor driver of that name.

        Raises:
            DriverError: ``refused``: this host does not have it.
        """
        return _found("hypervisor", self._hypervisors, name)

    def hypervisors(self) -> Iterator[HypervisorDriver]:
        """Return every hypervisor driver."""
        return iter(self._hypervisors.values())

    def facts(self) -> tuple[DriverFacts, ...]:
        """Return each driver with the abilities that it declares."""
        return tuple(
            DriverFacts(kind=kind, name=name, capabilities=tuple(sorted(driver.capabilities)))
            for kind, drivers in ((DriverKind.TRANSFER, self._transfer), (DriverKind.HYPERVISOR, self._hypervisors))
            for name, driver in drivers.items()
        )

    def close(self) -> None:
        """Let every driver go; guests run on."""
        for driver in self._hypervisors.values():
            driver.close()


def _found(kind: str, drivers: Mapping[str, _Driver], name: str) -> _Driver:
    if name not in drivers:
        raise DriverError(
            f"this host has no {kind} driver {name!r}; it has: {', '.join(drivers) or 'none'}", code="refused"
        )
    return drivers[name]
