"""``user:password`` or ``user:token`` of a call to a user; keeps no secret, and decides no right.

A session that was verified is known again by its HMAC, under a key that this process made, for as long as the very
same record of the user is there: whatever changes about the user ends it. So a password costs its scrypt once.
"""

import asyncio
import hashlib
import hmac
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from innkeeper_controller import passwords
from innkeeper_controller.cluster import Cluster
from innkeeper_controller.narrowing import narrowed
from innkeeper_controller.opennebula.refusals import NOT_AUTHENTICATED
from innkeeper_controller.records import Moment, User
from innkeeper_controller.turn import RefusalError

#: A password is asked for again after so long, as OpenNebula does.
KNOWN_FOR_S: Final = 900.0
MAX_KNOWN: Final = 10_000
#: Passwords compared at once, and how many more may wait for that.
_THREADS: Final = 2
MAX_COMPARING: Final = 256
#: Of these, of one user, or of all names that nobody has: whoever guesses keeps only those out.
MAX_COMPARING_OF_ONE: Final = 16
MAX_SESSION_CHARACTERS: Final = 1024
_SHA1: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class _Known:
    """A session that was verified."""

    user: User
    verified_at_s: Moment


def is_of_1_4(session: object) -> bool:
    """Return whether that is how clients of 1.4 say who they are: with the SHA-1 of a password."""
    return isinstance(session, str) and _SHA1.fullmatch(session.partition(":")[2]) is not None


class Sessions:
    """Who calls; on the loop's thread, but for the comparing."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        clock: Callable[[], Moment],
        entropy: Callable[[int], bytes],
        takes_sha1: bool = False,
        matches: Callable[[str, str], bool] = passwords.matches,
        decoy: str = passwords.DECOY,
    ) -> None:
        """Know nobody yet.

        Args:
            cluster: Has the users.
            clock: Gives the moment.
            entropy: Gives random bytes.
            takes_sha1: Whether old clients may send the SHA-1 of a password.
            matches: Tells whether a password is the one that was hashed; slow on purpose.
            decoy: A hash that no password has, for users who have none: they have to take as long.
        """
        self._cluster, self._clock = cluster, clock
        self._key = entropy(32)
        self._matches, self._decoy = matches, decoy
        self.takes_sha1 = takes_sha1
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        #: Comparisons under way, so that many calls with one session make one.
        self._comparing: dict[bytes, asyncio.Future[bool]] = {}
        #: ``{user: comparisons}``; the empty name is nobody's.
        self._comparing_of: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="password")

    def close(self) -> None:
        """End the threads; nobody is let in any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def known(self, session: object, *, old: bool = False) -> User | None:
        """Return the user where nothing has to be compared: a session that was verified, or a login token."""
        if not isinstance(session, str) or len(session) > MAX_SESSION_CHARACTERS:
            return None
        name, _, secret = session.partition(":")
        user = self._cluster.users.get(name)
        if user is None or not user.enabled:
            return None
        known = self._known.get(self._digest(session, old=old))
        if known is not None and known.user is user and self._clock() - known.verified_at_s < KNOWN_FOR_S:
            return user
        return self._by_token(user, secret)

    async def user_of(self, session: object, *, old: bool = False) -> User:
        """Return who calls.

        Args:
            session: The first argument of every call.
            old: It is a client of 1.4, which may send the SHA-1 of the password instead of it.

        Raises:
            RefusalError: ``unauthenticated``, in the same words and much the same time whatever is wrong;
                ``too_many``: too many passwords are being compared.
        """
        user = self.known(session, old=old)
        if user is not None:
            return user
        if not isinstance(session, str) or len(session) > MAX_SESSION_CHARACTERS:
            raise RefusalError("unauthenticated", NOT_AUTHENTICATED)
        name, _, secret = session.partition(":")
        user = self._cluster.users.get(name)
        digest = self._digest(session, old=old)
        fits = await self._compared(digest, user, secret, old=old)
        # The record may have been replaced while the thread was at it: then it was another password that fitted.
        if not fits or user is None or not user.enabled or self._cluster.users.get(name) is not user:
            raise RefusalError("unauthenticated", NOT_AUTHENTICATED)
        self._remember(digest, user)
        return user

    def _digest(self, session: str, *, old: bool) -> bytes:
        return hmac.digest(self._key, (b"1" if old else b"2") + session.encode("utf-8", "surrogatepass"), "sha256")

    def _by_token(self, user: User, secret: str) -> User | None:
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        if self._cluster.user_of_token.get(digest) != user.name:
            return None
        token = next((each for each in user.tokens if each.token_sha256 == digest), None)
        if token is None or (token.expires_at_s is not None and token.expires_at_s <= self._clock()):
            return None
        return narrowed(user, token.group)

    async def _compared(self, digest: bytes, user: User | None, secret: str, *, old: bool) -> bool:
        """Compare in a thread, once for all who ask the same meanwhile."""
        comparing = self._comparing.get(digest)
        if comparing is None:
            comparing = self._begin(digest, user, secret, old=old)
        return await asyncio.shield(comparing)

    def _begin(self, digest: bytes, user: User | None, secret: str, *, old: bool) -> asyncio.Future[bool]:
        name = user.name if user is not None else ""
        if len(self._comparing) >= MAX_COMPARING or self._comparing_of[name] >= MAX_COMPARING_OF_ONE:
            raise RefusalError("too_many", "Too many passwords are being compared; ask again in a moment.")
        hashes = self._hashes_of(user, old=old)
        loop = asyncio.get_running_loop()
        comparing = loop.run_in_executor(self._threads, self._any_matches, secret, hashes)
        self._comparing[digest] = comparing
        self._comparing_of[name] += 1

        def ended(_: asyncio.Future[bool]) -> None:
            del self._comparing[digest]
            self._comparing_of[name] -= 1
            if not self._comparing_of[name]:
                del self._comparing_of[name]

        comparing.add_done_callback(ended)
        return comparing

    def _hashes_of(self, user: User | None, *, old: bool) -> tuple[str, ...]:
        """Return what the secret may be the password of; always as many, so that all take as long."""
        found = (user.password, user.password_sha1) if user is not None and user.enabled else ("", "")
        return tuple(each or self._decoy for each in (found if old and self.takes_sha1 else found[:1]))

    def _any_matches(self, secret: str, hashes: tuple[str, ...]) -> bool:
        # All are compared, so that it takes as long; whatever fits the decoy is nobody's password.
        fitting = [each for each in hashes if self._matches(secret, each)]
        return any(each != self._decoy for each in fitting)

    def _remember(self, digest: bytes, user: User) -> None:
        self._known[digest] = _Known(user, self._clock())
        self._known.move_to_end(digest)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
