"""The verbs that change what a VM has while it stays: disks, network cards, snapshots, sizes, configuration."""

from collections.abc import Mapping
from pathlib import Path

import click

from innkeeper_controller.cli.commands import ROOM, verb
from innkeeper_controller.cli.complete import vms as complete_vms
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.vm.life import act_on
from innkeeper_controller.cli.vm.names import vm_id_of
from innkeeper_controller.units import mib_for

VM = click.argument("vm", metavar="VM", shell_complete=complete_vms)
DISK = click.argument("disk_id", metavar="DISK", type=int)
NIC = click.argument("nic_id", metavar="NIC", type=int)
SNAPSHOT = click.argument("snapshot_id", metavar="SNAPSHOT", type=int)


class Amount(click.ParamType):  # type: ignore[type-arg]  # older click has none
    """A size like 512M or 2G; MiB."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return MiB, rounded up."""
        return mib_for(ROOM.convert(value, param, ctx))


AMOUNT = Amount()


def _vector(name: str, pairs: Mapping[str, object]) -> str:
    """Return a vector of a template, with what was given."""
    given = [f'{key} = "{_quoted(str(value))}"' for key, value in pairs.items() if value is not None]
    return f"{name} = [ {', '.join(given)} ]"


def _quoted(text: str) -> str:
    return text.replace('"', '\\"')


@verb(
    "attach-disk",
    "inn vm attach-disk 7 --image data",
    "inn vm attach-disk 7 --size 10G --fs ext4 --wait",
    waits=True,
)
@VM
@click.option("--image", help="Image to make it of (id or name).")
@click.option("--size", type=AMOUNT, metavar="SIZE", help="Of an empty disk, or larger than its image.")
@click.option("--fs", help="File system of an empty disk.")
@click.option("--target", metavar="DEVICE", help="Device name in the guest, like vdb.")
def attach_disk(  # noqa: PLR0917 - click gives them by name
    inn: Invocation, vm: str, image: str | None, size: int | None, fs: str | None, target: str | None
) -> None:
    """Give a VM a disk, of an image or empty."""
    if image is None and size is None:
        raise click.UsageError("Say what of: --image NAME, or --size SIZE for an empty disk.")
    kind = None if image is not None else "fs"
    pairs = {"IMAGE": image, "TYPE": kind, "SIZE": size, "FS": fs, "TARGET": target}
    act_on(inn, "vm.attach_disk", (vm,), template=_vector("DISK", pairs))


@verb("detach-disk", "inn vm detach-disk 7 1 --wait", waits=True)
@VM
@DISK
def detach_disk(inn: Invocation, vm: str, disk_id: int) -> None:
    """Take a disk from a VM and delete it."""
    act_on(inn, "vm.detach_disk", (vm,), disk_id=disk_id)


@verb("attach-nic", "inn vm attach-nic 7 lan", "inn vm attach-nic 7 lan --ip 10.0.0.7 --wait", waits=True)
@VM
@click.argument("network", metavar="NETWORK")
@click.option("--ip", help="The address that it is to have.")
@click.option("--model", help="Model of the card.")
def attach_nic(inn: Invocation, vm: str, network: str, ip: str | None, model: str | None) -> None:
    """Give a VM a network card."""
    pairs: dict[str, object] = {"NETWORK": network, "IP": ip, "MODEL": model}
    act_on(inn, "vm.attach_nic", (vm,), template=_vector("NIC", pairs))


@verb("detach-nic", "inn vm detach-nic 7 1 --wait", waits=True)
@VM
@NIC
def detach_nic(inn: Invocation, vm: str, nic_id: int) -> None:
    """Take a network card from a VM and give its address back."""
    act_on(inn, "vm.detach_nic", (vm,), nic_id=nic_id)


@verb("snapshot-create", "inn vm snapshot-create 7 before-upgrade --wait", waits=True)
@VM
@click.argument("name", metavar="[NAME]", required=False)
def snapshot_create(inn: Invocation, vm: str, name: str | None) -> None:
    """Keep a running guest, memory and disks, as it is."""
    act_on(inn, "vm.snapshot_create", (vm,), name=name)


