"""What the pure parts of the controller have to know of its configuration."""

import uuid

from innkeeper_controller.scheduling.options import Options
from innkeeper_plugins.vocabulary import Holder, HostId, Value

#: The controller's own number among those who send and hold: hosts are counted from 1.
CONTROLLER = HostId(0)


class Settings(Value):
    """Decisions of the operator, and the controller's own identity."""

    #: RFC 4122 text, made at first start; VM UUIDs derive from it.
    cluster_id: str
    #: Where agents dial, as it stands in join tokens.
    agents_endpoint: str = "tcp://127.0.0.1:2634"
    #: Z85 text of the controller's CURVE public key.
    public_key: str = ""
    #: The controller's bulk socket, from which agents fetch uploads.
    holder: Holder | None = None
    #: ``match-making``, ``none``, ``program``, or the name of a plugin's scheduler.
    scheduler: str = "match-making"
    #: One of ``scheduling.rules``: ``packing``, ``striping``, ``custom``, a plugin's...
    policy: str = "packing"
    scheduling: Options = Options()
    heartbeat_interval_s: float = 5.0
    #: A host that was silent for longer is lost, and its VMs UNKNOWN.
    unknown_after_s: float = 60.0
    join_token_lifetime_s: float = 3600.0
    #: How long a guest has to react to its power button.
    shutdown_grace_s: int = 120
    #: A leg that a host has not begun by then is refused by it.
    leg_expires_in_s: float = 600.0
    #: Limit of one bulk request.
    max_vms_per_request: int = 10_000
    max_pending: int = 100_000
    #: Keep a hash of the SHA-1 of each new password too, which is what clients of OpenNebula 1.4 send.
    sha1_passwords: bool = False
    #: What only administrators may say in templates of VMs, images and networks; ``usual`` stands for
    #: what ``templates.restricted`` has.
    restricted_vm: tuple[str, ...] = ("usual",)
    restricted_image: tuple[str, ...] = ("usual",)
    restricted_network: tuple[str, ...] = ("usual",)

    def uuid_of(self, vm_id: int) -> str:
        """Return the UUID of the VM of that number, which no VM of another cluster has."""
        return str(uuid.uuid5(uuid.UUID(self.cluster_id), f"vm:{vm_id}"))
