"""Reactions in, durable effects out: what every loop turn makes goes to the disk before anything of it leaves.

It knows no request and no host: reactions fill an ``Outbox``, ``release`` empties it once it is durable.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog
from sqlalchemy import Engine

from innkeeper_controller.outbox import Outbox
from innkeeper_controller.reactor import Reactor
from innkeeper_controller.records import Moment
from innkeeper_controller.store.rows import Answer
from innkeeper_controller.store.writer import Batch, Writer
from innkeeper_controller.turn import RefusalError, Turn

_log = structlog.get_logger("controller")

T = TypeVar("T")
Reaction = Callable[[Outbox], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineLimits:
    """How much may be under way."""

    #: Inputs in one loop turn; what is more waits for the next.
    max_inputs_per_turn: int = 256
    #: Inputs in one loop turn while the disk is idle: few, so that it begins to write while the loop goes on.
    max_first_inputs: int = 8
    #: Turns that are not durable yet; until there are fewer nothing more is reacted to.
    max_unfinished_turns: int = 16_384
    #: Passes of the scheduler that are not durable yet; it goes on when there are fewer, so that whoever asks
    #: something meanwhile waits for no more than these.
    max_unfinished_passes: int = 2
    #: Wait before a commit that could not be made is tried again.
    retry_s: float = 1.0


DEFAULT_LIMITS: Final = PipelineLimits()


class Pipeline:
    """One loop turn after the other; all but the writer on the loop's thread."""

    def __init__(
        self,
        engine: Engine,
        reactor: Reactor,
        *,
        clock: Callable[[], Moment],
        release: Callable[[Outbox], None],
        on_trouble: Callable[[str], None],
        limits: PipelineLimits = DEFAULT_LIMITS,
    ) -> None:
        """Prepare; ``start`` begins.

        Args:
            engine: The database, locked by this process.
            reactor: Schedules at the end of each loop turn that changed something.
            clock: Gives the moment.
            release: Lets the effects of an outbox out; called once it and all before it are durable.
            on_trouble: Gets the reason when nothing can be written; an empty text when it goes on.
            limits: How much may be under way.
        """
        #: Why nothing can be written just now; empty while all is well.
        self.trouble = ""
        #: How often the reactor broke a promise of its own.
        self.bugs = 0
        #: Gets the reason when nobody can know any more what the disk holds.
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._reactor, self._clock = reactor, clock
        self._release, self._on_trouble = release, on_trouble
        self._limits = limits
        threadsafe = self._loop.call_soon_threadsafe
        self.writer = Writer(
            engine,
            durable=lambda number: threadsafe(self._on_durable, number),
            stalled=lambda why: threadsafe(self._on_stalled, why),
            failed=lambda why: threadsafe(self._on_failed, why),
            retry_s=limits.retry_s,
        )
        self._inbox: deque[Reaction] = deque()
        self._wakeup: asyncio.Handle | None = None
        self._unfinished: deque[Outbox] = deque()
        self._number = 0
        self._next_seq = 1
        self._schedules_on = False
        #: Numbers of the batches that passes of the scheduler are in and that are not durable yet.
        self._passes: deque[int] = deque()
        self._forget_answers_before_s = 0.0
        self._is_open = False

    @property
    def waiting(self) -> int:
        """How many inputs have not been reacted to."""
        return len(self._inbox)

    @property
    def unfinished_turns(self) -> int:
        """How many turns are not durable yet."""
        return sum(len(outbox.transactions) for outbox in self._unfinished)

    def start(self, *, last_seq: int) -> None:
        """Begin to react and to write; events are numbered on from ``last_seq``."""
        self._next_seq = last_seq + 1
        self._is_open = True
        self.writer.start()

    async def close(self) -> None:
        """React to nothing more, and write what was reacted to; what cannot be written was never acknowledged."""
        self._is_open = False
        if self._wakeup is not None:
            self._wakeup.cancel()
        await self._loop.run_in_executor(None, self.writer.close)

    def forget_answers(self, before_s: Moment) -> None:
        """Forget the answers given before that moment, with the next batch."""
        self._forget_answers_before_s = before_s

    def react(self, reaction: Reaction) -> None:
        """Let it react in the next loop turn, after all that came before."""
        self._inbox.append(reaction)
        self._wake()

    def react_now(self, reaction: Reaction) -> None:
        """Let it react at once, after all that came before."""
        outbox = Outbox()
        while self._inbox:
            self._inbox.popleft()(outbox)
        reaction(outbox)
        self._hand_over(outbox)

    def add(self, outbox: Outbox, turn: Turn, answer: Answer | None = None) -> None:
        """Put a turn into the outbox, its events numbered."""
        self._next_seq += outbox.add(turn, first_seq=self._next_seq, answer=answer)

    def attempt(self, make: Callable[[], T]) -> T | None:
        """Return what the reactor makes; None where it breaks a promise of its own, and nothing has changed then.

        One bad request, message or VM must not stop all others, and the same one would be there after a restart.

        Raises:
            RefusalError: as the reactor does.
        """
        try:
            return make()
        except RefusalError:
            raise
        except Exception:  # noqa: BLE001 - whatever it was, it is taken back
            self._reactor.take_back()
            self.bugs += 1
            _log.exception("reactor.broke")
            return None

    async def settled(self) -> None:
        """Wait until all that can be seen now is durable.

        Raises:
            RefusalError: ``unavailable``: it cannot be written.
        """
        if not self._unfinished:
            return
        if self.trouble:
            raise unavailable(self.trouble)
        durable: asyncio.Future[bytes] = self._loop.create_future()
        self._unfinished[-1].replies.append((durable, b""))
        await durable

    def refuse_unfinished(self, refusal: RefusalError) -> None:
        """Let nobody wait any longer for what is not durable; it is written none the less if it can be."""
        for outbox in self._unfinished:
            for waiting, _ in outbox.replies:
                if not waiting.done():
                    waiting.set_exception(refusal)

    def _wake(self) -> None:
        if self._wakeup is None and self._is_open:
            self._wakeup = self._loop.call_soon(self._turn)

    def _wake_for_more(self) -> None:
        if self._inbox or (self._schedules_on and self._may_schedule):
            self._wake()

    @property
    def _may_schedule(self) -> bool:
        return len(self._passes) < self._limits.max_unfinished_passes

    def _turn(self) -> None:
        self._wakeup = None
        if self.trouble or self.unfinished_turns >= self._limits.max_unfinished_turns:
            return  # _on_durable and _on_stalled wake it again
        outbox = Outbox()
        most = self._limits.max_inputs_per_turn if self._unfinished else self._limits.max_first_inputs
        for _ in range(min(len(self._inbox), most)):
            self._inbox.popleft()(outbox)
        self._hand_over(outbox)
        self._wake_for_more()

    def _hand_over(self, outbox: Outbox) -> None:
        cluster = self._reactor.cluster
        if outbox.transactions or self._schedules_on or cluster.freed or cluster.unconsidered:
            self._schedule(outbox)
        if outbox.transactions:
            self._submit(outbox)
        elif self._unfinished:
            self._unfinished[-1].absorb(outbox)
        else:
            self._release(outbox)

    def _schedule(self, outbox: Outbox) -> None:
        """Let VMs and hosts meet; the scheduler looks at a limited number at once, so it may have to go on."""
        if not self._may_schedule:
            self._schedules_on = True  # _on_durable wakes it again
            return
        turn = self.attempt(lambda: self._reactor.schedule(self._clock()))
        if turn is None:
            self._schedules_on = False
            return
        self._schedules_on = bool(turn.changes) or bool(self._reactor.cluster.unconsidered)
        if turn.changes:
            self._passes.append(self._number + 1)
        self.add(outbox, turn)

    def _submit(self, outbox: Outbox) -> None:
        self._number += 1
        outbox.number = self._number
        self._unfinished.append(outbox)
        last_ids = dict(self._reactor.cluster.last_ids)
        self.writer.submit(Batch(self._number, outbox.transactions, last_ids, self._forget_answers_before_s))
        self._forget_answers_before_s = 0.0

    def _on_durable(self, number: int) -> None:
        while self._unfinished and self._unfinished[0].number <= number:
            self._release(self._unfinished.popleft())
        while self._passes and self._passes[0] <= number:
            self._passes.popleft()
        self._wake_for_more()

    def _on_stalled(self, why: str) -> None:
        if why == self.trouble:
            return
        self.trouble = why
        _log.error("store.stalled", why=why) if why else _log.info("store.goes_on")
        self._on_trouble(why)
        if not why:
            self._wake()

    def _on_failed(self, why: str) -> None:
        self.trouble = why
        _log.critical("store.failed", why=why)
        self._on_trouble(why)
        if not self.broken.done():
            self.broken.set_result(why)


def unavailable(why: str) -> RefusalError:
    """Return the refusal for what cannot be made durable."""
    return RefusalError(
        "unavailable",
        f"The controller cannot write to its database ({why}); ask again later with the same request id, "
        "which tells whether this request was kept.",
    )


def fault() -> RefusalError:
    """Return the refusal for what our own code could not do."""
    return RefusalError("internal", "The controller has a fault, and nothing has changed; its log tells more.")
