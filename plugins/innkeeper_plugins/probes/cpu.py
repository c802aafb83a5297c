"""The processors: model, flags, cores and whether they can run guests in hardware.

The clock rate is left out: it changes all the time and would make the host advertise itself anew.
"""

import platform
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
#: Flags of hardware virtualization: Intel's and AMD's.
VIRTUALIZATION_FLAGS = ("vmx", "svm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processors of a machine, taken to be all of one kind."""

    model: str
    vendor: str
    flags: tuple[str, ...]
    #: Physical cores.
    cores: int
    #: Logical processors: what guests are counted in.
    threads: int

    @property
    def virtualization(self) -> str:
        """``vmx``, ``svm`` or empty."""
        return next((flag for flag in VIRTUALIZATION_FLAGS if flag in self.flags), "")


def parse(cpuinfo: str) -> Cpu:
    """Read the text of ``/proc/cpuinfo``; what an architecture does not print is empty."""
    processors = [_fields(block) for block in cpuinfo.strip().split("\n\n") if "processor" in block]
    first = processors[0] if processors else {}
    cores = {(one["physical id"], one["core id"]) for one in processors if "physical id" in one and "core id" in one}
    return Cpu(
        model=first.get("model name", ""),
        vendor=first.get("vendor_id", ""),
        flags=tuple(sorted((first.get("flags") or first.get("Features") or "").split())),
        cores=len(cores) or len(processors),
        threads=len(processors),
    )


def _fields(block: str) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in block.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def read() -> Cpu:
    """Return this machine's processors."""
    return parse(CPUINFO.read_text(encoding="utf-8", errors="replace"))


def facts() -> dict[str, str | int | float]:
    """Return the facts of this machine's processors."""
    cpu = read()
    return {
        "ARCH": platform.machine(),
        "CPU_MODEL": cpu.model,
        "CPU_VENDOR": cpu.vendor,
        "CPU_FLAGS": " ".join(cpu.flags),
        "CPU_CORES": cpu.cores,
        "CPU_THREADS": cpu.threads,
        "CPU_VIRTUALIZATION": cpu.virtualization,
    }
