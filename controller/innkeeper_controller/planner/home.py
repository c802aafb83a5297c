"""Compiles what happens to a guest on its own host only: saved, restarted, switched off, sealed."""

from innkeeper_controller.planner.drafts import (
    Draft,
    PlanOptions,
    by_hypervisor,
    context_again,
    forget,
    save,
    seal,
    switch_off,
)
from innkeeper_controller.planner.ends import shutdown
from innkeeper_controller.records import Host, OperationKind, Plan, VmRecord
from innkeeper_plugins.steps import Deploy, Reboot, Reset, Restore, Step
from innkeeper_plugins.vocabulary import VmState


def at_home(kind: OperationKind, vm: VmRecord, host: Host, options: PlanOptions) -> Plan:
    """Compile an operation that runs on the VM's own host only."""
    spec = vm.spec
    draft = Draft(spec)
    draft.leg(host, _HOME_STEPS[kind](vm, host, options))
    return draft.plan


def _suspend(vm: VmRecord, _host: Host, _options: PlanOptions) -> list[Step]:
    return save(vm.spec)


def _resume(vm: VmRecord, _host: Host, _options: PlanOptions) -> list[Step]:
    if vm.state is VmState.SUSPENDED:
        return [Restore(**by_hypervisor(vm.spec, VmState.BOOT))]
    boot = Deploy(**by_hypervisor(vm.spec, VmState.BOOT))
    return [*context_again(vm, VmState.BOOT), boot]


def _stop(vm: VmRecord, host: Host, _options: PlanOptions) -> list[Step]:
    saved = vm.state is VmState.SUSPENDED
    return ([] if saved else save(vm.spec)) + seal(vm.spec, host, VmState.EPILOG)


def _poweroff(vm: VmRecord, _host: Host, options: PlanOptions) -> list[Step]:
    return [switch_off(vm.spec, options, force=False)]


def _undeploy(vm: VmRecord, host: Host, options: PlanOptions) -> list[Step]:
    off = vm.state is VmState.POWEROFF
    return (
        ([] if off else [switch_off(vm.spec, options, force=False)])
        + seal(vm.spec, host, VmState.EPILOG)
        + forget(vm.spec)
    )


def _reboot(vm: VmRecord, _host: Host, _options: PlanOptions) -> list[Step]:
    return [Reboot(**by_hypervisor(vm.spec, VmState.RUNNING))]


def _reset(vm: VmRecord, _host: Host, _options: PlanOptions) -> list[Step]:
    return [Reset(**by_hypervisor(vm.spec, VmState.RUNNING))]


#: ``{kind: its steps on the VM's own host}``
_HOME_STEPS = {
    OperationKind.SUSPEND: _suspend,
    OperationKind.RESUME: _resume,
    OperationKind.STOP: _stop,
    OperationKind.POWEROFF: _poweroff,
    OperationKind.UNDEPLOY: _undeploy,
    OperationKind.REBOOT: _reboot,
    OperationKind.RESET: _reset,
    OperationKind.SHUTDOWN: shutdown,
}
