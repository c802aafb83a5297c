"""Columns made from a list of hosts, as plainly as can be: what masks and rank vectors are tested on."""

from dataclasses import dataclass

import numpy as np

from innkeeper_controller.expressions.names import CURRENT_VMS, DYNAMIC


@dataclass(frozen=True)
class ListedCode:
    codes: np.ndarray
    values: tuple


class ListedColumns:
    """Either all hosts have an attribute of ``DYNAMIC`` or none; others they may have or not."""

    def __init__(self, hosts):
        self.hosts = hosts
        self.count = len(hosts)
        names = {name for host in hosts for name in host} - {CURRENT_VMS}
        self.columns = {name: self._numbers(name) for name in names & DYNAMIC}
        self.said = {name: self._code(name) for name in names - DYNAMIC}

    def _numbers(self, name):
        return np.array([_float(host[name]) for host in self.hosts], dtype=np.float64)

    def _code(self, name):
        numbers = {}
        codes = [numbers.setdefault(_identity(host[name]), len(numbers)) if name in host else -1 for host in self.hosts]
        values = {codes[row]: host[name] for row, host in enumerate(self.hosts) if name in host}
        return ListedCode(np.array(codes, dtype=np.int32), tuple(values[code] for code in range(len(numbers))))

    def number(self, name):
        return self.columns.get(name)

    def coded(self, name):
        return self.said.get(name)

    def rows_with_vm(self, vm_id):
        return [row for row, host in enumerate(self.hosts) if vm_id in host[CURRENT_VMS]]

    def vm_ids(self, row):
        return self.hosts[row][CURRENT_VMS]


def _identity(actual):
    if isinstance(actual, tuple):
        return tuple(map(_identity, actual))
    return actual.__class__, hex(actual) if isinstance(actual, int) else repr(actual)


def _float(number):
    try:
        return float(number)
    except OverflowError:
        return float("nan")
