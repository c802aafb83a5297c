"""Requests about stored templates: kept in text syntax, read again each time that VMs are made from them."""

from collections.abc import Sequence
from dataclasses import replace as replace_fields

import msgspec

from innkeeper_controller import access, submission
from innkeeper_controller.access import Right
from innkeeper_controller.records import OWNER_ONLY, Image, Moment, StoredTemplate
from innkeeper_controller.requests import find
from innkeeper_controller.requests.images import copy_of
from innkeeper_controller.requests.table import Need, Nothing, Request, Who
from innkeeper_controller.requests.templates import refused_mistakes
from innkeeper_controller.requests.vms import Submitted
from innkeeper_controller.templates import merged, parse
from innkeeper_controller.templates.attributes import Attribute, Pair
from innkeeper_controller.templates.text import render
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Value

_replace = msgspec.structs.replace


class AddTemplate(Value):
    """A template to be kept."""

    #: As text, XML or YAML, with its NAME.
    template: str


class NamedTemplate(Value):
    """One stored template, by id or name."""

    template: str


class ReplaceTemplate(Value):
    """New contents of a stored template."""

    template: str
    text: str
    #: Only attributes that the text has are replaced; the others stay.
    append: bool = False


class CloneTemplate(Value):
    """A stored template and the name of its double."""

    template: str
    name: str


class InstantiateTemplate(Value):
    """A stored template to make VMs from."""

    template: str
    #: Of the VM; ``%i`` in it becomes the number of each of several. Empty for the template's name and the VM's id.
    name: str = ""
    #: Wait in HOLD for a person instead of PENDING for the scheduler.
    hold: bool = False
    #: Attributes that replace those of the same name in the template.
    extra: str = ""
    #: The VM gets persistent clones of its images, which keep what it writes.
    persistent: bool = False
    count: int = 1


class TemplateView(Value):
    """A stored template."""

    template_id: int
    name: str
    owner: str
    group: str
    #: What owner, group and others may do, in the digits of chmod.
    mode: str
    #: In text syntax, without NAME.
    text: str
    #: Level of its lock; empty for none.
    lock: str = ""
    registered_at_s: Moment = 0.0


def _view(template: StoredTemplate) -> TemplateView:
    return TemplateView(
        template_id=template.template_id,
        name=template.name,
        owner=template.owner,
        group=template.group,
        mode=f"{template.mode:03o}",
        text=template.text,
        lock=template.lock.level if template.lock is not None else "",
        registered_at_s=template.registered_at_s,
    )


def add(turn: Turn, params: AddTemplate) -> TemplateView:
    """Keep a template."""
    attributes = _own_attributes(turn, params.template)
    names = [each.value for each in attributes if each.name == "NAME"]
    if len(names) != 1 or not isinstance(names[0], str):
        raise RefusalError("bad_template", 'A stored template needs one name: NAME = "web".')
    return _view(_kept(turn, names[0], _text(attributes)))


def _kept(turn: Turn, name: str, text: str) -> StoredTemplate:
    find.check_name("template", name)
    if name in turn.cluster.template_ids:
        raise RefusalError("name_taken", f"There is a template {name} already; choose another name or delete it.")
    assert turn.user is not None, "templates are kept for users"
    template = StoredTemplate(
        template_id=turn.cluster.next_id("template"),
        name=name,
        owner=turn.user.name,
        group=access.primary_group(turn),
        mode=OWNER_ONLY,
        text=text,
        registered_at_s=turn.now_s,
    )
    turn.put(template)
    turn.event("template.added", f"template:{template.template_id}", name=name)
    return template


def _own_attributes(turn: Turn, text: str) -> tuple[Attribute, ...]:
    """Return the attributes of what who asks has written, none of which is for administrators only."""
    attributes = _attributes(text)
    submission.check_restricted(turn, attributes)
    return attributes


def _attributes(text: str) -> tuple[Attribute, ...]:
    with refused_mistakes():
        return parse(text) if text.strip() else ()


def _text(attributes: Sequence[Attribute]) -> str:
    """Return the attributes in text syntax, without NAME."""
    try:
        return render([each for each in attributes if each.name != "NAME"])
    except ValueError as error:
        raise RefusalError("bad_template", f"The template cannot be kept: {error}.") from error


def list_templates(turn: Turn, _params: Nothing) -> tuple[TemplateView, ...]:
    """List the stored templates that who asks may use."""
    return tuple(map(_view, access.visible(turn, turn.cluster.templates.values())))


def show(turn: Turn, params: NamedTemplate) -> TemplateView:
    """Show one stored template."""
    return _view(find.template(turn.cluster, params.template))


def replace(turn: Turn, params: ReplaceTemplate) -> TemplateView:
    """Replace what a stored template says, all of it or some attributes; its name stays."""
    template = find.template(turn.cluster, params.template)
    attributes = _own_attributes(turn, params.text)
    if params.append:
        attributes = merged(_attributes(template.text), attributes)
    changed = _replace(template, text=_text(attributes))
    turn.put(changed)
    turn.event("template.changed", f"template:{template.template_id}", name=template.name)
    return _view(changed)


def delete(turn: Turn, params: NamedTemplate) -> TemplateView:
    """Forget a stored template; VMs made from it stay."""
    template = find.template(turn.cluster, params.template)
    turn.drop(template)
    turn.event("template.deleted", f"template:{template.template_id}", name=template.name)
    return _view(template)


