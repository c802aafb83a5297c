"""How users come in: passwords, of which a slow hash is kept, and login tokens, of which a digest is kept.

Who may change whose, the request table says; nothing here shows a secret but the token to who has asked for it.
"""

import hashlib
from typing import Any, Final

import msgspec

from innkeeper_controller import passwords
from innkeeper_controller.narrowing import is_narrowed
from innkeeper_controller.records import LoginToken, User
from innkeeper_controller.turn import RefusalError, Turn

_replace = msgspec.structs.replace

#: Login tokens of one user that have not ended.
MAX_TOKENS: Final = 64
_TOKEN_BYTES: Final = 32
_MIN_TOKEN_CHARACTERS: Final = 32
_MAX_TOKEN_CHARACTERS: Final = 512


def password_fields(turn: Turn, password: str) -> dict[str, Any]:
    """Return what a user's record keeps of a new password.

    Raises:
        RefusalError: ``bad_request``: it is too long.
    """
    if len(password) > passwords.MAX_PASSWORD_CHARACTERS:
        raise RefusalError("bad_request", f"A password has at most {passwords.MAX_PASSWORD_CHARACTERS} characters.")
    assert turn.entropy is not None, "requests have entropy"
    old = passwords.sha1_of(password) if turn.settings.sha1_passwords else ""
    return {
        "password": passwords.hashed(password, turn.entropy),
        "password_sha1": passwords.hashed(old, turn.entropy),
    }


def refuse_narrowed(turn: Turn) -> None:
    """Refuse what a token for one group must not reach: all that lets in without it.

    Raises:
        RefusalError: ``forbidden``.
    """
    if is_narrowed(turn.user):
        raise RefusalError("forbidden", "A token for one group cannot do this; use your password, or another token.")


def log_in(turn: Turn, user: User, *, token: str, valid_s: int, group: str) -> tuple[str, LoginToken]:
    """Make a login token, or give one another end; return the secret and what is kept of it.

    Args:
        turn: The turn of the request.
        user: Whose token it is.
        token: The secret; empty to have one made.
        valid_s: Seconds that it lasts, -1 for no end.
        group: The only group that it is for; empty for all of the user's.

    Raises:
        RefusalError: ``forbidden``, ``bad_request`` or ``too_many``.
    """
    refuse_narrowed(turn)
    if valid_s < -1:
        raise RefusalError("bad_request", "valid_s is seconds, -1 for no end or 0 to drop the token.")
    if group and group not in user.groups:
        raise RefusalError("bad_request", f"User {user.name} is not in the group {group}.")
    secret = token or _random_token(turn)
    if not _MIN_TOKEN_CHARACTERS <= len(secret) <= _MAX_TOKEN_CHARACTERS:
        text = f"A token of your own has {_MIN_TOKEN_CHARACTERS} to {_MAX_TOKEN_CHARACTERS} characters; give none."
        raise RefusalError("bad_request", text)
    expires_at_s = None if valid_s < 0 else turn.now_s + valid_s
    made = LoginToken(token_sha256=_sha256(secret), expires_at_s=expires_at_s, group=group)
    if turn.cluster.user_of_token.get(made.token_sha256, user.name) != user.name:
        raise RefusalError("bad_request", "This token is in use; let one be made for you.")
    others = _without(_unexpired(turn, user), made.token_sha256)
    if len(others) >= MAX_TOKENS:
        raise RefusalError("too_many", f"User {user.name} has {MAX_TOKENS} login tokens already; drop some.")
    turn.put(_replace(user, tokens=(*others, made)))
    turn.event("user.logged_in", f"user:{user.name}", expires_at_s=expires_at_s, group=group)
    return secret, made


def log_out(turn: Turn, user: User, token: str) -> None:
    """Drop a login token, or (empty) all of the user's.

    Raises:
        RefusalError: ``forbidden``, or ``not_found``.
    """
    if not token:
        # Whoever knows a token may drop it; a token for one group must not take the user the others.
        refuse_narrowed(turn)
    kept = _unexpired(turn, user)
    left = _without(kept, _sha256(token)) if token else ()
    if token and left == kept:
        raise RefusalError("not_found", f"User {user.name} has no such token; it may have ended.")
    turn.put(_replace(user, tokens=left))
    turn.event("user.logged_out", f"user:{user.name}", tokens=len(user.tokens) - len(left))


def _unexpired(turn: Turn, user: User) -> tuple[LoginToken, ...]:
    return tuple(each for each in user.tokens if each.expires_at_s is None or each.expires_at_s > turn.now_s)


def _without(tokens: tuple[LoginToken, ...], digest: str) -> tuple[LoginToken, ...]:
    return tuple(each for each in tokens if each.token_sha256 != digest)


def _random_token(turn: Turn) -> str:
    assert turn.entropy is not None, "requests have entropy"
    return turn.entropy(_TOKEN_BYTES).hex()


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
