"""How host shapes are written."""

import pytest

from innkeeper_controller.simulation.host_shapes import HostShape, capacities, host_count, parse_hosts
from innkeeper_plugins.vocabulary import Capacity

SMALL, LARGE = Capacity(cpu_cores=1.5, memory_mib=512), Capacity(cpu_cores=96.0, memory_mib=2 * 1024 * 1024)


def test_several_shapes_have_commas_between_them():
    shapes = parse_hosts("2x1.5c512m, 1X96C2TiB")

    assert shapes == (HostShape(count=2, capacity=SMALL), HostShape(count=1, capacity=LARGE))
    assert host_count(shapes) == 3
    assert capacities(shapes) == [SMALL, SMALL, LARGE]


@pytest.mark.parametrize("text", ["", "64c128g", "10x64c", "10x64c128", "tenx64c128g", "10x64c128g,", "-1x64c128g"])
def test_what_is_no_shape_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="is no host shape; expected is COUNTxCORESMEMORY such as 2000x64c128g"):
        parse_hosts(text)


@pytest.mark.parametrize("text", ["0x64c128g", "1x0c128g", "1x64c0g", "1x999999c1g", "1x1c999999999t"])
def test_nothing_and_too_much_are_refused(text):
    with pytest.raises(ValueError, match="more than zero, and not absurd"):
        parse_hosts(text)


def test_more_hosts_than_can_be_simulated_are_refused():
    with pytest.raises(ValueError, match="are more than can be simulated"):
        parse_hosts(f"{'9' * 60}x1c1g,1x1c1g")
