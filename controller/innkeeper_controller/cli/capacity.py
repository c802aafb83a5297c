"""``inn capacity``: how many more VMs of a template fit, by cluster, and what runs out first."""

from collections.abc import Iterator

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import assignments, verb
from innkeeper_controller.cli.complaints import remarks
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, table
from innkeeper_controller.cli.plan import SETTINGS, TEMPLATE_NAME, misfit_lines, template_text

COLUMNS = (
    Column("CLUSTER", lambda row: row["cluster"]),
    Column("HOSTS", lambda row: row["hosts"], right=True),
    Column("FIT", lambda row: row["fits"], right=True),
    Column("RUNS OUT", lambda row: row.get("runs_out", "")),
    Column(
        "KEEPS OUT",
        lambda row: ", ".join(f"{name} {words.count(count, 'host')}" for name, count in row.get("counts", {}).items()),
        wide=True,
    ),
)


@verb(
    "capacity",
    "inn capacity --template examples/web.one",
    "inn capacity --template web --set MEMORY=4096 -o json",
)
@click.option("--template", required=True, metavar=TEMPLATE_NAME, help="What is to fit.")
@SETTINGS
def capacity(inn: Invocation, template: str, settings: tuple[str, ...]) -> None:
    """Say how many more VMs of a template fit, and what runs out first.

    VMs that wait already come first; your quotas and the networks' free addresses count too.
    """
    answer = inn.call(
        "capacity.show", template=template_text(inn, template), set=assignments(settings, "--set") or None
    )
    if inn.for_people:
        for remark in remarks(answer.get("remarks", ()), inn.template):
            inn.note(remark)
    inn.show(answer, lambda: "\n".join(_lines(inn, answer)))


def _lines(inn: Invocation, answer: Json) -> Iterator[str]:
    count, first = answer["fits"], answer["runs_out"]
    begin = "At least " if answer["at_least"] else ""
    fit = f"{begin}{count:,} more fit{'s' if count == 1 else ''}" if count else "None more fits"
    yield (
        f"{fit}; {first} {'run' if first.startswith(('addresses', 'VMs')) else 'runs'} out first."
        if first
        else f"{fit}."
    )
    yield from misfit_lines(answer.get("misfit"))
    if answer["clusters"]:
        yield table(answer["clusters"], COLUMNS, wide=inn.wide)
    for bound in answer.get("bounds", ()):
        yield f"{bound['what'][0].upper()}{bound['what'][1:]}: enough for {bound['fits']:,}."
