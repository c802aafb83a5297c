"""``inn network``: virtual networks and their addresses."""

import re
import sys
from pathlib import Path
from typing import Any

import click

from innkeeper_controller.cli import ownership, words
from innkeeper_controller.cli.commands import NounGroup, assignments, verb
from innkeeper_controller.cli.complete import CLUSTERS, NETWORKS
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Column, Json, fields, table

NETWORK = click.argument("name_or_id", metavar="NETWORK", shell_complete=NETWORKS)


@click.group("network", cls=NounGroup)
def network() -> None:
    """Virtual networks and their addresses."""


COLUMNS = (
    Column("ID", lambda row: row["network_id"], right=True),
    Column("NAME", lambda row: row["name"]),
    Column("ADDRESSES", lambda row: ", ".join(_range(each) for each in row.get("ranges", ()))),
    Column("TAKEN", lambda row: f"{row.get('taken', 0)} of {row.get('size', 0)}", right=True),
    Column("BRIDGE", lambda row: row.get("bridge") or "user mode"),
    Column("VLAN", lambda row: row.get("vlan_id"), right=True),
    Column("GATEWAY", lambda row: row.get("gateway"), wide=True),
    Column("DNS", lambda row: row.get("dns"), wide=True),
    Column("OWNER", lambda row: row.get("owner"), wide=True),
)


def _who(row: Json) -> str:
    if row.get("vm_id") is not None:
        return f"VM {row['vm_id']}"
    return f"network {row['reserved_by']}" if row.get("reserved_by") is not None else "held"


LEASE_COLUMNS = (
    Column("IP", lambda row: row.get("ip")),
    Column("MAC", lambda row: row.get("mac")),
    Column("WHO", _who),
    Column("NIC", lambda row: row.get("nic_id"), right=True),
    Column("IPV6", lambda row: row.get("ip6_global") or row.get("ip6_ula"), wide=True),
    Column("RANGE", lambda row: row.get("ar_id", 0), right=True, wide=True),
)
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")


def _range(each: Json) -> str:
    """Return a range's first and last address."""
    from ipaddress import IPv4Address

    if each.get("ip"):
        first = IPv4Address(each["ip"])
        return f"{first} - {first + each['size'] - 1}"
    return f"{words.count(each['size'], 'address')} from {each.get('mac')}"


