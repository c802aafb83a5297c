"""Documents as OpenNebula 1.4 had them, for clients of its age and for Haizea; every number is always there.

What 1.4 called otherwise has its old name here; elements that a modern client would look for are there as well.
"""

from collections.abc import Iterable
from typing import Final

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.host import running_vms, state_of
from innkeeper_controller.opennebula.documents.markup import element, moment
from innkeeper_controller.opennebula.documents.monitoring import CPU_OF_CORE, KIB_OF_MIB
from innkeeper_controller.opennebula.documents.ownership import user_id
from innkeeper_controller.opennebula.documents.vm import last_heard, numbers_of
from innkeeper_controller.opennebula.documents.vm_template import template, user_template
from innkeeper_controller.placement.allowances import capacity_of
from innkeeper_controller.records import AddressLease, Host, Network, User, VmRecord
from innkeeper_plugins.vocabulary import Capacity

#: The methods that there were, which ``/RPC1`` answers.
METHODS_OF_1_4: Final = frozenset(
    {
        *(f"one.vm.{each}" for each in ("allocate", "deploy", "action", "migrate", "info")),
        "one.vmpool.info",
        *(f"one.host.{each}" for each in ("allocate", "info", "delete", "enable")),
        "one.hostpool.info",
        *(f"one.vn.{each}" for each in ("allocate", "info", "delete")),
        "one.vnpool.info",
        *(f"one.user.{each}" for each in ("allocate", "info", "delete")),
        "one.userpool.info",
    }
)
#: 1.4 ended here; what came later is told as what it was then.
_LAST_LCM_STATE: Final = 16
_RUNNING: Final = 3
#: ``{STATE of today: of 1.4}``: POWEROFF and UNDEPLOYED were not known.
_STATES: Final = {8: 5, 9: 4}


def vm(cluster: Cluster, record: VmRecord) -> str:
    """Return all of a VM."""
    inside = f"{template(cluster, record)}{user_template(cluster, record)}"
    # In 1.4 there was one template; Haizea reads HAIZEA in it.
    whole = inside.replace("</TEMPLATE><USER_TEMPLATE>", "").replace("</USER_TEMPLATE>", "</TEMPLATE>")
    return f"<VM>{_of_vm(cluster, record)}{whole}{_history(cluster, record)}</VM>"


def vm_in_pool(cluster: Cluster, record: VmRecord) -> str:
    """Return a VM in few words."""
    return f"<VM>{_of_vm(cluster, record)}{_history(cluster, record)}</VM>"


def _of_vm(cluster: Cluster, record: VmRecord) -> str:
    now = numbers_of(cluster, record)
    lcm_state = now.lcm_state if now.lcm_state <= _LAST_LCM_STATE else _RUNNING
    seen = cluster.observed.get(record.vm_id)
    used_kib = (seen.memory_mib if seen is not None else record.spec.memory_mib) * KIB_OF_MIB
    return (
        f"<ID>{record.vm_id}</ID><UID>{user_id(cluster, record.owner)}</UID>{element('USERNAME', record.owner)}"
        f"{element('NAME', record.name)}<LAST_POLL>{last_heard(cluster, record)}</LAST_POLL>"
        f"<STATE>{_STATES.get(now.state, now.state)}</STATE><LCM_STATE>{lcm_state}</LCM_STATE>"
        f"<STIME>{moment(record.submitted_at_s)}</STIME><ETIME>{moment(record.ended_at_s)}</ETIME>"
        f"{element('DEPLOY_ID', record.deploy_id or '-')}<MEMORY>{used_kib}</MEMORY>"
        f"<CPU>{round(record.spec.cpu_cores * CPU_OF_CORE)}</CPU><NET_TX>0</NET_TX><NET_RX>0</NET_RX>"
    )


def _history(cluster: Cluster, record: VmRecord) -> str:
    stays = cluster.history_of.get(record.vm_id, ())
    if not stays:
        return ""
    stay = stays[-1]
    return (
        f"<HISTORY><SEQ>{stay.seq}</SEQ>{element('HOSTNAME', stay.host_name)}<HID>{stay.host_id}</HID>"
        f"<STIME>{moment(stay.began_at_s)}</STIME><ETIME>{moment(stay.ended_at_s)}</ETIME>"
        f"<PSTIME>{moment(stay.prolog_began_s)}</PSTIME><PETIME>{moment(stay.prolog_ended_s)}</PETIME>"
        f"<RSTIME>{moment(stay.running_began_s)}</RSTIME><RETIME>{moment(stay.running_ended_s)}</RETIME>"
        f"<ESTIME>{moment(stay.epilog_began_s)}</ESTIME><EETIME>{moment(stay.epilog_ended_s)}</EETIME>"
        f"<REASON>0</REASON></HISTORY>"
    )


