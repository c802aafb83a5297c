"""What a guest asks of its host's nodes and devices: pinning, huge pages, nodes of its own, PCI devices.

Which of them it gets is decided where its host is chosen.
"""

from innkeeper_controller.templates.validation import Checked, Group
from innkeeper_plugins.vocabulary import NumaWish, PciWish, PinPolicy

#: Policies that give each processor of the guest one of the host's: no less can be set aside.
_OWN = frozenset({PinPolicy.THREAD, PinPolicy.CORE})
_DOMAIN = "0000:"


def numa_of(checked: Checked, vcpus: int) -> NumaWish | None:
    """Return what the guest asks of nodes; None where it does not care.

    As in OpenNebula it sees as many nodes as there are NUMA_NODEs, or else SOCKETS.
    """
    topology, nodes = checked.only("TOPOLOGY"), checked.vectors.get("NUMA_NODE", ())
    policy, page_mib = PinPolicy(topology.text("PIN_POLICY", PinPolicy.NONE)), topology.integer("HUGEPAGE_SIZE")
    if policy is PinPolicy.NONE and not page_mib and not nodes:
        return None
    count = len(nodes) or topology.integer("SOCKETS") or 1
    place = (nodes[0].line, nodes[0].column) if nodes else (topology.line, topology.column)
    memory_mib = checked.top.integer("MEMORY")
    if vcpus % count:
        text = f"{vcpus} processors cannot be split evenly over {count} nodes."
        checked.findings.mistake(place, "NUMA_NODE" if nodes else "TOPOLOGY", text)
    elif memory_mib % (count * (page_mib or 1)):
        pages = f" of pages of {page_mib} MB" if page_mib else ""
        text = f"{memory_mib} MB of memory cannot be split evenly over {count} node{'s' if count > 1 else ''}{pages}."
        checked.findings.mistake(checked.top.place("MEMORY"), "MEMORY", text)
    else:
        for node in nodes:
            _check_even(checked, node, TOTAL_CPUS=vcpus // count, MEMORY=memory_mib // count)
    _check_stays(checked, vcpus, memory_mib)
    return NumaWish(pin_policy=policy, nodes=count, hugepage_mib=page_mib)


def cores_of(checked: Checked, numa: NumaWish | None, vcpus: int) -> float:
    """Return how many cores are set aside: of a guest that has processors of its own, all of them."""
    given = checked.top.number("CPU", 1.0)
    if numa is None or numa.pin_policy not in _OWN or given >= vcpus:
        return given
    text = f"{vcpus} cores are set aside: the guest has processors of its own (PIN_POLICY = {numa.pin_policy})."
    checked.findings.remark(checked.top.place("CPU"), "CPU", text)
    return float(vcpus)


def pci_of(checked: Checked) -> tuple[PciWish, ...]:
    """Return the devices that the guest asks for, in order."""
    found: list[PciWish] = []
    for group in checked.vectors.get("PCI", ()):
        wish = _wish(checked, group)
        if wish.address and wish.address in {each.address for each in found}:
            name = "ADDRESS" if group.text("ADDRESS") else "SHORT_ADDRESS"
            text = f"The device at {wish.address} is asked for already; a guest has it once."
            checked.findings.mistake(group.place(name), f"PCI/{name}", text)
        found.append(wish)
    return tuple(found)


def _wish(checked: Checked, group: Group) -> PciWish:
    short, address = group.text("SHORT_ADDRESS").lower(), group.text("ADDRESS").lower()
    # OpenNebula writes a colon before the function.
    address = address[:-2] + "." + address[-1] if address else address
    wanted = PciWish(
        address=address or (_DOMAIN + short if short else ""),
        vendor=_digits(group, "VENDOR"),
        device=_digits(group, "DEVICE"),
        device_class=_digits(group, "CLASS"),
    )
    if short and address and not address.endswith(f":{short}"):
        checked.findings.mistake(group.place("SHORT_ADDRESS"), "PCI/SHORT_ADDRESS", f"{short} is not at {address}.")
    if wanted == PciWish() and not group.is_damaged:
        text = "PCI says nothing of the device; give VENDOR, DEVICE, CLASS or ADDRESS."
        checked.findings.mistake((group.line, group.column), "PCI", text)
    return wanted


def _digits(group: Group, name: str) -> str:
    return group.text(name).lower().removeprefix("0x")


def _check_even(checked: Checked, node: Group, **share: int) -> None:
    for name, even in share.items():
        given = node.integer(name, even)
        if given != even:
            text = f"All nodes of a guest are alike: {name} would be {even}, not {given}."
            checked.findings.mistake(node.place(name), f"NUMA_NODE/{name}", text)


def _check_stays(checked: Checked, vcpus: int, memory_mib: int) -> None:
    """Refuse that a guest shall grow out of what it was given."""
    for name, least in (("VCPU_MAX", vcpus), ("MEMORY_MAX", memory_mib)):
        if checked.top.integer(name) > least:
            text = f"A guest that is tied to nodes of its host keeps its size while it runs; leave {name} out."
            checked.findings.mistake(checked.top.place(name), name, text)
