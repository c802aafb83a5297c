"""The verbs of ``inn vm`` and where each of them is; imports none of them."""

from innkeeper_controller.cli.commands import LazyGroup, Member

_BEGIN, _LOOK, _REST, _MOVE, _END = "Begin", "Look", "Rest and go on", "Place and move", "End and recover"

MEMBERS = {
    "submit": Member("vm.submit:submit", "Submit a VM, or many alike, from a template.", _BEGIN),
    "hold": Member("vm.life:hold", "Keep waiting VMs from the scheduler.", _BEGIN),
    "release": Member("vm.life:release", "Give held VMs to the scheduler.", _BEGIN),
    "wait": Member("vm.life:wait", "Wait until VMs are running, or in another state.", _BEGIN),
    "list": Member("vm.look:list_", "List VMs, filtered on the server.", _LOOK),
    "show": Member("vm.look:show", "Show all that is known of a VM.", _LOOK),
    "why": Member("vm.explain:why", "Say why a VM is where it is: host by host while it waits.", _LOOK),
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
    "shutdown": Member("vm.life:shutdown", "Power guests off, then delete their disks.", _END),
    "terminate": Member("vm.life:terminate", "End VMs in any state and delete their disks.", _END),
    "cancel": Member("vm.life:cancel", "Cancel what VMs are busy with.", _END),
    "recover": Member("vm.life:recover", "Retry what failed, or go back to before it.", _END),
}

vm = LazyGroup(name="vm", members=MEMBERS, help="Virtual machines: submit, watch, move, end.")
