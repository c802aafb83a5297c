"""``inn balance``: which VMs to move so that hosts are used better; moving them, and how far that has come."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import verb
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, table

#: Rows that one screen has room for; ``-o wide`` shows all.
MAX_ROWS = 20
GOALS = ("even", "consolidate", "affinity")
#: ``--apply`` without a file: the plan is made and begun at once.
_NOW = "now"
#: What is sent of a plan: it says more, for people.
_SENT = ("goal", "version", "moves")
COLUMNS = (
    Column("VM", lambda row: row["vm_id"], right=True),
    Column("NAME", lambda row: row.get("vm", "")),
    Column("FROM", lambda row: row.get("source", "")),
    Column("TO", lambda row: row.get("target", "")),
    Column("GAIN", lambda row: f"{row.get('gain', 0.0):.4f}", right=True),
    Column("WHY", lambda row: row.get("reason", "")),
)


@verb(
    "balance",
    "inn balance --plan",
    "inn balance --plan --goal consolidate --max-moves 20 -o json > moves.json",
    "inn balance --apply moves.json",
    "inn balance --apply --goal affinity",
    "inn balance --stop",
)
@click.option("--plan", "plans", is_flag=True, help="Say what could be moved, and move nothing.")
@click.option(
    "--apply",
    "file",
    is_flag=False,
    flag_value=_NOW,
    metavar="[FILE|-]",
    help="Begin to move: what a plan says, or without one what would be planned now.",
)
@click.option("--stop", is_flag=True, help="Begin no more moves; those under way go on.")
@click.option("--goal", type=click.Choice(GOALS), help="Use hosts alike, use as few as possible, or as VMs ask.")
@click.option("--max-moves", type=click.IntRange(1, 1000), metavar="N", help="At most so many moves: 100 if not given.")
def balance(
    inn: Invocation, file: str | None, goal: str | None, max_moves: int | None, *, plans: bool, stop: bool
) -> None:
    """Move VMs so that hosts are used better, live where that is possible.

    Without --plan, --apply or --stop it shows how far the moves of a plan have come.
    A plan from a file is refused (`stale`) if hosts or VMs have changed since.
    """
    if plans + stop + (file is not None) > 1:
        raise click.UsageError("--plan, --apply and --stop do not go together.")
    wanted = {"goal": goal, "max_moves": max_moves}
    if plans:
        answer = inn.call("balance.plan", **wanted)
        inn.show(answer, lambda: "\n".join(_plan_lines(inn, answer)))
    elif any(value is not None for value in wanted.values()) and file != _NOW:
        raise click.UsageError("--goal and --max-moves go with --plan, or with --apply without a file.")
    elif stop:
        answer = inn.call("balance.stop")
        inn.show(answer, lambda: _run_text(answer))
    elif file is not None:
        answer = inn.call("balance.apply", **(wanted if file == _NOW else _read_plan(file)))
        inn.show(answer, lambda: _run_text(answer, nothing="Nothing is to be moved."))
    else:
        answer = inn.call("balance.show")
        inn.show(answer, lambda: _run_text(answer))


def _plan_lines(inn: Invocation, answer: Json) -> Iterator[str]:
    measured = f"{answer['measure']}: {answer['before']:.4f}"
    moves = answer.get("moves", ())
    if not moves:
        yield f"Nothing is to be moved; {measured}."
        return
    count = words.count(len(moves), "move")
    yield f"{count}; {measured}, and {answer['after']:.4f} after."
    shown = moves if inn.wide else moves[:MAX_ROWS]
    yield table(shown, COLUMNS)
    if len(shown) < len(moves):
        yield f"... and {len(moves) - len(shown)} more; -o wide shows all."
    yield "With -o json the plan can be kept; `inn balance --apply FILE` then does exactly so."


def _run_text(answer: Json, *, nothing: str = "No plan is being carried out.") -> str:
    if not answer.get("goal"):
        return nothing
    going = answer.get("going", ())
    said = [f"{answer.get('made', 0)} moved", f"{len(going)} on the way", f"{answer.get('left', 0)} to come"]
    text = f"{answer['goal']}: {', '.join(said)}"
    if answer.get("stopped"):
        text += f"; no more are begun, for {answer['stopped']}"
    return "\n".join([f"{text}.", *(f"  VM {each['vm_id']}: {each['source']} to {each['target']}" for each in going)])


def _read_plan(file: str) -> Json:
    try:
        found = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise click.UsageError(f"The plan {file} cannot be read: {reason}.") from error
    if not isinstance(found, dict) or "version" not in found or found.get("kind") != "balance":
        raise click.UsageError(f"{file} is no plan of moves; `inn balance --plan -o json` makes one.")
    return {key: found[key] for key in _SENT if key in found}
