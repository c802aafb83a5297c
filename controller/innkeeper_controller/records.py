"""What the controller remembers, as immutable records: the whole state is records of these kinds.

A record changes only by being replaced through ``Turn.put``; nothing here acts.
Adding a kind: a class here and a row in ``KINDS``; the store makes its table from that row.
"""

from enum import StrEnum

import msgspec

from innkeeper_controller.inventory import Allowance
from innkeeper_controller.scheduling.wishes import Wishes
from innkeeper_plugins.steps import Step
from innkeeper_plugins.vocabulary import (
    Advertisement,
    Capacity,
    Digest,
    DiskFormat,
    HostId,
    ImageId,
    NumaCell,
    OperationId,
    SealedFile,
    Value,
    Vm,
    VmId,
    VmState,
)

#: A moment, seconds since the epoch.
Moment = float


#: The group whose members may everything, and the first user, who is in it.
ADMINS = "oneadmin"
ONEADMIN = "oneadmin"
#: The group that new users come into.
USERS = "users"
#: What the owner, the group and all others may do with a new thing, in the digits of chmod: 4 use, 2 manage, 1 admin.
OWNER_ONLY = 0o600


class Lock(Value):
    """Keeps a thing as it is until somebody unlocks it."""

    #: ``use``, ``manage``, ``admin`` or ``all``: the mildest right that is refused, and all above it.
    level: str
    owner: str
    at_s: Moment


class LoginToken(Value):
    """A long random secret that stands for its user's password; only its digest is kept."""

    #: Lower-case hexadecimal SHA-256 of the token.
    token_sha256: str
    #: None for no end.
    expires_at_s: Moment | None = None
    #: Who comes with it is in this group only; empty for all of the user's groups.
    group: str = ""


class User(Value):
    """Somebody who may ask."""

    name: str
    #: OpenNebula's number; never given twice.
    user_id: int = -1
    #: The primary group first.
    groups: tuple[str, ...] = (USERS,)
    enabled: bool = True
    #: As ``passwords.hashed`` makes it; empty where no password lets in.
    password: str = ""
    #: The same of the SHA-1 that clients of OpenNebula 1.4 send; empty unless an administrator switched that on.
    password_sha1: str = ""
    tokens: tuple[LoginToken, ...] = ()
    #: OpenNebula's name of how the user is known.
    auth_driver: str = "core"
    #: ``{resource: limit}``, see ``quotas``.
    limits: dict[str, float] = {}
    #: What people note of the user, verbatim.
    attributes: dict[str, str] = {}
    created_at_s: Moment = 0.0

    @property
    def is_admin(self) -> bool:
        """Whether the user may everything."""
        return ADMINS in self.groups


class Group(Value):
    """Users who share things."""

    name: str
    group_id: int
    #: Users who may manage what belongs to the group.
    admins: tuple[str, ...] = ()
    limits: dict[str, float] = {}
    attributes: dict[str, str] = {}


class AclRule(Value):
    """A permission beyond those of the things themselves."""

    rule_id: int
    #: OpenNebula's string form: ``@1 VM+NET/* CREATE *``.
    text: str


class DefaultLimits(Value):
    """Limits of those who have none of their own."""

    #: ``user`` or ``group``.
    of: str
    limits: dict[str, float] = {}


class ClusterRecord(Value):
    """Hosts, networks and datastores that go together; hosts name theirs, networks and datastores all of theirs."""

    cluster_id: int
    name: str
    attributes: dict[str, str] = {}
    #: ``{resource: what is decided for its hosts}``, see ``inventory.RESOURCES``.
    allowances: dict[str, Allowance] = {}


class StoredTemplate(Value):
    """A template of VMs, kept to be instantiated."""

    template_id: int
    name: str
    owner: str
    group: str = ADMINS
    mode: int = OWNER_ONLY
    #: In text syntax, without NAME.
    text: str = ""
    registered_at_s: Moment = 0.0
    lock: Lock | None = None


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
    #: A person says that it is away on purpose: no VM goes there, and nobody has to wonder.
    OFFLINE = "offline"


