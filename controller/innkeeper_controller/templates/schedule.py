"""Actions that a template wants at set times: ``SCHED_ACTION = [ ACTION = poweroff, TIME = "+3600" ]``.

Nothing here knows what time it is, or what an action does.
"""

import re
from collections.abc import Sequence

from innkeeper_controller.templates.attributes import Attribute
from innkeeper_controller.templates.errors import TemplateError
from innkeeper_controller.templates.validation import Checked, Findings, Group, check
from innkeeper_controller.templates.vocabulary import SCHED_TABLE
from innkeeper_plugins.vocabulary import Value

#: What DAYS may have, by REPEAT: days of the week from Sunday, of the month, of the year; for hours, how many.
_DAYS = {0: (0, 6), 1: (1, 31), 2: (0, 365), 3: (1, 168)}
_REPEATED = ("weekly", "monthly", "yearly", "hourly")
_HOURLY = 3
#: END_TYPE of what has an end.
_WITH_END = {1: "how often", 2: "until when"}
_RELATIVE = re.compile(r"\+([0-9]{1,10})")


class SchedActionTemplate(Value):
    """Something to be done with a VM, once or again and again."""

    #: OpenNebula's word: ``poweroff``, ``snapshot-create``...
    action: str
    #: Seconds since the epoch; None where ``after_s`` says it.
    at_s: int | None = None
    #: Seconds after the VM is made, or the action is added to it.
    after_s: int | None = None
    #: Words behind the verb, separated by commas.
    args: str = ""
    #: 0 weekly, 1 monthly, 2 yearly, 3 hourly; None for once.
    repeat: int | None = None
    #: Numbers separated by commas; what they mean, ``repeat`` says.
    days: str = ""
    #: 0 never, 1 after ``end_value`` times, 2 at the moment ``end_value``.
    end_type: int | None = None
    end_value: int | None = None


def scheduled_of(checked: Checked) -> tuple[SchedActionTemplate, ...]:
    """Return the actions in order."""
    return tuple(_action(group, checked.findings) for group in checked.vectors.get("SCHED_ACTION", ()))


def sched_action_templates(attributes: Sequence[Attribute]) -> tuple[SchedActionTemplate, ...]:
    """Return the actions that a template of nothing else asks for, at least one.

    Raises:
        TemplateError: with every mistake.
    """
    checked = check(attributes, SCHED_TABLE)
    actions = scheduled_of(checked)
    if checked.findings.mistakes:
        raise TemplateError(checked.findings.mistakes)
    return actions


def _action(group: Group, findings: Findings) -> SchedActionTemplate:
    relative = _RELATIVE.fullmatch(group.text("TIME"))
    time = group.text("TIME")
    repeat = group.integer("REPEAT") if "REPEAT" in group.entries else None
    end_type = group.integer("END_TYPE") if "END_TYPE" in group.entries else None
    if not group.is_damaged:
        _check_days(group, repeat, findings)
        if end_type in _WITH_END and "END_VALUE" not in group.entries:
            text = f"END_TYPE = {end_type} needs END_VALUE: {_WITH_END[end_type]}."
            findings.mistake(group.place("END_TYPE"), "SCHED_ACTION/END_VALUE", text)
    return SchedActionTemplate(
        action=group.text("ACTION"),
        at_s=int(time) if time.isdecimal() else None,
        after_s=int(relative[1]) if relative else None,
        args=group.text("ARGS"),
        repeat=repeat,
        days=",".join(map(str, sorted(set(_days(group))))),
        end_type=end_type,
        end_value=group.integer("END_VALUE") if "END_VALUE" in group.entries else None,
    )


def _days(group: Group) -> list[int]:
    return [int(day) for day in group.text("DAYS").split(",") if day.strip().isdecimal()]


def _check_days(group: Group, repeat: int | None, findings: Findings) -> None:
    days = _days(group)
    place = group.place("DAYS")
    if repeat is None:
        if days:
            findings.remark(place, "SCHED_ACTION/DAYS", "DAYS has no effect without REPEAT.")
        return
    low, high = _DAYS[repeat]
    if not days or not all(low <= day <= high for day in days) or (repeat == _HOURLY and len(days) > 1):
        what = "one number" if repeat == _HOURLY else "numbers with commas between them"
        text = f"What is repeated {_REPEATED[repeat]} needs DAYS: {what}, each {low} to {high}."
        findings.mistake(place, "SCHED_ACTION/DAYS", text)
