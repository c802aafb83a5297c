"""Builders of hosts and demands, and random ones of both."""

from hypothesis import strategies as st

from innkeeper_controller.expressions import compile_rank, compile_requirement
from innkeeper_controller.records import Host
from innkeeper_controller.scheduling.attributes import host_attributes
from innkeeper_controller.scheduling.model import Demand, HostView
from innkeeper_plugins.vocabulary import Advertisement, Capacity, HostId, VmId


def make_host(
    number=1, *, cpu_cores=8.0, memory_mib=8192, used_cpu_cores=0.0, used_memory_mib=0, vm_ids=(), facts=None, **more
):
    """Return a host that can take anything reasonable unless told otherwise."""
    total = Capacity(cpu_cores=cpu_cores, memory_mib=memory_mib)
    used = Capacity(cpu_cores=used_cpu_cores, memory_mib=used_memory_mib)
    record = Host(
        host_id=HostId(number),
        name=f"h{number}",
        advertisement=Advertisement(capacity=total, facts={"ARCH": "x86_64", **(facts or {})}),
    )
    fields = {
        "transfer_drivers": frozenset({"qcow2"}),
        "hypervisors": frozenset({"libvirt"}),
        "datastores": {"default": 10_000},
        "bridges": frozenset({"br0"}),
        **more,
    }
    return HostView(
        host_id=record.host_id,
        name=record.name,
        total=total,
        used=used,
        attributes=host_attributes(record, used, len(vm_ids), vm_ids),
        **fields,
    )


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


REQUIREMENTS = (
    "",
    "ARCH = x86_64",
    "FREE_CPU >= 200",
    "RUNNING_VMS < 2",
    "RUNNING_VMS > 0 | ID = 1",
    "!(CURRENT_VMS = 1)",
    "RACK = r1",
)
RANKS = ("", "FREE_CPU", "-RUNNING_VMS", "FREE_MEMORY / 1024 - 100 * RUNNING_VMS", "1 / 0")


@st.composite
def random_hosts(draw):
    numbers = range(1, draw(st.integers(0, 6)) + 1)
    return [
        make_host(
            number,
            cpu_cores=draw(st.sampled_from((2.0, 4.0, 8.0))),
            memory_mib=draw(st.sampled_from((1024, 4096))),
            used_cpu_cores=draw(st.sampled_from((0.0, 0.3, 2.0))),
            used_memory_mib=draw(st.sampled_from((0, 512))),
            usable=draw(st.sampled_from((True, True, True, False))),
            unusable_reason="disabled",
            facts=draw(st.sampled_from(({}, {"RACK": "r1"}))),
            datastores=draw(st.sampled_from(({"default": 40}, {"default": 5000, "fast": 100}, {}))),
            bridges=draw(st.sampled_from((frozenset(), frozenset({"br0"}), frozenset({"br0", "br1"})))),
            hypervisors=draw(st.sampled_from((frozenset({"libvirt"}), frozenset({"libvirt", "simulated"})))),
            images=draw(st.sampled_from((frozenset(), frozenset({"a"}), frozenset({"a", "b"})))),
        )
        for number in numbers
    ]


@st.composite
def random_demands(draw):
    return [
        make_demand(
            number,
            cpu_cores=draw(st.sampled_from((0.1, 0.5, 2.0))),
            memory_mib=draw(st.sampled_from((256, 1000))),
            requirements=draw(st.sampled_from(REQUIREMENTS)),
            rank=draw(st.sampled_from(RANKS)),
            hypervisor=draw(st.sampled_from(("libvirt", "libvirt", "simulated", ""))),
            datastores=draw(st.sampled_from(({}, {"default": 16}, {"default": 0, "fast": 30}))),
            bridges=draw(st.sampled_from((frozenset(), frozenset({"br0"})))),
            images=draw(st.sampled_from(({}, {"a": 100}, {"a": 100, "b": 900}))),
            excluded=draw(st.sampled_from((frozenset(), frozenset({HostId(2)})))),
        )
        for number in range(1, draw(st.integers(0, 12)) + 1)
    ]
