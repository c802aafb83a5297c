"""The shape of every command: groups that import their members late, verbs with examples and common options.

No command is defined here, and nothing is imported that ``inn --help`` can do without.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import click

from innkeeper_controller.cli.invocation import Invocation

#: Forms of an answer.
FORMATS = ("table", "wide", "json", "yaml")
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Member(NamedTuple):
    """A member of a lazy group."""

    #: ``module:name`` below this package.
    place: str
    #: As in its own help; a test compares them.
    summary: str
    #: Heading under which the group lists it.
    section: str = "Commands"


class NounGroup(click.Group):
    """A group whose verbs are all in one module, in the order in which they are defined there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own
        """Add what all groups of ours have in common."""
        super().__init__(*args, context_settings=CONTEXT, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which help lists them."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the member, or say which one was probably meant."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            ctx.fail(_unknown(ctx.command_path, args[0], known))
        return super().resolve_command(ctx, args)


class LazyGroup(NounGroup):
    """A group that knows its members' names and summaries, and imports one when it is used."""

    def __init__(self, *args: Any, members: Mapping[str, Member], **kwargs: Any) -> None:  # noqa: ANN401 - click's own
        """Take the members in the order in which help lists them."""
        super().__init__(*args, **kwargs)
        self.members = members

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table."""
        return list(self.members)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the member."""
        member = self.members.get(cmd_name)
        if member is None:
            return None
        module, name = member.place.split(":")
        found = getattr(importlib.import_module(f"innkeeper_controller.cli.{module}"), name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the members under their headings."""
        width = max(map(len, self.members))
        for section in dict.fromkeys(member.section for member in self.members.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [
                        (f"{name:<{width}}", member.summary)
                        for name, member in self.members.items()
                        if member.section == section
                    ]
                )


def _unknown(group: str, wanted: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(wanted, known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"`{group} --help` lists what there is."
    return f"{group} has no command {wanted!r}. {hint}"


class Span(click.ParamType):  # type: ignore[type-arg]  # older click has none
    """A duration: ``90``, ``30s``, ``5m``; seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - click's own
        """Return seconds."""
        from innkeeper_controller.cli.words import parse_span

        if isinstance(value, (int, float)):
            return float(value)
        try:
            return parse_span(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Size(click.ParamType):  # type: ignore[type-arg]  # older click has none
    """A number of bytes: ``512M``, ``1.5G``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - click's own
        """Return bytes."""
        from innkeeper_controller.cli.words import parse_size

        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Room(Size):
    """A size that something is to have; with its unit, for OpenNebula counts in MB where others count in bytes."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - click's own
        """Return bytes."""
        if isinstance(value, str) and value.strip().isdecimal():
            self.fail(f"{value} has no unit; say {value}M or {value}G", param, ctx)
        return super().convert(value, param, ctx)


SPAN = Span()
SIZE = Size()
ROOM = Room()


def common_options(*, hidden: bool) -> list[click.Option]:
    """Return the options that every command takes; ``inn`` itself takes them too, and shows them."""
    return [
        click.Option(["--endpoint"], metavar="URL", hidden=hidden, help="Where the controller is."),
        click.Option(["--token-file"], metavar="FILE", type=click.Path(), hidden=hidden, help="File with your token."),
        click.Option(["-v", "--verbose"], count=True, help="Say more; -vv also shows each HTTP request."),
    ]


def output_option(*, hidden: bool = False) -> click.Option:
    """Return the option for the form of the answer."""
    return click.Option(["-o", "--output"], type=click.Choice(FORMATS), hidden=hidden, help="Form of the answer.")


def wait_options(*, always: bool) -> list[click.Option]:
    """Return the options of commands that start something slow, or (``always``) of those that only wait."""
    timeout = click.Option(["--timeout"], type=SPAN, metavar="TIME", help="Wait at most 90s, 5m... (exit code 4).")
    if always:
        return [timeout]
    return [click.Option(["--wait/--no-wait"], default=None, help="Follow it to its end, or return at once."), timeout]


class Verb(click.Command):
    """A command that does something: takes the common options, shows examples, gets the invocation as ``inn``."""

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - click's own
        examples: Sequence[str],
        waits: bool = False,
        timed: bool = False,
        shows: bool = True,
        **kwargs: Any,  # noqa: ANN401 - click's own
    ) -> None:
        """Add the common options to the command's own.

        Args:
            args: For click.
            examples: Whole command lines.
            waits: True where it starts something slow that can be waited for.
            timed: True where it only waits.
            shows: True where the answer has forms.
            kwargs: For click.
        """
        super().__init__(*args, **{"context_settings": CONTEXT, **kwargs})
        self.examples = tuple(examples)
        self.params.extend(wait_options(always=timed) if waits or timed else [])
        self.params.append(output_option(hidden=not shows))
        self.params.extend(common_options(hidden=True))

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        """Call the function with the invocation and the command's own parameters."""
        invocation = ctx.ensure_object(Invocation)
        invocation.take(ctx.params)
        ctx.params["inn"] = invocation
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Show the examples."""
        with formatter.section("Examples"):
            formatter.write("".join(f"  {example}\n" for example in self.examples))


def verb(
    name: str,
    *examples: str,
    of: click.Group | None = None,
    waits: bool = False,
    timed: bool = False,
    shows: bool = True,
) -> Callable[[Callable[..., object]], Verb]:
    """Make a function a command of the group; its docstring is the help, its first parameter ``inn`` the invocation."""

    def make(function: Callable[..., object]) -> Verb:
        command = click.command(name, cls=Verb, examples=examples, waits=waits, timed=timed, shows=shows)(function)
        if of is not None:
            of.add_command(command)
        return command

    return make


def assignments(texts: Sequence[str], option: str) -> dict[str, str]:
    """Return ``{key: value}`` of texts like ``KEY=VALUE``.

    Raises:
        click.BadParameter: one of them has no ``=``.
    """
    pairs = [text.partition("=") for text in texts]
    for key, equals, _ in pairs:
        if not equals or not key:
            raise click.BadParameter(f"{key!r} is not like KEY=VALUE", param_hint=option)
    return {key: value for key, _, value in pairs}
