"""Random clusters with something of every kind, as unkind as records may be; the same seed gives the same cluster."""

import random

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.furniture import DATASTORES, DEFAULT_CLUSTER, GROUPS
from innkeeper_controller.records import (
    AclRule,
    AddressLease,
    AddressRange,
    ClusterRecord,
    Datastore,
    DefaultLimits,
    DiskSnapshot,
    Group,
    HistoryRecord,
    Host,
    HostState,
    Image,
    ImageState,
    Leg,
    Lock,
    LoginToken,
    Network,
    Operation,
    OperationError,
    OperationKind,
    OperationStatus,
    Plan,
    ScheduledAction,
    StoredTemplate,
    User,
    VmRecord,
    VmSnapshot,
)
from innkeeper_hostagent.protocol.messages import Heartbeat
from innkeeper_plugins.steps import Clone
from innkeeper_plugins.vocabulary import (
    Advertisement,
    Boot,
    Capacity,
    DatastoreFacts,
    Digest,
    Disk,
    DiskFormat,
    DiskKind,
    DriverFacts,
    DriverKind,
    Graphics,
    HostId,
    ImageId,
    ImageRef,
    InputDevice,
    Nic,
    Observation,
    OperationId,
    PowerState,
    Raw,
    SealedFile,
    Topology,
    Vm,
    VmId,
    VmState,
)

NOW_S = 1_790_000_000.5
MIB = 1024 * 1024
#: What people write, and what nobody should.
TEXTS = (
    *(
        "",
        "web",
        "a b",
        "<&]]>\"'",
        "</NAME><STATE>3</STATE>",
        "&amp;",
        "\x00\x1b\ufffe\ud800",
        "Zürich ☃ \U0001f600",
        " \t\r\n ",
    ),
    *("[ A = 1 ]", "[", "[ A = 1", "[ ]", '[ A = "x\n[ y", B = 2 ]', "[ A = 1 ]\n[ A = 2 ]", "]]>", "-" * 300),
)
NAMES = ("LABELS", "1ST", "VM", "HOST", "TEMPLATE", "lower", "with-dash", "with blank", "<x>", "É", "ERROR", "_", "xml")
USERS = ("oneadmin", "ann", "nobody left")
GROUPS_OF_USERS = ("oneadmin", "users", "gone")
LIMITS = {
    "vm.cpu": 2.5,
    "vm.memory": 4096,
    "vm.vms": -2,
    "vm.running_vms": 7,
    "vm.system_disk_size": 10,
    "network.0.leases": 4,
    "datastore.default.size": 2048,
    "datastore.default.images": -1,
    "image.0.rvms": 0,
}


