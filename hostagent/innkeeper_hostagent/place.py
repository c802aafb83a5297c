"""The paths of one VM on this host, and the line from a running verb back to the agent.

Paths are made of numbers and of names in the agent's own configuration; nothing that came over the wire is in them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from innkeeper_hostagent.caches import Caches
from innkeeper_hostagent.config import Config
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.vocabulary import Digest, Disk, Vm

#: Guests' disks are nobody else's business.
DIRECTORY_MODE = 0o711
_VMS = "vms"


@dataclass(frozen=True, slots=True)
class Datastore:
    """A datastore as this host has it."""

    name: str
    path: Path
    #: Other hosts see the same files.
    shared: bool = False

    @property
    def vms_dir(self) -> Path:
        """The directory that holds one directory a VM."""
        return self.path / _VMS

    def vm_dir(self, vm_id: int) -> Path:
        """Return where a VM's files are, whether there are any or not."""
        return self.path / _VMS / str(vm_id)


def datastores_of(config: Config) -> dict[str, Datastore]:
    """Return ``{name: datastore}`` as the configuration says."""
    return {name: Datastore(name, store.path, shared=store.shared) for name, store in config.datastores.items()}


def no_progress(done_bytes: int, total_bytes: int) -> None:
    """Tell nobody."""


class AgentPlace:
    """Where one step works; made for each step, used by one thread."""

    __slots__ = ("_caches", "_datastores", "_progress", "_spare_shared")

    def __init__(
        self,
        datastores: Mapping[str, Datastore],
        caches: Caches,
        *,
        progress: Callable[[int, int], None] = no_progress,
        spare_shared: bool = False,
    ) -> None:
        """Take what the step needs.

        Args:
            datastores: ``{name: datastore}``.
            caches: The images of the host.
            progress: What ``progress`` does.
            spare_shared: Leave out what other hosts see as well, wherever a VM's directories are listed.
        """
        self._datastores = datastores
        self._caches = caches
        self._progress = progress
        self._spare_shared = spare_shared

    def vm_dir(self, vm: Vm) -> Path:
        """Return the VM's directory, made if need be."""
        return self._made(vm, vm.datastore)

    def disk_path(self, vm: Vm, disk: Disk) -> Path:
        """Return where the disk's file is or has to be; its directory exists."""
        return self._made(vm, disk.datastore) / f"disk.{disk.disk_id}"

    def vm_dirs(self, vm: Vm) -> Iterable[Path]:
        """Return every directory that may hold files of the VM, existing or not."""
        return [
            datastore.vm_dir(vm.vm_id)
            for datastore in self._datastores.values()
            if not (self._spare_shared and datastore.shared)
        ]

    def image_path(self, digest: Digest) -> Path:
        """Return the verified file of an image in this host's cache.

        Raises:
            DriverError: ``image_missing``.
        """
        return self._caches.path(digest)

    def progress(self, done_bytes: int, total_bytes: int) -> None:
        """Say how far the verb is.

        Raises:
            DriverError: ``cancelled``.
        """
        self._progress(done_bytes, total_bytes)

    def _made(self, vm: Vm, name: str) -> Path:
        directory = find(self._datastores, name).vm_dir(vm.vm_id)
        try:
            directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise DriverError(f"cannot make {directory}: {error.strerror}", code="tool_failed") from error
        return directory


def find(datastores: Mapping[str, Datastore], name: str) -> Datastore:
    """Return the datastore of that name.

    Raises:
        DriverError: ``refused``: this host does not have it.
    """
    if name not in datastores:
        known = ", ".join(sorted(datastores)) or "none"
        raise DriverError(
            f"this host has no datastore {name!r} (it has: {known}); add [datastores.{name}] to agent.toml",
            code="refused",
        )
    return datastores[name]
