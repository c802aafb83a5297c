"""What people and programs get wrong: refused with all that is wrong, and as if it had never been asked."""

import concurrent.futures
import contextlib
import io
import json
import socket

import pytest
from ground import IMAGE, NETWORK, PATIENCE_S, TEMPLATE, digest, eventually, ground_in, requests_in

from innkeeper_controller.client import RefusedError

BASE = "CPU = 1\nMEMORY = 16\n"
#: ``{template: a word of the mistake and its line, for each mistake}``
BROKEN_TEMPLATES = {
    "": [("MEMORY", 0)],
    "CPU = 1\nMEMRY = 64\n": [("MEMRY", 2)],
    "CPU = 1\nMEMORY = lots\n": [("lots", 2)],
    "CPU = -1\nMEMORY = 0\n": [("-1", 1), ("0", 2)],
    "CPU = nan\nMEMORY = 1e400\n": [("nan", 1), ("1e400", 2)],
    BASE + 'NAME = "never ends\n': [("quot", 3)],
    BASE + "DISK = [ IMAGE = base\n": [("never closed", 3)],
    BASE + "DISK = [ IMAGE = no-such ]\nNIC = [ NETWORK = nowhere ]\n": [("no-such", 3), ("nowhere", 4)],
    BASE + "NIC = [ NETWORK = lan, IP = 192.168.0.300 ]\n": [("192.168.0.300", 3)],
    BASE + 'SCHED_REQUIREMENTS = "FREE_CPU > "\n': [("", 3)],
    BASE + 'SCHED_RANK = "__import__(1)"\n': [("", 3)],
    BASE + "OS = [ KERNEL = no-kernel ]\n": [("no-kernel", 3)],
    "cpu: [1\nmemory: 16\n": [("", 2)],
    "cpu: !!python/object/apply:os.system ['true']\nmemory: 16\n": [("", 1)],
}
UPLOADS = "/v1/uploads"


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with ground_in(
        tmp_path_factory.mktemp("requests"), more="[limits]\nreceive_timeout_s = 1.0\nupload_mib = 4\n"
    ) as ground:
        ground.build("a")
        ground.client.call("network.add", template=NETWORK.format(name="tiny", first="10.9.0.1", size=2))
        yield ground


@pytest.fixture(autouse=True)
def unaffected(ground):
    """See to it that nothing is left, and that the next VM notices nothing."""
    yield
    ground.check_empty()
    ground.check_next("a")
    ground.check_empty()
    assert ground.controller.counted("innkeeper_faults_total") == 0


def refusal(ground, request, /, **params):
    """Return how a request is refused."""
    with pytest.raises(RefusedError) as refused:
        ground.client.call(request, **params)
    return refused.value


@pytest.mark.parametrize("template", BROKEN_TEMPLATES, ids=range(len(BROKEN_TEMPLATES)))
def test_a_broken_template_is_refused_with_all_that_is_wrong_and_where(ground, template):
    refused = refusal(ground, "vm.submit", template=template)
    told = [(mistake["message"], mistake.get("line", 0)) for mistake in refused.mistakes]
    wanted = BROKEN_TEMPLATES[template]

    assert refused.code == "bad_template"
    assert len(told) == len(wanted), told
    assert all(any(word in text and line == at for text, at in told) for word, line in wanted), told


def test_what_does_not_exist_is_named(ground):
    (vm_id,) = ground.submit(hold=True)
    codes = {
        "host": refusal(ground, "vm.deploy", vm_id=vm_id, host="nowhere"),
        "vm": refusal(ground, "vm.show", vm_id=10**9),
        "image": refusal(ground, "image.show", image="none"),
        "network": refusal(ground, "network.show", network="none"),
        "operation": refusal(ground, "operation.show", operation_id="o999999"),
        "datastore": refusal(
            ground, "image.add", name="x", datastore="none", upload=True, sha256="0" * 64, size_bytes=1
        ),
    }
    ground.end([vm_id])

    assert {what: refused.code for what, refused in codes.items()} == dict.fromkeys(codes, "not_found")
    assert "nowhere" in str(codes["host"])


def test_names_are_taken_once(ground):
    taken = [
        refusal(ground, "host.add", name="a"),
        refusal(ground, "network.add", template=NETWORK.format(name="lan", first="10.1.0.1", size=4)),
        refusal(
            ground, "image.add", name="base", upload=True, sha256=digest(IMAGE), size_bytes=len(IMAGE), format="raw"
        ),
        refusal(ground, "datastore.add", name="default", driver="simulated"),
    ]

    assert [refused.code for refused in taken] == ["name_taken"] * len(taken)


