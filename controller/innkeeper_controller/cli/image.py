"""``inn image``: disk images come from a file, a host's path or a URL, are looked at and deleted."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from innkeeper_controller.cli import ownership, words
from innkeeper_controller.cli.commands import ROOM, SIZE, NounGroup, verb
from innkeeper_controller.cli.complete import DATASTORES, HOSTS, IMAGES
from innkeeper_controller.cli.follow import Deadline, ended, follow_operation
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table
from innkeeper_controller.cli.progress import LiveLine, transfer
from innkeeper_controller.cli.vm.submit import read_template
from innkeeper_controller.units import mib_for

TYPES = ("os", "datablock", "cdrom", "kernel", "ramdisk", "context")
IMAGE = click.argument("name_or_id", metavar="IMAGE", shell_complete=IMAGES)


@click.group("image", cls=NounGroup)
def image() -> None:
    """Disk images that VMs are made from."""


COLUMNS = (
    Column("ID", lambda row: row["image_id"], right=True),
    Column("NAME", lambda row: row["name"]),
    Column("STATE", lambda row: row["state"], state=True),
    Column("TYPE", lambda row: row["type"]),
    Column("FORMAT", lambda row: row.get("format") if row.get("sha256") else "", wide=True),
    Column("SIZE", lambda row: words.size(row["size_bytes"]) if row.get("size_bytes") else "", right=True),
    Column("DISK SIZE", lambda row: words.size(row.get("virtual_size_bytes", 0)), right=True, wide=True),
    Column("DATASTORE", lambda row: row["datastore"]),
    Column("ON HOSTS", lambda row: row.get("hosts", ())),
    Column("VMS", lambda row: row.get("vms", 0), right=True),
    Column("OWNER", lambda row: row.get("owner"), wide=True),
    Column("SHA256", lambda row: row.get("sha256", "")[:12], wide=True),
)


@verb(
    "add",
    "inn image add debian-12 --file debian-12.qcow2",
    "inn image add debian-12 --path debian-12.qcow2 --host host-a",
    "inn image add debian-12 --url https://images.example/debian-12.qcow2 --sha256 1f0c...",
    "inn image add data --empty 10G --persistent",
    "inn image add --template data.one",
    of=image,
    waits=True,
)
@click.argument("name", required=False)
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File here, to upload.")
@click.option(
    "--path", help="File on a host, below an import directory of its agent: absolute, or relative with --host."
)
@click.option("--url", help="Address that a host fetches it from.")
@click.option("--empty", "empty_bytes", type=ROOM, help="Make it empty, of that size.")
@click.option(
    "--template",
    metavar="FILE|-",
    type=click.Path(allow_dash=True),
    help="OpenNebula's template of an image; what is said beside it wins.",
)
@click.option(
    "--host", shell_complete=HOSTS, help="Host that takes it and keeps it for good; else the one with most room."
)
@click.option("--datastore", shell_complete=DATASTORES, help="Where it lies; else in default.")
@click.option("--type", type=click.Choice(TYPES), help="What it is; else os, or datablock for an empty one.")
@click.option("--persistent", is_flag=True, default=None, help="It keeps what its VM writes, one VM at a time.")
@click.option("--format", type=click.Choice(("qcow2", "raw")), help="Format; else as the inspection finds.")
@click.option("--sha256", help="Digest that must come out.")
@click.option("--size", "size_bytes", type=SIZE, help="Size of the file that must come out.")
def add(
    inn: Invocation,
    file: Path | None,
    empty_bytes: int | None,
    template: str | None,
    **wanted: Any,  # noqa: ANN401 - click's options
) -> None:
    """Bring an image from a file here, a file on a host, or a URL, or make an empty one.

    Follows the import to its end; --no-wait returns as soon as it has begun.
    """
    _check_source(wanted, file is not None, empty_bytes is not None, has_template=template is not None)
    if empty_bytes is not None:
        wanted["size_mib"] = mib_for(empty_bytes)
    if template is not None:
        wanted["template"] = read_template(inn, template)
    if file is not None:
        wanted |= _upload(inn, file, expected_sha256=wanted["sha256"])
    answer = inn.call("image.add", **wanted)
    if inn.waits(usually=True) and answer.get("operation_id"):
        answer = _follow(inn, answer)
    inn.show(answer, lambda: _added_text(answer))
    if answer["state"] == "error":
        raise click.exceptions.Exit(1)


def _check_source(wanted: Mapping[str, Any], *others: bool, has_template: bool) -> None:
    if not wanted["name"] and not has_template:
        raise click.UsageError("Missing argument 'NAME'.")
    sources = sum((*others, bool(wanted["path"]), bool(wanted["url"])))
    if sources > 1 or not (sources or has_template):
        raise click.UsageError("Say where the image comes from with one of --file, --path, --url and --empty.")
    if wanted["path"] and not wanted["path"].startswith("/") and not wanted["host"]:
        raise click.UsageError("Say on which host the path is: --host NAME.")


def _upload(inn: Invocation, file: Path, *, expected_sha256: str | None) -> dict[str, object]:
    line = LiveLine(sys.stderr)
    size_bytes = file.stat().st_size
    began_s = time.monotonic()
    with file.open("rb") as opened:
        uploaded = inn.client.upload(
            opened,
            size_bytes,
            lambda sent: line.draw(f"{file.name} {transfer(sent, size_bytes, time.monotonic() - began_s)}"),
        )
    line.wipe()
    if line.live:
        took_s = time.monotonic() - began_s
        rate = words.size(size_bytes / took_s) if took_s else "?"
        inn.note(f"{file.name}: {words.size(size_bytes)} uploaded in {words.span(took_s)}, {rate}/s")
    if expected_sha256 and expected_sha256.lower() != uploaded["sha256"]:
        raise click.ClickException(
            f"{file} has sha256 {uploaded['sha256']}, not {expected_sha256}; nothing was registered."
        )
    return {"upload": True, "sha256": uploaded["sha256"], "size_bytes": uploaded["size_bytes"]}


def _follow(inn: Invocation, answer: Json) -> Json:
    label = f"Image {answer['image_id']} {answer['name']}"
    operation = follow_operation(inn, label, answer["operation_id"], Deadline.after(inn.timeout_s))
    if operation["status"] != "done":
        inn.note(ended(label, operation))
    return inn.call("image.show", image=str(answer["image_id"]))


def _added_text(answer: Json) -> str:
    label = f"Image {answer['image_id']} {answer['name']}"
    if answer["state"] == "ready":
        return (
            f"{label} is ready: {answer['format']}, {words.size(answer['size_bytes'])}, on {answer.get('home', '-')}."
        )
    if answer["state"] == "error":
        return f"{label} could not be imported; `inn image delete {answer['name']}` forgets it."
    return f"{label} is being imported ({answer.get('operation_id')}); `inn image show {answer['name']}` says how far."


@verb("list", "inn image list", "inn image list -o wide", of=image)
def list_(inn: Invocation) -> None:
    """List images and the hosts that hold them."""
    answer = inn.call("image.list")
    inn.show(answer, lambda: table(answer, COLUMNS, wide=inn.wide))
    if inn.for_people and not answer:
        inn.note("There is no image yet; `inn image add NAME --file FILE` brings one.")


@verb("show", "inn image show debian-12", of=image)
@IMAGE
def show(inn: Invocation, name_or_id: str) -> None:
    """Show one image."""
    answer = inn.call("image.show", image=name_or_id)
    inn.show(answer, lambda: _show_text(answer))


def _show_text(answer: Json) -> str:
    ready = bool(answer.get("sha256"))
    rows: list[tuple[str, object]] = [
        ("Image", f"{answer['image_id']} {answer['name']}"),
        ("State", answer["state"]),
        ("Error", answer.get("error") or None),
        ("Type", answer["type"]),
        ("Persistent", "yes" if answer.get("persistent") else None),
        ("Format", answer.get("format") if ready else "not known yet"),
        ("Size", words.size(answer.get("size_bytes", 0)) if ready else "not known yet"),
        ("Disk size", words.size(answer.get("virtual_size_bytes", 0)) if ready else "not known yet"),
        ("SHA-256", answer.get("sha256")),
        ("Datastore", answer["datastore"]),
        ("On hosts", answer.get("hosts", ())),
        ("Kept by", answer.get("home", "")),
        ("VMs", answer.get("vms", 0)),
        ("Owner", answer.get("owner")),
        ("Group", answer.get("group")),
        ("Rights", answer.get("mode")),
        ("Locked", answer.get("lock") or None),
        ("Source", answer.get("source") or None),
        ("Registered", words.moment(answer.get("registered_at_s"))),
        ("Changed", words.moment(answer["modified_at_s"]) if answer.get("modified_at_s") else None),
        ("Operation", answer.get("operation_id")),
    ]
    return fields([*rows, *sorted(answer.get("attributes", {}).items())])


@verb("delete", "inn image delete debian-11", of=image, waits=True)
@IMAGE
def delete(inn: Invocation, name_or_id: str) -> None:
    """Delete an image that no VM uses, from every host that holds it."""
    answer = inn.call("image.delete", image=name_or_id)
    label = f"Image {answer['image_id']} {answer['name']}"
    if answer.get("state") != "locked":
        inn.show(answer, lambda: f"{label} is deleted.")
        return
    if not inn.waits():
        inn.show(answer, lambda: f"{label} is being deleted from its hosts ({answer['operation_id']}).")
        return
    operation = follow_operation(inn, label, answer["operation_id"], Deadline.after(inn.timeout_s))
    inn.show(operation, lambda: ended(label, operation))
    if operation["status"] != "done":
        raise click.exceptions.Exit(1)


@verb("clone", "inn image clone debian-12 my-debian", of=image)
@IMAGE
@click.argument("name")
@click.option("--datastore", shell_complete=DATASTORES, help="Where it lies; else where the image does.")
def clone(inn: Invocation, name_or_id: str, name: str, datastore: str | None) -> None:
    """Register an image's content under another name; it is yours, and takes no room."""
    answer = inn.call("image.clone", image=name_or_id, name=name, datastore=datastore)
    inn.show(answer, lambda: f"Image {answer['image_id']} {name} is {answer['state']}.")


