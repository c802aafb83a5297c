"""VMs with a licence go where it is, and green hosts come first."""

import innkeeper_licences

from innkeeper_controller.inventory import Inventory
from innkeeper_controller.scheduling.answers.verdicts import verdicts
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.columns.fleet import Fleet
from innkeeper_controller.scheduling.model import Demand, HostView
from innkeeper_controller.scheduling.rules import Rules, with_plugins
from innkeeper_plugins.registry import Registry
from innkeeper_plugins.vocabulary import Capacity, HostId, VmId


def rules() -> Rules:
    """Return the scheduler's rules with this plugin's."""
    registry = Registry({"licences": innkeeper_licences})
    assert registry.problems == ()
    return with_plugins(registry.scheduling_clauses(), registry.scheduling_scores(), registry.scheduling_policies())


def hosts(*labels: dict[str, str]) -> Fleet:
    """Return hosts ``h1``, ``h2``... with these labels."""
    fleet = Fleet()
    for number, each in enumerate(labels, 1):
        room = {"cpu": Inventory(total=8), "memory": Inventory(total=8192), "hypervisors": frozenset({"kvm"})}
        fleet.put(HostView(host_id=HostId(number), name=f"h{number}", labels=each, **room))
    return fleet


def vm(**attributes: str) -> Demand:
    """Return a VM with these attributes."""
    return Demand(vm_id=VmId(7), capacity=Capacity(cpu_cores=1, memory_mib=512), attributes=attributes)


def test_a_vm_with_a_licence_goes_where_it_is_and_is_told_why_nowhere_else() -> None:
    known = rules()
    fleet = hosts({}, {"licences": "matlab"}, {"licences": "matlab,oracle"})
    placer = Placer(fleet, known.policy("packing", {}), known.clauses)
    told = verdicts(vm(LICENSE="oracle"), Search(fleet, known.policy("packing", {}), known.clauses)).hosts

    assert placer.choose(vm(LICENSE="oracle")).host_id == 3
    assert placer.choose(vm(LICENSE="matlab")).host_id == 2
    assert placer.choose(vm(LICENSE="maple")) is None
    assert placer.choose(vm()).host_id == 1
    assert {each.host_name: each.obstacles[0].message for each in told if each.obstacles} == {
        "h1": "no licence for oracle; it has none",
        "h2": "no licence for oracle; it has matlab",
    }


def test_green_hosts_come_first_by_the_policy_wind() -> None:
    known = rules()
    placer = Placer(hosts({}, {"power": "green"}), known.policy("wind", {}), known.clauses)

    assert placer.choose(vm()).host_id == 2
