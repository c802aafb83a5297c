"""What people read when something did not work: what is wrong, where, and what to do next; and the exit code for it."""

import re
from collections.abc import Iterable, Mapping, Sequence

from innkeeper_controller.cli import words
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Json, indented, printable, to_json
from innkeeper_controller.client import WaitTimeoutError
from innkeeper_controller.client_http import RefusedError, UnreachableError
from innkeeper_plugins.errors import InnkeeperError

REFUSED, USAGE, UNREACHABLE, TIMED_OUT = 1, 2, 3, 4

#: ``{refusal code: what to do next}``, where the controller cannot know it.
NEXT = {
    "unauthenticated": (
        "Give a token with --token-file, INNKEEPER_TOKEN or ~/.config/innkeeper/token. "
        "The administrator's is in the controller's state directory: /var/lib/innkeeper-controller/admin.token, "
        "unless it was told another."
    ),
    "too_many": "Wait a little, then try again.",
}
_NEXT_UNREACHABLE = (
    "Is inn-controller running there? Another controller is named by --endpoint, INNKEEPER_ENDPOINT or "
    "`endpoint` in ~/.config/innkeeper/cli.toml."
)
_NEXT_TIMED_OUT = (
    "It goes on at the controller: `inn operation list` shows it, `inn operation wait` or `inn vm wait` waits again."
)


def exit_code(error: InnkeeperError) -> int:
    """Return the exit code for an error."""
    if isinstance(error, UnreachableError):
        return UNREACHABLE
    return TIMED_OUT if isinstance(error, WaitTimeoutError) else REFUSED


def complain(inn: Invocation, error: InnkeeperError, about: str = "") -> None:
    """Say on standard error what is wrong, in the form that was asked for.

    Args:
        inn: The invocation.
        error: What happened.
        about: What it happened to, for errors that do not name it.
    """
    if inn.form == "json":
        inn.note(to_json(as_json(error), in_one_line=True))
        return
    inn.note(complaint(error, inn.template, about))


def complaint(error: InnkeeperError, template: tuple[str, str] | None = None, about: str = "") -> str:
    """Return the error in words.

    Args:
        error: What happened.
        template: Name and text of the template that was sent, if any.
        about: What it happened to, for errors that do not name it.
    """
    subject = f"{about}: " if about not in str(error) else ""
    lines = [f"error: {subject}{printable(str(error))}"]
    if isinstance(error, RefusedError):
        lines = [f"error[{error.code}]: {subject}{_headline(error, template)}"]
        if template is not None or [mistake["message"] for mistake in error.mistakes] != [error.message]:
            lines += mistakes(error.mistakes, template)
        lines += _next(NEXT.get(error.code))
    elif isinstance(error, UnreachableError):
        lines += _next(_NEXT_UNREACHABLE)
    elif isinstance(error, WaitTimeoutError):
        lines += _next(_NEXT_TIMED_OUT)
    return "\n".join(lines)


def _headline(error: RefusedError, template: tuple[str, str] | None) -> str:
    if not error.mistakes or template is None:
        return printable(error.message)
    return f"{template[0]} has {words.count(len(error.mistakes), 'mistake')}."


def as_json(error: InnkeeperError) -> Json:
    """Return the error for programs, in the form in which the API gives refusals."""
    if isinstance(error, RefusedError):
        return {"error": {"code": error.code, "message": error.message, "mistakes": list(error.mistakes)}}
    code = "unreachable" if isinstance(error, UnreachableError) else "timed_out"
    return {"error": {"code": code, "message": str(error)}}


def mistakes(found: Iterable[Mapping[str, Json]], template: tuple[str, str] | None) -> list[str]:
    """Return each mistake with its place; those in the template with the line and a caret under the column."""
    name, text = template or ("template", "")
    source = text.splitlines()
    lines: list[str] = []
    for mistake in sorted(found, key=lambda each: (each.get("line", 0), each.get("column", 0))):
        place = f"{name}:{mistake['line']}:{mistake.get('column', 1)}: " if mistake.get("line") else "  "
        lines.append(f"{place}{_field(mistake)}{printable(mistake['message'])}{_meant(mistake)}")
        lines += _quote(source, mistake.get("line", 0), mistake.get("column", 0))
    return lines


def remarks(found: Iterable[Mapping[str, Json]], template: tuple[str, str] | None) -> list[str]:
    """Return what the author of a template should know although it was taken, a line each."""
    name = template[0] if template else "template"
    return [
        f"{name}:{remark['line']}:{remark.get('column', 1)}: {printable(remark['message'])}"
        if remark.get("line")
        else f"{name}: {printable(remark['message'])}"
        for remark in found
    ]


def _field(mistake: Mapping[str, Json]) -> str:
    """Return what the mistake is about, unless its text says so itself."""
    field = mistake.get("field", "")
    return f"{field}: " if field and field.rpartition("/")[2] not in mistake["message"] else ""


def _meant(mistake: Mapping[str, Json]) -> str:
    suggestion = mistake.get("suggestion", "")
    # Said already only as a word of its own: NAMEE does not say NAME.
    if not suggestion or re.search(rf"(?<!\w){re.escape(suggestion)}(?!\w)", mistake["message"]):
        return ""
    return f" Did you mean {suggestion}?"


def _quote(source: Sequence[str], line: int, column: int) -> list[str]:
    if not 0 < line <= len(source):
        return []
    text = printable(source[line - 1]).replace("\t", " ")
    caret = [f"       | {' ' * (column - 1)}^"] if column else []
    return [f"  {line:>4} | {text}", *caret]


def _next(text: str | None) -> list[str]:
    return [f"  {text}"] if text else []


def failure(error: Mapping[str, Json]) -> str:
    """Return an operation's error: host, step and code, the sentence, the command and the tool's own words."""
    where = f" on {error['host']}" if error.get("host") else ""
    step = f" in step {error['step_id']}" if error.get("step_id") is not None else ""
    verb = f" `{error['step']}`" if error.get("step") else ""
    lines = [f"failed{where}{step}{verb} ({error.get('code', '')})", f"  {printable(error.get('message', ''))}"]
    return "\n".join(lines + tool_words(error, by="  "))


def tool_words(outcome: Mapping[str, Json], *, by: str) -> list[str]:
    """Return the command that ran, its exit status and what it said; nothing where no command ran."""
    lines = []
    if outcome.get("argv"):
        from shlex import join

        lines.append(f"{by}$ {printable(join(outcome['argv']))}")
    if outcome.get("exit_status") is not None:
        lines.append(f"{by}exit status {outcome['exit_status']}")
    if outcome.get("stderr"):
        lines.append(indented(printable(outcome["stderr"].rstrip()), f"{by}| "))
    return lines
