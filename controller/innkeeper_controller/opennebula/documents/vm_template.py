"""A VM's TEMPLATE, which is what we understand of what its user wrote, and its USER_TEMPLATE, which is the rest."""

from datetime import UTC, datetime

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.opennebula.documents import vm_devices as devices
from innkeeper_controller.opennebula.documents.markup import attributes, element, number, optional
from innkeeper_controller.placement.fitting import clusters_of
from innkeeper_controller.planner import images_of
from innkeeper_controller.records import VmRecord
from innkeeper_plugins.vocabulary import Vm


def template(cluster: Cluster, record: VmRecord) -> str:
    """Return TEMPLATE, in the schema's order."""
    spec = record.spec
    video = element("TYPE", spec.video) if spec.video else ""
    return (
        f"<TEMPLATE>{_automatic(cluster, spec)}{devices.context(spec)}<CPU>{number(spec.cpu_cores)}</CPU>"
        f"{''.join(devices.disk(cluster, each) for each in spec.disks)}{devices.features(spec)}"
        f"{devices.graphics(spec)}{f'<VIDEO>{video}</VIDEO>' if video else ''}"
        f"{devices.pointer(spec)}<MEMORY>{spec.memory_mib}</MEMORY>"
        f"{''.join(devices.nic(cluster, each) for each in spec.nics)}{devices.boot(spec)}"
        f"{devices.pci(spec)}{devices.raw(spec)}"
        f"{''.join(devices.snapshot(each) for each in record.snapshots)}{optional('TEMPLATE_ID', record.template_id)}"
        f"{element('TM_MAD_SYSTEM', spec.driver)}{devices.topology(spec)}<VCPU>{spec.vcpus}</VCPU>"
        f"<VMID>{record.vm_id}</VMID>{''.join(devices.scheduled(record.vm_id, each) for each in record.scheduled)}"
        "</TEMPLATE>"
    )


def template_in_pool(cluster: Cluster, record: VmRecord) -> str:
    """Return the part of TEMPLATE that lists have."""
    spec = record.spec
    return (
        f"<TEMPLATE><CPU>{number(spec.cpu_cores)}</CPU><MEMORY>{spec.memory_mib}</MEMORY><VCPU>{spec.vcpus}</VCPU>"
        f"{''.join(devices.disk(cluster, each) for each in spec.disks)}"
        f"{''.join(devices.nic(cluster, each) for each in spec.nics)}{devices.graphics(spec)}</TEMPLATE>"
    )


def user_template(cluster: Cluster, record: VmRecord) -> str:
    """Return USER_TEMPLATE: what the user noted, what the VM asks of hosts, and why it waits or failed."""
    noted = dict(record.attributes)
    ours = {
        "SCHED_REQUIREMENTS": record.requirements,
        "SCHED_RANK": record.rank,
        "USER_PRIORITY": str(record.wishes.priority or ""),
        "SCHED_MESSAGE": _sched_message(cluster, record),
        "ERROR": record.error,
    }
    noted |= {name: value for name, value in ours.items() if value and name not in noted}
    return f"<USER_TEMPLATE>{attributes(noted)}</USER_TEMPLATE>"


def _sched_message(cluster: Cluster, record: VmRecord) -> str:
    """Return why a VM waits behind the time since when it does, as clients of OpenNebula show it."""
    words = cluster.waits.get(record.vm_id, "")
    return f"{datetime.fromtimestamp(record.since_s, UTC).ctime()}: {words}" if words else ""


def _automatic(cluster: Cluster, spec: Vm) -> str:
    """Return the clusters that the VM may go to, as requirements."""
    common = clusters_of(cluster, spec, images_of(spec))
    if not common:
        return ""
    of_datastores = " | ".join(f'"CLUSTERS/ID" @> {each}' for each in common)
    of_hosts = " | ".join(f"CLUSTER_ID = {each}" for each in common)
    return element("AUTOMATIC_DS_REQUIREMENTS", f"({of_datastores})") + element(
        "AUTOMATIC_REQUIREMENTS", f"({of_hosts})"
    )
