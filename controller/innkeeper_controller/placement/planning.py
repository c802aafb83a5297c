"""Plans of VMs to come: where they would go if they were submitted now, and submitting them exactly so.

The hosts are a copy of the cluster's and what is looked at is stored nowhere; only ``apply`` changes anything, and it
refuses where what the plan saw no longer holds.
"""

from collections.abc import Iterable, Mapping

import msgspec

from innkeeper_controller import actions, submission
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.placement import prospects
from innkeeper_controller.placement.departures import policy_of_turn
from innkeeper_controller.placement.prospects import Batch, WantedVms, batch_of, line_with
from innkeeper_controller.placement.waits import waiting_words
from innkeeper_controller.records import VmRecord
from innkeeper_controller.scheduling.answers import what_if
from innkeeper_controller.scheduling.answers.verdicts import verdicts
from innkeeper_controller.scheduling.answers.what_if import Outcome
from innkeeper_controller.scheduling.choice.match_making import Placer
from innkeeper_controller.scheduling.model import Demand
from innkeeper_controller.turn import Mistake, RefusalError, Turn
from innkeeper_plugins.vocabulary import HostId, Value, VmId

_replace = msgspec.structs.replace


class OnHost(Value):
    """Those of the VMs that one host would get."""

    host_id: int
    host: str
    #: Counted from 0 in the order of their submission.
    numbers: tuple[int, ...]


class Misfit(Value):
    """Why a VM finds no host."""

    #: One sentence.
    why: str
    #: ``{clause: hosts that it keeps it out of}``
    counts: dict[str, int] = {}
    nearest_miss: str = ""
    #: What would help, a sentence each.
    remedies: tuple[str, ...] = ()


class SubmitPlan(Value):
    """What would happen if these VMs were submitted now."""

    #: ``submit``.
    kind: str
    #: Of the state that was seen; ``plan.apply`` refuses in another.
    version: str
    wanted: WantedVms
    #: By number of VMs, the most first.
    placed: tuple[OnHost, ...]
    #: VMs that would wait.
    waiting: int
    #: VMs that wait already, and how many of them were placed too, each in its turn of the queue.
    queued: int = 0
    queued_placed: int = 0
    #: Why the submission would be refused, a sentence each; empty where it would not.
    refusals: tuple[str, ...] = ()
    #: Why the first one that would wait would do so; None where none would.
    misfit: Misfit | None = None
    #: What the template's author should know although nothing is wrong.
    remarks: tuple[Mistake, ...] = ()


def placer_on_copy(turn: Turn) -> Placer:
    """Return what places VMs by the operator's policy, on hosts that nobody else sees."""
    return Placer(turn.cluster.fleet.copy(), policy_of_turn(turn), turn.cluster.placement.rules.clauses)


def check_version(turn: Turn, version: str, again: str) -> None:
    """Refuse a plan that saw another state of hosts and VMs than there is.

    Args:
        turn: The turn.
        version: What the plan saw.
        again: The command that makes it anew.

    Raises:
        RefusalError: ``stale``.
    """
    if turn.cluster.fleet.version() != version:
        raise RefusalError(
            "stale",
            "Hosts or VMs have come, gone, moved or changed since the plan was made, so that it may not hold any "
            f"more; make it anew: `{again}`.",
        )


_SUBMIT_AGAIN = "inn plan submit TEMPLATE -o json"


def plan(turn: Turn, wanted: WantedVms) -> SubmitPlan:
    """Return what would happen if these VMs were submitted now.

    Raises:
        RefusalError: ``bad_template``, ``bad_request``, ``forbidden`` or ``locked``.
    """
    batch = batch_of(turn, wanted)
    placer = placer_on_copy(turn)
    line = line_with(turn, batch)
    outcome = what_if.place_line(placer, line.units, turn.settings.scheduling.order, turn.cluster.queue.on_hosts)
    waiting = [vm_id for vm_id in batch.vm_ids if vm_id not in outcome.hosts]
    own = batch.count - len(waiting)
    placed_ids = {VmId(vm_id): outcome.hosts[VmId(vm_id)] for vm_id in batch.vm_ids if vm_id in outcome.hosts}
    return SubmitPlan(
        kind="submit",
        version=turn.cluster.fleet.version(),
        wanted=wanted,
        placed=_by_host(turn.cluster, batch, placed_ids),
        waiting=len(waiting),
        queued=len(turn.cluster.queue.waiting),
        queued_placed=len(outcome.hosts) - own,
        refusals=prospects.refusals(turn, batch),
        remarks=batch.blueprint.template.remarks,
        misfit=_misfit(batch, placer, {**line.left_out, **outcome.left_out}, VmId(waiting[0])) if waiting else None,
    )


