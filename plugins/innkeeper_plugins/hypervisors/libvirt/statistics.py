"""What libvirt says of a guest, as an observation.

Pure: reads the numbers that the driver has asked for.
"""

from collections.abc import Mapping

import libvirt

from innkeeper_plugins.hypervisors.libvirt.identity import Identity
from innkeeper_plugins.vocabulary import Observation, PowerState

NANOSECONDS_PER_SECOND = 1_000_000_000
KIB_PER_MIB = 1024
#: What ``getAllDomainStats`` is asked for.
STATS = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_BALLOON
#: Without waiting for a guest whose monitor is busy: it is reported with less.
NOWAIT = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT

POWER = {
    libvirt.VIR_DOMAIN_RUNNING: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
    # It has been told to go off but still runs.
    libvirt.VIR_DOMAIN_SHUTDOWN: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_SHUTOFF: PowerState.OFF,
    libvirt.VIR_DOMAIN_CRASHED: PowerState.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: PowerState.PAUSED,
}
#: Ways of being off that nobody asked for; ``DAEMON`` is a process that died while its daemon was away.
CRASHES = frozenset({libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, libvirt.VIR_DOMAIN_SHUTOFF_DAEMON})


def power_state(state: int, reason: int) -> PowerState:
    """Return what libvirt's state means; one that we have not heard of is taken for running."""
    if state == libvirt.VIR_DOMAIN_SHUTOFF and reason in CRASHES:
        return PowerState.CRASHED
    return POWER.get(state, PowerState.RUNNING)


def observation(identity: Identity, stats: Mapping[str, int]) -> Observation:
    """Return what the statistics of one guest say; what the hypervisor does not tell is 0."""
    resident_kib = stats.get("balloon.rss") or stats.get("balloon.current") or 0
    power = power_state(stats.get("state.state", 0), stats.get("state.reason", 0))
    off = power in {PowerState.OFF, PowerState.CRASHED}
    return Observation(
        vm_id=identity.vm_id,
        generation=identity.generation,
        uuid=identity.uuid,
        power=power,
        cpu_time_s=stats.get("cpu.time", 0) / NANOSECONDS_PER_SECOND,
        memory_mib=0 if off else resident_kib // KIB_PER_MIB,
    )
