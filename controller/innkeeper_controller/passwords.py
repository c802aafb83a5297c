"""Turns passwords into what may be kept of them, and compares; keeps, logs and chooses none.

``scrypt$n$r$p$salt$hash``, salt and hash in base64: the numbers stand beside each hash, so that they can grow.
Hashing and comparing take about 40 ms and 16 MiB, on purpose.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

#: Work, block size and lanes of scrypt (RFC 7914).
_N, _R, _P = 2**14, 8, 1
_SALT_BYTES = 16
_HASH_BYTES = 32
_SCHEME = "scrypt"
#: What a hash from elsewhere may ask for at most.
_MAX_MEMORY_BYTES = 64 * 1024 * 1024
#: Longer ones are refused before they are hashed.
MAX_PASSWORD_CHARACTERS: Final = 512
#: A hash that no password has, to be compared where there is none: so that takes as long.
DECOY: Final = "$".join((_SCHEME, str(_N), str(_R), str(_P), base64.b64encode(bytes(_SALT_BYTES)).decode(), "AA=="))


def hashed(password: str, entropy: Callable[[int], bytes]) -> str:
    """Return what may be kept of a password; empty for an empty one, which never lets in.

    Args:
        password: At most ``MAX_PASSWORD_CHARACTERS``.
        entropy: Gives random bytes.
    """
    if not password:
        return ""
    salt = entropy(_SALT_BYTES)
    made = _scrypt(password, salt, _N, _R, _P, _HASH_BYTES)
    words = (_SCHEME, str(_N), str(_R), str(_P), base64.b64encode(salt).decode(), base64.b64encode(made).decode())
    return "$".join(words)


def matches(password: str, kept: str) -> bool:
    """Return whether that is the password; how long it takes tells nothing of it."""
    words = kept.split("$")
    if not password or len(password) > MAX_PASSWORD_CHARACTERS or len(words) != len(DECOY.split("$")):
        return False
    scheme, work, block, lanes, salt, expected = words
    if scheme != _SCHEME:
        return False
    wanted = base64.b64decode(expected)
    found = _scrypt(password, base64.b64decode(salt), int(work), int(block), int(lanes), len(wanted))
    return hmac.compare_digest(found, wanted) and len(wanted) == _HASH_BYTES


def sha1_of(password: str) -> str:
    """Return what clients of OpenNebula 1.4 send instead of the password; empty for an empty one."""
    return (
        hashlib.sha1(password.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest() if password else ""
    )


def _scrypt(password: str, salt: bytes, work: int, block: int, lanes: int, count: int) -> bytes:  # noqa: PLR0917 - of the RFC
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=work, r=block, p=lanes, maxmem=_MAX_MEMORY_BYTES, dklen=count)
