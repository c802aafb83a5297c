"""Bulk fetches over real sockets: from honest holders, dead ones, liars, and after crashes."""

import functools
import hashlib
import os
import random
import threading
from contextlib import ExitStack

import pytest
import zmq

from innkeeper_hostagent.protocol import keys, sockets, wire
from innkeeper_hostagent.protocol.bulk import BulkServer, beside_of, fetch
from innkeeper_hostagent.protocol.bulk.admissions import Admissions
from innkeeper_hostagent.protocol.bulk.manifest import (
    BadManifestError,
    Manifest,
    add_chunk,
    joined,
    make_manifest,
    part_of,
)
from innkeeper_hostagent.protocol.bulk.messages import CHUNK_BYTES, AskChunk, Describe, Description, NotServed
from innkeeper_hostagent.protocol.bulk.partial import Partial, partial_of
from innkeeper_hostagent.protocol.bulk.shelf import load, save
from innkeeper_hostagent.protocol.bulk.waiting import WaitingRoom
from innkeeper_hostagent.protocol.errors import EndpointError
from innkeeper_hostagent.protocol.pace import Allowance
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.vocabulary import Holder

CLIENT_KEYS = keys.generate()
#: Nothing here takes as long; it only ends a test that would hang.
PATIENCE_S = 30.0


@functools.cache
def patterned(pattern, *, tail=0, seed=1):
    """Return bytes with a chunk of data for every ``x`` and of zeros for every ``.``, and some more."""
    source = random.Random(seed)
    chunks = [source.randbytes(CHUNK_BYTES) if mark == "x" else bytes(CHUNK_BYTES) for mark in pattern]
    return b"".join(chunks) + source.randbytes(tail)


def write_sparse(path, data):
    """Write the bytes, leaving holes where whole pages are zeros."""
    with path.open("wb") as file:
        for start in range(0, len(data), CHUNK_BYTES):
            chunk = data[start : start + CHUNK_BYTES]
            step = 4096 if bytes(4096) in chunk else CHUNK_BYTES
            for offset in range(0, len(chunk), step):
                if chunk[offset : offset + step].strip(b"\0"):
                    file.seek(start + offset)
                    file.write(chunk[offset : offset + step])
        file.truncate(len(data))
    return path


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


class Holding:
    """Directories of files by digest, each with its server."""

    def __init__(self, tmp_path, stack):
        self.tmp_path = tmp_path
        self.stack = stack
        self.servers = []

    def serve(self, *contents, digest=None, endpoint="tcp://127.0.0.1:0", admit=True, opener=None, own=None):
        directory = self.tmp_path / f"holder{len(self.servers)}"
        directory.mkdir()
        for data in contents:
            write_sparse(directory / (digest or digest_of(data)), data)

        def find(asked):
            path = directory / asked
            return path if path.exists() else None

        server = BulkServer(endpoint, own or keys.generate(), open_digest=opener or find)
        server.directory = directory
        if admit:
            server.admit(CLIENT_KEYS.public, [digest or digest_of(data) for data in contents], 600)
        self.servers.append(server)
        self.stack.callback(server.close)
        return server


@pytest.fixture
def holding(tmp_path):
    with ExitStack() as stack:
        yield Holding(tmp_path, stack)


def holder_of(server):
    return Holder(endpoint=server.endpoint, public_key=server.public_key)


def bring(data, servers, target, *, digest=None, size_bytes=None, progress=None, **terms):
    fetch(
        digest or digest_of(data),
        len(data) if size_bytes is None else size_bytes,
        [holder_of(server) for server in servers],
        target,
        terms.pop("keys", CLIENT_KEYS),
        progress=progress or (lambda _done, _total: None),
        cancelled=terms.pop("cancelled", lambda: False),
        timeout_s=terms.pop("timeout_s", PATIENCE_S),
        **terms,
    )


def files_in(directory):
    return sorted(path.name for path in directory.iterdir() if path.is_file())


