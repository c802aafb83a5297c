"""When an action that is stored with a VM is to be done, and done again; functions of values.

All times are UTC: what is to be done daily at six is done then also after a change of the clocks.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from innkeeper_controller.records import Moment, ScheduledAction

_replace = msgspec.structs.replace

WEEKLY, MONTHLY, YEARLY, HOURLY = 0, 1, 2, 3
#: Ends of what is repeated.
AFTER_COUNT, AT_MOMENT = 1, 2
HOUR_S: Final = 3600
#: Every day of the year comes within so many days: the 366th only in leap years.
_MAX_DAYS: Final = 8 * 366 + 1


def is_pending(action: ScheduledAction) -> bool:
    """Return True where the action is still to be done, now or later."""
    return action.done_at_s is None or action.done_at_s < action.at_s


def is_due(action: ScheduledAction, now_s: Moment) -> bool:
    """Return True where the action is to be done now."""
    return is_pending(action) and action.at_s <= now_s


def next_due(actions: tuple[ScheduledAction, ...]) -> Moment | None:
    """Return when the first of the actions is to be done; None for never."""
    return min((action.at_s for action in actions if is_pending(action)), default=None)


def done(action: ScheduledAction, now_s: Moment, message: str = "") -> ScheduledAction:
    """Return the action after it was done, or could not be: over, or with its next time."""
    after = _replace(action, done_at_s=now_s, message=message)
    if action.repeat is None:
        return after
    if action.end_type == AFTER_COUNT:
        left = (action.end_value or 0) - 1
        after = _replace(after, end_value=max(left, 0))
        if left <= 0:
            return after
    at_s = _next_time(action, now_s)
    if at_s is None or (action.end_type == AT_MOMENT and at_s > (action.end_value or 0)):
        return after
    return _replace(after, at_s=at_s)


def _next_time(action: ScheduledAction, now_s: Moment) -> Moment | None:
    """Return the first time after now; None where there is none."""
    days = {int(day) for day in action.days.split(",") if day.strip().isdecimal()}
    if action.repeat == HOURLY:
        step_s = max(days, default=1) * HOUR_S
        if step_s <= 0:
            return None
        passed = int(max(now_s - action.at_s, 0) // step_s)
        return action.at_s + (passed + 1) * step_s
    first = datetime.fromtimestamp(action.at_s, UTC)
    today = datetime.fromtimestamp(max(now_s, action.at_s), UTC).date()
    moment = first.replace(year=today.year, month=today.month, day=today.day)
    for number in range(_MAX_DAYS):
        found = moment + timedelta(days=number)
        if found.timestamp() > max(now_s, action.at_s) and _day_of(found, action.repeat) in days:
            return found.timestamp()
    return None


def _day_of(moment: datetime, repeat: int | None) -> int:
    if repeat == WEEKLY:
        return moment.isoweekday() % 7
    if repeat == MONTHLY:
        return moment.day
    return moment.timetuple().tm_yday - 1
