"""Agents and controllers that die in the middle of anything: nothing is lost, nothing is done twice."""

import threading

import pytest
from ground import FOREVER, PATIENCE_S, ground_in

from innkeeper_controller.client import RefusedError, UnreachableError

#: ``{host: (verb of a deployment that hangs there, section of its configuration)}``
DEPLOYMENT = {
    "h0": ("fetch", "top"),
    "h1": ("clone", "transfer"),
    "h2": ("mkswap", "transfer"),
    "h3": ("context", "transfer"),
    "h4": ("deploy", "hypervisor"),
}
#: ``{host: (request, verb that hangs, section, state after)}``
LATER = {
    "h0": ("vm.suspend", "save", "hypervisor", "SUSPENDED"),
    "h1": ("vm.poweroff", "shutdown", "hypervisor", "POWEROFF"),
    "h2": ("vm.reboot", "reboot", "hypervisor", "RUNNING"),
    "h3": ("vm.terminate", "cancel", "hypervisor", "DONE"),
    "h4": ("vm.terminate", "delete", "transfer", "DONE"),
}
#: ``{host: (request, its parameters, step of the script, verb of a driver that hangs, section)}``
CHANGES = {
    "h0": (
        "vm.attach_disk",
        {"template": "DISK = [ TYPE = swap, SIZE = 1 ]"},
        "attach_disk",
        "attach_disk",
        "hypervisor",
    ),
    "h1": ("vm.attach_nic", {"template": "NIC = [ NETWORK = lan ]"}, "attach_nic", "attach_nic", "hypervisor"),
    "h2": ("vm.detach_nic", {"nic_id": 0}, "detach_nic", "detach_nic", "hypervisor"),
    "h3": ("vm.snapshot_create", {"name": "before"}, "snapshot_create", "snapshot_create", "hypervisor"),
    "h4": ("vm.disk_saveas", {"disk_id": 0, "name": "saved"}, "save_image", "cpds", "transfer"),
}
CLIENTS = 6
EACH = 34
#: Long enough to be caught in the middle of at the slowest rate there is.
HEAVY_IMAGE = b"heavy" * (6 << 20)
SLOW = "[bulk]\nrate_limit_mib_s = 1\n"


def hanging(agent, verb, section):
    """Let the agent's next start be one that hangs in its first step of that verb."""
    if verb == "fetch":
        agent.configure()
        agent.config.write_text(agent.config.read_text().replace("[bulk]\n", SLOW))
    else:
        agent.configure(**{section: f"{FOREVER}\nhang = {{ {verb} = [1] }}\n"})


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with ground_in(tmp_path_factory.mktemp("deaths")) as ground:
        ground.build("holder", image=HEAVY_IMAGE)
        # The images are there and nowhere else, unless they are fetched.
        ground.client.call("host.disable", host="holder")
        for name in DEPLOYMENT:
            ground.add_host(name)
        yield ground


def restart(ground, *names, faults=None):
    """Let these hosts die and start again, with the faults ``{host: (verb, section)}``."""
    for name in names:
        agent = ground.agents[name]
        if agent.process is not None:
            agent.kill()
        if faults:
            hanging(agent, *faults[name])
        else:
            agent.configure()
        agent.start()
    ground.connected(*names)


def test_an_agent_that_dies_in_any_step_of_a_deployment_goes_on_with_it(ground):
    # All but the one that is to die while it fetches have the image.
    others = [name for name in DEPLOYMENT if name != "h0"]
    restart(ground, *others)
    ground.check_next(*others)
    restart(ground, *DEPLOYMENT, faults=DEPLOYMENT)
    vms = {name: ground.submit(host=name)[0] for name in DEPLOYMENT}
    for name, vm_id in vms.items():
        ground.mid_step(vm_id, DEPLOYMENT[name][0])
    restart(ground, *DEPLOYMENT)
    ground.wait(vms.values())

    assert {name: ground.agents[name].guests() for name in vms} == {name: {vm_id: 1} for name, vm_id in vms.items()}
    ground.check_next(*DEPLOYMENT)
    ground.end(vms.values())
    ground.check_empty()


def test_an_agent_that_dies_in_any_later_step_goes_on_with_it(ground):
    vms = {name: ground.submit(host=name)[0] for name in DEPLOYMENT}
    ground.wait(vms.values())
    restart(ground, *LATER, faults={name: fault[1:3] for name, fault in LATER.items()})
    for name, vm_id in vms.items():
        ground.client.call(LATER[name][0], vm_id=vm_id)
    for name, vm_id in vms.items():
        ground.mid_step(vm_id, LATER[name][1])
    restart(ground, *DEPLOYMENT)
    for name, vm_id in vms.items():
        ground.wait([vm_id], LATER[name][3])

    ground.check_next(*DEPLOYMENT)
    ground.end([vms["h0"], vms["h1"], vms["h2"]])
    ground.check_empty()