def host(cluster: Cluster, record: Host) -> str:
    """Return all of a host; lists have the same."""
    total, used = record.advertisement.capacity, cluster.used.get(record.host_id, Capacity())
    load, most = cluster.load.get(record.host_id), capacity_of(cluster, record)
    cpu, memory = round(total.cpu_cores * CPU_OF_CORE), total.memory_mib * KIB_OF_MIB
    busy_cpu = round(load.cpu_used_cores * CPU_OF_CORE) if load is not None else 0
    busy_memory = load.memory_used_mib * KIB_OF_MIB if load is not None else 0
    share = {
        "HID": record.host_id,
        "DISK_USAGE": 0,
        "MEM_USAGE": used.memory_mib * KIB_OF_MIB,
        "CPU_USAGE": round(used.cpu_cores * CPU_OF_CORE),
        "MAX_DISK": 0,
        "MAX_MEM": most.memory_mib * KIB_OF_MIB,
        "MAX_CPU": round(most.cpu_cores * CPU_OF_CORE),
        "FREE_DISK": 0,
        "FREE_MEM": max(memory - busy_memory, 0),
        "FREE_CPU": max(cpu - busy_cpu, 0),
        "USED_DISK": 0,
        "USED_MEM": busy_memory,
        "USED_CPU": busy_cpu,
        "RUNNING_VMS": running_vms(cluster, record),
    }
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in share.items())
    labels = "".join(element(name, value) for name, value in record.labels.items() if name.isidentifier())
    return (
        f"<HOST><ID>{record.host_id}</ID>{element('NAME', record.name)}<STATE>{state_of(record)}</STATE>"
        f"{element('IM_MAD', record.im_mad)}{element('VM_MAD', record.vm_mad)}<TM_MAD>innkeeper</TM_MAD>"
        f"<LAST_MON_TIME>{moment(cluster.heard_at_s.get(record.host_id))}</LAST_MON_TIME>"
        f"<HOST_SHARE>{inside}</HOST_SHARE><TEMPLATE>{labels}</TEMPLATE></HOST>"
    )


def network(cluster: Cluster, record: Network) -> str:
    """Return all of a network."""
    leases = (each for each in cluster.leases.values() if each.network_id == record.network_id)
    inside = "".join(_lease(each) for each in leases)
    pairs = {
        "NAME": record.name,
        "BRIDGE": record.bridge,
        "TYPE": "RANGED",
        "NETWORK_ADDRESS": record.ranges[0].ip if record.ranges else "",
        "NETWORK_SIZE": str(sum(each.size for each in record.ranges)),
    }
    told = "".join(element(name, value) for name, value in pairs.items())
    return f"<VNET>{_of_network(cluster, record)}<TEMPLATE>{told}</TEMPLATE><LEASES>{inside}</LEASES></VNET>"


def _lease(lease: AddressLease) -> str:
    vm_id = lease.vm_id if lease.vm_id is not None else -1
    return f"<LEASE>{element('IP', lease.ip)}{element('MAC', lease.mac)}<USED>1</USED><VID>{vm_id}</VID></LEASE>"


def _of_network(cluster: Cluster, record: Network) -> str:
    return (
        f"<ID>{record.network_id}</ID><UID>{user_id(cluster, record.owner)}</UID>{element('USERNAME', record.owner)}"
        f"{element('NAME', record.name)}<TYPE>0</TYPE>{element('BRIDGE', record.bridge)}"
        f"<TOTAL_LEASES>{cluster.lease_count.get(record.network_id, 0)}</TOTAL_LEASES>"
    )


def network_pool(cluster: Cluster, records: Iterable[Network]) -> str:
    """Return networks in few words."""
    inside = "".join(f"<VNET>{_of_network(cluster, each)}</VNET>" for each in records)
    return f"<VNET_POOL>{inside}</VNET_POOL>"


def user(_cluster: Cluster, record: User) -> str:
    """Return a user; nobody needs to see a password."""
    return (
        f"<USER><ID>{record.user_id}</ID>{element('NAME', record.name)}<PASSWORD>-</PASSWORD>"
        f"<ENABLED>{int(record.enabled)}</ENABLED></USER>"
    )


def user_pool(cluster: Cluster, records: Iterable[User]) -> str:
    """Return users."""
    return f"<USER_POOL>{''.join(user(cluster, each) for each in records)}</USER_POOL>"
