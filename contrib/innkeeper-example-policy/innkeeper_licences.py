"""Licensed software runs where its licence is, and the wind drives what it can: a clause, a score and a policy."""

from collections.abc import Iterable

from innkeeper_plugins.hookspecs import hookimpl
from innkeeper_plugins.scheduling import Asked, BoolArray, Clause, FloatArray, Hosts, OneHost, Score


def licensed(asked: Asked, hosts: Hosts) -> BoolArray:
    """The host's label ``licences`` ("oracle,matlab") has what the VM's template says: LICENSE = "oracle"."""
    name = asked.attributes["LICENSE"]
    return hosts.each(("licence", name), lambda host: name in host.labels.get("licences", "").split(","))


def unlicensed(asked: Asked, host: OneHost) -> str:
    """Tell which licence is missing, and which the host has."""
    return f"no licence for {asked.attributes['LICENSE']}; it has {host.view.labels.get('licences') or 'none'}"


def green(_asked: Asked, hosts: Hosts) -> FloatArray:
    """Prefer hosts with the label ``power=green``."""
    return 1.0 * hosts.each("green", lambda host: host.labels.get("power") == "green")


@hookimpl
def register_scheduling_clauses() -> Iterable[tuple[str, Clause]]:
    """Bring the clause, which concerns VMs whose template has LICENSE."""
    concerns = lambda asked: "LICENSE" in asked.attributes  # noqa: E731 - as short as it is clear
    return [("licence", Clause(holds=licensed, words=unlicensed, concerns=concerns))]


@hookimpl
def register_scheduling_scores() -> Iterable[tuple[str, Score]]:
    """Bring the score, which counts a quarter in the built-in policies."""
    return [("green power", Score(of=green, weight=0.25))]


@hookimpl
def register_scheduling_policies() -> Iterable[tuple[str, dict[str, float]]]:
    """Bring the policy ``wind``: green hosts first, and of those the fullest."""
    return [("wind", {"green_power": 2.0, "packing": 1.0})]
