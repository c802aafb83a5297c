"""The process around the agent: what nobody caught ends it, since the journal knows better than its memory."""

import asyncio
import threading

from structlog.testing import capture_logs

from innkeeper_hostagent.daemon import end_on_bugs


def test_an_error_on_the_loop_or_in_a_thread_is_told_and_ends_the_agent(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    failures = asyncio.Queue()

    async def scenario():
        loop = asyncio.get_running_loop()
        end_on_bugs(loop, failures.put_nowait)
        loop.call_soon(lambda: 1 / 0)
        first = await asyncio.wait_for(failures.get(), 10)
        threading.Thread(target=lambda: {}["nothing"], name="lane-1").start()
        second = await asyncio.wait_for(failures.get(), 10)
        return first, second

    with capture_logs() as logs:
        first, second = asyncio.run(scenario())

    assert (type(first), type(second)) == (ZeroDivisionError, KeyError)
    assert [(line["event"], line.get("thread")) for line in logs] == [("bug", None), ("bug", "lane-1")]
