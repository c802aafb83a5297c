"""A stand-in for the scheduler's core: plain best fit, with books of its own; and traces written by hand."""

import math

import numpy as np

from innkeeper_controller.scheduling.model import NoPlacement, Placement
from innkeeper_controller.simulation.host_shapes import capacities, parse_hosts
from innkeeper_controller.simulation.traces import Trace
from innkeeper_plugins.vocabulary import HostId


class BestFit:
    """Takes the fullest host that has room, of several the first."""

    def __init__(self, hosts="2x4c8g", moves=()):
        shapes = capacities(parse_hosts(hosts))
        self.total = np.array([[shape.cpu_cores, shape.memory_mib] for shape in shapes], dtype=float)
        self.free = self.total.copy()
        self.on = {}
        #: ``(now_s, verb, vm_id)`` of everything that was asked.
        self.asked = []
        #: ``{now_s: moves}``
        self.planned = dict(moves)

    def place(self, demand, *, now_s):
        self.asked.append((now_s, "place", demand.vm_id))
        need = np.array([demand.capacity.cpu_cores, demand.capacity.memory_mib])
        fits = (self.free + 1e-6 >= need).all(axis=1)
        if not fits.any():
            short = self.free + 1e-6 < need
            counts = {"cpu": int(short[:, 0].sum()), "memory": int(short[:, 1].sum())}
            return NoPlacement(vm_id=demand.vm_id, counts={name: count for name, count in counts.items() if count})
        left = ((self.free - need) / self.total).sum(axis=1)
        row = int(np.where(fits, left, np.inf).argmin())
        self.free[row] -= need
        self.on[demand.vm_id] = row, need
        return Placement(vm_id=demand.vm_id, host_id=HostId(row + 1), rank=0.0, score=float(left[row]))

    def end(self, vm_id, *, now_s):
        self.asked.append((now_s, "end", vm_id))
        row, need = self.on.pop(vm_id)
        self.free[row] += need

    def moves(self, now_s):
        moves = self.planned.pop(now_s, ())
        for move in moves:
            row, need = self.on[move.vm_id]
            self.free[row] += need
            self.free[move.host_id - 1] -= need
            self.on[move.vm_id] = move.host_id - 1, need
        return moves

    def made_room(self):
        return ()


def trace_of(*requests):
    """Return the trace of ``(arrival_s, cores, memory_mib, lifetime_s or None, VMs)``; the last may be left out."""
    rows = [(*request, 1)[:5] for request in requests]
    arrival_s, cores, memory_mib, lifetime_s, vms = zip(*rows, strict=True)
    return Trace(
        arrival_s=np.array(arrival_s, dtype=float),
        cpu_cores=np.array(cores, dtype=float),
        memory_mib=np.array(memory_mib, dtype=np.int64),
        lifetime_s=np.array([math.inf if each is None else each for each in lifetime_s], dtype=float),
        vms=np.array(vms, dtype=np.int64),
    )
