"""The join token: one line that a person copies from the controller to a new host.

It holds where the controller is, the key that it must answer with, and a secret that is good for one host only.
Whether a secret is still good, the controller knows; nothing here does.

    inn1_ and base64url without padding of:
      length of all that follows (1 byte), controller's public key (32), secret (20), endpoint (UTF-8), SHA-256 of the
      bytes before (first 4 of its bytes)
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from zmq.utils import z85

from innkeeper_hostagent.protocol.errors import JoinTokenError
from innkeeper_hostagent.protocol.keys import KEY_CHARACTERS, Secret

_PREFIX: Final = "inn1_"
_KEY_BYTES: Final = 32
_SECRET_BYTES: Final = 20
_CHECKSUM_BYTES: Final = 4
_MAX_ENDPOINT_BYTES: Final = 255 - _KEY_BYTES - _SECRET_BYTES - _CHECKSUM_BYTES


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What a new host has to know of its controller; it can be printed only by ``text``."""

    #: ZeroMQ endpoint of the controller, ``tcp://controller.example:2634``.
    endpoint: str
    #: Z85 text of the key that the controller answers with.
    controller_public_key: str
    #: As ``new_secret`` makes it.
    secret: Secret

    def text(self) -> str:
        """Return the token as one line of letters, digits, ``-`` and ``_``.

        Raises:
            ValueError: the endpoint is too long, or key or secret are not of their form.
        """
        content = b"".join((_key_bytes(self.controller_public_key), _secret_bytes(self.secret), self.endpoint.encode()))
        if len(content) > _MAX_ENDPOINT_BYTES + _KEY_BYTES + _SECRET_BYTES:
            raise ValueError(f"the endpoint {self.endpoint} is longer than {_MAX_ENDPOINT_BYTES} bytes")
        body = bytes([len(content) + _CHECKSUM_BYTES]) + content
        return _line(body + _checksum(body))


def parse(text: str) -> JoinToken:
    """Return the token that a person pasted; white space and line breaks within it are forgiven.

    Raises:
        JoinTokenError: it is no token, or was cut off, or has a wrong character; the sentence says which.
    """
    line = "".join(text.split())
    if not line.startswith(_PREFIX):
        raise JoinTokenError(f"a join token begins with {_PREFIX}; copy the whole line that `inn host add` printed")
    body = _decoded(line.removeprefix(_PREFIX))
    length = 1 + (body[0] if body else 0)
    if len(body) < length or not body:
        raise JoinTokenError(f"the join token is cut off after {len(line)} characters; copy the whole line")
    if len(body) > length or _checksum(body[:-_CHECKSUM_BYTES]) != body[-_CHECKSUM_BYTES:]:
        raise JoinTokenError("the join token has a wrong or an additional character; copy the line again")
    # Bits of the last character that belong to no byte are in no checksum.
    if _line(body) != line:
        raise JoinTokenError("the join token has a wrong character; copy the line again")
    return _taken_apart(body[1:-_CHECKSUM_BYTES])


def new_secret() -> Secret:
    """Return a new secret for one token: 160 random bits as 40 hexadecimal digits."""
    return Secret(secrets.token_hex(_SECRET_BYTES))


def digest(secret: Secret | str) -> str:
    """Return what the controller keeps of a secret: the lower-case hexadecimal SHA-256 of its text.

    Args:
        secret: As ``new_secret`` made it, or as ``Join.token`` brought it.
    """
    text = secret.reveal() if isinstance(secret, Secret) else secret
    return hashlib.sha256(text.encode()).hexdigest()


def _line(body: bytes) -> str:
    return _PREFIX + base64.urlsafe_b64encode(body).decode("ascii").rstrip("=")


def _decoded(text: str) -> bytes:
    # A cut anywhere must still decode, to tell a short token from a mistyped one: drop what is no whole byte.
    whole = text[: len(text) - 1] if len(text) % 4 == 1 else text
    try:
        return base64.b64decode(whole + "=" * (-len(whole) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise JoinTokenError("the join token has a wrong character; copy the line again") from error


def _taken_apart(content: bytes) -> JoinToken:
    key, secret = content[:_KEY_BYTES], content[_KEY_BYTES : _KEY_BYTES + _SECRET_BYTES]
    try:
        endpoint = content[_KEY_BYTES + _SECRET_BYTES :].decode()
    except UnicodeDecodeError as error:
        raise JoinTokenError("the join token names no endpoint; ask for a new one with `inn host add`") from error
    return JoinToken(endpoint, z85.encode(key).decode("ascii"), Secret(secret.hex()))


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECKSUM_BYTES]


def _key_bytes(public_key: str) -> bytes:
    if len(public_key) != KEY_CHARACTERS:
        raise ValueError(f"a public key has {KEY_CHARACTERS} characters, not {len(public_key)}")
    return bytes(z85.decode(public_key))


def _secret_bytes(secret: Secret) -> bytes:
    content = bytes.fromhex(secret.reveal())
    if len(content) != _SECRET_BYTES:
        raise ValueError(f"a join secret has {2 * _SECRET_BYTES} digits")
    return content
