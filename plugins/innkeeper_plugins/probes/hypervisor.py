"""What can run guests here: KVM or emulation, and the versions of QEMU and libvirt.

Opening ``/dev/kvm`` alone proves nothing: nested and paravirtual kernels offer a device that cannot run an ordinary
guest, so the processor has to show the flag as well.
"""

import os
import re
import shutil
from functools import lru_cache
from pathlib import Path

from innkeeper_plugins import commands
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.probes import cpu

KVM_DEVICE = Path("/dev/kvm")
VERSION_TIMEOUT_S = 10.0


def kvm_usable(device: Path = KVM_DEVICE) -> bool:
    """Say whether guests can run in hardware: the device opens and the processor has vmx or svm."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return bool(cpu.read().virtualization)


def parse_version(output: str) -> str:
    """Return the version in what ``qemu-system-* --version`` prints, empty where there is none."""
    found = re.search(r"version (\d+(?:\.\d+)+)", output)
    return found[1] if found else ""


def version_text(number: int) -> str:
    """Return libvirt's version number, ``9000000``, as people write it: ``9.0.0``."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"


def qemu_version(machine: str) -> str:
    """Return the version of this machine's QEMU, empty where it is not installed or does not start."""
    path = shutil.which(f"qemu-system-{machine}")
    return _version_of(path, Path(path).stat().st_mtime_ns) if path else ""


@lru_cache(maxsize=8)
def _version_of(path: str, _changed_ns: int) -> str:
    # Starting QEMU costs 30 ms: only after an upgrade again.
    try:
        printed = commands.run((path, "--version"), timeout_s=VERSION_TIMEOUT_S).stdout
    except DriverError:
        return ""
    return parse_version(printed.decode(errors="replace"))


def libvirt_version() -> str:
    """Return the version of the libvirt library, empty where its binding is not installed."""
    try:
        import libvirt  # start-up time: only hosts with the driver pay for it
    except ImportError:
        return ""
    return version_text(libvirt.getVersion())


def facts() -> dict[str, str | int | float]:
    """Return the facts of this machine's hypervisors; ``HYPERVISOR`` is empty where there is none."""
    qemu, kvm = qemu_version(os.uname().machine), kvm_usable()
    return {
        "HYPERVISOR": ("kvm" if kvm else "qemu") if qemu else "",
        "KVM": int(kvm),
        "QEMU_VERSION": qemu,
        "LIBVIRT_VERSION": libvirt_version(),
    }
