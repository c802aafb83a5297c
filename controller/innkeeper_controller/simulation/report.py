"""What a run came to as values for programs and as pictures; it measures nothing and writes nothing."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from innkeeper_controller.simulation.host_shapes import HostShape
from innkeeper_controller.simulation.measures import Measures
from innkeeper_controller.simulation.plots import Curve, Plot, svg
from innkeeper_controller.simulation.run import Outcome
from innkeeper_controller.simulation.traces import Floats

_PERCENT = 100


def as_json(measures: Measures, *, trace: str, hosts: str, policy: str, left_out: int) -> dict[str, Any]:
    """Return the measures for programs, with what they were made from; ``left_out`` are jobs that never ran."""
    built: dict[str, Any] = msgspec.to_builtins(measures)
    return {"trace": trace, "hosts_spec": hosts, "policy": policy, "left_out": left_out, **built}


def pictures(
    outcome: Outcome, shapes: Sequence[HostShape], measures: Measures, *, trace: str, policy: str
) -> dict[str, str]:
    """Return ``{file name: text of the SVG}``."""
    course = outcome.course
    time_s = np.array(course.time_s)
    cores = sum(shape.count * shape.capacity.cpu_cores for shape in shapes)
    memory_mib = sum(shape.count * shape.capacity.memory_mib for shape in shapes)
    of = f"{trace}, policy {policy}"
    cpu = Curve(name="CPU", time_s=time_s, values=_percent(course.cores_used, cores))
    memory = Curve(name="memory", time_s=time_s, values=_percent(course.memory_used_mib, memory_mib))
    used = Curve(name="hosts in use", time_s=time_s, values=np.array(course.hosts_used))
    bound = Curve(name="fluid bound", time_s=time_s[:1], values=np.full(len(time_s[:1]), measures.fluid_bound_hosts))
    waiting = Curve(name="VMs", time_s=time_s, values=np.array(course.vms_waiting))
    return {
        "utilisation.svg": svg(_plot(outcome, f"Capacity given away: {of}", "of all hosts, %", cpu, memory)),
        "hosts.svg": svg(_plot(outcome, f"Hosts with a VM at least: {of}", "hosts", used, bound)),
        "waiting.svg": svg(_plot(outcome, f"VMs that wait for room: {of}", "VMs", waiting)),
    }


def _plot(outcome: Outcome, title: str, axis: str, *curves: Curve) -> Plot:
    return Plot(title=title, axis=axis, curves=curves, end_s=outcome.end_s)


def _percent(used: Sequence[float], total: float) -> Floats:
    return np.array(used) * (_PERCENT / total)
