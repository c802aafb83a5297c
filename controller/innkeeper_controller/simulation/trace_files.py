"""Opens traces: plain or compressed, CSV or SWF, told apart by what is in them and by name.

What the lines mean is ``traces``' business.
"""

import gzip
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from innkeeper_controller.simulation.traces import (
    CSV_COLUMNS,
    DEFAULT_MEMORY_GIB,
    SWF_COLUMNS,
    Trace,
    TraceError,
    read_csv,
    read_swf,
)

_GZIP_MAGIC: Final = b"\x1f\x8b"
_BLOCK_BYTES: Final = 1 << 20
#: Of the text, after decompression.
MAX_TRACE_BYTES: Final = 1 << 30
MAX_LINE_BYTES: Final = 64 * 1024
_SUFFIXES: Final = {".csv": "csv", ".swf": "swf"}


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_trace(path: Path, *, memory_gib: float = DEFAULT_MEMORY_GIB) -> Trace:
    """Return the trace of a file.

    Args:
        path: CSV with a header, or SWF; may be compressed by gzip.
        memory_gib: Of each VM of SWF jobs that ask for no amount of memory.

    Raises:
        TraceError: it is neither, is damaged, or has a line that means nothing.
        OSError: it cannot be read.
    """
    with path.open("rb") as raw:
        is_gzip = raw.peek(2)[:2] == _GZIP_MAGIC
        try:
            lines = _lines(path.name, gzip.GzipFile(fileobj=raw) if is_gzip else raw)
            head = list(itertools.islice(lines, 200))
            whole = itertools.chain(head, lines)
            if _kind(path, head) == "csv":
                return read_csv(path.name, whole)
            return read_swf(path.name, whole, memory_gib=memory_gib)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise TraceError(f"{path.name} is damaged: {error}; fetch it anew.") from error


def _lines(name: str, stream: _Stream) -> Iterator[str]:
    """Give the lines of a file that may be hostile: neither it nor a line of it grows without end."""
    rest, seen_bytes = b"", 0
    while block := stream.read(_BLOCK_BYTES):
        seen_bytes += len(block)
        *lines, rest = (rest + block).split(b"\n")
        if seen_bytes > MAX_TRACE_BYTES or len(rest) > MAX_LINE_BYTES:
            limit = f"{MAX_TRACE_BYTES >> 20} MiB, nor {MAX_LINE_BYTES} bytes in a line"
            raise TraceError(f"{name} is too large: a trace has no more than {limit}.")
        for line in lines:
            yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


def _kind(path: Path, head: list[str]) -> str:
    """Return ``csv`` or ``swf``: by the first line that says something, then by name."""
    first = next((line.strip().lstrip("\ufeff") for line in head if line.strip()), "")
    if first.startswith(";") or len(first.split()) == SWF_COLUMNS:
        return "swf"
    if CSV_COLUMNS[0] in first:
        return "csv"
    for suffix in reversed(path.suffixes):
        if suffix.lower() in _SUFFIXES:
            return _SUFFIXES[suffix.lower()]
    expected = f"a CSV that begins with {','.join(CSV_COLUMNS)}, or SWF with {SWF_COLUMNS} columns"
    raise TraceError(f"{path.name}:1: this is no trace; expected is {expected}.")
