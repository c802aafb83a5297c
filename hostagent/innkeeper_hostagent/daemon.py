"""The agent as a process: its loop, its signals, its log and its service manager."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping

import structlog

from innkeeper_hostagent.agent import VERSION, Agent, SupersededError
from innkeeper_hostagent.config import Config
from innkeeper_hostagent.lanes import tell
from innkeeper_plugins.daemons import logs
from innkeeper_plugins.daemons.notify import Notifier
from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.registry import Registry

_log = structlog.get_logger("innkeeper.agent")

_FAILED = 1
#: The unit does not start the agent again after this: two agents would take turns.
_SUPERSEDED = 3


def run(config: Config) -> None:
    """Run the agent until it is told to end, then end the process: 0 when that was asked for, else as below."""
    logs.configure(config.log)
    try:
        status = asyncio.run(_run(config))
    except (InnkeeperError, OSError) as error:
        _log.error("cannot_start", error=str(error))
        status = _FAILED
    sys.stderr.flush()
    sys.stdout.flush()
    # Drivers and libraries may have threads that hang; the journal knows what was under way, and guests run on.
    os._exit(status)


async def _run(config: Config) -> int:
    loop = asyncio.get_running_loop()
    registry = Registry.load()
    for problem in registry.problems:
        _log.warning("plugin_left_out", plugin=problem.plugin, reason=problem.reason)
    notifier = Notifier()
    agent = Agent(config, registry=registry, loop=loop)
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    end_on_bugs(loop, agent.fail)
    agent.start()
    _log.info("started", version=VERSION, host=agent.membership.host_name, controller=agent.membership.endpoint)
    notifier.tell("READY=1", f"STATUS=serving {agent.membership.endpoint}")
    watchdog = asyncio.create_task(notifier.keep_alive())
    failure = await _first_of(ending, agent.failure)
    notifier.tell("STOPPING=1")
    watchdog.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watchdog
    await agent.stop("stopped" if failure is None else "failed")
    if failure is not None:
        _log.error("failed", error=str(failure))
        return _SUPERSEDED if isinstance(failure, SupersededError) else _FAILED
    _log.info("stopped")
    return 0


def end_on_bugs(loop: asyncio.AbstractEventLoop, fail: Callable[[BaseException], None]) -> None:
    """Let an error that nobody caught end the agent, on the loop or in any thread.

    What is in memory may then differ from what is in the journal, and the journal is right: the next start reads it.
    """

    def on_loop(_: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
        error = context.get("exception")
        _log.critical("bug", message=context.get("message"), exc_info=error)
        if isinstance(error, BaseException):
            fail(error)

    def in_thread(hook: threading.ExceptHookArgs) -> None:
        _log.critical("bug", thread=hook.thread.name if hook.thread else "", exc_info=hook.exc_value)
        if hook.exc_value is not None:
            tell(loop, fail, hook.exc_value)

    loop.set_exception_handler(on_loop)
    threading.excepthook = in_thread


async def _first_of(ending: asyncio.Event, failure: asyncio.Future[BaseException]) -> BaseException | None:
    """Return what failed; None when the end was asked for."""
    asked = asyncio.ensure_future(ending.wait())
    await asyncio.wait((asked, failure), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    return failure.result() if failure.done() else None
