"""Who asks: a bearer token to a user; keeps no token and decides no right."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from innkeeper_controller.api.refusals import bad_request
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.narrowing import narrowed
from innkeeper_controller.records import LoginToken, Moment, User
from innkeeper_controller.turn import RefusalError

#: Longest number that a client may give a request.
MAX_REQUEST_ID = 128
_BEARER = b"bearer "
#: The same words whatever is wrong with a token: who guesses learns nothing.
_UNKNOWN: Final = "Nobody has this token; it may have expired, or been replaced by a new one."


#: Names in lower case, and values.
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Caller:
    """What the headers say of the one who asks."""

    user: User | None
    #: Number that the client gave the request; empty for none.
    request_id: str


def caller_of(headers: Headers, cluster: Cluster, now_s: Moment) -> Caller:
    """Return who asks; without a token it is nobody.

    Raises:
        RefusalError: ``unauthenticated``: there is a token, and nobody has it; ``bad_request``: a header is malformed.
    """
    user, request_id = None, ""
    for name, value in headers:
        if name == b"authorization":
            user = user_of(value, cluster, now_s)
        elif name == b"x-request-id":
            request_id = _request_id(value)
    return Caller(user, request_id)


def user_of(authorization: bytes, cluster: Cluster, now_s: Moment) -> User:
    """Return the user whose token the header brings, in the token's group only where it is for one.

    Raises:
        RefusalError: ``unauthenticated``.
    """
    if authorization[: len(_BEARER)].lower() != _BEARER:
        raise RefusalError("unauthenticated", "Send your token as `Authorization: Bearer TOKEN`.")
    # Found by its digest, so how long the search takes tells nothing about any token.
    digest = hashlib.sha256(authorization[len(_BEARER) :].strip()).hexdigest()
    user = cluster.users.get(cluster.user_of_token.get(digest, ""))
    token = next((each for each in user.tokens if each.token_sha256 == digest), None) if user is not None else None
    if user is None or token is None or not lets_in(user, token, now_s):
        raise RefusalError("unauthenticated", _UNKNOWN)
    return narrowed(user, token.group)


def lets_in(user: User, token: LoginToken, now_s: Moment) -> bool:
    """Return whether one of the user's tokens lets in at that moment."""
    is_over = token.expires_at_s is not None and token.expires_at_s <= now_s
    return user.enabled and not is_over and (not token.group or token.group in user.groups)


def _request_id(value: bytes) -> str:
    text = value.decode("ascii", "ignore")
    if not 0 < len(value) <= MAX_REQUEST_ID or not value.isascii() or not text.isprintable():
        raise bad_request(f"X-Request-Id has to be 1 to {MAX_REQUEST_ID} printable characters", "X-Request-Id")
    return text
