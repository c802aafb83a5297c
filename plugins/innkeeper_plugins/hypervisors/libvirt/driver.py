"""The hypervisor driver ``libvirt``: each verb as calls to libvirt, each safe to run twice.

A guest of ours is a persistent domain ``inn-ID`` with the VM's id and generation in its metadata.
A domain without them is never touched, whatever it is called.

What a live migration expects of its destination stands in ``migration``.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import libvirt

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.hypervisors.libvirt import checkpoints, guests, hotplug, migration, resizing, snapshots
from innkeeper_plugins.hypervisors.libvirt.connection import Connection
from innkeeper_plugins.hypervisors.libvirt.console import LibvirtConsole
from innkeeper_plugins.hypervisors.libvirt.domain_xml import GuestFiles, build, disk_element, nic_element
from innkeeper_plugins.hypervisors.libvirt.events import LifecycleEvents
from innkeeper_plugins.hypervisors.libvirt.failures import reported
from innkeeper_plugins.hypervisors.libvirt.identity import domain_name
from innkeeper_plugins.hypervisors.libvirt.observer import Observer
from innkeeper_plugins.hypervisors.libvirt.options import LibvirtOptions, dialect_of, migration_uri, parse_options
from innkeeper_plugins.hypervisors.libvirt.relocation import relocate
from innkeeper_plugins.probes import hypervisor as host_hypervisor
from innkeeper_plugins.protocols import Place, checkpoint_path, context_path
from innkeeper_plugins.transfer.whole_file import told_as_driver_errors
from innkeeper_plugins.vocabulary import Disk, Nic, Observation, Vm

#: How often the power button is pressed: a guest that is still starting does not hear it.
PRESS_INTERVAL_S = 2.0
#: How long ``close`` waits for a watcher that is just being told something.
CLOSE_TIMEOUT_S = 5.0


class LibvirtDriver:
    """Runs guests through one connection to libvirt."""

    name = "libvirt"

    def __init__(self, options: LibvirtOptions) -> None:
        self._options = options
        self._dialect = dialect_of(options.uri)
        self._migration_uri = migration_uri(options)
        self.capabilities = self._dialect.capabilities | ({"migrate"} if self._migration_uri else set())
        self._connection = Connection(options.uri)
        self._events = LifecycleEvents()
        self._connection.on_open(self._events.attach)
        self._connection.on_lost(self._events.lost)
        self._watcher: threading.Thread | None = None
        self._observer = Observer(self._connection)

    def deploy(self, place: Place, vm: Vm) -> str:
        """Start the guest; see ``HypervisorDriver``."""
        name = domain_name(vm.vm_id)
        with reported(f"Guest {name} could not be started"):
            connection = self._connection.get()
            domain = guests.find(connection, vm)
            if domain is not None and guests.is_active(domain):
                _refuse_older(domain, vm)
                return name
            definition = self._definition(place, vm)
            with contextlib.ExitStack() as undo:
                domain = connection.defineXML(definition)
                undo.callback(guests.forget, domain, flags=self._dialect.flags, nvram=False)
                domain.create()
                undo.pop_all()
            self._share_cpu(domain, vm)
        return name

    def shutdown(self, place: Place, vm: Vm, *, grace_s: int, force: bool) -> None:
        """Press the power button until the guest is off; see ``HypervisorDriver``."""
        name = domain_name(vm.vm_id)
        with reported(f"Guest {name} could not be shut down"):
            domain = guests.find(self._connection.get(), vm)
            if domain is None:
                return
            guests.adopt(domain, vm)
            if self._goes_off(place, domain, grace_s, force=force):
                return
            if not force:
                raise DriverError(f"Guest {name} still runs after {grace_s} s; it may need --hard", code="timeout")
            guests.switch_off(domain)

    def cancel(self, place: Place, vm: Vm) -> None:  # noqa: ARG002 - as the protocol has it
        """Switch the guest off and forget it; see ``HypervisorDriver``."""
        with reported(f"Guest {domain_name(vm.vm_id)} could not be switched off"):
            domain = guests.find(self._connection.get(), vm)
            if domain is None:
                return
            if guests.is_active(domain):
                guests.switch_off(domain)
            guests.forget(domain, flags=self._dialect.flags, nvram=True)

    def save(self, place: Place, vm: Vm) -> None:
        """Save the guest's memory and stop it; see ``HypervisorDriver``."""
        checkpoint = checkpoint_path(place, vm)
        with reported(f"Guest {domain_name(vm.vm_id)} could not be saved"):
            checkpoints.save(self._connection.get(), vm, checkpoint, place.progress, flags=self._dialect.flags)

    def restore(self, place: Place, vm: Vm) -> str:
        """Start the guest from its checkpoint; see ``HypervisorDriver``."""
        name, checkpoint = domain_name(vm.vm_id), checkpoint_path(place, vm)
        with reported(f"Guest {name} could not be restored"):
            connection = self._connection.get()
            domain = guests.find(connection, vm)
            if domain is None or not guests.is_active(domain):
                if not checkpoint.exists():
                    raise DriverError(f"Guest {name} has no checkpoint on this host", code="guest_missing")
                saved = connection.saveImageGetXMLDesc(str(checkpoint), 0)
                checkpoints.restore(
                    connection,
                    checkpoint,
                    definition=self._definition(place, vm),
                    saved_as=relocate(saved, vm, _files(place, vm)),
                    flags=self._dialect.flags,
                )
                domain = guests.running(connection, vm)
                self._share_cpu(domain, vm)
            guests.adopt(domain, vm)
            with told_as_driver_errors(checkpoint):
                checkpoint.unlink(missing_ok=True)
        return name

    def migrate(self, place: Place, vm: Vm, *, destination_uri: str, shared_storage: bool) -> None:
        """Move the running guest; see ``HypervisorDriver`` and ``migration``."""
        with reported(f"Guest {domain_name(vm.vm_id)} could not be migrated to {destination_uri}"):
            migration.migrate(
                self._connection.get(),
                vm,
                destination_uri,
                place.progress,
                flags=migration.flags(shared_storage=shared_storage, unsafe=self._options.unsafe_migration),
            )

    def migration_uri(self) -> str:
        """Return where this host takes migrations, empty where it takes none."""
        return self._migration_uri

    def reboot(self, place: Place, vm: Vm) -> None:  # noqa: ARG002 - as the protocol has it
        """Ask the guest to restart; see ``HypervisorDriver``."""
        with reported(f"Guest {domain_name(vm.vm_id)} could not be rebooted"):
            flags = libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN if self._dialect.flags else 0
            guests.running(self._connection.get(), vm).reboot(flags)

    def reset(self, place: Place, vm: Vm) -> None:  # noqa: ARG002 - as the protocol has it
        """Restart the guest as by its reset button; see ``HypervisorDriver``."""
        with reported(f"Guest {domain_name(vm.vm_id)} could not be reset"):
            guests.running(self._connection.get(), vm).reset(0)

    def attach_disk(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Plug the disk into the running guest; see ``HypervisorDriver``."""
        path = place.disk_path(vm, disk)
        with reported(f"Disk {disk.disk_id} could not be attached to guest {domain_name(vm.vm_id)}"):
            element = disk_element(vm, disk, path, self._options)
            hotplug.attach(self._connection.get(), vm, hotplug.disk_device(disk, path), element)

    def detach_disk(self, place: Place, vm: Vm, disk: Disk) -> None:
        """Take the disk out of the running guest; see ``HypervisorDriver``."""
        device = hotplug.disk_device(disk, place.disk_path(vm, disk))
        with reported(f"Disk {disk.disk_id} could not be detached from guest {domain_name(vm.vm_id)}"):
            hotplug.detach(self._connection.get(), vm, device, place, self._events)

    def attach_nic(self, place: Place, vm: Vm, nic: Nic) -> None:  # noqa: ARG002 - as the protocol has it
        """Plug the network card into the running guest; see ``HypervisorDriver``."""
        with reported(f"Network card {nic.nic_id} could not be attached to guest {domain_name(vm.vm_id)}"):
            element = nic_element(nic, self._options)
            hotplug.attach(self._connection.get(), vm, hotplug.nic_device(nic), element)

    def detach_nic(self, place: Place, vm: Vm, nic: Nic) -> None:
        """Take the network card out of the running guest; see ``HypervisorDriver``."""
        with reported(f"Network card {nic.nic_id} could not be detached from guest {domain_name(vm.vm_id)}"):
            hotplug.detach(self._connection.get(), vm, hotplug.nic_device(nic), place, self._events)

    def snapshot_create(self, place: Place, vm: Vm, snapshot_id: int, name: str) -> str:
        """Keep the guest as it is; see ``HypervisorDriver``."""
        with reported(f"Snapshot {snapshot_id} of guest {domain_name(vm.vm_id)} could not be made"):
            return snapshots.create(self._connection.get(), vm, snapshot_id, name, place.progress)

    def snapshot_revert(self, place: Place, vm: Vm, snapshot_id: int, hypervisor_id: str) -> None:
        """Bring the guest back to the snapshot; see ``HypervisorDriver``."""
        called = hypervisor_id or snapshots.snapshot_name(snapshot_id)
        with reported(f"Guest {domain_name(vm.vm_id)} could not be brought back to snapshot {snapshot_id}"):
            connection, flags = self._connection.get(), self._dialect.flags
            domain = snapshots.revert(connection, vm, called, place.progress, flags=flags)
            self._share_cpu(domain, vm)

    def snapshot_delete(self, place: Place, vm: Vm, snapshot_id: int, hypervisor_id: str) -> None:
        """Drop the snapshot; see ``HypervisorDriver``."""
        called = hypervisor_id or snapshots.snapshot_name(snapshot_id)
        with reported(f"Snapshot {snapshot_id} of guest {domain_name(vm.vm_id)} could not be deleted"):
            snapshots.delete(self._connection.get(), vm, called, place.progress)

    def grow_disk(self, place: Place, vm: Vm, disk: Disk, size_bytes: int) -> None:
        """Make a disk of the running guest larger; see ``HypervisorDriver``."""
        with reported(f"Disk {disk.disk_id} of guest {domain_name(vm.vm_id)} could not be made larger"):
            resizing.grow_disk(self._connection.get(), vm, disk, place.disk_path(vm, disk), size_bytes)

    def resize(self, place: Place, vm: Vm, vcpus: int, memory_mib: int) -> None:  # noqa: ARG002 - as the protocol has it
        """Give the running guest other processors and memory; see ``HypervisorDriver``."""
        with reported(f"Guest {domain_name(vm.vm_id)} could not be resized"):
            self._share_cpu(resizing.resize(self._connection.get(), vm, vcpus, memory_mib), vm)

    def poll(self) -> list[Observation]:
        """Say of every guest of ours what it does; see ``HypervisorDriver``."""
        return self._observer.poll()

    def watch(self, changed: Callable[[Observation], None]) -> None:
        """Call ``changed`` at every lifecycle change until ``close``; see ``HypervisorDriver``."""
        # As if a connection had been lost: the watcher opens one and looks at every guest first.
        self._events.lost()
        threading.Thread(target=self._look_at_emulator, name="libvirt-warm", daemon=True).start()
        self._watcher = threading.Thread(
            target=self._events.watch,
            kwargs={
                "reconnect": self._connection.get,
                "observe": lambda name: self._observer.tell(name, changed),
                "observe_all": lambda: self._observer.tell_all(changed),
            },
            name="libvirt-watch",
            daemon=True,
        )
        self._watcher.start()

    def console(self, place: Place, vm: Vm) -> LibvirtConsole:
        """Open the guest's serial console; see ``HypervisorDriver``."""
        if "console" not in self.capabilities:
            raise DriverError(f"{self._options.uri} gives no consoles", code="refused")
        with reported(f"The console of guest {domain_name(vm.vm_id)} could not be opened"):
            connection = self._connection.get()
            return LibvirtConsole(connection, guests.running(connection, vm), _files(place, vm).console_log)

    def close(self) -> None:
        """Let go of the connection and the watcher; guests run on."""
        self._events.close()
        if self._watcher is not None:
            self._watcher.join(CLOSE_TIMEOUT_S)
        self._connection.close()

    def _look_at_emulator(self) -> None:
        """Have libvirt find out what the emulator can: the first guest of a new host would wait ten seconds for it."""
        with contextlib.suppress(libvirt.libvirtError, DriverError):
            kind = self._domain_type(os.uname().machine)
            self._connection.get().getDomainCapabilities(self._options.emulator or None, None, None, kind)

    def _definition(self, place: Place, vm: Vm) -> str:
        return build(vm, _files(place, vm), self._options, self._domain_type(vm.boot.arch))

    def _domain_type(self, arch: str) -> str:
        chosen = self._dialect.domain_type if self._options.domain_type == "auto" else self._options.domain_type
        if chosen:
            return chosen
        native = arch == os.uname().machine
        return "kvm" if native and host_hypervisor.kvm_usable() else "qemu"

    def _share_cpu(self, domain: libvirt.virDomain, vm: Vm) -> None:
        if self._dialect.flags:
            guests.share_cpu(domain, vm.cpu_cores)

    def _goes_off(self, place: Place, domain: libvirt.virDomain, grace_s: int, *, force: bool) -> bool:
        """Press the power button until the guest is off or the grace is over; True when it is off."""
        deadline_s = time.monotonic() + grace_s
        while True:
            seen = self._events.count
            if not guests.is_active(domain):
                return True
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            # Nothing to count, but somebody may have cancelled.
            place.progress(0, 0)
            try:
                guests.press_power_button(domain, flags=self._dialect.flags)
            except libvirt.libvirtError:
                if not force:
                    raise
                return False
            self._wait_until_off(domain, seen, min(PRESS_INTERVAL_S, left_s))

    def _wait_until_off(self, domain: libvirt.virDomain, seen: int, timeout_s: float) -> None:
        until_s = time.monotonic() + timeout_s
        while guests.is_active(domain) and (left_s := until_s - time.monotonic()) > 0:
            self._events.wait(seen, left_s)
            seen = self._events.count


def make(config: Mapping[str, Any]) -> LibvirtDriver:
    """Make the driver from ``[drivers.libvirt]``; the connection is opened when it is first needed.

    Raises:
        msgspec.ValidationError: a key is unknown or a value has the wrong type.
        ValueError: the URI is not supported.
    """
    return LibvirtDriver(parse_options(config))


def _refuse_older(domain: libvirt.virDomain, vm: Vm) -> None:
    identity = guests.identity_of(domain)
    if identity is not None and identity.generation < vm.generation:
        raise DriverError(
            f"Guest {domain_name(vm.vm_id)} already runs, of generation {identity.generation}; switch it off first",
            code="refused",
        )


def _files(place: Place, vm: Vm) -> GuestFiles:
    context = context_path(place, vm)
    return GuestFiles(
        console_log=place.vm_dir(vm) / "console.log",
        disks={disk.disk_id: place.disk_path(vm, disk) for disk in vm.disks},
        context=context if context.exists() else None,
        kernel=place.image_path(vm.boot.kernel.sha256) if vm.boot.kernel else None,
        initrd=place.image_path(vm.boot.initrd.sha256) if vm.boot.initrd else None,
    )
