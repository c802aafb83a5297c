"""``inn completion``: the script that makes a shell complete ``inn``."""

import click

from innkeeper_controller.cli.commands import verb
from innkeeper_controller.cli.invocation import Invocation

SHELLS = ("bash", "zsh", "fish")


@verb(
    "completion",
    "inn completion bash > /etc/bash_completion.d/inn",
    "inn completion zsh > ~/.zfunc/_inn",
    "inn completion fish > ~/.config/fish/completions/inn.fish",
    shows=False,
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(inn: Invocation, shell: str) -> None:
    """Print the completion script of a shell."""
    inn.say(script(shell))


def script(shell: str) -> str:
    """Return a shell's completion script."""
    from click.shell_completion import get_completion_class

    from innkeeper_controller.cli.main import inn

    found = get_completion_class(shell)
    assert found is not None, "one of the choices"
    return found(inn, {}, "inn", "_INN_COMPLETE").source().strip()
