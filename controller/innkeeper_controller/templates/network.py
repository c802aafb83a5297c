"""What a template of a virtual network asks for."""

from collections.abc import Sequence

from innkeeper_controller.addresses import find, range_faults
from innkeeper_controller.records import AddressRange
from innkeeper_controller.templates.attributes import Attribute
from innkeeper_controller.templates.errors import TemplateError, in_order
from innkeeper_controller.templates.validation import Checked, Group, check
from innkeeper_controller.templates.vocabulary import NETWORK_TABLE
from innkeeper_controller.turn import Mistake
from innkeeper_plugins.vocabulary import Value


class NetworkTemplate(Value):
    """A virtual network as its author wants it; the fields are those of ``records.Network``."""

    name: str = ""
    ranges: tuple[AddressRange, ...] = ()
    bridge: str = ""
    vlan_id: int | None = None
    physical_device: str = ""
    gateway: str = ""
    netmask: str = ""
    dns: str = ""


def network_template(attributes: Sequence[Attribute]) -> NetworkTemplate:
    """Return what the attributes ask for.

    Raises:
        TemplateError: with every mistake.
    """
    checked = check(attributes, NETWORK_TABLE)
    ranges = _ranges(checked)
    top = checked.top
    if checked.findings.mistakes:
        raise TemplateError(checked.findings.mistakes)
    return NetworkTemplate(
        name=top.text("NAME"),
        ranges=ranges,
        bridge=top.text("BRIDGE"),
        vlan_id=top.integer("VLAN_ID") or None,
        physical_device=top.text("PHYDEV"),
        gateway=top.text("GATEWAY"),
        netmask=top.text("NETWORK_MASK"),
        dns=top.text("DNS"),
    )


def network_remarks(attributes: Sequence[Attribute]) -> tuple[Mistake, ...]:
    """Return what the author should know although nothing is wrong: no effect, not kept, a gateway in a range."""
    checked = check(attributes, NETWORK_TABLE)
    gateway = checked.top.text("GATEWAY")
    ranges = _ranges(checked)
    if gateway and not checked.findings.mistakes and find(ranges, ip=gateway):
        text = f"{gateway} is in a range, so a VM may be given it; hold it: inn network hold NETWORK {gateway}."
        checked.findings.remark(checked.top.place("GATEWAY"), "GATEWAY", text)
    return in_order(checked.findings.remarks)


def _ranges(checked: Checked) -> tuple[AddressRange, ...]:
    groups = checked.vectors.get("AR", ())
    ranges = tuple(_range(group) for group in groups)
    if all("SIZE" in group.entries and not group.is_damaged for group in groups):
        for fault in range_faults(ranges):
            group = groups[fault.range_index]
            field = fault.field.upper()
            checked.findings.mistake(group.place(field), f"AR/{field}", fault.message)
    return ranges


def _range(group: Group) -> AddressRange:
    ip = "" if group.text("TYPE") == "ether" else group.text("IP")
    return AddressRange(size=group.integer("SIZE"), ip=ip, mac=group.text("MAC"))
