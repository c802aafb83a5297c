"""Asks another scheduler, outside the loop: a program in a process of its own, a plugin's function in a thread.

It decides nothing: what is asked and what becomes of the answer, ``rounds`` says. One question at a time; a function of
a plugin that does not come back cannot be stopped, and is asked nothing more until it does.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from innkeeper_controller.deciders.rounds import INTERVAL_S, Outcome, Question, Rounds
from innkeeper_controller.deciders.snapshot import Chosen, Snapshot, from_json, to_json
from innkeeper_controller.outbox import Outbox
from innkeeper_controller.records import Moment
from innkeeper_controller.shell import Controller
from innkeeper_controller.turn import RefusalError
from innkeeper_plugins import commands
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.scheduling import Decide

#: Gets the question and what says whether it is to be given up; returns what was chosen, or raises.
Run: TypeAlias = Callable[[Snapshot, Callable[[], bool]], tuple[Chosen, ...]]

#: What a failing scheduler said, at most so much of it.
_TOLD_LETTERS: Final = 500
#: A program that had its time is dead within so long.
GRACE_S: Final = 2.0


def run_program(argv: tuple[str, ...], timeout_s: float) -> Run:
    """Return what asks a program: JSON on its stdin, JSON on its stdout."""

    def run(snapshot: Snapshot, cancelled: Callable[[], bool]) -> tuple[Chosen, ...]:
        done = commands.run(argv, timeout_s=timeout_s, stdin=to_json(snapshot), cancelled=cancelled)
        return from_json(done.stdout)

    return run


def run_plugin(decide: Decide) -> Run:
    """Return what asks a plugin's function; it gets a copy of its own."""

    def run(snapshot: Snapshot, _cancelled: Callable[[], bool]) -> tuple[Chosen, ...]:
        answer: Any = decide(msgspec.json.decode(to_json(snapshot)))
        return tuple(msgspec.convert({"vm": vm, "host": host}, Chosen) for vm, host in answer)

    return run


class Asker:
    """Asks one question after the other, and gives the reactor the answers."""

    def __init__(self, controller: Controller, rounds: Rounds, run: Run, *, timeout_s: float) -> None:
        """Keep whom to ask, and be woken; on the loop's thread, as all else but ``run``."""
        rounds.wake = self.wake
        self._controller = controller
        self._rounds = rounds
        self._run = run
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._round: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def wake(self) -> None:
        """Ask as soon as that may be; nothing more is asked once it was closed."""
        if self._timer is None and self._round is None and not self._closing.is_set():
            self._begin_in(max(0.0, self._rounds.due_at_s - self._controller.clock()))

    async def close(self) -> None:
        """Ask nothing more; a program that runs is killed."""
        self._closing.set()
        if self._timer is not None:
            self._timer.cancel()
        going_on = self._round
        if going_on is not None:
            await asyncio.wait((going_on,), timeout=GRACE_S)
            going_on.cancel()

    def _begin_in(self, wait_s: float) -> None:
        self._timer = self._loop.call_later(wait_s, self._begin)

    def _begin(self) -> None:
        self._timer = None
        reactor = self._controller.reactor
        now_s: Moment = self._controller.clock()
        question = self._controller.pipeline.attempt(
            lambda: self._rounds.question(reactor.cluster, reactor.settings, now_s)
        )
        if question is not None:
            self._round = self._loop.create_task(self._ask(question))
        elif self._rounds.wants:
            # An answer is being carried out, which takes as long as the disk does.
            self._begin_in(INTERVAL_S)

    async def _ask(self, question: Question) -> None:
        try:
            # Nobody learns what may still be lost.
            await self._controller.pipeline.settled()
        except RefusalError:
            self._rounds.dropped()
        else:
            outcome = await self._outcome(question)
            if not self._closing.is_set():
                self._controller.pipeline.react(lambda outbox: self._react(outcome, outbox))
                return
        self._end()

    def _react(self, outcome: Outcome, outbox: Outbox) -> None:
        turn = self._controller.pipeline.attempt(
            lambda: self._controller.reactor.decided(outcome, self._controller.clock())
        )
        if turn is not None:
            self._controller.pipeline.add(outbox, turn)
        else:
            self._rounds.wants = True
        self._end()

    def _end(self) -> None:
        self._round = None
        if self._rounds.wants:
            self.wake()

    async def _outcome(self, question: Question) -> Outcome:
        if self._thread is not None and self._thread.is_alive():
            return Outcome(trouble="it has not come back from an earlier question")
        answer: asyncio.Future[Outcome] = self._loop.create_future()

        def told(outcome: Outcome) -> None:
            if not answer.done():
                answer.set_result(outcome)

        def work() -> None:
            outcome = _ran(self._run, question, self._closing.is_set)
            # Whoever comes back too late finds the loop closed.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(told, outcome)

        # A thread that need not be waited for when the process ends.
        self._thread = threading.Thread(target=work, name="scheduler", daemon=True)
        self._thread.start()
        try:
            return await asyncio.wait_for(answer, self._timeout_s)
        except TimeoutError:
            return Outcome(trouble=f"it did not come back within {self._timeout_s:g} s")


def _ran(run: Run, question: Question, cancelled: Callable[[], bool]) -> Outcome:
    try:
        return Outcome(chosen=run(question.snapshot, cancelled))
    except DriverError as error:
        said = error.stderr.strip()[-_TOLD_LETTERS:]
        told = str(error)[:_TOLD_LETTERS]
        return Outcome(trouble=f"{told}; it said: {said}" if said and said not in told else told)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's function may raise anything, and must cost only itself
        return Outcome(trouble=f"{type(error).__name__}: {error}"[:_TOLD_LETTERS])
