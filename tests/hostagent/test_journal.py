"""The journal's promise: each write durable and whole, or not there at all."""

import contextlib
import resource

import pytest
from msgspec.structs import replace
from tests.hostagent.orders_of_tests import OK, order

from innkeeper_hostagent import journal as journal_module
from innkeeper_hostagent.entries import LegAccepted, OperationsForgotten, StepBegan, StepFinished
from innkeeper_hostagent.journal import Journal, JournalError, JournalFullError
from innkeeper_plugins.vocabulary import OperationId

OP = OperationId("o1")
FIRST = (LegAccepted(request=order(), newcomer=True), StepBegan(operation_id=OP, leg=0, undo=False, step_id=0))
SECOND = (StepFinished(operation_id=OP, leg=0, undo=False, step_id=0, outcome=OK),)
THIRD = (OperationsForgotten(operations=(OP,)),)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def told(path):
    with contextlib.closing(Journal(path)) as journal:
        return tuple(journal.entries())


def write(path, *reactions):
    with contextlib.closing(Journal(path)) as journal:
        journal.write(reactions)


@contextlib.contextmanager
def file_size_limit(size_bytes):
    """A disk that is full: no file of this process grows beyond the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_for_ever(journal, written):
    while True:
        journal.write([FIRST] * 20)
        written.append(FIRST * 20)


def test_what_was_written_is_told_in_order_after_opening_again(path):
    write(path, FIRST, SECOND)
    write(path, THIRD)

    assert told(path) == (*FIRST, *SECOND, *THIRD)


def test_a_file_cut_at_any_byte_tells_whole_reactions_only_and_can_be_written_again(path):
    story = (FIRST[1:], SECOND, THIRD)
    ends = []
    for reaction in story:
        write(path, reaction)
        ends.append(path.stat().st_size)
    whole = path.read_bytes()

    for length in range(len(journal_module.MAGIC), len(whole) + 1):
        path.write_bytes(whole[:length])
        expected = sum((r for r, end in zip(story, ends, strict=True) if end <= length), ())
        write(path, THIRD)
        assert told(path) == (*expected, *THIRD), length


def test_a_flipped_bit_ends_the_story_there_and_nothing_behind_it_comes_back_later(path):
    write(path, FIRST)
    start = path.stat().st_size
    write(path, SECOND)
    end = path.stat().st_size
    write(path, SECOND)
    whole = path.read_bytes()

    for position in range(start, end):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(bytes(damaged))
        write(path, SECOND)
        assert told(path) == (*FIRST, *SECOND), position


def test_room_reserved_ahead_is_no_entry(path):
    journal = Journal(path)
    journal.write([FIRST])
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    journal.close()

    assert copy.stat().st_size > path.stat().st_size
    assert told(copy) == FIRST


def test_a_rewritten_journal_is_shorter_and_goes_on(path):
    journal = Journal(path)
    journal.write([FIRST] * 100)
    long_bytes = journal.size_bytes
    journal.rewrite(THIRD)
    journal.write([SECOND])
    journal.close()

    assert told(path) == (*THIRD, *SECOND)
    assert path.stat().st_size < long_bytes


def test_a_journal_is_worth_rewriting_when_it_is_long_and_twice_what_it_tells(path, monkeypatch):
    monkeypatch.setattr(journal_module, "COMPACT_ABOVE_BYTES", 1000)
    with contextlib.closing(Journal(path)) as journal:
        assert not journal.is_long
        journal.write([FIRST] * 10)
        assert journal.is_long
        journal.rewrite(FIRST * 10)
        assert not journal.is_long


def test_a_crash_while_rewriting_leaves_the_old_journal(path):
    write(path, FIRST)
    path.with_name("journal.new").write_bytes(journal_module.MAGIC + b"half")

    assert told(path) == FIRST


def test_on_a_full_disk_nothing_new_is_taken_on_and_what_runs_is_taken_down(path):
    with contextlib.closing(Journal(path)) as journal, file_size_limit(path.stat().st_size):
        before = journal.has_headroom()
        while journal.has_headroom():
            journal.write([FIRST])
        journal.write([SECOND])

    assert before
    assert told(path)[-1:] == SECOND


def test_room_is_kept_for_all_legs_that_are_in_progress(path):
    with contextlib.closing(Journal(path)) as journal:
        spacious = journal.has_headroom(100)
        words = replace(OK, message="x" * (journal_module.LEG_BYTES - 100))
        with file_size_limit(path.stat().st_size):
            cramped = journal.has_headroom(200)
            for _ in range(100):
                journal.write([(replace(SECOND[0], outcome=words),)])
            after = journal.has_headroom()

    assert (spacious, cramped, after) == (True, False, True)


def test_a_disk_that_has_room_again_gives_headroom_again(path):
    with contextlib.closing(Journal(path)) as journal:
        with file_size_limit(path.stat().st_size):
            while journal.has_headroom():
                journal.write([FIRST])
        after = journal.has_headroom()

    assert after


def test_a_journal_that_has_used_up_its_room_says_so_and_keeps_what_it_has(path):
    with contextlib.closing(Journal(path)) as journal, file_size_limit(path.stat().st_size):
        written = []
        with pytest.raises(JournalFullError, match="free space"):
            write_for_ever(journal, written)

    assert told(path) == sum(written, ())


def test_a_disk_too_full_for_a_rewrite_leaves_the_old_journal_in_use(path):
    with contextlib.closing(Journal(path)) as journal:
        journal.write([FIRST])
        with file_size_limit(10), pytest.raises(OSError, match="File too large"):
            journal.rewrite(FIRST * 10)
        journal.write([SECOND])

    assert told(path) == (*FIRST, *SECOND)


def test_two_agents_cannot_have_one_journal(path):
    with contextlib.closing(Journal(path)), pytest.raises(JournalError, match="another agent runs"):
        Journal(path)


def test_a_file_that_is_no_journal_is_refused_and_left_alone(path):
    path.write_bytes(b"something else entirely")

    with pytest.raises(JournalError, match="not a journal"):
        Journal(path)
    assert path.read_bytes() == b"something else entirely"


def test_entries_of_another_version_are_an_error_and_not_skipped(path):
    journal = Journal(path)
    journal.write([({"type": "from_the_future"},)])
    journal.close()

    with contextlib.closing(Journal(path)) as again, pytest.raises(JournalError, match="another version"):
        tuple(again.entries())
