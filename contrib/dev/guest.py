#!/usr/bin/env python3
"""Builds the tiny guest that the demo and the end-to-end tests boot, from two Debian packages and ``guest/``.

Needs neither root nor loop devices, and never installs or starts anything.
"""

import argparse
import contextlib
import fcntl
import gzip
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECIPE = Path(__file__).resolve().parent / "guest"
#: Depends on the newest kernel that Debian makes for virtual machines.
KERNEL_METAPACKAGE = "linux-image-cloud-amd64"
#: Virtual size of the root disk; the file itself takes about 1 MiB.
DISK_SIZE_MIB = 32
#: What the guest is booted with: quiet, and without what only costs time in an emulator.
KERNEL_CMDLINE = (
    "root=/dev/vda rw console=ttyS0 quiet loglevel=3 panic=1 "
    "tsc=reliable no_timer_check nokaslr mitigations=off apparmor=0"
)
#: Drivers that the guest asks for; what these need comes by itself, what the kernel has built in is left out.
MODULES = (
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio_scsi",
    "virtio_balloon",
    "virtio_rng",
    "e1000",
    "sd_mod",
    "sr_mod",
    "ata_piix",
    "ahci",
    "isofs",
    "button",
    "evdev",
)
#: Where each file of the recipe goes: ``{file: (path in the guest, mode)}``.
FILES = {
    "greet": ("sbin/greet", 0o755),
    "power-button": ("sbin/power-button", 0o755),
    "inittab": ("etc/inittab", 0o644),
    "profile": ("etc/profile", 0o644),
    "status.cgi": ("www/cgi-bin/status", 0o755),
    "ping.cgi": ("www/cgi-bin/ping", 0o755),
    "fetch.cgi": ("www/cgi-bin/fetch", 0o755),
    "write.cgi": ("www/cgi-bin/write", 0o755),
}
DIRECTORIES = ("bin", "sbin", "etc", "dev", "proc", "sys", "run", "tmp", "media", "root", "var", "www/cgi-bin")