# --- good days -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"x", patterned("x"), patterned("x.x..x", tail=5000), patterned("....", tail=1), patterned("x...")],
    ids=["empty", "byte", "chunk", "sparse", "hole first", "hole last"],
)
def test_a_file_arrives_as_it_is_and_only_its_data_travels(holding, tmp_path, data):
    server = holding.serve(data)
    told = []
    bring(data, [server], tmp_path / "t", progress=lambda done, total: told.append((done, total)))
    data_bytes = sum(len(data[at : at + 4096]) for at in range(0, len(data), 4096) if data[at : at + 4096].strip(b"\0"))

    assert (tmp_path / "t").read_bytes() == data
    assert server.counters["data_bytes"] == data_bytes
    assert (tmp_path / "t").stat().st_blocks * 512 <= data_bytes + 16384
    assert told == sorted(told)
    assert told[-1] == (len(data), len(data))
    assert files_in(tmp_path) == ["t", "t.manifest"]


def test_holes_within_a_chunk_do_not_travel_either(holding, tmp_path):
    data = bytearray(3 * CHUNK_BYTES)
    data[8192:12288] = os.urandom(4096)
    data[-5000:] = os.urandom(5000)
    server = holding.serve(bytes(data))
    bring(data, [server], tmp_path / "t")

    assert (tmp_path / "t").read_bytes() == data
    assert server.counters["data_bytes"] == 4096 + 8192


def test_several_holders_serve_one_fetch(holding, tmp_path):
    data = patterned("x" * 48)
    servers = [holding.serve(data) for _ in range(3)]
    bring(data, servers, tmp_path / "t")

    assert (tmp_path / "t").read_bytes() == data
    assert sum(server.counters["chunks"] for server in servers) == 48
    assert all(server.counters["chunks"] > 0 for server in servers)


def test_who_has_fetched_a_file_can_serve_it_without_reading_it_all_again(holding, tmp_path):
    data = patterned("x.x")
    bring(data, [holding.serve(data)], tmp_path / "t")

    assert load(beside_of(tmp_path / "t"), digest_of(data), len(data)) is not None


def test_a_file_given_open_is_served_and_closed(holding, tmp_path):
    data = patterned("xx")
    path = write_sparse(tmp_path / "image", data)
    opened = []

    def opener(_):
        opened.append(path.open("rb", buffering=0))
        return opened[-1]

    server = holding.serve(opener=opener)
    server.admit(CLIENT_KEYS.public, [digest_of(data)], 600)
    bring(data, [server], tmp_path / "t")
    server.close()

    assert (tmp_path / "t").read_bytes() == data
    assert [file.closed for file in opened] == [True]


def test_the_manifest_beside_a_file_given_open_is_used(holding, tmp_path):
    data = patterned("xx")
    path = write_sparse(tmp_path / "image", data)
    server = holding.serve(opener=lambda _: path.open("rb", buffering=0))
    with path.open("rb") as file:
        save(beside_of(path), digest_of(data), make_manifest(file, lambda _done, _total: None)[0])
    server.admit(CLIENT_KEYS.public, [digest_of(data)], 600)
    bring(data, [server], tmp_path / "t")

    assert (tmp_path / "t").read_bytes() == data
    assert server._shelf._maker is None


def test_a_file_that_cannot_be_opened_is_an_answer(holding, tmp_path):
    def opener(_):
        raise DriverError("image is not a regular file", code="refused")

    server = holding.serve(opener=opener)
    server.admit(CLIENT_KEYS.public, ["0" * 64], 600)

    with pytest.raises(DriverError, match="unreadable: image is not a regular file"):
        bring(b"", [server], tmp_path / "t", digest="0" * 64, size_bytes=5)


def test_a_limit_on_the_rate_changes_nothing_else(holding, tmp_path):
    data = patterned("xx")
    bring(data, [holding.serve(data)], tmp_path / "t", rate_limit_bytes_s=100 * CHUNK_BYTES)

    assert (tmp_path / "t").read_bytes() == data


def test_an_allowance_saves_up_and_never_gives_more():
    allowance = Allowance(10.0, capacity=20.0)

    assert [allowance.take(15, now_s) for now_s in (0.0, 0.0, 0.5, 1.0)] == [True, False, False, True]
    assert allowance.wait_s(20, 1.0) == 2.0
    assert allowance.take(100, 3.0)
    assert not allowance.take(1, 3.0)
    assert not allowance.take(1, 11.0)
    assert allowance.take(1, 12.0)


# --- crashes and resuming --------------------------------------------------------------------------------------------


