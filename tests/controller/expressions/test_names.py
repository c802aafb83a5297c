"""Which attributes of hosts are known, and what people may write for them."""

import pytest

from innkeeper_controller.expressions.names import DYNAMIC, KNOWN, STANDARD, canonical, last_step, likely
from innkeeper_plugins.probes import plugin


def test_every_fact_of_the_built_in_probes_is_known():
    facts = {name for _, probe in plugin.register_host_probes() for name in probe()}

    assert {name for name in facts if not name.startswith("NUMA_NODE_")} - KNOWN == set()


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("free_cpu", "FREE_CPU"),
        ("HOST/VMS/ID", "CURRENT_VMS"),
        ("freecpu", "FREE_CPU"),
        ("TOTALMEMORY", "TOTAL_MEMORY"),
        ("/VMS/VM/ID", "CURRENT_VMS"),
        ("HOST/HOST_SHARE/FREE_CPU", "FREE_CPU"),
        ("TEMPLATE/RACK", "RACK"),
        ("//FREE_CPU", "FREE_CPU"),
        ("HOST/CLUSTER_TEMPLATE/ZONE", "ZONE"),
        ("HOST/MONITORING/CAPACITY/USED_MEMORY", "USED_MEMORY"),
        ("HOST/HOST_SHARE/TOTAL_MEM", "TOTAL_MEMORY"),
        ("HOST/VM_MAD", "HYPERVISOR"),
    ],
)
def test_names_and_paths_lead_to_attributes(written, name):
    assert canonical(written) == name


@pytest.mark.parametrize("written", ["", "/", "A/B", "1A", "A-B", "\u00df"])
def test_what_leads_nowhere_is_refused(written):
    with pytest.raises(ValueError, match="neither a host attribute nor a path"):
        canonical(written)


def test_a_slip_is_recognised_and_a_stranger_is_not():
    assert likely("FREE_MEMROY", KNOWN) == "FREE_MEMORY"
    assert likely("RACK", KNOWN) == ""


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("HOST/A/FREE_CPU", "FREE_CPU"),
        ("HOST/A/FREECPU/", "FREE_CPU"),
        ("FREE-CPU", "FREE_CPU"),
        ("A/B", ""),
        ("/", ""),
    ],
)
def test_a_path_that_leads_nowhere_may_still_end_in_an_attribute(written, meant):
    assert last_step(written) == meant


def test_what_changes_with_vms_is_there_on_every_host():
    assert set(STANDARD) > DYNAMIC
