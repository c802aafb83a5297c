"""What ``[drivers.libvirt]`` in the agent's configuration may say, and what follows from the URI.

Nothing here speaks to libvirt: options are checked before a connection is opened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec

from innkeeper_plugins.vocabulary import Value


class LibvirtOptions(Value, forbid_unknown_fields=True):
    """The driver's configuration; every key has a default that suits a Debian host."""

    #: Where the guests run: ``qemu:///system``, ``qemu:///session``, ``qemu+unix:///system?socket=/path``,
    #: ``qemu:///embed?root=/path``, ``test:///default``.
    uri: str = "qemu:///system"
    #: ``auto`` takes ``kvm`` only where the device opens and the processor has vmx or svm.
    domain_type: Literal["auto", "kvm", "qemu", "test"] = "auto"
    #: Path of the emulator; empty lets libvirt choose.
    emulator: str = ""
    #: Machine of guests that name none; empty for ``pc`` on x86.
    machine: str = ""
    #: Processor of guests that name none: a libvirt model, ``host-passthrough`` or ``host-model``.
    cpu: str = ""
    #: Translation cache of an emulated guest; QEMU's own choice, 0, is 1 GiB at most and takes what it can.
    tb_cache_mib: int = 32
    #: Where this host takes live migrations, ``qemu+tcp://10.0.0.7/system``.
    migration_uri: str = ""
    #: Short for that URI: the address alone.
    migration_address: str = ""
    #: Migrate with shared storage even where libvirt takes the cache mode and file system for unsafe.
    unsafe_migration: bool = False
    #: True where NICs without a bridge get user-mode networking; false refuses them.
    user_network: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What one of libvirt's drivers understands."""

    capabilities: frozenset[str]
    #: True where verbs take flags; libvirt's test driver refuses every flag.
    flags: bool
    #: Type of domain where the configuration says ``auto``; empty to look at the host.
    domain_type: str = ""


SYSTEM = Dialect(
    capabilities=frozenset({"console", "save", "events", "hotplug", "snapshot", "resize", "numa", "pci"}), flags=True
)
TEST = Dialect(capabilities=frozenset({"save", "events", "snapshot"}), flags=False, domain_type="test")


def parse_options(config: Mapping[str, Any]) -> LibvirtOptions:
    """Read the driver's section of the configuration.

    Raises:
        msgspec.ValidationError: an unknown key, or a value of the wrong kind.
        ValueError: a URI that is not supported.
    """
    options = msgspec.convert(dict(config), type=LibvirtOptions)
    dialect_of(options.uri)
    return options


def dialect_of(uri: str) -> Dialect:
    """Return what the hypervisor behind the URI understands.

    Raises:
        ValueError: not one that this driver knows.
    """
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme == "qemu":
        return SYSTEM
    if scheme == "test":
        return TEST
    raise ValueError(f"uri = {uri!r}: only qemu: and test: URIs are supported")


def embed_root(uri: str) -> Path | None:
    """Return the directory of an embedded hypervisor, None for every other URI."""
    parts = urlsplit(uri)
    if parts.path != "/embed":
        return None
    return Path(parse_qs(parts.query).get("root", ["/"])[0])


def migration_uri(options: LibvirtOptions) -> str:
    """Return where this host takes live migrations; empty where nothing listens or nothing is configured."""
    parts = urlsplit(options.uri)
    if parts.scheme.partition("+")[0] != "qemu" or parts.path != "/system":
        return ""
    if options.migration_uri or not options.migration_address:
        return options.migration_uri
    address = options.migration_address
    return f"qemu+tcp://[{address}]/system" if ":" in address else f"qemu+tcp://{address}/system"
