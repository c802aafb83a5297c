"""Which attributes of hosts are known, and what people may write for them."""

import pytest

from innkeeper_controller.expressions.names import KNOWN, canonical, likely
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
    ],
)
def test_names_and_paths_lead_to_attributes(written, name):
    assert canonical(written) == name


@pytest.mark.parametrize("written", ["", "/", "A/B", "1A", "A-B"])
def test_what_leads_nowhere_is_refused(written):
    with pytest.raises(ValueError, match="neither a host attribute nor a path"):
        canonical(written)


def test_a_slip_is_recognised_and_a_stranger_is_not():
    assert likely("FREE_MEMROY", KNOWN) == "FREE_MEMORY"
    assert likely("RACK", KNOWN) == ""
