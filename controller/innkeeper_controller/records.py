"""What the controller remembers, as immutable records: the whole state is records of these kinds.

A record changes only by being replaced through ``Turn.put``; nothing here acts.
Adding a kind: a class here and a row in ``KINDS``; the store makes its table from that row.
"""

from enum import StrEnum

from innkeeper_plugins.steps import Step
from innkeeper_plugins.vocabulary import (
    Advertisement,
    Capacity,
    Digest,
    DiskFormat,
    HostId,
    ImageId,
    OperationId,
    SealedFile,
    Value,
    Vm,
    VmId,
    VmState,
)

#: A moment, seconds since the epoch.
Moment = float


class User(Value):
    """Somebody who may ask; the secret is kept only as a digest."""

    name: str
    #: Lower-case hexadecimal SHA-256 of the token.
    token_sha256: str
    #: ``admin`` may everything, ``user`` may use what there is and own VMs.
    role: str = "user"


class HostState(StrEnum):
    """Whether a host may be used."""

    #: A join token has been made and not been used yet.
    JOINING = "joining"
    ON = "on"
    #: The controller has not heard of the agent for longer than its heartbeats allow.
    LOST = "lost"
    #: A person switched it off for new VMs.
    DISABLED = "disabled"
    #: A person wants it empty: its VMs move away and none comes.
    DRAINING = "draining"


class Host(Value):
    """A node with an agent."""

    host_id: HostId
    name: str
    #: JOINING, ON, DISABLED or DRAINING: what people want. Whether the agent is there, ``connected`` says.
    state: HostState = HostState.JOINING
    connected: bool = False
    #: When the agent was last lost; None while it is there.
    lost_at_s: Moment | None = None
    #: Z85 text of the host's CURVE public key; empty until it joined.
    public_key: str = ""
    #: SHA-256 of the one-use join token; empty once used.
    join_token_sha256: str = ""
    join_expires_at_s: Moment = 0.0
    advertisement: Advertisement = Advertisement(capacity=Capacity())
    labels: dict[str, str] = {}


class Datastore(Value):
    """Where images and disks live; each agent knows its own path for it."""

    name: str
    #: Transfer driver that looks after its disks.
    driver: str = "qcow2"


class ImageState(StrEnum):
    """Whether an image can be used."""

    #: Its import runs.
    LOCKED = "locked"
    READY = "ready"
    ERROR = "error"


class Image(Value):
    """A registered disk image; immutable by digest once READY."""

    image_id: ImageId
    name: str
    datastore: str
    owner: str
    state: ImageState = ImageState.LOCKED
    #: ``os``, ``datablock``, ``cdrom``, ``kernel`` or ``ramdisk``.
    type: str = "os"
    format: DiskFormat = DiskFormat.RAW
    sha256: Digest = Digest("")
    size_bytes: int = 0
    virtual_size_bytes: int = 0
    #: The host that keeps it for good; None while it is only an upload.
    home: HostId | None = None
    registered_at_s: Moment = 0.0
    #: The import, while it runs and after it failed.
    operation_id: OperationId | None = None
    error: str = ""


class AddressRange(Value):
    """Consecutive addresses of a virtual network."""

    #: How many addresses.
    size: int
    #: First IPv4 address, dotted; empty for a range of MACs only.
    ip: str = ""
    #: First MAC; by default 02:00 and the octets of the IP.
    mac: str = ""


class Network(Value):
    """A virtual network: ranges of MAC/IP addresses and how they reach the wire."""

    network_id: int
    name: str
    owner: str
    ranges: tuple[AddressRange, ...] = ()
    #: Bridge on the hosts; empty for user-mode networking.
    bridge: str = ""
    vlan_id: int | None = None
    physical_device: str = ""
    gateway: str = ""
    netmask: str = ""
    dns: str = ""


class AddressLease(Value):
    """One address of a network in a VM's hands, or held back from all."""

    network_id: int
    #: Which address: the range's index and the offset in it.
    range_index: int
    offset: int
    mac: str
    ip: str
    #: None where a person holds the address.
    vm_id: VmId | None = None
    nic_id: int | None = None

    @property
    def lease_id(self) -> str:
        """The record's key: network, range and offset."""
        return f"{self.network_id}.{self.range_index}.{self.offset}"


class OperationKind(StrEnum):
    """What a request makes agents do."""

    DEPLOY = "deploy"
    SUSPEND = "suspend"
    RESUME = "resume"
    STOP = "stop"
    POWEROFF = "poweroff"
    UNDEPLOY = "undeploy"
    REBOOT = "reboot"
    RESET = "reset"
    MIGRATE = "migrate"
    MIGRATE_LIVE = "migrate_live"
    SHUTDOWN = "shutdown"
    TERMINATE = "terminate"
    IMPORT_IMAGE = "import_image"
    DELETE_IMAGE = "delete_image"


