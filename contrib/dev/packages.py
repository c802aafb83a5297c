#!/usr/bin/env python3
"""Installs the Debian packages that real guests need (with ``--tests`` those of all tests), or says what is missing.

Runs on any Python 3.11 without anything installed. Never upgrades what is there already, never asks a question.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

#: Every package with what the project wants it for.
PACKAGES = {
    "libvirt-daemon-system": "a libvirtd for each host of the tests",
    "libvirt-daemon-driver-qemu": "guests without a daemon, in the demo",
    "libvirt-clients": "virsh, by which the tests look at what really runs",
    "libvirt-dev": "to build libvirt-python",
    "pkg-config": "to build libvirt-python",
    "qemu-system-x86": "the guests themselves",
    "qemu-utils": "qemu-img",
    "e2fsprogs": "mke2fs: file systems for guests",
    "cpio": "the guest's first file system",
    "xorriso": "a second opinion on context disks, in the tests",
    "bindfs": "a directory that libvirt takes for shared storage, in the tests",
    "iproute2": "the network of the tests",
    "iputils-ping": "the network of the tests",
    "nftables": "hosts that only half the network reaches, in the tests",
    "kmod": "asked by libvirt",
}
#: What only ``make test`` wants besides.
TEST_PACKAGES = {
    "postgresql": "the store on a server",
    "dosfstools": "mkfs.vfat: file systems of empty disks",
}
INSTALL = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends"]


def wanted(*, tests: bool) -> list[str]:
    """Return the packages that this machine should have: which ones depends on where its Python came from."""
    names = [*PACKAGES, *(TEST_PACKAGES if tests else ())]
    if not importlib.util.find_spec("ensurepip"):
        names.append("python3-venv")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        names.append("python3-dev")
    if not shutil.which("cc") and not shutil.which("gcc"):
        names.append("gcc")
    return names


def missing(names: list[str]) -> list[str]:
    """Return those of the packages that are not installed."""
    asked = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${Package}\n", *names],
        capture_output=True,
        text=True,
        check=False,  # it fails when it does not know one of them
    ).stdout
    installed = {line.split()[1] for line in asked.splitlines() if line.startswith("ii")}
    return [name for name in names if name not in installed]


def main() -> int:
    """Install what is missing; without root or apt only say so, since everything else works without."""
    if not shutil.which("apt-get"):
        sys.stdout.write(f"packages: no apt here; real guests need what Debian calls {' '.join(PACKAGES)}\n")
        return 0
    names = missing(wanted(tests="--tests" in sys.argv[1:]))
    if not names:
        return 0
    command = [*INSTALL, *names]
    if os.geteuid() != 0:
        sys.stdout.write(
            f"packages: not root, so nothing is installed. For real guests run:\n  sudo {shlex.join(command)}\n"
        )
        return 0
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (["apt-get", "-q", "update"], command):
        sys.stdout.write(f"packages: {shlex.join(argv)}\n")
        sys.stdout.flush()
        status = subprocess.run(argv, env=environment, check=False).returncode
        if status:
            sys.stderr.write(f"packages: {argv[0]} ended with {status}\n")
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
