"""``inn plan``: what would happen if VMs were submitted, a host drained or lost; and doing it exactly so."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import NounGroup, assignments, verb
from innkeeper_controller.cli.complaints import remarks
from innkeeper_controller.cli.complete import HOSTS
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, printable, table
from innkeeper_controller.cli.vm.submit import read_template
from innkeeper_controller.client_http import RefusedError

#: Rows that one screen has room for; ``-o wide`` shows all.
MAX_ROWS = 20
#: VMs without a host of which it is told why.
MAX_TOLD = 5


@click.group("plan", cls=NounGroup)
def plan() -> None:
    """What would happen if: VMs come, hosts go; and doing as planned."""


def template_text(inn: Invocation, name: str) -> str:
    """Return the text of a template: a file, standard input, or a stored one.

    Raises:
        click.UsageError: it is none of them.
    """
    if name == "-" or Path(name).exists():
        return read_template(inn, name)
    try:
        text = str(inn.call("template.show", template=name)["text"])
    except RefusedError as error:
        if error.code != "not_found":
            raise
        text = f"There is neither a file {name} nor a stored template of that name; `inn template list` shows those."
        raise click.UsageError(text) from error
    inn.template = (name, text)
    return text


TEMPLATE_NAME = "FILE|-|TEMPLATE"
SETTINGS = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set or replace an attribute by a single value; vectors belong into the template. Repeatable.",
)


@verb(
    "submit",
    "inn plan submit examples/web.one -n 100",
    "inn plan submit web -n 100 -o json > plan.json",
    "echo 'CPU = 1 MEMORY = 512' | inn plan submit - --set MEMORY=1024",
    of=plan,
)
@click.argument("template", metavar=TEMPLATE_NAME)
@click.option("-n", "--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many alike.")
@click.option("--name", help="Name instead of the template's; several get -0, -1... behind it.")
@SETTINGS
def submit(inn: Invocation, template: str, count: int, name: str | None, settings: tuple[str, ...]) -> None:
    """Say where VMs would go if they were submitted now; nothing is stored.

    VMs that wait already keep their turn of the queue. Exits with 1 if the submission would be refused.
    """
    answer = inn.call(
        "plan.submit",
        template=template_text(inn, template),
        count=count,
        name=name,
        set=assignments(settings, "--set") or None,
    )
    if inn.for_people:
        for remark in remarks(answer.get("remarks", ()), inn.template):
            inn.note(remark)
    inn.show(answer, lambda: "\n".join(_submit_lines(inn, answer)))
    if answer.get("refusals"):
        raise click.exceptions.Exit(1)


def _submit_lines(inn: Invocation, answer: Json) -> Iterator[str]:
    placed = sum(len(each["numbers"]) for each in answer["placed"])
    yield from (f"It would be refused: {printable(text)}" for text in answer.get("refusals", ()))
    hosts = words.count(len(answer["placed"]), "host")
    go = f"{words.count(placed, 'VM')} would go to {hosts}" if placed else "No VM would find a host"
    yield f"{go}; {answer['waiting']} would wait." if answer["waiting"] else f"{go}, none would wait."
    yield from _queue_lines(answer.get("queued", 0), answer.get("queued_placed", 0))
    yield from _limited(inn, answer["placed"], SUBMIT_COLUMNS)
    yield from misfit_lines(answer.get("misfit"), "Why: ")
    if placed and not answer.get("refusals"):
        yield "With -o json the plan can be kept; `inn plan apply FILE` then does exactly so."


def _queue_lines(queued: int, placed: int) -> Iterator[str]:
    if queued == 1:
        yield f"1 VM waits already and keeps its turn of the queue: it finds {'a' if placed else 'no'} host."
    elif queued:
        yield f"{queued} VMs wait already and keep their turn of the queue: {placed or 'none'} of them find a host."


def misfit_lines(misfit: Json, begin: str = "") -> Iterator[str]:
    """Go over the lines that say why a VM finds no host and what would help."""
    if misfit:
        yield f"{begin}{printable(misfit['why'])}"
        yield from (
            f"  {printable(text)}" for text in (misfit.get("nearest_miss"), *misfit.get("remedies", ())) if text
        )


def spans(numbers: Iterable[int]) -> str:
    """Return numbers with those in a row as ranges: ``0..7 12``."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return " ".join(f"{first}..{last}" if last > first else str(first) for first, last in found)


