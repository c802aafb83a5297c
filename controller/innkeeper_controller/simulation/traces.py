"""Traces of requests as columns, and how the lines of CSV and SWF become one.

Nothing here opens a file; lines come in as text.
"""

import csv
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NoReturn, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
#: ``(number of the line, one value for each column of _Rows; lifetime inf where it has no end)``
Row: TypeAlias = tuple[int, float, float, float, float, float]

#: Larger traces are refused before memory runs out.
MAX_REQUESTS: Final = 5_000_000
MAX_VMS: Final = 20_000_000
MAX_CORES: Final = 4096
MAX_MEMORY_GIB: Final = 64 * 1024
#: Longer than any machine has run.
MAX_TIME_S: Final = 1e11
MIB_OF_GIB: Final = 1024
KIB_OF_MIB: Final = 1024

CSV_COLUMNS: Final = ("arrival_s", "vcpus", "memory_gib", "lifetime_s")
SWF_COLUMNS: Final = 18
#: Where SWF has what is used here, counted from 0.
_SUBMIT, _RUN, _PROCESSORS, _WANTED_PROCESSORS, _WANTED_MEMORY_KIB = 1, 3, 4, 7, 9
#: Of a processor of an SWF job that says nothing of memory.
DEFAULT_MEMORY_GIB: Final = 1.0


class TraceError(ValueError):
    """A trace cannot be used: where, and what was expected there."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in the order of their arrival; all columns have one length."""

    arrival_s: Floats
    #: Of each VM of the request.
    cpu_cores: Floats
    memory_mib: Integers
    #: From the start on; inf for VMs that were still running when the trace ended.
    lifetime_s: Floats
    #: VMs of the request; they start all at once or not at all.
    vms: Integers
    #: Lines of the file that ask for nothing: jobs that never ran.
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.arrival_s)

    def first(self, requests: int) -> "Trace":
        """Return only the first so many requests."""
        return Trace(
            arrival_s=self.arrival_s[:requests],
            cpu_cores=self.cpu_cores[:requests],
            memory_mib=self.memory_mib[:requests],
            lifetime_s=self.lifetime_s[:requests],
            vms=self.vms[:requests],
            left_out=self.left_out,
        )


def read_csv(name: str, lines: Iterable[str]) -> Trace:
    """Return the trace of lines with a header; columns other than ``CSV_COLUMNS`` are passed over.

    Args:
        name: Of the file, for errors.
        lines: From the first on.

    Raises:
        TraceError: a column is missing, or a line is wrong.
    """
    rows = csv.reader(lines)
    try:
        header = next((row for row in rows if row), [])
        missing = [column for column in CSV_COLUMNS if column not in header]
        if missing:
            text = f"the first line has no column {', '.join(missing)}; expected are {','.join(CSV_COLUMNS)}"
            raise TraceError(f"{name}:{max(1, rows.line_num)}: {text}.")
        return _trace(name, _csv_rows(name, rows, [header.index(column) for column in CSV_COLUMNS]))
    except csv.Error as error:
        raise TraceError(f"{name}:{rows.line_num}: this is no CSV: {error}.") from error


