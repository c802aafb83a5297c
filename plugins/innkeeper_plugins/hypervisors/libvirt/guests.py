"""Finds the domains of VMs at libvirt, and changes what is the same for several verbs.

A domain that is called like one of ours without being one is refused, and so is an order of a lower generation
than the guest has: it was given before the VM went on.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import libvirt

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors.libvirt.identity import (
    NAMESPACE,
    PREFIX,
    Identity,
    domain_name,
    metadata_text,
    parse_metadata,
)
from innkeeper_plugins.vocabulary import Vm, may_be_same

CGROUP_V2 = Path("/sys/fs/cgroup/cgroup.controllers")
#: CPU shares of one core: the kernel's own default for a group.
SHARES_PER_CORE_V1, SHARES_PER_CORE_V2 = 1024, 100
LEAST_SHARES, MOST_SHARES = 2, 10_000
#: What libvirt says where the host's control groups are out of its reach.
NO_CGROUPS = frozenset(
    {
        libvirt.VIR_ERR_OPERATION_INVALID,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    }
)
#: Everything that libvirt may keep of a domain besides its definition.
KEPT_BY_LIBVIRT = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
)


def lookup(connection: libvirt.virConnect, name: str) -> libvirt.virDomain | None:
    """Return the domain of that name, None where there is none."""
    try:
        return connection.lookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def identity_of(domain: libvirt.virDomain) -> Identity | None:
    """Return whose guest a domain is, None where it is not ours or has just gone."""
    try:
        metadata = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
        return parse_metadata(metadata, domain.UUIDString())
    except libvirt.libvirtError as error:
        if error.get_error_code() in {libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_DOMAIN}:
            return None
        raise


def find(connection: libvirt.virConnect, vm: Vm) -> libvirt.virDomain | None:
    """Return the VM's domain, running or not; None where there is none.

    Raises:
        DriverError: ``refused``: the domain is somebody else's, also another controller's, or of a higher generation.
    """
    name = domain_name(vm.vm_id)
    domain = lookup(connection, name)
    if domain is None:
        return None
    identity = identity_of(domain)
    if identity is None and lookup(connection, name) is None:
        # It has gone since it was found: a migration that goes from daemon to daemon ends when it likes.
        return None
    if identity is None or identity.vm_id != vm.vm_id:
        raise DriverError(f"Domain {name} is not a guest of Innkeeper; rename or undefine it", code="refused")
    if not may_be_same(identity.uuid, vm.uuid):
        raise DriverError(f"Guest {name} is that of another controller's VM, {identity.uuid}", code="refused")
    if identity.generation > vm.generation:
        raise DriverError(
            f"Guest {name} is of generation {identity.generation}; this order is for generation {vm.generation}",
            code="refused",
        )
    return domain


def running(connection: libvirt.virConnect, vm: Vm) -> libvirt.virDomain:
    """Return the VM's domain, which runs and is of the VM's generation from now on.

    Raises:
        DriverError: ``guest_missing``: it does not run here; ``refused`` as by ``find``.
    """
    domain = find(connection, vm)
    if domain is None or not is_active(domain):
        raise DriverError(f"Guest {domain_name(vm.vm_id)} does not run on this host", code="guest_missing")
    adopt(domain, vm)
    return domain


def adopt(domain: libvirt.virDomain, vm: Vm) -> None:
    """Note the VM's generation on its guest: an order of a higher generation has found it."""
    identity = identity_of(domain)
    if identity is not None and identity.generation == vm.generation:
        return
    affected = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
    affected |= libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, metadata_text(vm), PREFIX, NAMESPACE, affected)


def forget(domain: libvirt.virDomain, *, flags: bool, nvram: bool) -> None:
    """Make libvirt forget a domain that is off; one that has gone already is fine.

    Args:
        domain: The domain.
        flags: False where libvirt's driver knows no flags.
        nvram: True where the firmware's variables go as well.
    """
    wanted = KEPT_BY_LIBVIRT | (libvirt.VIR_DOMAIN_UNDEFINE_NVRAM if nvram else libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)
    try:
        domain.undefineFlags(wanted if flags else 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise


def switch_off(domain: libvirt.virDomain) -> None:
    """Switch a guest off at once; one that goes off by itself meanwhile is fine."""
    with _unless_off(domain):
        domain.destroy()


def press_power_button(domain: libvirt.virDomain, *, flags: bool) -> None:
    """Press the power button once; a guest that goes off meanwhile is fine."""
    with _unless_off(domain):
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN if flags else 0)


def share_cpu(domain: libvirt.virDomain, cpu_cores: float) -> None:
    """Give a running guest its share of the processors, where libvirt has control groups."""
    per_core = SHARES_PER_CORE_V2 if CGROUP_V2.exists() else SHARES_PER_CORE_V1
    shares = min(max(round(cpu_cores * per_core), LEAST_SHARES), MOST_SHARES)
    try:
        domain.setSchedulerParametersFlags({"cpu_shares": shares}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        if error.get_error_code() not in NO_CGROUPS:
            raise


@contextlib.contextmanager
def _unless_off(domain: libvirt.virDomain) -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError:
        if is_active(domain):
            raise


def is_active(domain: libvirt.virDomain) -> bool:
    """Say whether a guest runs; one that libvirt has forgotten does not."""
    try:
        return bool(domain.isActive())
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise
