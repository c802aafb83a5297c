"""A VM's document, whole for ``one.vm.info`` and in few words for ``one.vmpool.info``."""

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula import states
from innkeeper_controller.opennebula.documents.history import history_records, last_history_record
from innkeeper_controller.opennebula.documents.markup import element, ids, moment
from innkeeper_controller.opennebula.documents.monitoring import vm_sample
from innkeeper_controller.opennebula.documents.ownership import head, lock, permissions
from innkeeper_controller.opennebula.documents.vm_devices import disk_snapshots
from innkeeper_controller.opennebula.documents.vm_template import template, template_in_pool, user_template
from innkeeper_controller.records import Operation, VmRecord
from innkeeper_plugins.vocabulary import VmState

_NO_BACKUPS = "<BACKUPS><BACKUP_CONFIG></BACKUP_CONFIG><BACKUP_IDS></BACKUP_IDS></BACKUPS>"
#: States of a VM that waits for a host, the first time or again.
_WAITING = frozenset({VmState.PENDING, VmState.HOLD})


def vm(cluster: Cluster, record: VmRecord) -> str:
    """Return all of a VM."""
    now, before = numbers_of(cluster, record), numbers_before(cluster, record)
    stays = cluster.history_of.get(record.vm_id, ())
    return (
        f"<VM>{head(cluster, record.vm_id, record)}{permissions(record.mode)}"
        f"<LAST_POLL>{last_heard(cluster, record)}</LAST_POLL>"
        f"<STATE>{now.state}</STATE><LCM_STATE>{now.lcm_state}</LCM_STATE>"
        f"<PREV_STATE>{before.state}</PREV_STATE><PREV_LCM_STATE>{before.lcm_state}</PREV_LCM_STATE>"
        f"{_times(record)}{lock(cluster, record.lock)}<MONITORING>{vm_sample(cluster, record)}</MONITORING>"
        f"{ids('SCHED_ACTIONS', (each.action_id for each in record.scheduled))}{template(cluster, record)}"
        f"{user_template(cluster, record)}{history_records(cluster, stays)}{disk_snapshots(record)}{_NO_BACKUPS}</VM>"
    )


def vm_in_pool(cluster: Cluster, record: VmRecord) -> str:
    """Return a VM in few words."""
    now = numbers_of(cluster, record)
    return (
        f"<VM>{head(cluster, record.vm_id, record)}<LAST_POLL>{last_heard(cluster, record)}</LAST_POLL>"
        f"<STATE>{now.state}</STATE><LCM_STATE>{now.lcm_state}</LCM_STATE>{_times(record)}{lock(cluster, record.lock)}"
        f"{template_in_pool(cluster, record)}<MONITORING>{vm_sample(cluster, record)}</MONITORING>"
        f"{user_template(cluster, record)}{last_history_record(cluster, cluster.history_of.get(record.vm_id, ()))}</VM>"
    )


def _times(record: VmRecord) -> str:
    return (
        f"<RESCHED>{int(record.resched)}</RESCHED><STIME>{moment(record.submitted_at_s)}</STIME>"
        f"<ETIME>{moment(record.ended_at_s)}</ETIME>{element('DEPLOY_ID', record.deploy_id)}"
    )


def last_heard(cluster: Cluster, record: VmRecord) -> int:
    """Return when the VM's host last spoke; 0 where it has none."""
    return moment(cluster.heard_at_s.get(record.host_id)) if record.host_id is not None else 0


def numbers_of(cluster: Cluster, record: VmRecord) -> states.Numbers:
    """Return where a VM is in OpenNebula's numbers."""
    running = cluster.operations.get(record.operation_id) if record.operation_id is not None else None
    if running is not None:
        return states.numbers(record.state, running.kind, _origin(record, running))
    if record.state is VmState.FAILED:
        return _failure(cluster, record)
    return states.numbers(record.state)


def numbers_before(cluster: Cluster, record: VmRecord) -> states.Numbers:
    """Return where the VM was when its operation began; where it is, if none runs."""
    running = cluster.operations.get(record.operation_id) if record.operation_id is not None else None
    return numbers_of(cluster, record) if running is None else states.numbers(VmState(running.origin))


def _failure(cluster: Cluster, record: VmRecord) -> states.Numbers:
    failed = cluster.operations.get(record.last_operation_id) if record.last_operation_id is not None else None
    if failed is None or failed.error is None:
        return states.failure()
    return states.failure(failed.kind, _origin(record, failed), _phase(failed))


def _origin(record: VmRecord, operation: Operation) -> VmState:
    """Return where the VM was at rest; one that waits for a host again was STOPPED or UNDEPLOYED before."""
    origin = VmState(operation.origin)
    if origin not in _WAITING or not (record.saved or record.sealed):
        return origin
    return VmState.STOPPED if record.saved else VmState.UNDEPLOYED


def _phase(operation: Operation) -> VmState | None:
    """Return the phase of the step that failed; None where none did."""
    failed = operation.error.step_id if operation.error is not None else None
    steps = (step for leg in operation.plan.legs for step in leg.steps)
    return next((step.phase for step in steps if step.step_id == failed), None)
