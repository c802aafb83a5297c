"""Builders of hosts and demands, and random ones of both."""

import math

from innkeeper_controller.expressions import compile_rank, compile_requirement
from innkeeper_controller.inventory import Inventory
from innkeeper_controller.scheduling.columns.fleet import Fleet
from innkeeper_controller.scheduling.model import Demand, HostView, Load, Room
from innkeeper_controller.scheduling.wishes import HOST_SCOPE, Relation, Term
from innkeeper_plugins.vocabulary import (
    Capacity,
    HostId,
    NumaNode,
    NumaWish,
    PciDevice,
    PciWish,
    PinPolicy,
    VmId,
)


def rooms(**free_mib):
    """Return datastores with so much room."""
    return {name: Room(inventory=Inventory(total=mib), free_mib=mib) for name, mib in free_mib.items()}


def make_host(number=1, *, cpu_cores=8.0, memory_mib=8192, facts=None, **more):
    """Return a host that can take anything reasonable unless told otherwise."""
    name = f"h{number}"
    fields = {
        "cpu": Inventory(total=cpu_cores),
        "memory": Inventory(total=memory_mib),
        "attributes": {"ID": number, "NAME": name, "ARCH": "x86_64", **(facts or {})},
        "transfer_drivers": frozenset({"qcow2"}),
        "hypervisors": frozenset({"libvirt"}),
        "datastores": rooms(default=10_000),
        "bridges": frozenset({"br0"}),
        **more,
    }
    return HostView(host_id=HostId(number), name=name, **fields)


def make_demand(number=1, *, cpu_cores=1.0, memory_mib=512, requirements="", rank="", **more):
    """Return what an ordinary VM asks for."""
    fields = {
        "hypervisor": "libvirt",
        "datastores": {"default": 16},
        "transfer_drivers": frozenset({"qcow2"}),
        "bridges": frozenset({"br0"}),
        **more,
    }
    return Demand(
        vm_id=VmId(number),
        capacity=Capacity(cpu_cores=cpu_cores, memory_mib=memory_mib),
        requirements=compile_requirement(requirements) if requirements else None,
        rank=compile_rank(rank) if rank else None,
        **fields,
    )


def make_load(number, *, cpu_cores=0.0, memory_mib=0, **more):
    """Return what a VM takes."""
    return Load(vm_id=VmId(number), capacity=Capacity(cpu_cores=cpu_cores, memory_mib=memory_mib), **more)


def make_fleet(*hosts, used=None):
    """Return a fleet of these hosts; ``used`` is ``{host: (cores, MiB)}`` that a VM of that number, negative, takes."""
    fleet = Fleet()
    for host in hosts:
        fleet.put(host)
    for number, (cpu_cores, memory_mib) in (used or {}).items():
        fleet.take(HostId(number), make_load(-number, cpu_cores=cpu_cores, memory_mib=memory_mib))
    return fleet


# --- random ones

REQUIREMENTS = (
    "ARCH = x86_64",
    "FREE_CPU >= 200",
    "RUNNING_VMS < 2",
    "RUNNING_VMS > 0 | ID = 1",
    "!(CURRENT_VMS = 1)",
    "CURRENT_VMS = 3 | RACK = r2",
    "RACK = r1",
    'RACK != "r1" & FREE_MEMORY > 1000000',
    'NAME = "h*3" | HEAT > 3',
)
RANKS = (
    "FREE_CPU",
    "-RUNNING_VMS",
    "FREE_MEMORY / 1024 - 100 * RUNNING_VMS",
    "1 / 0",
    "HEAT",
    "RUNNING_VMS / (FREE_CPU - FREE_CPU)",
)
GROUPS = ("a", "b", "c")
NODES = (
    NumaNode(node_id=0, cores=((0, 4), (1, 5)), memory_mib=4096, hugepages={2048: 500}),
    NumaNode(node_id=1, cores=((2, 6), (3, 7)), memory_mib=4096),
)
DEVICES = (
    PciDevice(address="0000:01:00.0", vendor="10de", device="1eb8", device_class="0302", numa_node=1),
    PciDevice(address="0000:02:00.0", vendor="8086", device="10ed", device_class="0200"),
)
SHAPES = ((2.0, 1024), (4.0, 4096), (8.0, 8192), (8.0, 4096))
NONSENSE = (math.nan, -5.0, math.inf, 0.0)


