"""What a controller answers, as the API has it: defaults are left out."""

NOW_S = 1_795_348_800.0
DIGEST = "1f0c" * 16


def vm(vm_id=7, name="web", state="RUNNING", **more):
    return {
        "vm_id": vm_id,
        "name": name,
        "owner": "ana",
        "state": state,
        "cpu_cores": 1.0,
        "vcpus": 1,
        "memory_mib": 512,
        "submitted_at_s": NOW_S - 200,
        "since_s": NOW_S - 190,
        **more,
    }


def running(vm_id=7, name="web", **more):
    return vm(vm_id, name, host="host-a", ips=[f"10.0.0.{vm_id}"], **more)


def detail(**more):
    spec = {
        "vm_id": 7,
        "name": "web",
        "uuid": "6ba7b811-9dad-11d1-80b4-00c04fd430c8",
        "generation": 2,
        "cpu_cores": 1.0,
        "vcpus": 1,
        "memory_mib": 512,
        "hypervisor": "libvirt",
        "disks": [
            {
                "disk_id": 0,
                "kind": "image",
                "datastore": "default",
                "driver": "qcow2",
                "format": "qcow2",
                "size_bytes": 2 << 30,
                "target": "vda",
                "image": {"image_id": 0, "name": "debian-12"},
            }
        ],
    }
    nic = {"nic_id": 0, "network": "lan", "mac": "02:00:0a:00:00:07", "bridge": "br0", "ip": "10.0.0.7"}
    return running(spec=spec, nics=[nic], generation=2, deploy_id="inn-7", **more)


def operation(status="done", **more):
    ended = {} if status in {"running", "undoing"} else {"ended_at_s": NOW_S - 10}
    return {
        "operation_id": "o3",
        "kind": "suspend",
        "subject": "vm:7",
        "status": status,
        "step": "1 SAVE libvirt save",
        "steps_total": 1,
        "hosts": ["host-a"],
        "started_at_s": NOW_S - 13.2,
        "actor": "ana",
        "request_id": "r1",
        **ended,
        **more,
    }


NO_SPACE = {
    "code": "no_space",
    "message": "The datastore default of host-a is full; free 2 GiB there, then retry.",
    "host": "host-a",
    "step_id": 1,
    "step": "qcow2 clone",
    "argv": ["qemu-img", "create", "-f", "qcow2", "-b", "a b.img", "disk.0"],
    "exit_status": 1,
    "stderr": "qemu-img: disk.0: No space left on device\n",
}


def host(host_id=1, name="host-a", state="on", **more):
    return {
        "host_id": host_id,
        "name": name,
        "state": state,
        "connected": True,
        "capacity": {"cpu_cores": 8.0, "memory_mib": 16384},
        "used": {"cpu_cores": 1.5, "memory_mib": 1536},
        "vms": 3,
        "cpu_used_cores": 0.42,
        "memory_used_mib": 2048,
        "heard_at_s": NOW_S - 3,
        **more,
    }


def image(state="ready", **more):
    known = {"sha256": DIGEST, "size_bytes": 300 << 20, "virtual_size_bytes": 2 << 30} if state == "ready" else {}
    return {
        "image_id": 0,
        "name": "debian-12",
        "owner": "ana",
        "state": state,
        "type": "os",
        "datastore": "default",
        "format": "qcow2",
        "hosts": ["host-a"],
        "home": "host-a",
        "vms": 2,
        "registered_at_s": NOW_S - 86_400 * 3,
        **known,
        **more,
    }


def network(**more):
    return {
        "network_id": 0,
        "name": "lan",
        "owner": "ana",
        "bridge": "br0",
        "vlan_id": None,
        "gateway": "10.0.0.1",
        "netmask": "255.255.255.0",
        "dns": "",
        "ranges": [{"size": 50, "ip": "10.0.0.10"}],
        "size": 50,
        "taken": 3,
        **more,
    }


def event(what="vm.state", seq=5, **more):
    return {"what": what, "subject": "vm:7", "at_s": NOW_S - 60, "actor": "host:1", "seq": seq, **more}
