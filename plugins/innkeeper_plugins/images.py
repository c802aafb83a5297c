"""Says what an untrusted image is, or why it is refused, from a child process that can take little of the host.

It must not convert, move or trust anything: format and sizes are found out here, digests elsewhere.
"""

import importlib
import os
import stat
import sys
from pathlib import Path
from typing import Any

import msgspec

from innkeeper_plugins import commands
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.transfer import qcow2_header
from innkeeper_plugins.transfer.qcow2_header import bad_image
from innkeeper_plugins.vocabulary import DiskFormat, Value

#: Larger disks are refused: no file system that we know of holds more in one file.
VIRTUAL_SIZE_LIMIT_BYTES = 16 * 1024**4
#: What the child may take; a walk over the tables of a full 1 TiB qcow2 takes about 3 s.
CHILD_LIMITS = commands.Limits(address_space_bytes=1024**3, cpu_s=60)
CHILD_TIMEOUT_S = 300.0
#: Every header that is known lies within this, VHDX's (its region table, then its metadata) last.
HEADER_BYTES = 4 * 1024 * 1024
#: As the inspector's own reader has it: some of its formats find the next header only in small steps.
CHUNK_BYTES = 4096

#: Layouts of a plain disk's content: the bytes are the disk, whatever is in them.
RAW_CONTENTS = frozenset({"raw", "gpt", "iso"})


class ImageFacts(Value):
    """What an image is."""

    format: DiskFormat
    #: Bytes that a guest sees.
    virtual_size_bytes: int
    #: Bytes of the file.
    size_bytes: int


class _Answer(Value):
    """What the child says: facts, or why the image is refused."""

    facts: ImageFacts | None = None
    refusal: str = ""


def inspect(path: Path, declared: DiskFormat | None) -> ImageFacts:
    """Find out what an untrusted image is, in a child process with little memory and time.

    Args:
        path: The file; no link is followed.
        declared: The format that its owner gave, None to take what is found.

    Raises:
        DriverError: ``bad_image`` with the reason; ``tool_failed`` or ``timeout`` where the child could not run.
    """
    argv = [sys.executable, "-I", "-m", "innkeeper_plugins.images", os.fspath(path), declared or ""]
    try:
        printed = commands.run(argv, timeout_s=CHILD_TIMEOUT_S, limits=CHILD_LIMITS).stdout
    except DriverError as error:
        if error.exit_status is not None and error.exit_status < 0:
            raise bad_image("its inspection took more time or memory than any sound image needs") from error
        raise
    answer = msgspec.json.decode(printed, type=_Answer)
    if answer.facts is None:
        raise DriverError(answer.refusal, code="bad_image")
    return answer.facts


def examine(path: Path, declared: DiskFormat | None) -> ImageFacts:
    """Do what ``inspect`` does, in this process: for the child, and for images of our own making.

    Raises:
        DriverError: ``bad_image``.
        OSError: the file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise bad_image("it is not a regular file")
        if status.st_size == 0:
            raise bad_image("it is empty")
        facts = _facts(descriptor, status.st_size, declared)
    finally:
        os.close(descriptor)
    if facts.virtual_size_bytes > VIRTUAL_SIZE_LIMIT_BYTES:
        raise bad_image(
            f"it says that it has {facts.virtual_size_bytes} bytes, and {VIRTUAL_SIZE_LIMIT_BYTES} is the limit"
        )
    return facts


def _facts(descriptor: int, size_bytes: int, declared: DiskFormat | None) -> ImageFacts:
    found = _recognise(descriptor)
    if declared is not None and found is not declared:
        raise bad_image(f"it was declared {declared} and is {found}")
    if found is DiskFormat.RAW:
        return ImageFacts(format=found, virtual_size_bytes=size_bytes, size_bytes=size_bytes)
    header = qcow2_header.parse_header(descriptor)
    qcow2_header.refuse_foreign_files(header, overlay=False)
    if header.encrypted:
        raise bad_image("it is encrypted")
    if header.incompatible_features & qcow2_header.CORRUPT:
        raise bad_image("it is marked corrupt: repair it with qemu-img check -r all")
    qcow2_header.check_contained(descriptor, header, size_bytes)
    return ImageFacts(format=found, virtual_size_bytes=header.virtual_size_bytes, size_bytes=size_bytes)


def _recognise(descriptor: int) -> DiskFormat:
    if os.pread(descriptor, len(qcow2_header.MAGIC), 0) == qcow2_header.MAGIC:
        # Before anything else, so that one cut off in its first sector does not pass for raw.
        _check_by_inspector(descriptor)
        return DiskFormat.QCOW2
    names = {str(match) for match in _matches(descriptor)}
    if names <= RAW_CONTENTS:
        return DiskFormat.RAW
    raise bad_image(f"it is {' and '.join(sorted(names))}; only qcow2 and raw are taken, so convert it with qemu-img")


def _check_by_inspector(descriptor: int) -> None:
    from oslo_utils.imageutils.format_inspector import ImageFormatError, SafetyCheckFailed

    matches = _matches(descriptor)
    names = {str(match) for match in matches}
    if names != {DiskFormat.QCOW2}:
        raise bad_image(f"it looks like {' and '.join(sorted(names | {'a damaged qcow2'}))} at once")
    try:
        matches[0].safety_check()
    except SafetyCheckFailed as error:
        mend = "; flatten it: qemu-img convert -O qcow2 IMAGE FLAT" if "backing_file" in error.failures else ""
        raise bad_image("; ".join(str(failure) for failure in error.failures.values()) + mend) from error
    except ImageFormatError as error:
        raise bad_image(str(error)) from error


def _matches(descriptor: int) -> list[Any]:  # of FileInspector, which ships no types we can import at start-up
    # Imported by the child alone: it costs 0.1 s and the agent never needs it.
    from oslo_utils.imageutils.format_inspector import InspectWrapper

    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        wrapper = InspectWrapper(file)
        read_bytes = 0
        while wrapper.formats is None and read_bytes < HEADER_BYTES and (chunk := wrapper.read(CHUNK_BYTES)):
            read_bytes += len(chunk)
        wrapper.close()
    return list(wrapper.formats or [])


def main(arguments: list[str]) -> None:
    """Examine the image named first, declared as the second says, and print the answer as JSON."""
    path, declared = arguments
    # Here, so that an installation without it is not taken for an image's fault.
    importlib.import_module("oslo_utils.imageutils.format_inspector")
    try:
        answer = _Answer(facts=examine(Path(path), DiskFormat(declared) if declared else None))
    except DriverError as error:
        answer = _Answer(refusal=str(error))
    except OSError as error:
        answer = _Answer(refusal=str(bad_image(f"it cannot be read: {error}")))
    except MemoryError:
        answer = _Answer(refusal=str(bad_image("its tables take more memory than any sound image needs")))
    except Exception as error:  # noqa: BLE001 - whatever an inspection trips over, the image made it
        answer = _Answer(refusal=str(bad_image(f"its inspection failed: {type(error).__name__}: {error}")))
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
