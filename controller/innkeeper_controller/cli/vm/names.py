"""Which VMs a command means: ids, ranges of ids, and names that only one VM has."""

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.client_http import RefusedError

#: Of many VMs with one name so many ids are told.
SHOWN_IDS = 8


def vm_id_of(inn: Invocation, text: str) -> int:
    """Return the id of the VM of that id or name.

    Raises:
        RefusedError: ``not_found``, or ``ambiguous`` where several VMs have the name.
    """
    if text.isdecimal():
        return int(text)
    found = [vm["vm_id"] for vm in inn.call("vm.list", name=text) if vm["name"] == text]
    if not found:
        raise RefusedError("not_found", f"There is no VM named {text}; `inn vm list` shows what there is.")
    if len(found) > 1:
        ids = ", ".join(map(str, found[:SHOWN_IDS])) + (", ..." if len(found) > SHOWN_IDS else "")
        raise RefusedError("ambiguous", f"{len(found)} VMs are named {text} ({ids}); give an id.")
    return found[0]  # type: ignore[no-any-return]  # decoded JSON


def expanded(texts: tuple[str, ...]) -> list[str]:
    """Return ids and names with ranges written out.

    Raises:
        click.UsageError: a range is none.
    """
    try:
        return words.expand(texts)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