class OperationStatus(StrEnum):
    """How far an operation is."""

    RUNNING = "running"
    #: A leg failed or was cancelled; earlier legs are being taken back.
    UNDOING = "undoing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Leg(Value):
    """Consecutive steps of a plan on one host."""

    host_id: HostId
    steps: tuple[Step, ...]


class Plan(Value):
    """What the agents are asked, leg after leg."""

    legs: tuple[Leg, ...]


class OperationError(Value):
    """Why an operation failed, with the tool's own words."""

    code: str
    #: One sentence that says what happened and what to do next.
    message: str
    host: str = ""
    step_id: int | None = None
    #: ``qcow2 clone``: the driver and the verb.
    step: str = ""
    argv: tuple[str, ...] = ()
    exit_status: int | None = None
    stderr: str = ""


class Operation(Value):
    """One request being carried out on a VM or an image."""

    operation_id: OperationId
    kind: OperationKind
    #: ``vm:7`` or ``image:3``.
    subject: str
    #: State of the VM before the operation; empty for an image.
    origin: str
    plan: Plan
    #: The VM as the agents are told; None for an image.
    vm: Vm | None = None
    #: Where the VM is when the operation is done; None for nowhere.
    destination: HostId | None = None
    status: OperationStatus = OperationStatus.RUNNING
    #: Leg that runs now (or is being taken back).
    leg: int = 0
    #: Step that was last heard to run.
    step_id: int | None = None
    done_bytes: int = 0
    total_bytes: int = 0
    cancel: bool = False
    #: Who asked, and with which request.
    actor: str = ""
    request_id: str = ""
    started_at_s: Moment = 0.0
    ended_at_s: Moment | None = None
    error: OperationError | None = None


class VmRecord(Value):
    """A VM as the controller knows it."""

    vm_id: VmId
    name: str
    owner: str
    state: VmState
    spec: Vm
    #: As the user wrote it.
    template: str = ""
    requirements: str = ""
    rank: str = ""
    #: Attributes that we do not interpret (LABELS, DESCRIPTION, HAIZEA...), verbatim.
    attributes: dict[str, str] = {}
    #: Where it is, or where it goes on its first deployment; None while it has nothing anywhere.
    host_id: HostId | None = None
    #: Where it is moving to; its capacity is taken there as well.
    destination_id: HostId | None = None
    #: The hypervisor's name for the guest.
    deploy_id: str = ""
    #: Operation in progress, if any.
    operation_id: OperationId | None = None
    #: The last one that ended.
    last_operation_id: OperationId | None = None
    #: Files at rest that another host can fetch (STOPPED, UNDEPLOYED), and the host that they lie on.
    sealed: tuple[SealedFile, ...] = ()
    sealed_on: HostId | None = None
    #: True while the guest's memory lies in a checkpoint.
    saved: bool = False
    submitted_at_s: Moment = 0.0
    #: When it came into its state.
    since_s: Moment = 0.0
    ended_at_s: Moment | None = None
    #: Why it is FAILED; empty otherwise.
    error: str = ""
    #: The person who asked for its end while an operation was running; it follows the operation.
    end_asked_by: str = ""


Record = User | Host | Datastore | Image | Network | AddressLease | Operation | VmRecord


class Kind(Value):
    """How records of a kind are stored and found."""

    #: Table and word for several of them.
    plural: str
    record: type[Record]
    #: Attribute that is the key.
    key: str
    #: Attributes that have a column of their own beside the body.
    columns: tuple[str, ...] = ()


#: ``{word for one: how it is kept}``; the order is that of loading.
KINDS: dict[str, Kind] = {
    "user": Kind(plural="users", record=User, key="name"),
    "host": Kind(plural="hosts", record=Host, key="host_id", columns=("name", "state")),
    "datastore": Kind(plural="datastores", record=Datastore, key="name"),
    "image": Kind(plural="images", record=Image, key="image_id", columns=("name", "state")),
    "network": Kind(plural="networks", record=Network, key="network_id", columns=("name",)),
    "lease": Kind(plural="leases", record=AddressLease, key="lease_id", columns=("network_id", "vm_id")),
    "operation": Kind(plural="operations", record=Operation, key="operation_id", columns=("subject", "status")),
    "vm": Kind(plural="vms", record=VmRecord, key="vm_id", columns=("name", "state", "owner", "host_id")),
}
KIND_OF: dict[type, str] = {kind.record: word for word, kind in KINDS.items()}


class Event(Value):
    """Something that happened; written in the same transaction as the changes that it made."""

    #: Noun and past participle: ``vm.submitted``, ``step.ended``.
    what: str
    #: ``vm:7``, ``host:2``, ``image:3``.
    subject: str
    at_s: Moment
    #: User, ``scheduler``, ``host:2`` or ``controller``.
    actor: str = ""
    request_id: str = ""
    operation_id: str = ""
    #: What a reader wants to know: old and new state, the step's outcome...
    detail: dict[str, object] = {}
    #: Where in the log; given by the store's order.
    seq: int = 0
