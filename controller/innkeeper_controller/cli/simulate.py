"""``inn simulate``: a trace of requests over hosts that are made up; it needs no controller."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import ROOM, SPAN, assignments, verb
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import fields
from innkeeper_controller.cli.progress import LiveLine, bar

if TYPE_CHECKING:
    from innkeeper_controller.simulation.core import Core
    from innkeeper_controller.simulation.host_shapes import HostShape
    from innkeeper_controller.simulation.measures import Measures, Use, Waits
    from innkeeper_controller.simulation.run import Outcome
    from innkeeper_controller.simulation.traces import Trace

MAX_WEIGHT = 1e6


@verb(
    "simulate",
    "inn simulate --hosts 2000x64c128g --trace vms.csv.gz",
    "inn simulate --hosts 1000x64c128g,50x96c384g --trace vms.csv --policy striping --svg plots",
    "inn simulate --hosts 2000x64c128g --trace vms.csv --weight packing=1 --weight reliability=0.5",
    "inn simulate --hosts 2000x64c128g --trace vms.csv --migrations-per-100 1",
    "inn simulate --hosts 144x1c1g --trace jobs.swf --until 30d -o json",
)
@click.option("--hosts", required=True, metavar="SPEC", help="COUNTxCORESMEMORY: 2000x64c128g; several with commas.")
@click.option(
    "--trace",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV (arrival_s,vcpus,memory_gib,lifetime_s) or SWF, plain or .gz.",
)
@click.option("--policy", metavar="POLICY", help="How hosts are scored: packing unless weights are given.")
@click.option("--weight", "weights", multiple=True, metavar="SCORE=N", help="Of a score, for the policy custom.")
@click.option("--no-wait", "fails_at_once", is_flag=True, help="What does not fit fails, instead of waiting.")
@click.option(
    "--migrations-per-100",
    type=click.FloatRange(0, 100),
    default=0.0,
    show_default=True,
    metavar="N",
    help="VMs that may be moved for each 100 placed, so that fewer hosts are used.",
)
@click.option("--until", type=SPAN, metavar="TIME", help="Stop so long after the first arrival: 12h, 30d.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N requests of the trace.")
@click.option(
    "--vm-memory", type=ROOM, default="1G", show_default=True, metavar="SIZE", help="Of VMs of SWF jobs that say none."
)
@click.option("--svg", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Also draw plots there.")
def simulate(  # noqa: PLR0913, PLR0917 - one for each option
    inn: Invocation,
    hosts: str,
    file: Path,
    policy: str | None,
    weights: tuple[str, ...],
    migrations_per_100: float,
    until: float | None,
    limit: int | None,
    vm_memory: int,
    svg: Path | None,
    *,
    fails_at_once: bool,
) -> None:
    """Run a trace over made-up hosts and see how it packs.

    The scheduler's own core decides, under a virtual clock; no controller is needed.
    A job of P processors in an SWF trace is P VMs of one core that start together.
    """
    from innkeeper_controller.simulation import report
    from innkeeper_controller.simulation.core import Core
    from innkeeper_controller.simulation.measures import measure

    shapes = _shapes(hosts)
    name, weighed = _policy(policy, weights)
    trace = _trace(inn, file, limit, vm_memory)
    began_s = time.perf_counter()
    core = Core(shapes, name, weighed, moves_per_vm=migrations_per_100 / 100)
    outcome = _run(trace, shapes, core, until, waits=not fails_at_once)
    measures = measure(outcome, shapes, wall_s=time.perf_counter() - began_s)
    said = {"trace": file.name, "policy": name}
    if svg is not None:
        _draw(inn, svg, report.pictures(outcome, shapes, measures, **said))
    inn.show(
        report.as_json(measures, hosts=hosts, left_out=trace.left_out, **said),
        lambda: _text(measures, hosts=hosts, **said),
    )


def _shapes(text: str) -> "tuple[HostShape, ...]":
    from innkeeper_controller.simulation.host_shapes import parse_hosts

    try:
        return parse_hosts(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--hosts") from error


def _policy(policy: str | None, weights: tuple[str, ...]) -> tuple[str, dict[str, float]]:
    """Return the policy's name and its weights, empty unless it is the one that needs them."""
    from innkeeper_controller.scheduling.rules import CUSTOM
    from innkeeper_controller.simulation.core import policy_names

    name = policy or (CUSTOM if weights else "packing")
    _check_known(name, policy_names(), "policy", "--policy")
    if (name == CUSTOM) != bool(weights):
        raise click.BadParameter(f"The policy {CUSTOM} and --weight SCORE=N go together.", param_hint="--policy")
    return name, _weights(weights)


