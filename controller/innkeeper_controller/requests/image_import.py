"""The request that registers an image: what is wanted, from parameters and template, and the import on its home."""

import re
from pathlib import PurePosixPath

import msgspec

from innkeeper_controller import access, image_contents, operations
from innkeeper_controller.access import Right
from innkeeper_controller.images import charge, check_name, check_type
from innkeeper_controller.records import Datastore, Host, HostState, Image, Leg, OperationKind, Plan
from innkeeper_controller.requests import find
from innkeeper_controller.requests.templates import refuse_restricted, refused_mistakes
from innkeeper_controller.requests.views import ImageView, image_view
from innkeeper_controller.templates import parse
from innkeeper_controller.templates.image import ImageTemplate, image_template
from innkeeper_controller.templates.restricted import IMAGE as RESTRICTED
from innkeeper_controller.templates.restricted import restricted
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_controller.units import MIB
from innkeeper_plugins.steps import ImportImage
from innkeeper_plugins.vocabulary import IMPORT_DIRS, DiskFormat, Holder, ImageId, Value, VmState

_replace = msgspec.structs.replace

_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
#: Largest empty image.
MAX_SIZE_MIB = 1 << 30


class AddImage(Value):
    """An image to be; exactly one of ``upload``, ``path``, ``url`` and ``size_mib`` says what its bytes are."""

    #: May come from the template instead, as all that is not given.
    name: str = ""
    #: OpenNebula's template of an image, as text, XML or YAML.
    template: str = ""
    #: Empty for ``default``.
    datastore: str = ""
    #: ``os``, ``datablock``, ``cdrom``, ``kernel``, ``ramdisk`` or ``context``; empty for ``os``, or ``datablock``
    #: where it is made empty.
    type: str = ""
    #: Given to one VM at a time, whose disk becomes the image again when the VM ends.
    persistent: bool | None = None
    #: ``qcow2`` or ``raw``; empty to take what the inspection finds.
    format: str = ""
    #: Digest that must come out; with ``upload`` the digest that the upload was answered with.
    sha256: str = ""
    size_bytes: int | None = None
    #: Of an image that is made empty; 0 for one with contents.
    size_mib: int = 0
    #: True where the bytes were uploaded to the controller.
    upload: bool = False
    #: A file below one of the import directories of an agent: relative to it, or absolute.
    path: str = ""
    url: str = ""
    #: Host that takes it, and keeps it for good; empty to let the controller choose.
    host: str = ""


def add(turn: Turn, params: AddImage) -> ImageView:
    """Register an image and start its import on the host that will keep it."""
    template = _template(turn, params) if params.template else ImageTemplate()
    wanted = _with_template(params, template)
    _check(turn, wanted)
    datastore = find.datastore(turn.cluster, wanted.datastore)
    _check_datastore(turn, datastore, wanted)
    host = _home(turn, wanted, datastore)
    image = _image(turn, wanted, datastore, host)
    image = _replace(image, attributes=template.attributes, source=image.source or template.url or template.path)
    charge(turn, image)
    operation = image_contents.start(
        turn,
        image,
        OperationKind.IMPORT_IMAGE,
        Plan(legs=(Leg(host_id=host.host_id, steps=(_step(turn, wanted, image, datastore),)),)),
    )
    turn.put(_replace(image, operation_id=operation.operation_id))
    turn.event("image.added", f"image:{image.image_id}", operation_id=operation.operation_id, name=image.name)
    operations.send_leg(turn, operation)
    return image_view(turn.cluster, turn.cluster.images[image.image_id])


def _template(turn: Turn, params: AddImage) -> ImageTemplate:
    with refused_mistakes():
        attributes = parse(params.template)
        if turn.user is not None and not turn.user.is_admin:
            refuse_restricted(restricted(attributes, turn.settings.restricted_image, usual=RESTRICTED))
        return image_template(attributes, has_content=_sources(params) > 0)


def _sources(params: AddImage) -> int:
    return sum((params.upload, bool(params.path), bool(params.url), bool(params.size_mib)))


def _with_template(params: AddImage, template: ImageTemplate) -> AddImage:
    """Return what is wanted once the template has filled in what the parameters left open."""
    content = {}
    if not _sources(params):
        empty = not template.path and not template.url
        content = {"path": template.path, "url": template.url, "size_mib": template.size_mib if empty else 0}
    wanted = _replace(
        params,
        name=params.name or template.name,
        datastore=params.datastore or template.datastore or "default",
        sha256=params.sha256 or template.sha256,
        persistent=template.persistent if params.persistent is None else params.persistent,
        **content,
    )
    usual = "datablock" if wanted.size_mib else "os"
    # An empty image is raw, whatever a template that was made for others says: a guest sees no difference.
    form = params.format or ("" if wanted.size_mib else template.format)
    return _replace(wanted, type=(params.type or template.type or usual).lower(), format=form)


