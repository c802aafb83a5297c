"""Which method of a driver carries a step out, and with what; one table.

Adding a verb: its row here, beside its row in ``innkeeper_plugins.steps.VERBS``.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from innkeeper_plugins import steps
from innkeeper_plugins.protocols import HypervisorDriver, Place, TransferDriver
from innkeeper_plugins.vocabulary import Vm

#: What a step found out, as in ``Outcome.result``.
Result: TypeAlias = dict[str, str | int | float]

# The rows' step is Any: each row takes its own type of step, which is its key.
TransferCall: TypeAlias = Callable[[TransferDriver, Place, Vm, Any], None]
HypervisorCall: TypeAlias = Callable[[HypervisorDriver, Place, Vm, Any], str | None]

TRANSFER: dict[type[steps.StepBase], TransferCall] = {
    steps.Clone: lambda d, place, vm, s: d.clone(place, vm, vm.disk(s.disk_id)),
    steps.Ln: lambda d, place, vm, s: d.ln(place, vm, vm.disk(s.disk_id)),
    steps.MkImage: lambda d, place, vm, s: d.mkimage(place, vm, vm.disk(s.disk_id)),
    steps.MkSwap: lambda d, place, vm, s: d.mkswap(place, vm, vm.disk(s.disk_id)),
    steps.Context: lambda d, place, vm, _: d.context(place, vm),
    steps.Delete: lambda d, place, vm, s: d.delete(place, vm, None if s.disk_id is None else vm.disk(s.disk_id)),
    steps.Premigrate: lambda d, place, vm, _: d.premigrate(place, vm),
    steps.Postmigrate: lambda d, place, vm, _: d.postmigrate(place, vm),
}

#: What a call returns is the guest's name at the hypervisor, where it is not None.
HYPERVISOR: dict[type[steps.StepBase], HypervisorCall] = {
    steps.Deploy: lambda d, place, vm, _: d.deploy(place, vm),
    steps.Shutdown: lambda d, place, vm, s: d.shutdown(place, vm, grace_s=s.grace_s, force=s.force),
    steps.Cancel: lambda d, place, vm, _: d.cancel(place, vm),
    steps.Save: lambda d, place, vm, _: d.save(place, vm),
    steps.Restore: lambda d, place, vm, _: d.restore(place, vm),
    steps.Migrate: lambda d, place, vm, s: d.migrate(
        place, vm, destination_uri=s.destination_uri, shared_storage=s.shared_storage
    ),
    steps.Reboot: lambda d, place, vm, _: d.reboot(place, vm),
    steps.Reset: lambda d, place, vm, _: d.reset(place, vm),
}
