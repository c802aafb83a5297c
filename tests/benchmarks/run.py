#!/usr/bin/env python3
"""Runs the benchmarks, prints one table and writes ``build/bench.json``.

Every ``bench_NAME.py`` beside it has a function ``rows()`` that measures and returns a list of
``{"name": ..., "value": ..., "unit": ..., "bound": ..., "holds": ...}``: ``bound`` is a text such as ``<= 1.2`` or None
for what is only told, ``holds`` is True, False or None accordingly.
Each benchmark has a process of its own, so that none measures what another has left.
A bound that does not hold is told loudly and changes nothing else; a benchmark that breaks makes the run fail.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPORT = HERE.parents[1] / "build" / "bench.json"
KEYS = ("name", "value", "unit", "bound", "holds")
TIMEOUT_S = 1800

Row = Mapping[str, Any]


def found() -> list[str]:
    """Return the names of all benchmarks."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def measure(name: str, output: Path) -> None:
    """Run one benchmark in this process and write its rows.

    Raises:
        ValueError: a row has not exactly the keys that it must have.
    """
    sys.path.insert(0, str(HERE))
    rows = list(importlib.import_module(f"bench_{name}").rows())
    for row in rows:
        if sorted(row) != sorted(KEYS):
            raise ValueError(f"bench_{name}: a row has {sorted(row)} instead of {sorted(KEYS)}")
    output.write_text(json.dumps(rows))


def measured_apart(name: str) -> list[Row] | None:
    """Run one benchmark in a process of its own and return its rows; None where it broke."""
    with tempfile.TemporaryDirectory(prefix="innkeeper-bench-") as directory:
        output = Path(directory) / "rows.json"
        argv = [sys.executable, str(Path(__file__).resolve()), "--measure", name, "--output", str(output)]
        try:
            subprocess.run(argv, check=True, timeout=TIMEOUT_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            sys.stderr.write(f"bench_{name} broke: {error}\n")
            return None
        return list(json.loads(output.read_text()))


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out in columns, the numbers aligned at the right."""
    cells = [("", "value", "unit", "bound", "")]
    cells += [
        (row["name"], number(row["value"]), row["unit"], str(row["bound"] or ""), verdict(row["holds"])) for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        f"{name:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  {bound:<{widths[3]}}  {holds}".rstrip()
        for name, value, unit, bound, holds in cells
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]]) + "\n"


def number(value: float | str) -> str:
    """Write a number with as many digits as mean something."""
    if isinstance(value, str):
        return value
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def verdict(holds: bool | None) -> str:  # noqa: FBT001 - a column of the table
    """Say whether the bound holds; nothing where there is no bound."""
    return {True: "holds", False: "DOES NOT HOLD", None: ""}[holds]


def run(names: Iterable[str]) -> int:
    """Run these benchmarks one after the other; the exit status."""
    rows: list[Row] = []
    broken: list[str] = []
    for name in names:
        sys.stderr.write(f"bench: {name}\n")
        sys.stderr.flush()
        measured = measured_apart(name)
        rows += measured or []
        broken += [name] if measured is None else []
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(rows, indent=2) + "\n")
    sys.stdout.write(table(rows))
    missed = [row["name"] for row in rows if row["holds"] is False]
    if missed:
        sys.stdout.write(f"\n!!! {len(missed)} of {len(rows)} bounds do NOT hold: {'; '.join(missed)}\n")
    if broken:
        sys.stdout.write(f"\n!!! broken: {', '.join(broken)}\n")
    return 1 if broken else 0


def main() -> int:
    """Read the command line and run what it names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=found(), help="run only this one; repeatable"
    )
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.output)
        return 0
    return run(arguments.only or found())


if __name__ == "__main__":
    sys.exit(main())
