"""What enrolment leaves behind."""

import pytest

from innkeeper_hostagent import identity
from innkeeper_hostagent.identity import Membership, NotJoinedError

MEMBERSHIP = Membership(endpoint="tcp://c:2634", controller_public_key="k" * 40, host_name="h1")


def test_keys_are_made_once_and_kept_from_others(tmp_path):
    state_dir = tmp_path / "state"
    first = identity.keys(state_dir)

    assert identity.keys(state_dir) == first
    assert state_dir.stat().st_mode & 0o777 == 0o700


def test_a_membership_is_remembered_and_replaced(tmp_path):
    identity.save(tmp_path, Membership(endpoint="tcp://old:1", controller_public_key="o" * 40, host_name="h0"))
    identity.save(tmp_path, MEMBERSHIP)

    assert identity.load(tmp_path) == MEMBERSHIP
    assert [path.name for path in tmp_path.iterdir()] == ["controller.json"]


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"endpoint": 5}'])
def test_a_host_without_a_usable_membership_is_told_to_join(tmp_path, content):
    if content is not None:
        (tmp_path / "controller.json").write_bytes(content)

    with pytest.raises(NotJoinedError, match="inn-agent join TOKEN"):
        identity.load(tmp_path)
