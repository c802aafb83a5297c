import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from innkeeper_controller.opennebula.intake import Intake
from innkeeper_controller.turn import RefusalError
from innkeeper_controller.uploads import Spool, Uploaded


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", max_bytes=5_000_000, expires_s=60.0)


def taken(spool: Spool, safe: Path, path: Path) -> Uploaded | str:
    async def run() -> Uploaded | str:
        intake = Intake(spool, [safe])
        try:
            return await intake.take(str(path))
        except RefusalError as refusal:
            return refusal.code
        finally:
            intake.close()

    return asyncio.run(run())


def test_a_file_below_a_safe_directory_becomes_an_upload(spool: Spool, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    path = tmp_path / "safe" / "below" / "disk.img"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()

    assert taken(spool, tmp_path / "safe", path) == Uploaded(upload_id=sha256, sha256=sha256, size_bytes=len(content))
    assert spool.size_of(sha256) == len(content)


def test_nothing_else_of_the_controller_can_be_had(spool: Spool, tmp_path: Path) -> None:
    safe = tmp_path / "safe"
    safe.mkdir()
    (tmp_path / "secret").write_text("key")
    (tmp_path / "safe-not").write_text("key")
    (safe / "link").symlink_to(tmp_path / "secret")
    (safe / "way").symlink_to(tmp_path)
    os.mkfifo(safe / "pipe")
    (safe / "long").write_bytes(bytes(5_000_001))
    asked = {
        "../secret": "forbidden",
        "link": "forbidden",
        "way/secret": "forbidden",
        "../safe-not": "forbidden",
        "none": "not_found",
        "": "not_found",
        "pipe": "not_found",
        "long": "too_large",
        "a\0b": "not_found",
    }

    assert {name: taken(spool, safe, safe / name) for name in asked} == asked
    assert list((tmp_path / "spool").iterdir()) == []
