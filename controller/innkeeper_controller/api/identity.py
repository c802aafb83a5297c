"""Who asks: a bearer token to a user; keeps no token and decides no right."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from innkeeper_controller.api.refusals import bad_request
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.records import User
from innkeeper_controller.turn import RefusalError

#: Longest number that a client may give a request.
MAX_REQUEST_ID = 128
_BEARER = b"bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """What the headers say of the one who asks."""

    user: User | None
    #: Number that the client gave the request; empty for none.
    request_id: str


def caller_of(headers: Iterable[tuple[bytes, bytes]], cluster: Cluster) -> Caller:
    """Return who asks; without a token it is nobody.

    Raises:
        RefusalError: ``unauthenticated``: there is a token, and nobody has it; ``bad_request``: a header is malformed.
    """
    user, request_id = None, ""
    for name, value in headers:
        if name == b"authorization":
            user = user_of(value, cluster)
        elif name == b"x-request-id":
            request_id = _request_id(value)
    return Caller(user, request_id)


def user_of(authorization: bytes, cluster: Cluster) -> User:
    """Return the user whose token the header brings.

    Raises:
        RefusalError: ``unauthenticated``.
    """
    if authorization[: len(_BEARER)].lower() != _BEARER:
        raise RefusalError("unauthenticated", "Send your token as `Authorization: Bearer TOKEN`.")
    # Found by its digest, so how long the search takes tells nothing about any token.
    digest = hashlib.sha256(authorization[len(_BEARER) :].strip()).hexdigest()
    name = cluster.user_of_token.get(digest)
    if name is None:
        raise RefusalError("unauthenticated", "Nobody has this token; it may have been replaced by a new one.")
    return cluster.users[name]


def _request_id(value: bytes) -> str:
    text = value.decode("ascii", "ignore")
    if not 0 < len(value) <= MAX_REQUEST_ID or not value.isascii() or not text.isprintable():
        raise bad_request(f"X-Request-Id has to be 1 to {MAX_REQUEST_ID} printable characters", "X-Request-Id")
    return text
