"""``inn vm plan``, ``log`` and ``history``: what people read when they want to know; ``why`` has its own module."""

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import verb
from innkeeper_controller.cli.complaints import tool_words
from innkeeper_controller.cli.complete import vms as complete_vms
from innkeeper_controller.cli.events import EVENT_COLUMNS, detail_of
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Json, indented, printable, table
from innkeeper_controller.cli.vm.names import vm_id_of


@verb("plan", "inn vm plan 7")
@click.argument("vm", metavar="VM", shell_complete=complete_vms)
def plan(inn: Invocation, vm: str) -> None:
    """Show the transfer script of the present or last operation."""
    answer = inn.call("vm.plan", vm_id=vm_id_of(inn, vm))
    inn.show(answer, lambda: _plan_text(answer))


def _plan_text(answer: Json) -> str:
    lines = [f"{answer['operation_id']} {answer['kind']}: {answer['status']}"]
    host = ""
    for name, line in answer["lines"]:
        if name != host:
            lines += ["", f"on {name}:"]
            host = name
        lines.append(f"  {line}")
    return "\n".join(lines)


@verb("log", "inn vm log 7", "inn vm log 7 -o json")
@click.argument("vm", metavar="VM", shell_complete=complete_vms)
def log(inn: Invocation, vm: str) -> None:
    """Show every step with the driver's own words."""
    answer = inn.client.log(vm_id_of(inn, vm))
    inn.show(answer, lambda: "\n".join(line for event in answer for line in _log_lines(event)))


def _log_lines(event: Json) -> list[str]:
    detail = event.get("detail", {})
    when, operation_id = words.moment(event["at_s"]), event.get("operation_id", "")
    if event["what"] == "step.ended":
        return [f"{when}  {operation_id}    {_step_line(detail)}", *_step_words(detail["outcome"])]
    return [f"{when}  {operation_id}  {event['what']} {printable(detail_of(event))}".rstrip()]


def _step_line(detail: Json) -> str:
    outcome = detail["outcome"]
    how = "ok" if outcome["ok"] else f"FAILED ({outcome.get('code', '')})"
    undo = "undo " if detail.get("undo") else ""
    return f"{detail['host']}: {undo}{detail['step']}: {how}, {words.span(outcome.get('duration_s', 0.0))}"


def _step_words(outcome: Json) -> list[str]:
    message = outcome.get("message", "")
    return [*([indented(printable(message), "      ")] if message else []), *tool_words(outcome, by="      ")]


@verb("history", "inn vm history 7", "inn vm history 7 -o json")
@click.argument("vm", metavar="VM", shell_complete=complete_vms)
def history(inn: Invocation, vm: str) -> None:
    """Show all that has happened to a VM, even after its end."""
    answer = inn.client.history(vm_id_of(inn, vm))
    inn.show(answer, lambda: table(answer, EVENT_COLUMNS, wide=inn.wide))
