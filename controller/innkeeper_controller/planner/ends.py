"""Compiles the end of a VM: off, its persistent disks kept as images, and everything of it deleted."""

from collections.abc import Sequence

from innkeeper_controller.planner.drafts import Draft, PlanOptions, by_hypervisor, delete_all, switch_off
from innkeeper_controller.planner.images import saves
from innkeeper_controller.records import Host, Plan, VmRecord
from innkeeper_plugins.steps import Cancel, Step
from innkeeper_plugins.vocabulary import HostId, VmState


def terminate(vm: VmRecord, hosts: Sequence[Host], options: PlanOptions, *, saves_on: HostId | None = None) -> Plan:
    """Compile the end of a VM: on the host that it is on, then on another one that has files of it.

    Args:
        vm: The VM.
        hosts: Where it has anything, first the one that its guest may be on.
        options: How the guest is switched off.
        saves_on: The host whose copies of the persistent disks become their images again; None for none.
    """
    draft = Draft(vm.spec)
    for number, host in enumerate(hosts):
        steps = [] if number else _off(vm, options)
        if host.host_id == saves_on:
            steps += saves(vm.spec, VmState.EPILOG)
        draft.leg(host, steps + delete_all(vm.spec, VmState.EPILOG))
    return draft.plan


def shutdown(vm: VmRecord, _host: Host, options: PlanOptions) -> list[Step]:
    """Return the ordinary end: the guest powers itself off, or nothing of it is touched."""
    off = Cancel(**by_hypervisor(vm.spec, VmState.SHUTDOWN))
    steps: list[Step] = [switch_off(vm.spec, options, force=False), off]
    return steps + saves(vm.spec, VmState.EPILOG) + delete_all(vm.spec, VmState.EPILOG)


def _off(vm: VmRecord, options: PlanOptions) -> list[Step]:
    steps: list[Step] = []
    if vm.state is VmState.RUNNING and not options.hard:
        steps.append(switch_off(vm.spec, options, force=True))
    return [*steps, Cancel(**by_hypervisor(vm.spec, VmState.SHUTDOWN))]
