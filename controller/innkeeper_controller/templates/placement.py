"""Requirement and rank of a template: whether they mean something, and whether hosts know what they ask for."""

from collections.abc import Callable, Collection

from innkeeper_controller.expressions import ExpressionError, compile_rank, compile_requirement
from innkeeper_controller.expressions.names import KNOWN, unknown_names
from innkeeper_controller.expressions.requirements import mixes_signs
from innkeeper_controller.expressions.syntax import Rank, Requirement
from innkeeper_controller.templates.validation import Checked, Entry


def requirements_of(checked: Checked, known: Collection[str]) -> str:
    """Return the requirement expression of a VM; empty for none."""
    found = _chosen(checked, "SCHED_REQUIREMENTS", "REQUIREMENTS")
    if found is None:
        return ""
    name, entry = found
    tree = _tree(checked, name, entry, lambda text: compile_requirement(text).tree, known)
    text = str(entry.value)
    if tree is not None and mixes_signs(text):
        hint = "& and | go from left to right, whichever comes first; parentheses make sure of what is meant."
        checked.findings.remark((entry.line, entry.column), name, hint)
    return text


def rank_of(checked: Checked, known: Collection[str]) -> str:
    """Return the rank expression of a VM; empty for none."""
    found = _chosen(checked, "SCHED_RANK", "RANK")
    if found is None:
        return ""
    name, entry = found
    _tree(checked, name, entry, lambda text: compile_rank(text).tree, known)
    return str(entry.value)


def _chosen(checked: Checked, name: str, old_name: str) -> tuple[str, Entry] | None:
    """Return the attribute under its new name, or under its old one where only that was given."""
    entries = checked.top.entries
    if name in entries and old_name in entries:
        text = f"{old_name} is the old name of {name}, which counts here; delete {old_name}."
        checked.findings.remark(checked.top.place(old_name), old_name, text)
    return next(((each, entries[each]) for each in (name, old_name) if each in entries), None)


def _tree(
    checked: Checked,
    name: str,
    entry: Entry,
    parse: Callable[[str], Requirement | Rank],
    known: Collection[str],
) -> Requirement | Rank | None:
    """Return the tree of an expression, or None after its mistake was told; and tell of attributes that no host has."""
    text = str(entry.value)
    try:
        tree = parse(text)
    except ExpressionError as error:
        checked.findings.mistake(_place(entry, error.position), name, f"{name}: {error.message}", error.suggestion)
        return None
    for unknown in unknown_names(text, tree, known):
        place = _place(entry, unknown.position)
        if unknown.suggestion in KNOWN:
            checked.findings.mistake(place, name, f"{name}: {unknown.message}", unknown.suggestion)
        else:
            # A host that comes later may have it: GPU_1 is not to be refused because there is a GPU_0.
            hint = f" Did you mean {unknown.suggestion}?" if unknown.suggestion else ""
            text = f"{name}: {unknown.message} Hosts without it count as not having it.{hint}"
            checked.findings.remark(place, name, text)
    return tree


def _place(entry: Entry, position: int) -> tuple[int, int]:
    """Return the place of a character of a value that was written in one line without escapes; else where it begins."""
    text = str(entry.value)
    if not entry.line or "\n" in text or '"' in text[:position]:
        return entry.line, entry.column
    return entry.line, entry.column + position
