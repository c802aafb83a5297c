"""Writes what a guest is told at boot: OpenNebula's context.sh and cloud-init's NoCloud files, as text.

Pure: it makes no file and reads none.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.vocabulary import Nic, Vm

#: What a shell takes for the name of a variable.
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
#: What can be a host's name, domain included.
HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\Z")
HOST_NAME_LIMIT = 253
#: Run once by cloud-init, after everything else of the first boot.
START_SCRIPT_PATH = "/var/lib/cloud/scripts/per-instance/innkeeper-start-script"

#: Length of the prefix of every IPv6 address: ranges hand out the network's half (RFC 4291, 2.5.1).
IP6_PREFIX_BITS = 64

#: What each card tells: ``{suffix of ETHx_: how}``; an empty answer leaves the variable out.
NIC_VARIABLES: dict[str, Callable[[Nic], str]] = {
    "MAC": lambda nic: nic.mac,
    "IP": lambda nic: nic.ip,
    "MASK": lambda nic: nic.netmask,
    "NETWORK": lambda nic: _network_address(nic),  # noqa: PLW0108 - it is defined further down
    "GATEWAY": lambda nic: nic.gateway,
    "DNS": lambda nic: nic.dns,
    "IP6": lambda nic: nic.ip6_global,
    "IP6_ULA": lambda nic: nic.ip6_ula,
    "IP6_PREFIX_LENGTH": lambda nic: str(IP6_PREFIX_BITS) if nic.ip6_global or nic.ip6_ula else "",
    "VLAN_ID": lambda nic: "" if nic.vlan_id is None else str(nic.vlan_id),
}


def context_files(vm: Vm) -> dict[str, bytes]:
    """Return the files of a VM's context disk: ``{file name: content}``.

    Raises:
        DriverError: ``refused``: a variable's name or value cannot be told to a guest.
    """
    files = {
        "context.sh": context_sh(variables(vm)),
        "meta-data": _json({"instance-id": vm.uuid, "local-hostname": _host_name(vm) or f"vm-{vm.vm_id}"}),
        "user-data": _user_data(vm),
    }
    if vm.nics and _wants_network(vm):
        files["network-config"] = _json({"version": 2, "ethernets": dict(map(_ethernet, vm.nics))})
    return files


def variables(vm: Vm) -> dict[str, str]:
    """Return the variables of context.sh, sorted; what the VM's own context says is stronger than what we find out."""
    found = {"VMID": str(vm.vm_id), "SET_HOSTNAME": _host_name(vm)}
    if _wants_network(vm):
        found.update(_nic_variables(vm))
    return dict(sorted({**{name: value for name, value in found.items() if value}, **vm.context}.items()))


def context_sh(said: Mapping[str, str]) -> bytes:
    """Return a shell script that sets the variables to exactly these values.

    Raises:
        DriverError: ``refused``: a name is not one of a variable, or a value has no bytes in UTF-8 or holds NUL.
    """
    lines = ["# Context variables of this VM, made by Innkeeper."]
    for name, value in said.items():
        if not VARIABLE.match(name):
            raise DriverError(f"the context variable {name!r} has a name that no shell takes", code="refused")
        if "\0" in value:
            raise DriverError(f"the context variable {name} holds a NUL character", code="refused")
        lines.append(f"{name}={_quoted(value)}")
    return _encoded("\n".join(lines) + "\n")


def _quoted(value: str) -> str:
    # Inside single quotes a shell leaves everything as it is but the single quote itself.
    return "'" + value.replace("'", "'\\''") + "'"


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DriverError(f"a context variable holds what is not Unicode text: {error}", code="refused") from error


def _json(value: dict[str, Any]) -> bytes:
    # Every JSON text is YAML too, and quotes by rules that leave nothing open.
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def _wants_network(vm: Vm) -> bool:
    return vm.context.get("NETWORK", "YES").upper() != "NO"


def _nic_variables(vm: Vm) -> Iterator[tuple[str, str]]:
    for nic in vm.nics:
        for suffix, tell in NIC_VARIABLES.items():
            yield f"ETH{nic.nic_id}_{suffix}", tell(nic)


def _interface(nic: Nic) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface | None:
    if not nic.ip:
        return None
    try:
        return ipaddress.ip_interface(f"{nic.ip}/{nic.netmask}" if nic.netmask else nic.ip)
    except ValueError as error:
        raise DriverError(f"network card {nic.nic_id} has an address that is none: {error}", code="refused") from error


def _network_address(nic: Nic) -> str:
    interface = _interface(nic)
    return str(interface.network.network_address) if interface and nic.netmask else ""


def _ethernet(nic: Nic) -> tuple[str, dict[str, Any]]:
    card: dict[str, Any] = {"match": {"macaddress": nic.mac.lower()}}
    interface = _interface(nic)
    six = [f"{address}/{IP6_PREFIX_BITS}" for address in (nic.ip6_global, nic.ip6_ula) if address]
    if interface is None and not six:
        return f"eth{nic.nic_id}", {**card, "dhcp4": True}
    card["addresses"] = ([interface.with_prefixlen] if interface else []) + six
    if nic.gateway and interface:
        everything = "0.0.0.0/0" if interface.version == 4 else "::/0"  # noqa: PLR2004 - the version of IP
        card["routes"] = [{"to": everything, "via": nic.gateway}]
    if nic.dns:
        card["nameservers"] = {"addresses": nic.dns.replace(",", " ").split()}
    return f"eth{nic.nic_id}", card


def _host_name(vm: Vm) -> str:
    wanted = vm.context.get("SET_HOSTNAME") or vm.context.get("HOSTNAME") or vm.name
    return wanted if HOST_NAME.match(wanted) and len(wanted) <= HOST_NAME_LIMIT else ""


def _user_data(vm: Vm) -> bytes:
    given = vm.context.get("USER_DATA") or vm.context.get("USERDATA")
    if given is None:
        return b"#cloud-config\n" + _json(_cloud_config(vm))
    encoding = vm.context.get("USER_DATA_ENCODING") or vm.context.get("USERDATA_ENCODING") or ""
    return _base64("USER_DATA", given) if encoding.lower() == "base64" else _encoded(given)


def _cloud_config(vm: Vm) -> dict[str, Any]:
    config: dict[str, Any] = {"hostname": _host_name(vm) or f"vm-{vm.vm_id}"}
    if user := vm.context.get("USERNAME"):
        config["user"] = user
    if keys := vm.context.get("SSH_PUBLIC_KEY", "").splitlines():
        config["ssh_authorized_keys"] = [key for key in keys if key.strip()]
    if password := vm.context.get("PASSWORD"):
        config.update(password=password, chpasswd={"expire": False}, ssh_pwauth=True)
    if script := _start_script(vm):
        config["write_files"] = [
            {
                "path": START_SCRIPT_PATH,
                "permissions": "0700",
                "encoding": "b64",
                "content": base64.b64encode(script).decode(),
            }
        ]
    return config


def _start_script(vm: Vm) -> bytes:
    if encoded := vm.context.get("START_SCRIPT_BASE64"):
        return _base64("START_SCRIPT_BASE64", encoded)
    return _encoded(vm.context.get("START_SCRIPT", ""))


def _base64(name: str, text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DriverError(f"the context variable {name} is not base64: {error}", code="refused") from error
