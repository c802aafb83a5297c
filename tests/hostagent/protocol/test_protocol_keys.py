"""Keys are made once, kept privately and never shown; a join token survives a person's clipboard or says why not."""

import copy
import hashlib
import logging
import pickle
import stat
import traceback

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from innkeeper_hostagent.protocol import join, keys
from innkeeper_hostagent.protocol.errors import JoinTokenError, KeyFileError
from innkeeper_hostagent.protocol.keys import Secret

TOKEN = join.JoinToken("tcp://controller.example:2634", keys.generate().public, join.new_secret())


def test_a_key_pair_is_made_once_and_then_found_again(tmp_path):
    path = tmp_path / "agent.key"
    made = keys.load_or_create(path)

    assert keys.load_or_create(path) == made
    assert zmq.curve_public(made.secret.reveal().encode()).decode() == made.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["agent.key"]


def test_a_key_that_another_process_made_meanwhile_is_kept(tmp_path):
    path = tmp_path / "agent.key"
    made = keys.load_or_create(path)
    keys._create(path, keys.generate())

    assert keys.load_or_create(path) == made


def test_a_key_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "agent.key"
    keys.load_or_create(path)
    path.chmod(0o640)

    with pytest.raises(KeyFileError, match=r"0640.*chmod 600"):
        keys.load_or_create(path)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40, b"x" * 41, b"~" * 40])
def test_a_damaged_key_file_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "agent.key"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(KeyFileError, match="holds no key"):
        keys.load_or_create(path)
    assert path.read_bytes() == content


def test_a_key_file_behind_a_symbolic_link_is_not_followed(tmp_path):
    keys.load_or_create(tmp_path / "elsewhere")
    (tmp_path / "agent.key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic"):
        keys.load_or_create(tmp_path / "agent.key")


def test_a_secret_cannot_be_printed_logged_traced_or_copied(caplog):
    secret = Secret("hush-hush")
    pair = keys.generate()
    logging.getLogger("test").warning("%s %r", secret, pair)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", repr(TOKEN), caplog.text]
    shown += traceback.format_exception(ValueError(secret))

    for hidden in ("hush-hush", pair.secret.reveal(), TOKEN.secret.reveal()):
        assert not any(hidden in text for text in shown)
    for act in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="cannot be copied"):
            act(secret)


def test_secrets_are_compared_by_what_they_hide():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_a_token_comes_back_as_it_went():
    text = TOKEN.text()

    assert join.parse(text) == TOKEN
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def test_a_token_that_a_mail_program_wrapped_is_still_a_token():
    text = TOKEN.text()

    assert join.parse(f"  {text[:40]}\r\n  {text[40:]}\n") == TOKEN


def test_a_token_cut_off_anywhere_says_that_it_was_cut_off():
    text = TOKEN.text()

    for length in range(len("inn1_"), len(text)):
        with pytest.raises(JoinTokenError, match=r"cut off"):
            join.parse(text[:length])


@given(st.integers(5, len(TOKEN.text()) - 1), st.sampled_from("aZ09-_"))
def test_a_token_with_a_wrong_character_is_refused(position, character):
    text = TOKEN.text()
    changed = text[:position] + character + text[position + 1 :]

    if changed == text:
        assert join.parse(changed) == TOKEN
    else:
        with pytest.raises(JoinTokenError):
            join.parse(changed)


@given(st.text(max_size=200))
def test_any_text_is_a_token_or_the_one_error(text):
    for candidate in (text, "inn1_" + text):
        with pytest.raises(JoinTokenError):
            join.parse(candidate)


def test_something_else_from_the_clipboard_is_told_apart():
    with pytest.raises(JoinTokenError, match="begins with inn1_"):
        join.parse("https://controller.example/")


def test_a_token_for_an_endless_endpoint_is_not_made():
    with pytest.raises(ValueError, match="longer than 199 bytes"):
        join.JoinToken("tcp://" + "x" * 200, TOKEN.controller_public_key, TOKEN.secret).text()


def test_the_controller_keeps_only_a_digest_of_the_secret():
    secret = join.new_secret()

    assert join.digest(secret) == join.digest(secret.reveal())
    assert join.digest(secret) == hashlib.sha256(secret.reveal().encode()).hexdigest()
    assert join.new_secret() != secret
