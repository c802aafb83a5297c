"""How a domain is known to be ours: by its name, and by the VM's id and generation in its metadata.

A domain without both is somebody else's and is never touched.
"""

import xml.etree.ElementTree as ET

from innkeeper_plugins.vocabulary import Value, Vm, VmId

NAMESPACE = "urn:innkeeper:guest:1"
PREFIX = "innkeeper"
DOMAIN_PREFIX = "inn-"


class Identity(Value):
    """Whose guest a domain is."""

    vm_id: VmId
    generation: int
    #: The domain's own, which is the VM's.
    uuid: str = ""


def domain_name(vm_id: VmId) -> str:
    """Return the name of the VM's guest at libvirt."""
    return f"{DOMAIN_PREFIX}{vm_id}"


def named_vm(name: str) -> VmId | None:
    """Return the VM whose guest would be called so, None where the name cannot be ours."""
    digits = name.removeprefix(DOMAIN_PREFIX)
    return VmId(int(digits)) if name.startswith(DOMAIN_PREFIX) and digits.isdecimal() else None


def metadata_element(vm: Vm) -> ET.Element:
    """Return the metadata of the VM's guest as they stand in domain XML."""
    return ET.Element(f"{{{NAMESPACE}}}vm", _attributes(vm))


def metadata_text(vm: Vm) -> str:
    """Return the metadata as libvirt's own call takes them, which adds the namespace."""
    return ET.tostring(ET.Element("vm", _attributes(vm)), encoding="unicode")


def parse_metadata(text: str, uuid: str = "") -> Identity | None:
    """Read what ``metadata_text`` wrote, None where it says something else."""
    element = ET.fromstring(text)  # noqa: S314 - libvirt's own output
    vm_id, generation = element.get("id", ""), element.get("generation", "")
    if not (vm_id.isdecimal() and generation.isdecimal()):
        return None
    return Identity(vm_id=VmId(int(vm_id)), generation=int(generation), uuid=uuid)


def _attributes(vm: Vm) -> dict[str, str]:
    return {"id": str(vm.vm_id), "generation": str(vm.generation)}
