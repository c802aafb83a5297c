"""The verbs of ``inn vm`` and where each of them is; imports none of them."""

from innkeeper_controller.cli.commands import LazyGroup, Member

_BEGIN, _LOOK, _REST, _MOVE, _END = "Begin", "Look", "Rest and go on", "Place and move", "End and recover"
_CHANGE, _TIME, _COST, _OWN = "Change", "At set times", "Account", "Own"

MEMBERS = {
    "submit": Member("vm.submit:submit", "Submit a VM, or many alike, from a template.", _BEGIN),
    "hold": Member("vm.life:hold", "Keep waiting VMs from the scheduler.", _BEGIN),
    "release": Member("vm.life:release", "Give held VMs to the scheduler.", _BEGIN),
    "wait": Member("vm.life:wait", "Wait until VMs are running, or in another state.", _BEGIN),
    "list": Member("vm.look:list_", "List VMs, filtered on the server.", _LOOK),
    "show": Member("vm.look:show", "Show all that is known of a VM.", _LOOK),
    "why": Member("vm.why:why", "Say why a VM is where it is: host by host while it waits.", _LOOK),
    "plan": Member("vm.explain:plan", "Show the transfer script of the present or last operation.", _LOOK),
    "log": Member("vm.explain:log", "Show every step with the driver's own words.", _LOOK),
    "history": Member("vm.explain:history", "Show all that has happened to a VM, even after its end.", _LOOK),
    "console": Member("vm.console:console", "Open a VM's serial console, or print it.", _LOOK),
    "suspend": Member("vm.life:suspend", "Save memory; the VMs stay on their hosts.", _REST),
    "stop": Member("vm.life:stop", "Save memory and give the hosts' capacity back.", _REST),
    "poweroff": Member("vm.life:poweroff", "Power guests off; the VMs stay on their hosts.", _REST),
    "undeploy": Member("vm.life:undeploy", "Power guests off and give the hosts' capacity back.", _REST),
    "resume": Member("vm.life:resume", "Let suspended, stopped, undeployed or powered-off VMs go on.", _REST),
    "reboot": Member("vm.life:reboot", "Restart guests.", _REST),
    "deploy": Member("vm.life:deploy", "Deploy a waiting VM on the host that you choose.", _MOVE),
    "migrate": Member("vm.life:migrate", "Move a VM to another host.", _MOVE),
    "attach-disk": Member("vm.change:attach_disk", "Give a VM a disk, of an image or empty.", _CHANGE),
    "detach-disk": Member("vm.change:detach_disk", "Take a disk from a VM and delete it.", _CHANGE),
    "attach-nic": Member("vm.change:attach_nic", "Give a VM a network card.", _CHANGE),
    "detach-nic": Member("vm.change:detach_nic", "Take a network card from a VM and give its address back.", _CHANGE),
    "snapshot-create": Member(
        "vm.change:snapshot_create", "Keep a running guest, memory and disks, as it is.", _CHANGE
    ),
    "snapshot-revert": Member("vm.change:snapshot_revert", "Bring a guest back to one of its snapshots.", _CHANGE),
    "snapshot-delete": Member("vm.change:snapshot_delete", "Drop a snapshot of a guest.", _CHANGE),
    "disk-snapshot-create": Member("vm.change:disk_snapshot_create", "Keep the content of a disk at rest.", _CHANGE),
    "disk-snapshot-revert": Member(
        "vm.change:disk_snapshot_revert", "Bring a disk back to one of its snapshots.", _CHANGE
    ),
    "disk-snapshot-delete": Member("vm.change:disk_snapshot_delete", "Drop a snapshot of a disk.", _CHANGE),
    "disk-snapshot-rename": Member(
        "vm.change:disk_snapshot_rename", "Give a snapshot of a disk another name.", _CHANGE
    ),
    "save-disk": Member("vm.change:save_disk", "Save a disk of a VM at rest as a new image.", _CHANGE),
    "resize": Member("vm.change:resize", "Change the processors and the memory of a VM.", _CHANGE),
    "resize-disk": Member("vm.change:resize_disk", "Make a disk of a VM larger.", _CHANGE),
    "update-conf": Member("vm.change:update_conf", "Change how a VM is built at its next boot.", _CHANGE),
    "resched": Member("vm.change:resched", "Let the scheduler move a running VM to a better host.", _MOVE),
    "schedule-add": Member(
        "vm.change:schedule_add",
        "Let something be done with a VM at a time: seconds since the epoch, or +seconds.",
        _TIME,
    ),
    "schedule-update": Member("vm.change:schedule_update", "Change what is to be done with a VM at a time.", _TIME),
    "schedule-delete": Member("vm.change:schedule_delete", "Take an action out of a VM's schedule.", _TIME),
    "rename": Member("vm.ownership:rename", "Give it another name.", _OWN),
    "chmod": Member("vm.ownership:chmod", "Say what owner, group and others may do: 4 use, 2 manage, 1 admin.", _OWN),
    "chown": Member("vm.ownership:chown", "Give it to another user, or to another group.", _OWN),
    "lock": Member("vm.ownership:lock", "Keep it as it is, also from administrators, until it is unlocked.", _OWN),
    "update": Member("vm.ownership:update", "Note attributes of it, from a file; - for standard input.", _OWN),
    "unlock": Member("vm.ownership:unlock", "Let it be used and changed again.", _OWN),
    "accounting": Member("vm.account:accounting", "List the stays of VMs on hosts, ended VMs too.", _COST),
    "showback": Member("vm.account:showback", "Say what VMs cost, month by month.", _COST),
    "monitoring": Member("vm.account:monitoring", "Show the last samples of what a guest used.", _COST),
    "shutdown": Member("vm.life:shutdown", "Power guests off, then delete their disks.", _END),
    "terminate": Member("vm.life:terminate", "End VMs in any state and delete their disks.", _END),
    "cancel": Member("vm.life:cancel", "Cancel what VMs are busy with.", _END),
    "recover": Member("vm.life:recover", "Retry what failed, or go back to before it.", _END),
}

vm = LazyGroup(name="vm", members=MEMBERS, help="Virtual machines: submit, watch, move, end.")
