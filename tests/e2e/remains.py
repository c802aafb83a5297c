"""What is left of VMs on the hosts and in the controller's books, by every account there is."""

import json
import sys
from collections.abc import Iterator

from cluster import Cluster
from lab import Host

#: Asks everything with one start of an interpreter: this runs after every test.
BOOKS = """\
import json, sys
from pathlib import Path
from innkeeper_controller.client import Client
client = Client("http://127.0.0.1:2633", Path("/srv/controller/admin.token").read_text().strip())
names = ("vm.list", "operation.list", "system.verify")
answers = {name: client.call(name) for name in names}
json.dump({**answers, "network.leases": client.call("network.leases", network="lan")}, sys.stdout)
"""


def remains(cluster: Cluster, *, keep: int | None = None) -> list[str]:
    """Return what is left over, in words; nothing is as it should be.

    Args:
        cluster: Whose hosts are looked at.
        keep: A VM that runs on, and of which there has to be one guest.
    """
    left = list(_in_the_books(cluster, keep))
    guests = {host: host.guests() for host in cluster.lab.hosts}
    for host, names in guests.items():
        left += [f"{host.name}: {what}" for what in _on(host, names, keep)]
    homes = [host.name for host, names in guests.items() if f"inn-{keep}" in names]
    if keep is not None and len(homes) != 1:
        left.append(f"VM {keep} is on {homes}")
    return left


def _in_the_books(cluster: Cluster, keep: int | None) -> Iterator[str]:
    books = json.loads(cluster.lab.switch.run([sys.executable, "-c", BOOKS]))
    for vm in books["vm.list"]:
        if vm["vm_id"] != keep:
            yield f"VM {vm['vm_id']} is {vm['state']}"
    for lease in books["network.leases"]:
        if keep is None or lease.get("vm_id") != keep:
            yield f"{lease['ip']} is leased"
    for operation in books["operation.list"]:
        yield f"operation {operation['operation_id']} goes on"
    for finding in books["system.verify"].get("findings", ()):
        yield f"inn verify: {finding}"


def _on(host: Host, guests: list[str], keep: int | None) -> Iterator[str]:
    yield from (f"libvirt knows {name}" for name in guests if name != f"inn-{keep}")
    for line in host.processes():
        if "guest=inn-" in line and f"guest=inn-{keep}," not in line:
            yield f"{line[:120]}... runs"
    for path in host.run(["find", "/srv", "-path", "*/vms/*", "-o", "-name", "import-*"]).split():
        if f"/vms/{keep}" not in path:
            yield path
