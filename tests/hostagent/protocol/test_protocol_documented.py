"""The specification in words has every message of the specification in code."""

import re
import typing
from pathlib import Path

import pytest

from innkeeper_hostagent.protocol import frames, messages, session
from innkeeper_hostagent.protocol.bulk import messages as bulk_messages

TEXT = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
ROWS = set(re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.MULTILINE))


def tags_of(union):
    return {member.__struct_config__.tag for member in typing.get_args(union)}


@pytest.mark.parametrize(
    "union",
    [messages.AgentMessage, messages.ControllerMessage, bulk_messages.BulkRequest, bulk_messages.BulkAnswer],
    ids=["agent", "controller", "bulk request", "bulk answer"],
)
def test_every_message_has_its_row(union):
    assert tags_of(union) <= ROWS


def test_every_kind_of_frame_is_in_the_grammar():
    for kind in frames.Kind:
        assert re.search(rf"^{kind.name.lower()} +=  ?%x{kind.value}$", TEXT, flags=re.MULTILINE), kind


def test_the_numbers_are_those_of_the_code():
    limits = session.DEFAULT_LIMITS

    assert f"Version {messages.PROTOCOL_MAJOR}.{messages.PROTOCOL_MINOR}." in TEXT
    assert f"{limits.max_queued_messages:,} messages or {limits.max_queued_bytes >> 20} MiB" in TEXT
    assert (
        f"after {limits.resend_after_s:g} s, then after twice as long each time, up to {limits.max_resend_after_s:g} s"
        in TEXT
    )
