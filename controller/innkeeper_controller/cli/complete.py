"""What a shell offers for an argument that names something: what the controller knows, or nothing."""

from collections.abc import Callable

import click

from innkeeper_controller.cli.invocation import Invocation
from innkeeper_plugins.errors import InnkeeperError

#: Nobody waits longer for a suggestion.
PATIENCE_S = 1.0
#: More suggestions help nobody.
LIMIT = 100

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def names(request: str, key: str = "name", **filters: int) -> Complete:
    """Return a completion by the names that a list answers.

    Args:
        request: ``host.list``.
        key: The field with the name.
        filters: Parameters of the request.
    """

    def complete(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
        inn = Invocation()
        try:
            inn.client.link.timeout_s = PATIENCE_S
            found = [str(row[key]) for row in inn.call(request, **filters)]
        except (InnkeeperError, click.ClickException):
            return []
        finally:
            inn.close()
        return [name for name in found if name.startswith(begun)][:LIMIT]

    return complete


HOSTS = names("host.list")
IMAGES = names("image.list")
NETWORKS = names("network.list")
TEMPLATES = names("template.list")
DATASTORES = names("datastore.list")
CLUSTERS = names("cluster.list")
OPERATIONS = names("operation.list", "operation_id")
VM_NAMES = names("vm.list", limit=1000)


def vms(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Offer VMs by name, or by id once a digit is typed."""
    wanted = names("vm.list", "vm_id", limit=1000) if begun.isdecimal() else VM_NAMES
    return wanted(context, parameter, begun)