class Maker:
    """Draws records."""

    def __init__(self, seed):
        self.draw = random.Random(seed)

    def text(self):
        return self.draw.choice(TEXTS)

    def attributes(self):
        return {name: self.text() for name in self.draw.sample(NAMES, self.draw.randrange(len(NAMES)))}

    def maybe(self, value):
        return self.draw.choice((None, value))

    def often(self):
        return self.draw.random() < 0.5

    def moment(self):
        return self.draw.choice((0.0, 1.25, NOW_S))

    def owned(self):
        level = self.draw.choice(("use", "manage", "admin", "all"))
        return {
            "owner": self.draw.choice(USERS),
            "group": self.draw.choice(GROUPS_OF_USERS),
            "mode": self.draw.randrange(0o1000),
            "lock": self.maybe(Lock(level=level, owner=self.draw.choice(USERS), at_s=NOW_S)),
        }

    def users(self):
        tokens = (
            LoginToken(token_sha256="ab" * 32),
            LoginToken(token_sha256="cd" * 32, expires_at_s=NOW_S, group="users"),
        )
        yield User(name="oneadmin", user_id=0, groups=("oneadmin",), password="scrypt:secret", tokens=tokens)
        yield User(name="ann", user_id=2, attributes=self.attributes(), limits=LIMITS, enabled=self.often())
        yield User(name=self.text() or "x", user_id=3, groups=("gone", "users"), auth_driver=self.text())

    def groups(self):
        yield from GROUPS
        yield Group(group_id=100, name=self.text() or "g", admins=("ann", "nobody"), attributes=self.attributes())
        yield Group(group_id=101, name="rich", limits=LIMITS)
        if self.often():
            yield DefaultLimits(of="user", limits=LIMITS)
            yield DefaultLimits(of="group", limits=LIMITS)

    def places(self):
        yield DEFAULT_CLUSTER
        yield ClusterRecord(cluster_id=100, name=self.text() or "c", attributes=self.attributes())
        yield from DATASTORES
        owned = self.owned()
        del owned["lock"]
        yield Datastore(name="ssd", datastore_id=100, driver="lvm", clusters=(0, 100), enabled=self.often(), **owned)
        yield AclRule(rule_id=0, text="@1 VM+NET/#5 USE+MANAGE *")
        yield AclRule(rule_id=1, text="* HOST/%100 ADMIN #0")

    def host(self, number):
        told = Advertisement(
            capacity=Capacity(cpu_cores=self.draw.choice((0.0, 0.5, 64.0)), memory_mib=16_384),
            drivers=(
                DriverFacts(kind=DriverKind.HYPERVISOR, name="kvm"),
                DriverFacts(kind=DriverKind.TRANSFER, name="lvm", capabilities=("shared",)),
            ),
            datastores=tuple(
                DatastoreFacts(name=name, total_mib=1000, free_mib=400) for name in ("default", "ssd", "unknown")
            ),
            facts={"ARCH": "x86_64", "CPU_MHZ": 2999.5, "CORES": 8, "hypervisor": "kvm"} if self.often() else {},
        )
        return Host(
            host_id=HostId(number),
            name=f"h{number}{self.text()}",
            state=self.draw.choice(list(HostState)),
            connected=self.often(),
            advertisement=self.draw.choice((told, Advertisement(capacity=Capacity()))),
            labels=self.attributes(),
            cluster_id=self.draw.choice((0, 100, 102)),
        )

    def image(self, number):
        return Image(
            image_id=ImageId(number),
            name=f"i{number}{self.text()}",
            datastore=self.draw.choice(("default", "files", "gone")),
            state=self.draw.choice(list(ImageState)),
            type=self.draw.choice(("os", "datablock", "cdrom", "kernel", "ramdisk", "context")),
            persistent=self.often(),
            source=self.text(),
            attributes=self.attributes(),
            sha256=Digest("e" * 64),
            size_bytes=1,
            virtual_size_bytes=self.draw.choice((0, 1, 100 * MIB)),
            registered_at_s=self.moment(),
            error=self.text(),
            **self.owned(),
        )

    def network(self, number):
        return Network(
            network_id=number,
            name=f"n{number}{self.text()}",
            clusters=self.draw.choice(((), (0,), (0, 100))),
            parent_id=self.maybe(0),
            ranges=(
                AddressRange(size=10, ip=f"10.0.{number}.1", parent_ar_id=self.maybe(3)),
                AddressRange(ar_id=4, size=2, type="ETHER", mac="02:00:00:00:00:01"),
                AddressRange(
                    ar_id=5,
                    size=3,
                    type="IP6",
                    mac="02:00:00:00:01:01",
                    global_prefix="2001:db8::",
                    ula_prefix="fd00::",
                ),
            )[: self.draw.randrange(4)],
            attributes=self.attributes(),
            bridge=self.text(),
            vlan_id=self.maybe(12),
            dns=self.text(),
            **self.owned(),
        )

    def leases(self, number):
        mac = "02:00:0a:00:00:02"
        yield AddressLease(network_id=number, range_index=0, offset=1, mac=mac, ip=f"10.0.{number}.2", vm_id=VmId(0))
        yield AddressLease(network_id=number, range_index=0, offset=2, mac=mac, ip=f"10.0.{number}.3")
        yield AddressLease(network_id=number, range_index=4, offset=0, mac=mac, ip="", reserved_by=1)
        yield AddressLease(
            network_id=number, range_index=5, offset=0, mac=mac, ip="", ip6_global="2001:db8::1", ip6_ula="fd00::1"
        )

    def template(self, number):
        texts = (
            "",
            'NAME = x\nCPU = 1\nDISK = [ IMAGE = "a<b" ]\n',
            "CPU = [",
            "name: web\ncpu: 1\n",
            "1A = 2\n",
            "\x00",
        )
        return StoredTemplate(
            template_id=number, name=f"t{number}{self.text()}", text=self.draw.choice(texts), **self.owned()
        )

    def spec(self, number):
        ref = ImageRef(
            image_id=ImageId(0),
            name=self.text(),
            datastore="default",
            sha256=Digest("e" * 64),
            size_bytes=1,
            virtual_size_bytes=5 * MIB + 1,
            format=DiskFormat.QCOW2,
        )
        disks = tuple(
            Disk(
                disk_id=disk_id,
                kind=kind,
                datastore=self.draw.choice(("default", "ssd", "gone")),
                driver="qcow2",
                format=DiskFormat.RAW,
                size_bytes=10 * MIB,
                target=f"vd{'abcd'[disk_id]}",
                image=ref if kind is DiskKind.IMAGE else None,
                filesystem="ext4" if kind is DiskKind.VOLATILE else "",
                persistent=self.often(),
            )
            for disk_id, kind in enumerate(DiskKind)
        )
        nics = tuple(
            Nic(
                nic_id=nic_id,
                network=self.text(),
                network_id=nic_id,
                mac="02:00:0a:00:00:02",
                ip="10.0.0.2",
                vlan_id=self.maybe(3),
            )
            for nic_id in range(self.draw.randrange(3))
        )
        return Vm(
            vm_id=VmId(number),
            name=self.text(),
            uuid="6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            generation=1,
            cpu_cores=self.draw.choice((0.1, 1.0, 2.5)),
            vcpus=2,
            memory_mib=512,
            hypervisor="kvm",
            boot=Boot(kernel=self.maybe(ref), order=("disk0", "nic0"), kernel_cmdline=self.text()),
            disks=disks[: self.draw.randrange(5)],
            nics=nics,
            context={name: self.text() for name in ("NETWORK", "SSH_PUBLIC_KEY", "DISK_ID")} if self.often() else {},
            graphics=self.maybe(Graphics(password="secret", keymap=self.text())),
            inputs=(InputDevice(type="tablet", bus="usb"), InputDevice(type="mouse")) if self.often() else (),
            topology=self.maybe(Topology(sockets=1, cores=2)),
            raw=self.maybe(Raw(type="kvm", data="<devices/>")),
            video=self.draw.choice(("", "cirrus")),
            features={"ACPI": "yes"} if self.often() else {},
        )

    def operation(self, number, kind):
        return Operation(
            operation_id=OperationId(f"o{number}"),
            kind=kind,
            subject=f"vm:{number}",
            origin=self.draw.choice(list(VmState)),
            plan=Plan(
                legs=(Leg(host_id=HostId(1), steps=(Clone(step_id=0, phase=VmState.BOOT, driver="qcow2", disk_id=0),)),)
            ),
            status=OperationStatus.FAILED,
            error=self.maybe(OperationError(code="x", message="y", step_id=self.maybe(0))),
        )

    def vm(self, number):
        spec = self.spec(number)
        operation = OperationId(f"o{number}")
        return VmRecord(
            vm_id=VmId(number),
            name=f"v{number}{self.text()}",
            state=self.draw.choice([state for state in VmState if state is not VmState.DONE]),
            spec=spec,
            template_id=self.maybe(0),
            resched=self.often(),
            snapshots=(
                VmSnapshot(snapshot_id=0, name=self.text(), at_s=NOW_S, active=True),
                VmSnapshot(snapshot_id=1, name="b", at_s=NOW_S, hypervisor_id="s1"),
            )[: self.draw.randrange(3)],
            disk_snapshots=(
                DiskSnapshot(disk_id=0, snapshot_id=0, name=self.text(), at_s=NOW_S, size_bytes=MIB),
                DiskSnapshot(disk_id=0, snapshot_id=1, name="b", at_s=NOW_S, parent_id=0, active=True),
                DiskSnapshot(disk_id=2, snapshot_id=0, name="c", at_s=NOW_S),
            )[: self.draw.randrange(4)],
            scheduled=(
                ScheduledAction(action_id=0, action="poweroff", at_s=NOW_S, message=self.text()),
                ScheduledAction(
                    action_id=4,
                    action="snapshot-create",
                    at_s=NOW_S,
                    args="x",
                    repeat=0,
                    days="1,3",
                    end_type=1,
                    end_value=3,
                    done_at_s=NOW_S,
                ),
            )[: self.draw.randrange(3)],
            requirements=self.text(),
            rank=self.text(),
            attributes=self.attributes(),
            host_id=self.draw.choice((None, HostId(1), HostId(2), HostId(9))),
            deploy_id=self.text(),
            operation_id=self.maybe(operation),
            last_operation_id=self.maybe(operation),
            sealed=self.draw.choice(
                ((), (SealedFile(name="disk.0", sha256=Digest("a"), size_bytes=1, datastore="default"),))
            ),
            saved=self.often(),
            submitted_at_s=self.moment(),
            ended_at_s=self.maybe(NOW_S),
            error=self.text(),
            **self.owned(),
        )

    def history(self, number):
        for seq in range(self.draw.randrange(3)):
            yield HistoryRecord(
                vm_id=VmId(number),
                seq=seq,
                host_id=HostId(1),
                host_name=f"h1{self.text()}",
                hypervisor="kvm",
                transfer="qcow2",
                datastore=self.draw.choice(("", "default")),
                began_at_s=NOW_S,
                ended_at_s=self.maybe(NOW_S),
                prolog_began_s=self.maybe(NOW_S),
                running_began_s=self.maybe(NOW_S),
                action=self.draw.choice(("", "migrate", "deploy", "unheard of")),
                actor=self.draw.choice((*USERS, "scheduler")),
                request_id=self.text(),
                owner=self.draw.choice(USERS),
                group="users",
                vm_name=self.text(),
                cpu_cores=0.5,
                vcpus=1,
                memory_mib=512,
                disks_mib=self.draw.choice((0, 10)),
                cpu_cost=0.00001,
            )