def _by_host(cluster: Cluster, batch: Batch, hosts: Mapping[VmId, HostId]) -> tuple[OnHost, ...]:
    numbers: dict[HostId, list[int]] = {}
    for vm_id, host_id in hosts.items():
        numbers.setdefault(host_id, []).append(vm_id - batch.sample.vm_id)
    found = (OnHost(host_id=key, host=cluster.hosts[key].name, numbers=tuple(each)) for key, each in numbers.items())
    return tuple(sorted(found, key=lambda each: (-len(each.numbers), each.host_id)))


def _misfit(batch: Batch, placer: Placer, left_out: Mapping[VmId, str], vm_id: VmId) -> Misfit:
    if vm_id in left_out:
        return Misfit(why=left_out[vm_id])
    found = misfit_of(placer, _replace(batch.demand, vm_id=vm_id))
    if found is not None:
        return found
    return Misfit(why="The VMs are a gang, which is placed whole or not at all, and the hosts have not room for all.")


def misfit_of(placer: Placer, demand: Demand) -> Misfit | None:
    """Return why a VM fits on no host as they are; None where it does on one."""
    if not placer.fleet.row_of:
        return Misfit(why="There is no host yet.", remedies=("Add one: inn host add NAME.",))
    found = verdicts(demand, placer.search, limit=1)
    if found.fitting:
        return None
    return Misfit(
        why=waiting_words(found.counts, found.hosts_total),
        counts=found.counts,
        nearest_miss=found.nearest_miss,
        remedies=tuple(text for text in (found.remedy, found.smaller) if text),
    )


def apply(turn: Turn, version: str, wanted: WantedVms, placed: Iterable[OnHost]) -> tuple[VmRecord, ...]:
    """Submit the VMs and deploy them as planned, all or nothing; those that the plan had no host for wait.

    Who may have a host, and who stands in line before, is looked at anew: a plan is no proof.

    Raises:
        RefusalError: ``stale``, ``bad_request``, or as a submission and a deployment are refused.
    """
    check_version(turn, version, _SUBMIT_AGAIN)
    batch = batch_of(turn, wanted)
    hosts = _hosts_wanted(batch, placed)
    line, placer = line_with(turn, batch), placer_on_copy(turn)
    options, on_hosts = turn.settings.scheduling.order, turn.cluster.queue.on_hosts
    outcome: Outcome = what_if.place_line(placer, line.units, options, on_hosts, wanted=hosts)
    for vm_id, host_id in hosts.items():
        if host_id is not None and vm_id not in outcome.hosts:
            name = turn.cluster.hosts[host_id].name if host_id in turn.cluster.hosts else str(host_id)
            raise RefusalError(
                "stale",
                f"VM {vm_id - batch.sample.vm_id} of the plan can no longer go to {name}; make the plan anew: "
                f"`{_SUBMIT_AGAIN}`.",
            )
    records = submission.submit(turn, batch.blueprint, hold=False, count=batch.count)
    for record in records:
        host_id = hosts[record.vm_id]
        if host_id is not None:
            actions.deploy(turn, record, turn.cluster.hosts[host_id])
    return tuple(turn.cluster.vms[record.vm_id] for record in records)


def _hosts_wanted(batch: Batch, placed: Iterable[OnHost]) -> dict[VmId, HostId | None]:
    found: dict[VmId, HostId | None] = {VmId(vm_id): None for vm_id in batch.vm_ids}
    for each in placed:
        for number in each.numbers:
            vm_id = VmId(batch.sample.vm_id + number)
            if vm_id not in found or found[vm_id] is not None:
                raise RefusalError(
                    "bad_request",
                    f"The plan has VM {number} twice, or has no such VM; make it anew: `{_SUBMIT_AGAIN}`.",
                )
            found[vm_id] = HostId(each.host_id)
    return found
