r"""Variables of the context disk: ``$NAME``, ``$NIC[IP, NETWORK="lan"]`` and the like, replaced when a VM is made.

A ``$`` that begins none of these stays as it is, so shell scripts survive; ``\$NAME`` is a literal ``$NAME``.
Nothing is looked up here: what a VM does not have itself comes from its ``Surroundings``.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from innkeeper_controller.templates.errors import close_to
from innkeeper_controller.templates.kept import attributes_of
from innkeeper_controller.units import MIB
from innkeeper_plugins.vocabulary import Disk, Nic, Vm

#: The choice of one of several, ``NETWORK = "lan"``; possessive and few, so that a long text costs linear time.
_CLAUSE = r',\s*+(?P<by{0}>[A-Za-z0-9_]++)\s*+=\s*+(?:"(?P<quoted{0}>[^"]*+)"|(?P<bare{0}>[^\s\],"]++))\s*+'
_REFERENCE = re.compile(
    r"(?P<escape>\\)? \$ (?:"
    r"(?P<vector>[A-Za-z_][A-Za-z0-9_]*+)\[\s*+(?P<key>[A-Za-z0-9_]++)\s*+"
    rf"(?:{_CLAUSE.format(1)})?(?:{_CLAUSE.format(2)})?\]"
    r"| (?P<name>[A-Za-z_][A-Za-z0-9_]*+) )",
    re.VERBOSE,
)
_Thing = TypeVar("_Thing")
_YES = frozenset({"YES", "TRUE", "1", "ON"})


def _network_address(nic: Nic) -> str:
    if not (nic.ip and nic.netmask):
        return ""
    try:
        return str(ipaddress.IPv4Network(f"{nic.ip}/{nic.netmask}", strict=False).network_address)
    except ValueError:
        return ""


#: What ``$NIC[...]`` gives of a NIC, and ``$NETWORK[...]`` of a NIC in that network.
_NIC_KEYS: dict[str, Callable[[Nic], str]] = {
    "IP": lambda nic: nic.ip,
    "IP6": lambda nic: nic.ip6_global,
    "IP6_GLOBAL": lambda nic: nic.ip6_global,
    "IP6_ULA": lambda nic: nic.ip6_ula,
    "MAC": lambda nic: nic.mac,
    "NETWORK": lambda nic: nic.network,
    "NETWORK_ID": lambda nic: str(nic.network_id),
    "NAME": lambda nic: nic.network,
    "NIC_ID": lambda nic: str(nic.nic_id),
    "BRIDGE": lambda nic: nic.bridge,
    "VLAN_ID": lambda nic: "" if nic.vlan_id is None else str(nic.vlan_id),
    "NETWORK_MASK": lambda nic: nic.netmask,
    "MASK": lambda nic: nic.netmask,
    "NETWORK_ADDRESS": _network_address,
    "GATEWAY": lambda nic: nic.gateway,
    "DNS": lambda nic: nic.dns,
}
_DISK_KEYS: dict[str, Callable[[Disk], str]] = {
    "TARGET": lambda disk: disk.target,
    "DISK_ID": lambda disk: str(disk.disk_id),
    "IMAGE": lambda disk: disk.image.name if disk.image else "",
    "IMAGE_ID": lambda disk: str(disk.image.image_id) if disk.image else "",
    "SIZE": lambda disk: str(disk.size_bytes // MIB),
    "DATASTORE": lambda disk: disk.datastore,
    "FORMAT": lambda disk: disk.format.value,
}
#: What chooses one; whose it is chooses nothing, since names are unique.
_CHOOSERS = {
    "NIC": ("NETWORK", "NAME", "NIC_ID", "NETWORK_ID"),
    "NETWORK": ("NETWORK", "NAME", "NETWORK_ID", "NIC_ID"),
    "IMAGE": ("IMAGE", "IMAGE_ID"),
    "DISK": ("DISK_ID", "IMAGE", "IMAGE_ID", "TARGET"),
}
_OWNERS = frozenset({f"{noun}_{what}" for noun in ("NETWORK", "IMAGE") for what in ("UID", "UNAME")})


def _nothing(_wanted: str) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a context may refer to beside its VM."""

    #: ``{UNAME: ann, UID: 2, GNAME: users, GID: 1}``
    variables: Mapping[str, str] = field(default_factory=dict)
    #: Attributes of the VM's owner.
    user: Mapping[str, str] = field(default_factory=dict)
    #: Returns what ``$TEMPLATE`` becomes.
    template: Callable[[], str] = str
    #: Return the attributes of a network and an image, by name or number; they refuse what is not there.
    network: Callable[[str], Mapping[str, str]] = _nothing
    image: Callable[[str], Mapping[str, str]] = _nothing


def expand(
    context: Mapping[str, str], vm: Vm, attributes: Mapping[str, str], around: Surroundings | None = None
) -> dict[str, str]:
    """Return the context variables with all references replaced, and the NICs' addresses where they are asked for.

    With ``NETWORK = YES`` each NIC n adds ``ETHn_MAC``, ``ETHn_IP``, ``ETHn_MASK``, ``ETHn_NETWORK``,
    ``ETHn_GATEWAY``, ``ETHn_DNS``, ``ETHn_IP6`` and ``ETHn_IP6_ULA``, as far as they are known and not given in the
    template.

    Args:
        context: As the template has it.
        vm: With its NICs resolved.
        attributes: The author's own attributes, which ``$NAME`` finds too, and ``$NAME[KEY]`` where it is a vector.
        around: What else there is; None for nothing.

    Raises:
        RefusalError: as the functions of ``around`` do.
    """
    sources = _Sources(vm, attributes, around or Surroundings())
    expanded = {name: _REFERENCE.sub(sources.replacement, value) for name, value in context.items()}
    if context.get("NETWORK", "").strip().upper() in _YES:
        return {**_addresses(vm), **expanded}
    return expanded


