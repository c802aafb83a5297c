"""A VM's stays on hosts, as OpenNebula's HISTORY."""

from collections.abc import Iterable

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents.markup import element, escaped, moment
from innkeeper_controller.opennebula.documents.ownership import group_id, user_id
from innkeeper_controller.opennebula.numbers import GONE, HISTORY_ACTIONS, NO_ACTION
from innkeeper_controller.records import HistoryRecord


def history_records(cluster: Cluster, stays: Iterable[HistoryRecord]) -> str:
    """Return all stays, in their order."""
    inside = "".join(f"<HISTORY>{stay(cluster, each)}</HISTORY>" for each in stays)
    return f"<HISTORY_RECORDS>{inside}</HISTORY_RECORDS>"


def last_history_record(cluster: Cluster, stays: tuple[HistoryRecord, ...]) -> str:
    """Return the last stay in few words, as pools have it."""
    if not stays:
        return "<HISTORY_RECORDS></HISTORY_RECORDS>"
    last = stays[-1]
    return (
        f"<HISTORY_RECORDS><HISTORY>{_where(last)}<DS_ID>{_datastore_id(cluster, last)}</DS_ID>{_drivers(last)}"
        f"<ACTION>{action(last)}</ACTION></HISTORY></HISTORY_RECORDS>"
    )


def stay(cluster: Cluster, record: HistoryRecord) -> str:
    """Return what is inside one HISTORY."""
    phases = (
        ("PSTIME", record.prolog_began_s),
        ("PETIME", record.prolog_ended_s),
        ("RSTIME", record.running_began_s),
        ("RETIME", record.running_ended_s),
        ("ESTIME", record.epilog_began_s),
        ("EETIME", record.epilog_ended_s),
    )
    group = _group_of(cluster, record)
    return (
        f"{_where(record)}<STIME>{moment(record.began_at_s)}</STIME><ETIME>{moment(record.ended_at_s)}</ETIME>"
        f"{_drivers(record)}<DS_ID>{_datastore_id(cluster, record)}</DS_ID>"
        f"<PLAN_ID>{GONE}</PLAN_ID><ACTION_ID>{GONE}</ACTION_ID>"
        f"{''.join(f'<{name}>{moment(at_s)}</{name}>' for name, at_s in phases)}<ACTION>{action(record)}</ACTION>"
        f"<UID>{user_id(cluster, record.actor)}</UID><GID>{group}</GID>{element('REQUEST_ID', record.request_id)}"
    )


def action(record: HistoryRecord) -> int:
    """Return the number of what ended the stay, or was last begun in it; 0 for nothing that OpenNebula knows."""
    return HISTORY_ACTIONS.get(record.action, NO_ACTION)


def _where(record: HistoryRecord) -> str:
    return (
        f"<OID>{record.vm_id}</OID><SEQ>{record.seq}</SEQ><HOSTNAME>{escaped(record.host_name)}</HOSTNAME>"
        f"<HID>{record.host_id}</HID><CID>{record.cluster_id}</CID>"
    )


def _drivers(record: HistoryRecord) -> str:
    return f"<VM_MAD>{escaped(record.hypervisor)}</VM_MAD><TM_MAD>{escaped(record.transfer)}</TM_MAD>"


def _datastore_id(cluster: Cluster, record: HistoryRecord) -> int:
    datastore = cluster.datastores.get(record.datastore)
    return GONE if datastore is None else datastore.datastore_id


def _group_of(cluster: Cluster, record: HistoryRecord) -> int:
    """Return the first group of who acted."""
    user = cluster.users.get(record.actor)
    return group_id(cluster, user.groups[0]) if user is not None and user.groups else GONE