def test_a_network_without_a_free_address_gives_none_and_takes_them_back(ground):
    template = BASE + "HYPERVISOR = simulated\nNIC = [ NETWORK = lan ]\nNIC = [ NETWORK = tiny ]\n"
    first = ground.submit(template=template, count=2)
    ground.wait(first)
    leases_before = ground.client.call("network.show", network="lan")["taken"]
    refused = [refusal(ground, "vm.submit", template=template, count=count) for count in (1, 3)]

    assert [each.code for each in refused] == ["no_address", "no_address"]
    assert ground.client.call("network.show", network="lan")["taken"] == leases_before
    ground.end(first[:1])
    again = ground.submit(template=template)
    ground.wait(again)
    assert ground.vm(again[0])["ips"][1] == "10.9.0.1"
    ground.end([first[1], *again])


def put(ground, content, *, length=None, query=""):
    """Upload by hand; return the status and the answer."""
    send = requests_in(ground)
    head = (
        f"PUT {UPLOADS}{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ground.controller.token}\r\n"
        f"Content-Length: {len(content) if length is None else length}\r\nConnection: close\r\n\r\n"
    )
    head_of_answer, _, body = send(head.encode() + content, breaks_off=length is not None).partition(b"\r\n\r\n")
    return head_of_answer.split(b" ")[1:2], body


def spool(ground):
    """Return what the controller keeps of uploads."""
    return sorted(path.name for path in (ground.controller.state_dir / "uploads").iterdir())


def test_uploads_that_break_off_or_are_something_else_leave_nothing(ground):
    before = spool(ground)
    content = b"disk" * 1000
    broken_off = put(ground, content, length=10 * len(content))
    wrong = put(ground, content, query=f"?sha256={digest(b'other')}")
    too_long = put(ground, b"", length=5 << 20)
    with socket.create_connection(("127.0.0.1", ground.controller.http_port)) as silent:
        head = f"PUT {UPLOADS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ground.controller.token}\r\n"
        silent.sendall(f"{head}Content-Length: 99\r\n\r\nx".encode())
        with contextlib.suppress(ConnectionError):
            assert silent.recv(4096) == b""

    assert (wrong[0], too_long[0]) == ([b"400"], [b"413"])
    assert broken_off[0] in ([], [b"400"])
    assert digest(content).encode() in wrong[1]
    eventually(lambda: spool(ground) == before, "nothing of the uploads")


def imported(ground, content, **values):
    """Register an upload as an image and return the operation's end, and the image's state."""
    uploaded = ground.client.upload(io.BytesIO(content), len(content))
    params = {"name": "odd", "upload": True, "sha256": uploaded["sha256"], "size_bytes": len(content), **values}
    image = ground.client.call("image.add", **params)
    return ground.client.wait_operation(image["operation_id"], timeout_s=PATIENCE_S)


QCOW2 = b"QFI\xfb" + (3).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("content", "values", "word"),
    [
        (IMAGE, {"size_bytes": len(IMAGE) - 1, "format": "raw"}, str(len(IMAGE) - 1)),
        (IMAGE, {"format": "qcow2"}, "qcow2"),
        (QCOW2 + bytes(600), {"format": "raw"}, "qcow2"),
        (QCOW2 + (1024).to_bytes(8, "big") + (8).to_bytes(4, "big") + bytes(100) + bytes(70_000), {}, ""),
        (b"never was uploaded", {"sha256": digest(b"something else"), "format": "raw"}, ""),
    ],
    ids=["wrong size", "raw as qcow2", "qcow2 as raw", "backing file", "never uploaded"],
)
def test_an_image_that_is_not_what_it_is_called_is_not_kept(ground, content, values, word):
    ended = imported(ground, content, **values)
    refused = [image["state"] for image in ground.client.call("image.list") if image["name"] == "odd"]
    ground.client.call("image.delete", image="odd")

    assert ended["status"] == "failed"
    assert word in json.dumps(ended["error"])
    assert refused == ["error"]
    assert [image["name"] for image in ground.client.call("image.list")] == ["base"]


def test_one_request_id_is_one_request_however_often_and_from_wherever(ground):
    def submit(name="same"):
        client = ground.controller.new_client()
        return client.call("vm.submit", request_id="r-1", template=TEMPLATE, name=name, count=2)["vm_ids"]

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = [each.result() for each in [threads.submit(submit) for _ in range(16)]]
    ground.wait(answers[0])
    ground.controller.kill()
    ground.controller.up()
    after = submit()
    with pytest.raises(RefusedError, match="used for another request"):
        submit("other")
    ground.connected("a")

    assert answers == [answers[0]] * 16
    assert after == answers[0]
    assert [vm["vm_id"] for vm in ground.client.call("vm.list")] == answers[0]
    ground.end(answers[0])