class Failures(Value):
    """Starts of VMs that failed on a host one after the other; one that succeeds ends them."""

    count: int
    #: When it failed last.
    at_s: Moment
    #: No VM is placed there before; people may.
    banned_until_s: Moment
    #: What the last one said.
    message: str = ""


class Host(Value):
    """A node with an agent."""

    host_id: HostId
    name: str
    #: JOINING, ON, DISABLED, DRAINING or OFFLINE: what people want. Whether the agent is there, ``connected`` says.
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
    cluster_id: int = 0
    #: ``{resource: what is decided for this host}``; what is not, its cluster decides.
    allowances: dict[str, Allowance] = {}
    #: Deployments and boots that failed on it, one after the other.
    failures: Failures | None = None
    #: OpenNebula's driver names as a client gave them; they choose nothing here.
    im_mad: str = "innkeeper"
    vm_mad: str = "innkeeper"


class Datastore(Value):
    """Where images and disks live; each agent knows its own path for it."""

    name: str
    #: Transfer driver that looks after its disks.
    driver: str = "qcow2"
    #: OpenNebula's number.
    datastore_id: int = -1
    #: ``image``, ``system`` or ``file``.
    type: str = "image"
    #: The datastore of the hosts that its files lie in; empty for the one of its own name.
    kept_in: str = ""
    owner: str = ONEADMIN
    group: str = ADMINS
    mode: int = 0o644
    enabled: bool = True
    clusters: tuple[int, ...] = (0,)
    attributes: dict[str, str] = {}

    @property
    def at_hosts(self) -> str:
        """The name that hosts have a path for."""
        return self.kept_in or self.name


class ImageState(StrEnum):
    """Whether an image can be used."""

    #: Its import runs.
    LOCKED = "locked"
    READY = "ready"
    ERROR = "error"
    #: A person switched it off for new VMs.
    DISABLED = "disabled"


class Image(Value):
    """A registered disk image, immutable by digest; a persistent one gets a new digest after each use."""

    image_id: ImageId
    name: str
    datastore: str
    owner: str
    group: str = ADMINS
    mode: int = OWNER_ONLY
    lock: Lock | None = None
    state: ImageState = ImageState.LOCKED
    #: ``os``, ``datablock``, ``cdrom``, ``kernel``, ``ramdisk`` or ``context``.
    type: str = "os"
    #: Given to one VM at a time, whose disk becomes the image again when the VM ends.
    persistent: bool = False
    #: Where it came from, as it was asked for; empty for an upload.
    source: str = ""
    modified_at_s: Moment = 0.0
    #: What people note of the image, verbatim.
    attributes: dict[str, str] = {}
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
    #: Number in its network, which no later range of it gets; leases name it.
    ar_id: int = 0
    #: ``IP4``, ``IP6``, ``IP4_6`` or ``ETHER``.
    type: str = "IP4"
    #: First IPv4 address, dotted; empty for a range without.
    ip: str = ""
    #: First MAC; by default 02:00 and the octets of the IP.
    mac: str = ""
    #: IPv6 prefixes of 64 bits (``2001:db8::``), global and unique local; the rest of an address is made of its MAC.
    global_prefix: str = ""
    ula_prefix: str = ""
    #: The range of the parent network that a reservation was cut from.
    parent_ar_id: int | None = None
    #: What people note of the range, verbatim.
    attributes: dict[str, str] = {}


