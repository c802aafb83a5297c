"""Worker threads: so many at once, in order, and never in the way of the end."""

import asyncio
import queue
import threading

import pytest

from innkeeper_hostagent.lanes import Lane, tell


def test_one_thread_keeps_the_order():
    lane, done = Lane("test", 1), queue.Queue()
    for number in range(50):
        lane.submit(lambda number=number: done.put(number))

    assert [done.get(timeout=10) for _ in range(50)] == list(range(50))
    lane.close()


@pytest.mark.parametrize("width", [1, 3])
def test_jobs_run_side_by_side_up_to_the_width(width):
    lane, together, done = Lane("test", width), threading.Barrier(width), queue.Queue()
    for _ in range(4 * width):
        lane.submit(lambda: done.put(together.wait(10)))

    assert sorted(done.get(timeout=10) for _ in range(4 * width)) == sorted(list(range(width)) * 4)
    lane.close()


def test_threads_are_started_only_as_they_are_needed():
    lane, done = Lane("lazy", 10), queue.Queue()
    for _ in range(5):
        lane.submit(lambda: done.put(threading.current_thread()))
        done.get(timeout=10).name.startswith("lazy-")

    mine = [thread for thread in threading.enumerate() if thread.name.startswith("lazy-")]
    assert 1 <= len(mine) <= 5
    assert all(thread.daemon for thread in mine)
    lane.close()


def test_a_closed_lane_ends_its_threads_after_what_waits():
    lane, done = Lane("ending", 2), queue.Queue()
    for number in range(10):
        lane.submit(lambda number=number: done.put(number))
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("ending-")]
    lane.close()
    for thread in threads:
        thread.join(10)

    assert sorted(done.get_nowait() for _ in range(10)) == list(range(10))


def test_telling_a_loop_that_has_ended_is_nothing():
    loop = asyncio.new_event_loop()
    loop.close()

    tell(loop, print, "nobody hears this")