@verb("snapshot-revert", "inn vm snapshot-revert 7 0 --wait", waits=True)
@VM
@SNAPSHOT
def snapshot_revert(inn: Invocation, vm: str, snapshot_id: int) -> None:
    """Bring a guest back to one of its snapshots."""
    act_on(inn, "vm.snapshot_revert", (vm,), snapshot_id=snapshot_id)


@verb("snapshot-delete", "inn vm snapshot-delete 7 0 --wait", waits=True)
@VM
@SNAPSHOT
def snapshot_delete(inn: Invocation, vm: str, snapshot_id: int) -> None:
    """Drop a snapshot of a guest."""
    act_on(inn, "vm.snapshot_delete", (vm,), snapshot_id=snapshot_id)


@verb("disk-snapshot-create", "inn vm disk-snapshot-create 7 0 clean --wait", waits=True)
@VM
@DISK
@click.argument("name", metavar="[NAME]", required=False)
def disk_snapshot_create(inn: Invocation, vm: str, disk_id: int, name: str | None) -> None:
    """Keep the content of a disk at rest."""
    act_on(inn, "vm.disk_snapshot_create", (vm,), disk_id=disk_id, name=name)


@verb("disk-snapshot-revert", "inn vm disk-snapshot-revert 7 0 2 --wait", waits=True)
@VM
@DISK
@SNAPSHOT
def disk_snapshot_revert(inn: Invocation, vm: str, disk_id: int, snapshot_id: int) -> None:
    """Bring a disk back to one of its snapshots."""
    act_on(inn, "vm.disk_snapshot_revert", (vm,), disk_id=disk_id, snapshot_id=snapshot_id)


@verb("disk-snapshot-delete", "inn vm disk-snapshot-delete 7 0 2 --wait", waits=True)
@VM
@DISK
@SNAPSHOT
def disk_snapshot_delete(inn: Invocation, vm: str, disk_id: int, snapshot_id: int) -> None:
    """Drop a snapshot of a disk."""
    act_on(inn, "vm.disk_snapshot_delete", (vm,), disk_id=disk_id, snapshot_id=snapshot_id)


@verb("disk-snapshot-rename", "inn vm disk-snapshot-rename 7 0 2 clean")
@VM
@DISK
@SNAPSHOT
@click.argument("name", metavar="NAME")
def disk_snapshot_rename(inn: Invocation, vm: str, disk_id: int, snapshot_id: int, name: str) -> None:
    """Give a snapshot of a disk another name."""
    act_on(inn, "vm.disk_snapshot_rename", (vm,), disk_id=disk_id, snapshot_id=snapshot_id, name=name)


@verb("save-disk", "inn vm save-disk 7 0 my-image", "inn vm save-disk 7 0 my-image --snapshot 2")
@VM
@DISK
@click.argument("name", metavar="IMAGE")
@click.option("--type", "kind", help="Type of the new image; that of the disk's own by default.")
@click.option("--snapshot", "snapshot_id", type=int, help="Save this snapshot of the disk instead of the disk.")
def save_disk(  # noqa: PLR0917 - click gives them by name
    inn: Invocation, vm: str, disk_id: int, name: str, kind: str | None, snapshot_id: int | None
) -> None:
    """Save a disk of a VM at rest as a new image."""
    saved = inn.call(
        "vm.disk_saveas", vm_id=vm_id_of(inn, vm), disk_id=disk_id, name=name, type=kind, snapshot_id=snapshot_id
    )
    inn.show(saved, lambda: f"Image {saved['image_id']} is being saved; `inn operation wait {saved['operation_id']}`.")


@verb("resize", "inn vm resize 7 --memory 2G", "inn vm resize 7 --cpu 1.5 --vcpus 2 --wait", waits=True)
@VM
@click.option("--cpu", "cpu_cores", type=float, metavar="CORES", help="Cores set aside for it.")
@click.option("--vcpus", type=int, help="Processors that its guest sees.")
@click.option("--memory", "memory_mib", type=AMOUNT, metavar="SIZE", help="Its memory.")
@click.option("--no-enforce", is_flag=True, help="Even where its host has no room for it.")
def resize(
    inn: Invocation,
    vm: str,
    cpu_cores: float | None,
    vcpus: int | None,
    memory_mib: int | None,
    *,
    no_enforce: bool,
) -> None:
    """Change the processors and the memory of a VM."""
    if cpu_cores is None and vcpus is None and memory_mib is None:
        raise click.UsageError("Say what: --cpu, --vcpus or --memory.")
    act_on(inn, "vm.resize", (vm,), cpu_cores=cpu_cores, vcpus=vcpus, memory_mib=memory_mib, enforce=not no_enforce)


