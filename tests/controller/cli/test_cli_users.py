"""Users by the command line: what it asks people for, and what it says where it cannot ask."""

import io
import sys


def test_without_a_terminal_a_password_is_not_asked_for_and_the_option_is_named(run, fake, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    ran = run("user", "add", "ann")

    assert (ran.code, fake.asked) == (2, [])
    assert "There is no terminal to ask for the password at; give it with --password-stdin." in ran.err
