"""Writes ``docs/opennebula.md`` from the method table: ``python -m innkeeper_controller.opennebula.page [path]``."""

import sys
from pathlib import Path
from typing import Final

from innkeeper_controller.opennebula.legacy import METHODS_OF_1_4
from innkeeper_controller.opennebula.methods import METHODS
from innkeeper_controller.opennebula.methods.system import VERSION
from innkeeper_controller.opennebula.methods.table import Method
from innkeeper_controller.opennebula.methods.vms import ACTIONS
from innkeeper_controller.opennebula.refusals import CODES

PATH: Final = Path("docs") / "opennebula.md"

_BEGINNING: Final = f"""\
# OpenNebula's clients

The controller answers OpenNebula's XML-RPC interface on its HTTP port, 2633 by default, at `/RPC2`.
`onevm` and its relatives, `pyone`, Ansible's modules and Terraform's provider work as they are:

    export ONE_XMLRPC=http://127.0.0.1:2633/RPC2
    export ONE_AUTH=/var/lib/innkeeper-controller/one_auth

Everything is a request of [our own interface](api.md) in other words, so rights, quotas and locks are the same.
This page is made from the table that does it (`python -m innkeeper_controller.opennebula.page`).

## Sessions

A session is `user:password` or `user:token`.
A password that was right once is known for 900 seconds, or until anything about its user changes.
A token that names a group lets its user in as a member of that group alone.

At `/RPC1` clients of OpenNebula 1.4 find its {len(METHODS_OF_1_4)} methods, with answers of two elements and the \
names of that time; Haizea's driver needs them.
They send the SHA-1 of the password, which is accepted where `opennebula.sha1_passwords` is on, of passwords that were
set since then.
Where it is on, such a session gets the answers of that time at `/RPC2` as well: Haizea's driver can be told no path.

## Limits

A call has at most 16 MiB (`limits.request_mib`), also after it was inflated, 5,000 elements, 32 deep, and no document
type.
Pools answer in the order of `opennebula.list_order`, `DESC` by default, and in the pages that clients ask for.
`one.image.allocate` takes a `PATH` on the controller from below `opennebula.safe_dirs` alone.
`one.system.version` says {VERSION}, the version whose interface this is.

## Refusals

| ours | OpenNebula's |
|---|---|
"""

_ABSENT: Final = """
## What is not there

A method that is not in the table is answered with the fault -506.
These have no counterpart: market places, virtual routers, VM groups, network templates, backups and restores, \
documents, hooks, virtual data centres, security groups beyond the one that lets all pass, PCI devices, \
`one.vm.updatenic`, `one.vm.exec`, `one.vn.recover`, snapshots of images, a second zone, `one.system.sql`.
The lists of what is missing are there and empty, since clients ask for them on the way to other things.
"""


def page() -> str:
    """Return the whole page."""
    codes = "".join(f"| `{ours}` | {number:#x} |\n" for ours, number in CODES.items())
    actions = "".join(f"| `{action}` | {_request(*target)} |\n" for action, target in ACTIONS.items())
    rows = "".join(_row(method) for method in METHODS.values())
    return (
        f"{_BEGINNING}{codes}\nWhat makes something new answers 0x4000 for most of these.\n"
        f"\n## Actions of `one.vm.action`\n\n| action | request |\n|---|---|\n{actions}"
        f"\n## Methods\n\n| method | arguments behind the session | answer | request | remarks |\n"
        f"|---|---|---|---|---|\n{rows}{_ABSENT}"
    )


def _request(request: str, params: dict[str, object]) -> str:
    shown = ", ".join(f"{name}={str(value).lower()}" for name, value in params.items())
    return f"`{request}`{f' ({shown})' if shown else ''}"


def _row(method: Method) -> str:
    arguments = ", ".join(f"{each.kind} {each.name}" for each in method.arguments).replace("|", "\\|")
    requests = ", ".join(f"`{request}`" for request in method.requests) or "a constant"
    return f"| `{method.name}` | {arguments} | {method.gives} | {requests} | {method.note} |\n"


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else PATH).write_text(page(), encoding="utf-8")
