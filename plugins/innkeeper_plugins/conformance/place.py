"""A place to work in for drivers under test: one host's directories below a directory of the test.

It must not be used by the agent, which has limits, pins and a journal to think of.
"""

import hashlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.vocabulary import Digest, Disk, DiskFormat, ImageId, ImageRef, Vm

#: Only the newest reports of progress are kept.
REPORT_LIMIT = 10_000


class LocalPlace:
    """``Place`` below ``root``: ``datastores/NAME/VM_ID/disk.N`` and ``images/DIGEST``."""

    def __init__(self, root: Path, *, images: Path | None = None) -> None:
        """Work below ``root``; ``images`` may lie elsewhere, on another file system or as seen by several hosts."""
        self.root = root
        self.images = images or root / "images"
        #: What ``progress`` was told: ``(done_bytes, total_bytes)``.
        self.reports: deque[tuple[int, int]] = deque(maxlen=REPORT_LIMIT)
        #: Number of further reports after which the operation counts as cancelled; None for never.
        self.cancel_after: int | None = None

    def vm_dir(self, vm: Vm) -> Path:
        """Return the VM's directory."""
        return self._directory(vm.datastore, vm)

    def disk_path(self, vm: Vm, disk: Disk) -> Path:
        """Return where the disk's file belongs."""
        return self._directory(disk.datastore, vm) / f"disk.{disk.disk_id}"

    def vm_dirs(self, vm: Vm) -> Iterable[Path]:
        """Return the VM's directories in every datastore that it names or that has one."""
        named = {vm.datastore, *(disk.datastore for disk in vm.disks)}
        found = {path.parent.name for path in (self.root / "datastores").glob(f"*/{vm.vm_id}")}
        return [self.root / "datastores" / name / str(vm.vm_id) for name in sorted(named | found)]

    def image_path(self, digest: Digest) -> Path:
        """Return the image's file.

        Raises:
            DriverError: ``image_missing``.
        """
        path = self.images / digest
        if not path.exists():
            raise DriverError(f"image sha256:{digest} is not on this host", code="image_missing")
        return path

    def progress(self, done_bytes: int, total_bytes: int) -> None:
        """Keep the report.

        Raises:
            DriverError: ``cancelled``, where the test wants it.
        """
        self.reports.append((done_bytes, total_bytes))
        if self.cancel_after is not None:
            self.cancel_after -= 1
            if self.cancel_after < 0:
                raise DriverError("the operation was cancelled", code="cancelled")

    def add_image(
        self,
        content: bytes | Path,
        *,
        format_: DiskFormat = DiskFormat.RAW,
        virtual_size_bytes: int | None = None,
        name: str = "image",
    ) -> ImageRef:
        """Put an image into the cache and return how VMs refer to it; a ``Path`` is moved there."""
        self.images.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.read_bytes()
        digest = Digest(hashlib.sha256(data).hexdigest())
        path = self.images / digest
        if isinstance(content, Path):
            content.replace(path)
        else:
            path.write_bytes(data)
        path.chmod(0o444)
        return ImageRef(
            image_id=ImageId(0),
            name=name,
            datastore="default",
            sha256=digest,
            size_bytes=len(data),
            virtual_size_bytes=len(data) if virtual_size_bytes is None else virtual_size_bytes,
            format=format_,
        )

    def _directory(self, datastore: str, vm: Vm) -> Path:
        directory = self.root / "datastores" / datastore / str(vm.vm_id)
        directory.mkdir(parents=True, exist_ok=True)
        return directory
