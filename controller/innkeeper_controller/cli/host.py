"""``inn host``: hosts join, are looked at, switched off for new VMs, emptied and forgotten."""

import click

from innkeeper_controller.cli import allowances, ownership, words
from innkeeper_controller.cli.commands import NounGroup, assignments, verb
from innkeeper_controller.cli.complete import CLUSTERS, HOSTS
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table


@click.group("host", cls=NounGroup)
def host() -> None:
    """Hosts that carry VMs, each with an agent."""


def _share(row: Json, key: str) -> str:
    """Return how much is given of what may be given; a dash where the host has none."""
    used, has = row.get("used", {}).get(key, 0), row.get("capacity", {}).get(key, 0)
    may_give = row["may_give"].get(key, 0) if "may_give" in row else has
    amount = words.memory if key == "memory_mib" else words.number
    return f"{amount(used)} of {amount(may_give)}" if has else "-"


def _state(row: Json) -> str:
    return "banned" if row["state"] == "on" and row.get("banned_until_s") else str(row["state"])


def _note(row: Json) -> str:
    return "; ".join(filter(None, (_ban(row), _nonsense(row))))


def _ban(row: Json) -> str:
    """Return ``banned until 12:03:20 after 3 failed starts: no space left``; empty where none failed."""
    count = row.get("failed_starts", 0)
    if not count:
        return ""
    starts = words.count(count, "failed start")
    until_s = row.get("banned_until_s")
    begin = f"banned until {words.moment(until_s)} after {starts}" if until_s else f"{starts} in a row"
    return f"{begin}: {row['last_failure']}" if row.get("last_failure") else begin


def _nonsense(row: Json) -> str:
    told = row.get("nonsense", ())
    return f"says {' and '.join(told)}, which cannot be" if told else ""


#: Longer facts are broken into lines.
FACT_WIDTH = 100

COLUMNS = (
    Column("ID", lambda row: row["host_id"], right=True),
    Column("NAME", lambda row: row["name"]),
    Column("STATE", _state, state=True),
    Column("VMS", lambda row: row.get("vms", 0), right=True),
    Column("CPU", lambda row: _share(row, "cpu_cores"), right=True),
    Column("MEMORY", lambda row: _share(row, "memory_mib"), right=True),
    Column("BUSY CORES", lambda row: words.number(row.get("cpu_used_cores", 0.0)), right=True, wide=True),
    Column("MEMORY IN USE", lambda row: words.memory(row.get("memory_used_mib", 0)), right=True, wide=True),
    Column("CLUSTER", lambda row: row.get("cluster"), wide=True),
    Column("LAST HEARD", lambda row: row["ago"], right=True),
)


#: Shown where a host has something to tell.
NOTE = Column("NOTE", _note)


def rows_of(hosts: Json, now_s: float) -> Json:
    """Return the rows of a table of hosts: each with how long ago it was heard."""
    return [{**each, "ago": words.ago(each.get("heard_at_s"), now_s)} for each in hosts]


@verb("add", "inn host add host-a", "inn host add host-b --label rack=2", of=host)
@click.argument("name")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Say something of it; repeatable.")
@click.option("--cluster", help="Cluster that it belongs to; else default.", shell_complete=CLUSTERS)
def add(inn: Invocation, name: str, labels: tuple[str, ...], cluster: str | None) -> None:
    """Register a host and print the command that joins it."""
    answer = inn.call("host.add", name=name, labels=assignments(labels, "--label") or None, cluster=cluster)
    inn.show(answer, lambda: _join_text(f"Host {name} is registered.", answer, inn.now_s))


@verb("token", "inn host token host-a", of=host)
@click.argument("name_or_id", metavar="HOST", shell_complete=HOSTS)
def token(inn: Invocation, name_or_id: str) -> None:
    """Make a new join token, to enrol a host again or change its key."""
    answer = inn.call("host.token", host=name_or_id)
    inn.show(answer, lambda: _join_text(f"Host {answer['name']} has a new token.", answer, inn.now_s))


