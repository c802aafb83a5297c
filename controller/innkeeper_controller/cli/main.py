"""The command ``inn``: its nouns, and the one place where errors become exit codes.

0 done, 1 refused or failed, 2 usage, 3 controller unreachable, 4 timed out waiting.
Nouns are imported when they are used, so that help and completion stay quick.
"""

import os
import sys
from collections.abc import Sequence

import click

from innkeeper_controller.cli.commands import LazyGroup, Member, common_options, output_option
from innkeeper_controller.cli.invocation import Invocation
from innkeeper_plugins.errors import InnkeeperError

#: ``{name: where it is}``, in the order in which help lists them.
MEMBERS = {
    "vm": Member("vm.group:vm", "Virtual machines: submit, watch, move, end.", "Things"),
    "host": Member("host:host", "Hosts that carry VMs, each with an agent.", "Things"),
    "image": Member("image:image", "Disk images that VMs are made from.", "Things"),
    "template": Member("template:template", "Templates of VMs, kept to make VMs from.", "Things"),
    "network": Member("network:network", "Virtual networks and their addresses.", "Things"),
    "datastore": Member("datastore:datastore", "Places where images and disks lie.", "Things"),
    "cluster": Member("cluster_noun:cluster", "Hosts, networks and datastores that go together.", "Things"),
    "user": Member("user:user", "Users: who may ask, and how they are known.", "People"),
    "group": Member("group:group", "Groups of users who share things.", "People"),
    "acl": Member("acl:acl", "Rules that let users do more.", "People"),
    "quota": Member("quota:quota", "Limits of users and groups that have none of their own.", "People"),
    "operation": Member("operation:operation", "Requests being carried out.", "Things"),
    "status": Member("cluster:status", "Show the whole cluster on one screen.", "Everything"),
    "events": Member("cluster:events", "Show what happened, or what happens now.", "Everything"),
    "verify": Member("cluster:verify", "Check that records and reality agree.", "Everything"),
    "requests": Member("cluster:requests", "List the requests of the public API.", "Everything"),
    "plan": Member("plan:plan", "What would happen if: VMs come, hosts go; and doing as planned.", "Everything"),
    "capacity": Member(
        "capacity:capacity", "Say how many more VMs of a template fit, and what runs out first.", "Everything"
    ),
    "balance": Member(
        "balance:balance", "Move VMs so that hosts are used better, live where that is possible.", "Everything"
    ),
    "simulate": Member("simulate:simulate", "Run a trace over made-up hosts and see how it packs.", "Everything"),
    "completion": Member("completion:completion", "Print the completion script of a shell.", "This command"),
    "version": Member("cluster:version", "Show the versions of this command and the controller.", "This command"),
}


class Root(LazyGroup):
    """``inn`` itself."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Say how to begin, and what exit codes mean."""
        with formatter.section("First steps"):
            formatter.write_dl(
                [
                    ("inn host add NAME", "prints what to run on a new host"),
                    ("inn image add NAME --file FILE", "brings a disk image"),
                    ("inn vm submit FILE --wait", "starts a VM and follows it until it runs"),
                    ("inn vm why ID", "says why a VM waits or failed"),
                ]
            )
        formatter.write_paragraph()
        formatter.write_text(
            "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 controller unreachable, 4 timed out waiting."
        )


def _begin(**params: object) -> None:
    invocation = click.get_current_context().find_object(Invocation)
    assert invocation is not None
    invocation.take(params)


inn = Root(
    name="inn",
    members=MEMBERS,
    callback=_begin,
    params=[*common_options(hidden=False), output_option()],
    help="Run virtual machines on a fleet of hosts.",
)


inn = click.version_option(package_name="innkeeper", message="%(prog)s %(version)s")(inn)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    invocation = Invocation()
    try:
        return _run(invocation, arguments)
    finally:
        invocation.close()


def _run(invocation: Invocation, arguments: Sequence[str] | None) -> int:
    try:
        return _exit_code(inn.main(arguments, prog_name="inn", standalone_mode=False, obj=invocation))
    except click.ClickException as error:
        invocation.note(_usage(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("\n")
        return 130
    except BrokenPipeError:
        # Whoever read the output has had enough; the interpreter must not complain about it when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except InnkeeperError as error:
        # Only where something went wrong is it worth importing what explains it.
        from innkeeper_controller.cli.complaints import complain, exit_code

        complain(invocation, error)
        return exit_code(error)


def _usage(error: click.ClickException) -> str:
    """Return what is wrong with the command line, how it is used, and where there is more."""
    message = error.format_message()
    if message.startswith("Usage: "):
        # A group without a verb gets its whole help.
        return message
    lines = [f"error: {message}"]
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        lines += [f"  {context.get_usage()}", f"  `{context.command_path} --help` says more."]
    return "\n".join(lines)


def _exit_code(returned: object) -> int:
    return returned if isinstance(returned, int) else 0


if __name__ == "__main__":
    sys.exit(main())
