"""Looks at the guests on this host and says what they do."""

from collections.abc import Callable, Mapping

import libvirt

from innkeeper_plugins.hypervisors.libvirt import guests, statistics
from innkeeper_plugins.hypervisors.libvirt.connection import Connection
from innkeeper_plugins.hypervisors.libvirt.failures import reported
from innkeeper_plugins.hypervisors.libvirt.identity import Identity, domain_name, named_vm
from innkeeper_plugins.vocabulary import Observation, PowerState

Changed = Callable[[Observation], None]


class Observer:
    """Remembers which guests there were, so that it can say of one that it has gone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        #: ``{domain: whose it was when it was last seen}``
        self._seen: dict[str, Identity] = {}

    def poll(self) -> list[Observation]:
        """Return what every guest of ours does.

        Raises:
            DriverError: libvirt cannot be asked.
        """
        with reported("The guests of this host could not be listed"):
            return self._read(self._connection.get().getAllDomainStats(statistics.STATS, statistics.NOWAIT))

    def tell(self, name: str, changed: Changed) -> None:
        """Tell what the guest of that domain does, if it is ours or was.

        Raises:
            DriverError: libvirt cannot be asked.
        """
        vm_id = named_vm(name)
        if vm_id is None:
            return
        with reported(f"Guest {name} could not be looked at"):
            connection = self._connection.get()
            domain = guests.lookup(connection, name)
            if domain is not None:
                for seen in self._read(connection.domainListGetStats([domain], statistics.STATS, statistics.NOWAIT)):
                    changed(seen)
                return
        gone = self._seen.pop(name, None)
        if gone is not None:
            generation, uuid = gone.generation, gone.uuid
            changed(Observation(vm_id=vm_id, generation=generation, power=PowerState.ABSENT, uuid=uuid))

    def tell_all(self, changed: Changed) -> None:
        """Tell what every guest does, those that have gone meanwhile as well.

        Raises:
            DriverError: libvirt cannot be asked.
        """
        gone = dict(self._seen)
        for observation in self.poll():
            changed(observation)
            gone.pop(domain_name(observation.vm_id), None)
        for name in gone:
            self.tell(name, changed)

    def _read(self, found: list[tuple[libvirt.virDomain, Mapping[str, int]]]) -> list[Observation]:
        observations = []
        for domain, stats in found:
            name = domain.name()
            identity = guests.identity_of(domain) if named_vm(name) is not None else None
            if identity is not None and domain_name(identity.vm_id) == name:
                self._seen[name] = identity
                observations.append(statistics.observation(identity, stats))
        return observations
