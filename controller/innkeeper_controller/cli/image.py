"""``inn image``: disk images come from a file, a host's path or a URL, are looked at and deleted."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from innkeeper_controller.cli import words
from innkeeper_controller.cli.commands import SIZE, NounGroup, verb
from innkeeper_controller.cli.complete import DATASTORES, HOSTS, IMAGES
from innkeeper_controller.cli.follow import Deadline, ended, follow_operation
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table
from innkeeper_controller.cli.progress import LiveLine, transfer

TYPES = ("os", "datablock", "cdrom", "kernel", "ramdisk")


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
    of=image,
    waits=True,
)
@click.argument("name")
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File here, to upload.")
@click.option("--path", help="File on a host, below an import directory of its agent; needs --host.")
@click.option("--url", help="Address that a host fetches it from.")
@click.option(
    "--host", shell_complete=HOSTS, help="Host that takes it and keeps it for good; else the one with most room."
)
@click.option("--datastore", default="default", shell_complete=DATASTORES, show_default=True, help="Where it lies.")
@click.option("--type", "kind", type=click.Choice(TYPES), default="os", show_default=True, help="What it is.")
@click.option("--format", "form", type=click.Choice(("qcow2", "raw")), help="Format; else as the inspection finds.")
@click.option("--sha256", help="Digest that must come out.")
@click.option("--size", "size_bytes", type=SIZE, help="Size of the file that must come out.")
def add(inn: Invocation, name: str, file: Path | None, **params: Any) -> None:  # noqa: ANN401 - click's options
    """Bring an image from a file here, a file on a host, or a URL.

    Follows the import to its end; --no-wait returns as soon as it has begun.
    """
    if sum((file is not None, bool(params["path"]), bool(params["url"]))) != 1:
        raise click.UsageError("Say where the image comes from with one of --file, --path and --url.")
    if params["path"] and not params["host"]:
        raise click.UsageError("Say on which host the path is: --host NAME.")
    wanted = {**params, "type": params.pop("kind"), "format": params.pop("form")}
    wanted = {key: value for key, value in wanted.items() if key not in {"kind", "form"}}
    if file is not None:
        wanted |= _upload(inn, file, expected_sha256=params["sha256"])
    answer = inn.call("image.add", name=name, **wanted)
    if inn.waits(usually=True) and answer.get("operation_id"):
        answer = _follow(inn, answer)
    inn.show(answer, lambda: _added_text(answer))
    if answer["state"] == "error":
        raise click.exceptions.Exit(1)


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
@click.argument("name_or_id", metavar="IMAGE", shell_complete=IMAGES)
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
        ("Format", answer.get("format") if ready else "not known yet"),
        ("Size", words.size(answer.get("size_bytes", 0)) if ready else "not known yet"),
        ("Disk size", words.size(answer.get("virtual_size_bytes", 0)) if ready else "not known yet"),
        ("SHA-256", answer.get("sha256")),
        ("Datastore", answer["datastore"]),
        ("On hosts", answer.get("hosts", ())),
        ("Kept by", answer.get("home", "")),
        ("VMs", answer.get("vms", 0)),
        ("Owner", answer.get("owner")),
        ("Registered", words.moment(answer.get("registered_at_s"))),
        ("Operation", answer.get("operation_id")),
    ]
    return fields(rows)


@verb("delete", "inn image delete debian-11", of=image, waits=True)
@click.argument("name_or_id", metavar="IMAGE", shell_complete=IMAGES)
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
