"""Why a VM waits, in one sentence for its record; the whole of it is told by ``reasons``."""

from collections.abc import Iterator, Mapping

from innkeeper_controller.cluster import Cluster
from innkeeper_controller.indexes.host_views import state_word
from innkeeper_controller.records import Host, VmRecord
from innkeeper_controller.scheduling.answers.asking import ask
from innkeeper_controller.scheduling.answers.verdicts import nearest_words
from innkeeper_controller.scheduling.choice.search import Search
from innkeeper_controller.scheduling.model import Demand
from innkeeper_controller.scheduling.words import few

NO_HOST = "There is no host yet."
#: Clauses that are named in the sentence.
_NAMED = 3
#: A sentence that would be longer does without the nearest host.
_LONGEST = 400


def why_waits(cluster: Cluster, vm: VmRecord, demand: Demand, search: Search) -> str:
    """Return why a VM that the scheduler has just looked at was not placed, one sentence.

    Args:
        cluster: All records.
        vm: The VM.
        demand: What it asks; hosts that were tried in vain are excluded there.
        search: The fleet, with all that has to hold.
    """
    out_of_reach = beyond_reach(cluster, vm)
    if out_of_reach:
        return out_of_reach
    asked = ask(demand, search)
    nearest = nearest_words(asked)
    if len(asked.at) and not asked.numbers.all():
        return f"Hosts could take it, but those that were tried cannot start it; `inn vm why {vm.vm_id}` says why."
    return waiting_words(asked.counts, len(asked.at), nearest)


def waiting_words(counts: Mapping[str, int], hosts: int, nearest: str = "") -> str:
    """Return the sentence, like ``None of 12 hosts can take it: memory keeps 9 out, cpu 3; h3 comes closest, ...``.

    Args:
        counts: ``{clause: hosts that fail it}``, the one that most fail first.
        hosts: How many there are.
        nearest: The host that comes closest and what it lacks; empty to leave it out.
    """
    if not hosts:
        return NO_HOST
    if not counts:
        return "A host could take it, but its images or files are on no host that is there."
    (first, most), *others = list(counts.items())[:_NAMED]
    more = "".join(f", {name} {count:,}" for name, count in others)
    rest = " and others" if len(counts) > _NAMED else ""
    keeps = "keep" if first.endswith("s") else "keeps"
    text = f"None of {hosts:,} hosts can take it: {first} {keeps} {most:,} out{more}{rest}"
    if hosts == 1:
        text = f"The only host cannot take it: {', '.join(counts)} {'keeps' if len(counts) == 1 else 'keep'} it out"
    return f"{text}; {nearest}." if nearest and len(text) + len(nearest) < _LONGEST else f"{text}."


def beyond_reach(cluster: Cluster, vm: VmRecord) -> str:
    """Return which image or file of a VM is on no host that is there, one sentence; empty where all are."""
    return next(_out_of_reach(cluster, vm), "")


def _out_of_reach(cluster: Cluster, vm: VmRecord) -> Iterator[str]:
    if vm.sealed:
        old = cluster.hosts.get(vm.sealed_on) if vm.sealed_on is not None else None
        if old is None:
            yield "Its files lay on a host that was deleted."
        elif not old.connected:
            yield f"Its files lie on host {old.name}, which is {state_word(old)}."
    for ref in vm.spec.images:
        holders = [cluster.hosts[host_id] for host_id in cluster.placement.holders.get(ref.sha256, ())]
        if not any(host.connected for host in holders):
            yield f"Image {ref.name} is on {_absent(holders)}."


def _absent(holders: list[Host]) -> str:
    if not holders:
        return "no host"
    if len(holders) == 1:
        return f"host {holders[0].name} only, which is {state_word(holders[0])}"
    return f"{few([host.name for host in holders])} only, and none of them is there"
