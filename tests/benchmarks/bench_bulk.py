"""A 1 GiB image with 256 MiB of data to a second host, against ZeroMQ alone with the same data; loopback, one machine.

Both read the data from a file and leave a durable file, and server and client are processes of their own in both.
The image has a MiB of data after every three of hole, and its manifest has been made before, as an image that has been
served once has it.
"""

import contextlib
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import zmq

from innkeeper_hostagent.protocol import keys, sockets
from innkeeper_hostagent.protocol.bulk import BulkServer, fetch
from innkeeper_plugins.vocabulary import Holder

MIB = 1024 * 1024
DATA_MIB = 256
SIZE_MIB = 1024
ROUNDS = 7


def make_image(path):
    """Write the image; return its SHA-256."""
    running, zeros = hashlib.sha256(), bytes(3 * MIB)
    with path.open("wb") as file:
        for index in range(DATA_MIB):
            data = os.urandom(MIB)
            file.seek(4 * index * MIB + 3 * MIB)
            file.write(data)
            running.update(zeros)
            running.update(data)
    return running.hexdigest()


# --- in the server's process -----------------------------------------------------------------------------------------


def serve_plain(path, client_key):
    """Send the image's data, a chunk a message, to whoever connects."""
    del client_key
    own = keys.generate()
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.curve_server = True
        socket.curve_secretkey = own.secret.reveal().encode()
        socket.sndhwm = 16
        socket.bind("tcp://127.0.0.1:0")
        sys.stdout.write(f"{socket.get_string(zmq.LAST_ENDPOINT)} {own.public}\n")
        sys.stdout.flush()
        with path.open("rb", buffering=0) as file:
            for index in range(DATA_MIB):
                data = os.pread(file.fileno(), MIB, (4 * index + 3) * MIB)
                socket.send(data, copy=False)
        sys.stdin.read()


def serve_bulk(path, client_key):
    """Serve the image by its digest, the file's name, and say at the end how many bytes of data went out."""
    server = BulkServer("tcp://127.0.0.1:0", keys.generate(), open_digest=path.with_name)
    server.admit(client_key, [path.name], expires_in_s=600)
    sys.stdout.write(f"{server.endpoint} {server.public_key}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.close()
    sys.stdout.write(f"{server.counters['data_bytes']}\n")


@contextlib.contextmanager
def serving(how, path, client_key):
    """Run the server; give its endpoint and key, and its process."""
    argv = [sys.executable, __file__, how, str(path), client_key]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield (*process.stdout.readline().split(), process)
    finally:
        process.communicate()


# --- in the client's process -----------------------------------------------------------------------------------------


def plain_copy_s(image, target):
    """Return how long ZeroMQ alone takes."""
    own = keys.generate()
    with serving("serve_plain", image, own.public) as (endpoint, server_key, _), sockets.new_context() as context:
        start_s = time.perf_counter()
        with context.socket(zmq.PULL) as socket, target.open("wb", buffering=0) as file:
            socket.rcvhwm = 16
            socket.curve_serverkey = server_key.encode()
            socket.curve_publickey = own.public.encode()
            socket.curve_secretkey = own.secret.reveal().encode()
            socket.connect(endpoint)
            for index in range(DATA_MIB):
                frame = socket.recv(copy=False)
                os.pwrite(file.fileno(), frame.buffer, (4 * index + 3) * MIB)
            os.fsync(file.fileno())
        return time.perf_counter() - start_s


def fetch_s(image, digest, target):
    """Return how long the fetch takes, and the bytes of data that travelled for it."""
    own = keys.generate()
    with serving("serve_bulk", image, own.public) as (endpoint, server_key, process):
        holder = Holder(endpoint=endpoint, public_key=server_key)
        start_s = time.perf_counter()
        fetch(
            digest,
            SIZE_MIB * MIB,
            [holder],
            target,
            own,
            progress=lambda _done, _total: None,
            cancelled=lambda: False,
            timeout_s=60,
        )
        duration_s = time.perf_counter() - start_s
        sent_bytes = int(process.communicate()[0])
    return duration_s, sent_bytes


def measured(directory):
    """Return the times of both, taken in turns, and the bytes that travelled in the last fetch."""
    original = directory / "image"
    digest = make_image(original)
    image = original.rename(directory / digest)
    target = directory / "target"
    plain_s, fetched_s, sent_bytes = [], [], 0
    for _ in range(ROUNDS + 1):
        plain_s.append(plain_copy_s(image, target))
        target.unlink()
        duration_s, sent_bytes = fetch_s(image, digest, target)
        fetched_s.append(duration_s)
        target.unlink()
    # The first round makes the manifest and warms the page cache.
    return plain_s[1:], fetched_s[1:], sent_bytes


def rows():
    """Measure."""
    directory = Path(tempfile.mkdtemp(prefix="innkeeper-bulk-", dir="/var/tmp"))
    try:
        plain_s, fetched_s, sent_bytes = measured(directory)
    finally:
        shutil.rmtree(directory)
    plain, fetched = min(plain_s), min(fetched_s)
    # Of each round by itself: what else the machine does in that second slows both down.
    ratio = statistics.median(one / other for one, other in zip(plain_s, fetched_s, strict=True))
    return [
        {
            "name": "bulk: plain ZeroMQ CURVE copy",
            "value": DATA_MIB / plain,
            "unit": "MiB/s",
            "bound": None,
            "holds": None,
        },
        {"name": "bulk: verified fetch", "value": DATA_MIB / fetched, "unit": "MiB/s", "bound": None, "holds": None},
        {
            "name": "bulk: fetch against plain copy",
            "value": ratio,
            "unit": "x",
            "bound": ">= 0.5",
            "holds": ratio >= 0.5,
        },
        {
            "name": "bulk: data sent",
            "value": sent_bytes / MIB,
            "unit": "MiB",
            "bound": f"<= {DATA_MIB}",
            "holds": sent_bytes <= DATA_MIB * MIB,
        },
    ]


if __name__ == "__main__":
    {"serve_plain": serve_plain, "serve_bulk": serve_bulk}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