def test_a_fetch_goes_on_where_an_earlier_one_ended(holding, tmp_path):
    data = patterned("x" * 30)
    server = holding.serve(data)

    def crash(done, _):
        if done > 10 * CHUNK_BYTES:
            raise DriverError("cancelled by the test", code="cancelled")

    with pytest.raises(DriverError, match="cancelled by the test"):
        bring(data, [server], tmp_path / "t", progress=crash)
    asked_before = server.counters["chunks"]
    told = []
    bring(data, [server], tmp_path / "t", progress=lambda done, _: told.append(done))

    assert (tmp_path / "t").read_bytes() == data
    assert told[0] >= 10 * CHUNK_BYTES
    assert server.counters["chunks"] - asked_before <= 20


@pytest.mark.parametrize("seed", range(6))
def test_whatever_a_crash_left_of_the_file_only_what_is_right_is_used(holding, tmp_path, seed):
    data = patterned("xx.x.xx", tail=1234)
    chance = random.Random(seed)
    wreck = bytearray(data[: chance.randrange(len(data) + 1)])
    for _ in range(seed % 3):
        position = chance.randrange(len(data))
        wreck[position : position + 1] = b"\xff"
    partial_of(tmp_path / "t").write_bytes(wreck + b"more" * chance.randrange(3))
    bring(data, [holding.serve(data)], tmp_path / "t")

    assert (tmp_path / "t").read_bytes() == data


def test_a_complete_but_unnamed_file_needs_no_more_bytes(holding, tmp_path):
    data = patterned("x.x")
    server = holding.serve(data)
    write_sparse(partial_of(tmp_path / "t"), data)
    bring(data, [server], tmp_path / "t")

    assert (tmp_path / "t").read_bytes() == data
    assert server.counters["chunks"] == 0


def test_a_holder_that_dies_is_replaced_by_another(holding, tmp_path):
    data = patterned("x" * 40)
    dying, other = holding.serve(data), holding.serve(data)

    def progress(done, _):
        if done > 4 * CHUNK_BYTES:
            dying.close()

    bring(data, [dying, other], tmp_path / "t", progress=progress)

    assert (tmp_path / "t").read_bytes() == data


def test_a_holder_that_restarts_goes_on_serving(holding, tmp_path):
    data = patterned("x" * 40)
    own = keys.generate()
    servers = [holding.serve(data, own=own)]

    def progress(done, _):
        if done > 4 * CHUNK_BYTES and len(servers) == 1:
            servers[0].close()
            servers.append(holding.serve(data, endpoint=servers[0].endpoint, own=own))

    bring(data, servers[:1], tmp_path / "t", progress=progress)

    assert (tmp_path / "t").read_bytes() == data
    assert servers[1].counters["chunks"] > 0


def test_a_cancelled_fetch_ends_soon_and_keeps_what_came(holding, tmp_path):
    data = patterned("x" * 30)
    cancelled = threading.Event()

    def progress(done, _):
        if done > 3 * CHUNK_BYTES:
            cancelled.set()

    with pytest.raises(DriverError) as error:
        bring(data, [holding.serve(data)], tmp_path / "t", progress=progress, cancelled=cancelled.is_set)

    assert error.value.code == "cancelled"
    assert files_in(tmp_path) == ["t.partial"]


def test_one_target_is_filled_by_one_fetch_at_a_time(holding, tmp_path):
    data = patterned("x")
    partial = Partial(tmp_path / "t")

    with pytest.raises(DriverError, match="already") as error:
        bring(data, [holding.serve(data)], tmp_path / "t")
    assert error.value.code == "refused"
    partial.close()


# --- liars -----------------------------------------------------------------------------------------------------------


def with_manifest_of(server, data, digest):
    """Let a holder believe that its file is ``data``."""
    path = server.directory / "truth"
    with write_sparse(path, data).open("rb") as file:
        manifest, _ = make_manifest(file, lambda _done, _total: None)
    path.unlink()
    save(beside_of(server.directory / digest), digest, manifest)


def test_a_holder_of_wrong_bytes_is_found_out_and_another_used(holding, tmp_path):
    data = patterned("x" * 30)
    wrong = data[: 9 * CHUNK_BYTES] + b"!" + data[9 * CHUNK_BYTES + 1 :]
    liar = holding.serve(wrong, digest=digest_of(data))
    with_manifest_of(liar, data, digest_of(data))
    honest = holding.serve(data)
    bring(data, [liar, honest], tmp_path / "t")

    assert (tmp_path / "t").read_bytes() == data


