"""Reads and writes a disk as its guest would see it, for drivers whose disks are files.

It must not be used on a disk that a guest has open.
"""

from pathlib import Path

from innkeeper_plugins import commands
from innkeeper_plugins.vocabulary import DiskFormat

TIMEOUT_S = 60.0


def read_disk(path: Path, format_: DiskFormat) -> bytes:
    """Return all bytes that the guest sees."""
    if format_ is DiskFormat.RAW:
        return path.read_bytes()
    plain = path.with_name(f"{path.name}.seen")
    try:
        argv = ("qemu-img", "convert", "-f", format_, "-O", DiskFormat.RAW, str(path), str(plain))
        commands.run(argv, timeout_s=TIMEOUT_S)
        return plain.read_bytes()
    finally:
        plain.unlink(missing_ok=True)


def write_sector(path: Path, format_: DiskFormat, byte: int) -> None:
    """Fill the guest's first sector with a byte."""
    if format_ is DiskFormat.RAW:
        with path.open("r+b") as file:
            file.write(bytes([byte]) * 512)
    else:
        commands.run(("qemu-io", "-f", format_, "-c", f"write -P {byte} 0 512", str(path)), timeout_s=TIMEOUT_S)


def make_image(path: Path, content: bytes, format_: DiskFormat) -> Path:
    """Make an image file that shows a guest this content."""
    path.write_bytes(content)
    if format_ is DiskFormat.RAW:
        return path
    image = path.with_name(f"{path.name}.{format_}")
    argv = ("qemu-img", "convert", "-f", DiskFormat.RAW, "-O", format_, str(path), str(image))
    commands.run(argv, timeout_s=TIMEOUT_S)
    path.unlink()
    return image
