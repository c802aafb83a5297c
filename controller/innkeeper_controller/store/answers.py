"""Remembers which numbered requests have been answered, so that asking twice changes nothing; keeps no answers itself.

A client that got no answer asks again with the same number: it gets the first answer, whatever came in between.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from innkeeper_plugins.vocabulary import Value

_encoder = msgspec.json.Encoder(order="deterministic")

#: Answers with secrets are never written; so many are kept in memory, for a client whose connection broke.
_MAX_SECRETS = 64

#: Parameters that are never written, not even as a digest.
_SECRET = frozenset({"password", "token"})


def fingerprint(user_name: str, name: str, params: Value) -> str:
    """Return what tells two requests of the same number apart: a SHA-256, lower-case hexadecimal."""
    told = _encoder.encode(_without_secrets(params))
    return hashlib.sha256(b"\0".join((user_name.encode(), name.encode(), told))).hexdigest()


def _without_secrets(params: Value) -> Value:
    """Return the parameters without passwords: a SHA-256 of one would be guessed from."""
    secrets = {name: "" for name in params.__struct_fields__ if name in _SECRET}
    return msgspec.structs.replace(params, **secrets) if secrets else params


def holds_secret(answer: object) -> bool:
    """Whether an answer must not be written: it holds a token."""
    return any("token" in name for name in getattr(answer, "__struct_fields__", ()))


@dataclass(slots=True)
class Remembered:
    """A numbered request that has been let in."""

    request_sha256: str
    #: The answer to come; None once it has been given.
    answer: asyncio.Future[bytes] | None = None


@dataclass(slots=True)
class AnswerMemory:
    """The newest numbered requests; older ones are forgotten, and their numbers count as new."""

    limit: int
    _requests: OrderedDict[str, Remembered] = field(default_factory=OrderedDict)
    _secrets: OrderedDict[str, bytes] = field(default_factory=OrderedDict)

    def load(self, answered: Iterable[tuple[str, str]]) -> None:
        """Take over what the store remembers: (number, SHA-256), the oldest first."""
        for request_id, request_sha256 in answered:
            self._requests[request_id] = Remembered(request_sha256)

    def find(self, request_id: str) -> Remembered | None:
        """Return the request of that number; None where it is new."""
        return self._requests.get(request_id)

    def begin(self, request_id: str, request_sha256: str, answer: asyncio.Future[bytes]) -> None:
        """Remember a request that is being carried out."""
        self._requests[request_id] = Remembered(request_sha256, answer)
        while len(self._requests) > self.limit:
            self._requests.popitem(last=False)

    def end(self, request_id: str) -> None:
        """Note that it was answered, and that the store has the answer unless it is kept as a secret."""
        remembered = self._requests.get(request_id)
        if remembered is not None:
            remembered.answer = None

    def keep_secret(self, request_id: str, body: bytes) -> None:
        """Keep an answer that must not be written."""
        self._secrets[request_id] = body
        while len(self._secrets) > _MAX_SECRETS:
            self._secrets.popitem(last=False)

    def forget(self, request_id: str) -> None:
        """Note that it was refused: the same number may be tried again."""
        self._requests.pop(request_id, None)

    def secret(self, request_id: str) -> bytes | None:
        """Return an answer that was not written because of its secret; None where memory has it no more."""
        return self._secrets.get(request_id)