def test_a_lone_liar_leaves_nothing_behind(holding, tmp_path):
    data = patterned("xx")
    liar = holding.serve(patterned("xx", seed=2), digest=digest_of(data))
    with_manifest_of(liar, data, digest_of(data))

    with pytest.raises(DriverError, match=f"{liar.endpoint}: chunk 0 is not what its own manifest says") as error:
        bring(data, [liar], tmp_path / "t")
    assert error.value.code == "digest_mismatch"
    assert files_in(tmp_path) == []


def lying_manifest(liar, data, digest):
    """Let a holder tell a manifest that fits its own bytes and pretends to end in the digest."""
    path = liar.directory / digest
    with path.open("rb") as file:
        manifest, _ = make_manifest(file, lambda _done, _total: None)
    prefixes = manifest.prefixes[:-32] + bytes.fromhex(digest)
    save(beside_of(path), digest, Manifest(size_bytes=len(data), runs=manifest.runs, prefixes=prefixes))


def test_a_lying_manifest_costs_its_author_the_fetch_and_not_those_who_contradict_it(holding, tmp_path):
    data = patterned("x" * 20)
    wrong = data[: 5 * CHUNK_BYTES] + patterned("x" * 15, seed=3)
    liar = holding.serve(wrong, digest=digest_of(data))
    lying_manifest(liar, wrong, digest_of(data))
    honest = holding.serve(data, admit=False)
    told = []

    def progress(done, _):
        told.append(done)
        # So that the liar's manifest is the one that counts.
        honest.admit(CLIENT_KEYS.public, [digest_of(data)], 600)

    bring(data, [liar, honest], tmp_path / "t", progress=progress)

    assert (tmp_path / "t").read_bytes() == data


def test_a_manifest_whose_bytes_lead_elsewhere_is_found_out_at_the_end(holding, tmp_path):
    data = patterned("x.")
    liar = holding.serve(patterned("x.", seed=2), digest=digest_of(data))
    lying_manifest(liar, data, digest_of(data))
    path = liar.directory / digest_of(data)
    with path.open("rb") as file:
        manifest, _ = make_manifest(file, lambda _done, _total: None)
    save(beside_of(path), digest_of(data), manifest)

    with pytest.raises(DriverError, match="its bytes have the digest") as error:
        bring(data, [liar], tmp_path / "t")
    assert error.value.code == "digest_mismatch"
    assert files_in(tmp_path) == []


def test_a_file_of_another_size_is_refused_before_its_bytes_come(holding, tmp_path):
    data = patterned("xx")
    server = holding.serve(data)

    with pytest.raises(DriverError, match=f"{len(data)} bytes instead of 7") as error:
        bring(data, [server], tmp_path / "t", size_bytes=7)
    assert error.value.code == "digest_mismatch"
    assert server.counters["chunks"] == 0


def test_a_holder_notices_that_its_file_has_been_damaged(holding, tmp_path):
    data = patterned("xx")
    server = holding.serve(patterned("xx", seed=2), digest=digest_of(data))

    with pytest.raises(DriverError, match="it has been damaged") as error:
        bring(data, [server], tmp_path / "t")
    assert error.value.code == "unreachable"


# --- who may ---------------------------------------------------------------------------------------------------------


def test_who_is_admitted_late_gets_in_by_itself(holding, tmp_path):
    data = patterned("x")
    server = holding.serve(data, admit=False)
    admitted = threading.Event()

    def cancelled():
        if len(server._waiting) and not admitted.is_set():
            server.admit(CLIENT_KEYS.public, [digest_of(data)], 600)
            admitted.set()
        return False

    bring(data, [server], tmp_path / "t", cancelled=cancelled)

    assert admitted.is_set()
    assert (tmp_path / "t").read_bytes() == data


def test_a_digest_that_is_admitted_late_is_served_then(holding, tmp_path):
    data, other = patterned("x"), patterned("x", seed=2)
    server = holding.serve(data, other, admit=False)
    server.admit(CLIENT_KEYS.public, [digest_of(other)], 600)

    def cancelled():
        if server.counters["not_admitted"]:
            server.admit(CLIENT_KEYS.public, [digest_of(data)], 600)
        return False

    bring(data, [server], tmp_path / "t", cancelled=cancelled)

    assert (tmp_path / "t").read_bytes() == data


