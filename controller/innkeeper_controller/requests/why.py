"""The request that explains where a VM is, host by host while it waits."""

from typing import Any

from innkeeper_controller.placement import reasons
from innkeeper_controller.records import Moment
from innkeeper_controller.requests import find
from innkeeper_controller.requests.views import OperationView, operation_view
from innkeeper_controller.scheduling import model
from innkeeper_controller.scheduling.answers.remedies import joined
from innkeeper_controller.scheduling.model import Alike
from innkeeper_controller.turn import Turn
from innkeeper_plugins.vocabulary import Value


class WhyVm(Value):
    """A VM, and of how many hosts it is to be told why they can or cannot take it."""

    vm_id: int
    #: The best, then those that come closest; all hosts are counted.
    limit: int = 100
    #: Tell of all hosts.
    all: bool = False


class HostVerdict(Value):
    """Why one host can or cannot take the VM."""

    host: str
    fits: bool
    #: ``(clause, why, with the numbers)``
    obstacles: tuple[tuple[str, str], ...] = ()
    #: ``{score: value}``, with ``rank`` where the VM has one and the weighted ``total``.
    scores: dict[str, float] = {}
    #: What would let the VM in there, behind "it would take it"; empty where nobody can say.
    remedy: str = ""


class Why(Value):
    """Why the VM is where it is."""

    vm_id: int
    name: str
    state: str
    #: One sentence.
    reason: str
    #: What to do about it, one sentence; empty for nothing.
    advice: str = ""
    #: Place among the waiting, counted from 1; 0 where it does not wait.
    queue_position: int = 0
    #: The same in words, with the points that put it there.
    queue: str = ""
    #: When it has waited as long as it may; None where it may wait for ever.
    gives_up_at_s: Moment | None = None
    #: The first hosts, best first, then those that come closest.
    hosts: tuple[HostVerdict, ...] = ()
    #: How many hosts there are, and how many of them fit.
    hosts_total: int = 0
    fitting: int = 0
    #: ``{clause: hosts that it keeps out}``; of nodes and devices those that nothing else keeps out.
    counts: dict[str, int] = {}
    #: Hosts that do not fit, by the clauses that keep them out, the most first.
    alike: tuple[Alike, ...] = ()
    #: The policy, and ``{score: weight}`` of its scores that say anything of this VM.
    policy: str = ""
    weights: dict[str, float] = {}
    nearest_miss: str = ""
    #: The smallest changes that would make it fit, one sentence each: of a host, of the VM, by the end of others.
    remedies: tuple[str, ...] = ()
    #: The VMs whose end would make it fit.
    ends_vm_ids: tuple[int, ...] = ()
    operation: OperationView | None = None


def why(turn: Turn, params: WhyVm) -> Why:
    """Explain the VM's state, and for one that waits each host's verdict."""
    vm = find.vm(turn, params.vm_id)
    operation = find.operation_of(turn.cluster, vm)
    explained: dict[str, Any] = reasons.explain(turn, vm, operation, None if params.all else max(0, params.limit))
    explained["hosts"] = tuple(_host_verdict(each) for each in explained.get("hosts", ()))
    return Why(
        vm_id=vm.vm_id,
        name=vm.name,
        state=vm.state.value,
        operation=operation_view(turn.cluster, operation) if operation else None,
        **explained,
    )


def _host_verdict(verdict: model.HostVerdict) -> HostVerdict:
    remedies = [each.remedy for each in verdict.obstacles]
    return HostVerdict(
        host=verdict.host_name,
        fits=verdict.fits,
        obstacles=tuple((each.clause, each.message) for each in verdict.obstacles),
        scores=verdict.scores,
        remedy=joined(remedies) if all(remedies) else "",
    )
