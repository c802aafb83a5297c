"""What the context of a VM may refer to beside the VM: its owner, networks and images, looked up where it does.

It lets nobody read what is not theirs to use.
"""

import base64
from collections.abc import Mapping

from innkeeper_controller import access
from innkeeper_controller.access import Right
from innkeeper_controller.requests import find
from innkeeper_controller.templates import parse, xml_syntax
from innkeeper_controller.templates.context import Surroundings
from innkeeper_controller.turn import Turn
from innkeeper_controller.units import mib_for


def of_vm(turn: Turn, *, owner: str, group: str, template: str) -> Surroundings:
    """Return what there is around a VM.

    Args:
        turn: The turn of who asks, who has to have the right to use each network and image.
        owner: The VM's user.
        group: The VM's group.
        template: As the VM was asked for; known to parse.
    """
    user, its_group = turn.cluster.users.get(owner), turn.cluster.groups.get(group)
    return Surroundings(
        variables={
            "UNAME": owner,
            "UID": str(user.user_id) if user else "",
            "GNAME": group,
            "GID": str(its_group.group_id) if its_group else "",
        },
        user={**user.attributes, "NAME": user.name, "ID": str(user.user_id)} if user else {},
        template=lambda: base64.b64encode(xml_syntax.render(parse(template)).encode()).decode(),
        network=lambda wanted: _network(turn, wanted),
        image=lambda wanted: _image(turn, wanted),
    )


def _network(turn: Turn, wanted: str) -> Mapping[str, str]:
    """Return the attributes of a network.

    Raises:
        RefusalError: ``not_found``, ``forbidden`` or ``locked``.
    """
    network = find.network(turn.cluster, wanted)
    access.authorize(turn, Right.USE, network)
    return {
        **network.attributes,
        "NAME": network.name,
        "ID": str(network.network_id),
        "VN_MAD": network.vn_mad,
        "BRIDGE": network.bridge,
        "PHYDEV": network.physical_device,
        "VLAN_ID": "" if network.vlan_id is None else str(network.vlan_id),
        "GATEWAY": network.gateway,
        "NETWORK_MASK": network.netmask,
        "DNS": network.dns,
    }


def _image(turn: Turn, wanted: str) -> Mapping[str, str]:
    """Return the attributes of an image.

    Raises:
        RefusalError: ``not_found``, ``forbidden`` or ``locked``.
    """
    image = find.image(turn.cluster, wanted)
    access.authorize(turn, Right.USE, image)
    return {
        **image.attributes,
        "NAME": image.name,
        "ID": str(image.image_id),
        "TYPE": image.type.upper(),
        "SIZE": str(mib_for(image.virtual_size_bytes)),
        "FORMAT": image.format.value,
        "DATASTORE": image.datastore,
        "PATH": image.source,
        "SOURCE": image.source,
        "SHA256": image.sha256,
        "PERSISTENT": "YES" if image.persistent else "NO",
    }
