"""An untrusted image is what it was declared or it is refused, with a sentence and without harm."""

import os
import struct

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from innkeeper_plugins import commands, images
from innkeeper_plugins.errors import DriverError
from innkeeper_plugins.images import ImageFacts, examine, inspect
from innkeeper_plugins.vocabulary import DiskFormat

MIB = 1024 * 1024
CLUSTER = 65536
L1_AT, L2_AT, DATA_AT, END = 3 * CLUSTER, 4 * CLUSTER, 5 * CLUSTER, 6 * CLUSTER
COPIED = 1 << 63


def qcow2(**fields):
    """The bytes of a sound one-cluster qcow2, with header fields set otherwise."""
    header = {
        "magic": b"QFI\xfb",
        "version": 3,
        "backing_offset": 0,
        "backing_bytes": 0,
        "cluster_bits": 16,
        "size": 8 * MIB,
        "encryption": 0,
        "l1_entries": 1,
        "l1_offset": L1_AT,
        "refcount_offset": CLUSTER,
        "refcount_clusters": 1,
        "snapshots": 0,
        "snapshots_offset": 0,
        "incompatible": 0,
        "compatible": 0,
        "autoclear": 0,
        "refcount_order": 4,
        "header_bytes": 104,
        **fields,
    }
    image = bytearray(END)
    image[:104] = struct.pack(">4sIQIIQIIQQIIQQQQII", *header.values())
    image[L1_AT : L1_AT + 8] = struct.pack(">Q", L2_AT | COPIED)
    image[L2_AT : L2_AT + 8] = struct.pack(">Q", DATA_AT | COPIED)
    return image


def refusal_of(path, declared=None):
    with pytest.raises(DriverError) as refused:
        examine(path, declared)
    assert refused.value.code == "bad_image"
    return str(refused.value).removeprefix("the image is refused: ")


def verdict_on(path):
    try:
        return examine(path, None)
    except DriverError as error:
        return error.code


@pytest.fixture
def file(tmp_path):
    return tmp_path / "image"


@pytest.mark.parametrize("declared", [None, DiskFormat.QCOW2])
def test_a_sound_qcow2_is_known_with_its_sizes(file, declared):
    file.write_bytes(qcow2())

    assert examine(file, declared) == ImageFacts(format=DiskFormat.QCOW2, virtual_size_bytes=8 * MIB, size_bytes=END)


@pytest.mark.parametrize("declared", [None, DiskFormat.RAW])
@pytest.mark.parametrize("content", [b"kernel or whatever", bytes(3 * MIB), b"\0" * 510 + b"\x55\xaa" + bytes(MIB)])
def test_what_is_nothing_else_is_raw(file, declared, content):
    file.write_bytes(content)

    assert examine(file, declared) == ImageFacts(
        format=DiskFormat.RAW, virtual_size_bytes=len(content), size_bytes=len(content)
    )


def test_an_iso_is_raw_since_its_bytes_are_the_disc(file):
    iso = bytearray(40 * 2048)
    iso[16 * 2048 : 16 * 2048 + 6] = b"\x01CD001"
    file.write_bytes(iso)

    assert examine(file, DiskFormat.RAW).format is DiskFormat.RAW


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"backing_offset": 512, "backing_bytes": 11}, "backing file; flatten it"),
        ({"incompatible": 1 << 2}, "data_file"),
        ({"incompatible": 1 << 5}, "nknown"),
        ({"backing_offset": 2**63 + 1, "backing_bytes": 11}, "backing file"),
        ({"incompatible": 1 << 40}, "nknown"),
        ({"incompatible": 1 << 1}, "marked corrupt"),
        ({"version": 1}, "version"),
        ({"version": 4}, "version"),
        ({"encryption": 1}, "it is encrypted"),
        ({"cluster_bits": 30}, "cluster size 2^30"),
        ({"cluster_bits": 0}, "cluster size 2^0"),
        ({"size": images.VIRTUAL_SIZE_LIMIT_BYTES + 1}, "does not fit its size"),
        ({"l1_entries": 2**31}, "does not fit its size"),
        ({"l1_offset": 2**60}, "truncated"),
        ({"refcount_offset": 2**60}, "truncated"),
    ],
)
def test_a_qcow2_that_is_not_sound_is_refused_with_the_reason(file, fields, reason):
    image = qcow2(**fields)
    image[512:523] = b"/etc/shadow"
    file.write_bytes(image)

    assert reason in refusal_of(file)


