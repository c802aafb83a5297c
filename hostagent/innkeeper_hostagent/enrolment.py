"""Enrols this host with a controller: makes its keys, shows the token, remembers whom it belongs to. Twice is fine."""

import asyncio
import socket
from pathlib import Path

from innkeeper_hostagent import identity, ownership
from innkeeper_hostagent.config import Config
from innkeeper_hostagent.identity import Membership, NotJoinedError
from innkeeper_hostagent.journal import JOURNAL, locked, put_aside
from innkeeper_hostagent.place import datastores_of
from innkeeper_hostagent.protocol import enrolment as asking
from innkeeper_hostagent.protocol import join
from innkeeper_hostagent.protocol.messages import Joined
from innkeeper_plugins.errors import InnkeeperError


class AlreadyJoinedError(InnkeeperError):
    """The host belongs to another controller; the operator must say that it shall leave it. Nothing has changed."""


def enrol(config: Config, token_text: str, name: str, *, replace: bool, timeout_s: float) -> Membership:
    """Join the controller that the token names.

    A host that leaves a cluster begins with an empty journal: the numbers in it mean other VMs and operations now.

    Args:
        config: Says where keys and membership are kept, and where VMs are.
        token_text: As ``inn host add`` printed it.
        name: What to call this host; empty for the machine's own name.
        replace: Leave another controller for this one.
        timeout_s: How long to wait for the controller.

    Raises:
        JoinTokenError: the token is none.
        JoinRefusedError: the controller does not take this host, or cannot be reached.
        AlreadyJoinedError: it belongs to another one.
        ForeignVmsError: it has VMs of another one; nothing has changed.
        JournalError: its agent still runs for another one.
        OSError: the state directory or a datastore cannot be used.
    """
    token = join.parse(token_text)
    old = _membership(config.state_dir)
    leaves = old is not None and old.controller_public_key != token.controller_public_key
    if old is not None and leaves and not replace:
        raise AlreadyJoinedError(
            f"this host is {old.host_name} of the controller at {old.endpoint}; add --replace to leave that one"
        )
    keys = identity.keys(config.state_dir)
    if leaves:
        _check_stopped(config)
    joined: Joined = asyncio.run(asking.join(token, name or socket.gethostname(), keys, timeout_s))
    membership = Membership(
        endpoint=token.endpoint,
        controller_public_key=token.controller_public_key,
        host_name=joined.host_name,
        cluster_id=joined.cluster_id,
    )
    if old is None or old.cluster_id in {"", joined.cluster_id}:
        ownership.claim(datastores_of(config).values(), joined.cluster_id)
        identity.save(config.state_dir, membership)
    else:
        _change_sides(config, membership)
    return membership


def _check_stopped(config: Config) -> None:
    """Refuse while the agent runs, before the token is used up."""
    with locked(config.state_dir / JOURNAL):
        pass


def _change_sides(config: Config, membership: Membership) -> None:
    with locked(config.state_dir / JOURNAL):
        ownership.claim(datastores_of(config).values(), membership.cluster_id)
        put_aside(config.state_dir / JOURNAL)
        identity.save(config.state_dir, membership)


def _membership(state_dir: Path) -> Membership | None:
    try:
        return identity.load(state_dir)
    except NotJoinedError:
        return None
