"""Who this host is and which controller it belongs to: what enrolment leaves in the state directory."""

import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from innkeeper_hostagent.protocol.keys import KeyPair, load_or_create
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.vocabulary import Value

_KEY_FILE: Final = "agent.key"
_CONTROLLER_FILE: Final = "controller.json"
_PRIVATE_MODE: Final = 0o700


class NotJoinedError(InnkeeperError):
    """The host belongs to no controller yet; the operator must run ``inn-agent join``."""


class Membership(Value):
    """The controller that the host has joined."""

    #: ZeroMQ endpoint that the agent dials.
    endpoint: str
    #: Z85 text of the key that the controller answers with.
    controller_public_key: str
    #: Name under which the host is known there.
    host_name: str
    #: The controller's cluster: VMs of any other are not this agent's business. Empty where it did not say.
    cluster_id: str = ""


def keys(state_dir: Path) -> KeyPair:
    """Return the host's key pair, made at the first call, in its directory, made as well.

    Raises:
        KeyFileError: the file cannot be used.
        OSError: the file system refuses.
    """
    state_dir.mkdir(mode=_PRIVATE_MODE, parents=True, exist_ok=True)
    return load_or_create(state_dir / _KEY_FILE)


def save(state_dir: Path, membership: Membership) -> None:
    """Remember the controller; durable when it returns."""
    write_whole(state_dir / _CONTROLLER_FILE, msgspec.json.format(msgspec.json.encode(membership)) + b"\n")


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file's content; durable when it returns, and never half of it.

    Raises:
        OSError: the file system refuses; the old content is still there.
    """
    new_path = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with new_path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new_path.replace(path)
    finally:
        new_path.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def load(state_dir: Path) -> Membership:
    """Return the controller that the host has joined.

    Raises:
        NotJoinedError: none, or the file cannot be used.
    """
    path = state_dir / _CONTROLLER_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Membership)
    except FileNotFoundError as error:
        raise NotJoinedError("this host has joined no controller; run `inn-agent join TOKEN`") from error
    except (OSError, msgspec.DecodeError) as error:
        raise NotJoinedError(f"{path} cannot be used ({error}); run `inn-agent join TOKEN` again") from error
