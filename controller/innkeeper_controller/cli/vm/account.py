"""``inn vm accounting``, ``inn vm showback`` and ``inn vm monitoring``."""

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import SPAN, verb
from innkeeper_controller.cli.complete import vms as complete_vms
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, table
from innkeeper_controller.cli.vm.names import vm_id_of

STAYS = (
    Column("VM", lambda row: row["vm_id"], right=True),
    Column("NAME", lambda row: row.get("vm_name")),
    Column("OWNER", lambda row: row.get("owner")),
    Column("HOST", lambda row: row["host_name"]),
    Column("ACTION", lambda row: row.get("action")),
    Column("BEGAN", lambda row: words.moment(row.get("began_at_s", 0.0))),
    Column("RAN", lambda row: row["ran"], right=True),
    Column("CPU", lambda row: words.number(row.get("cpu_cores", 0.0)), right=True),
    Column("MEMORY", lambda row: words.memory(row.get("memory_mib", 0)), right=True),
    Column("BY", lambda row: row.get("actor"), wide=True),
)
COSTS = (
    Column("VM", lambda row: row["vm_id"], right=True),
    Column("NAME", lambda row: row.get("vm_name")),
    Column("OWNER", lambda row: row.get("owner")),
    Column("MONTH", lambda row: f"{row['year']}-{row['month']:02d}"),
    Column("HOURS", lambda row: f"{row.get('hours', 0.0):.2f}", right=True),
    Column("RUNNING", lambda row: f"{row.get('running_hours', 0.0):.2f}", right=True),
    Column("CPU", lambda row: f"{row.get('cpu_cost', 0.0):.2f}", right=True),
    Column("MEMORY", lambda row: f"{row.get('memory_cost', 0.0):.2f}", right=True),
    Column("DISK", lambda row: f"{row.get('disk_cost', 0.0):.2f}", right=True),
)
SAMPLES = (
    Column("TIME", lambda row: words.moment(row["at_s"])),
    Column("CPU %", lambda row: f"{row.get('cpu_percent', 0.0):.1f}", right=True),
    Column("MEMORY", lambda row: words.memory(row.get("memory_mib", 0)), right=True),
)
OWNER = click.option("--owner", help="Only VMs of that user.")
ONE = click.option("--vm", shell_complete=complete_vms, help="Only this VM (id or name).")


@verb("accounting", "inn vm accounting --last 24h", "inn vm accounting --owner ann -o json")
@OWNER
@ONE
@click.option("--last", type=SPAN, metavar="TIME", help="Only stays of the last 90m, 24h...; all by default.")
def accounting(inn: Invocation, owner: str | None, vm: str | None, last: float | None) -> None:
    """List the stays of VMs on hosts, ended VMs too."""
    from_s = None if last is None else inn.now_s - last
    answer = inn.call("vm.accounting", owner=owner, vm_id=_number(inn, vm), from_s=from_s)["records"]
    inn.show(answer, lambda: table([_stay(each, inn.now_s) for each in answer], STAYS, wide=inn.wide))


def _number(inn: Invocation, vm: str | None) -> int | None:
    return None if vm is None else vm_id_of(inn, vm)


def _stay(stay: Json, now_s: float) -> Json:
    began, ended = stay.get("running_began_s"), stay.get("running_ended_s")
    ran = "" if began is None else words.span((now_s if ended is None else ended) - began)
    return {**stay, "ran": ran}


@verb("showback", "inn vm showback", "inn vm showback --owner ann --from 2026-01 --to 2026-03")
@OWNER
@ONE
@click.option("--from", "begin", metavar="MONTH", help="First month, like 2026-01.")
@click.option("--to", "end", metavar="MONTH", help="Last month.")
def showback(inn: Invocation, owner: str | None, vm: str | None, begin: str | None, end: str | None) -> None:
    """Say what VMs cost, month by month."""
    from_year, from_month = _month(begin, "--from")
    to_year, to_month = _month(end, "--to")
    answer = inn.call(
        "vm.showback",
        owner=owner,
        vm_id=_number(inn, vm),
        from_year=from_year,
        from_month=from_month,
        to_year=to_year,
        to_month=to_month,
    )["rows"]
    inn.show(answer, lambda: table(answer, COSTS, wide=inn.wide))


def _month(text: str | None, option: str) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    year, _, month = text.partition("-")
    if not (year.isdecimal() and month.isdecimal()):
        raise click.BadParameter(f"{text!r} is no month like 2026-01", param_hint=option)
    return int(year), int(month)


@verb("monitoring", "inn vm monitoring 7")
@click.argument("vm", metavar="VM", shell_complete=complete_vms)
def monitoring(inn: Invocation, vm: str) -> None:
    """Show the last samples of what a guest used."""
    answer = inn.call("vm.monitoring", vm_id=vm_id_of(inn, vm))
    inn.show(answer, lambda: table(answer, SAMPLES, wide=inn.wide))
