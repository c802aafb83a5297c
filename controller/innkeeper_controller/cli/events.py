"""How events read: one line each, whoever asks for them."""

from collections.abc import Mapping

from innkeeper_controller.cli import words
from innkeeper_controller.cli.output import Column, Json, printable

#: What a table of events says of each detail at most.
MAX_DETAIL = 160


def detail_of(event: Json) -> str:
    """Return an event's detail in one line: a step with how it ended, a state with the one before it."""
    detail = event.get("detail", {})
    if event["what"] == "step.ended":
        outcome = detail["outcome"]
        how = "ok" if outcome["ok"] else f"failed ({outcome.get('code', '')}): {outcome.get('message', '')}"
        return f"{detail['host']}: {'undo ' if detail.get('undo') else ''}{detail['step']}: {how}"
    if event["what"] == "vm.state":
        why = f", {detail['why']}" if detail.get("why") else ""
        return f"{detail['old']} to {detail['new']}{why}"
    return " ".join(f"{key}={_brief(value)}" for key, value in detail.items())


def _brief(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    if isinstance(value, Mapping) and "message" in value:
        text = f"{value.get('code', '')}: {value['message']}"
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 3] + "..."


def line_of(event: Json) -> str:
    """Return an event as a line of ``inn events``."""
    by = f" by {event['actor']}" if event.get("actor") else ""
    parts = (words.moment(event["at_s"]), event["subject"], f"{event['what']}{by}", printable(detail_of(event)))
    return "  ".join(part for part in parts if part)


EVENT_COLUMNS = (
    Column("TIME", lambda row: words.moment(row["at_s"])),
    Column("WHAT", lambda row: row["what"]),
    Column("BY", lambda row: row.get("actor")),
    Column("OPERATION", lambda row: row.get("operation_id")),
    Column("DETAIL", detail_of),
    Column("REQUEST", lambda row: row.get("request_id"), wide=True),
    Column("SEQ", lambda row: row.get("seq"), right=True, wide=True),
)
