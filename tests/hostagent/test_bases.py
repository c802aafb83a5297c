"""The images that disks lie over are known from the disks themselves."""

import shutil
import subprocess

import pytest

from innkeeper_hostagent import bases

DIGEST = "ab" * 32


def test_links_and_other_files_are_told_apart(tmp_path):
    (tmp_path / "vms" / "7").mkdir(parents=True)
    (tmp_path / "vms" / "7" / "disk.0").symlink_to(tmp_path / "images" / DIGEST)
    (tmp_path / "vms" / "7" / "disk.1").write_bytes(b"raw")

    assert bases.digests([tmp_path / "vms", tmp_path / "none"]) == {DIGEST}


@pytest.mark.libvirt
def test_an_overlay_names_its_image(tmp_path):
    if not shutil.which("qemu-img"):
        pytest.skip("needs qemu-img")
    (tmp_path / "7").mkdir()
    base = tmp_path / DIGEST
    subprocess.run(["qemu-img", "create", "-q", "-f", "raw", base, "1M"], check=True)
    overlay = tmp_path / "7" / "disk.0"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay], check=True)

    assert bases.digests([tmp_path]) == {DIGEST}
