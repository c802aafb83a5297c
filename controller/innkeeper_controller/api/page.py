"""Writes ``docs/api.md`` from the request table and the endpoints beside it.

``python -m innkeeper_controller.api.page > docs/api.md``
"""

import sys
from collections.abc import Iterable, Sequence

import msgspec

from innkeeper_controller.api.catalogue import ENDPOINTS
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.requests.table import Request, Who
from innkeeper_controller.turn import REFUSALS

_HEAD = """# The HTTP API

This page is made from the tables in the code (`python -m innkeeper_controller.api.page`); do not edit it by hand.
`GET /v1/openapi.json` on a running controller is the same as an OpenAPI 3.1 document, with all types.

## How to ask

The controller listens on `127.0.0.1:2633`; `http.listen` changes that.
Send your token in every request: `Authorization: Bearer TOKEN`.
The administrator's token is in `admin.token` in the controller's state directory.

```
curl -H "Authorization: Bearer $(cat /var/lib/innkeeper-controller/admin.token)" http://127.0.0.1:2633/v1/vms
```

Parameters in `{braces}` are part of the path.
The others are in the query string for GET and DELETE, and in a JSON object as the body for everything else.
Names that a request does not have are refused, all of them at once and with what was probably meant.
Values in a body have to be of their type; texts in path and query are converted.
Fields of an answer that have their default are left out.

## What an answer means

An answer is given when it is durable: whatever it says is on the controller's disk.
Whoever lists or shows something sees only what is durable as well.

Give each request that changes something a number of its own in `X-Request-Id`, up to 128 printable characters.
Asked again with the same number it is not carried out again: the answer is the first one, after a restart too.
So after a connection that broke, ask again.
Answers are remembered for seven days, the newest 100,000 of them.
An answer with a token in it is kept in memory only: after a restart the same number is refused with `wrong_state`.
A refused request has changed nothing, and its number may be used again.

Everything slow gives an operation: wait on that (`operation.wait`), never on a state that you guess.
"""

_REFUSALS = """## Refusals

Every error has one form, and its code never changes its meaning:

```
{"error": {"code": "bad_template", "message": "...", "mistakes": [
    {"message": "...", "field": "DISK/IMAGE", "line": 3, "column": 10, "suggestion": "debian-12"}]}}
```

`mistakes` is empty where there is nothing to point at.
`unavailable` means that the database takes nothing just now, and the message says why.
The request may still be kept: ask again with the same number, which tells.
"""

_EVENTS = """## Events

`GET /v1/events` with `Accept: text/event-stream` gives each event when it is durable:

```
id: 4711
event: vm.state
data: {"what": "vm.state", "subject": "vm:7", "at_s": 1.7e9, "detail": {"old": "BOOT", "new": "RUNNING"}, "seq": 4711}
```

After a break ask with `Last-Event-ID: 4711`: there is no gap and nothing twice, however long the break was.
Without it the stream begins with what happens next.
A comment comes after 15 seconds without events.
People get the events of what they own or did, administrators all.

## Uploads

`PUT /v1/uploads` takes a file of any length as its body and answers `{"upload_id", "sha256", "size_bytes"}`.
`image.add` with `upload: true` and that digest and size makes an image of it.
The host that keeps the image fetches the file from the controller, which then deletes it.
An upload that breaks off leaves nothing; one of which no image is made is deleted after a day.

## Consoles

`GET /v1/vms/{vm_id}/console` is one endless answer: what the guest prints on its serial console.
Its header `X-Console-Stream` is the `stream_id` for `console.write`, whose body is what is typed.
The console ends with the connection.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = (_HEAD, _table(REQUESTS.values()), _beside(), f"{_REFUSALS}\n{_codes()}", _EVENTS)
    return "\n".join(parts)


def _table(requests: Iterable[Request]) -> str:
    lines = ["## Requests", "", *_header(("request", "method and path", "parameters", "who", "what it does"))]
    for request in requests:
        fields = [each for each in msgspec.structs.fields(request.params) if f"{{{each.name}}}" not in request.path]
        names = ", ".join(f"**{each.name}**" if each.required else each.name for each in fields)
        where = f"`{request.method} {request.path}`"
        lines.append(_row((f"`{request.name}`", where, names or "-", _who(request.who), request.summary)))
    return "\n".join([*lines, "", "Parameters in bold have to be given.", ""])


def _beside() -> str:
    lines = ["## Streams, files and the controller itself", ""]
    lines += _header(("request", "method and path", "query", "who", "what it does"))
    for each in ENDPOINTS:
        names = ", ".join(name for name, _ in each.query)
        where = f"`{each.method} {each.path}`"
        lines.append(_row((f"`{each.name}`", where, names or "-", _who(each.who), each.summary)))
    return "\n".join([*lines, ""])


def _codes() -> str:
    rows = [_row((f"`{code}`", str(status))) for code, status in REFUSALS.items()]
    return "\n".join([*_header(("code", "HTTP status")), *rows, ""])


def _header(names: Sequence[str]) -> list[str]:
    return [_row(names), "|" + "---|" * len(names)]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _who(who: Who) -> str:
    return {Who.ANYONE: "anyone", Who.USER: "every user", Who.ADMIN: "administrators"}[who]


if __name__ == "__main__":
    sys.stdout.write(page())
