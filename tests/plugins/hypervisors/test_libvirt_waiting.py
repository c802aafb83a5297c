"""Waiting for libvirt: events, jobs and consoles, with stand-ins for libvirt's own objects."""

import queue
import threading

import pytest

libvirt = pytest.importorskip("libvirt")

from innkeeper_plugins.errors import DriverError  # noqa: E402 - only where libvirt is
from innkeeper_plugins.hypervisors.libvirt import events, jobs  # noqa: E402
from innkeeper_plugins.hypervisors.libvirt.console import LibvirtConsole, without_overlap  # noqa: E402

TIMEOUT_S = 20


class Named:
    def __init__(self, name):
        self._name = name

    def name(self):
        return self._name


class FakeConnection:
    """Gives events and streams when the test says so."""

    def __init__(self, stream=None):
        self.callbacks = {}
        self.stream = stream

    def domainEventRegisterAny(self, _domain, kind, callback, _opaque):  # noqa: N802 - libvirt's name
        self.callbacks[kind] = callback
        return kind

    def domainEventDeregisterAny(self, number):  # noqa: N802 - libvirt's name
        del self.callbacks[number]

    def newStream(self, _flags):  # noqa: N802 - libvirt's name
        return self.stream

    def tell(self, name):
        self.callbacks[libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE](self, Named(name), 0, 0, None)

    def tell_device_removed(self, name):
        self.callbacks[libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED](self, Named(name), "virtio-disk1", None)


class Watching:
    """A watcher in its thread, whose every call is to be got in order."""

    def __init__(self, lifecycle, reconnect):
        self.calls = queue.Queue()
        self.lifecycle = lifecycle
        self.thread = threading.Thread(
            target=lifecycle.watch,
            kwargs={
                "reconnect": reconnect,
                "observe": self.calls.put,
                "observe_all": lambda: self.calls.put("all"),
            },
        )
        self.thread.start()

    def next(self):
        return self.calls.get(timeout=TIMEOUT_S)

    def end(self):
        self.lifecycle.close()
        self.thread.join(TIMEOUT_S)
        assert not self.thread.is_alive()
        assert self.calls.empty()


def test_a_watcher_looks_at_every_guest_of_a_new_connection_and_then_at_those_with_events():
    lifecycle, connection = events.LifecycleEvents(), FakeConnection()
    lifecycle.lost()
    watching = Watching(lifecycle, lambda: lifecycle.attach(connection))
    assert watching.next() == "all"
    connection.tell("inn-7")

    assert watching.next() == "inn-7"
    watching.end()
    assert connection.callbacks == {}


def test_a_watcher_comes_back_when_its_daemon_does(monkeypatch):
    monkeypatch.setattr(events, "RECONNECT_INTERVAL_S", 0.001)
    lifecycle, connection, tries = events.LifecycleEvents(), FakeConnection(), []

    def reconnect():
        tries.append(len(tries))
        if len(tries) < 4:
            raise DriverError("libvirtd is away")
        lifecycle.attach(connection)

    lifecycle.lost()
    watching = Watching(lifecycle, reconnect)

    assert watching.next() == "all"
    watching.end()
    assert tries == [0, 1, 2, 3]


def test_a_connection_that_somebody_else_has_opened_again_is_not_waited_for():
    lifecycle = events.LifecycleEvents()
    watching = Watching(lifecycle, lambda: None)
    lifecycle.lost()

    assert watching.next() == "all"
    watching.end()


@pytest.mark.parametrize("tell", [FakeConnection.tell, FakeConnection.tell_device_removed])
def test_whoever_waits_for_an_event_is_woken_by_the_next_one(tell):
    lifecycle, connection = events.LifecycleEvents(), FakeConnection()
    lifecycle.attach(connection)
    seen = lifecycle.count
    waiting = threading.Thread(target=lifecycle.wait, args=(seen, TIMEOUT_S))
    waiting.start()
    tell(connection, "inn-7")
    waiting.join(TIMEOUT_S)

    assert not waiting.is_alive()
    assert lifecycle.count == seen + 1


class FakeDomain:
    """A domain with a job that ends when it is told to, or aborted."""

    def __init__(self, *, ends_well=True):
        self.ended = threading.Event()
        self.aborts = 0
        self.ends_well = ends_well

    def job(self):
        assert self.ended.wait(TIMEOUT_S)
        if not self.ends_well:
            raise libvirt.libvirtError("aborted")

    def abortJob(self):  # noqa: N802 - libvirt's name
        self.aborts += 1
        if self.aborts < 3:
            raise libvirt.libvirtError("no job yet")
        self.ended.set()

    def jobStats(self):  # noqa: N802 - libvirt's name
        if self.ended.is_set():
            raise libvirt.libvirtError("the guest has gone")
        return {"type": libvirt.VIR_DOMAIN_JOB_UNBOUNDED, "data_processed": 5, "data_total": 10}


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
    monkeypatch.setattr(jobs, "POLL_INTERVAL_S", 0.001)


