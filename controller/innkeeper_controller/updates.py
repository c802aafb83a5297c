"""Changes how a VM is built at its next boot: context, screen, boot devices, features, raw text."""

from collections.abc import Sequence
from typing import Final

import msgspec

from innkeeper_controller import operations, submission, surroundings
from innkeeper_controller.disks import Search
from innkeeper_controller.records import VmRecord
from innkeeper_controller.requests.templates import refuse_mistakes, refused_mistakes
from innkeeper_controller.templates import parse
from innkeeper_controller.templates.attributes import Attribute
from innkeeper_controller.templates.context import expand
from innkeeper_controller.templates.errors import in_order
from innkeeper_controller.templates.vm import VmTemplate, vm_template
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import Boot, Vm

_replace = msgspec.structs.replace

#: ``{attribute: the field of a VM's specification that it says}``
_FIELDS: Final = {
    "CONTEXT": "context",
    "GRAPHICS": "graphics",
    "OS": "boot",
    "FEATURES": "features",
    "INPUT": "inputs",
    "RAW": "raw",
    "CPU_MODEL": "cpu_model",
    "VIDEO": "video",
}
#: What OpenNebula's clients send beside them; it has no effect here.
_WITHOUT_EFFECT: Final = frozenset({"BACKUP_CONFIG", "TPM"})


def update_conf(turn: Turn, vm: VmRecord, text: str, *, append: bool) -> None:
    """Change the specification as a template says; a guest that runs sees it at its next boot.

    Args:
        turn: The turn.
        vm: The VM.
        text: Some of the attributes in ``_FIELDS``.
        append: Keep what the text does not name.

    Raises:
        RefusalError: ``busy``, ``wrong_state``, ``bad_template`` or ``forbidden``.
    """
    operations.check_free(turn, vm)
    operations.check_change("update_conf", vm.state)
    attributes = _parsed(text)
    submission.check_restricted(turn, attributes)
    named = {each.name for each in attributes}
    strange = sorted(named - set(_FIELDS) - _WITHOUT_EFFECT)
    if strange:
        raise RefusalError("bad_template", f"Only {', '.join(_FIELDS)} can be changed, not {', '.join(strange)}.")
    order, attributes = _without_order(vm.spec, attributes)
    template = _read(attributes)
    spec = vm.spec
    for name, field in _FIELDS.items():
        if name in named or not append:
            spec = _replace(spec, **{field: _value(turn, vm, template, name, order, append=append)})
    renewed = vm.context_changed or spec.context != vm.spec.context
    turn.put(_replace(vm, spec=spec, context_changed=renewed))
    turn.event("vm.conf_updated", f"vm:{vm.vm_id}", attributes=sorted(named))


def _parsed(text: str) -> tuple[Attribute, ...]:
    with refused_mistakes():
        return tuple(parse(text)) if text else ()


def _read(attributes: Sequence[Attribute]) -> VmTemplate:
    needed = tuple(Attribute(name=name, value="1") for name in ("MEMORY", "CPU", "VCPU"))
    with refused_mistakes():
        return vm_template((*attributes, *needed))


def _without_order(spec: Vm, attributes: Sequence[Attribute]) -> tuple[tuple[str, ...], tuple[Attribute, ...]]:
    """Return the devices to boot from, which have to be the VM's own, and the other attributes."""
    devices = {f"disk{disk.disk_id}" for disk in spec.disks} | {f"nic{nic.nic_id}" for nic in spec.nics}
    order: tuple[str, ...] = ()
    kept: list[Attribute] = []
    for each in attributes:
        if each.name == "OS" and isinstance(each.value, tuple):
            words = [pair.value.split(",") for pair in each.value if pair.key == "BOOT"]
            order = tuple(word.strip().lower() for found in words for word in found if word.strip())
            pairs = tuple(pair for pair in each.value if pair.key != "BOOT")
            kept.append(_replace(each, value=pairs))
        else:
            kept.append(each)
    strange = [each for each in order if each not in devices]
    if strange:
        has = ", ".join(sorted(devices)) or "none"
        raise RefusalError("bad_template", f"The VM has no {strange[0][:40]} to boot from; it has {has}.")
    return order, tuple(kept)


def _value(
    turn: Turn, vm: VmRecord, template: VmTemplate, name: str, order: tuple[str, ...], *, append: bool
) -> object:
    if name == "OS":
        return _boot(turn, template, order)
    if name == "CONTEXT":
        around = surroundings.of_vm(turn, owner=vm.owner, group=vm.group, template=vm.template)
        fresh = expand(template.context, vm.spec, vm.attributes, around) if template.context else {}
        return {**vm.spec.context, **fresh} if append else fresh
    return getattr(template, _FIELDS[name])


def _boot(turn: Turn, template: VmTemplate, order: tuple[str, ...]) -> Boot:
    search = Search(turn)
    boot = submission.boot_of(search, template)
    refuse_mistakes(in_order(search.mistakes))
    return _replace(boot, order=order)
