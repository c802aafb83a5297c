"""``inn template``: templates of VMs that the controller keeps."""

import click

from innkeeper_controller.cli import ownership, words
from innkeeper_controller.cli.commands import NounGroup, verb
from innkeeper_controller.cli.complete import TEMPLATES
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table
from innkeeper_controller.cli.vm.submit import read_template, show_submitted

TEMPLATE = click.argument("name_or_id", metavar="TEMPLATE", shell_complete=TEMPLATES)
FILE = click.argument("file", metavar="FILE|-", type=click.Path(allow_dash=True))


@click.group("template", cls=NounGroup)
def template() -> None:
    """Templates of VMs, kept to make VMs from."""


COLUMNS = (
    Column("ID", lambda row: row["template_id"], right=True),
    Column("NAME", lambda row: row["name"]),
    Column("OWNER", lambda row: row["owner"]),
    Column("GROUP", lambda row: row["group"]),
    Column("RIGHTS", lambda row: row["mode"], wide=True),
    Column("REGISTERED", lambda row: words.moment(row.get("registered_at_s"))),
)


@verb("add", "inn template add examples/web.one", of=template)
@FILE
def add(inn: Invocation, file: str) -> None:
    """Keep a template; its NAME is what it is found by."""
    answer = inn.call("template.add", template=read_template(inn, file))
    inn.show(answer, lambda: f"Template {_label(answer)} is kept.")


def _label(answer: Json) -> str:
    return f"{answer['template_id']} {answer['name']}"


@verb("list", "inn template list", of=template)
def list_(inn: Invocation) -> None:
    """List the templates that you may use."""
    answer = inn.call("template.list")
    inn.show(answer, lambda: table(answer, COLUMNS, wide=inn.wide))
    if inn.for_people and not answer:
        inn.note("There is no template yet; `inn template add FILE` keeps one.")


@verb("show", "inn template show web", of=template)
@TEMPLATE
def show(inn: Invocation, name_or_id: str) -> None:
    """Show one template with its text."""
    answer = inn.call("template.show", template=name_or_id)
    inn.show(answer, lambda: _show_text(answer))


def _show_text(answer: Json) -> str:
    head = fields(
        [
            ("Template", _label(answer)),
            ("Owner", answer["owner"]),
            ("Group", answer["group"]),
            ("Rights", answer["mode"]),
            ("Locked", answer.get("lock") or None),
            ("Registered", words.moment(answer.get("registered_at_s"))),
        ]
    )
    return f"{head}\n\n{answer['text']}".rstrip()


@verb("update", "inn template update web web.one", "echo MEMORY=512 | inn template update web - --append", of=template)
@TEMPLATE
@FILE
@click.option("--append", is_flag=True, help="Replace only the attributes that the file has.")
def update(inn: Invocation, name_or_id: str, file: str, *, append: bool) -> None:
    """Replace what a template says; its name stays."""
    text = read_template(inn, file)
    answer = inn.call("template.replace", template=name_or_id, text=text, append=append or None)
    inn.show(answer, lambda: f"Template {_label(answer)} is changed.")


@verb("delete", "inn template delete web", of=template)
@TEMPLATE
def delete(inn: Invocation, name_or_id: str) -> None:
    """Forget a template; VMs that were made from it stay."""
    answer = inn.call("template.delete", template=name_or_id)
    inn.show(answer, lambda: f"Template {_label(answer)} is deleted.")


@verb("clone", "inn template clone web my-web", of=template)
@TEMPLATE
@click.argument("name")
def clone(inn: Invocation, name_or_id: str, name: str) -> None:
    """Keep a template once more under another name; it is yours."""
    answer = inn.call("template.clone", template=name_or_id, name=name)
    inn.show(answer, lambda: f"Template {_label(answer)} is kept.")


@verb(
    "instantiate",
    "inn template instantiate web --wait",
    "inn template instantiate web -n 3 --name web-%i",
    "echo MEMORY=512 | inn template instantiate web --extra -",
    of=template,
    waits=True,
)
@TEMPLATE
@click.option("-n", "--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many alike.")
@click.option("--name", help="Name of the VM; %i in it is the number of each. Else the template's and the VM's id.")
@click.option(
    "--extra",
    metavar="FILE|-",
    type=click.Path(allow_dash=True),
    help="Attributes that replace those of the same name.",
)
@click.option("--persistent", is_flag=True, help="Give the VM persistent clones of its images, one VM at a time.")
@click.option("--hold", is_flag=True, help="Keep it from the scheduler until `inn vm release` or `inn vm deploy`.")
def instantiate(
    inn: Invocation, name_or_id: str, count: int, name: str | None, extra: str | None, *, persistent: bool, hold: bool
) -> None:
    """Make a VM, or many alike, from a template.

    Prints the new ids, one a line; with --wait follows each VM until it runs.
    """
    answer = inn.call(
        "template.instantiate",
        template=name_or_id,
        name=name,
        count=count,
        extra=read_template(inn, extra) if extra else None,
        persistent=persistent or None,
        hold=hold or None,
    )
    show_submitted(inn, answer, hold=hold)


ownership.add_to(template, "template")