def test_the_progress_of_a_job_is_told_while_it_runs():
    domain, told = FakeDomain(), []

    def progress(done_bytes, total_bytes):
        told.append((done_bytes, total_bytes))
        domain.ended.set()

    jobs.follow(domain, domain.job, progress)

    assert (told[0], domain.aborts) == ((5, 10), 0)


def cancelled(_done_bytes, _total_bytes):
    raise DriverError("the operation was cancelled", code="cancelled")


def test_a_cancelled_job_is_aborted_until_libvirt_has_heard_it():
    domain = FakeDomain(ends_well=False)
    with pytest.raises(DriverError, match="was cancelled"):
        jobs.follow(domain, domain.job, cancelled)

    assert domain.aborts == 3


def test_a_job_that_ends_well_in_spite_of_being_cancelled_has_ended_well():
    domain = FakeDomain(ends_well=True)
    jobs.follow(domain, domain.job, cancelled)

    assert domain.aborts == 3


def test_a_job_that_fails_by_itself_raises_libvirts_own_error():
    domain = FakeDomain(ends_well=False)
    domain.ended.set()

    with pytest.raises(libvirt.libvirtError, match="aborted"):
        jobs.follow(domain, domain.job, lambda _done, _total: None)


def test_a_job_of_an_earlier_agent_is_waited_for():
    domain, told = FakeDomain(), []

    def progress(done_bytes, total_bytes):
        told.append((done_bytes, total_bytes))
        domain.ended.set()

    jobs.settle(domain, progress)

    assert told == [(5, 10)]


class FakeStream:
    """A stream that gives what the test has put in, and then would block."""

    def __init__(self, *chunks):
        self.chunks = list(chunks)
        self.sent = b""
        self.room = 3
        self.callback = None
        self.aborted = 0

    def eventAddCallback(self, _events, callback, _opaque):  # noqa: N802 - libvirt's name
        self.callback = callback

    def eventUpdateCallback(self, events):  # noqa: N802 - libvirt's name
        if events & libvirt.VIR_STREAM_EVENT_WRITABLE:
            self.room = 3
            self.callback(self, events, None)

    def eventRemoveCallback(self):  # noqa: N802 - libvirt's name
        self.callback = None

    def recv(self, _size):
        chunk = self.chunks.pop(0) if self.chunks else -2
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    def send(self, data):
        taken, self.room = min(self.room, len(data)), 0
        self.sent += data[:taken]
        return taken or -2

    def abort(self):
        self.aborted += 1


class FakeGuest:
    """A guest whose console log grows by ``while_opening`` when its console is opened."""

    def __init__(self, log, while_opening=b""):
        self.log, self.while_opening = log, while_opening

    def openConsole(self, _name, _stream, _flags):  # noqa: N802 - libvirt's name
        with self.log.open("ab") as file:
            file.write(self.while_opening)


def opened(tmp_path, stream, *, log=b"", while_opening=b""):
    path = tmp_path / "console.log"
    path.write_bytes(log)
    return LibvirtConsole(FakeConnection(stream), FakeGuest(path, while_opening), path)


def test_a_console_shows_the_end_of_the_log_first(tmp_path):
    console = opened(tmp_path, FakeStream(b"now"), log=b"x" * 20_000 + b"READY\r\n")

    assert console.read(0) == b"x" * (16 * 1024 - 7) + b"READY\r\n"
    assert [console.read(0), console.read(0)] == [b"now", b""]


def test_what_a_guest_prints_while_its_console_is_opened_is_shown_once(tmp_path):
    console = opened(tmp_path, FakeStream(b"login: root"), log=b"READY\r\n", while_opening=b"\r\nlogin: ")

    assert [console.read(0), console.read(0)] == [b"READY\r\n\r\nlogin: ", b"root"]


def test_a_console_without_a_log_shows_what_is_new(tmp_path):
    console = LibvirtConsole(FakeConnection(FakeStream(b"now")), FakeGuest(tmp_path / "x"), tmp_path / "none" / "log")

    assert console.read(0) == b"now"


@pytest.mark.parametrize("end", [b"", libvirt.libvirtError("Input/output error")])
def test_a_console_that_has_ended_stays_so(tmp_path, end):
    stream = FakeStream(b"bye", end)
    console = opened(tmp_path, stream)

    assert [console.read(0), console.read(0), console.read(0)] == [b"bye", None, None]
    assert stream.aborted == 1
    with pytest.raises(DriverError, match="has ended"):
        console.write(b"x")


def test_all_that_is_typed_arrives_however_little_the_guest_takes_at_once(tmp_path):
    stream = FakeStream()
    opened(tmp_path, stream).write(b"poweroff\n")

    assert stream.sent == b"poweroff\n"


@pytest.mark.parametrize(
    ("shown", "data", "fresh"),
    [
        (b"", b"abc", b"abc"),
        (b"xab", b"abc", b"c"),
        (b"abc", b"abc", b""),
        (b"abc", b"xyz", b"xyz"),
        (b"aab", b"", b""),
    ],
)
def test_the_overlap_of_log_and_stream_is_left_out(shown, data, fresh):
    assert without_overlap(shown, data) == fresh
