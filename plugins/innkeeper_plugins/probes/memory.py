"""The memory: how much there is, how much is in use, and the huge pages set aside."""

from dataclasses import dataclass
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The memory of a machine."""

    total_mib: int
    #: What programs could still get without swapping.
    available_mib: int
    swap_mib: int
    #: Huge pages of the default size, used or not.
    huge_pages: int
    huge_page_size_kib: int


def parse(meminfo: str) -> Memory:
    """Read the text of ``/proc/meminfo``; what an old kernel does not print is 0."""
    fields = {}
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        number = value.split()[:1]
        if number and number[0].isdecimal():
            fields[name.strip()] = int(number[0])
    return Memory(
        total_mib=fields.get("MemTotal", 0) // KIB_PER_MIB,
        available_mib=fields.get("MemAvailable", fields.get("MemFree", 0)) // KIB_PER_MIB,
        swap_mib=fields.get("SwapTotal", 0) // KIB_PER_MIB,
        huge_pages=fields.get("HugePages_Total", 0),
        huge_page_size_kib=fields.get("Hugepagesize", 0),
    )


def read() -> Memory:
    """Return this machine's memory."""
    return parse(MEMINFO.read_text(encoding="utf-8"))


def facts() -> dict[str, str | int | float]:
    """Return the facts of this machine's memory that stay as they are."""
    memory = read()
    return {
        "TOTAL_MEMORY_MIB": memory.total_mib,
        "SWAP_MIB": memory.swap_mib,
        "HUGE_PAGES": memory.huge_pages,
        "HUGE_PAGE_SIZE_KIB": memory.huge_page_size_kib,
    }
