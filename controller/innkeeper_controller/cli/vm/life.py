"""The verbs that change a VM's life, for one VM or for many, each with what follows if it is asked to wait."""

from collections.abc import Callable
from functools import partial

import click

from innkeeper_controller.cli.commands import verb
from innkeeper_controller.cli.complaints import complain, exit_code
from innkeeper_controller.cli.complete import HOSTS
from innkeeper_controller.cli.complete import vms as complete_vms
from innkeeper_controller.cli.follow import AT_REST, Deadline, came_to, ended, follow_operation, follow_vm, label_of
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Json
from innkeeper_controller.cli.vm.look import STATES
from innkeeper_controller.cli.vm.names import expanded, vm_id_of
from innkeeper_controller.client import RefusedError, WaitTimeoutError

VMS = click.argument("vms", metavar="VM...", nargs=-1, required=True, shell_complete=complete_vms)
HARD = click.option("--hard", is_flag=True, help="At once, without asking the guest.")


class Tally:
    """Acts on VM after VM: a refusal of one does not keep the others from their turn."""

    def __init__(self, inn: Invocation) -> None:
        """Begin with nothing done."""
        self._inn = inn
        self._deadline = Deadline.after(inn.timeout_s)
        self._answers: list[Json] = []
        self._code = 0

    def each(self, texts: list[str], act: Callable[[str], Json]) -> list[Json]:
        """Return what ``act`` answered for each that it did not fail for."""
        done = []
        for text in texts:
            try:
                done.append(act(text))
            except (RefusedError, WaitTimeoutError) as error:
                complain(self._inn, error, f"VM {text}")
                self._code = max(self._code, exit_code(error))
        return done

    def follow(self, acted: Json, *, good: str = "done") -> None:
        """Follow what has begun with a VM to its end, and say how it ended; a failure unless that was good."""
        inn, label = self._inn, f"VM {acted['vm_id']}"
        if acted.get("operation_id"):
            operation = follow_operation(inn, label, acted["operation_id"], self._deadline)
            self._answers.append(operation)
            if operation["status"] != good:
                self._code = max(self._code, 1)
            if inn.for_people:
                inn.say(ended(label, operation))
        elif acted["state"] == "PENDING":
            self.running(acted["vm_id"])
        else:
            self.say(acted)

    def end(self, acted: Json) -> None:
        """Follow a VM to its end; one that was busy is cancelled first, and only then ended."""
        if acted["state"] == "DONE":
            self.say(acted)
        else:
            self.running(acted["vm_id"], frozenset({"DONE", "FAILED"}), frozenset({"DONE"}))

    def running(
        self, vm_id: int, until: frozenset[str] = AT_REST, good: frozenset[str] = frozenset({"RUNNING"})
    ) -> None:
        """Follow a VM into a state, which is a failure unless it is a good one."""
        vm = follow_vm(self._inn, vm_id, self._deadline, until=until)
        self._answers.append(vm)
        if vm["state"] not in good:
            self._code = max(self._code, 1)
        if self._inn.for_people:
            self._inn.say(f"{label_of(vm)} {came_to(vm)}")

    def say(self, acted: Json, begun: str = "has begun") -> None:
        """Say what has begun with a VM, or is done already."""
        self._answers.append(acted)
        if not self._inn.for_people:
            return
        operation_id = acted.get("operation_id")
        how = f", {operation_id} {begun}; `inn operation wait {operation_id}` follows it" if operation_id else ""
        self._inn.say(f"VM {acted['vm_id']} is {acted['state']}{how}.")

    def finish(self) -> None:
        """Write the answers for programs, and exit with 1 or 4 if anything failed or took too long."""
        if not self._inn.for_people:
            self._inn.show(self._answers, str)
        if self._code:
            raise click.exceptions.Exit(self._code)


def act_on(inn: Invocation, request: str, texts: tuple[str, ...], **params: object) -> None:
    """Start everything first, then follow one after the other: the slow parts run side by side."""
    tally = Tally(inn)
    started = tally.each(expanded(texts), lambda text: inn.call(request, vm_id=vm_id_of(inn, text), **params))
    follow: dict[str, Callable[[Json], None]] = {
        "vm.cancel": partial(tally.follow, good="cancelled"),
        "vm.terminate": tally.end,
    }
    if inn.waits():
        by_id = {str(acted["vm_id"]): acted for acted in started}
        tally.each(list(by_id), lambda vm_id: follow.get(request, tally.follow)(by_id[vm_id]))
    else:
        for acted in started:
            tally.say(acted, "is being cancelled" if request == "vm.cancel" else "has begun")
    tally.finish()


@verb("hold", "inn vm hold 7", "inn vm hold 3 7 10..12")
@VMS
def hold(inn: Invocation, vms: tuple[str, ...]) -> None:
    """Keep waiting VMs from the scheduler."""
    act_on(inn, "vm.hold", vms)


@verb("release", "inn vm release 7 --wait", waits=True)
@VMS
def release(inn: Invocation, vms: tuple[str, ...]) -> None:
    """Give held VMs to the scheduler."""
    act_on(inn, "vm.release", vms)


@verb("suspend", "inn vm suspend 7 --wait", "inn vm suspend 3 7 10..12", waits=True)
@VMS
def suspend(inn: Invocation, vms: tuple[str, ...]) -> None:
    """Save memory; the VMs stay on their hosts."""
    act_on(inn, "vm.suspend", vms)


