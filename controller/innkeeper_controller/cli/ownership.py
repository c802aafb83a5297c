"""The verbs that are alike for everything that has a name and an owner: chmod, chown, rename, lock, unlock."""

from collections.abc import Callable
from typing import IO

import click

from innkeeper_controller.cli.commands import Verb, verb
from innkeeper_controller.cli.complete import names
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_controller.cli.output import Json

#: ``{noun: an example of one}``
_EXAMPLES = {
    "vm": "7",
    "image": "tiny",
    "network": "lan",
    "template": "web",
    "datastore": "fast",
    "host": "node1",
    "cluster": "rack-2",
    "user": "ann",
    "group": "lab",
}
#: Nouns that nobody owns: they are the administrators'.
_UNOWNED = frozenset({"host", "cluster"})
#: Nouns without locks.
_UNLOCKED = _UNOWNED | {"datastore"}
GROUPS = names("group.list")
USERS = names("user.list")


def _subject(noun: str) -> Callable[[Invocation, str], dict[str, object]]:
    """Return what makes the parameter that names one; VMs are named by their numbers."""
    if noun != "vm":
        return lambda _inn, text: {noun: text}

    def number(inn: Invocation, text: str) -> dict[str, object]:
        from innkeeper_controller.cli.vm.names import vm_id_of

        return {"vm_id": vm_id_of(inn, text)}

    return number


def _argument(noun: str) -> Callable[[Callable[..., object]], Callable[..., object]]:
    return click.argument("name_or_id", metavar=noun.upper(), shell_complete=names(f"{noun}.list"))


def _shown(noun: str, answer: Json) -> str:
    what = f"{noun.upper() if noun == 'vm' else noun.capitalize()} {answer['number']} {answer['name']}"
    if noun in _UNOWNED:
        return f"{what}."
    lock = f", locked for {answer['lock']}" if answer.get("lock") else ""
    return f"{what} belongs to {answer['owner']} and group {answer['group']}, mode {answer['mode']}{lock}."


def chmod(noun: str) -> Verb:
    """Return ``inn NOUN chmod``."""
    whose = _subject(noun)

    @verb("chmod", f"inn {noun} chmod {_EXAMPLES[noun]} 640", f"inn {noun} chmod {_EXAMPLES[noun]} 644")
    @_argument(noun)
    @click.argument("mode", metavar="MODE")
    def command(inn: Invocation, name_or_id: str, mode: str) -> None:
        """Say what owner, group and others may do: 4 use, 2 manage, 1 admin."""
        answer = inn.call(f"{noun}.chmod", **whose(inn, name_or_id), mode=mode)
        inn.show(answer, lambda: _shown(noun, answer))

    return command


def chown(noun: str) -> Verb:
    """Return ``inn NOUN chown``."""
    whose, example = _subject(noun), _EXAMPLES[noun]

    @verb(
        "chown",
        f"inn {noun} chown {example} ann",
        f"inn {noun} chown {example} ann:lab",
        f"inn {noun} chown {example} :lab",
    )
    @_argument(noun)
    @click.argument("owner", metavar="USER:GROUP", shell_complete=USERS)
    def command(inn: Invocation, name_or_id: str, owner: str) -> None:
        """Give it to another user, or to another group."""
        user, _, group = owner.partition(":")
        answer = inn.call(f"{noun}.chown", **whose(inn, name_or_id), owner=user or None, group=group or None)
        inn.show(answer, lambda: _shown(noun, answer))

    return command


def rename(noun: str) -> Verb:
    """Return ``inn NOUN rename``."""
    whose = _subject(noun)

    @verb("rename", f"inn {noun} rename {_EXAMPLES[noun]} other")
    @_argument(noun)
    @click.argument("name", metavar="NAME")
    def command(inn: Invocation, name_or_id: str, name: str) -> None:
        """Give it another name."""
        answer = inn.call(f"{noun}.rename", **whose(inn, name_or_id), name=name)
        inn.show(answer, lambda: _shown(noun, answer))

    return command


def lock(noun: str) -> Verb:
    """Return ``inn NOUN lock``."""
    whose = _subject(noun)

    @verb("lock", f"inn {noun} lock {_EXAMPLES[noun]}", f"inn {noun} lock {_EXAMPLES[noun]} --level manage")
    @_argument(noun)
    @click.option(
        "--level",
        type=click.Choice(["use", "manage", "admin", "all"]),
        default="all",
        help="The mildest that is refused.",
    )
    def command(inn: Invocation, name_or_id: str, level: str) -> None:
        """Keep it as it is, also from administrators, until it is unlocked."""
        answer = inn.call(f"{noun}.lock", **whose(inn, name_or_id), level=level)
        inn.show(answer, lambda: _shown(noun, answer))

    return command


def unlock(noun: str) -> Verb:
    """Return ``inn NOUN unlock``."""
    whose = _subject(noun)

    @verb("unlock", f"inn {noun} unlock {_EXAMPLES[noun]}")
    @_argument(noun)
    def command(inn: Invocation, name_or_id: str) -> None:
        """Let it be used and changed again."""
        answer = inn.call(f"{noun}.unlock", **whose(inn, name_or_id))
        inn.show(answer, lambda: _shown(noun, answer))

    return command


#: What is noted in the example, and what the attributes of a noun are for.
_NOTED = {
    "host": (
        "RACK=r1",
        "Set the labels of it, which templates ask for (SCOPE = rack), from a file; - for standard input.",
    )
}
_NOTED_ELSE = ("LABELS=web", "Note attributes of it, from a file; - for standard input.")


def update(noun: str) -> Verb:
    """Return ``inn NOUN update``."""
    whose, example = _subject(noun), _EXAMPLES[noun]
    noted, text = _NOTED.get(noun, _NOTED_ELSE)

    @verb("update", f"inn {noun} update {example} notes.one", f"echo {noted} | inn {noun} update {example} - --append")
    @_argument(noun)
    @click.argument("file", metavar="FILE", type=click.File(encoding="utf-8"))
    @click.option("--append", is_flag=True, help="Replace only what the file names.")
    def command(inn: Invocation, name_or_id: str, file: IO[str], *, append: bool) -> None:
        answer = inn.call(f"{noun}.update", **whose(inn, name_or_id), template=file.read(), append=append or None)
        inn.show(answer, lambda: f"{noun.upper() if noun == 'vm' else noun.capitalize()} {answer['name']} is noted.")

    command.help = text
    return command


def add_to(group: click.Group, noun: str) -> None:
    """Give a noun's group the verbs that it can have."""
    makers = [rename] if noun != "datastore" else []
    makers += [chmod, chown] if noun not in _UNOWNED else []
    makers += [update] if noun != "template" else []
    makers += [lock, unlock] if noun not in _UNLOCKED else []
    for make in makers:
        group.add_command(make(noun))
