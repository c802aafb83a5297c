"""Finds out what this host is and has, in a thread, and says when that has changed.

What changes all the time (load, free space) goes into heartbeats and makes no new advertisement.
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import structlog

from innkeeper_hostagent.config import Config
from innkeeper_hostagent.drivers import Drivers
from innkeeper_hostagent.lanes import Lane, tell
from innkeeper_hostagent.place import Datastore
from innkeeper_hostagent.protocol.messages import Heartbeat
from innkeeper_plugins import probes
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hookspecs import Probe
from innkeeper_plugins.probes.usage import LoadMeter
from innkeeper_plugins.vocabulary import (
    IMPORT_DIRS,
    MIGRATION_URI,
    Advertisement,
    Capacity,
    DatastoreFacts,
    Digest,
    Holder,
    PciDevice,
)

_log = structlog.get_logger("innkeeper.agent")


class Surveyor:
    """Looks at the host; ``survey`` blocks and runs in a thread of its own."""

    def __init__(
        self, config: Config, drivers: Drivers, datastores: Mapping[str, Datastore], host_probes: Mapping[str, Probe]
    ) -> None:
        """Take what there is to look at."""
        self._config = config
        self._drivers = drivers
        self._datastores = datastores
        self._probes = host_probes

    def survey(self) -> Advertisement:
        """Return what the host is and has, without its images and its holder."""
        return Advertisement(
            capacity=self._capacity(),
            drivers=self._drivers.facts(),
            datastores=tuple(self._datastore_facts()),
            bridges=probes.bridges.names(),
            facts=self._facts(),
            numa=probes.numa.read() if self._some_driver_can("numa") else (),
            pci=self._devices() if self._some_driver_can("pci") else (),
        )

    def _some_driver_can(self, ability: str) -> bool:
        """Return whether there is any use in telling of what only drivers with the ability can give to guests."""
        return any(ability in driver.capabilities for driver in self._drivers.hypervisors())

    def _devices(self) -> tuple[PciDevice, ...]:
        return probes.pci.offered(probes.pci.read(), self._config.pci) if self._config.pci else ()

    def _capacity(self) -> Capacity:
        if self._config.capacity is not None:
            return self._config.capacity
        whole, reserved = probes.capacity(), self._config.reserved
        return Capacity(
            cpu_cores=max(whole.cpu_cores - reserved.cpu_cores, 0.0),
            memory_mib=max(whole.memory_mib - reserved.memory_mib, 0),
        )

    def _datastore_facts(self) -> list[DatastoreFacts]:
        found = []
        for name, datastore in self._datastores.items():
            try:
                found.append(probes.storage.datastore_facts(name, datastore.path))
            except OSError as error:
                _log.warning("datastore_unreachable", datastore=name, error=str(error))
        return found

    def _facts(self) -> dict[str, str | int | float]:
        facts: dict[str, str | int | float] = {}
        for name, probe in self._probes.items():
            try:
                facts.update(probe())
            except Exception:  # noqa: BLE001 - a probe may be a stranger's: a host without its facts is still a host
                _log.warning("probe_failed", probe=name, exc_info=True)
        for driver in self._drivers.hypervisors():
            try:
                if uri := driver.migration_uri():
                    facts[MIGRATION_URI] = uri
            except DriverError as error:
                _log.warning("hypervisor_unreachable", driver=driver.name, error=str(error), stderr=error.stderr)
        if self._config.imports.dirs:
            facts[IMPORT_DIRS] = ":".join(map(str, self._config.imports.dirs))
        return {**facts, **self._config.facts}


class Advertiser:
    """What the controller knows of the host; every method has to be called on the loop's thread."""

    def __init__(
        self,
        surveyor: Surveyor,
        *,
        loop: asyncio.AbstractEventLoop,
        changed: Callable[[], None],
        interval_s: float,
    ) -> None:
        """Know nothing yet.

        Args:
            surveyor: Looks at the host.
            loop: The loop on whose thread ``changed`` is called.
            changed: Told when there is something new to advertise, the first time included.
            interval_s: How often to look.
        """
        self._surveyor = surveyor
        self._loop = loop
        self._changed = changed
        self._interval_s = interval_s
        self._lane = Lane("survey", 1)
        self._found: Advertisement | None = None
        self._meter = LoadMeter()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def start(self) -> None:
        """Look now, and again every interval."""
        self._lane.submit(self._survey)

    def advertisement(self, images: tuple[Digest, ...], holder: Holder | None) -> Advertisement | None:
        """Return all that the host says of itself; None before it has looked the first time."""
        if self._found is None:
            return None
        return msgspec.structs.replace(self._found, images=images, holder=holder)

    def heartbeat(self, clock_s: float) -> Heartbeat:
        """Return what changes all the time."""
        cpu_used_cores, memory_used_mib = self._meter.sample()
        datastores = self._found.datastores if self._found is not None else ()
        return Heartbeat(
            cpu_used_cores=cpu_used_cores, memory_used_mib=memory_used_mib, datastores=datastores, clock_s=clock_s
        )

    def close(self) -> None:
        """Look no more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._lane.close()

    def _survey(self) -> None:
        found = self._surveyor.survey()
        if not self._closed:
            tell(self._loop, self._on_surveyed, found)

    def _on_surveyed(self, found: Advertisement) -> None:
        if self._closed:
            return
        is_new = self._found is None or _lasting(found) != _lasting(self._found)
        self._found = found
        if is_new:
            self._changed()
        self._timer = self._loop.call_later(self._interval_s, self._lane.submit, self._survey)


def _lasting(found: Advertisement) -> Advertisement:
    """Return the advertisement without what changes all the time."""
    datastores = tuple(msgspec.structs.replace(store, free_mib=0) for store in found.datastores)
    return msgspec.structs.replace(found, datastores=datastores)
