"""Clauses about what hosts are."""

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from innkeeper_controller.scheduling.columns.fleet import BoolArray
from innkeeper_controller.scheduling.columns.hosts import OneHost, Rows
from innkeeper_controller.scheduling.model import Demand, HostView, Obstacle
from innkeeper_controller.scheduling.words import (
    listed,
)


def usable(_demand: Demand, hosts: Rows) -> BoolArray:
    """The host takes new VMs."""
    return hosts.number("usable") > 0


def why_not_usable(_demand: Demand, host: OneHost) -> Obstacle:
    """Tell the host's state."""
    name, reason = host.view.name, host.view.unusable_reason
    return Obstacle(
        clause="host state", message=f"the host is {reason}", remedy=_STATE_REMEDIES.get(reason, "").format(name)
    )


_STATE_REMEDIES: Final = {
    "disabled": "after `inn host enable {0}`",
    "draining": "after `inn host enable {0}`",
    "offline": "after `inn host enable {0}`",
    "lost": "once its agent is back (systemctl start inn-agent)",
    "joining": "once its agent has joined",
}


def not_banned(_demand: Demand, hosts: Rows) -> BoolArray:
    """VMs have started on the host lately, or its ban is over."""
    return hosts.each("not banned", lambda view: not view.ban)


def why_banned(_demand: Demand, host: OneHost) -> Obstacle:
    """Tell until when, and what failed."""
    return Obstacle(clause="ban", message=host.view.ban, remedy=f"after `inn host enable {host.view.name}`")


def in_clusters(demand: Demand, hosts: Rows) -> BoolArray:
    """The host is in a cluster that has all networks and datastores of the VM."""
    mask = np.zeros(len(hosts.at), dtype=np.bool_)
    for number in demand.clusters or ():
        mask |= hosts.number("cluster_id") == number
    return mask


def why_not_in_clusters(demand: Demand, host: OneHost) -> Obstacle:
    """Tell the host's cluster and the others."""
    where = f"only cluster {listed(demand.clusters.values())} has" if demand.clusters else "no cluster has"
    mine = host.view.cluster or host.view.cluster_id
    text = f"the host is in cluster {mine}, but {where} all networks and datastores of the VM"
    return Obstacle(clause="cluster", message=text, remedy="if its networks and datastores were in the host's cluster")


def has_arch(demand: Demand, hosts: Rows) -> BoolArray:
    """The host's processors are of the VM's architecture, or it does not say."""
    arch = demand.arch
    return hosts.each(("arch", arch), lambda view: view.arch in ("", arch))


def why_not_arch(demand: Demand, host: OneHost) -> Obstacle:
    """Tell both."""
    return Obstacle(clause="architecture", message=f"the VM is for {demand.arch}, the host is {host.view.arch}")


def has_cpu_flags(demand: Demand, hosts: Rows) -> BoolArray:
    """The host's processors have the flags that the VM asks for."""
    return _all_flags(hosts, "cpu_flags", demand.cpu_flags)


def why_not_cpu_flags(demand: Demand, host: OneHost) -> Obstacle:
    """Tell which are missing."""
    missing = demand.cpu_flags - host.view.cpu_flags
    return Obstacle(clause="cpu flags", message=f"the host's processors have no {listed(missing)}")


def has_hypervisor(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the VM's hypervisor driver, or any where the VM does not care."""
    name = demand.hypervisor
    return hosts.each(
        ("hypervisor", name), lambda view: name in view.hypervisors or bool(not name and view.hypervisors)
    )


def why_not_hypervisor(demand: Demand, host: OneHost) -> Obstacle:
    """Tell which it has."""
    wanted = f"hypervisor driver {demand.hypervisor}" if demand.hypervisor else "hypervisor driver at all"
    return Obstacle(clause="hypervisor", message=f"the host has no {wanted}{_instead(host.view.hypervisors)}")


def has_transfer_drivers(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the transfer drivers of the VM's disks."""
    return _all_flags(hosts, "transfer_drivers", demand.transfer_drivers)


def why_not_transfer_drivers(demand: Demand, host: OneHost) -> Obstacle:
    """Tell which it has."""
    has = host.view.transfer_drivers
    text = f"the host has no transfer driver {listed(demand.transfer_drivers - has)}{_instead(has)}"
    return Obstacle(clause="transfer driver", message=text)


def has_bridges(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the bridges of the VM's networks."""
    return _all_flags(hosts, "bridges", demand.bridges)


def why_not_bridges(demand: Demand, host: OneHost) -> Obstacle:
    """Tell which it has."""
    has = host.view.bridges
    return Obstacle(clause="bridge", message=f"the host has no bridge {listed(demand.bridges - has)}{_instead(has)}")


def has_datastores(demand: Demand, hosts: Rows) -> BoolArray:
    """The host has the VM's datastores."""
    return _all_flags(hosts, "datastores", demand.datastores)


def why_not_datastores(demand: Demand, host: OneHost) -> Obstacle:
    """Tell which it has."""
    missing = [name for name in demand.datastores if name not in host.view.datastores]
    text = f"the host has no datastore {listed(missing)}{_instead(host.view.datastores)}"
    return Obstacle(clause="datastore", message=text)


def _all_flags(hosts: Rows, kind: str, names: Iterable[str]) -> BoolArray:
    mask = np.ones(len(hosts.at), dtype=np.bool_)
    for name in names:
        mask &= hosts.each((kind, name), _having(kind, name))
    return mask


def _having(kind: str, name: str) -> Callable[[HostView], bool]:
    return lambda view: name in getattr(view, kind)


def _instead(names: Iterable[str]) -> str:
    return f"; it has {those}" if (those := listed(names)) else ""