@pytest.mark.parametrize("stranger", ["client", "server"])
def test_with_a_wrong_key_on_either_side_nothing_is_served(holding, tmp_path, stranger):
    data = patterned("x")
    server = holding.serve(data)
    if stranger == "server":
        server.public_key = keys.generate().public
    mine = keys.generate() if stranger == "client" else CLIENT_KEYS

    with pytest.raises(
        DriverError, match=rf"nothing came in 0.3 s: {server.endpoint}: (it hangs up|no connection)"
    ) as error:
        bring(data, [server], tmp_path / "t", keys=mine, timeout_s=0.3)
    assert error.value.code == "unreachable"
    assert server.counters["chunks"] == 0


def test_a_holder_without_the_file_says_so(holding, tmp_path):
    server = holding.serve()
    server.admit(CLIENT_KEYS.public, ["0" * 64], 600)

    with pytest.raises(DriverError, match=f"{server.endpoint}: unknown: this host does not have it") as error:
        bring(b"", [server], tmp_path / "t", digest="0" * 64, size_bytes=5)
    assert error.value.code == "unreachable"


@pytest.mark.parametrize("endpoint", ["nowhere", "tcp://127.0.0.1"])
def test_a_holder_that_cannot_be_dialled_is_named(tmp_path, endpoint):
    holder = Holder(endpoint=endpoint, public_key=CLIENT_KEYS.public)

    with pytest.raises(DriverError, match=f"{endpoint} cannot be dialled") as error:
        fetch(
            "0" * 64,
            5,
            [holder],
            tmp_path / "t",
            CLIENT_KEYS,
            progress=lambda _done, _total: None,
            cancelled=lambda: False,
            timeout_s=1,
        )
    assert error.value.code == "unreachable"


def test_admissions_end():
    admissions = Admissions()
    admissions.admit("k", ["a"], 10.0)
    admissions.admit("k", ["a", "b"], 5.0)

    assert [admissions.is_admitted("k", digest, 7.0) for digest in ("a", "b", "c")] == [True, False, False]
    assert admissions.is_known("k", 7.0)
    assert not admissions.is_known("k", 10.0)
    assert not admissions.is_admitted("other", "a", 0.0)


def test_of_those_who_wait_at_the_door_the_first_go_when_it_gets_late_or_full():
    room = WaitingRoom()
    for number in range(130):
        room.enter([b"%d" % number], f"k{number}", 0.0)

    assert list(room.given_up(1.0)) == [(b"0",), (b"1",)]
    assert list(room.admitted(lambda key: key == "k7")) == [(b"7",)]
    assert len(list(room.given_up(16.0))) == 127
    assert list(room.given_up(16.0)) == list(room.admitted(lambda _: True)) == []


def test_the_digests_of_one_key_are_bounded():
    admissions = Admissions()
    admissions.admit("k", [str(number) for number in range(5000)], 10.0)
    admissions.admit("k", ["newest"], 20.0)

    assert admissions.is_admitted("k", "newest", 0.0)
    assert sum(admissions.is_admitted("k", str(number), 0.0) for number in range(5000)) == 4095


# --- bad requests ----------------------------------------------------------------------------------------------------


@pytest.fixture
def asking(holding):
    """Return a server with one file, and a function that asks it and returns the answer."""
    data = patterned("xx")
    server = holding.serve(data)
    context = sockets.new_context()
    holding.stack.callback(context.destroy, linger=0)
    socket = sockets.dialling_socket(
        context,
        server.endpoint,
        CLIENT_KEYS,
        server_public_key=server.public_key,
        max_message_bytes=-1,
        high_water_mark=1000,
    )
    sockets.dial(socket, server.endpoint)

    def ask(request):
        socket.send(request if isinstance(request, bytes) else wire.encode(request))
        assert socket.poll(PATIENCE_S * 1000)
        return wire.decode(socket.recv_multipart()[0], NotServed | Description)

    ask.socket, ask.server, ask.digest = socket, server, digest_of(data)
    return ask


@pytest.mark.parametrize("index", [-1, 2, 2**62])
def test_a_chunk_that_does_not_exist_is_not_served(asking, index):
    answer = asking(AskChunk(digest=asking.digest, index=index))

    assert answer == NotServed(digest=asking.digest, code="unknown", message=f"it has no chunk {index}")


def test_what_has_not_been_admitted_is_not_served_to_who_is_in(asking):
    answer = asking(Describe(digest="../../etc/passwd", part=0))

    assert answer.code == "not_admitted"


