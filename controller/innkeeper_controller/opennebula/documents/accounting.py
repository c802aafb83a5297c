"""What VMs took of hosts and what it costs, for ``one.vmpool.accounting`` and ``one.vmpool.showback``.

The VM inside a stay is told from the stay alone: what it had then, not what it has now, and if it is long gone.
"""

from collections.abc import Iterable

from innkeeper_controller.accounting import Cost
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula import states
from innkeeper_controller.opennebula.documents.history import stay
from innkeeper_controller.opennebula.documents.markup import element, escaped, moment, number
from innkeeper_controller.opennebula.documents.ownership import group_id, permissions, user_id
from innkeeper_controller.opennebula.documents.vm import numbers_of
from innkeeper_controller.records import OWNER_ONLY, HistoryRecord
from innkeeper_plugins.vocabulary import VmState


def accounting(cluster: Cluster, records: Iterable[HistoryRecord]) -> str:
    """Return the stays, each with what its VM had then."""
    stays = "".join(f"<HISTORY>{stay(cluster, each)}{_vm(cluster, each)}</HISTORY>" for each in records)
    return f"<HISTORY_RECORDS>{stays}</HISTORY_RECORDS>"


def showback(cluster: Cluster, rows: Iterable[Cost]) -> str:
    """Return what VMs cost, month by month."""
    return f"<SHOWBACK_RECORDS>{''.join(_cost(cluster, each) for each in rows)}</SHOWBACK_RECORDS>"


def _vm(cluster: Cluster, record: HistoryRecord) -> str:
    there = cluster.vms.get(record.vm_id)
    now = numbers_of(cluster, there) if there is not None else states.numbers(VmState.DONE)
    began, ended = (there.submitted_at_s, there.ended_at_s) if there is not None else (0.0, record.ended_at_s)
    return (
        f"<VM><ID>{record.vm_id}</ID>{_whose(cluster, record.owner, record.group)}"
        f"{element('NAME', record.vm_name)}{permissions(OWNER_ONLY if there is None else there.mode)}"
        f"<LAST_POLL>0</LAST_POLL><STATE>{now.state}</STATE><LCM_STATE>{now.lcm_state}</LCM_STATE>"
        f"<PREV_STATE>{now.state}</PREV_STATE><PREV_LCM_STATE>{now.lcm_state}</PREV_LCM_STATE><RESCHED>0</RESCHED>"
        f"<STIME>{moment(began)}</STIME><ETIME>{moment(ended)}</ETIME>"
        f"{element('DEPLOY_ID', '' if there is None else there.deploy_id)}<MONITORING></MONITORING>"
        f"<SCHED_ACTIONS></SCHED_ACTIONS>{_template(record)}<USER_TEMPLATE></USER_TEMPLATE>"
        "<HISTORY_RECORDS></HISTORY_RECORDS><BACKUPS><BACKUP_CONFIG></BACKUP_CONFIG><BACKUP_IDS></BACKUP_IDS></BACKUPS>"
        "</VM>"
    )


def _template(record: HistoryRecord) -> str:
    disks = f"<DISK><DISK_ID>0</DISK_ID><SIZE>{record.disks_mib}</SIZE></DISK>" if record.disks_mib else ""
    return (
        f"<TEMPLATE><CPU>{number(record.cpu_cores)}</CPU><CPU_COST>{number(record.cpu_cost)}</CPU_COST>{disks}"
        f"<DISK_COST>{number(record.disk_cost)}</DISK_COST><MEMORY>{record.memory_mib}</MEMORY>"
        f"<MEMORY_COST>{number(record.memory_cost)}</MEMORY_COST>{element('TM_MAD_SYSTEM', record.transfer)}"
        f"<VCPU>{record.vcpus}</VCPU><VMID>{record.vm_id}</VMID></TEMPLATE>"
    )


def _whose(cluster: Cluster, owner: str, group: str) -> str:
    return (
        f"<UID>{user_id(cluster, owner)}</UID><GID>{group_id(cluster, group)}</GID>"
        f"<UNAME>{escaped(owner)}</UNAME><GNAME>{escaped(group)}</GNAME>"
    )


def _cost(cluster: Cluster, row: Cost) -> str:
    total = row.cpu_cost + row.memory_cost + row.disk_cost
    return (
        f"<SHOWBACK><VMID>{row.vm_id}</VMID>{element('VMNAME', row.vm_name)}{_whose(cluster, row.owner, row.group)}"
        f"<YEAR>{row.year}</YEAR><MONTH>{row.month}</MONTH><CPU_COST>{number(row.cpu_cost)}</CPU_COST>"
        f"<MEMORY_COST>{number(row.memory_cost)}</MEMORY_COST><DISK_COST>{number(row.disk_cost)}</DISK_COST>"
        f"<TOTAL_COST>{number(total)}</TOTAL_COST><HOURS>{number(row.hours)}</HOURS>"
        f"<RHOURS>{number(row.running_hours)}</RHOURS></SHOWBACK>"
    )
