"""From a template's disk to a VM's disk: image, datastore, format and device name looked up and checked."""

import itertools
import string
from dataclasses import dataclass, field

from innkeeper_controller import access
from innkeeper_controller.access import Right
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.images import DISK_TYPES, users_of
from innkeeper_controller.records import Datastore, Image, ImageState
from innkeeper_controller.requests import find
from innkeeper_controller.templates.vm import DiskTemplate
from innkeeper_controller.turn import Mistake, RefusalError, Turn
from innkeeper_controller.units import MIB, mib_for
from innkeeper_plugins.vocabulary import Disk, DiskFormat, DiskKind, ImageRef

#: Bus by the first letters of a disk's device name, as OpenNebula has it.
BUS_OF_PREFIX = {"vd": "virtio", "sd": "scsi", "hd": "ide"}
#: The device of the context disk.
CONTEXT_TARGET = "hda"


@dataclass(slots=True)
class Search:
    """Looks up what a template names, gathers what is not there, and lets nobody have what is not theirs to use."""

    turn: Turn
    mistakes: list[Mistake] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        """Where it is looked up."""
        return self.turn.cluster

    def image(self, wanted: str, what: str, *, line: int = 0, column: int = 0) -> Image | None:
        """Return the image if it can be used; otherwise note why not.

        Raises:
            RefusalError: ``forbidden`` or ``locked``.
        """
        try:
            image = find.image(self.cluster, wanted)
        except RefusalError as error:
            self._note(find.told(self.turn, error), what, line, column)
            return None
        access.authorize(self.turn, Right.USE, image)
        if image.state is ImageState.READY:
            return image
        self._note(f"Image {image.name} is {image.state}: {_why_not_ready(image)}.", what, line, column)
        return None

    def disks(self, templates: tuple[DiskTemplate, ...]) -> tuple[Disk, ...]:
        """Return the disks that can be made of the templates, numbered from 0; mistakes are noted.

        Raises:
            RefusalError: see ``disk``.
        """
        taken = {CONTEXT_TARGET, *(template.target for template in templates)}
        found = [self.disk(template, number, taken) for number, template in enumerate(templates)]
        disks = tuple(disk for disk in found if disk is not None)
        self._check_shared(disks)
        return disks

    def disk(self, template: DiskTemplate, number: int, taken: set[str]) -> Disk | None:
        """Return the disk that can be made of the template, None where mistakes are noted.

        Args:
            template: What is asked for.
            number: The disk's id in its VM.
            taken: Device names that are not free; the disk's is added.

        Raises:
            RefusalError: ``forbidden``, ``locked``, or ``in_use``: the image is another VM's for as long as that lives.
        """
        line, column = template.line, template.column
        image = self.image(template.image, "DISK/IMAGE", line=line, column=column) if template.image else None
        if template.image and (image is None or not self._can_be_disk(image, template)):
            return None
        datastore = self._datastore(template, image)
        size_bytes = self._size_bytes(template, image)
        if datastore is None or size_bytes is None:
            return None
        kind = DiskKind.CDROM if image is not None and image.type == "cdrom" else template.kind
        target = template.target or _free_target(template.dev_prefix or _prefix_of(kind, image), taken)
        if not target:
            text = "There are more disks of one bus than device names for them; use another DEV_PREFIX."
            self._note(text, "DISK", line, column)
            return None
        taken.add(target)
        return Disk(
            disk_id=number,
            kind=kind,
            datastore=datastore.at_hosts,
            driver=datastore.driver,
            format=_format(template, image, kind, datastore.driver),
            size_bytes=size_bytes,
            target=target,
            bus=BUS_OF_PREFIX.get(target[:2], "virtio"),
            readonly=template.readonly or kind is DiskKind.CDROM,
            cache=template.cache or "default",
            image=image_ref(self.cluster, image) if image else None,
            filesystem=template.filesystem,
            persistent=image is not None and image.persistent,
        )

    def _note(self, message: str, what: str, line: int, column: int) -> None:
        self.mistakes.append(Mistake(message=message, field=what, line=line, column=column))

    def _can_be_disk(self, image: Image, template: DiskTemplate) -> bool:
        if image.type not in DISK_TYPES:
            text = f"Image {image.name} is a {image.type}, not a disk."
            self._note(text, "DISK/IMAGE", template.line, template.column)
            return False
        users = users_of(self.cluster, image) if image.persistent else []
        if users:
            text = f"Image {image.name} is persistent and VM {users[0]} has it; end that VM first, or clone the image."
            raise RefusalError("in_use", text)
        return True

    def _check_shared(self, disks: tuple[Disk, ...]) -> None:
        seen: set[str] = set()
        for disk in disks:
            if not disk.persistent or disk.image is None:
                continue
            if disk.image.name in seen:
                self._note(f"Image {disk.image.name} is persistent; only one disk can be it.", "DISK/IMAGE", 0, 0)
            seen.add(disk.image.name)

    def _datastore(self, template: DiskTemplate, image: Image | None) -> Datastore | None:
        name = template.datastore or (image.datastore if image else "default")
        try:
            datastore = find.datastore(self.cluster, name)
        except RefusalError as error:
            self._note(find.told(self.turn, error), "DISK/DATASTORE", template.line, template.column)
            return None
        if template.datastore:
            access.authorize(self.turn, Right.USE, datastore)
        return datastore

    def _size_bytes(self, template: DiskTemplate, image: Image | None) -> int | None:
        size_bytes = template.size_mib * MIB
        if image is None:
            return size_bytes
        if size_bytes and size_bytes < image.virtual_size_bytes:
            need = mib_for(image.virtual_size_bytes)
            text = f"A disk of image {image.name} has to have at least {need} MB; SIZE says {template.size_mib}."
            self._note(text, "DISK/SIZE", template.line, template.column)
            return None
        return max(size_bytes, image.virtual_size_bytes)


