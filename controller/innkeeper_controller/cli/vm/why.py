"""``inn vm why``: why a VM is where it is, for who has to do something about it at night; one screen."""

import textwrap
from collections.abc import Iterator
from typing import Final

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import verb
from innkeeper_controller.cli.complaints import failure
from innkeeper_controller.cli.complete import vms as complete_vms
from innkeeper_controller.cli.follow import progress_of
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, printable, table
from innkeeper_controller.cli.vm.names import vm_id_of

#: Lines are no longer where they can be broken.
WIDTH: Final = 100
#: Rows of hosts without ``--all``, and hosts that are shown of those that come closest where there are more.
MOST_HOSTS: Final = 20
NEAREST: Final = 5
#: Clauses that the reason names already.
NAMED: Final = 3
#: Rows of hosts that fail alike.
MOST_ALIKE: Final = 8


@verb("why", "inn vm why 7", "inn vm why 7 --all", "inn vm why 7 -o json")
@click.argument("vm", metavar="VM", shell_complete=complete_vms)
@click.option("--all", "all_", is_flag=True, help="Show every host, not only the best and those that come closest.")
def why(inn: Invocation, vm: str, *, all_: bool) -> None:
    """Say why a VM is where it is: host by host while it waits."""
    which = {"all": True} if all_ or not inn.for_people else {"limit": MOST_HOSTS}
    answer = inn.call("vm.why", vm_id=vm_id_of(inn, vm), **which)
    inn.show(answer, lambda: _text(answer, inn.now_s, all_=all_))


def _text(answer: Json, now_s: float, *, all_: bool) -> str:
    state = "" if answer["state"] in answer["reason"] else f"{answer['state']}. "
    lines = textwrap.wrap(f"VM {answer['vm_id']} {answer['name']}: {state}{answer['reason']}", WIDTH)
    lines += textwrap.wrap(answer.get("advice", ""), WIDTH)
    told = fields(_fields(answer, now_s))
    if told:
        lines += ["", *told.splitlines()]
    operation = answer.get("operation")
    if operation and operation.get("error"):
        lines += ["", f"{operation['operation_id']}: {operation['kind']} {failure(operation['error'])}"]
    elif operation and operation.get("ended_at_s") is None:
        lines += ["", f"{operation['operation_id']}: {progress_of(operation)}"]
    lines += _hosts(answer, all_=all_)
    return "\n".join(lines)


def _fields(answer: Json, now_s: float) -> Iterator[tuple[str, object]]:
    """Go over what one line each is said of."""
    yield "Would help", _wrapped(*answer.get("remedies", ()))
    if answer.get("queue") or answer.get("queue_position"):
        yield "Queue", answer.get("queue") or f"place {answer['queue_position']}"
    until_s = answer.get("gives_up_at_s")
    if until_s:
        yield "Gives up", f"{words.moment(until_s)}, in {words.span(max(0.0, until_s - now_s))}"
    counts = answer.get("counts", {})
    if counts and ("can take it:" not in answer["reason"] or len(counts) > NAMED):
        yield "Kept out by", _wrapped(words.joined(f"{name} {count:,}" for name, count in counts.items()))


def _wrapped(*texts: str) -> str | None:
    """Return texts one below the other, none wider than a screen; None for none."""
    lines = [line for text in texts for line in textwrap.wrap(text, WIDTH - len("Kept out by  "))]
    return "\n".join(lines) or None


def _hosts(answer: Json, *, all_: bool) -> list[str]:
    """Return tables: the hosts that fit with their scores, those that come closest, and all others by what fails."""
    hosts = answer.get("hosts", ())
    fitting = [host for host in hosts if host["fits"]]
    others = [host for host in hosts if not host["fits"]]
    total, fit = answer.get("hosts_total", len(hosts)), answer.get("fitting", len(fitting))
    shows_all = all_ or (total == len(hosts) and sum(len(host["obstacles"]) for host in others) <= MOST_HOSTS)
    lines = ["", *_scores(answer, fitting)] if fitting else []
    if fit > len(fitting):
        lines.append(f"and {fit - len(fitting):,} more that fit")
    shown = others if shows_all else [] if fitting else others[:NEAREST]
    if shown:
        lines += ["", *_obstacles(shown)]
    if total - fit > len(shown):
        lines += ["", *_alike(answer.get("alike", ()))]
    return lines


def _scores(answer: Json, hosts: list[Json]) -> list[str]:
    weights = answer.get("weights", {})
    names = list(hosts[0].get("scores", {}))

    def title(name: str) -> str:
        return f"{name.upper()} x{words.number(weights[name])}" if name in weights else name.upper()

    columns = [Column("HOST", lambda row: row["host"])]
    columns += [
        Column(title(name), lambda row, name=name: f"{row['scores'][name]:.3f}", right=True)  # type: ignore[misc]  # bound to this one
        for name in names
    ]
    return table(hosts, columns).splitlines()


def _obstacles(hosts: list[Json]) -> list[str]:
    """Return every clause that failed on each host."""
    width = max(len("HOST"), *(len(host["host"]) for host in hosts)) + 2
    rows: list[Json] = []
    for host in hosts:
        said = [f"{clause}: {printable(message)}" for clause, message in host.get("obstacles", ())]
        lines = [line for text in said for line in _lines(text, WIDTH - width)]
        rows += [{"host": " " if number else host["host"], "why": line} for number, line in enumerate(lines)]
    columns = (Column("HOST", lambda row: row["host"]), Column("WHY NOT", lambda row: row["why"]))
    return table(rows, columns).splitlines()


def _lines(text: str, width: int) -> list[str]:
    return [text] if len(text) <= width else textwrap.wrap(text, width, subsequent_indent="  ")


def _alike(groups: list[Json]) -> list[str]:
    """Return hosts that the same clauses keep out, one line a set of clauses."""
    rows = [
        {"hosts": _some(group), "clauses": words.joined(group["clauses"]), "count": f"{group['count']:,}"}
        for group in groups[:MOST_ALIKE]
    ]
    columns = (
        Column("HOSTS", lambda row: row["count"], right=True),
        Column("FAIL", lambda row: row["clauses"]),
        Column("NEAREST OF THEM", lambda row: row["hosts"]),
    )
    left = sum(group["count"] for group in groups[MOST_ALIKE:])
    return [*table(rows, columns).splitlines(), *([f"and {left:,} more that fail otherwise"] if left else [])]


def _some(group: Json) -> str:
    more = group["count"] - len(group.get("hosts", ()))
    return words.joined(group.get("hosts", ())) + (" ..." if more else "")
