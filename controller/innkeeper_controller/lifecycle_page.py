"""Writes ``docs/lifecycle.md`` from the lifecycle table.

``python -m innkeeper_controller.lifecycle_page > docs/lifecycle.md``
"""

import itertools
import sys

from innkeeper_controller.lifecycle import CORRECTIONS, MOVES, ROUTES
from innkeeper_plugins.vocabulary import VmState

_HEAD = """# The life of a VM

This page is made from the tables in `controller/innkeeper_controller/lifecycle.py`; do not edit it by hand.
While an operation runs, only that operation moves the VM.
An operation that fails and was taken back leaves the VM where it was, unless its row says FAILED.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    return f"{_HEAD}\n{_diagram()}\n{_operations()}\n{_moves()}\n{_corrections()}"


def _edges() -> list[tuple[str, str, str]]:
    edges: dict[tuple[str, str, str], None] = {}
    for kind, ways in ROUTES.items():
        for way in ways:
            for origin in sorted(way.origins):
                stops = [origin, *way.through, way.to or origin]
                for here, there in itertools.pairwise(stops):
                    if here is not there:
                        edges[here.value, there.value, kind.value] = None
    for (state, request), to in MOVES.items():
        edges[state.value, to.value, request] = None
    return list(edges)


def _diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {VmState.PENDING}", f"    [*] --> {VmState.HOLD}"]
    grouped: dict[tuple[str, str], list[str]] = {}
    for here, there, label in _edges():
        grouped.setdefault((here, there), []).append(label)
    lines += [f"    {here} --> {there}: {', '.join(labels)}" for (here, there), labels in grouped.items()]
    return "\n".join([*lines, f"    {VmState.DONE} --> [*]", "```", ""])


def _operations() -> str:
    lines = [
        "## Operations",
        "",
        "| operation | from | through | to | if it fails | what it does |",
        "|---|---|---|---|---|---|",
    ]
    for kind, ways in ROUTES.items():
        for way in ways:
            fails = "FAILED" if way.fails else "as before" if way.stays else "back, or FAILED"
            through = " ".join(way.through) or "-"
            origins = " ".join(sorted(way.origins))
            lines.append(f"| {kind} | {origins} | {through} | {way.to or 'as before'} | {fails} | {way.why} |")
    return "\n".join([*lines, ""])


def _moves() -> str:
    lines = ["## Requests that need no host", "", "| state | request | becomes |", "|---|---|---|"]
    lines += [f"| {state} | {request} | {to} |" for (state, request), to in MOVES.items()]
    return "\n".join([*lines, ""])


def _corrections() -> str:
    lines = ["## What a host says of a VM at rest", "", "| state | the guest is | becomes |", "|---|---|---|"]
    lines += [f"| {state} | {power} | {to} |" for (state, power), to in CORRECTIONS.items()]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.stdout.write(page())
