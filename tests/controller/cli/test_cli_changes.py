"""Changing VMs and making images by the command line: what sizes mean."""

import pytest


@pytest.mark.parametrize(
    "command",
    [
        ("vm", "resize", "7", "--memory", "256"),
        ("vm", "resize-disk", "7", "0", "256"),
        ("vm", "attach-disk", "7", "--size", "256"),
        ("image", "add", "data", "--empty", "256"),
    ],
)
def test_a_size_to_be_made_is_refused_without_its_unit(run, fake, command):
    ran = run(*command)

    assert (ran.code, fake.asked) == (2, [])
    assert "256 has no unit; say 256M or 256G" in ran.err