SUBMIT_COLUMNS = (
    Column("HOST", lambda row: row["host"]),
    Column("VMS", lambda row: len(row["numbers"]), right=True),
    Column("WHICH", lambda row: spans(row["numbers"])),
)


def _limited(inn: Invocation, rows: Sequence[Json], columns: Sequence[Column]) -> Iterator[str]:
    """Go over the lines of a table that has as many rows as a screen."""
    shown = rows if inn.wide else rows[:MAX_ROWS]
    if shown:
        yield table(shown, columns, wide=inn.wide)
    if len(shown) < len(rows):
        yield f"... and {len(rows) - len(shown)} more; -o wide shows all."


@verb("drain", "inn plan drain host-a", "inn plan drain host-a -o json > plan.json", of=plan)
@click.argument("host", shell_complete=HOSTS)
def drain(inn: Invocation, host: str) -> None:
    """Say where the VMs of a host would go if it were drained now; nothing is moved.

    Exits with 1 if some of them would have to stay.
    """
    answer = inn.call("plan.drain", host=host)
    inn.show(answer, lambda: "\n".join(_drain_lines(inn, answer)))
    if answer.get("stuck"):
        raise click.exceptions.Exit(1)


MOVE_COLUMNS = (
    Column("VM", lambda row: row["vm_id"], right=True),
    Column("NAME", lambda row: row["name"]),
    Column("STATE", lambda row: row["state"], state=True),
    Column("TO", lambda row: row["host"]),
    Column("HOW", lambda row: "live" if row["live"] else "saved" if row["state"] == "RUNNING" else "at rest"),
    Column("WHY NOT LIVE", lambda row: row.get("why_not_live", ""), wide=True),
)


def _drain_lines(inn: Invocation, answer: Json) -> Iterator[str]:
    moves, stuck = answer["moves"], answer.get("stuck", ())
    live = sum(each["live"] for each in moves)
    if not moves and not stuck:
        yield f"{answer['host']} has no VM."
        return
    yield f"{len(moves)} of {words.count(len(moves) + len(stuck), 'VM')} would leave {answer['host']}, {live} live."
    yield from _limited(inn, moves, MOVE_COLUMNS)
    yield from _stuck_lines(inn, stuck, "would stay")
    if moves:
        yield "With -o json the plan can be kept; `inn plan apply FILE` then does exactly so."


def _stuck_lines(inn: Invocation, stuck: Sequence[Json], what: str) -> Iterator[str]:
    shown = stuck if inn.wide else stuck[:MAX_TOLD]
    for each in shown:
        yield f"VM {each['vm_id']} {printable(each['name'])} {what}: {printable(each['why'])}"
        yield from (f"  {printable(text)}" for text in each.get("remedies", ()))
    if len(shown) < len(stuck):
        yield f"... and {len(stuck) - len(shown)} more; -o wide shows them."


@verb("lose", "inn plan lose host-a", "inn plan lose host-a host-b", "inn plan lose --any", of=plan)
@click.argument("hosts", nargs=-1, metavar="HOST...", shell_complete=HOSTS)
@click.option("--any", "any_", is_flag=True, help="Each host that there is, one by one: does N+1 hold?")
def lose(inn: Invocation, hosts: tuple[str, ...], *, any_: bool) -> None:
    """Say whether the VMs of hosts would find room elsewhere if those died now.

    Several hosts die together. Exits with 1 if some VM would find none.
    """
    if any_ == bool(hosts):
        raise click.UsageError("Name the hosts that die, or say --any for each in turn.")
    answer = inn.call("plan.lose", hosts=list(hosts) or None, any=any_ or None)
    inn.show(answer, lambda: "\n".join(_any_lines(inn, answer) if any_ else _loss_lines(inn, answer)))
    if not answer["holds"]:
        raise click.exceptions.Exit(1)


def _loss_lines(inn: Invocation, answer: Json) -> Iterator[str]:
    (loss,), survivors = answer["losses"], answer.get("survivors", ())
    of = f"{words.count(loss['vms'], 'VM')} of {words.joined(loss['hosts'])}"
    if answer["holds"]:
        yield f"yes: all {of} would find room elsewhere."
    else:
        yield f"no: of {of}, {loss['without_room']} would find no room elsewhere."
    anew = loss.get("anew", 0)
    if anew:
        yield f"{anew} of them would start anew from their images: what they wrote is on no other host."
    if len(survivors) > anew:
        yield f"{len(survivors) - anew} of them would have all that they have now: they have no disk, or share storage."
    if loss.get("files_lost"):
        yield f"{words.count(loss['files_lost'], 'VM')} at rest would be lost: their files are on no other host."
    counts: dict[str, int] = {}
    for each in survivors:
        counts[each["host"]] = counts.get(each["host"], 0) + 1
    rows = [{"host": name, "vms": count} for name, count in sorted(counts.items(), key=lambda item: -item[1])]
    yield from _limited(inn, rows, LOSS_COLUMNS)
    yield from _stuck_lines(inn, loss.get("stuck", ()), "has nowhere to go")


