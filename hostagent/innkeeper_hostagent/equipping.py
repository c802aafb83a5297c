"""Makes what steps are carried out with, from the agent's configuration."""

import socket
from collections.abc import Callable, Mapping

from innkeeper_hostagent import bases
from innkeeper_hostagent.addresses import parse_networks
from innkeeper_hostagent.cache import Cache
from innkeeper_hostagent.caches import Caches
from innkeeper_hostagent.config import Config
from innkeeper_hostagent.downloads import Terms
from innkeeper_hostagent.drivers import Drivers
from innkeeper_hostagent.fetching import Fetcher
from innkeeper_hostagent.images import ImageSteps
from innkeeper_hostagent.own_steps import OwnSteps
from innkeeper_hostagent.performer import Equipment
from innkeeper_hostagent.place import datastores_of
from innkeeper_hostagent.protocol import bulk
from innkeeper_hostagent.protocol.keys import KeyPair
from innkeeper_hostagent.sealing import Seals
from innkeeper_plugins.daemons.configuration import ConfigError
from innkeeper_plugins.vocabulary import Digest, Vm, VmId

_MIB = 1024 * 1024


def equip(
    config: Config,
    drivers: Drivers,
    keys: KeyPair,
    *,
    vms: Callable[[], Mapping[VmId, Vm]],
    changed: Callable[[tuple[Digest, ...], tuple[Digest, ...]], None],
) -> Equipment:
    """Return what steps are carried out with.

    Args:
        config: The host's own.
        drivers: As the configuration names them.
        keys: Who fetches from other hosts.
        vms: Returns the VMs that have something on this host.
        changed: Told of images that came and went, from any thread.

    Raises:
        ConfigError: a shared datastore is not there; its own directories are never made, since it may be unmounted.
        OSError: a datastore cannot be used.
    """
    for name, store in config.datastores.items():
        if store.shared and not store.path.is_dir():
            raise ConfigError(f"datastore {name} is shared and {store.path} does not exist; mount it, or make it")
    datastores = datastores_of(config)
    vms_dirs = [datastore.vms_dir for datastore in datastores.values()]

    def in_use() -> frozenset[str]:
        return bases.digests(vms_dirs) | {ref.sha256 for vm in tuple(vms().values()) for ref in vm.images}

    caches = Caches(
        {
            name: Cache(
                store.path,
                limit_bytes=store.cache_limit_mib * _MIB,
                shared=store.shared,
                owner=socket.gethostname(),
                in_use=in_use,
            )
            for name, store in config.datastores.items()
        },
        changed,
    )
    seals = Seals(datastores)
    images = ImageSteps(caches, fetcher_of(config, keys), config.imports.dirs, terms_of(config))
    own = OwnSteps(drivers, images, seals)
    return Equipment(drivers=drivers, datastores=datastores, caches=caches, seals=seals, own=own)


def fetcher_of(config: Config, keys: KeyPair) -> Fetcher:
    """Return who fetches, as patiently as the configuration says."""
    limit_mib_s = config.bulk.rate_limit_mib_s
    return Fetcher(
        keys=keys,
        carry=bulk.fetch,
        timeout_s=config.bulk.fetch_timeout_s,
        rate_limit_bytes_s=None if limit_mib_s is None else limit_mib_s * _MIB,
    )


def terms_of(config: Config) -> Terms:
    """Return on what terms images come from URLs."""
    return Terms(
        private_networks=parse_networks(config.imports.private_networks),
        max_bytes=config.imports.max_mib * _MIB,
        timeout_s=config.imports.timeout_s,
    )