class Network(Value):
    """A virtual network: ranges of MAC/IP addresses and how they reach the wire."""

    network_id: int
    name: str
    owner: str
    group: str = ADMINS
    mode: int = OWNER_ONLY
    lock: Lock | None = None
    clusters: tuple[int, ...] = (0,)
    #: The network that this one is a reservation of.
    parent_id: int | None = None
    #: Highest number of a range that there ever was.
    last_ar_id: int = -1
    ranges: tuple[AddressRange, ...] = ()
    #: OpenNebula's name of how it reaches the wire: ``bridge``, ``802.1Q``, ``dummy``...
    vn_mad: str = "bridge"
    #: What people note of the network, verbatim.
    attributes: dict[str, str] = {}
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
    #: Which address: the range's ``ar_id`` and the offset in it.
    range_index: int
    offset: int
    mac: str
    ip: str
    ip6_global: str = ""
    ip6_ula: str = ""
    #: None where a person holds the address.
    vm_id: VmId | None = None
    nic_id: int | None = None
    #: The network that reserved it out of this one.
    reserved_by: int | None = None

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
    #: All of it on hosts goes, and it waits again as at first.
    RECREATE = "recreate"
    IMPORT_IMAGE = "import_image"
    DELETE_IMAGE = "delete_image"
    ATTACH_DISK = "attach_disk"
    DETACH_DISK = "detach_disk"
    ATTACH_NIC = "attach_nic"
    DETACH_NIC = "detach_nic"
    SNAPSHOT_CREATE = "snapshot_create"
    SNAPSHOT_REVERT = "snapshot_revert"
    SNAPSHOT_DELETE = "snapshot_delete"
    DISK_SNAPSHOT_CREATE = "disk_snapshot_create"
    DISK_SNAPSHOT_REVERT = "disk_snapshot_revert"
    DISK_SNAPSHOT_DELETE = "disk_snapshot_delete"
    DISK_SAVEAS = "disk_saveas"
    DISK_RESIZE = "disk_resize"
    RESIZE = "resize"


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


class Part(Value):
    """What of its VM an operation is about; -1 and empty where it is about something else."""

    disk_id: int = -1
    nic_id: int = -1
    snapshot_id: int = -1
    #: The image that a disk is saved as.
    image_id: int = -1
    #: Of a snapshot.
    name: str = ""
    #: The VM as it goes back to being where sizes were to change.
    before: Vm | None = None


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
    part: Part = Part()
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


class VmSnapshot(Value):
    """A guest's memory and disks at one moment, kept by its hypervisor."""

    snapshot_id: int
    name: str
    at_s: Moment
    #: The hypervisor's name for it.
    hypervisor_id: str = ""
    #: The one that was last made or reverted to.
    active: bool = False


class DiskSnapshot(Value):
    """A disk's content at one moment, kept by its transfer driver."""

    disk_id: int
    snapshot_id: int
    name: str
    at_s: Moment
    #: The one it was made after; -1 for the disk as it was first.
    parent_id: int = -1
    size_bytes: int = 0
    active: bool = False


class ScheduledAction(Value):
    """Something that is to be done with a VM at its time."""

    action_id: int
    #: A verb of ``one.vm.action``, or ``snapshot-create``, ``disk-snapshot-create``...
    action: str
    at_s: Moment
    #: Words behind the verb, separated by commas.
    args: str = ""
    #: 0 weekly, 1 monthly, 2 yearly, 3 hourly; None for once.
    repeat: int | None = None
    days: str = ""
    #: 0 never, 1 after ``end_value`` times, 2 at the moment ``end_value``.
    end_type: int | None = None
    end_value: int | None = None
    #: When it was done last; None for not yet.
    done_at_s: Moment | None = None
    #: Why it was not done; empty where it was.
    message: str = ""


class HistoryRecord(Value):
    """A VM's stay on one host."""

    vm_id: VmId
    #: Counted from 0.
    seq: int
    host_id: HostId
    host_name: str
    cluster_id: int = 0
    hypervisor: str = ""
    transfer: str = ""
    datastore: str = ""
    began_at_s: Moment = 0.0
    ended_at_s: Moment | None = None
    #: None for not yet.
    prolog_began_s: Moment | None = None
    prolog_ended_s: Moment | None = None
    running_began_s: Moment | None = None
    running_ended_s: Moment | None = None
    epilog_began_s: Moment | None = None
    epilog_ended_s: Moment | None = None
    #: The operation that ended it, or was last begun in it.
    action: str = ""
    actor: str = ""
    request_id: str = ""
    #: Those of the VM, for accounting.
    owner: str = ""
    group: str = ""
    vm_name: str = ""
    cpu_cores: float = 0.0
    vcpus: int = 0
    memory_mib: int = 0
    disks_mib: int = 0
    #: What an hour costs: of a core, of a MiB of memory and of a MiB of disk.
    cpu_cost: float = 0.0
    memory_cost: float = 0.0
    disk_cost: float = 0.0

    @property
    def history_id(self) -> str:
        """The record's key: VM and number."""
        return f"{self.vm_id}.{self.seq}"


