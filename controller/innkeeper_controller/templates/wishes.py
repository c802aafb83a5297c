"""What a template asks of the scheduler beside room: priority, gang, and whom the VM wants near or far.

Whether the VMs that it names exist is not known here.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from innkeeper_controller.scheduling.wishes import HOST_SCOPE, Gang, Relation, Term, Wishes
from innkeeper_controller.templates.attributes import Attribute, Pair
from innkeeper_controller.templates.errors import TemplateError
from innkeeper_controller.templates.kept import merged
from innkeeper_controller.templates.validation import Checked, Findings, Group, check
from innkeeper_controller.templates.vocabulary import WISHES_TABLE
from innkeeper_plugins.vocabulary import Value, VmId

_replace = msgspec.structs.replace

#: Placement groups that a VM may be in, and relations that it may have.
MAX_GROUPS: Final = 16
MAX_TERMS: Final = 32

#: ``{attribute: relation}``, in the order in which terms are kept.
_RELATIONS: Final = {
    "AFFINITY": Relation.TOGETHER,
    "ANTI_AFFINITY": Relation.APART,
    "SPREAD": Relation.SPREAD,
}
_NEW_NAMES: Final = {"USER_PRIORITY": "SCHED_PRIORITY"}
#: A term with the vector that it was written as.
_Written: TypeAlias = tuple[str, Term, Group]


class NamedVm(Value):
    """A VM that a template names, to be looked up."""

    vm_id: VmId
    #: ``AFFINITY/VM``
    field: str
    line: int = 0
    column: int = 0


def wishes_of(checked: Checked) -> Wishes:
    """Return what the VM wishes; contradictions are mistakes."""
    top = checked.top
    groups = _groups_of(checked)
    written = list(_written(checked, groups))
    _check_count(written, checked.findings)
    gang = _gang(checked)
    # All of a gang are in the same groups: for them, one group of theirs is as good as another.
    shared = frozenset(groups) if gang is not None and gang.size > 1 else frozenset[str]()
    _check_contradictions(written, checked.findings, shared)
    return Wishes(
        priority=_priority(checked),
        groups=groups,
        terms=tuple(term for _, term, _ in written),
        gang=gang,
        pending_timeout_s=top.number("PENDING_TIMEOUT", 0.0) or None,
        cpu_flags=tuple(each.lower() for each in _words(checked.only("CPU_MODEL").text("FEATURES"))),
    )


def vms_named(checked: Checked) -> tuple[NamedVm, ...]:
    """Return the VMs that relations name, with where they do."""
    found: list[NamedVm] = []
    for name in _RELATIONS:
        for group in checked.vectors.get(name, ()):
            line, column = group.place("VM")
            numbers = map(int, _words(group.text("VM")))
            found += (NamedVm(vm_id=VmId(each), field=f"{name}/VM", line=line, column=column) for each in numbers)
    return tuple(found)


def with_changes(wishes: Wishes, changes: Sequence[Attribute]) -> Wishes:
    """Return what a VM wishes after people said something else of it; each attribute replaces all of its name.

    Args:
        wishes: As they are.
        changes: Attributes that ``vocabulary.WISHES`` has; one with an empty text takes back what was said.

    Raises:
        TemplateError: with every mistake.
    """
    renamed = [_replace(each, name=_NEW_NAMES.get(each.name, each.name)) for each in changes]
    attributes = [each for each in merged(_written_again(wishes), renamed) if each.value != ""]
    checked = check(attributes, WISHES_TABLE)
    changed = _replace(wishes_of(checked), cpu_flags=wishes.cpu_flags)
    if checked.findings.mistakes:
        raise TemplateError(checked.findings.mistakes)
    return changed


def _written_again(wishes: Wishes) -> list[Attribute]:
    """Return the attributes that say the same; without flags of processors."""
    found = [Attribute(name="SCHED_PRIORITY", value=str(wishes.priority))]
    if wishes.groups:
        found.append(Attribute(name="PLACEMENT_GROUP", value=",".join(wishes.groups)))
    if wishes.pending_timeout_s is not None:
        found.append(Attribute(name="PENDING_TIMEOUT", value=f"{wishes.pending_timeout_s:.9f}"))
    if wishes.gang is not None:
        found.append(_vector("GANG", NAME=wishes.gang.name, SIZE=str(wishes.gang.size)))
    return [*found, *map(_term_again, wishes.terms)]


def _term_again(term: Term) -> Attribute:
    pairs = {
        "GROUP": ",".join(term.groups),
        "VM": ",".join(map(str, term.vm_ids)),
        "SCOPE": term.scope,
        "SOFT": "no" if term.is_hard else "yes",
        "WEIGHT": "" if term.is_hard else f"{term.weight:.9f}",
        "MAX_SKEW": str(term.max_skew) if term.relation is Relation.SPREAD else "",
    }
    name = next(name for name, relation in _RELATIONS.items() if relation is term.relation)
    return _vector(name, **{key: value for key, value in pairs.items() if value})


def _vector(name: str, **pairs: str) -> Attribute:
    return Attribute(name=name, value=tuple(Pair(key=key, value=value) for key, value in pairs.items()))


def _priority(checked: Checked) -> int:
    top = checked.top
    if "SCHED_PRIORITY" not in top.entries:
        return top.integer("USER_PRIORITY")
    if "USER_PRIORITY" in top.entries:
        text = "SCHED_PRIORITY is given too and counts; delete USER_PRIORITY."
        checked.findings.remark(top.place("USER_PRIORITY"), "USER_PRIORITY", text)
    return top.integer("SCHED_PRIORITY")


def _groups_of(checked: Checked) -> tuple[str, ...]:
    groups = _words(checked.top.text("PLACEMENT_GROUP"))
    if len(groups) > MAX_GROUPS:
        text = f"A VM is in at most {MAX_GROUPS} placement groups, not {len(groups)}."
        checked.findings.mistake(checked.top.place("PLACEMENT_GROUP"), "PLACEMENT_GROUP", text)
    return groups


def _gang(checked: Checked) -> Gang | None:
    group = checked.only("GANG")
    if "NAME" not in group.entries or "SIZE" not in group.entries:
        return None
    return Gang(name=group.text("NAME"), size=group.integer("SIZE"))


def _written(checked: Checked, own_groups: tuple[str, ...]) -> Iterator[_Written]:
    for name, relation in _RELATIONS.items():
        for group in checked.vectors.get(name, ()):
            yield name, _term(name, relation, group, own_groups, checked.findings), group


def _term(name: str, relation: Relation, group: Group, own_groups: tuple[str, ...], findings: Findings) -> Term:
    groups, vm_ids = _words(group.text("GROUP")), tuple(VmId(int(each)) for each in _words(group.text("VM")))
    if not groups and not vm_ids and relation is not Relation.TOGETHER:
        groups = own_groups
    if not groups and not vm_ids and not group.is_damaged:
        findings.mistake((group.line, group.column), name, _NOBODY[relation])
    is_soft = group.flag("SOFT")
    if "WEIGHT" in group.entries and not is_soft:
        text = "WEIGHT has no effect without SOFT = yes: the VM is placed nowhere else."
        findings.remark(group.place("WEIGHT"), f"{name}/WEIGHT", text)
    return Term(
        relation=relation,
        groups=groups,
        vm_ids=vm_ids,
        # Labels are written in any case.
        scope=group.text("SCOPE", HOST_SCOPE).lower(),
        is_hard=not is_soft,
        weight=group.number("WEIGHT", 1.0),
        max_skew=group.integer("MAX_SKEW", 1),
    )


_NOBODY: Final = {
    Relation.TOGETHER: "AFFINITY needs to know with whom, like GROUP = db or VM = 7.",
    Relation.APART: "ANTI_AFFINITY needs to know from whom, like GROUP = web, or the VM a PLACEMENT_GROUP of its own.",
    Relation.SPREAD: "SPREAD needs to know with whom, like GROUP = web, or the VM a PLACEMENT_GROUP of its own.",
}


def _check_count(written: list[_Written], findings: Findings) -> None:
    for name, _, group in written[MAX_TERMS:]:
        text = f"A VM has at most {MAX_TERMS} of {', '.join(_RELATIONS)} together."
        findings.mistake((group.line, group.column), name, text)


def _check_contradictions(written: list[_Written], findings: Findings, shared: frozenset[str]) -> None:
    """Tell of VMs that one is to be together with and apart from in the same place, at the later of the two."""
    hard = [each for each in written if each[1].is_hard]
    for together in hard:
        for other in hard:
            if together[1].relation is not Relation.TOGETHER or other[1].relation is Relation.TOGETHER:
                continue
            if not _is_within(together[1].scope, other[1].scope) or not _whom(together[1], other[1], shared):
                continue
            name, _, group = max((together, other), key=lambda each: (each[2].line, each[2].column))
            findings.mistake((group.line, group.column), name, _contradiction(together, other, shared))


def _whom(term: Term, other: Term, shared: frozenset[str]) -> str:
    """Return one of those that a term means, and another term means too; empty for nobody."""
    groups = {*other.groups, *(shared if shared & {*other.groups} else ())}
    group = next((each for each in term.groups if each in groups), "")
    vm_id = next((each for each in term.vm_ids if each in other.vm_ids), None)
    return f"placement group {group}" if group else f"VM {vm_id}" if vm_id is not None else ""


def _is_within(inner: str, outer: str) -> bool:
    """Return True where who is in one place of the inner scope is in one of the outer, too."""
    return inner in {HOST_SCOPE, outer}


def _contradiction(together: _Written, other: _Written, shared: frozenset[str]) -> str:
    (_, term, _), (other_name, other_term, _) = together, other
    scope = other_term.scope
    where = f"in several {scope}s with" if other_term.relation is Relation.SPREAD else f"in another {scope} than"
    return (
        f"AFFINITY wants the VM in one {term.scope} with {_whom(term, other_term, shared)}, "
        f"{other_name} {where} {_whom(other_term, term, shared)}; leave one out, or make it SOFT = yes."
    )


def _words(text: str) -> tuple[str, ...]:
    """Return the words of a list, each once."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
