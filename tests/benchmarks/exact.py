"""Says on how few hosts VMs fit, by an exact solver: a program of its own, so that a limit of time holds.

JSON on standard input: ``sizes`` (cores, MiB and number of VMs of each size), ``host`` (cores, MiB), ``at_most`` hosts
and ``time_limit_s``; on standard output ``hosts`` of the best packing found and the ``bound`` that none is below.
"""

import json
import math
import sys
from typing import Any

import highspy


def solve(asked: dict[str, Any]) -> dict[str, int]:
    """Return the hosts of the best packing, and the bound."""
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)  # noqa: FBT003 - the solver's own signature
    solver.setOptionValue("time_limit", float(asked["time_limit_s"]))
    solver.setOptionValue("threads", 1)
    hosts = range(asked["at_most"])
    used = [solver.addBinary(obj=1.0) for _ in hosts]
    placed = [[solver.addIntegral(lb=0.0, ub=float(count)) for _ in hosts] for *_, count in asked["sizes"]]
    for line, (*_, count) in zip(placed, asked["sizes"], strict=True):
        solver.addConstr(sum(line) == count)
    for host in hosts:
        for resource, capacity in enumerate(asked["host"]):
            taken = sum(
                line[host] * (size[resource] / capacity) for line, size in zip(placed, asked["sizes"], strict=True)
            )
            solver.addConstr(taken <= used[host])
        if host:
            # Hosts are alike: those in use come first.
            solver.addConstr(used[host] <= used[host - 1])
    solver.run()
    info = solver.getInfo()
    return {"hosts": round(info.objective_function_value), "bound": math.ceil(info.mip_dual_bound - 1e-6)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(solve(json.load(sys.stdin))))