def random_inventory(random, total):
    kind = random.random()
    if kind < 0.9:
        return Inventory(total=total)
    if kind < 0.93:
        return Inventory(total=random.choice(NONSENSE))
    if kind < 0.96:
        return Inventory(total=total, reserved=total / 4, allocation_ratio=random.choice((1.5, 2.0, 3.0)))
    return Inventory(total=total, min_unit=total / 16, max_unit=total / 2, step_size=random.choice((0.0, 0.5, 256.0)))


def random_host(random, number, *, plain=0.5):
    """Return a host; ``plain`` is how likely it is exactly like many others, but for its number."""
    if random.random() < plain:
        return make_host(number, labels={"rack": f"r{number % 3}"}, facts={"RACK": f"r{number % 3}"})
    cpu_cores, memory_mib = random.choice(SHAPES)
    usable = random.random() < 0.9
    rack = random.choice(("", "r1", "r2", "r3"))
    return make_host(
        number,
        facts={"RACK": rack, "HEAT": random.randint(0, 5)} if rack else {"HEAT": "warm"},
        labels={"rack": rack, "zone": f"z{number % 2}"} if rack else {},
        cpu=random_inventory(random, cpu_cores),
        memory=random_inventory(random, memory_mib),
        cluster_id=random.choice((0, 0, 0, 1)),
        usable=usable,
        unusable_reason="" if usable else "disabled",
        ban="banned" if random.random() < 0.05 else "",
        failures=random.choice((0, 0, 0, 1, 2)),
        priority=random.choice((0.5, 0.5, 0.25, 1.0)),
        arch=random.choice(("", "x86_64", "aarch64")),
        cpu_flags=random.choice((frozenset(), frozenset({"avx2"}))),
        datastores=random.choice((rooms(default=60), rooms(default=5000, fast=100), rooms(default=5000), {})),
        bridges=random.choice((frozenset(), frozenset({"br0"}), frozenset({"br0", "br1"}))),
        hypervisors=random.choice((frozenset({"libvirt"}), frozenset({"libvirt", "simulated"}))),
        images=random.choice((frozenset(), frozenset({"i1"}), frozenset({"i1", "i2"}))),
        numa=random.choice(((), NODES, NODES)),
        pci=random.choice(((), DEVICES, DEVICES[:1])),
    )


def random_term(random, vm_ids):
    return Term(
        relation=random.choice(tuple(Relation)),
        groups=tuple(random.sample(GROUPS, random.choice((0, 1, 1, 2)))),
        vm_ids=tuple(random.sample(vm_ids, min(len(vm_ids), random.choice((0, 0, 1))))),
        scope=random.choice((HOST_SCOPE, HOST_SCOPE, "rack", "zone")),
        is_hard=random.random() < 0.6,
        weight=random.choice((1.0, 3.0, 0.5)),
        max_skew=random.choice((1, 2)),
    )


def random_demand(random, number, vm_ids=(), host_ids=()):
    """Return a demand that wants a few odd things beside room, or none."""
    fields = {
        "cpu_cores": random.choice((0.0, 0.1, 0.5, 1.0, 2.0)),
        "memory_mib": random.choice((0, 256, 512, 1000)),
        "datastores": random.choice(({}, {"default": 16}, {"default": 16}, {"default": 0, "fast": 30})),
        "hypervisor": random.choice(("libvirt", "libvirt", "simulated", "")),
        "bridges": random.choice((frozenset(), frozenset({"br0"}))),
    }
    odd = {
        "arch": lambda: "x86_64",
        "cpu_flags": lambda: frozenset({"avx2"}),
        "requirements": lambda: random.choice(REQUIREMENTS),
        "rank": lambda: random.choice(RANKS),
        "images": lambda: random.choice(({"i1": 100}, {"i1": 100, "i2": 900}, {"i3": 5})),
        "excluded": lambda: frozenset(random.sample(host_ids, min(len(host_ids), 2))),
        "clusters": lambda: random.choice(({}, {0: "default"}, {0: "default", 1: "other"})),
        "groups": lambda: tuple(random.sample(GROUPS, random.choice((1, 2)))),
        "terms": lambda: tuple(random_term(random, vm_ids) for _ in range(random.choice((1, 1, 2)))),
        "numa": lambda: NumaWish(pin_policy=random.choice(tuple(PinPolicy)), hugepage_mib=random.choice((0, 0, 2))),
        "pci": lambda: (random.choice((PciWish(vendor="10de"), PciWish(device_class="0200"))),),
    }
    for name, value in odd.items():
        if random.random() < 0.15:
            fields[name] = value()
    return make_demand(number, **fields)
