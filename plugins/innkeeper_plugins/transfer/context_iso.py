"""Makes the context disk: an ISO 9660 image with what a guest is told at boot.

It must not depend on the clock or the host: the same VM gives the same bytes.
"""

import io
import struct

import pycdlib

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer.context_files import context_files
from innkeeper_plugins.vocabulary import Vm

#: The variable of the context that chooses who finds the disk.
FORMAT_VARIABLE = "CONTEXT_FORMAT"
#: Guests look for the disk by its label, and a disk has only one: ``{format: label}``.
LABELS = {"one": "CONTEXT", "nocloud": "cidata"}
DEFAULT_FORMAT = "one"

SECTOR_BYTES = 2048
FIRST_DESCRIPTOR_SECTOR = 16
PRIMARY, SUPPLEMENTARY, TERMINATOR = 1, 2, 255
DESCRIPTOR_DATES = slice(813, 813 + 4 * 17)
#: "Not specified", as ECMA-119 8.4.26.1 writes it, in all four dates of a volume.
NO_DATES = (b"0" * 16 + b"\0") * 4
#: A volume's root directory record: sector and size of the directory, at these places of its descriptor.
ROOT_RECORD = 156
EXTENT = struct.Struct("<2xI4xI")
RECORD_DATE = slice(18, 25)
#: 1 January 1980, 00:00 UTC: the first date that every guest's clock can tell.
FIXED_DATE = bytes((80, 1, 1, 0, 0, 0, 0))
#: Rock Ridge's time stamps: signature, length, version, flags, then a date for each flag set.
STAMP = b"TF"
STAMP_HEAD_BYTES = 5


def context_iso(vm: Vm) -> bytes:
    """Return the VM's context disk.

    Raises:
        DriverError: ``refused``: the context cannot be told to a guest.
    """
    image = pycdlib.PyCdlib()
    # Rock Ridge gives Linux the real names, Joliet gives them to Windows.
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=_label(vm))
    for number, (name, content) in enumerate(sorted(context_files(vm).items())):
        image.add_fp(
            io.BytesIO(content),
            len(content),
            f"/FILE{number}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
            file_mode=0o100444,
        )
    written = io.BytesIO()
    image.write_fp(written)
    image.close()
    return _without_dates(bytearray(written.getvalue()))


def _label(vm: Vm) -> str:
    wanted = vm.context.get(FORMAT_VARIABLE, DEFAULT_FORMAT).lower()
    if wanted not in LABELS:
        raise DriverError(f"{FORMAT_VARIABLE} is {wanted!r}: use {' or '.join(sorted(LABELS))}", code="refused")
    return LABELS[wanted]


def _without_dates(iso: bytearray) -> bytes:
    # pycdlib writes the time of day and the host's time zone into every record and takes no other.
    sector = FIRST_DESCRIPTOR_SECTOR
    while (kind := iso[sector * SECTOR_BYTES]) != TERMINATOR:
        if kind in {PRIMARY, SUPPLEMENTARY}:
            descriptor = memoryview(iso)[sector * SECTOR_BYTES : (sector + 1) * SECTOR_BYTES]
            descriptor[DESCRIPTOR_DATES] = NO_DATES
            descriptor[ROOT_RECORD:][RECORD_DATE] = FIXED_DATE
            directory_sector, size_bytes = EXTENT.unpack_from(descriptor, ROOT_RECORD)
            start = directory_sector * SECTOR_BYTES
            _fix_directory(memoryview(iso)[start : start + size_bytes])
        sector += 1
    return bytes(iso)


def _fix_directory(directory: memoryview) -> None:
    # All of our files have short names, so the directory is one sector and no record continues elsewhere.
    offset = 0
    while offset < len(directory) and directory[offset]:
        record = directory[offset : offset + directory[offset]]
        record[RECORD_DATE] = FIXED_DATE
        _fix_stamps(record)
        offset += len(record)


def _fix_stamps(record: memoryview) -> None:
    name_bytes = record[32]
    offset = 33 + name_bytes + (1 - name_bytes % 2)
    while offset + STAMP_HEAD_BYTES <= len(record) and record[offset + 2]:
        entry = record[offset : offset + record[offset + 2]]
        if entry[:2] == STAMP:
            dates = (len(entry) - STAMP_HEAD_BYTES) // len(FIXED_DATE)
            entry[STAMP_HEAD_BYTES:] = FIXED_DATE * dates
        offset += len(entry)