def _check(turn: Turn, params: AddImage) -> None:
    check_name(turn, params.name)
    check_type(params.type, persistent=bool(params.persistent))
    if params.format not in {"", *DiskFormat}:
        raise RefusalError("bad_request", f"{params.format!r} is no image format; use qcow2 or raw.")
    if _sources(params) != 1:
        raise RefusalError(
            "bad_request",
            "Say where the image comes from: a file to upload, a path on a host, a URL, or its size if it is empty.",
        )
    if params.sha256 and not _DIGEST.fullmatch(params.sha256):
        raise RefusalError("bad_request", f"{params.sha256[:80]!r} is no SHA-256; one has 64 hexadecimal digits.")
    if params.size_bytes is not None and params.size_bytes < 0:
        raise RefusalError("bad_request", f"An image cannot have {params.size_bytes} bytes.")
    if params.upload and (not params.sha256 or params.size_bytes is None):
        raise RefusalError("bad_request", "An upload is named by its sha256 and size_bytes.")
    if params.size_mib:
        _check_empty(params)


def _check_empty(params: AddImage) -> None:
    if not 0 < params.size_mib <= MAX_SIZE_MIB:
        raise RefusalError("bad_request", f"An empty image has 1 to {MAX_SIZE_MIB} MB, not {params.size_mib}.")
    if params.format == DiskFormat.QCOW2 or params.sha256 or params.size_bytes is not None:
        raise RefusalError("bad_request", "An empty image is raw and has neither a digest nor a size of its file.")


def _check_datastore(turn: Turn, datastore: Datastore, params: AddImage) -> None:
    access.authorize(turn, Right.USE, datastore)
    if not datastore.enabled:
        raise RefusalError("wrong_state", f"Datastore {datastore.name} is disabled; enable it or choose another.")
    if datastore.type == "system":
        raise RefusalError("bad_request", f"Datastore {datastore.name} is for the disks of VMs; choose one for images.")
    if datastore.type == "file" and params.type not in {"kernel", "ramdisk", "context"}:
        raise RefusalError(
            "bad_request",
            f"Datastore {datastore.name} is for kernels, ramdisks and context files, not for {params.type}.",
        )


def _image(turn: Turn, params: AddImage, datastore: Datastore, host: Host) -> Image:
    assert turn.user is not None, "images are registered by users"
    return Image(
        image_id=ImageId(turn.cluster.next_id("image")),
        name=params.name,
        datastore=datastore.name,
        owner=turn.user.name,
        group=access.primary_group(turn),
        type=params.type,
        persistent=bool(params.persistent),
        source=params.url or params.path,
        format=DiskFormat(params.format or "raw"),
        # What is known of its size counts for quotas from now on.
        virtual_size_bytes=params.size_mib * MIB or params.size_bytes or 0,
        home=host.host_id,
        registered_at_s=turn.now_s,
        modified_at_s=turn.now_s,
    )


def _step(turn: Turn, params: AddImage, image: Image, datastore: Datastore) -> ImportImage:
    return ImportImage(
        step_id=0,
        phase=VmState.PROLOG,
        driver="agent",
        image_id=image.image_id,
        datastore=datastore.at_hosts,
        format=params.format,
        sha256=params.sha256.lower(),
        size_bytes=params.size_mib * MIB or params.size_bytes,
        holders=_upload_holders(turn, params),
        path=params.path,
        url=params.url,
    )


def _upload_holders(turn: Turn, params: AddImage) -> tuple[Holder, ...]:
    if not params.upload:
        return ()
    assert turn.settings.holder is not None, "the shell has a bulk server"
    return (turn.settings.holder,)


def _home(turn: Turn, params: AddImage, datastore: Datastore) -> Host:
    if params.host:
        host = find.host(turn.cluster, params.host)
        if not host.connected:
            raise RefusalError("unreachable", f"Host {host.name} is not connected; choose another or start its agent.")
        if _free_mib(host, datastore) is None:
            raise RefusalError("bad_request", f"Host {host.name} has no datastore {datastore.name}.")
        return host
    if params.path and not params.path.startswith("/"):
        raise RefusalError("bad_request", "Say on which host the path is: --host NAME.")
    hosts = [host for host in turn.cluster.hosts.values() if host.connected and host.state is HostState.ON]
    if params.path:
        hosts = [host for host in hosts if _lets_in(host, params.path)]
        if not hosts:
            raise RefusalError("bad_request", _nobody_has(params.path))
    rooms = [(free, -host.host_id, host) for host in hosts if (free := _free_mib(host, datastore)) is not None]
    if not rooms:
        raise RefusalError(
            "no_capacity", f"No connected host has datastore {datastore.name}; `inn datastore show {datastore.name}`."
        )
    return max(rooms, key=lambda room: room[:2])[2]


def _free_mib(host: Host, datastore: Datastore) -> int | None:
    """Return the host's room in the datastore, None where it has none of that name."""
    facts = host.advertisement.datastores
    return next((each.free_mib for each in facts if each.name == datastore.at_hosts), None)


def _lets_in(host: Host, path: str) -> bool:
    dirs = str(host.advertisement.facts.get(IMPORT_DIRS, ""))
    wanted = PurePosixPath(path)
    return ".." not in wanted.parts and any(wanted.is_relative_to(each) for each in dirs.split(":") if each)


def _nobody_has(path: str) -> str:
    directory = str(PurePosixPath(path).parent)
    return (
        f"No connected host lets images come from {path[:200]}: add {directory[:200]!r} to dirs of [import] in the "
        "configuration of the agent that has the file, or upload it (`inn image add NAME --file FILE`)."
    )
