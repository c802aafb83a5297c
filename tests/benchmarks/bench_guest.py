"""A real guest: from the request to the first line on its console, beside the same guest started by hand."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fleet import Fleet, fleet

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "contrib" / "dev"))

import guest

RUNS = 5
MEMORY_MIB = 128
BOUND = 1.2
TIMEOUT_S = 120.0
TEMPLATE = f"""\
NAME = "bench"
CPU = 1
MEMORY = {MEMORY_MIB}
DISK = [ IMAGE = "disk" ]
OS = [ KERNEL = "kernel", INITRD = "initrd", KERNEL_CMD = "{guest.KERNEL_CMDLINE}" ]
"""


@contextlib.contextmanager
def real_host(host: Fleet) -> Iterator[Path]:
    """Add a host with QEMU of its own and give the directory of its datastore."""
    directory = host.directory / "host"
    directory.mkdir()
    # libvirt's sockets lie in it, so its path has to be short.
    qemu_root = tempfile.mkdtemp(prefix="ib-", dir="/tmp")
    (directory / "agent.toml").write_text(
        f'state_dir = "{directory}/state"\nhypervisors = ["libvirt"]\n'
        f'[datastores.default]\npath = "{directory}/datastore"\n'
        f'[bulk]\nlisten = "tcp://127.0.0.1:{_free_port()}"\n'
        f'[drivers.libvirt]\nuri = "qemu:///embed?root={qemu_root}"\n'
    )
    command = str(Path(sys.executable).with_name("inn-agent"))
    options = ["--config", str(directory / "agent.toml")]
    token = host.client.call("host.add", name="real")["join_token"]
    subprocess.run([command, "join", token, *options], check=True, stdout=subprocess.DEVNULL)
    with (directory / "agent.log").open("wb") as log:
        agent = subprocess.Popen([command, "run", *options], stdout=log, stderr=log)
    try:
        # It is on before it has said what it has.
        _wait(lambda: host.client.call("host.show", host="real")["capacity"].get("cpu_cores", 0) > 0, "the host is on")
        yield directory / "datastore"
    finally:
        agent.terminate()
        agent.wait(timeout=30)
        shutil.rmtree(qemu_root)


def add_images(host: Fleet, files: guest.Guest) -> None:
    """Upload and import what the guest boots from."""
    for name, path in (("disk", files.disk), ("kernel", files.kernel), ("initrd", files.initrd)):
        with path.open("rb") as file:
            uploaded = host.client.upload(file, path.stat().st_size)
        image = host.client.call(
            "image.add",
            name=name,
            type={"disk": "os", "kernel": "kernel", "initrd": "ramdisk"}[name],
            upload=True,
            sha256=uploaded["sha256"],
            size_bytes=uploaded["size_bytes"],
        )
        host.client.wait_operation(image["operation_id"], timeout_s=TIMEOUT_S)


def through_innkeeper_s(host: Fleet, datastore: Path) -> float:
    """Return the time from the request until the guest's first line is in its console log."""
    began = time.perf_counter()
    (vm_id,) = host.client.call("vm.submit", template=TEMPLATE)["vm_ids"]
    logs = lambda: list(datastore.glob(f"vms/{vm_id}/console.log"))  # noqa: E731 - asked again and again
    _wait(lambda: any(b"\n" in log.read_bytes() for log in logs()), "the first line")
    took_s = time.perf_counter() - began
    operation = host.client.call("vm.terminate", vm_id=vm_id, hard=True)["operation_id"]
    host.client.wait_operation(operation, timeout_s=TIMEOUT_S)
    return took_s


def bare_s(files: guest.Guest, directory: Path) -> float:
    """Return the time from starting QEMU by hand, overlay made first, until the guest's first line."""
    console, overlay = directory / "console.log", directory / "overlay.qcow2"
    for path in (console, overlay):
        path.unlink(missing_ok=True)
    began = time.perf_counter()
    form = "qcow2" if files.disk.suffix == ".qcow2" else "raw"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", form, "-b", str(files.disk), str(overlay)], check=True
    )
    qemu = subprocess.Popen(
        [
            *("qemu-system-x86_64", "-machine", "pc", "-accel", "tcg,tb-size=32", "-cpu", "Nehalem", "-nodefaults"),
            *("-m", str(MEMORY_MIB), "-smp", "1", "-display", "none", "-serial", f"file:{console}"),
            *("-kernel", str(files.kernel), "-initrd", str(files.initrd), "-append", guest.KERNEL_CMDLINE),
            *(
                "-drive",
                f"file={overlay},if=virtio,format=qcow2",
                "-device",
                "virtio-balloon",
                "-device",
                "virtio-rng-pci",
            ),
        ]
    )
    try:
        _wait(lambda: console.exists() and b"\n" in console.read_bytes(), "the first line")
        return time.perf_counter() - began
    finally:
        os.kill(qemu.pid, signal.SIGKILL)
        qemu.wait()


def _wait(holds: object, what: str) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline_s:
        if holds():  # type: ignore[operator]
            return
        time.sleep(0.01)
    raise TimeoutError(what)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rows() -> list[dict[str, object]]:
    """Measure both in turn, so that a busy moment of the machine hits both."""
    files = guest.build()
    ours, theirs = [], []
    with fleet() as host, real_host(host) as datastore, tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        add_images(host, files)
        through_innkeeper_s(host, datastore)
        bare_s(files, Path(directory))
        for _ in range(RUNS):
            ours.append(through_innkeeper_s(host, datastore))
            theirs.append(bare_s(files, Path(directory)))
    ratio = sorted(ours)[RUNS // 2] / sorted(theirs)[RUNS // 2]
    return [
        {
            "name": f"real guest, request to first console line (bare qemu {sorted(theirs)[RUNS // 2]:.2f} s)",
            "value": round(ratio, 3),
            "unit": "x bare qemu",
            "bound": f"<= {BOUND}",
            "holds": ratio <= BOUND,
        }
    ]