def _why_not_ready(image: Image) -> str:
    if image.state is ImageState.DISABLED:
        return f"enable it (`inn image enable {image.name}`)"
    if image.error or image.operation_id is None:
        return image.error or "wait until the disk that it is made of is saved"
    return f"wait for its import (`inn operation wait {image.operation_id}`)"


def image_ref(cluster: Cluster, image: Image) -> ImageRef:
    """Return the image as hosts need to know it."""
    datastore = cluster.datastores.get(image.datastore)
    return ImageRef(
        image_id=image.image_id,
        name=image.name,
        datastore=datastore.at_hosts if datastore is not None else image.datastore,
        sha256=image.sha256,
        size_bytes=image.size_bytes,
        virtual_size_bytes=image.virtual_size_bytes,
        format=image.format,
    )


def _prefix_of(kind: DiskKind, image: Image | None) -> str:
    wanted = image.attributes.get("DEV_PREFIX", "").lower() if image is not None else ""
    if wanted in BUS_OF_PREFIX:
        return wanted
    return "hd" if kind is DiskKind.CDROM else "vd"


def _format(template: DiskTemplate, image: Image | None, kind: DiskKind, driver: str) -> DiskFormat:
    if image is None:
        return DiskFormat(template.format or "raw")
    as_it_is = kind is DiskKind.CDROM or driver == COPYING_DRIVER
    return image.format if as_it_is else DiskFormat.QCOW2


#: The transfer driver whose disks have their image's format; the disks of others are overlays.
COPYING_DRIVER = "copy"


def _free_target(prefix: str, taken: set[str]) -> str:
    """Return the first free device name, ``vda`` to ``vdz`` and ``vdaa`` to ``vdzz``; empty where there is none."""
    letters = (*string.ascii_lowercase, *map("".join, itertools.product(string.ascii_lowercase, repeat=2)))
    return next((target for each in letters if (target := prefix + each) not in taken), "")
