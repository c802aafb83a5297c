"""The agent's configuration: one TOML file, read once, with every mistake told at once.

It looks nothing up: whether a path exists or a driver can be had, ``check`` says.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from innkeeper_hostagent.addresses import parse_networks
from innkeeper_plugins.daemons import configuration
from innkeeper_plugins.daemons.configuration import LogConfig, log_mistakes
from innkeeper_plugins.probes import pci
from innkeeper_plugins.vocabulary import Capacity, DriverKind, Value

DEFAULT_PATH: Final = Path("/etc/innkeeper/agent.toml")
DEFAULT_STATE_DIR: Final = Path("/var/lib/innkeeper-agent")
DEFAULT_DATASTORE_DIR: Final = Path("/var/lib/innkeeper/datastores/default")


class DatastoreConfig(Value):
    """``[datastores.NAME]``: where a datastore is on this host."""

    path: Path
    #: Transfer drivers that may look after disks in it.
    drivers: tuple[str, ...] = ("qcow2", "copy")
    #: What images that came from other hosts may take; images at home here are not counted.
    cache_limit_mib: int = 51_200
    #: Other hosts see the same files: nothing in its image cache is ever evicted by this host.
    shared: bool = False


class BulkConfig(Value):
    """``[bulk]``: how other hosts fetch images and disks from this one."""

    #: ZeroMQ endpoint to bind; empty to serve nobody.
    listen: str = "tcp://*:2635"
    #: What others dial; empty for this host's address towards the controller and the port of ``listen``.
    advertise: str = ""
    #: What one fetch may take of the network; None for all there is.
    rate_limit_mib_s: int | None = None
    #: A fetch in which nothing comes for so long fails.
    fetch_timeout_s: float = 60.0


class LimitsConfig(Value):
    """``[limits]``: how much the host does at once."""

    parallel_transfers: int = 2
    parallel_boots: int = 4
    #: Steps that are neither.
    parallel_steps: int = 64
    consoles: int = 32


class ImportConfig(Value):
    """``[import]``: where images may come from."""

    #: Directories below which an image may be named by its path; links are not followed.
    dirs: tuple[Path, ...] = ()
    #: Networks (``10.0.0.0/8``) that URLs may lead to although they are not public.
    private_networks: tuple[str, ...] = ()
    max_mib: int = 1024 * 1024
    timeout_s: float = 6 * 3600.0


def _default_datastores() -> dict[str, DatastoreConfig]:
    return {"default": DatastoreConfig(path=DEFAULT_DATASTORE_DIR)}


class Config(Value):
    """All of it; every setting has a default."""

    state_dir: Path = DEFAULT_STATE_DIR
    hypervisors: tuple[str, ...] = ("libvirt",)
    datastores: dict[str, DatastoreConfig] = msgspec.field(default_factory=_default_datastores)
    #: ``[drivers.NAME]``: what the driver itself understands. Where a transfer and a hypervisor driver have one name,
    #: ``[drivers.transfer.NAME]`` and ``[drivers.hypervisor.NAME]`` are each for one of them.
    drivers: dict[str, dict[str, Any]] = {}
    #: Told instead of what the machine has; for hosts that only play at it.
    capacity: Capacity | None = None
    #: Kept back from VMs.
    reserved: Capacity = Capacity(cpu_cores=0.0, memory_mib=512)
    bulk: BulkConfig = BulkConfig()
    limits: LimitsConfig = LimitsConfig()
    imports: ImportConfig = msgspec.field(default=ImportConfig(), name="import")
    log: LogConfig = LogConfig()
    #: How often the hypervisors are asked what their guests do.
    poll_interval_s: float = 30.0
    #: How often the host looks at itself.
    probe_interval_s: float = 60.0
    #: PCI devices that guests may be given: ``10de:*``, ``class:0300``, ``0000:3b:00.0``.
    pci: tuple[str, ...] = ()
    #: Facts of the operator's own for requirement expressions.
    facts: dict[str, str | int | float] = {}


def driver_section(config: Config, kind: DriverKind, name: str) -> Mapping[str, Any]:
    """Return what the configuration says to a driver; empty where it says nothing."""
    own = config.drivers.get(kind.value, {}).get(name)
    return own if isinstance(own, dict) else config.drivers.get(name, {})


def load(path: Path) -> Config:
    """Read the file; a file that does not exist is an empty one.

    Raises:
        ConfigError: it cannot be read, or has mistakes; the text names all of them.
    """
    return configuration.load(path, parse, must_exist=False)


def parse(text: str) -> Config:
    """Return the configuration that the TOML text describes.

    Raises:
        ConfigError: as ``load`` does.
    """
    return configuration.parse(text, Config, _mistakes)


def _mistakes(config: Config) -> Iterator[str]:
    """Tell what is of the right type and still makes no sense."""
    yield from _datastore_mistakes(config)
    for name, value in msgspec.structs.asdict(config.limits).items():
        if value < 1:
            yield f"limits.{name} is {value}; it has to be at least 1"
    for name in ("poll_interval_s", "probe_interval_s"):
        if getattr(config, name) <= 0:
            yield f"{name} has to be more than 0"
    for rule in config.pci:
        if not pci.is_rule(rule):
            yield f"pci names {rule!r}; name devices as 10de:1eb8, 10de:*, class:0300 or 0000:3b:00.0"
    yield from log_mistakes(config.log)
    try:
        parse_networks(config.imports.private_networks)
    except ValueError as error:
        yield f"import.private_networks: {error}"


def _datastore_mistakes(config: Config) -> Iterator[str]:
    if not config.datastores:
        yield "there is no datastore; add [datastores.default]"
    for name, datastore in config.datastores.items():
        if not datastore.path.is_absolute():
            yield f"datastores.{name}.path is not absolute: {datastore.path}"
        if not datastore.drivers:
            yield f"datastores.{name}.drivers names no driver"