class Holding(Value):
    """What a VM holds of the nodes and devices of a host."""

    numa_cells: tuple[NumaCell, ...] = ()
    pci_addresses: tuple[str, ...] = ()


class VmRecord(Value):
    """A VM as the controller knows it."""

    vm_id: VmId
    name: str
    owner: str
    state: VmState
    spec: Vm
    group: str = ADMINS
    mode: int = OWNER_ONLY
    lock: Lock | None = None
    #: The stored template that it was made from.
    template_id: int | None = None
    #: The scheduler is to find it a better host: OpenNebula's resched.
    resched: bool = False
    snapshots: tuple[VmSnapshot, ...] = ()
    disk_snapshots: tuple[DiskSnapshot, ...] = ()
    #: ``{disk: 2, nic: 0, snapshot: 1, disk.0: 3}``: the highest number of a kind, and of a disk's snapshots, that
    #: there ever was; those that never went have none here.
    last_numbers: dict[str, int] = {}
    #: True where the context disk is to be made anew at the next boot.
    context_changed: bool = False
    scheduled: tuple[ScheduledAction, ...] = ()
    #: As the user wrote it.
    template: str = ""
    requirements: str = ""
    rank: str = ""
    wishes: Wishes = Wishes()
    #: Attributes that we do not interpret (LABELS, DESCRIPTION, HAIZEA...), verbatim.
    attributes: dict[str, str] = {}
    #: Where it is, or where it goes on its first deployment; None while it has nothing anywhere.
    host_id: HostId | None = None
    #: Where it is moving to; its capacity is taken there as well.
    destination_id: HostId | None = None
    #: What it holds of the host that it is on, while it moves: its specification has what it gets where it goes.
    leaving: Holding | None = None
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

    def spec_on(self, host_id: HostId | None) -> Vm:
        """Return its specification with what it holds of that host: one that moves holds something of two."""
        if self.leaving is None or host_id != self.host_id:
            return self.spec
        held = self.leaving
        return msgspec.structs.replace(self.spec, numa_cells=held.numa_cells, pci_addresses=held.pci_addresses)


Record = (
    User
    | Group
    | AclRule
    | DefaultLimits
    | ClusterRecord
    | Host
    | Datastore
    | Image
    | Network
    | AddressLease
    | StoredTemplate
    | Operation
    | VmRecord
    | HistoryRecord
)


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
    "group": Kind(plural="groups", record=Group, key="name"),
    "acl": Kind(plural="acl_rules", record=AclRule, key="rule_id"),
    "limits": Kind(plural="default_limits", record=DefaultLimits, key="of"),
    "cluster": Kind(plural="clusters", record=ClusterRecord, key="cluster_id", columns=("name",)),
    "host": Kind(plural="hosts", record=Host, key="host_id", columns=("name", "state")),
    "datastore": Kind(plural="datastores", record=Datastore, key="name"),
    "image": Kind(plural="images", record=Image, key="image_id", columns=("name", "state")),
    "network": Kind(plural="networks", record=Network, key="network_id", columns=("name",)),
    "lease": Kind(plural="leases", record=AddressLease, key="lease_id", columns=("network_id", "vm_id")),
    "operation": Kind(plural="operations", record=Operation, key="operation_id", columns=("subject", "status")),
    "template": Kind(plural="templates", record=StoredTemplate, key="template_id", columns=("name",)),
    "vm": Kind(plural="vms", record=VmRecord, key="vm_id", columns=("name", "state", "owner", "host_id")),
    "history": Kind(
        plural="history_records",
        record=HistoryRecord,
        key="history_id",
        columns=("vm_id", "began_at_s", "ended_at_s"),
    ),
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