def _change(inn: Invocation, request: str, name_or_id: str, **params: object) -> None:
    answer = inn.call(request, image=name_or_id, **params)
    lasting = "persistent" if answer.get("persistent") else "not persistent"
    text = f"Image {answer['image_id']} {answer['name']} is {answer['state']}, {answer['type']}, {lasting}."
    inn.show(answer, lambda: text)


@verb("enable", "inn image enable debian-11", of=image)
@IMAGE
def enable(inn: Invocation, name_or_id: str) -> None:
    """Let new VMs have an image again."""
    _change(inn, "image.enable", name_or_id, enabled=True)


@verb("disable", "inn image disable debian-11", of=image)
@IMAGE
def disable(inn: Invocation, name_or_id: str) -> None:
    """Let no new VM have an image; those that have it keep it."""
    _change(inn, "image.enable", name_or_id, enabled=False)


@verb("persistent", "inn image persistent data", of=image)
@IMAGE
def persistent(inn: Invocation, name_or_id: str) -> None:
    """Let an image keep what its VM writes, one VM at a time."""
    _change(inn, "image.persistent", name_or_id, persistent=True)


@verb("nonpersistent", "inn image nonpersistent data", of=image)
@IMAGE
def nonpersistent(inn: Invocation, name_or_id: str) -> None:
    """Let each VM have a copy of an image, which stays as it is."""
    _change(inn, "image.persistent", name_or_id, persistent=False)


@verb("chtype", "inn image chtype installer cdrom", of=image)
@IMAGE
@click.argument("kind", metavar="TYPE", type=click.Choice(TYPES))
def chtype(inn: Invocation, name_or_id: str, kind: str) -> None:
    """Say what an image is for."""
    _change(inn, "image.type", name_or_id, type=kind)


ownership.add_to(image, "image")
