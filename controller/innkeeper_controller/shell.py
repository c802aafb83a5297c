"""The controller as those who ask meet it: requests in, answers out, each of them once and durable.

It decides nothing: which turn a request makes, the reactor says. It opens no socket: the API and the gateway do.

The contract with those outside, which ``pipeline`` and ``host_links`` share:

1. Nothing leaves the process (an answer, a refusal, a message to a host, an event) before all that it could have seen
   is durable. While one batch of turns is being written the next may already react.
2. A numbered request is carried out once; asked again it gets the same answer, also after a restart.
3. While nothing can be written nothing more is accepted: requests are refused with ``unavailable`` and the reason,
   hosts are not acknowledged and say it again. Nothing that was acknowledged is lost, nothing else is invented.
4. When nobody can know any more what the disk holds, ``pipeline.broken`` says why and the process has to begin anew.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Engine

from innkeeper_controller.host_links import HostLinks
from innkeeper_controller.operation_waits import OperationWaits
from innkeeper_controller.outbox import Outbox
from innkeeper_controller.pipeline import DEFAULT_LIMITS as PIPELINE_LIMITS
from innkeeper_controller.pipeline import Pipeline, PipelineLimits, fault, unavailable
from innkeeper_controller.reactor import Reactor
from innkeeper_controller.records import Moment, User
from innkeeper_controller.requests.catalogue import REQUESTS
from innkeeper_controller.requests.table import Request
from innkeeper_controller.store.answers import AnswerMemory, fingerprint, holds_secret
from innkeeper_controller.store.reading import Reading
from innkeeper_controller.store.rows import Answer, Transaction
from innkeeper_controller.turn import RefusalError, Turn
from innkeeper_plugins.vocabulary import OperationId, Value

_encode = msgspec.json.Encoder().encode

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellLimits:
    """How much may wait, and how long things are remembered."""

    #: Inputs that have not been reacted to; one more request is refused with ``too_many``.
    max_waiting: int = 10_000
    #: Numbered requests whose answers are remembered, and for how long.
    max_answers: int = 100_000
    answers_kept_s: float = 7 * 86_400.0
    forget_answers_every_s: float = 3_600.0
    #: How long an answer may wait for a disk that takes nothing.
    answer_timeout_s: float = 30.0
    tick_s: float = 1.0
    pipeline: PipelineLimits = PIPELINE_LIMITS


DEFAULT_LIMITS: Final = ShellLimits()


@dataclass(frozen=True, slots=True)
class _Asked:
    request: Request
    params: Value
    user: User | None
    request_id: str
    #: Tells requests of one number apart; empty where the client gave no number.
    sha256: str
    answer: asyncio.Future[bytes]


class Controller:
    """One controller; every method has to be called on the loop's thread."""

    def __init__(
        self,
        reactor: Reactor,
        engine: Engine,
        *,
        clock: Callable[[], Moment],
        entropy: Callable[[int], bytes],
        limits: ShellLimits = DEFAULT_LIMITS,
    ) -> None:
        """Prepare with the state that the store has; ``start`` begins.

        Args:
            reactor: Decides; its cluster is loaded.
            engine: The database, locked by this process.
            clock: Gives the moment.
            entropy: Gives random bytes.
            limits: How much may wait.
        """
        self.reactor = reactor
        self.reading = Reading(engine)
        self.limits = limits
        self.counters: Counter[str] = Counter()
        self.waits = OperationWaits()
        #: Each gets the transactions of every batch once they are durable, in order.
        self.watchers: list[Callable[[Sequence[Transaction]], None]] = [self.waits.watch]
        self.pipeline = Pipeline(
            engine,
            reactor,
            clock=clock,
            release=self._release,
            on_trouble=self._on_trouble,
            limits=limits.pipeline,
        )
        # The process is about to end: those who wait may as well ask its successor now.
        self.pipeline.broken.add_done_callback(lambda broken: self._give_up(broken.result()))
        #: The agents' side of everything.
        self.hosts = HostLinks(reactor, self.pipeline, clock=clock)
        self._loop = asyncio.get_running_loop()
        #: Gives the moment, to whoever has to judge by the same clock.
        self.clock = clock
        self._clock, self._entropy = clock, entropy
        self._answers = AnswerMemory(limits.max_answers)
        #: Answers that somebody waits for.
        self._open: set[asyncio.Future[bytes]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._forget_answers_at_s = 0.0
        self._tick_waits = False

    async def start(self) -> None:
        """Begin: react, write, and answer."""
        self._answers.load(
            await self.reading.answered(self._clock() - self.limits.answers_kept_s, self.limits.max_answers)
        )
        self.pipeline.start(last_seq=await self.reading.last_seq())
        await self.carry_out(lambda: self.reactor.started(self._clock()))
        self._tick()

    async def close(self) -> None:
        """Write what was reacted to and end; whoever still waits is told to ask again."""
        for timer in self._timers.values():
            timer.cancel()
        await self.pipeline.close()
        self._give_up("it stops")
        self.reading.close()

    # --- requests

    async def request(self, name: str, params: Value, *, user: User | None, request_id: str = "") -> Any:  # noqa: ANN401 - the table knows the type
        """Carry a request out and return its answer, once it is durable.

        Raises:
            RefusalError: refused; after ``unavailable`` the same ``request_id`` may be asked again.
        """
        body = await self.request_json(name, params, user=user, request_id=request_id)
        return msgspec.json.decode(body, type=REQUESTS[name].answer)

    async def request_json(self, name: str, params: Value, *, user: User | None, request_id: str = "") -> bytes:
        """Do as ``request`` does; the answer stays JSON."""
        request = REQUESTS[name]
        if not request.changes:
            return await self._read(name, params, user)
        sha256 = fingerprint(user.name if user else "", name, params) if request_id else ""
        known = self._answers.find(request_id) if request_id else None
        if known is None:
            return await self._ask(request, params, user, request_id, sha256)
        if known.request_sha256 != sha256:
            raise RefusalError(
                "bad_request", f"Request id {request_id} was used for another request; use a new one for each."
            )
        if known.answer is None:
            return await self._answer_again(request_id)
        if known.answer.cancelled():
            raise unavailable("it stops")
        return await asyncio.shield(known.answer)

    async def look(self, name: str, params: Value, make: Callable[[Turn], T], *, user: User | None) -> T:
        """Let a request that changes nothing in, and return what ``make`` sees, once all of that is durable.

        Raises:
            RefusalError: refused.
        """
        return await self._seen(lambda: self.reactor.look(name, params, make, user=user, now_s=self._clock()))

    async def _read(self, name: str, params: Value, user: User | None) -> bytes:
        def make() -> bytes:
            return _encode(self.reactor.request(name, params, user=user, request_id="", now_s=self._clock())[1])

        return await self._seen(make)

    async def _seen(self, make: Callable[[], T]) -> T:
        try:
            found = self.pipeline.attempt(make)
        except RefusalError:
            await self.pipeline.settled()
            raise
        await self.pipeline.settled()
        if found is None:
            raise fault()
        return found

    async def _ask(self, request: Request, params: Value, user: User | None, request_id: str, sha256: str) -> bytes:
        if self.pipeline.trouble:
            raise unavailable(self.pipeline.trouble)
        if self.pipeline.waiting >= self.limits.max_waiting:
            self.counters["too_many"] += 1
            raise RefusalError("too_many", f"{self.pipeline.waiting} inputs wait already; ask again in a moment.")
        answer: asyncio.Future[bytes] = self._loop.create_future()
        asked = _Asked(request, params, user, request_id or self._entropy(8).hex(), sha256, answer)
        if sha256:
            self._answers.begin(request_id, sha256, answer)
        self._open.add(answer)
        self.pipeline.react(lambda outbox: self._react_to(asked, outbox))
        try:
            return await answer
        finally:
            self._open.discard(answer)

    def _react_to(self, asked: _Asked, outbox: Outbox) -> None:
        if asked.answer.done():
            # Nobody could be answered for too long and this one was told so: it has not been begun.
            self._answers.forget(asked.request_id)
            return
        try:
            made = self.pipeline.attempt(lambda: self._made(asked))
            if made is None:
                raise fault()
        except RefusalError as refusal:
            self._answers.forget(asked.request_id)
            outbox.replies.append((asked.answer, refusal))
            return
        turn, body, answer = made
        self.pipeline.add(outbox, turn, answer)
        outbox.replies.append((asked.answer, body))

    def _made(self, asked: _Asked) -> tuple[Turn, bytes, Answer | None]:
        """Return the turn, the answer, and what the store remembers of it; a secret stays in memory."""
        turn, value = self.reactor.request(
            asked.request.name, asked.params, user=asked.user, request_id=asked.request_id, now_s=self._clock()
        )
        body = _encode(value)
        if not asked.sha256:
            return turn, body, None
        secret = holds_secret(value)
        if secret:
            self._answers.keep_secret(asked.request_id, body)
        user_name = asked.user.name if asked.user else ""
        return turn, body, Answer(asked.request_id, user_name, asked.sha256, None if secret else body, turn.now_s)

    async def _answer_again(self, request_id: str) -> bytes:
        self.counters["answered_again"] += 1
        secret = self._answers.secret(request_id)
        if secret is not None:
            return secret
        answered = await self.reading.answer(request_id)
        if answered is None or answered.body is None:
            raise RefusalError(
                "wrong_state",
                f"Request {request_id} was carried out, but its answer held a secret; ask for a new one.",
            )
        return answered.body

    async def wait_operation(self, operation_id: str, timeout_s: float) -> None:
        """Come back when the operation has ended, which is durable then, or after ``timeout_s``; look which."""
        key = OperationId(operation_id)
        operation = self.reactor.cluster.operations.get(key)
        if operation is None or operation.ended_at_s is not None:
            return
        await self.waits.wait(key, timeout_s)

    async def carry_out(self, make_turn: Callable[[], Turn]) -> None:
        """Let the controller itself change something, and come back when that is durable."""
        durable: asyncio.Future[bytes] = self._loop.create_future()

        def reaction(outbox: Outbox) -> None:
            self.pipeline.add(outbox, make_turn())
            outbox.replies.append((durable, b""))

        self.pipeline.react(reaction)
        await durable

    def _release(self, outbox: Outbox) -> None:
        self.hosts.release(outbox)
        for transaction in outbox.transactions:
            if transaction.answer is not None:
                self._answers.end(transaction.answer.request_id)
        outbox.answer_all()
        if outbox.transactions:
            for watch in self.watchers:
                watch(outbox.transactions)

    def _tick(self) -> None:
        now_s = self._clock()
        if not self._tick_waits:
            self._tick_waits = True
            self.pipeline.react(self._react_to_tick)
        if now_s >= self._forget_answers_at_s:
            self._forget_answers_at_s = now_s + self.limits.forget_answers_every_s
            self.pipeline.forget_answers(now_s - self.limits.answers_kept_s)
        self._timers["tick"] = self._loop.call_later(self.limits.tick_s, self._tick)

    def _react_to_tick(self, outbox: Outbox) -> None:
        self._tick_waits = False
        turn = self.pipeline.attempt(lambda: self.reactor.tick(self._clock()))
        if turn is not None:
            self.pipeline.add(outbox, turn)

    def _on_trouble(self, why: str) -> None:
        giving_up = self._timers.pop("give up", None)
        if giving_up is not None:
            giving_up.cancel()
        if why:
            self._timers["give up"] = self._loop.call_later(self.limits.answer_timeout_s, self._give_up, why)

    def _give_up(self, why: str) -> None:
        """Let nobody wait any longer; with the same number they learn later what became of their request."""
        refusal = unavailable(why)
        for answer in tuple(self._open):
            if not answer.done():
                answer.set_exception(refusal)
        self.pipeline.refuse_unfinished(refusal)