class _CsvRows(Protocol):
    """What the standard library's reader is."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> Iterator[list[str]]: ...


def _csv_rows(name: str, rows: _CsvRows, places: Sequence[int]) -> Iterator[Row]:
    arrival, cores, memory, lifetime = places
    for row in rows:
        if not row:
            continue
        try:
            ends = row[lifetime].strip()
            asked = float(row[arrival]), float(row[cores]), float(row[memory])
            yield rows.line_num, *asked, float(ends) if ends else math.inf, 1
        except (ValueError, IndexError):
            _refuse_csv(name, rows.line_num, row, places)


def _refuse_csv(name: str, line: int, row: Sequence[str], places: Sequence[int]) -> NoReturn:
    if len(row) <= max(places):
        expected = f"{max(places) + 1} columns at least"
        raise TraceError(f"{name}:{line}: {_fields(len(row))}, but the first line names {expected}.")
    for column, place in zip(CSV_COLUMNS, places, strict=True):
        text = row[place].strip()
        if not _is_number(text) and (text or column != "lifetime_s"):
            hint = " or nothing" if column == "lifetime_s" else ""
            raise TraceError(f"{name}:{line}: {column} is {_quoted(text)}; a number{hint} is expected.")
    raise AssertionError("one of the columns was wrong")


def read_swf(name: str, lines: Iterable[str], *, memory_gib: float = DEFAULT_MEMORY_GIB) -> Trace:
    """Return the trace of a file in the Standard Workload Format: a job of P processors is P VMs of one core.

    Args:
        name: Of the file, for errors.
        lines: From the first on.
        memory_gib: Of each VM of jobs that ask for no amount of memory.

    Raises:
        TraceError: a line is wrong.
    """
    never_ran: list[int] = []
    trace = _trace(name, _swf_rows(name, lines, memory_gib, never_ran))
    return replace(trace, left_out=len(never_ran))


def _swf_rows(name: str, lines: Iterable[str], memory_gib: float, never_ran: list[int]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or fields[0].startswith(";"):
            continue
        if len(fields) < SWF_COLUMNS:
            text = f"{_fields(len(fields))}; a job of the Standard Workload Format has {SWF_COLUMNS}"
            raise TraceError(f"{name}:{number}: {text}.")
        try:
            row = _job(number, fields, memory_gib)
        except ValueError as error:
            wrong = next((field for field in fields if not _is_number(field)), line)
            raise TraceError(f"{name}:{number}: {_quoted(wrong)} is no number.") from error
        if row[4] < 0 or row[5] <= 0:
            never_ran.append(number)
        else:
            yield row


def _job(number: int, fields: Sequence[str], memory_gib: float) -> Row:
    wanted = float(fields[_WANTED_PROCESSORS])
    processors = wanted if wanted > 0 else float(fields[_PROCESSORS])
    memory_kib = float(fields[_WANTED_MEMORY_KIB])
    memory = memory_kib / KIB_OF_MIB / MIB_OF_GIB if memory_kib > 0 else memory_gib
    return number, float(fields[_SUBMIT]), 1.0, memory, float(fields[_RUN]), processors


def _trace(name: str, rows: Iterator[Row]) -> Trace:
    numbers = array("q")
    flat = array("d")
    for line, *values in rows:
        numbers.append(line)
        flat.extend(values)
        if len(numbers) > MAX_REQUESTS:
            raise TraceError(f"{name}:{line}: more than {MAX_REQUESTS:,} requests; give a shorter trace.")
    if not numbers:
        raise TraceError(f"{name}: nothing is asked for in it; a CSV begins with the line {','.join(CSV_COLUMNS)}.")
    arrival, cores, memory_gib, lifetime, vms = np.array(flat, dtype=np.float64).reshape(-1, 5).T
    _check(name, numbers, {"arrival": arrival, "cores": cores, "memory": memory_gib, "lifetime": lifetime, "VMs": vms})
    order = np.argsort(arrival, kind="stable")
    return Trace(
        arrival_s=arrival[order],
        cpu_cores=cores[order],
        # Up, since a VM takes what it was promised and not a fraction less.
        memory_mib=np.maximum(1, np.ceil(memory_gib[order] * MIB_OF_GIB)).astype(np.int64),
        lifetime_s=lifetime[order],
        vms=vms[order].astype(np.int64),
    )


def _check(name: str, numbers: Sequence[int], columns: Mapping[str, Floats]) -> None:
    """Refuse the first line with a value that nothing can be made of."""
    lifetime = columns["lifetime"]
    rules = (
        ("arrival", np.abs(columns["arrival"]) <= MAX_TIME_S, f"seconds, {MAX_TIME_S:.0e} at most"),
        ("cores", (columns["cores"] > 0) & (columns["cores"] <= MAX_CORES), f"more than 0, {MAX_CORES} at most"),
        (
            "memory",
            (columns["memory"] > 0) & (columns["memory"] <= MAX_MEMORY_GIB),
            f"more than 0 and {MAX_MEMORY_GIB} GiB at most",
        ),
        ("lifetime", (lifetime >= 0) & ((lifetime <= MAX_TIME_S) | np.isinf(lifetime)), "seconds, 0 at least"),
        ("VMs", (columns["VMs"] >= 1) & (np.cumsum(columns["VMs"]) <= MAX_VMS), f"{MAX_VMS:,} at most in a trace"),
    )
    wrong = [(int(np.argmin(good)), what, expected) for what, good, expected in rules if not good.all()]
    if wrong:
        at, what, expected = min(wrong)
        text = f"{what} of {columns[what][at]:.10g}; expected is {expected}"
        raise TraceError(f"{name}:{numbers[at]}: {text}.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _fields(count: int) -> str:
    return f"{count} field{'' if count == 1 else 's'}"


def _quoted(text: str) -> str:
    shown = text if len(text) <= 40 else f"{text[:40]}..."  # noqa: PLR2004 - enough to find it by
    return ascii(shown)
