"""Hosts as scheduling sees them."""

import msgspec
import pytest
from tests.controller.builders import a_host

from innkeeper_controller.indexes.host_views import view_of
from innkeeper_plugins.vocabulary import NumaNode

replace = msgspec.structs.replace
NODE = NumaNode(node_id=0, cores=((0,), (1,)), memory_mib=4096, hugepages={2048: 512})


def test_memory_that_is_set_aside_as_huge_pages_is_nothing_that_ordinary_vms_are_given():
    host = a_host(1, memory_mib=4096)
    paged = replace(host, advertisement=replace(host.advertisement, numa=(NODE,)))

    assert (view_of(host, None).memory.total, view_of(paged, None).memory.total) == (4096, 4096 - 1024)


@pytest.mark.parametrize(
    ("label", "priority"), [("1000", 1.0), ("0", 0.5), ("-9999", 0.0), ("nan", 0.5), ("high", 0.5)]
)
def test_the_label_priority_goes_from_0_to_1_whatever_it_says(label, priority):
    assert view_of(replace(a_host(1), labels={"priority": label}), None).priority == priority