LOSS_COLUMNS = (Column("HOST", lambda row: row["host"]), Column("WOULD GET", lambda row: row["vms"], right=True))
ANY_COLUMNS = (
    Column("HOST", lambda row: row["hosts"][0]),
    Column("VMS", lambda row: row["vms"], right=True),
    Column("WITHOUT ROOM", lambda row: row["without_room"], right=True),
    Column("WHY", lambda row: row["stuck"][0]["why"] if row.get("stuck") else ""),
)


def _any_lines(inn: Invocation, answer: Json) -> Iterator[str]:
    if answer["holds"]:
        whom = "the only host, which has no VM" if answer["hosts"] == 1 else f"all {answer['hosts']} hosts"
        yield f"N+1 holds for {whom}." if answer["hosts"] else "There is no host yet; `inn host add NAME` adds one."
        return
    yield f"N+1 does not hold for {len(answer['losses'])} of {words.count(answer['hosts'], 'host')}:"
    yield from _limited(inn, answer["losses"], ANY_COLUMNS)


#: What is sent of a plan: it says more, for people.
_SENT = ("kind", "version", "wanted", "placed", "host", "moves")


@verb("apply", "inn plan apply plan.json", "inn plan submit web -n 9 -o json | inn plan apply -", of=plan)
@click.argument("file", metavar="FILE|-", type=click.Path(allow_dash=True))
def apply(inn: Invocation, file: str) -> None:
    """Do as `inn plan submit` or `inn plan drain` planned, all or nothing.

    Refused (`stale`) if hosts or VMs have changed since.
    """
    found = _read_plan(file)
    answer = inn.call("plan.apply", **{key: found[key] for key in _SENT if key in found})
    inn.show(answer, lambda: applied_text(found, answer))


def _read_plan(file: str) -> Json:
    try:
        found = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise click.UsageError(f"The plan {file} cannot be read: {reason}.") from error
    if not isinstance(found, dict) or "version" not in found or found.get("kind") not in {"submit", "drain"}:
        raise click.UsageError(
            f"{file} is no plan that can be applied; `inn plan submit` and `inn plan drain` make one with -o json."
        )
    return found


def applied_text(found: Json, answer: Json) -> str:
    """Return what became of a plan that was applied."""
    vm_ids, waiting = answer["vm_ids"], answer.get("waiting", ())
    if found["kind"] == "drain":
        return _drained_text(found["host"], len(vm_ids), len(found.get("stuck", ())))
    started = [vm_id for vm_id in vm_ids if vm_id not in set(waiting)]
    text = f"{_which(started)} started as planned." if started else "No VM is started."
    if not waiting:
        return text
    waits = f"VM {waiting[0]} waits" if len(waiting) == 1 else f"VMs {spans(waiting)} wait"
    return f"{text} {waits}; `inn vm why {waiting[0]}` says what for."


def _drained_text(host: str, moved: int, stuck: int) -> str:
    """Return how many are on the way, and what to do about those that stay."""
    if not stuck:
        return f"{host} is drained: {words.count(moved, 'VM')} on the way, as planned."
    stay = f"{words.count(stuck, 'VM')} {'stays' if stuck == 1 else 'stay'}."
    go = f"{words.count(moved, 'VM')} {'is' if moved == 1 else 'are'} on the way, as planned"
    text = (
        f"{host} takes no new VMs: {go}; {stay}"
        if moved
        else f"{host} takes no new VMs, but none is on the way: {stay}"
    )
    does, it = ("does", "it") if stuck == 1 else ("do", "them")
    why = f"`inn plan drain {host}` says why {'it' if stuck == 1 else 'they'} {does}"
    return f"{text}\n{why}; once that is mended, `inn host drain {host}` moves {it}."


def _which(vm_ids: Sequence[int]) -> str:
    return f"VM {vm_ids[0]} is" if len(vm_ids) == 1 else f"VMs {spans(vm_ids)} are"