def _join_text(begin: str, answer: Json, now_s: float) -> str:
    left = words.span(max(0.0, answer["expires_at_s"] - now_s))
    return (
        f"{begin} On that machine run, as root:\n\n"
        f"  inn-agent join {answer['join_token']}\n\n"
        f"The token works once, within {left}. Then start the agent (`inn-agent run`, or its systemd unit);\n"
        f"`inn host list` shows the host as soon as it is there."
    )


@verb("list", "inn host list", "inn host list -o wide", of=host)
def list_(inn: Invocation) -> None:
    """List hosts with their capacity and what is promised of it."""
    hosts = inn.call("host.list")
    columns = (*COLUMNS, NOTE) if any(map(_note, hosts)) else COLUMNS
    inn.show(hosts, lambda: table(rows_of(hosts, inn.now_s), columns, wide=inn.wide))
    if inn.for_people and not hosts:
        inn.note("There is no host yet; `inn host add NAME` prints the command that joins one.")


@verb("show", "inn host show host-a", "inn host show 1 -o json", of=host)
@click.argument("name_or_id", metavar="HOST", shell_complete=HOSTS)
def show(inn: Invocation, name_or_id: str) -> None:
    """Show all that a host says of itself, and the VMs on it."""
    answer = inn.call("host.show", host=name_or_id)
    inn.show(answer, lambda: _show_text(answer, inn.now_s))


def _show_text(answer: Json, now_s: float) -> str:
    told = answer.get("advertisement", {})
    rows: list[tuple[str, object]] = [
        ("Host", f"{answer['host_id']} {answer['name']}"),
        ("State", answer["state"]),
        *((("Starts", ban),) if (ban := _ban(answer)) else ()),
        *((("Nonsense", f"It {nonsense}."),) if (nonsense := _nonsense(answer)) else ()),
        ("Cluster", answer.get("cluster", "")),
        ("Last heard", words.ago(answer.get("heard_at_s"), now_s)),
        ("CPU", f"{_share(answer, 'cpu_cores')} cores promised, {words.number(answer.get('cpu_used_cores', 0))} busy"),
        ("Memory", f"{_share(answer, 'memory_mib')} promised, {words.memory(answer.get('memory_used_mib', 0))} in use"),
        *_decided(answer),
        ("VMs", words.joined(answer.get("vm_ids", ()))),
        ("Drivers", "\n".join(_driver(driver) for driver in told.get("drivers", ()))),
        ("Datastores", "\n".join(_datastore(facts) for facts in told.get("datastores", ()))),
        ("Bridges", words.joined(told.get("bridges", ()))),
        ("Images", words.count(len(told.get("images", ())), "digest")),
        ("Labels", words.joined(f"{key}={value}" for key, value in answer.get("labels", {}).items())),
        ("Facts", "\n".join(_fact(*fact) for fact in sorted(told.get("facts", {}).items()))),
    ]
    return fields(rows)


def _decided(answer: Json) -> list[tuple[str, object]]:
    """Return how much may be given away of what operators decided something of."""
    found = {name: each for name, each in answer.get("resources", {}).items() if allowances.is_changed(each)}
    lines = (f"{name}: {allowances.told(name, each)}" for name, each in found.items())
    return [("May give", "\n".join(lines))] if found else []


def _fact(key: str, value: object) -> str:
    """Return a fact; long ones, such as the flags of a processor, in several lines."""
    from textwrap import wrap

    return "\n".join(wrap(f"{key} = {value}", width=FACT_WIDTH, subsequent_indent="  ")) or key


def _driver(driver: Json) -> str:
    abilities = ", ".join(driver.get("capabilities", ()))
    return f"{driver['kind']} {driver['name']}{f' ({abilities})' if abilities else ''}"


def _datastore(facts: Json) -> str:
    return f"{facts['name']}: {words.memory(facts['free_mib'])} free of {words.memory(facts['total_mib'])}"


def _say_state(inn: Invocation, request: str, name_or_id: str, sentence: str, *, wanted: str) -> None:
    """Make the request and say what the host is now; one that is lost hides what was asked for."""
    answer = {"vms": 0, **inn.call(request, host=name_or_id)}
    later = f" It is {wanted} once its agent is back." if answer["state"] == "lost" else ""
    inn.show(answer, lambda: f"Host {answer['name']} is {answer['state']}{sentence.format_map(answer)}{later}")


