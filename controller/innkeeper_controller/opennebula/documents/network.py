"""A virtual network's document, with its leases for ``one.vn.info`` and without them in lists."""

from collections.abc import Iterable

from innkeeper_controller import addresses
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.markup import attributes, element, ids, optional
from innkeeper_controller.opennebula.documents.ownership import head, lock, permissions
from innkeeper_controller.opennebula.numbers import GONE, NETWORK_READY
from innkeeper_controller.records import AddressLease, AddressRange, Network


def network(cluster: Cluster, record: Network) -> str:
    """Return all of a network."""
    taken: dict[int, list[AddressLease]] = {}
    for lease in cluster.leases.values():
        if lease.network_id == record.network_id:
            taken.setdefault(lease.range_index, []).append(lease)
    ranges = "".join(_range(record, each, taken.get(each.ar_id, [])) for each in record.ranges)
    return f"<VNET>{_beginning(cluster, record)}<AR_POOL>{ranges}</AR_POOL></VNET>"


def network_in_pool(cluster: Cluster, record: Network) -> str:
    """Return a network without its leases."""
    ranges = "".join(f"<AR>{_of_range(record, each)}</AR>" for each in record.ranges)
    return f"<VNET>{_beginning(cluster, record)}<AR_POOL>{ranges}</AR_POOL></VNET>"


def _beginning(cluster: Cluster, record: Network) -> str:
    vlan = "" if record.vlan_id is None else str(record.vlan_id)
    parent = "" if record.parent_id is None else str(record.parent_id)
    return (
        f"{head(cluster, record.network_id, record)}{lock(cluster, record.lock)}{permissions(record.mode)}"
        f"{ids('CLUSTERS', record.clusters)}{element('BRIDGE', record.bridge)}<BRIDGE_TYPE>linux</BRIDGE_TYPE>"
        f"<STATE>{NETWORK_READY}</STATE><PREV_STATE>{NETWORK_READY}</PREV_STATE>"
        f"<PARENT_NETWORK_ID>{parent}</PARENT_NETWORK_ID><TEMPLATE_ID></TEMPLATE_ID>"
        f"{element('VN_MAD', record.vn_mad)}{element('PHYDEV', record.physical_device)}"
        f"<VLAN_ID>{vlan}</VLAN_ID><OUTER_VLAN_ID></OUTER_VLAN_ID><VLAN_ID_AUTOMATIC>0</VLAN_ID_AUTOMATIC>"
        "<OUTER_VLAN_ID_AUTOMATIC>0</OUTER_VLAN_ID_AUTOMATIC>"
        f"<USED_LEASES>{cluster.lease_count.get(record.network_id, 0)}</USED_LEASES>"
        "<VROUTERS></VROUTERS><UPDATED_VMS></UPDATED_VMS><OUTDATED_VMS></OUTDATED_VMS><UPDATING_VMS></UPDATING_VMS>"
        f"<ERROR_VMS></ERROR_VMS>{_template(record)}"
    )


def _template(record: Network) -> str:
    ours = {
        "VN_MAD": record.vn_mad,
        "BRIDGE": record.bridge,
        "PHYDEV": record.physical_device,
        "VLAN_ID": "" if record.vlan_id is None else str(record.vlan_id),
        "DNS": record.dns,
        "GATEWAY": record.gateway,
        "NETWORK_MASK": record.netmask,
    }
    noted = record.attributes | {name: value for name, value in ours.items() if value}
    noted.setdefault("SECURITY_GROUPS", "0")
    return f"<TEMPLATE>{attributes(noted)}</TEMPLATE>"


def _of_range(record: Network, each: AddressRange) -> str:
    """Return the elements of a range that lists have, too."""
    parent = optional("PARENT_NETWORK_AR_ID", None if each.parent_ar_id is None else str(each.parent_ar_id))
    return (
        f"<AR_ID>{each.ar_id}</AR_ID>{optional('GLOBAL_PREFIX', each.global_prefix)}{optional('IP', each.ip)}"
        f"{element('MAC', addresses.address_at(each, 0)[0])}<NEXT_INDEX>0</NEXT_INDEX>{parent}<SIZE>{each.size}</SIZE>"
        f"{element('TYPE', each.type)}{optional('ULA_PREFIX', each.ula_prefix)}{element('VN_MAD', record.vn_mad)}"
    )


def _range(record: Network, each: AddressRange, taken: Iterable[AddressLease]) -> str:
    leases = sorted(taken, key=lambda lease: lease.offset)
    first_mac, _ = addresses.address_at(each, 0)
    last_mac, last_ip = addresses.address_at(each, each.size - 1)
    return (
        f"<AR>{_of_range(record, each)}{element('MAC_END', last_mac)}{optional('IP_END', last_ip)}"
        f"{_ip6('IP6_ULA', each.ula_prefix, first_mac, last_mac)}"
        f"{_ip6('IP6_GLOBAL', each.global_prefix, first_mac, last_mac)}"
        f"<USED_LEASES>{len(leases)}</USED_LEASES><LEASES>{''.join(_lease(lease) for lease in leases)}</LEASES></AR>"
    )


def _ip6(name: str, prefix: str, first_mac: str, last_mac: str) -> str:
    """Return the first and the last address of a range under an IPv6 prefix, or nothing where it has none."""
    first, last = addresses.ip6_of(prefix, first_mac), addresses.ip6_of(prefix, last_mac)
    return optional(name, first) + optional(f"{name}_END", last)


def _lease(lease: AddressLease) -> str:
    """Return one LEASE; VM -1 holds those that a person keeps."""
    holder = (
        f"<VNET>{lease.reserved_by}</VNET>"
        if lease.reserved_by is not None
        else f"<VM>{GONE if lease.vm_id is None else lease.vm_id}</VM>"
    )
    return (
        f"<LEASE>{optional('IP', lease.ip)}{optional('IP6_GLOBAL', lease.ip6_global)}"
        f"{optional('IP6_ULA', lease.ip6_ula)}{optional('MAC', lease.mac)}{holder}</LEASE>"
    )
