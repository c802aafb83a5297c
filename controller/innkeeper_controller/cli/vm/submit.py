"""``inn vm submit``: from a template to VMs that wait, or on to VMs that run."""

import sys
from pathlib import Path

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import assignments, verb
from innkeeper_controller.cli.complaints import remarks
from innkeeper_controller.cli.follow import Deadline, came_to, follow_vm, label_of
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Json


@verb(
    "submit",
    "inn vm submit examples/web.one --wait",
    "inn vm submit examples/web.one -n 10 --name worker --set MEMORY=512",
    "echo 'NAME = a CPU = 1 MEMORY = 128' | inn vm submit - --hold -v",
    waits=True,
)
@click.argument("template", metavar="FILE|-", type=click.Path(allow_dash=True))
@click.option("-n", "--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many alike.")
@click.option("--name", help="Name instead of the template's; several get -0, -1... behind it.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set or replace an attribute by a single value; vectors belong into the template. Repeatable.",
)
@click.option("--hold", is_flag=True, help="Keep it from the scheduler until `inn vm release` or `inn vm deploy`.")
def submit(
    inn: Invocation, template: str, count: int, name: str | None, settings: tuple[str, ...], *, hold: bool
) -> None:
    """Submit a VM, or many alike, from a template.

    Prints the new ids, one a line; with --wait follows each VM until it runs.
    """
    answer = inn.call(
        "vm.submit",
        template=read_template(inn, template),
        count=count,
        name=name,
        hold=hold or None,
        set=assignments(settings, "--set") or None,
    )
    show_submitted(inn, answer, hold=hold)


def show_submitted(inn: Invocation, answer: Json, *, hold: bool) -> None:
    """Show what became of a submission, and follow its VMs if that was asked for."""
    if inn.for_people:
        for remark in remarks(answer.get("remarks", ()), inn.template):
            inn.note(remark)
    if inn.waits() and not hold:
        _follow(inn, answer["vm_ids"])
    else:
        inn.show(answer, lambda: _submitted_text(inn, answer["vm_ids"], hold=hold))


def read_template(inn: Invocation, name: str) -> str:
    """Return a template's text, and keep it so that a refusal can show its lines.

    Raises:
        click.UsageError: it cannot be read.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise click.UsageError(f"The template {name} cannot be read: {reason}.") from error
    inn.template = ("<stdin>" if name == "-" else name, text)
    return text


def _submitted_text(inn: Invocation, vm_ids: list[int], *, hold: bool) -> str:
    if not inn.verbose:
        return "\n".join(map(str, vm_ids))
    state = "in HOLD" if hold else "PENDING"
    first = vm_ids[0]
    which = f"VM {first} is {state}." if len(vm_ids) == 1 else f"VMs {first}..{vm_ids[-1]} are {state}."
    if hold:
        return f"{which} `inn vm release {first}` gives it to the scheduler, `inn vm deploy {first} HOST` to a host."
    return f"{which} `inn vm wait {first}` follows it until it runs, `inn vm why {first}` says where it stands."


def _follow(inn: Invocation, vm_ids: list[int]) -> None:
    deadline = Deadline.after(inn.timeout_s)
    vms = [follow_vm(inn, vm_id, deadline) for vm_id in vm_ids]
    inn.show(vms, lambda: "\n".join(_ended_text(vm) for vm in vms))
    if any(vm["state"] != "RUNNING" for vm in vms):
        raise click.exceptions.Exit(1)


def _ended_text(vm: Json) -> str:
    label = label_of(vm)
    if vm["state"] == "RUNNING":
        at = f" at {', '.join(vm['ips'])}" if vm.get("ips") else ""
        took = words.span(max(0.0, vm["since_s"] - vm["submitted_at_s"]))
        return f"{label} is RUNNING on {vm.get('host', '?')}{at}, {took} after it was submitted."
    return f"{label} {came_to(vm)}"