@verb("enable", "inn host enable host-a", of=host)
@click.argument("name_or_id", metavar="HOST", shell_complete=HOSTS)
def enable(inn: Invocation, name_or_id: str) -> None:
    """Let VMs come to a host again."""
    _say_state(inn, "host.enable", name_or_id, ".", wanted="on")


@verb("disable", "inn host disable host-a", of=host)
@click.argument("name_or_id", metavar="HOST", shell_complete=HOSTS)
def disable(inn: Invocation, name_or_id: str) -> None:
    """Let no more VMs come to a host; those on it stay."""
    _say_state(inn, "host.disable", name_or_id, "; its VMs ({vms}) stay and no more come.", wanted="disabled")


@verb("offline", "inn host offline host-a", of=host)
@click.argument("name_or_id", metavar="HOST", shell_complete=HOSTS)
def offline(inn: Invocation, name_or_id: str) -> None:
    """Say that a host is away on purpose; no VM goes there."""
    left = "; its VMs ({vms}) are left as they are. `inn host enable {name}` brings it back."
    _say_state(inn, "host.offline", name_or_id, left, wanted="offline")


@verb(
    "set",
    "inn host set host-a --cpu-ratio 4 --memory-reserved 2G",
    "inn host set host-a --cpu-min 0.5 --cpu-max 16 --cpu-step 0.5",
    "inn host set host-a --cpu-ratio none",
    of=host,
)
@click.argument("name_or_id", metavar="HOST", shell_complete=HOSTS)
@allowances.options
def set_(inn: Invocation, name_or_id: str, **given: float | str | None) -> None:
    """Decide how much of a host may be given away; its VMs stay."""
    answer = inn.call("host.set", host=name_or_id, **allowances.asked(given))
    inn.show(answer, lambda: _set_text(answer))


def _set_text(answer: Json) -> str:
    resources = answer.get("resources", {})
    names = [name for name in resources if name in {"cpu", "memory"} or allowances.is_changed(resources[name])]
    lines = [f"{name}: {allowances.told(name, resources[name])}" for name in names]
    return "\n".join([f"Host {answer['name']}:", *(f"  {line}" for line in lines)])


SAMPLES = (
    Column("TIME", lambda row: words.moment(row["at_s"])),
    Column("CORES USED", lambda row: f"{row['cpu_used_cores']:.2f}", right=True),
    Column("MEMORY USED", lambda row: words.memory(row["memory_used_mib"]), right=True),
)


@verb("monitoring", "inn host monitoring host-a", of=host)
@click.argument("name_or_id", metavar="HOST", shell_complete=HOSTS)
def monitoring(inn: Invocation, name_or_id: str) -> None:
    """Show the last samples of what a host used."""
    answer = inn.call("host.monitoring", host=name_or_id)
    inn.show(answer, lambda: table(answer, SAMPLES, wide=inn.wide))


@verb("drain", "inn host drain host-a", of=host)
@click.argument("name_or_id", metavar="HOST", shell_complete=HOSTS)
def drain(inn: Invocation, name_or_id: str) -> None:
    """Move a host's VMs away and let none come."""
    left = "; VMs to move away: {vms}. `inn vm list --host {name}` shows who is left."
    _say_state(inn, "host.drain", name_or_id, left, wanted="draining")


@verb("delete", "inn host delete host-a", "inn host delete host-a --force", of=host)
@click.argument("name_or_id", metavar="HOST", shell_complete=HOSTS)
@click.option("--force", is_flag=True, help="The machine is dead or wiped for certain: its VMs become FAILED.")
def delete(inn: Invocation, name_or_id: str, *, force: bool) -> None:
    """Forget a host and revoke its key."""
    answer = inn.call("host.delete", host=name_or_id, force=force or None)
    inn.show(answer, lambda: f"Host {name_or_id} is forgotten.")


ownership.add_to(host, "host")
