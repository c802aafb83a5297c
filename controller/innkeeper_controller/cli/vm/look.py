"""``inn vm list`` and ``inn vm show``."""

from collections.abc import Iterator

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import verb
from innkeeper_controller.cli.complete import HOSTS
from innkeeper_controller.cli.complete import vms as complete_vms
from innkeeper_controller.cli.follow import ended, progress_of
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table
from innkeeper_controller.cli.vm.names import vm_id_of

STATES = (
    *("PENDING", "HOLD", "PROLOG", "BOOT", "RUNNING", "UNKNOWN", "SAVE", "SUSPENDED", "STOPPED"),
    *("POWEROFF", "UNDEPLOYED", "MIGRATE", "SHUTDOWN", "EPILOG", "FAILED", "DONE"),
)
#: VMs that are fetched in one request.
PAGE = 1000

COLUMNS = (
    Column("ID", lambda row: row["vm_id"], right=True),
    Column("NAME", lambda row: row["name"]),
    Column("STATE", lambda row: row["state"], state=True),
    Column("HOST", lambda row: row.get("host")),
    Column("IP", lambda row: row.get("ips", ())),
    Column("CPU", lambda row: words.number(row["cpu_cores"]), right=True),
    Column("MEMORY", lambda row: words.memory(row["memory_mib"]), right=True),
    Column("AGE", lambda row: row["age"], right=True),
    Column("VCPUS", lambda row: row.get("vcpus"), right=True, wide=True),
    Column("OWNER", lambda row: row.get("owner"), wide=True),
    Column("BUSY WITH", lambda row: row.get("operation"), wide=True),
    Column("IN STATE FOR", lambda row: row["in_state"], right=True, wide=True),
    Column("WHY", lambda row: row.get("error") or row.get("waits_for"), wide=True),
)


@verb(
    "list",
    "inn vm list",
    "inn vm list --state failed -o wide",
    "inn vm list --host host-a --mine",
    "inn vm list -o json | jq -r '.[].name'",
)
@click.option("--state", type=click.Choice(STATES, case_sensitive=False), help="Only those in that state.")
@click.option("--host", shell_complete=HOSTS, help="Only those on that host (id or name).")
@click.option("--owner", help="Only those of that user.")
@click.option("--mine", is_flag=True, help="Only your own.")
@click.option("--name", help="Only those with that in their name.")
@click.option("--after", type=int, metavar="ID", help="Only those with a higher id: the next page.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many; all by default.")
def list_(inn: Invocation, limit: int | None, *, mine: bool, **filters: str | int | None) -> None:
    """List VMs, filtered on the server."""
    if mine:
        filters["owner"] = inn.call("system.whoami")["name"]
    vms = list(_pages(inn, limit, filters))
    inn.show(vms, lambda: table(_rows(vms, inn.now_s), COLUMNS, wide=inn.wide))
    if inn.for_people:
        _remark(inn, vms, filtered=any(value is not None for value in filters.values()))


def _pages(inn: Invocation, limit: int | None, filters: dict[str, str | int | None]) -> Iterator[Json]:
    """Give VMs page after page: one long answer would hold the controller up for everybody else."""
    left = limit
    while left is None or left > 0:
        wanted = PAGE if left is None else min(PAGE, left)
        page = inn.call("vm.list", limit=wanted, **filters)
        yield from page
        if len(page) < wanted:
            return
        filters = {**filters, "after": page[-1]["vm_id"]}
        left = None if left is None else left - len(page)


def _rows(vms: Json, now_s: float) -> list[Json]:
    return [
        {**vm, "age": words.age(vm.get("submitted_at_s"), now_s), "in_state": words.age(vm.get("since_s"), now_s)}
        for vm in vms
    ]


def _remark(inn: Invocation, vms: list[Json], *, filtered: bool) -> None:
    """Say what a newcomer would ask next."""
    if not vms:
        inn.note("No VM is like that." if filtered else "There is no VM; `inn vm submit FILE` submits one.")
    for state, remark in (("FAILED", "failed"), ("PENDING", "waiting for a host")):
        ids = [vm["vm_id"] for vm in vms if vm["state"] == state]
        if ids:
            inn.note(f"{words.count(len(ids), 'VM')} {remark}: `inn vm why {ids[0]}` says why.")


@verb("show", "inn vm show 7", "inn vm show web -o json")
@click.argument("vm", metavar="VM", shell_complete=complete_vms)
def show(inn: Invocation, vm: str) -> None:
    """Show all that is known of a VM."""
    answer = inn.call("vm.show", vm_id=vm_id_of(inn, vm))
    inn.show(answer, lambda: _show_text(answer, inn.now_s))


def _show_text(vm: Json, now_s: float) -> str:
    spec = vm["spec"]
    rows: list[tuple[str, object]] = [
        ("VM", f"{vm['vm_id']} {vm['name']}"),
        ("State", f"{vm['state']} for {words.age(vm.get('since_s'), now_s)}"),
        ("Waits for", vm.get("waits_for") or None),
        ("Error", vm.get("error") or None),
        ("Host", vm.get("host")),
        ("Owner", vm["owner"]),
        ("CPU", f"{words.cores(vm['cpu_cores'])}, {words.count(vm['vcpus'], 'vCPU')}"),
        ("Memory", words.memory(vm["memory_mib"])),
        ("Disks", "\n".join(_disk(disk) for disk in spec.get("disks", ()))),
        ("NICs", "\n".join(_nic(nic) for nic in vm.get("nics", ()))),
        ("Hypervisor", spec["hypervisor"]),
        ("Guest", vm.get("deploy_id") or None),
        ("Requirements", vm.get("requirements") or None),
        ("Rank", vm.get("rank") or None),
        ("Attributes", "\n".join(f"{key} = {value}" for key, value in vm.get("attributes", {}).items()) or None),
        ("Submitted", f"{words.moment(vm.get('submitted_at_s'))} ({words.ago(vm.get('submitted_at_s'), now_s)})"),
        ("CPU time", words.span(vm["cpu_time_s"]) if vm.get("cpu_time_s") else None),
        ("UUID", spec["uuid"]),
        ("Generation", vm.get("generation", 0)),
    ]
    operation = vm.get("last_operation")
    if operation:
        rows.append(("Busy with" if vm.get("operation_id") else "Last", _operation(operation)))
    return fields(rows)


def _operation(operation: Json) -> str:
    text = (
        progress_of(operation) if operation.get("ended_at_s") is None else ended(operation["operation_id"], operation)
    )
    return text if text.startswith(operation["operation_id"]) else f"{operation['operation_id']}: {text}"


def _disk(disk: Json) -> str:
    image = f" of image {disk['image']['name']}" if disk.get("image") else f" {disk['kind']}"
    return (
        f"{disk['disk_id']}: {disk['target']}{image}, {words.size(disk['size_bytes'])}, datastore {disk['datastore']}"
    )


def _nic(nic: Json) -> str:
    parts = [
        nic["network"],
        nic.get("ip", ""),
        nic["mac"],
        f"bridge {nic['bridge']}" if nic.get("bridge") else "user mode",
    ]
    return f"{nic['nic_id']}: {', '.join(part for part in parts if part)}"