@verb("resize-disk", "inn vm resize-disk 7 0 20G --wait", waits=True)
@VM
@DISK
@click.argument("size", metavar="SIZE", type=AMOUNT)
def resize_disk(inn: Invocation, vm: str, disk_id: int, size: int) -> None:
    """Make a disk of a VM larger."""
    act_on(inn, "vm.disk_resize", (vm,), disk_id=disk_id, size_mib=size)


@verb("update-conf", "inn vm update-conf 7 conf.one", "inn vm update-conf 7 conf.one --replace")
@VM
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Let go of what the file does not name.")
def update_conf(inn: Invocation, vm: str, file: Path, *, replace: bool) -> None:
    """Change how a VM is built at its next boot."""
    act_on(inn, "vm.update_conf", (vm,), template=file.read_text(encoding="utf-8"), append=not replace)


@verb("resched", "inn vm resched 7", "inn vm resched 7 --undo")
@VM
@click.option("--undo", is_flag=True, help="Let it stay where it is after all.")
def resched(inn: Invocation, vm: str, *, undo: bool) -> None:
    """Let the scheduler move a running VM to a better host."""
    act_on(inn, "vm.unresched" if undo else "vm.resched", (vm,))


@verb(
    "schedule-add", "inn vm schedule-add 7 poweroff +3600", 'inn vm schedule-add 7 snapshot-create +60 --args "daily"'
)
@VM
@click.argument("action", metavar="ACTION")
@click.argument("time", metavar="TIME")
@click.option("--args", "words", help="Words behind the action, separated by commas.")
@click.option("--repeat", type=click.Choice(("weekly", "monthly", "yearly", "hourly")), help="Again and again.")
@click.option("--days", help="Which days (0 is Sunday), separated by commas; hours between, where hourly.")
def schedule_add(  # noqa: PLR0917 - click gives them by name
    inn: Invocation, vm: str, action: str, time: str, words: str | None, repeat: str | None, days: str | None
) -> None:
    """Let something be done with a VM at a time: seconds since the epoch, or +seconds."""
    numbers = {"weekly": 0, "monthly": 1, "yearly": 2, "hourly": 3}
    number = numbers[repeat] if repeat is not None else None
    pairs = {"ACTION": action, "TIME": time, "ARGS": words, "REPEAT": number, "DAYS": days}
    added = inn.call("vm.schedule_add", vm_id=vm_id_of(inn, vm), template=_vector("SCHED_ACTION", pairs))
    inn.show(added, lambda: f"VM {added['vm_id']} has the scheduled action {added['action_id']}.")


@verb("schedule-update", "inn vm schedule-update 7 0 poweroff +7200")
@VM
@click.argument("action_id", metavar="NUMBER", type=int)
@click.argument("action", metavar="ACTION")
@click.argument("time", metavar="TIME")
@click.option("--args", "words", help="Words behind the action, separated by commas.")
def schedule_update(  # noqa: PLR0917 - click gives them by name
    inn: Invocation, vm: str, action_id: int, action: str, time: str, words: str | None
) -> None:
    """Change what is to be done with a VM at a time."""
    template = _vector("SCHED_ACTION", {"ACTION": action, "TIME": time, "ARGS": words})
    act_on(inn, "vm.schedule_update", (vm,), action_id=action_id, template=template)


@verb("schedule-delete", "inn vm schedule-delete 7 0")
@VM
@click.argument("action_id", metavar="NUMBER", type=int)
def schedule_delete(inn: Invocation, vm: str, action_id: int) -> None:
    """Take an action out of a VM's schedule."""
    act_on(inn, "vm.schedule_delete", (vm,), action_id=action_id)