class Range(click.ParamType):  # type: ignore[type-arg]  # older click has none
    """A range of addresses: ``10.0.0.10/50`` begins there and has 50; ``MAC/50`` has no IPs; ``IP/50/MAC`` has both."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, object]:  # noqa: ANN401 - click's own
        """Return the range as the API has it."""
        if isinstance(value, dict):
            return value
        first, _, rest = str(value).partition("/")
        size, _, mac = rest.partition("/")
        if not size.isdecimal() or (mac and not _MAC.fullmatch(mac)):
            self.fail(f"{value!r} is not like 10.0.0.10/50 (first address / how many)", param, ctx)
        if _MAC.fullmatch(first):
            return {"mac": first, "size": int(size)}
        return {"ip": first, "size": int(size)} | ({"mac": mac} if mac else {})


@verb(
    "add",
    "inn network add lan --range 10.0.0.10/50 --bridge br0 --gateway 10.0.0.1 --netmask 255.255.255.0",
    "inn network add dmz --range 192.168.7.2/20 --bridge br0 --vlan 70 --physical-device eth1",
    "inn network add examples/lan.one",
    of=network,
)
@click.argument("name_or_file", metavar="NAME|FILE", type=click.Path(allow_dash=True))
@click.option(
    "--range", "ranges", type=Range(), multiple=True, metavar="IP/COUNT", help="First address / how many, not a prefix."
)
@click.option("--bridge", help="Bridge on the hosts; none for user-mode networking.")
@click.option("--vlan", "vlan_id", type=int, help="VLAN id.")
@click.option("--physical-device", help="Device that carries the VLAN.")
@click.option("--gateway", help="Router of the guests.")
@click.option("--netmask", help="Netmask of the guests.")
@click.option("--dns", help="Name servers of the guests.")
@click.option("--cluster", help="Cluster that it belongs to; else default.", shell_complete=CLUSTERS)
def add(inn: Invocation, name_or_file: str, ranges: tuple[dict[str, object], ...], **params: Any) -> None:  # noqa: ANN401 - click's options
    """Make a virtual network from a template file, or from options.

    With --range the argument is the name of the network, without it a template file (- for standard input).
    """
    if ranges:
        answer = inn.call("network.add", name=name_or_file, ranges=list(ranges), **params)
    else:
        answer = inn.call("network.add", template=_template(inn, name_or_file), **params)
    inn.show(answer, lambda: _added_text(answer))
    if inn.for_people and answer.get("gateway") and not answer.get("netmask"):
        inn.note(
            f"Guests are told no netmask, so that some do not find their router {answer['gateway']}; see --netmask."
        )


def _added_text(answer: Json) -> str:
    """Say how many addresses there are and which: 10.0.0.0/24 is often meant as a prefix, and is not one."""
    which = f": {words.joined(_range(each) for each in answer['ranges'])}" if answer.get("ranges") else ""
    return f"Network {answer['network_id']} {answer['name']} has {words.count(answer['size'], 'address')}{which}."


def _template(inn: Invocation, name: str) -> str:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
    except FileNotFoundError as error:
        raise click.UsageError(f"There is no file {name}. For a network of that name give --range IP/COUNT.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{name} cannot be read: {error}") from error
    inn.template = (name, text)
    return text


@verb("list", "inn network list", of=network)
def list_(inn: Invocation) -> None:
    """List networks and how full they are."""
    answer = inn.call("network.list")
    inn.show(answer, lambda: table(answer, COLUMNS, wide=inn.wide))
    if inn.for_people and not answer:
        inn.note("There is no network yet; `inn network add NAME --range IP/COUNT` makes one.")


@verb("show", "inn network show lan", of=network)
@NETWORK
def show(inn: Invocation, name_or_id: str) -> None:
    """Show one network."""
    answer = inn.call("network.show", network=name_or_id)
    inn.show(answer, lambda: _show_text(answer))


def _show_text(answer: Json) -> str:
    return fields(
        [
            ("Network", f"{answer['network_id']} {answer['name']}"),
            ("Owner", answer.get("owner")),
            ("Reserved of", answer.get("parent", "")),
            ("Ranges", "\n".join(f"{each.get('ar_id', 0)}: {_range(each)}" for each in answer.get("ranges", ()))),
            ("Taken", f"{answer.get('taken', 0)} of {words.count(answer.get('size', 0), 'address')}"),
            ("Bridge", answer.get("bridge") or "none: user-mode networking"),
            ("VLAN", answer.get("vlan_id")),
            ("Clusters", words.joined(answer.get("clusters", ()))),
            ("Gateway", answer.get("gateway", "")),
            ("Netmask", answer.get("netmask", "")),
            ("DNS", answer.get("dns", "")),
        ]
    )


@verb(
    "reserve",
    "inn network reserve lan mine --size 5",
    "inn network reserve lan mine --size 2 --first 10.0.0.20",
    "inn network reserve lan --grow mine --size 3",
    of=network,
)
@NETWORK
@click.argument("name", required=False)
@click.option("--size", type=int, required=True, help="How many addresses, in a row.")
@click.option("--grow", metavar="NETWORK", help="The reservation that is to have them, in place of a new one.")
@click.option("--range", "ar_id", type=int, metavar="NUMBER", help="The range to take them of.")
@click.option("--first", metavar="IP|MAC", help="The first of them; else the lowest that are free.")
def reserve(
    inn: Invocation,
    name_or_id: str,
    name: str | None,
    *,
    size: int,
    grow: str | None,
    ar_id: int | None,
    first: str | None,
) -> None:
    """Set addresses of a network aside as a network of your own."""
    if bool(name) == bool(grow):
        raise click.UsageError("Name the new network, or the one that is to grow with --grow.")
    word = "MAC" if first and _MAC.fullmatch(first) else "IP"
    asked = {"NAME": name, "NETWORK_ID": grow, "SIZE": size, "AR_ID": ar_id, word: first}
    template = "".join(f'{key} = "{value}"\n' for key, value in asked.items() if value is not None)
    answer = inn.call("network.reserve", network=name_or_id, template=template)
    inn.show(answer, lambda: _added_text(answer))


@verb("delete", "inn network delete lan", of=network)
@NETWORK
def delete(inn: Invocation, name_or_id: str) -> None:
    """Delete a network that no VM has an address of."""
    answer = inn.call("network.delete", network=name_or_id)
    inn.show(answer, lambda: f"Network {name_or_id} is deleted.")


@verb("hold", "inn network hold lan 10.0.0.20", of=network)
@NETWORK
@click.argument("address", metavar="IP|MAC")
def hold(inn: Invocation, name_or_id: str, address: str) -> None:
    """Keep an address from everybody."""
    answer = inn.call("network.hold", network=name_or_id, address=address)
    inn.show(answer, lambda: f"{_lease(answer)} of network {name_or_id} is held.")


@verb("release", "inn network release lan 10.0.0.20", of=network)
@NETWORK
@click.argument("address", metavar="IP|MAC")
def release(inn: Invocation, name_or_id: str, address: str) -> None:
    """Give a held address free again."""
    answer = inn.call("network.release", network=name_or_id, address=address)
    inn.show(answer, lambda: f"{_lease(answer)} of network {name_or_id} is free.")


def _lease(answer: Json) -> str:
    return " ".join(part for part in (answer.get("ip"), answer.get("mac")) if part)


@verb("leases", "inn network leases lan", of=network)
@NETWORK
def leases(inn: Invocation, name_or_id: str) -> None:
    """List the addresses that are leased or held, and by whom."""
    answer = inn.call("network.leases", network=name_or_id)
    inn.show(answer, lambda: table(answer, LEASE_COLUMNS, wide=inn.wide))
    if inn.for_people and not answer:
        inn.note("All addresses are free.")


@click.group("range", cls=NounGroup)
def ranges() -> None:
    """Ranges of addresses of a network."""


network.add_command(ranges)


def _ranges_text(answer: Json) -> str:
    listed = "\n".join(f"  {each.get('ar_id', 0)}: {_range(each)}" for each in answer.get("ranges", ()))
    return f"Network {answer['name']} has {words.count(answer['size'], 'address')}:\n{listed or '  none'}"


_NOTES = click.option("--set", "notes", multiple=True, metavar="KEY=VALUE", help="An attribute; repeatable.")


@verb(
    "add",
    "inn network range add lan 10.0.1.10/50",
    "inn network range add lan 10.0.2.10/50 --set TYPE=IP4_6 --set GLOBAL_PREFIX=2001:db8::",
    of=ranges,
)
@NETWORK
@click.argument("wanted", metavar="IP/COUNT", type=Range())
@_NOTES
def add_range(inn: Invocation, name_or_id: str, wanted: dict[str, object], notes: tuple[str, ...]) -> None:
    """Give a network more addresses."""
    keys = {key.upper(): value for key, value in wanted.items()} | assignments(notes, "--set")
    keys.setdefault("TYPE", "IP4" if "IP" in keys else "ETHER")
    answer = inn.call("network.add_range", network=name_or_id, template=_range_template(keys))
    inn.show(answer, lambda: _ranges_text(answer))


def _range_template(keys: dict[str, object]) -> str:
    return "AR = [ " + ", ".join(f'{key} = "{value}"' for key, value in keys.items()) + " ]\n"


@verb(
    "update",
    "inn network range update lan 1 --size 80",
    "inn network range update lan 1 --set NOTE=printers",
    of=ranges,
)
@NETWORK
@click.argument("ar_id", metavar="RANGE", type=int)
@click.option("--size", type=int, help="How many addresses it is to have.")
@_NOTES
def update_range(inn: Invocation, name_or_id: str, ar_id: int, *, size: int | None, notes: tuple[str, ...]) -> None:
    """Change the size or the attributes of a range."""
    keys: dict[str, object] = {"AR_ID": ar_id}
    if size is not None:
        keys["SIZE"] = size
    answer = inn.call(
        "network.update_range", network=name_or_id, template=_range_template(keys | assignments(notes, "--set"))
    )
    inn.show(answer, lambda: _ranges_text(answer))


@verb("delete", "inn network range delete lan 1", "inn network range delete lan 1 --force", of=ranges)
@NETWORK
@click.argument("ar_id", metavar="RANGE", type=int)
@click.option("--force", is_flag=True, help="Held addresses go with it; those of VMs and reservations do not.")
def delete_range(inn: Invocation, name_or_id: str, ar_id: int, *, force: bool) -> None:
    """Take a range away that no VM has an address of."""
    answer = inn.call("network.delete_range", network=name_or_id, ar_id=ar_id, force=force or None)
    inn.show(answer, lambda: _ranges_text(answer))


@verb("free", "inn network range free mine 0", of=ranges)
@NETWORK
@click.argument("ar_id", metavar="RANGE", type=int)
def free_range(inn: Invocation, name_or_id: str, ar_id: int) -> None:
    """Give a range of a reservation back."""
    answer = inn.call("network.free_range", network=name_or_id, ar_id=ar_id)
    inn.show(answer, lambda: _ranges_text(answer))


ownership.add_to(network, "network")
