"""From a template's disk to a VM's disk: image, datastore, format and device name looked up and checked."""

import itertools
import string
from dataclasses import dataclass, field

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import Image, ImageState
from innkeeper_controller.requests import find
from innkeeper_controller.templates.vm import DiskTemplate
from innkeeper_controller.turn import Mistake, RefusalError
from innkeeper_plugins.vocabulary import Disk, DiskFormat, DiskKind, ImageRef

MIB = 1024 * 1024
#: Bus by the first letters of a disk's device name, as OpenNebula has it.
BUS_OF_PREFIX = {"vd": "virtio", "sd": "scsi", "hd": "ide"}
#: The device of the context disk.
CONTEXT_TARGET = "hda"


@dataclass(slots=True)
class Search:
    """Looks up what a template names, and gathers what is not there."""

    cluster: Cluster
    mistakes: list[Mistake] = field(default_factory=list)

    def image(self, wanted: str, what: str, *, line: int = 0, column: int = 0) -> Image | None:
        """Return the image if it can be used; otherwise note why not."""
        try:
            image = find.image(self.cluster, wanted)
        except RefusalError as error:
            self.mistakes.append(Mistake(message=str(error), field=what, line=line, column=column))
            return None
        if image.state is ImageState.READY:
            return image
        why = image.error or f"wait for its import (`inn operation wait {image.operation_id}`)"
        text = f"Image {image.name} is {image.state}: {why}."
        self.mistakes.append(Mistake(message=text, field=what, line=line, column=column))
        return None

    def disks(self, templates: tuple[DiskTemplate, ...]) -> tuple[Disk, ...]:
        """Return the disks that can be made of the templates; mistakes are noted."""
        taken = {CONTEXT_TARGET, *(template.target for template in templates)}
        found = [self._disk(template, number, taken) for number, template in enumerate(templates)]
        return tuple(disk for disk in found if disk is not None)

    def _disk(self, template: DiskTemplate, number: int, taken: set[str]) -> Disk | None:
        line, column = template.line, template.column
        image = self.image(template.image, "DISK/IMAGE", line=line, column=column) if template.image else None
        if template.image and image is None:
            return None
        name = template.datastore or (image.datastore if image else "default")
        datastore = self.cluster.datastores.get(name)
        if datastore is None:
            refusal = find.missing("datastore", name, self.cluster.datastores)
            self.mistakes.append(Mistake(message=str(refusal), field="DISK/DATASTORE", line=line, column=column))
            return None
        size_bytes = self._size_bytes(template, image)
        if size_bytes is None:
            return None
        kind = DiskKind.CDROM if image is not None and image.type == "cdrom" else template.kind
        target = template.target or _free_target(template.dev_prefix or _prefix_of(kind), taken)
        if not target:
            text = "There are more disks of one bus than device names for them; use another DEV_PREFIX."
            self.mistakes.append(Mistake(message=text, field="DISK", line=line, column=column))
            return None
        taken.add(target)
        return Disk(
            disk_id=number,
            kind=kind,
            datastore=name,
            driver=datastore.driver,
            format=_format(template, image, kind, datastore.driver),
            size_bytes=size_bytes,
            target=target,
            bus=BUS_OF_PREFIX.get(target[:2], "virtio"),
            readonly=template.readonly or kind is DiskKind.CDROM,
            cache=template.cache or "default",
            image=image_ref(image) if image else None,
            filesystem=template.filesystem,
        )

    def _size_bytes(self, template: DiskTemplate, image: Image | None) -> int | None:
        size_bytes = template.size_mib * MIB
        if image is None:
            return size_bytes
        if size_bytes and size_bytes < image.virtual_size_bytes:
            need = -(-image.virtual_size_bytes // MIB)
            text = f"A disk of image {image.name} has to have at least {need} MB; SIZE says {template.size_mib}."
            self.mistakes.append(Mistake(message=text, field="DISK/SIZE", line=template.line, column=template.column))
            return None
        return max(size_bytes, image.virtual_size_bytes)


def image_ref(image: Image) -> ImageRef:
    """Return the image as hosts need to know it."""
    return ImageRef(
        image_id=image.image_id,
        name=image.name,
        datastore=image.datastore,
        sha256=image.sha256,
        size_bytes=image.size_bytes,
        virtual_size_bytes=image.virtual_size_bytes,
        format=image.format,
    )


def _prefix_of(kind: DiskKind) -> str:
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
