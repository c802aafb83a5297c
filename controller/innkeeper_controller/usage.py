"""What users and groups have of everything that a quota may limit, counted from the records as they change.

Because it is derived from the records and from nothing else, what is given back is given back exactly once.
Limits are judged in ``quotas``; nothing here refuses.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from innkeeper_controller.records import Image, Network, Record, VmRecord
from innkeeper_controller.units import MIB, mib_for
from innkeeper_plugins.vocabulary import DiskKind, Vm, VmState

#: What a quota may limit: ``vm.*`` of all VMs, and ``network.3.leases``, ``datastore.default.size``,
#: ``datastore.default.images`` (sizes in MiB) and ``image.5.rvms`` of one thing.
Amounts = dict[str, float]
#: ``("user", name)`` or ``("group", name)``.
Account = tuple[str, str]

#: States in which a VM counts as running: as with OpenNebula, whoever waits for a host counts already, so that only
#: a submission and a resume can be too much, and no scheduler has to think of quotas.
RUNNING_STATES = frozenset(VmState) - {
    VmState.STOPPED,
    VmState.POWEROFF,
    VmState.UNDEPLOYED,
    VmState.SUSPENDED,
    VmState.DONE,
}


@dataclass(slots=True)
class Usages:
    """``{account: {resource: amount}}``; read through ``of``."""

    _by_account: defaultdict[Account, Amounts] = field(default_factory=lambda: defaultdict(dict))

    def of(self, account: Account) -> Amounts:
        """Return what the account has; resources that it has nothing of are left out. Not to be written to."""
        return self._by_account.get(account, {})

    def apply(self, old: Record | None, new: Record | None) -> None:
        """Follow one record's change."""
        if not isinstance(old or new, VmRecord | Image | Network):
            return
        if old is not None and new is not None and _same(old, new):
            return
        for record, sign in ((old, -1), (new, 1)):
            if record is not None:
                self._count(record, sign)

    def _count(self, record: Record, sign: int) -> None:
        for resource, amount in amounts_of(record).items():
            for account in _accounts(record):
                amounts = self._by_account[account]
                left = round(amounts.get(resource, 0.0) + sign * amount, 6)
                if left:
                    amounts[resource] = left
                else:
                    amounts.pop(resource, None)


def _same(old: Record, new: Record) -> bool:
    """Return True where the change cannot change an amount; the hot path of state changes ends here."""
    if isinstance(old, VmRecord) and isinstance(new, VmRecord):
        return (
            (old.spec is new.spec or _same_size(old.spec, new.spec))
            and old.owner == new.owner
            and old.group == new.group
            and (old.state is VmState.DONE) == (new.state is VmState.DONE)
            and (old.state in RUNNING_STATES) == (new.state in RUNNING_STATES)
        )
    return False


def _same_size(old: Vm, new: Vm) -> bool:
    """Return True where two specifications take the same for certain, as where only the generation was raised."""
    return (
        old.disks is new.disks
        and old.nics is new.nics
        and old.cpu_cores == new.cpu_cores
        and old.memory_mib == new.memory_mib
    )


def _accounts(record: Record) -> Iterator[Account]:
    assert isinstance(record, VmRecord | Image | Network)
    yield "user", record.owner
    yield "group", record.group


def amounts_of(record: Record) -> Amounts:
    """Return what one record takes of everything that may be limited."""
    if isinstance(record, VmRecord):
        return _of_vm(record)
    if isinstance(record, Image):
        return _of_image(record)
    if isinstance(record, Network) and record.parent_id is not None:
        return {f"network.{record.parent_id}.leases": float(sum(each.size for each in record.ranges))}
    return {}


def _of_vm(vm: VmRecord) -> Amounts:
    if vm.state is VmState.DONE:
        return {}
    spec = vm.spec
    amounts: Amounts = {"vm.vms": 1.0, "vm.cpu": spec.cpu_cores, "vm.memory": float(spec.memory_mib)}
    disks_mib = disks_bytes(spec) / MIB
    if disks_mib:
        amounts["vm.system_disk_size"] = disks_mib
    if vm.state in RUNNING_STATES:
        amounts |= {
            "vm.running_vms": 1.0,
            "vm.running_cpu": spec.cpu_cores,
            "vm.running_memory": float(spec.memory_mib),
        }
    for nic in spec.nics:
        _add(amounts, f"network.{nic.network_id}.leases", 1.0)
    for image_id in {disk.image.image_id for disk in spec.disks if disk.image is not None}:
        _add(amounts, f"image.{image_id}.rvms", 1.0)
    return amounts


def disks_bytes(spec: Vm) -> int:
    """Return how much room the VM's disks take; a CD-ROM takes none."""
    return sum(disk.size_bytes for disk in spec.disks if disk.kind is not DiskKind.CDROM)


def _of_image(image: Image) -> Amounts:
    place = f"datastore.{image.datastore}"
    return {f"{place}.images": 1.0, f"{place}.size": float(mib_for(image.virtual_size_bytes))}


def _add(amounts: Amounts, resource: str, amount: float) -> None:
    amounts[resource] = amounts.get(resource, 0.0) + amount
