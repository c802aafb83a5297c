"""Clauses about what a VM's owner wishes of hosts."""

from typing import Final

import numpy as np

from innkeeper_controller.expressions import Attributes, CompiledRequirement, obstacles
from innkeeper_controller.scheduling.columns.fleet import BoolArray
from innkeeper_controller.scheduling.columns.hosts import OneHost, Rows
from innkeeper_controller.scheduling.model import Demand, Obstacle

#: Requirements that are longer are not repeated where what would help is told.
_LONGEST_REQUIREMENT: Final = 80


def static_requirements(demand: Demand, hosts: Rows) -> BoolArray:
    """The host meets those of the VM's own requirements that are about what it is."""
    return hosts.meeting(_part(demand, is_static=True))


def why_not_static_requirements(demand: Demand, host: OneHost) -> Obstacle:
    """Tell each part that does not hold."""
    # What it is: the rest of its attributes is asked for by nothing here, and takes long to bring together.
    return _requirement_words(_part(demand, is_static=True), host.view.attributes)


def moving_requirements(demand: Demand, hosts: Rows) -> BoolArray:
    """The host meets those of the VM's own requirements that are about what is on it."""
    return hosts.meeting(_part(demand, is_static=False))


def why_not_moving_requirements(demand: Demand, host: OneHost) -> Obstacle:
    """Tell each part that does not hold."""
    return _requirement_words(_part(demand, is_static=False), host.attributes)


def _requirement_words(part: CompiledRequirement, attributes: Attributes) -> Obstacle:
    found = obstacles(part.tree, attributes)
    asked = " & ".join(each.clause for each in found)
    return Obstacle(
        clause="requirements",
        message="; ".join(each.message for each in found),
        remedy=f"if it did not require {asked}" if len(asked) <= _LONGEST_REQUIREMENT else "",
    )


def half(demand: Demand, *, is_static: bool) -> CompiledRequirement | None:
    """Return those of a VM's requirements that are about what hosts are, or about what is on them; None for none."""
    if demand.requirements is None:
        return None
    static, moving = demand.requirements.halves()
    return static if is_static else moving


def _part(demand: Demand, *, is_static: bool) -> CompiledRequirement:
    part = half(demand, is_static=is_static)
    assert part is not None, "asked only where there are some of the kind"
    return part


def not_excluded(demand: Demand, hosts: Rows) -> BoolArray:
    """The VM is not kept away from the host."""
    rows = [row for host_id in demand.excluded if (row := hosts.fleet.row_of.get(host_id)) is not None]
    return ~hosts.among([np.array(rows, dtype=np.int64)])


def why_excluded(_demand: Demand, _host: OneHost) -> Obstacle:
    """Tell that it is."""
    return Obstacle(clause="exclusion", message="the VM is kept away from this host for now")
