"""Writes what is made from the code: the reference of the commands, the client's routes, the completion scripts.

``python -m innkeeper_controller.cli.reference`` in the root of the project brings all of them up to date.
"""

from collections.abc import Iterator
from pathlib import Path

import click

from innkeeper_controller.cli import completion
from innkeeper_controller.cli.commands import Verb
from innkeeper_controller.cli.main import inn

HEAD = """\
# The command `inn`

Made from the commands themselves by `python -m innkeeper_controller.cli.reference`; a test keeps it up to date.

`inn NOUN VERB` does one thing. `inn --help`, `inn NOUN --help` and `inn NOUN VERB --help` say the same as this page.

## What all commands have in common

| | |
|---|---|
| `-o table` | Aligned columns, for people; the default. |
| `-o wide` | The same with more columns. |
| `-o json`, `-o yaml` | The API's answer as it is, for programs. |
| `-v` | Says more; `-vv` also shows each HTTP request on standard error. |
| `--endpoint URL` | Where the controller is; else `INNKEEPER_ENDPOINT`, `endpoint` in the settings, `http://127.0.0.1:2633`. |
| `--token-file FILE` | File with your token; else `INNKEEPER_TOKEN`, `INNKEEPER_TOKEN_FILE`, `token_file` in the settings, `~/.config/innkeeper/token`, `/var/lib/innkeeper-controller/admin.token`. |
| `--wait`, `--no-wait` | Follow what was started to its end, or return at once. |
| `--timeout TIME` | Wait no longer than `90s`, `5m`, `2h`. |

Answers go to standard output, everything else to standard error.
VMs, hosts, images and networks are named by id or by name; verbs for VMs take several of them and ranges: `inn vm suspend 3 7 10..12`.
A failure of one does not keep the others from their turn.

| exit code | |
|---|---|
| 0 | done |
| 1 | refused, or failed |
| 2 | usage |
| 3 | the controller cannot be reached |
| 4 | timed out waiting; what was waited for goes on |

Settings of a user stand in `~/.config/innkeeper/cli.toml`; an unknown key is an error:

```toml
endpoint = "http://controller.example:2633"
token_file = "~/.config/innkeeper/token"
output = "wide"
wait = true
timeout_s = 600
```

## From Python

The same calls, for programs; it needs nothing but the standard library:

```python
from innkeeper_controller.client import Client

client = Client("http://127.0.0.1:2633", token)
(vm_id,) = client.call("vm.submit", template=open("examples/web.one").read())["vm_ids"]
vm = client.wait_vm(vm_id, state="RUNNING", timeout_s=60)
suspended = client.call("vm.suspend", vm_id=vm_id)
client.wait_operation(suspended["operation_id"], timeout_s=60)
```

`call` takes the names of `inn requests` and gives the API's answers; defaults are left out of them.
A refusal raises `RefusedError` (`code`, `message`, `mistakes`), a controller that is not there `UnreachableError`.
A connection that breaks is made again, and the request is sent again under the same id, which carries it out once.

## Completion

`inn completion bash`, `zsh` and `fish` print completion scripts; they also lie in `contrib/completions/`.
"""  # noqa: E501 - a row of a table is one line

ROUTES_HEAD = '''\
"""Where each request of the public API goes; equal to the request table, which a test makes sure of.

Written out so that the client need not import the table with its types and handlers;
``python -m innkeeper_controller.cli.reference`` writes it anew.
"""

#: ``{name: (HTTP method, path)}``
ROUTES: dict[str, tuple[str, str]] = {
'''


def verbs(group: click.Group = inn, path: tuple[str, ...] = ("inn",)) -> Iterator[tuple[tuple[str, ...], Verb]]:
    """Give every verb with its path, in the order of the help."""
    context = click.Context(group, info_name=path[-1])
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from verbs(command, (*path, name))
        else:
            assert isinstance(command, Verb), f"{name} is a verb"
            yield (*path, name), command


def commands_page() -> str:
    """Return ``docs/cli.md``."""
    parts = [HEAD]
    noun = ""
    for path, command in verbs():
        if len(path) > 2 and path[1] != noun:  # noqa: PLR2004 - inn, noun, verb
            noun = path[1]
            parts.append(f"## inn {noun}\n")
        elif len(path) == 2 and noun:  # noqa: PLR2004 - inn, verb
            noun = ""
            parts.append("## inn\n")
        parts.append(_section(path, command))
    return "\n".join(parts)


def _section(path: tuple[str, ...], command: Verb) -> str:
    context = click.Context(command, info_name=" ".join(path))
    usage = " ".join([*path, *command.collect_usage_pieces(context)])
    options = [
        record
        for each in command.params
        if isinstance(each, click.Option) and (record := each.get_help_record(context))
    ]
    shown = [record for record in options if not record[0].startswith(("-v", "-o", "--wait"))]
    text = (command.help or "").strip()
    lines = [f"### {' '.join(path)}", "", *(line.strip() for line in text.splitlines()), "", "```", usage, "```", ""]
    if shown:
        lines += ["| option | |", "|---|---|"]
        lines += [f"| `{name.replace('|', chr(92) + '|')}` | {' '.join(what.split())} |" for name, what in shown]
        lines.append("")
    return "\n".join([*lines, "```sh", *command.examples, "```", ""])


def routes_module() -> str:
    """Return ``routes.py``."""
    from innkeeper_controller.requests.catalogue import REQUESTS

    rows = [f'    "{request.name}": ("{request.method}", "{request.path}"),\n' for request in REQUESTS.values()]
    return f"{ROUTES_HEAD}{''.join(rows)}}}\n"


def made_files(root: Path) -> dict[Path, str]:
    """Return ``{file: what it has to hold}``."""
    names = {"bash": "inn.bash", "zsh": "_inn", "fish": "inn.fish"}
    scripts = {
        root / "contrib" / "completions" / name: f"{completion.script(shell)}\n" for shell, name in names.items()
    }
    return {
        root / "docs" / "cli.md": commands_page(),
        Path(__file__).with_name("routes.py"): routes_module(),
        **scripts,
    }


if __name__ == "__main__":
    for file, text in made_files(Path.cwd()).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