def a_cluster(seed):
    """Return a cluster with a few of everything."""
    maker = Maker(seed)
    cluster = Cluster()
    kinds = maker.draw.sample(list(OperationKind), 6)
    vm_ids = range(6)
    cluster.load_records(
        [
            *maker.users(),
            *maker.groups(),
            *maker.places(),
            *(maker.host(number) for number in (1, 2)),
            *(maker.image(number) for number in range(4)),
            *(maker.network(number) for number in range(3)),
            *(lease for number in range(3) for lease in maker.leases(number)),
            *(maker.template(number) for number in range(4)),
            *(maker.operation(number, kind) for number, kind in zip(vm_ids, kinds, strict=True)),
            *(maker.vm(number) for number in vm_ids),
            *(stay for number in vm_ids for stay in maker.history(number)),
        ],
        {},
    )
    cluster.heard_at_s[HostId(1)] = NOW_S
    cluster.load[HostId(1)] = Heartbeat(cpu_used_cores=1.5, memory_used_mib=100)
    cluster.samples.add_host(HostId(1), cluster.load[HostId(1)], NOW_S)
    for number in vm_ids:
        if maker.often():
            guest = Observation(
                vm_id=VmId(number), generation=1, power=PowerState.RUNNING, cpu_time_s=3.5, memory_mib=300
            )
            cluster.samples.add_guest(VmId(number), guest, NOW_S)
    return cluster
