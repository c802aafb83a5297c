"""Says what this host lacks, each with the command that mends it; changes nothing.

What a driver needs, the driver itself says when it is tried.
"""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from innkeeper_hostagent import identity
from innkeeper_hostagent.config import Config, DatastoreConfig, driver_section
from innkeeper_hostagent.identity import Membership, NotJoinedError
from innkeeper_hostagent.journal import JOURNAL, JournalError, locked
from innkeeper_hostagent.protocol import sockets
from innkeeper_hostagent.protocol.errors import ProtocolError
from innkeeper_plugins.commands import ADMIN_PATH, PACKAGES
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.protocols import HypervisorDriver
from innkeeper_plugins.registry import PluginError, Registry
from innkeeper_plugins.vocabulary import DriverKind, Value

KVM: Final = Path("/dev/kvm")
_CPU_FLAGS: Final = Path("/proc/cpuinfo")
_CONNECT_TIMEOUT_S: Final = 3.0
_INSTALL_LIBVIRT: Final = (
    "apt install libvirt-daemon-system qemu-system-x86 libvirt-dev pkg-config gcc; pip install innkeeper[libvirt]"
)
#: Transfer drivers and the tools that they run.
_TOOLS: Final = {
    "qcow2": ("qemu-img", "mkfs.ext4", "mkswap"),
    "copy": ("qemu-img", "mkfs.ext4", "mkswap"),
    "shared": ("qemu-img", "mkfs.ext4", "mkswap"),
}


class Finding(Value):
    """One thing that was looked at."""

    #: What it is about, a few words.
    what: str
    ok: bool
    #: One sentence where it is not as it should be.
    problem: str = ""
    #: The command that mends it.
    mend: str = ""
    #: Without it the agent does not work; else only something is missing or slow.
    needed: bool = True


def findings(config: Config, registry: Registry) -> Iterator[Finding]:
    """Yield what was found, one thing after the other."""
    yield _library()
    yield from _membership(config)
    for name, store in config.datastores.items():
        yield _datastore(name, store)
    for directory in config.imports.dirs:
        yield _directory("import directory", directory, writable=False)
    yield from _transfer_drivers(config, registry)
    yield from _hypervisors(config, registry)
    if "libvirt" in config.hypervisors:
        yield _kvm()
    for problem in registry.problems:
        mend = "pip install --upgrade, or uninstall it"
        yield Finding(what=f"plugin {problem.plugin}", ok=False, problem=problem.reason, mend=mend, needed=False)


def _library() -> Finding:
    try:
        sockets.new_context().term()
    except ProtocolError as error:
        return Finding(what="ZeroMQ", ok=False, problem=str(error), mend="pip install --upgrade pyzmq")
    return Finding(what="ZeroMQ", ok=True)


def _membership(config: Config) -> Iterator[Finding]:
    what = "membership"
    try:
        membership = identity.load(config.state_dir)
    except NotJoinedError as error:
        mend = "on the controller: inn host add NAME; here: inn-agent join TOKEN"
        yield Finding(what=what, ok=False, problem=str(error), mend=mend)
        return
    yield Finding(what=f"{what} of {membership.host_name} at {membership.endpoint}", ok=True)
    yield _controller(membership)


def _controller(membership: Membership) -> Finding:
    what = f"controller {membership.endpoint}"
    parts = urlsplit(membership.endpoint)
    if parts.scheme != "tcp" or parts.hostname is None or parts.port is None:
        return Finding(what=what, ok=True)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError as error:
        mend = f"there: systemctl start inn-controller; nft add rule inet filter input tcp dport {parts.port} accept"
        return Finding(what=what, ok=False, problem=f"cannot be reached: {error}", mend=mend, needed=False)
    return Finding(what=what, ok=True)


def _datastore(name: str, store: DatastoreConfig) -> Finding:
    if store.shared or store.path.exists():
        return _directory(f"datastore {name}", store.path)
    existing = next(parent for parent in store.path.parents if parent.exists())
    return _directory(f"datastore {name} (will be made) in", existing)


def _directory(what: str, path: Path, *, writable: bool = True) -> Finding:
    named = f"{what} {path}"
    if not path.is_dir():
        return Finding(what=named, ok=False, problem="does not exist", mend=f"install -d -m 711 {path}")
    if writable and not os.access(path, os.W_OK | os.X_OK):
        return Finding(what=named, ok=False, problem="cannot be written to", mend=f"chown {os.geteuid()} {path}")
    return Finding(what=named, ok=True)


def _transfer_drivers(config: Config, registry: Registry) -> Iterator[Finding]:
    for name in sorted({name for store in config.datastores.values() for name in store.drivers}):
        what = f"transfer driver {name}"
        try:
            registry.transfer(name, driver_section(config, DriverKind.TRANSFER, name))
        except PluginError as error:
            yield Finding(what=what, ok=False, problem=str(error), mend="change drivers in [datastores] of agent.toml")
            continue
        for tool in _TOOLS.get(name, ()):
            yield _tool(what, tool)


def _tool(what: str, tool: str) -> Finding:
    if shutil.which(tool, path=f"{os.environ.get('PATH', os.defpath)}:{ADMIN_PATH}"):
        return Finding(what=f"{what}: {tool}", ok=True)
    return Finding(what=f"{what}: {tool}", ok=False, problem="is not installed", mend=f"apt install {PACKAGES[tool]}")


def _hypervisors(config: Config, registry: Registry) -> Iterator[Finding]:
    for name in config.hypervisors:
        what = f"hypervisor {name}"
        try:
            driver = registry.hypervisor(name, driver_section(config, DriverKind.HYPERVISOR, name))
        except PluginError as error:
            yield Finding(what=what, ok=False, problem=str(error), mend=_INSTALL_LIBVIRT)
            continue
        yield _tried(what, driver, agent_runs=_agent_runs(config))


def _agent_runs(config: Config) -> bool:
    """Return whether an agent runs now with this state directory."""
    path = config.state_dir / JOURNAL
    try:
        if path.exists():
            with locked(path):
                return False
    except JournalError:
        return True
    except OSError:
        # Somebody else's directory, as one who is not root sees it.
        return False
    return False


def _tried(what: str, driver: HypervisorDriver, *, agent_runs: bool) -> Finding:
    try:
        driver.poll()
    except DriverError as error:
        words = error.stderr.strip()
        problem = f"{error} ({words})" if words and words not in str(error) else str(error)
        mend = "systemctl enable --now libvirtd; usermod -aG libvirt for a user other than root"
        if agent_runs:
            mend = (
                "nothing, if the agent that runs now has it for itself (qemu:///embed); else stop that and check again"
            )
        return Finding(what=what, ok=False, problem=problem, mend=mend, needed=not agent_runs)
    finally:
        driver.close()
    return Finding(what=what, ok=True)


def _kvm() -> Finding:
    what = "hardware virtualisation"
    flags = _CPU_FLAGS.read_text(encoding="utf-8", errors="replace").split() if _CPU_FLAGS.exists() else []
    if "vmx" not in flags and "svm" not in flags:
        mend = "switch VT-x or AMD-V on in the machine's firmware, or nested virtualisation in the outer hypervisor"
        return Finding(
            what=what, ok=False, problem="the processor shows none: guests are slow", mend=mend, needed=False
        )
    if not os.access(KVM, os.R_OK | os.W_OK):
        mend = "modprobe kvm_intel || modprobe kvm_amd; usermod -aG kvm for a user other than root"
        return Finding(what=what, ok=False, problem=f"{KVM} cannot be opened: guests are slow", mend=mend, needed=False)
    return Finding(what=what, ok=True)