def test_a_disk_larger_than_the_limit_is_refused(file):
    tables = -(-(images.VIRTUAL_SIZE_LIMIT_BYTES + 512) // (CLUSTER * CLUSTER // 8))
    file.write_bytes(qcow2(size=images.VIRTUAL_SIZE_LIMIT_BYTES + 512, l1_entries=tables))

    assert refusal_of(file) == (
        f"it says that it has {images.VIRTUAL_SIZE_LIMIT_BYTES + 512} bytes, "
        f"and {images.VIRTUAL_SIZE_LIMIT_BYTES} is the limit"
    )


@pytest.mark.parametrize("kept", [4, 60, 104, 511, CLUSTER, L1_AT, L2_AT, DATA_AT])
def test_a_qcow2_cut_off_anywhere_is_refused(file, kept):
    file.write_bytes(qcow2()[:kept])

    assert refusal_of(file)


def test_a_compressed_cluster_beyond_the_end_is_found(file):
    image = qcow2()
    image[L2_AT : L2_AT + 8] = struct.pack(">Q", (1 << 62) | (END + 1))
    file.write_bytes(image)

    assert refusal_of(file) == f"it is truncated: a cluster should be at byte {END + 1}, and the file has {END}"


def test_a_cluster_that_reads_as_zeros_need_not_be_there(file):
    image = qcow2()
    image[L2_AT : L2_AT + 8] = struct.pack(">Q", (END + CLUSTER) | 1)
    file.write_bytes(image)

    assert examine(file, None).format is DiskFormat.QCOW2


@pytest.mark.parametrize(
    ("content", "declared", "reason"),
    [
        (bytes(qcow2()), DiskFormat.RAW, "it was declared raw and is qcow2"),
        (bytes(MIB), DiskFormat.QCOW2, "it was declared qcow2 and is raw"),
        (b"", DiskFormat.RAW, "it is empty"),
        (b"KDMV" + struct.pack("<I", 1) + bytes(MIB), None, "it is vmdk"),
        (bytes(64) + b"\x7f\x10\xda\xbe" + bytes(MIB), None, "it is vdi"),
        (b"vhdxfile" + bytes(MIB), DiskFormat.RAW, "it is vhdx"),
        (b"conectix" + bytes(MIB), DiskFormat.RAW, "it is vhd"),
        (b"LUKS\xba\xbe\x00\x01" + bytes(MIB), DiskFormat.RAW, "it is luks"),
        (b"QED\0" + bytes(MIB), DiskFormat.RAW, "it is qed"),
    ],
)
def test_another_format_than_declared_or_taken_is_refused(file, content, declared, reason):
    file.write_bytes(content)

    assert refusal_of(file, declared).startswith(reason)


def test_a_qcow2_that_is_an_iso_too_is_refused(file):
    image = qcow2()
    image[16 * 2048 : 16 * 2048 + 6] = b"\x01CD001"
    file.write_bytes(image)

    assert "at once" in refusal_of(file)


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    assert refusal_of(tmp_path / "pipe") == "it is not a regular file"
    assert refusal_of(tmp_path) == "it is not a regular file"


def test_the_child_says_what_it_found(file):
    file.write_bytes(qcow2())

    assert inspect(file, DiskFormat.QCOW2) == examine(file, DiskFormat.QCOW2)


def test_the_child_says_why_it_refuses(file):
    file.write_bytes(qcow2())

    with pytest.raises(DriverError) as refused:
        inspect(file, DiskFormat.RAW)
    assert (refused.value.code, str(refused.value)) == (
        "bad_image",
        "the image is refused: it was declared raw and is qcow2",
    )


def test_the_child_follows_no_link(tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")

    with pytest.raises(DriverError, match="it cannot be read") as refused:
        inspect(tmp_path / "link", None)
    assert refused.value.code == "bad_image"


def test_a_child_that_takes_too_much_is_the_image_s_fault(file, monkeypatch):
    def killed(argv, **_):
        raise DriverError("killed", argv=tuple(argv), exit_status=-9)

    monkeypatch.setattr(commands, "run", killed)
    file.write_bytes(b"x")

    with pytest.raises(DriverError, match="more time or memory") as refused:
        inspect(file, None)
    assert refused.value.code == "bad_image"


PATCHES = st.lists(st.tuples(st.integers(0, 130), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4)
TABLE_ENTRIES = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(patches=PATCHES, entries=TABLE_ENTRIES, kept=st.integers(1, END))
def test_no_damage_to_a_qcow2_gets_more_than_a_refusal(tmp_path, patches, entries, kept):
    image = qcow2()
    for offset, patch in patches:
        image[offset : offset + len(patch)] = patch
    table = struct.pack(f">{len(entries)}Q", *entries)
    image[L2_AT : L2_AT + len(table)] = table
    (tmp_path / "image").write_bytes(image[:kept])
    verdict = verdict_on(tmp_path / "image")

    assert verdict == "bad_image" or verdict.virtual_size_bytes <= images.VIRTUAL_SIZE_LIMIT_BYTES


MAGICS = (b"", b"KDMV", b"# Disk DescriptorFile\n", b"vhdxfile", b"conectix", b"QED\0", b"LUKS\xba\xbe", b"QFI\xfb")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(magic=st.sampled_from(MAGICS), rest=st.binary(max_size=2000), room=st.sampled_from([0, 512, 300_000]))
def test_no_start_of_a_file_gets_more_than_a_refusal(tmp_path, magic, rest, room):
    (tmp_path / "image").write_bytes(magic + rest + bytes(room))
    verdict = verdict_on(tmp_path / "image")

    assert verdict == "bad_image" or verdict.size_bytes == len(magic + rest) + room


def test_an_inspector_that_trips_is_the_image_s_fault(file, monkeypatch, capfdbinary):
    def trip(*_):
        raise IndexError("in the inspector")

    monkeypatch.setattr(images, "examine", trip)
    images.main([str(file), ""])

    answer = msgspec.json.decode(capfdbinary.readouterr().out)
    assert answer == {"refusal": "the image is refused: its inspection failed: IndexError: in the inspector"}


@pytest.mark.libvirt
@pytest.mark.parametrize("options", [(), ("-c",), ("-o", "cluster_size=4096"), ("-o", "compat=0.10")])
def test_what_qemu_img_makes_is_sound_and_is_not_when_cut_off(tmp_path, options):
    (tmp_path / "plain").write_bytes(os.urandom(3 * MIB) + bytes(5 * MIB))
    argv = ("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, "plain", "image")
    commands.run(("env", "-C", str(tmp_path), *argv), timeout_s=60)
    size_bytes = (tmp_path / "image").stat().st_size

    assert examine(tmp_path / "image", DiskFormat.QCOW2) == ImageFacts(
        format=DiskFormat.QCOW2, virtual_size_bytes=8 * MIB, size_bytes=size_bytes
    )
    os.truncate(tmp_path / "image", size_bytes - 600_000)
    assert "truncated" in refusal_of(tmp_path / "image")