def reference_mistakes(value: str) -> tuple[tuple[str, str], ...]:
    """Return (what is wrong, what was probably meant) for each reference in a value that can never be replaced."""
    return tuple(
        mistake for match in _REFERENCE.finditer(value) if match["vector"] and not match["escape"]
        for mistake in _mistakes(match)
    )  # fmt: skip


def _mistakes(match: re.Match[str]) -> list[tuple[str, str]]:
    vector, key = match["vector"].upper(), match["key"].upper()
    choosers = _CHOOSERS.get(vector)
    if choosers is None:
        return []
    found = []
    known = {"NIC": tuple(_NIC_KEYS), "DISK": tuple(_DISK_KEYS)}.get(vector, ())
    meant = close_to(key, _NIC_KEYS) if vector == "NETWORK" and key not in _NIC_KEYS else ""
    if known and key not in known:
        found.append((f"${vector} has no {key}; it has {', '.join(known)}.", close_to(key, known)))
    elif meant:
        found.append((f"${vector} has no {key}.", meant))
    wrong = [by for by, _ in _clauses(match) if by not in choosers and by not in _OWNERS]
    found += [(f"${vector} is chosen by {', '.join(choosers)}, not by {by}.", close_to(by, choosers)) for by in wrong]
    if vector == "IMAGE" and not any(by in choosers for by, _ in _clauses(match)) and not wrong:
        found.append((f'$IMAGE needs to be told which one: $IMAGE[{key}, IMAGE="name"].', ""))
    return found


def _clauses(match: re.Match[str]) -> list[tuple[str, str]]:
    """Return (chooser in upper case, wanted value) of a reference."""
    return [
        (match[f"by{number}"].upper(), match[f"bare{number}"] or match[f"quoted{number}"] or "")
        for number in (1, 2)
        if match[f"by{number}"]
    ]


@dataclass(slots=True)
class _Sources:
    """All that references of one context find."""

    vm: Vm
    attributes: Mapping[str, str]
    around: Surroundings

    def replacement(self, match: re.Match[str]) -> str:
        """Return what stands in the place of a reference."""
        if match["escape"]:
            return match[0][self._is_ours(match) :]
        found = self._of_vector(match) if match["vector"] else self._variable(match["name"].upper())
        return match[0] if found is None else found

    def _is_ours(self, match: re.Match[str]) -> bool:
        if match["vector"]:
            return match["vector"].upper() in {*_CHOOSERS, "USER", *self.attributes}
        return match["name"].upper() == "TEMPLATE" or self._variable(match["name"].upper()) is not None

    def _variable(self, name: str) -> str | None:
        vm = self.vm
        own = {"NAME": vm.name, "VMID": str(vm.vm_id), "VM_ID": str(vm.vm_id), "UUID": vm.uuid,
               "CPU": f"{vm.cpu_cores:g}", "VCPU": str(vm.vcpus), "MEMORY": str(vm.memory_mib)}  # fmt: skip
        if name == "TEMPLATE":
            return self.around.template()
        return own.get(name, self.around.variables.get(name, self.attributes.get(name)))

    def _of_vector(self, match: re.Match[str]) -> str | None:
        """Return what a reference gives, empty where there is no such thing; None where it is none of ours."""
        vector, key = match["vector"].upper(), match["key"].upper()
        wanted = dict(each for each in reversed(_clauses(match)) if each[0] not in _OWNERS)
        match vector:
            case "NIC" | "NETWORK":
                return self._of_nic(vector, key, wanted)
            case "DISK":
                return _first(self.vm.disks, _DISK_KEYS, key, wanted)
            case "IMAGE":
                name = wanted.get("IMAGE_ID") or wanted.get("IMAGE")
                return self.around.image(name).get(key, "") if name else None
            case "USER":
                return self.around.user.get(key, "")
            case _:
                return self._of_own(vector, key)

    def _of_nic(self, vector: str, key: str, wanted: Mapping[str, str]) -> str | None:
        found = _first(self.vm.nics, _NIC_KEYS, key, wanted)
        network = wanted.get("NETWORK_ID") or wanted.get("NETWORK") or wanted.get("NAME")
        if found or vector == "NIC":
            return found
        if not network and self.vm.nics:
            network = self.vm.nics[0].network
        return self.around.network(network).get(key, "") if network else found

    def _of_own(self, vector: str, key: str) -> str | None:
        if vector not in self.attributes:
            return None
        for each in attributes_of({vector: self.attributes[vector]}):
            if isinstance(each.value, tuple):
                return next((pair.value for pair in each.value if pair.key == key), "")
        return None


def _first(
    things: tuple[_Thing, ...], keys: Mapping[str, Callable[[_Thing], str]], key: str, wanted: Mapping[str, str]
) -> str | None:
    """Return what a key gives of the first thing that is wanted; empty where there is none, None for no such key."""
    get = keys.get(key)
    if get is None:
        return None
    for by, value in wanted.items():
        choose = keys.get(by)
        things = tuple(thing for thing in things if choose and choose(thing) == value)
    return get(things[0]) if things else ""


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
            "IP6": nic.ip6_global,
            "IP6_ULA": nic.ip6_ula,
        }
        found.update({f"ETH{nic.nic_id}_{name}": value for name, value in values.items() if value})
    return found
