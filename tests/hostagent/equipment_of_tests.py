"""A host's equipment in a directory, with drivers that can be told what to do, for the tests of the agent."""

import hashlib
from pathlib import Path

from innkeeper_hostagent.acts import Act
from innkeeper_hostagent.cache import Cache
from innkeeper_hostagent.caches import Caches
from innkeeper_hostagent.downloads import Terms
from innkeeper_hostagent.drivers import Drivers
from innkeeper_hostagent.effects import RunStep
from innkeeper_hostagent.fetching import Fetcher
from innkeeper_hostagent.images import ImageSteps
from innkeeper_hostagent.own_steps import OwnSteps
from innkeeper_hostagent.performer import Equipment
from innkeeper_hostagent.place import Datastore
from innkeeper_hostagent.protocol import keys
from innkeeper_hostagent.sealing import Seals
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors import simulated as simulated_hypervisor
from innkeeper_plugins.images import ImageFacts
from innkeeper_plugins.transfer import simulated as simulated_transfer
from innkeeper_plugins.vocabulary import DiskFormat, OperationId

KEYS = keys.generate()


class Peers:
    """Stands for the hosts that hold bytes: brings what it has been given, by digest."""

    def __init__(self):
        self.held = {}
        self.asked = []
        #: Called before the bytes come.
        self.on_fetch = lambda: None

    def hold(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.held[digest] = data
        return digest

    def carry(self, digest, size_bytes, holders, target, _keys, *, progress, cancelled, timeout_s, rate_limit_bytes_s):
        self.asked.append(digest)
        self.on_fetch()
        if cancelled():
            raise DriverError("cancelled", code="cancelled")
        if digest not in self.held:
            raise DriverError("nobody has it", code="image_missing")
        progress(size_bytes, size_bytes)
        Path(target).write_bytes(self.held[digest])


def raw_facts(path, declared):
    if declared is DiskFormat.QCOW2:
        raise DriverError("not a qcow2 image", code="bad_image")
    size = path.stat().st_size
    return ImageFacts(format=DiskFormat.RAW, virtual_size_bytes=size, size_bytes=size)


def an_act(step, *, vm=None, spare_shared=False) -> Act:
    run = RunStep(operation_id=OperationId("o1"), leg=0, step=step, vm=vm, spare_shared=spare_shared)
    return Act(run, lambda *_: None)


def equipped(root: Path, *, peers=None, changes=None, import_dirs=(), limit_bytes=1 << 30, **orders) -> Equipment:
    """A host with the datastore ``default`` (its own) and ``common`` (shared)."""
    datastores = {
        "default": Datastore("default", root / "default"),
        "common": Datastore("common", root / "common", shared=True),
    }
    drivers = Drivers(
        {"simulated": simulated_transfer.make({"needs_image": False, **orders.get("transfer", {})})},
        {"simulated": simulated_hypervisor.make(orders.get("hypervisor", {}))},
    )
    caches = Caches(
        {
            name: Cache(store.path, limit_bytes=limit_bytes, shared=store.shared, owner="here")
            for name, store in datastores.items()
        },
        lambda added, removed: (changes if changes is not None else []).append((added, removed)),
    )
    seals = Seals(datastores)
    fetcher = Fetcher(keys=KEYS, timeout_s=10.0, carry=(peers or Peers()).carry)
    terms = Terms(max_bytes=1 << 20, timeout_s=10.0)
    images = ImageSteps(caches, fetcher, tuple(import_dirs), terms, examine=raw_facts)
    own = OwnSteps(drivers, images, seals)
    return Equipment(drivers=drivers, datastores=datastores, caches=caches, seals=seals, own=own)
