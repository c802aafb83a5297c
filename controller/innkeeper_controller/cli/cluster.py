"""Commands about the whole cluster: status, events, verify, requests, version."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import verb
from innkeeper_controller.cli.events import line_of
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table, to_json
from innkeeper_controller.cli.progress import bar


@verb("status", "inn status", "inn status -o json")
def status(inn: Invocation) -> None:
    """Show the whole cluster on one screen."""
    answer = inn.call("system.status")
    inn.show(answer, lambda: _status_text(inn, answer))


def _status_text(inn: Invocation, answer: Json) -> str:
    used, total = answer.get("used", {}), answer.get("capacity", {})
    rows: list[tuple[str, object]] = [
        ("Controller", f"{inn.client.link.endpoint}, scheduler {answer['scheduler']}"),
        ("Hosts", _by_state(answer["hosts"]) or "none yet; `inn host add NAME` prints the command that joins one"),
        ("VMs", _by_state(answer["vms"]) or "none"),
        ("Operations", answer["operations"] or "none in progress"),
        ("Images", answer["images"]),
        ("Networks", answer["networks"]),
        ("CPU", _gauge(used.get("cpu_cores", 0), total.get("cpu_cores", 0), words.number)),
        ("Memory", _gauge(used.get("memory_mib", 0), total.get("memory_mib", 0), words.memory)),
    ]
    return fields(rows)


def _by_state(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def _gauge(used: float, total: float, amount: Callable[[float], str]) -> str:
    return f"{bar(int(used * 1000), int(total * 1000))} {amount(used)} of {amount(total)}" if total else ""


#: Kinds of subjects that are told apart by number.
_NUMBERED = frozenset({"vm", "host", "image", "network"})


def _subject(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Refuse what can be no subject, so that silence means that nothing has happened."""
    kind, _, number = (value or "").partition(":")
    if value in {None, "controller"} or (number and (kind not in _NUMBERED or number.isdecimal())):
        return value
    raise click.BadParameter(
        f"{value!r} is not like vm:7, host:2, image:3, network:4 or controller; names have no events"
    )


@verb("events", "inn events", "inn events --follow", "inn events --follow --subject vm:7 -o json")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens now, until Ctrl-C.")
@click.option("--subject", callback=_subject, metavar="KIND:ID", help="Only of that: vm:7, host:2, image:3.")
@click.option("--what", metavar="WHAT", help="Only those whose name begins so: vm.state, step.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="The newest so many.")
def events(inn: Invocation, subject: str | None, what: str | None, limit: int, *, follow: bool) -> None:
    """Show what happened, or what happens now.

    With -o json each event is one line.
    """
    filters: dict[str, Any] = {"subject": subject, "what": what}
    shown = "0"
    for event in inn.client.past_events(limit=limit, **filters):
        _say_event(inn, event)
        shown = str(event["seq"])
    if inn.for_people and shown == "0":
        inn.note("Nothing of that kind has happened yet.")
    if follow:
        # From the last one that was shown: what happened while this was on its way must not be missed.
        with closing(inn.client.events(after=shown, **filters)) as stream:
            for event in stream:
                _say_event(inn, event)


def _say_event(inn: Invocation, event: Json) -> None:
    if inn.form == "json":
        inn.say(to_json(event, in_one_line=True))
    elif event["what"] != UNTOLD or inn.verbose or not inn.for_people:
        inn.show(event, lambda: line_of(event))


#: What the log has for changes that nobody has to hear of, such as a host's facts; people see it with ``-v``.
UNTOLD = "state.changed"

FINDING_COLUMNS = (
    Column("CHECK", lambda row: row["check"]),
    Column("SUBJECT", lambda row: row["subject"]),
    Column("WHAT DISAGREES", lambda row: row["message"]),
)


@verb("verify", "inn verify", "inn verify --log")
@click.option("--log", is_flag=True, help="Tell the whole log again instead, and compare; may take a while.")
def verify(inn: Invocation, *, log: bool) -> None:
    """Check that records and reality agree.

    Exits with 1 if they do not.
    """
    answer = inn.client.verify_log() if log else inn.call("system.verify")
    findings = answer.get("findings", ())
    if findings:
        inn.show(answer, lambda: table(findings, FINDING_COLUMNS))
        if inn.for_people:
            inn.note(f"{words.count(len(findings), 'disagreement')} in {answer['checked']} records.")
        raise click.exceptions.Exit(1)
    inn.show(answer, lambda: f"Everything agrees: {words.count(answer.get('checked', 0), 'record')} checked.")


REQUEST_COLUMNS = (
    Column("REQUEST", lambda row: row["name"]),
    Column("WHO", lambda row: row["who"]),
    Column("METHOD", lambda row: row["method"]),
    Column("PATH", lambda row: row["path"]),
    Column("WHAT IT DOES", lambda row: row["summary"]),
)


@verb("requests", "inn requests", "inn requests vm")
@click.argument("noun", required=False)
def requests(inn: Invocation, noun: str | None) -> None:
    """List the requests of the public API."""
    # The table imports the types of every request; only this command can wait for that.
    from innkeeper_controller.requests.catalogue import REQUESTS

    rows = [
        {
            "name": request.name,
            "who": request.who.value,
            "method": request.method,
            "path": request.path,
            "summary": request.summary,
        }
        for request in REQUESTS.values()
        if noun in {None, request.name.split(".")[0]}
    ]
    inn.show(rows, lambda: table(rows, REQUEST_COLUMNS))


@verb("version", "inn version")
def version(inn: Invocation) -> None:
    """Show the versions of this command and the controller."""
    from importlib.metadata import version as version_of

    from innkeeper_controller.client import UnreachableError

    versions = {"inn": version_of("innkeeper"), "controller": ""}
    try:
        versions["controller"] = inn.client.version()
    except UnreachableError as error:
        inn.note(str(error))
    inn.show(versions, lambda: fields(versions.items()))
