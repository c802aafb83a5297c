"""CURVE key pairs, and a type for secrets that cannot get into a log, a traceback or a pickle.

It decides nothing about whom a key lets in.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import zmq

from innkeeper_hostagent.protocol.errors import KeyFileError

#: Length of a key as Z85 text.
KEY_CHARACTERS: Final = 40
_PRIVATE_MODE: Final = 0o600


class Secret:
    """Text that must not be seen; ``reveal`` is the only way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self._text = text

    def reveal(self) -> str:
        """Return the text, to be handed to what needs it and to nothing else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return secrets.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be copied out of its process")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Who one end of a connection is."""

    #: Z85 text, 40 characters; may be known to all.
    public: str
    #: Z85 text, 40 characters.
    secret: Secret


def generate() -> KeyPair:
    """Return a new key pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode("ascii"), Secret(secret.decode("ascii")))


def load_or_create(path: Path) -> KeyPair:
    """Return the key pair kept in the file; make both if there is no file yet.

    A new file is complete, durable and readable by its owner only before its name appears; its directory must exist.

    Raises:
        KeyFileError: others may read or write the file, or it holds no key.
        OSError: the file system refuses.
    """
    try:
        return _load(path)
    except FileNotFoundError:
        _create(path, generate())
        return _load(path)


def _load(path: Path) -> KeyPair:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        text = file.read(KEY_CHARACTERS + 2)
    if mode & ~_PRIVATE_MODE:
        raise KeyFileError(f"{path} has mode {mode:04o}: others can read this key; chmod 600 it, or revoke it")
    try:
        secret = text.removesuffix("\n")
        return KeyPair(zmq.curve_public(secret.encode("ascii")).decode("ascii"), Secret(secret))
    except (ValueError, zmq.ZMQError) as error:
        raise KeyFileError(f"{path} holds no key of {KEY_CHARACTERS} characters; restore it, or join again") from error


def _create(path: Path, keys: KeyPair) -> None:
    new_path = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE_MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(keys.secret.reveal() + "\n")
            file.flush()
            os.fsync(file.fileno())
        _give_name(new_path, path)
    finally:
        new_path.unlink()


def _give_name(new_path: Path, path: Path) -> None:
    try:
        # Unlike a rename a link never replaces the key that another process has made meanwhile.
        path.hardlink_to(new_path)
    except FileExistsError:
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
