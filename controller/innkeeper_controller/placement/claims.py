"""Which nodes, processors, pages and devices of a host a VM gets, as the records have it.

There is no book: what is held is what the VMs on a host say, so that nothing can leak. A VM gets its share when its
host is chosen, another one when it moves, and has none when it is on no host. Nothing is started here.
"""

import msgspec

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import Holding, Host, VmRecord
from innkeeper_controller.scheduling.nodes import holdings, numa, pci
from innkeeper_controller.scheduling.nodes.shortage import Shortage
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import HostId, Vm, VmState

_replace = msgspec.structs.replace


def guests_on(cluster: Cluster, host_id: HostId) -> list[tuple[VmRecord, Vm]]:
    """Return the VMs that hold something of a host's nodes or devices, each as it is on that host."""
    vms = [cluster.vms[each] for each in sorted(cluster.vms_on.get(host_id, ()))]
    return [
        (vm, vm.spec_on(host_id))
        for vm in vms
        if (vm.spec.numa is not None or vm.spec.pci) and host_id in cluster.claims(vm)
    ]


def with_claims(cluster: Cluster, vm: VmRecord, host: Host) -> Vm | Shortage:
    """Return the VM's specification with what it gets of the host, or what the host has too little of."""
    spec = vm.spec
    if spec.numa is None and not spec.pci:
        return spec
    others = [guest for record, guest in guests_on(cluster, host.host_id) if record.vm_id != vm.vm_id]
    told = host.advertisement
    addresses = pci.choose(spec.pci, told.pci, pci.held_by(others))
    if isinstance(addresses, Shortage):
        return addresses
    spec = _replace(spec, pci_addresses=addresses, numa_cells=())
    if spec.numa is None:
        return spec
    near = pci.nodes_of(addresses, told.pci)
    cells = numa.assign(spec.numa, spec.vcpus, spec.memory_mib, told.numa, holdings.held_by(others), near=near)
    return cells if isinstance(cells, Shortage) else _replace(spec, numa_cells=cells)


def claimed(turn: Turn, vm: VmRecord, host: Host) -> VmRecord:
    """Return the VM with what it gets of the host that it goes to; one that moves keeps what it has until then.

    Raises:
        RefusalError: ``no_capacity``: the host has too little.
    """
    spec = with_claims(turn.cluster, vm, host)
    if isinstance(spec, Shortage):
        raise RefusalError("no_capacity", f"Host {host.name} cannot take VM {vm.vm_id}: {spec.message}.")
    is_moving = vm.host_id is not None and vm.host_id != host.host_id
    has = Holding(numa_cells=vm.spec.numa_cells, pci_addresses=vm.spec.pci_addresses)
    return _replace(vm, spec=spec, leaving=has if is_moving and has != Holding() else None)


def resized(turn: Turn, before: VmRecord, after: VmRecord, host: Host | None) -> VmRecord:
    """Return a VM of another size with what it gets of its host now; None where it is on none.

    Raises:
        RefusalError: ``wrong_state``: it runs on what it has; ``no_capacity``.
    """
    had, has = before.spec, after.spec
    if has.numa is None or (had.vcpus, had.memory_mib) == (has.vcpus, has.memory_mib):
        return after
    if before.state is VmState.RUNNING:
        raise RefusalError(
            "wrong_state",
            f"VM {before.vm_id} is tied to nodes of its host, so its processors and memory stay as they are while it "
            f"runs; power it off first (`inn vm poweroff {before.vm_id}`).",
        )
    return after if host is None else claimed(turn, after, host)


def settled(vm: VmRecord, host_id: HostId | None) -> VmRecord:
    """Return a VM whose operation has ended, with what it holds of the host that it is on now."""
    return vm if vm.leaving is None else _replace(vm, spec=vm.spec_on(host_id), leaving=None)


def without_left(vm: VmRecord) -> VmRecord:
    """Return the VM as it is, without what it held of a host where it is on none."""
    if vm.host_id is not None or not (vm.spec.numa_cells or vm.spec.pci_addresses):
        return vm
    return _replace(vm, spec=_replace(vm.spec, numa_cells=(), pci_addresses=()), leaving=None)


def check_savable(vm: VmRecord, what: str) -> None:
    """Refuse what needs the memory of a running guest where it has devices, whose state nobody can save.

    Args:
        vm: The VM.
        what: What is refused: ``suspended``.

    Raises:
        RefusalError: ``wrong_state``.
    """
    if vm.spec.pci and vm.state is VmState.RUNNING:
        raise RefusalError(
            "wrong_state",
            f"VM {vm.vm_id} has devices of its host ({', '.join(vm.spec.pci_addresses)}), so it cannot be {what} while "
            f"it runs; power it off first (`inn vm poweroff {vm.vm_id}`).",
        )
