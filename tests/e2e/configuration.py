"""What the lab's controller, agents and VMs are configured with; only texts."""

from lab import SWITCH_ADDRESS

FIRST_IP = "10.77.0.100"
#: Room of the datastore ``small`` on each host, so that a test can fill it up.
SMALL_MIB = 64

CONTROLLER_TOML = f"""\
state_dir = "/srv/controller"
unknown_after_s = 6.0
heartbeat_interval_s = 1.0

[http]
listen = "127.0.0.1:2633"

[agents]
listen = "tcp://{SWITCH_ADDRESS}:2634"
"""
#: The rate is what makes a transfer long enough to be cut off in its middle.
AGENT_TOML = """\
state_dir = "/srv/agent"
hypervisors = ["libvirt"]

[datastores.default]
path = "/srv/datastore"

[datastores.small]
path = "/srv/small"

[datastores.shared]
path = "/srv/shared/datastore"
drivers = ["shared"]
shared = true

[drivers.libvirt]
uri = "qemu:///system"
migration_address = "{address}"

[bulk]
listen = "tcp://{address}:2635"
rate_limit_mib_s = 16
fetch_timeout_s = 10

[import]
dirs = ["/srv/import"]
"""
TEMPLATE = """\
NAME = {name}
CPU = 0.5
MEMORY = 96
OS = [ KERNEL = "kernel", INITRD = "initrd", KERNEL_CMD = "{cmdline}", MACHINE = "{machine}" ]
DISK = [ IMAGE = "{image}" ]
NIC = [ NETWORK = "lan" ]
CONTEXT = [ NETWORK = "YES", SET_HOSTNAME = "$NAME" ]
"""