def test_garbage_is_counted_and_the_next_request_served(asking):
    for garbage in (b"", b"\xc1", b"x" * 5000, wire.encode(NotServed(digest="", code="", message=""))):
        asking.socket.send(garbage)
    asking.socket.send_multipart([b"a", b"b", b"c"])
    answer = asking(AskChunk(digest=asking.digest, index=9))

    assert answer.code == "unknown"
    assert asking.server.counters["malformed"] == 5


def test_a_request_that_is_too_long_costs_the_connection_only(asking, tmp_path):
    monitor = asking.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    asking.socket.send(bytes(5 * CHUNK_BYTES))
    assert monitor.poll(PATIENCE_S * 1000)
    asking.socket.disable_monitor()
    monitor.close(linger=0)
    bring(patterned("xx"), [asking.server], tmp_path / "t")

    assert (tmp_path / "t").read_bytes() == patterned("xx")


def test_an_endpoint_in_use_is_an_error_that_names_it(holding):
    server = holding.serve()

    with pytest.raises(EndpointError, match=server.endpoint):
        holding.serve(endpoint=server.endpoint)
    server.close()
    server.close()


# --- manifest and partial file ---------------------------------------------------------------------------------------


def test_a_manifest_survives_being_told_in_parts():
    indexes = [index for index in range(20_000) if index % 3 and index % 1000 < 700]
    runs = []
    for index in indexes:
        if runs and sum(runs[-1]) == index:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    prefixes = b"".join(index.to_bytes(32, "big") for index in indexes)
    manifest = Manifest(size_bytes=20_000 * CHUNK_BYTES, runs=tuple(runs), prefixes=prefixes)
    parts = [part_of(manifest, "d", part) for part in range(3)]
    rejoined = joined(parts)

    assert [part.parts for part in parts] == [len(indexes) // 4096 + 1] * 3 == [3] * 3
    assert list(rejoined.indexes()) == indexes
    assert rejoined.prefixes == prefixes
    assert part_of(manifest, "d", 3) is None
    assert all(len(wire.encode(part)) < CHUNK_BYTES for part in parts)


@pytest.mark.parametrize(
    ("runs", "prefixes"),
    [
        (((1, 1), (1, 1)), bytes(64)),
        (((2, 1), (1, 1)), bytes(64)),
        (((0, 0),), b""),
        (((0, 5),), bytes(160)),
        (((-1, 1),), bytes(32)),
        (((0, 2),), bytes(63)),
        (((0, 2),), bytes(96)),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(runs, prefixes):
    part = Description(digest="d", part=0, parts=1, size_bytes=4 * CHUNK_BYTES, runs=runs, prefixes=prefixes)

    with pytest.raises(BadManifestError):
        joined([part])


@pytest.mark.parametrize(
    "runs", [((0, 5),), ((0, 3), (2, 1)), ((8, 3),), ((0, 0), (0, 4)), ((-1, 4),), ((0, 2), (9, 2))]
)
def test_runs_that_do_not_fit_their_chunk_are_refused(runs):
    with pytest.raises(BadManifestError):
        add_chunk(hashlib.sha256(), 10, runs, memoryview(b"data"))


def test_a_file_that_does_not_fit_is_refused_before_its_bytes_come(tmp_path):
    chunks = 4 * 1024 * 1024
    manifest = Manifest(size_bytes=chunks * CHUNK_BYTES, runs=((0, chunks),), prefixes=bytes(32 * chunks))
    partial = Partial(tmp_path / "t")

    with pytest.raises(DriverError, match=r"MiB free, t needs up to 4194304 MiB") as error:
        partial.resume(manifest, lambda: None)
    assert error.value.code == "no_space"
    partial.close()


def test_a_disk_that_fills_up_is_told_and_leaves_nothing_behind(tmp_path):
    partial = Partial(tmp_path / "t")
    partial.close()
    partial._descriptor = os.open("/dev/full", os.O_RDWR)

    with pytest.raises(DriverError, match=f"{tmp_path} is full; make room") as error:
        partial.write(0, [(0, 4)], memoryview(b"data"))
    partial.discard()
    partial.close()
    assert (error.value.code, files_in(tmp_path)) == ("no_space", [])


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x80"])
def test_a_damaged_kept_manifest_is_made_anew(tmp_path, content):
    path = beside_of(tmp_path / "image")
    path.write_bytes(content)

    assert load(path, "d", 5) is None