def _weights(texts: tuple[str, ...]) -> dict[str, float]:
    from innkeeper_controller.simulation.core import score_names

    weights = {}
    for score, text in assignments(texts, "--weight").items():
        _check_known(score, score_names(), "score", "--weight")
        try:
            weights[score] = float(text)
        except ValueError:
            weights[score] = float("nan")
        if not abs(weights[score]) <= MAX_WEIGHT:
            raise click.BadParameter(f"{text!r} is no weight; a number is expected.", param_hint="--weight")
    return weights


def _check_known(name: str, known: tuple[str, ...], what: str, option: str) -> None:
    from difflib import get_close_matches

    if name not in known:
        close = get_close_matches(name.lower(), known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(known)}."
        raise click.BadParameter(f"There is no {what} {name!r}. {hint}", param_hint=option)


def _trace(inn: Invocation, file: Path, limit: int | None, vm_memory_bytes: int) -> "Trace":
    from innkeeper_controller.simulation.trace_files import read_trace
    from innkeeper_controller.simulation.traces import TraceError

    try:
        trace = read_trace(file, memory_gib=vm_memory_bytes / 2**30)
    except (TraceError, OSError) as error:
        raise click.BadParameter(str(error), param_hint="--trace") from error
    if trace.left_out:
        verb_form = "is" if trace.left_out == 1 else "are"
        inn.note(f"{words.count(trace.left_out, 'job')} that never ran {verb_form} left out.")
    return trace if limit is None else trace.first(limit)


def _run(
    trace: "Trace", shapes: "tuple[HostShape, ...]", core: "Core", until: float | None, *, waits: bool
) -> "Outcome":
    import sys

    from innkeeper_controller.simulation.run import Rules, run

    line = LiveLine(sys.stderr)
    rules = Rules(waits=waits) if until is None else Rules(waits=waits, until_s=float(trace.arrival_s[0]) + until)
    outcome = run(
        trace,
        shapes,
        core,
        rules=rules,
        heard=lambda arrived, of: line.draw(f"{bar(arrived, of)} {arrived:,} of {of:,} requests"),
    )
    line.wipe()
    return outcome


def _draw(inn: Invocation, folder: Path, pictures: "dict[str, str]") -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in pictures.items():
            (folder / name).write_text(text)
    except OSError as error:
        raise click.BadParameter(f"{folder} cannot be written to: {error.strerror}.", param_hint="--svg") from error
    if inn.for_people:
        inn.note(f"Drawn: {', '.join(str(folder / name) for name in pictures)}")


def _text(measures: "Measures", *, trace: str, hosts: str, policy: str) -> str:
    """Return the measures for people."""
    span = words.span(measures.duration_s)
    rows: list[tuple[str, object]] = [
        ("Trace", f"{trace}, {span} of virtual time"),
        ("Hosts", f"{hosts} ({measures.hosts:,}), policy {policy}"),
        ("VMs", _vms(measures)),
        *(("  failed", f"{count:,}: {reason}") for reason, count in measures.failures.items()),
        ("Peak of hosts in use", f"{measures.peak_hosts:,}"),
        ("  fluid bound", f"{measures.fluid_bound_hosts:,}; the peak is {measures.peak_over_bound:.4f} of it"),
        ("CPU in use", _use(measures.cpu_utilisation)),
        ("Memory in use", _use(measures.memory_utilisation)),
        ("Waiting", _waits(measures.waiting_s)),
        *_fragmentation(measures),
        ("Migrations", f"{measures.migrations:,}"),
        ("Placements", f"{measures.placements_per_s:,.0f}/s, {words.span(measures.wall_s)} in all"),
    ]
    return fields(rows)


def _vms(measures: "Measures") -> str:
    placed = f"{measures.placed:,} of {measures.arrived:,} placed"
    return f"{placed}, {measures.failed:,} failed, {measures.waiting:,} still waiting"


def _use(use: "Use") -> str:
    return f"{use.mean:.1%} of all hosts on average, {use.peak:.1%} at most"


def _waits(waits: "Waits") -> str:
    if not waits.max:
        return "nobody"
    named = {"mean": waits.mean, "median": waits.p50, "95 %": waits.p95, "99 %": waits.p99, "longest": waits.max}
    return ", ".join(f"{name} {words.span(seconds)}" for name, seconds in named.items())


def _fragmentation(measures: "Measures") -> Iterator[tuple[str, str]]:
    """Give a row for each size, of what hosts in use have left that no VM of it could use."""
    names = {"median": "Useless to median VM", "p95": "  to large VM (95 %)"}
    for name, lost in measures.fragmentation.items():
        size = f"{words.cores(lost.cpu_cores)}, {words.memory(lost.memory_mib)}"
        yield names[name], f"{lost.cpu:.1%} of CPU, {lost.memory:.1%} of memory of hosts in use ({size})"