def clone(turn: Turn, params: CloneTemplate) -> TemplateView:
    """Keep a stored template once more, for who asks."""
    template = find.template(turn.cluster, params.template)
    access.authorize(turn, Right.USE, template)
    return _view(_kept(turn, params.name, template.text))


def instantiate(turn: Turn, params: InstantiateTemplate) -> Submitted:
    """Make VMs from a stored template, all or none."""
    access.authorize_creation(turn, "VM")
    template = find.template(turn.cluster, params.template)
    attributes = _attributes(template.text)
    if not _is_of_administrator(turn, template):
        submission.check_restricted(turn, attributes)
    attributes = merged(attributes, _own_attributes(turn, params.extra))
    if params.persistent:
        if params.count != 1:
            raise RefusalError("bad_request", "Persistent images are for one VM; make VMs like that one by one.")
        name = params.name or f"{template.name}-{turn.cluster.next_id('vm')}"
        base = name.replace(submission.WILDCARD, "0")
        attributes = _with_clones(turn, attributes, base)
    overrides = {"NAME": params.name} if params.name else {}
    blueprint = submission.draw(turn, _whole_text(attributes), overrides, own=False)
    blueprint = replace_fields(blueprint, template_id=template.template_id, prefix=template.name)
    records = submission.submit(turn, blueprint, hold=params.hold, count=params.count)
    return Submitted(vm_ids=tuple(vm.vm_id for vm in records), remarks=blueprint.template.remarks)


def _whole_text(attributes: Sequence[Attribute]) -> str:
    try:
        return render(attributes)
    except ValueError as error:
        raise RefusalError("bad_template", f"The template cannot be written down: {error}.") from error


def _is_of_administrator(turn: Turn, template: StoredTemplate) -> bool:
    owner = turn.cluster.users.get(template.owner)
    return owner is not None and owner.is_admin


def _with_clones(turn: Turn, attributes: Sequence[Attribute], base: str) -> tuple[Attribute, ...]:
    """Return the attributes with each disk made of a persistent clone of its image."""
    found: list[Attribute] = []
    number = 0
    for attribute in attributes:
        if attribute.name != "DISK" or not isinstance(attribute.value, tuple):
            found.append(attribute)
            continue
        image = _image_of(turn, attribute.value)
        if image is not None and image.type != "cdrom":
            cloned = copy_of(turn, image, f"{base}-disk-{number}", persistent=True)
            kept = tuple(pair for pair in attribute.value if pair.key not in _IMAGE_KEYS)
            value = (Pair(key="IMAGE_ID", value=str(cloned.image_id)), *kept)
            attribute = _replace(attribute, value=value)  # noqa: PLW2901 - the same disk, of its own image
        found.append(attribute)
        number += 1
    return tuple(found)


#: Keys of a disk that say which image it is made of.
_IMAGE_KEYS = frozenset({"IMAGE", "IMAGE_ID", "IMAGE_UID", "IMAGE_UNAME"})


def _image_of(turn: Turn, pairs: Sequence[Pair]) -> Image | None:
    """Return the image of a disk; None for an empty disk."""
    keys = {pair.key: pair.value for pair in pairs}
    wanted = keys.get("IMAGE_ID") or keys.get("IMAGE")
    return find.image(turn.cluster, wanted) if wanted else None


REQUESTS = (
    Request(
        name="template.add",
        method="POST",
        path="/v1/templates",
        params=AddTemplate,
        answer=TemplateView,
        who=Who.USER,
        summary="Keep a template of VMs.",
        handler=add,
        needs=Need(Right.CREATE, "template"),
    ),
    Request(
        name="template.list",
        method="GET",
        path="/v1/templates",
        params=Nothing,
        answer=tuple[TemplateView, ...],
        who=Who.USER,
        summary="List the stored templates.",
        handler=list_templates,
    ),
    Request(
        name="template.show",
        method="GET",
        path="/v1/templates/{template}",
        params=NamedTemplate,
        answer=TemplateView,
        who=Who.USER,
        summary="Show one stored template.",
        handler=show,
        needs=Need(Right.USE, "template"),
    ),
    Request(
        name="template.replace",
        method="PUT",
        path="/v1/templates/{template}",
        params=ReplaceTemplate,
        answer=TemplateView,
        who=Who.USER,
        summary="Replace what a stored template says, all of it or some attributes.",
        handler=replace,
        needs=Need(Right.MANAGE, "template"),
    ),
    Request(
        name="template.delete",
        method="DELETE",
        path="/v1/templates/{template}",
        params=NamedTemplate,
        answer=TemplateView,
        who=Who.USER,
        summary="Forget a stored template; VMs made from it stay.",
        handler=delete,
        needs=Need(Right.MANAGE, "template"),
    ),
    Request(
        name="template.clone",
        method="POST",
        path="/v1/templates/{template}/clone",
        params=CloneTemplate,
        answer=TemplateView,
        who=Who.USER,
        summary="Keep a stored template once more under another name.",
        handler=clone,
        needs=Need(Right.CREATE, "template"),
    ),
    Request(
        name="template.instantiate",
        method="POST",
        path="/v1/templates/{template}/instantiate",
        params=InstantiateTemplate,
        answer=Submitted,
        who=Who.USER,
        summary="Make one VM or many alike from a stored template.",
        handler=instantiate,
        needs=Need(Right.USE, "template"),
    ),
)
