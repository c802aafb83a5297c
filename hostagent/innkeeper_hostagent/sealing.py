"""Files of VMs at rest that other hosts may fetch: digested once, known by digest until the VM starts or goes.

It serves nothing itself and does not look after the files.
"""

import io
import json
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from innkeeper_hostagent.place import Datastore, find
from innkeeper_hostagent.protocol.bulk import beside_of
from innkeeper_hostagent.protocol.bulk.manifest import BadManifestError, make_manifest
from innkeeper_hostagent.protocol.bulk.shelf import save
from innkeeper_hostagent.scripts import SEALED_FILE
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer.whole_file import told_as_driver_errors
from innkeeper_plugins.vocabulary import Digest, Disk, SealedFile, Vm

#: Files that a VM may have beside its disks.
_OTHER_FILES: Final = ("checkpoint", "context.iso")


class Seals:
    """Sealed files by digest; its methods may be called from any thread."""

    def __init__(self, datastores: Mapping[str, Datastore]) -> None:
        """Know again what was sealed before the agent ended."""
        self._datastores = datastores
        self._lock = threading.Lock()
        self._files: dict[int, tuple[SealedFile, ...]] = {}
        for datastore in datastores.values():
            self._files.update(_remembered(datastore))

    def seal(self, vm: Vm, disks: Iterable[Disk], progress: Callable[[int, int], None]) -> tuple[SealedFile, ...]:
        """Digest the VM's files on datastores that other hosts do not see.

        Args:
            vm: The VM, at rest.
            disks: Those of its disks that are files.
            progress: Told of bytes read and bytes in all; may raise to stop.

        Raises:
            DriverError: a disk is missing, or cannot be read.
        """
        paths = list(self._paths(vm, disks))
        total_bytes = sum(path.stat().st_size for _, _, path in paths)
        done_bytes = 0
        sealed = []
        for name, datastore, path in paths:
            digest, size_bytes = _digest(path, _shifted(progress, done_bytes, total_bytes))
            done_bytes += size_bytes
            sealed.append(SealedFile(name=name, sha256=digest, size_bytes=size_bytes, datastore=datastore))
        files = tuple(sealed)
        self._remember(vm, files)
        return files

    def unseal(self, vm_id: int) -> None:
        """Forget the VM's files: they are about to change, or are gone."""
        with self._lock:
            files = self._files.pop(vm_id, None)
        for file in files or ():
            if file.datastore in self._datastores:
                directory = self._datastores[file.datastore].vm_dir(vm_id)
                beside_of(directory / file.name).unlink(missing_ok=True)
        if files is not None:
            for datastore in self._datastores.values():
                (datastore.vm_dir(vm_id) / SEALED_FILE).unlink(missing_ok=True)

    def find(self, digest: str) -> Path | None:
        """Return a sealed file of that digest; None where there is none any more."""
        with self._lock:
            candidates = [
                self._datastores[file.datastore].vm_dir(vm_id) / file.name
                for vm_id, files in self._files.items()
                for file in files
                if file.sha256 == digest and file.datastore in self._datastores
            ]
        return next((path for path in candidates if path.exists()), None)

    def _paths(self, vm: Vm, disks: Iterable[Disk]) -> Iterator[tuple[str, str, Path]]:
        for disk in disks:
            datastore = find(self._datastores, disk.datastore)
            path = datastore.vm_dir(vm.vm_id) / f"disk.{disk.disk_id}"
            if not datastore.shared:
                if not path.exists():
                    raise DriverError(f"disk.{disk.disk_id} of VM {vm.vm_id} is not here: {path}", code="tool_failed")
                yield path.name, disk.datastore, path
        home = find(self._datastores, vm.datastore)
        for name in _OTHER_FILES:
            if not home.shared and (path := home.vm_dir(vm.vm_id) / name).exists():
                yield name, vm.datastore, path

    def _remember(self, vm: Vm, files: tuple[SealedFile, ...]) -> None:
        with self._lock:
            self._files[vm.vm_id] = files
        directory = find(self._datastores, vm.datastore).vm_dir(vm.vm_id)
        if files and directory.is_dir():
            new_path = directory / f"{SEALED_FILE}.new"
            new_path.write_bytes(msgspec.json.encode(files))
            new_path.replace(directory / SEALED_FILE)


def to_result(files: Iterable[SealedFile]) -> str:
    """Return the files as the JSON text that a ``seal`` step's outcome has under ``files``."""
    return json.dumps(msgspec.to_builtins(list(files)), separators=(",", ":"))


def _remembered(datastore: Datastore) -> Iterator[tuple[int, tuple[SealedFile, ...]]]:
    for path in datastore.vms_dir.glob(f"*/{SEALED_FILE}"):
        if path.parent.name.isdigit():
            try:
                yield int(path.parent.name), msgspec.json.decode(path.read_bytes(), type=tuple[SealedFile, ...])
            except msgspec.DecodeError:
                path.unlink()


def _shifted(progress: Callable[[int, int], None], base_bytes: int, total_bytes: int) -> Callable[[int, int], None]:
    return lambda read_bytes, _: progress(base_bytes + read_bytes, total_bytes)


def _digest(path: Path, progress: Callable[[int, int], None]) -> tuple[Digest, int]:
    """Return the file's digest and length, and keep its chunks' digests, so that it is read once only."""
    with told_as_driver_errors(path), open_regular(path) as file:
        try:
            manifest, digest = make_manifest(file, progress)
        except BadManifestError as error:
            raise DriverError(f"{path} cannot be sealed: {error}", code="refused") from error
        save(beside_of(path), digest, manifest)
    return digest, manifest.size_bytes


def open_regular(path: Path) -> io.FileIO:
    """Open a file to read, unbuffered; anything but a regular file is refused.

    Raises:
        DriverError: ``refused``, or ``tool_failed`` where it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise DriverError(f"cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DriverError(f"{path} is not a regular file", code="refused")
    return io.FileIO(descriptor)
