"""The clauses about nodes and devices of a host: asked of one host after the other, since each is a small puzzle."""

from collections.abc import Callable

import msgspec
import numpy as np

from innkeeper_controller.scheduling.columns.fleet import BoolArray
from innkeeper_controller.scheduling.columns.hosts import OneHost, Rows, one_host
from innkeeper_controller.scheduling.model import Demand, Obstacle
from innkeeper_controller.scheduling.nodes import holdings, numa, pci
from innkeeper_controller.scheduling.nodes.shortage import Shortage
from innkeeper_plugins.vocabulary import NumaCell


def has_devices(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the devices that the VM asks for, and nobody holds them."""
    return _each(hosts, lambda host: not isinstance(addresses_on(demand, host), Shortage))


def why_not_devices(demand: Demand, host: OneHost) -> Obstacle:
    """Tell which devices are missing or held."""
    return _obstacle("pci", addresses_on(demand, host))


def has_nodes(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the processors, the memory and the pages left, on as many nodes as the VM asks for."""
    return _each(hosts, lambda host: not isinstance(cells_on(demand, host), Shortage))


def why_not_nodes(demand: Demand, host: OneHost) -> Obstacle:
    """Tell what each node has left."""
    return _obstacle("numa", cells_on(demand, host))


def addresses_on(demand: Demand, host: OneHost) -> tuple[str, ...] | Shortage:
    """Return the devices that the VM would get on a host."""
    return pci.choose(demand.pci, host.view.pci, pci.held_by(host.fleet.special_loads(host.row)))


def cells_on(demand: Demand, host: OneHost) -> tuple[NumaCell, ...] | Shortage:
    """Return what the VM would get of a host's nodes, near its devices."""
    assert demand.numa is not None, "asked only of VMs that want nodes"
    addresses = addresses_on(demand, host) if demand.pci else ()
    near = pci.nodes_of(() if isinstance(addresses, Shortage) else addresses, host.view.pci)
    held = holdings.held_by(host.fleet.special_loads(host.row))
    return numa.assign(demand.numa, demand.vcpus, demand.capacity.memory_mib, host.view.numa, held, near=near)


def granted(demand: Demand, host: OneHost) -> Demand:
    """Return the demand with what it gets of nodes and devices of a host that it fits on."""
    cells = cells_on(demand, host) if demand.numa is not None else ()
    addresses = addresses_on(demand, host) if demand.pci else ()
    assert not isinstance(cells, Shortage), "it fits"
    assert not isinstance(addresses, Shortage), "it fits"
    return msgspec.structs.replace(demand, numa_cells=cells, pci_addresses=addresses)


def _each(hosts: Rows, holds: Callable[[OneHost], bool]) -> BoolArray:
    fleet = hosts.fleet
    found = (fleet.views[row] is not None and holds(one_host(fleet, row)) for row in hosts.at.tolist())
    return np.fromiter(found, dtype=np.bool_, count=len(hosts.at))


def _obstacle(clause: str, found: object) -> Obstacle:
    if isinstance(found, Shortage):
        return Obstacle(clause=clause, message=found.message, shortfall=found.shortfall)
    raise AssertionError(f"clause {clause} holds there")
