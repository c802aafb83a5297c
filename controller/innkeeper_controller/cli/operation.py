"""``inn operation``: requests being carried out, their steps and their end."""

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import NounGroup, verb
from innkeeper_controller.cli.complaints import failure
from innkeeper_controller.cli.complete import OPERATIONS
from innkeeper_controller.cli.follow import Deadline, ended, follow_operation
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table
from innkeeper_controller.cli.progress import bar


@click.group("operation", cls=NounGroup)
def operation() -> None:
    """Requests being carried out."""


def _progress(row: Json) -> str:
    total = row.get("total_bytes", 0)
    return f"{min(100, 100 * row.get('done_bytes', 0) // total)}% of {words.size(total)}" if total else ""


COLUMNS = (
    Column("ID", lambda row: row["operation_id"]),
    Column("KIND", lambda row: row["kind"]),
    Column("OF", lambda row: row["subject"]),
    Column("STATUS", lambda row: row["status"], state=True),
    Column("HOSTS", lambda row: " to ".join(row.get("hosts", ()))),
    Column("STEP", lambda row: f"waits for {row['waits_for']}" if row.get("waits_for") else row.get("step")),
    Column("PROGRESS", _progress, right=True),
    Column("SINCE", lambda row: row["age"], right=True),
    Column("BY", lambda row: row.get("actor"), wide=True),
    Column("REQUEST", lambda row: row.get("request_id"), wide=True),
)


@verb("list", "inn operation list", of=operation)
def list_(inn: Invocation) -> None:
    """List the operations that go on."""
    answer = inn.call("operation.list")
    rows = [{**each, "age": words.age(each.get("started_at_s"), inn.now_s)} for each in answer]
    inn.show(answer, lambda: table(rows, COLUMNS, wide=inn.wide))
    if inn.for_people and not answer:
        inn.note("Nothing is going on.")


@verb("show", "inn operation show o12", of=operation)
@click.argument("operation_id", metavar="ID", shell_complete=OPERATIONS)
def show(inn: Invocation, operation_id: str) -> None:
    """Show an operation with its step and progress."""
    answer = inn.call("operation.show", operation_id=operation_id)
    inn.show(answer, lambda: _show_text(answer))


def _show_text(answer: Json) -> str:
    total, done = answer.get("total_bytes", 0), answer.get("done_bytes", 0)
    rows: list[tuple[str, object]] = [
        ("Operation", f"{answer['operation_id']} {answer['kind']} of {answer['subject']}"),
        ("Status", answer["status"]),
        ("Hosts", " to ".join(answer.get("hosts", ()))),
        ("Waits for", answer.get("waits_for") or None),
        (
            "Step",
            f"{answer['step']}, of {words.count(answer.get('steps_total', 0), 'step')}" if answer.get("step") else "",
        ),
        ("Progress", f"{bar(done, total)} {words.size(done)} of {words.size(total)}" if total else None),
        ("Started", words.moment(answer.get("started_at_s"))),
        ("Ended", words.moment(answer.get("ended_at_s"))),
        ("By", answer.get("actor")),
        ("Request", answer.get("request_id")),
        ("Error", failure(answer["error"]) if answer.get("error") else None),
    ]
    return fields(rows)


@verb("wait", "inn operation wait o12 --timeout 5m", of=operation, timed=True)
@click.argument("operation_id", metavar="ID", shell_complete=OPERATIONS)
def wait(inn: Invocation, operation_id: str) -> None:
    """Follow an operation to its end; exits with 1 unless it is done."""
    answer = follow_operation(inn, operation_id, operation_id, Deadline.after(inn.timeout_s))
    inn.show(answer, lambda: ended(operation_id, answer))
    if answer["status"] != "done":
        raise click.exceptions.Exit(1)


@verb("cancel", "inn operation cancel o12", of=operation, waits=True)
@click.argument("operation_id", metavar="ID", shell_complete=OPERATIONS)
def cancel(inn: Invocation, operation_id: str) -> None:
    """Stop an operation as soon as it can be stopped, and take back what it did."""
    answer = inn.call("operation.cancel", operation_id=operation_id)
    if inn.waits():
        answer = follow_operation(inn, operation_id, operation_id, Deadline.after(inn.timeout_s))
    if answer.get("ended_at_s") is not None:
        inn.show(answer, lambda: ended(operation_id, answer))
    else:
        inn.show(answer, lambda: f"{operation_id} is being cancelled; what it did is taken back.")