def test_an_agent_that_dies_while_a_vm_is_changed_goes_on_with_it(ground):
    restart(ground, *CHANGES)
    vms = {name: ground.submit(host=name)[0] for name in CHANGES}
    ground.wait(vms.values())
    ground.client.call("vm.poweroff", vm_id=vms["h4"], hard=True)
    ground.wait([vms["h4"]], "POWEROFF")
    restart(ground, *CHANGES, faults={name: change[3:] for name, change in CHANGES.items()})
    begun = [
        ground.client.call(request, vm_id=vms[name], **params)["operation_id"]
        for name, (request, params, *_) in CHANGES.items()
    ]
    for name, change in CHANGES.items():
        ground.mid_step(vms[name], change[2])
    restart(ground, *CHANGES)
    ended = [ground.client.wait_operation(each, timeout_s=PATIENCE_S)["status"] for each in begun]
    specs = {name: ground.vm(vms[name])["spec"] for name in CHANGES}
    parts = {name: (len(spec["disks"]), len(spec.get("nics", ()))) for name, spec in specs.items()}

    assert ended == ["done"] * len(CHANGES)
    assert parts == {"h0": (3, 1), "h1": (2, 2), "h2": (2, 0), "h3": (2, 1), "h4": (2, 1)}
    assert ground.client.call("image.show", image="saved")["state"] == "ready"

    ground.check()
    ground.end(vms.values())
    deleted = ground.client.call("image.delete", image="saved")
    ground.client.wait_operation(deleted["operation_id"], timeout_s=PATIENCE_S)
    ground.check_empty()


def test_a_resumed_vm_survives_the_death_of_its_agent_at_that_moment(ground):
    agent = ground.agents["h0"]
    (vm_id,) = ground.submit(host="h0")
    ground.wait([vm_id])
    ground.client.call("vm.suspend", vm_id=vm_id)
    ground.wait([vm_id], "SUSPENDED")
    restart(ground, "h0", faults={"h0": ("restore", "hypervisor")})
    ground.client.call("vm.resume", vm_id=vm_id)
    ground.mid_step(vm_id, "restore")
    restart(ground, "h0")
    ground.wait([vm_id])

    assert agent.guests() == {vm_id: 1}
    ground.end([vm_id])
    ground.check_empty()


class Submitter(threading.Thread):
    """Submits one VM after the other until the controller is gone for good; asks again whenever it is not answered."""

    def __init__(self, ground, name, count):
        super().__init__()
        self._client = ground.controller.new_client()
        self._names = [f"{name}-{each}" for each in range(count)]
        self.acknowledged = {}
        self.half_way = threading.Event()

    def run(self):
        for name in self._names:
            while name not in self.acknowledged:
                self._try(name)
            if len(self.acknowledged) >= len(self._names) // 2:
                self.half_way.set()

    def _try(self, name):
        try:
            answer = self._client.call("vm.submit", request_id=f"r-{name}", template=TEMPLATE, name=name)
        except (UnreachableError, RefusedError):
            return
        self.acknowledged[name] = answer["vm_ids"][0]


TEMPLATE = "CPU = 0.01\nMEMORY = 1\nHYPERVISOR = simulated\nNIC = [ NETWORK = lan ]\n"


@pytest.mark.parametrize("victims", ["controller", "controller and agents"])
def test_hundreds_of_submissions_and_deployments_survive_a_death_in_the_midst(ground, victims):
    submitters = [Submitter(ground, f"{victims.replace(' ', '-')}-{number}", EACH) for number in range(CLIENTS)]
    for submitter in submitters:
        submitter.start()
    for submitter in submitters:
        submitter.half_way.wait()
    ground.controller.process.kill()
    if victims != "controller":
        for name in DEPLOYMENT:
            ground.agents[name].kill()
    ground.controller.process.wait()
    ground.controller.process = None
    ground.controller.up()
    if victims != "controller":
        for name in DEPLOYMENT:
            ground.agents[name].start()
    for submitter in submitters:
        submitter.join()
    acknowledged = {name: vm_id for each in submitters for name, vm_id in each.acknowledged.items()}
    ground.wait(acknowledged.values())
    vms = {vm["name"]: vm["vm_id"] for vm in ground.client.call("vm.list", limit=10_000)}

    assert vms == acknowledged
    assert len(set(acknowledged.values())) == CLIENTS * EACH
    assert {boots for agent in ground.agents.values() for boots in agent.guests().values()} == {1}
    ground.check()
    for vm_id in acknowledged.values():
        ground.client.call("vm.terminate", vm_id=vm_id, hard=True)
    ground.wait(acknowledged.values(), "DONE")
    ground.check_empty()
    ground.controller.check_offline()
    ground.check_next(*DEPLOYMENT)