@verb("resume", "inn vm resume 7 --wait", waits=True)
@VMS
def resume(inn: Invocation, vms: tuple[str, ...]) -> None:
    """Let suspended, stopped, undeployed or powered-off VMs go on."""
    act_on(inn, "vm.resume", vms)


@verb("stop", "inn vm stop 7 --wait", waits=True)
@VMS
def stop(inn: Invocation, vms: tuple[str, ...]) -> None:
    """Save memory and give the hosts' capacity back."""
    act_on(inn, "vm.stop", vms)


@verb("poweroff", "inn vm poweroff 7", "inn vm poweroff 7 --hard --wait", waits=True)
@VMS
@HARD
def poweroff(inn: Invocation, vms: tuple[str, ...], *, hard: bool) -> None:
    """Power guests off; the VMs stay on their hosts."""
    act_on(inn, "vm.poweroff", vms, hard=hard)


@verb("undeploy", "inn vm undeploy 7 --wait", waits=True)
@VMS
@HARD
def undeploy(inn: Invocation, vms: tuple[str, ...], *, hard: bool) -> None:
    """Power guests off and give the hosts' capacity back."""
    act_on(inn, "vm.undeploy", vms, hard=hard)


@verb("reboot", "inn vm reboot 7", "inn vm reboot 7 --hard", waits=True)
@VMS
@click.option("--hard", is_flag=True, help="As by the reset button.")
def reboot(inn: Invocation, vms: tuple[str, ...], *, hard: bool) -> None:
    """Restart guests."""
    act_on(inn, "vm.reboot", vms, hard=hard)


@verb("deploy", "inn vm deploy 7 host-a --wait", waits=True)
@click.argument("vm", metavar="VM", shell_complete=complete_vms)
@click.argument("host", metavar="HOST", shell_complete=HOSTS)
def deploy(inn: Invocation, vm: str, host: str) -> None:
    """Deploy a waiting VM on the host that you choose."""
    act_on(inn, "vm.deploy", (vm,), host=host)


@verb("migrate", "inn vm migrate 7 host-b --live --wait", "inn vm migrate 7", waits=True)
@click.argument("vm", metavar="VM", shell_complete=complete_vms)
@click.argument("host", metavar="[HOST]", required=False, shell_complete=HOSTS)
@click.option("--live", is_flag=True, help="While it runs, instead of saved and restored.")
@click.option("--off", type=click.Choice(("off", "hard")), help="Powered off (at once: hard), to boot again there.")
def migrate(inn: Invocation, vm: str, host: str | None, off: str | None, *, live: bool) -> None:
    """Move a VM to another host.

    Without HOST the scheduler chooses.
    """
    act_on(inn, "vm.migrate", (vm,), host=host, live=live, off=off)


@verb("shutdown", "inn vm shutdown 7 --wait", waits=True)
@VMS
@HARD
def shutdown(inn: Invocation, vms: tuple[str, ...], *, hard: bool) -> None:
    """Power guests off, then delete their disks."""
    act_on(inn, "vm.shutdown", vms, hard=hard)


@verb("terminate", "inn vm terminate 7", "inn vm terminate 3 7 10..12 --hard --wait", waits=True)
@VMS
@HARD
def terminate(inn: Invocation, vms: tuple[str, ...], *, hard: bool) -> None:
    """End VMs in any state and delete their disks."""
    act_on(inn, "vm.terminate", vms, hard=hard)


@verb("cancel", "inn vm cancel 7 --wait", waits=True)
@VMS
def cancel(inn: Invocation, vms: tuple[str, ...]) -> None:
    """Cancel what VMs are busy with."""
    act_on(inn, "vm.cancel", vms)


@verb("recover", "inn vm recover 7 --retry --wait", "inn vm recover 7 --rollback", waits=True)
@VMS
@click.option("--retry", is_flag=True, help="Do what failed again.")
@click.option("--rollback", is_flag=True, help="Go back to before it.")
@click.option("--recreate", is_flag=True, help="Delete what it has on hosts and begin anew.")
@click.option("--delete", is_flag=True, help="End it by force; nothing of it is kept.")
def recover(inn: Invocation, vms: tuple[str, ...], **ways: bool) -> None:
    """Retry what failed, or go back to before it."""
    chosen = [way for way, wanted in ways.items() if wanted]
    if len(chosen) != 1:
        raise click.UsageError("Say how: either --retry, which does what failed again, or --rollback, to before it.")
    act_on(inn, "vm.recover", vms, how=chosen[0])


@verb("wait", "inn vm wait 7 --timeout 5m", "inn vm wait 3 7 10..12 --for SUSPENDED", timed=True)
@VMS
@click.option(
    "--for",
    "state",
    type=click.Choice(STATES, case_sensitive=False),
    default="RUNNING",
    show_default=True,
    metavar="STATE",
    help="State to wait for.",
)
def wait(inn: Invocation, vms: tuple[str, ...], state: str) -> None:
    """Wait until VMs are running, or in another state.

    Exits with 1 if a VM fails or ends instead.
    """
    wanted = frozenset({state.upper()})
    tally = Tally(inn)
    until = wanted | {"FAILED", "DONE"}
    tally.each(expanded(vms), lambda text: tally.running(vm_id_of(inn, text), until, wanted))
    tally.finish()