class BuildError(Exception):
    """The guest cannot be built on this machine; the text says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """The three files that make the guest; read-only, shared by everybody who asks."""

    kernel: Path
    initrd: Path
    #: A qcow2 image without a partition table: an ext4 file system.
    disk: Path


def cache_dir() -> Path:
    """Return the directory that built guests are kept in, outside the working tree."""
    base = os.environ.get("XDG_CACHE_HOME") or (Path.home() / ".cache")
    if os.access(base if Path(base).exists() else Path(base).parent, os.W_OK):
        return Path(base) / "innkeeper" / "guest"
    return Path(f"/var/tmp/innkeeper-{os.getuid()}/guest")  # noqa: S108 - named after the user, and checked below


def build(directory: Path | None = None) -> Guest:
    """Return the guest, built unless this very recipe has been built before.

    Raises:
        BuildError: a tool or package is missing; nothing half-made is left.
    """
    directory = directory or cache_dir()
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise BuildError(f"{directory} belongs to somebody else; set XDG_CACHE_HOME")
    target = directory / _recipe_key()
    guest = Guest(kernel=target / "vmlinuz", initrd=target / "initrd.gz", disk=target / "disk.qcow2")
    with _locked(directory / "lock"):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=directory, prefix="build-") as scratch:
                _build_into(Path(scratch), directory).rename(target)
    return guest


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _recipe_key() -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(RECIPE.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _build_into(scratch: Path, packages: Path) -> Path:
    kernel = _unpacked(_newest_kernel_package(), scratch / "kernel", packages)
    busybox = _unpacked("busybox-static", scratch / "busybox", packages) / "bin/busybox"
    output, root = scratch / "guest", scratch / "root"
    output.mkdir()
    shutil.copyfile(next(kernel.glob("boot/vmlinuz-*")), output / "vmlinuz")
    _make_root(root, busybox)
    _make_disk(root, output / "disk.qcow2")
    _add_modules(root, kernel)
    shutil.copyfile(RECIPE / "init", root / "init")
    (root / "init").chmod(0o755)
    _make_initrd(root, output / "initrd.gz")
    return output


def _newest_kernel_package() -> str:
    depends = _run("apt-cache", "depends", KERNEL_METAPACKAGE)
    found = re.search(r"Depends: (linux-image-\d\S+)", depends)
    if not found:
        raise BuildError(f"apt knows no {KERNEL_METAPACKAGE}; run 'apt-get update' as root")
    return found[1]


def _unpacked(package: str, target: Path, packages: Path) -> Path:
    """Return the files of a Debian package, downloaded unless it was kept from an earlier build."""
    if not list(packages.glob(f"{package}_*.deb")):
        with tempfile.TemporaryDirectory(dir=packages, prefix="download-") as download:
            _run("apt-get", "-qq", "download", package, cwd=Path(download))
            for deb in Path(download).glob("*.deb"):
                deb.rename(packages / deb.name)
    _run("dpkg-deb", "-x", str(next(packages.glob(f"{package}_*.deb"))), str(target))
    return target


def _make_root(root: Path, busybox: Path) -> None:
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    for applet in _run(str(busybox), "--list").split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "sbin/init").symlink_to("../bin/busybox")
    for name, (path, mode) in FILES.items():
        shutil.copyfile(RECIPE / name, root / path)
        (root / path).chmod(mode)


def _make_disk(root: Path, disk: Path) -> None:
    raw = disk.with_suffix(".raw")
    with raw.open("wb") as file:
        file.truncate(DISK_SIZE_MIB << 20)
    _run("mke2fs", "-q", "-t", "ext4", "-m", "0", "-E", "root_owner=0:0", "-d", str(root), str(raw))
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", str(raw), str(disk))
    raw.unlink()


def _add_modules(root: Path, kernel: Path) -> None:
    """Put the modules into the guest with a list of them in the order in which they can be loaded."""
    available = {
        path.name.split(".")[0].replace("-", "_"): path for path in kernel.glob("lib/modules/*/kernel/**/*.ko*")
    }
    images: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in images or name not in available:
            return
        image = _module_image(available[name])
        for needed in _needs(image):
            add(needed)
        images[name] = image

    for name in MODULES:
        add(name)
    directory = root / "modules"
    directory.mkdir()
    for name, image in images.items():
        (directory / f"{name}.ko").write_bytes(image)
    (directory / "order").write_text("".join(f"{name}.ko\n" for name in images))


def _module_image(path: Path) -> bytes:
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def _needs(module: bytes) -> list[str]:
    """Return the names of the modules that this one says it depends on."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    names = found[1].decode() if found else ""
    return [name.replace("-", "_") for name in names.split(",") if name]


def _make_initrd(root: Path, initrd: Path) -> None:
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    archive = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"],
        cwd=root,
        input="\n".join(names).encode(),
        capture_output=True,
        check=True,
    ).stdout
    initrd.write_bytes(gzip.compress(archive, mtime=0))


def _run(*argv: str, cwd: Path | None = None) -> str:
    try:
        # mke2fs lies in a directory that is not on everybody's PATH.
        environment = {**os.environ, "LC_ALL": "C", "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
        return subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, check=True, text=True).stdout
    except FileNotFoundError as error:
        raise BuildError(f"{argv[0]} is not installed; run 'make packages' as root") from error
    except subprocess.CalledProcessError as error:
        raise BuildError(f"{' '.join(argv)} failed: {error.stderr.strip()}") from error


def main() -> int:
    """Build the guest and print where its files are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, help="directory to keep built guests in")
    try:
        guest = build(parser.parse_args().cache)
    except BuildError as error:
        sys.stderr.write(f"guest: {error}\n")
        return 1
    sys.stdout.write(f"kernel {guest.kernel}\ninitrd {guest.initrd}\ndisk   {guest.disk}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
