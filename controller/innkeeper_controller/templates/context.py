r"""Variables of the context disk: ``$NAME``, ``$NIC[IP, NETWORK="lan"]`` and the like, replaced when a VM is made.

A ``$`` that begins none of these stays as it is, so shell scripts survive; ``\$NAME`` is a literal ``$NAME``.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping

from innkeeper_controller.templates.errors import close_to
from innkeeper_plugins.vocabulary import Nic, Vm

_REFERENCE = re.compile(
    r"""
    (?P<escape>\\)? \$ (?:
        (?P<vector>NIC|NETWORK)\[ \s*(?P<key>[A-Za-z0-9_]+)\s*
            (?: ,\s*(?P<by>[A-Za-z0-9_]+)\s*=\s*(?: "(?P<quoted>[^"]*)" | (?P<bare>[^\s\],"]+) )\s* )? \]
        | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    )
    """,
    re.VERBOSE,
)
#: What ``$NIC[...]`` gives of a NIC; ``$NETWORK[...]`` is the same by another name.
_NIC_KEYS: dict[str, Callable[[Nic], str]] = {
    "IP": lambda nic: nic.ip,
    "MAC": lambda nic: nic.mac,
    "NETWORK": lambda nic: nic.network,
    "NAME": lambda nic: nic.network,
    "NIC_ID": lambda nic: str(nic.nic_id),
    "BRIDGE": lambda nic: nic.bridge,
    "VLAN_ID": lambda nic: "" if nic.vlan_id is None else str(nic.vlan_id),
    "NETWORK_MASK": lambda nic: nic.netmask,
    "MASK": lambda nic: nic.netmask,
    "GATEWAY": lambda nic: nic.gateway,
    "DNS": lambda nic: nic.dns,
}
#: What chooses a NIC.
_CHOOSERS = ("NETWORK", "NAME", "NIC_ID")
#: OpenNebula replaces these too.
_UNAVAILABLE = re.compile(r"(?<!\\)(\$(?:USER|IMAGE|DISK|TEMPLATE))\[")
_YES = frozenset({"YES", "TRUE", "1", "ON"})


def expand(context: Mapping[str, str], vm: Vm, attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the context variables with all references replaced, and the NICs' addresses where they are asked for.

    With ``NETWORK = YES`` each NIC n adds ``ETHn_MAC``, ``ETHn_IP``, ``ETHn_MASK``, ``ETHn_NETWORK``,
    ``ETHn_GATEWAY`` and ``ETHn_DNS``, as far as they are known and not given in the template.

    Args:
        context: As the template has it.
        vm: With its NICs resolved.
        attributes: The author's own attributes, which ``$NAME`` finds too.
    """
    variables = {**attributes, "NAME": vm.name, "VMID": str(vm.vm_id), "VM_ID": str(vm.vm_id), "UUID": vm.uuid,
                 "CPU": f"{vm.cpu_cores:g}", "VCPU": str(vm.vcpus), "MEMORY": str(vm.memory_mib)}  # fmt: skip
    expanded = {name: _expanded(value, vm, variables) for name, value in context.items()}
    if context.get("NETWORK", "").strip().upper() in _YES:
        return {**_addresses(vm), **expanded}
    return expanded


def reference_mistakes(value: str) -> tuple[tuple[str, str], ...]:
    """Return (what is wrong, what was probably meant) for each reference in a value that can never be replaced."""
    found = [(f"{each[1]}[...] cannot be replaced here; write the value.", "") for each in _UNAVAILABLE.finditer(value)]
    for match in _REFERENCE.finditer(value):
        if not match["vector"] or match["escape"]:
            continue
        vector, key, by = match["vector"], match["key"].upper(), (match["by"] or "NETWORK").upper()
        if key not in _NIC_KEYS:
            found.append((f"${vector} has no {key}; it has {', '.join(_NIC_KEYS)}.", close_to(key, _NIC_KEYS)))
        if by not in _CHOOSERS:
            found.append((f"${vector} is chosen by {', '.join(_CHOOSERS)}, not by {by}.", close_to(by, _CHOOSERS)))
    return tuple(found)


def _expanded(value: str, vm: Vm, variables: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        whole = match[0]
        found = _nic_value(match, vm) if match["vector"] else variables.get(match["name"].upper())
        if found is None:
            return whole
        return whole[1:] if match["escape"] else found

    return _REFERENCE.sub(replacement, value)


def _nic_value(match: re.Match[str], vm: Vm) -> str | None:
    """Return what a reference to a NIC gives; empty where the VM has no such NIC."""
    get = _NIC_KEYS.get(match["key"].upper())
    if get is None:
        return None
    nics = vm.nics
    if match["by"]:
        choose = _NIC_KEYS.get(match["by"].upper())
        wanted = match["bare"] if match["quoted"] is None else match["quoted"]
        nics = tuple(nic for nic in nics if choose and choose(nic) == wanted)
    return get(nics[0]) if nics else ""


def _addresses(vm: Vm) -> dict[str, str]:
    found = {}
    for nic in vm.nics:
        values = {
            "MAC": nic.mac,
            "IP": nic.ip,
            "MASK": nic.netmask,
            "NETWORK": _network_address(nic),
            "GATEWAY": nic.gateway,
            "DNS": nic.dns,
        }
        found.update({f"ETH{nic.nic_id}_{name}": value for name, value in values.items() if value})
    return found


def _network_address(nic: Nic) -> str:
    try:
        return str(ipaddress.IPv4Network(f"{nic.ip}/{nic.netmask}", strict=False).network_address)
    except ValueError:
        return ""
