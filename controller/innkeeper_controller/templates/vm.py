"""What a template of a VM asks for: typed, complete in itself, with names of things that are looked up elsewhere.

Every mistake is told at once; what is allowed but may surprise comes as a remark.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from innkeeper_controller.expressions.names import KNOWN
from innkeeper_controller.scheduling.wishes import Wishes
from innkeeper_controller.templates import syntax
from innkeeper_controller.templates.attributes import Attribute
from innkeeper_controller.templates.devices import cores_of, numa_of, pci_of
from innkeeper_controller.templates.errors import TemplateError, in_order
from innkeeper_controller.templates.kept import kept_as_text, merged
from innkeeper_controller.templates.machine import (
    features_of,
    graphics_of,
    inputs_of,
    processors_of,
    raw_of,
    video_of,
)
from innkeeper_controller.templates.parts import (
    BootTemplate,
    DiskTemplate,
    NicTemplate,
    boot_of,
    context_of,
    disks_of,
    nics_of,
)
from innkeeper_controller.templates.placement import rank_of, requirements_of
from innkeeper_controller.templates.schedule import SchedActionTemplate, scheduled_of
from innkeeper_controller.templates.syntax import Syntax
from innkeeper_controller.templates.validation import Checked, check
from innkeeper_controller.templates.vocabulary import VM_TABLE
from innkeeper_controller.templates.wishes import NamedVm, vms_named, wishes_of
from innkeeper_controller.turn import Mistake
from innkeeper_plugins.vocabulary import Graphics, InputDevice, NumaWish, PciWish, Raw, Topology, Value

__all__ = ["DiskTemplate", "NicTemplate", "VmTemplate", "read_vm_template", "vm_template", "with_overrides"]

#: Templates that are remembered, and how long the longest of them is.
_REMEMBERED = 128
_MAX_REMEMBERED_LENGTH = 16 * 1024
#: OpenNebula's names of hypervisors that our driver runs.
_DRIVER_OF = {"kvm": "libvirt", "qemu": "libvirt"}


class VmTemplate(Value):
    """A VM as its author wants it."""

    memory_mib: int
    #: Empty where the controller is to choose.
    name: str = ""
    cpu_cores: float = 1.0
    vcpus: int = 1
    disks: tuple[DiskTemplate, ...] = ()
    nics: tuple[NicTemplate, ...] = ()
    boot: BootTemplate = BootTemplate()
    #: Not expanded yet; see ``context.expand``.
    context: dict[str, str] = {}
    graphics: Graphics | None = None
    inputs: tuple[InputDevice, ...] = ()
    #: Video card; empty lets the hypervisor choose.
    video: str = ""
    cpu_model: str = ""
    topology: Topology | None = None
    #: What it asks of its host's nodes and devices.
    numa: NumaWish | None = None
    pci: tuple[PciWish, ...] = ()
    raw: Raw | None = None
    #: How far the running guest may be resized; 0 for no further than it is.
    vcpus_max: int = 0
    memory_max_mib: int = 0
    #: ``{ACPI: yes}``
    features: dict[str, str] = {}
    #: Hypervisor driver; empty for any.
    hypervisor: str = ""
    #: Expressions that are known to parse; empty for none.
    requirements: str = ""
    rank: str = ""
    wishes: Wishes = Wishes()
    #: VMs that the wishes name.
    vms_named: tuple[NamedVm, ...] = ()
    scheduled: tuple[SchedActionTemplate, ...] = ()
    #: What is kept but not acted on, as it was written; a repeated one has a line for each.
    attributes: dict[str, str] = {}
    #: What the author should know although nothing is wrong: defaults taken, attributes without effect.
    remarks: tuple[Mistake, ...] = ()


def vm_template(attributes: Sequence[Attribute], *, host_attributes: Collection[str] = KNOWN) -> VmTemplate:
    """Return what the attributes ask for.

    Args:
        attributes: As parsed.
        host_attributes: What requirements and ranks may ask of hosts; others are remarked on, or are mistakes where
            one that all hosts have was probably meant.

    Raises:
        TemplateError: with every mistake.
    """
    checked = check(attributes, VM_TABLE, keeps_others=True)
    template = _built(checked, host_attributes)
    if checked.findings.mistakes:
        raise TemplateError(checked.findings.mistakes)
    return template


def read_vm_template(
    text: str,
    syntax_of_text: Syntax | None = None,
    *,
    overrides: Mapping[str, str] | None = None,
    host_attributes: Collection[str] = KNOWN,
) -> VmTemplate:
    """Return what a text asks for; mistakes of syntax and of vocabulary are told together.

    Args:
        text: The template.
        syntax_of_text: What it is in; None to go by how it begins.
        overrides: See ``with_overrides``.
        host_attributes: See ``vm_template``.

    Raises:
        TemplateError: with every mistake.
    """
    read = _read_again if len(text) <= _MAX_REMEMBERED_LENGTH else _read
    return read(text, syntax_of_text, tuple((overrides or {}).items()), frozenset(host_attributes))


def _read(
    text: str, syntax_of_text: Syntax | None, overrides: tuple[tuple[str, str], ...], host_attributes: frozenset[str]
) -> VmTemplate:
    parsed = syntax.scan(text, syntax_of_text)
    attributes = with_overrides(parsed.attributes, dict(overrides))
    try:
        template = vm_template(attributes, host_attributes=host_attributes)
    except TemplateError as error:
        # What seems to be missing may stand in a line that was not understood.
        placed = (each for each in error.mistakes if each.line or not parsed.mistakes)
        raise TemplateError((*parsed.mistakes, *placed)) from error
    if parsed.mistakes:
        raise TemplateError(parsed.mistakes)
    return template


#: Programs submit the same text again and again.
_read_again = lru_cache(_REMEMBERED)(_read)


def with_overrides(attributes: Sequence[Attribute], overrides: Mapping[str, str]) -> tuple[Attribute, ...]:
    """Return the attributes with some top-level ones set anew: each replaces all of its name.

    Args:
        attributes: As parsed.
        overrides: ``{MEMORY: "256"}``; names in any case.
    """
    return merged(attributes, [Attribute(name=name.upper(), value=value) for name, value in overrides.items()])


def _built(checked: Checked, host_attributes: Collection[str]) -> VmTemplate:
    top, findings = checked.top, checked.findings
    disks, nics = disks_of(checked), nics_of(checked)
    vcpus, topology = processors_of(checked)
    numa = numa_of(checked, vcpus)
    cpu_cores = cores_of(checked, numa, vcpus)
    if cpu_cores == checked.top.number("CPU", 1.0):
        _remark_on_processors(checked, vcpus)
    hypervisor = top.text("HYPERVISOR")
    return VmTemplate(
        name=top.text("NAME"),
        cpu_cores=cpu_cores,
        vcpus=vcpus,
        memory_mib=top.integer("MEMORY"),
        disks=disks,
        nics=nics,
        boot=boot_of(checked, disks=len(disks), nics=len(nics)),
        context=context_of(checked),
        graphics=graphics_of(checked),
        inputs=inputs_of(checked),
        video=video_of(checked),
        topology=topology,
        numa=numa,
        pci=pci_of(checked),
        raw=raw_of(checked),
        vcpus_max=top.integer("VCPU_MAX"),
        memory_max_mib=top.integer("MEMORY_MAX"),
        cpu_model=checked.only("CPU_MODEL").text("MODEL"),
        features=features_of(checked),
        hypervisor=_DRIVER_OF.get(hypervisor, hypervisor),
        requirements=requirements_of(checked, host_attributes),
        rank=rank_of(checked, host_attributes),
        wishes=wishes_of(checked),
        vms_named=vms_named(checked),
        scheduled=scheduled_of(checked),
        attributes=kept_as_text(checked.others),
        remarks=in_order(findings.remarks),
    )


def _remark_on_processors(checked: Checked, vcpus: int) -> None:
    top = checked.top
    if "CPU" not in top.entries:
        checked.findings.remark((0, 0), "CPU", "CPU is not given; 1 core is set aside for the VM.")
    cpu_cores = top.number("CPU", 1.0)
    if cpu_cores > vcpus:
        text = f"{cpu_cores:g} cores are set aside, but the guest sees {vcpus} of them; VCPU says how many it sees."
        checked.findings.remark(top.place("CPU"), "CPU", text)
