"""Images that are not what is said of them are refused, with the reason, and leave nothing on the host."""

import hashlib
import os
import sys

import pytest
from machines import LabError, run
from waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

#: Sends the head of an upload and half of its body, then hangs up.
HANG_UP = """\
import socket, sys
from pathlib import Path
token, body = Path("/srv/controller/admin.token").read_text().strip(), Path(sys.argv[1]).read_bytes()
with socket.create_connection(("127.0.0.1", 2633)) as controller:
    controller.sendall(
        f"PUT /v1/uploads HTTP/1.1\\r\\nHost: c\\r\\nAuthorization: Bearer {token}\\r\\n"
        f"Content-Length: {len(body)}\\r\\n\\r\\n".encode() + body[: len(body) // 2]
    )
"""


@pytest.fixture
def directory(cluster):
    """Give the directory that a host may import from, as seen from outside; the host's images stay what they are."""
    home = cluster.lab.hosts[0]
    images = ["find", "/srv/datastore/images", "-type", "f"]
    before = sorted(home.run(images).split())
    yield home.directory / "srv" / "import"
    for image in cluster.inn("image", "list"):
        if image["name"] == "bad":
            cluster.inn("image", "delete", "bad", "--wait")

    assert sorted(home.run(images).split()) == before


def added(cluster, file, *words):
    """Try to register a file of the host, and return what is known of the image and what was said."""
    with pytest.raises(LabError) as refusal:
        cluster.inn_text("image", "add", "bad", "--path", file.name, "--host", "h1", *words)
    return cluster.inn("image", "show", "bad"), str(refusal.value)


def test_an_image_of_another_digest_is_refused(cluster, directory):
    file = directory / "other.img"
    file.write_bytes(os.urandom(1 << 20))
    image, said = added(cluster, file, "--sha256", hashlib.sha256(b"").hexdigest(), "--format", "raw")

    assert image["state"] == "error"
    assert hashlib.sha256(file.read_bytes()).hexdigest()[:12] in said
    assert "bad_image" in said


def test_an_image_of_another_size_is_refused(cluster, directory):
    file = directory / "short.img"
    file.write_bytes(os.urandom(1 << 20))
    image, said = added(cluster, file, "--size", str((1 << 20) + 1), "--format", "raw")

    assert image["state"] == "error"
    assert "1048576" in said


@pytest.mark.parametrize(("real", "declared"), [("raw", "qcow2"), ("qcow2", "raw"), ("vmdk", "raw")])
def test_an_image_of_another_format_is_refused(cluster, directory, real, declared):
    file = directory / f"image.{real}"
    run(["qemu-img", "create", "-q", "-f", real, str(file), "1M"])
    image, said = added(cluster, file, "--format", declared)

    assert image["state"] == "error"
    assert "bad_image" in said


def test_an_image_that_lies_over_another_file_is_refused(cluster, directory):
    secret = directory / "secret"
    secret.write_bytes(bytes(1 << 20))
    file = directory / "overlay.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(secret), "-F", "raw", str(file)])
    image, said = added(cluster, file)

    assert image["state"] == "error"
    assert "backing file" in said


def test_a_file_outside_the_import_directories_is_refused(cluster, directory):
    image, said = added(cluster, directory / "../agent/agent.key")

    assert image["state"] == "error"
    assert "refused" in said


def test_an_image_that_cannot_be_used_is_used_by_no_vm(cluster, directory):
    file = directory / "other.img"
    file.write_bytes(os.urandom(1 << 20))
    added(cluster, file, "--sha256", hashlib.sha256(b"").hexdigest(), "--format", "raw")
    with pytest.raises(LabError, match="Image bad is error"):
        cluster.submit("victim", image="bad")


def test_an_upload_that_breaks_off_leaves_nothing_and_can_be_made_again(cluster, directory):
    file = cluster.lab.switch.directory / "srv" / "upload.img"
    file.write_bytes(os.urandom(8 << 20))
    spool = cluster.lab.switch.directory / "srv" / "controller" / "uploads"
    before = sorted(spool.iterdir())
    cluster.lab.switch.run([sys.executable, "-I", "-c", HANG_UP, "/srv/upload.img"])
    eventually(lambda: sorted(spool.iterdir()) == before, "the end of what had come of the upload")
    image = cluster.inn("image", "add", "bad", "--file", "/srv/upload.img", "--format", "raw", "--host", "h1")

    assert (image["state"], image["sha256"]) == ("ready", hashlib.sha256(file.read_bytes()).hexdigest())


def test_a_file_that_is_not_what_the_person_said_is_not_registered_at_all(cluster, directory):
    file = cluster.lab.switch.directory / "srv" / "upload.img"
    file.write_bytes(os.urandom(1 << 20))
    with pytest.raises(LabError, match="nothing was registered"):
        cluster.inn("image", "add", "bad", "--file", "/srv/upload.img", "--sha256", "00" * 32)

    assert "bad" not in {image["name"] for image in cluster.inn("image", "list")}
