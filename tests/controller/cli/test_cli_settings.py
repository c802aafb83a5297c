"""Where the controller is and which token it sees: options, environment, files, in this order."""

import json
from importlib.metadata import version

import pytest
from samples import vm


@pytest.fixture
def settings(tmp_path):
    folder = tmp_path / "config" / "innkeeper"
    folder.mkdir(parents=True)
    return folder


def _token(fake):
    return fake.asked[-1].headers.get("Authorization")


def test_tokens_are_looked_for_from_the_nearest_to_the_farthest(run, fake, settings, tmp_path, monkeypatch):
    fake.answers = {"GET /v1/vms": []}
    monkeypatch.setattr("innkeeper_controller.cli.preferences.ADMIN_TOKEN", tmp_path / "admin.token")
    seen = []
    places = [
        ("nowhere", lambda: None),
        ("admin", lambda: (tmp_path / "admin.token").write_text("admin\n")),
        ("own", lambda: (settings / "token").write_text("own\n")),
        ("file", lambda: monkeypatch.setenv("INNKEEPER_TOKEN_FILE", str(tmp_path / "t"))),
        ("environment", lambda: monkeypatch.setenv("INNKEEPER_TOKEN", "environment")),
    ]
    (tmp_path / "t").write_text("file")
    (tmp_path / "o").write_text("option")
    for _, put in places:
        put()
        run("vm", "list")
        seen.append(_token(fake))
    run("vm", "list", "--token-file", tmp_path / "o")

    assert [*seen, _token(fake)] == [
        None,
        *(f"Bearer {each}" for each in ("admin", "own", "file", "environment", "option")),
    ]


def test_a_token_file_that_cannot_be_read_is_a_usage_error(run):
    ran = run("vm", "list", "--token-file", "/nowhere/token")

    assert ran.code == 2
    assert "The token file /nowhere/token cannot be read: No such file or directory. --token-file," in ran.err


def test_common_options_stand_before_or_behind_the_verb_and_the_later_counts(run, fake):
    fake.answers = {"GET /v1/vms": [vm()]}

    first = run("-o", "json", "vm", "list")
    second = run("-o", "json", "vm", "list", "-o", "yaml")

    assert first.out.startswith("[\n")
    assert second.out.startswith("- vm_id: 7\n")


def test_settings_of_the_user_hold_unless_the_command_line_says_otherwise(run, fake, settings):
    fake.answers = {"GET /v1/vms": [vm()], "POST /v1/vms/7/stop": {"vm_id": 7, "state": "SAVE", "operation_id": "o3"}}
    (settings / "cli.toml").write_text('output = "wide"\nwait = true\ntimeout_s = 0\n')

    assert "IN STATE FOR" in run("vm", "list").out
    assert "IN STATE FOR" not in run("vm", "list", "-o", "table").out
    assert run("vm", "stop", "7", "--no-wait").code == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour = true", "there is no setting 'colour'; there are endpoint, token_file, output, wait, timeout_s."),
        ("wait = 1", "wait = 1 is not of the right kind"),
        ('output = "xml"', "output is one of table, wide, json, yaml, not 'xml'"),
        ("endpoint = ", "cli.toml: "),
    ],
)
def test_a_setting_that_means_nothing_is_a_usage_error(run, settings, text, complaint):
    (settings / "cli.toml").write_text(text)

    ran = run("vm", "list")

    assert ran.code == 2
    assert complaint in ran.err


def test_requests_are_shown_when_somebody_wants_to_see_them(run, fake):
    fake.answers = {"GET /v1/vms": [vm()]}

    assert "> GET /v1/vms?limit=1000: 200 in" in run("vm", "list", "-vv").err
    assert ">" not in run("vm", "list", "-v").err


def test_the_environment_names_the_controller(run, fake, monkeypatch):
    fake.answers = {"GET /v1/vms": [vm()]}
    monkeypatch.setenv("INNKEEPER_ENDPOINT", "http://127.0.0.1:1")

    assert run("vm", "list").code == 3
    assert run("vm", "list", "--endpoint", fake.endpoint).code == 0
    assert run("--endpoint", fake.endpoint, "vm", "list").code == 0


def test_both_versions_are_shown_and_one_where_the_controller_is_not_there(run, fake):
    fake.answers = {"GET /v1/openapi.json": {"info": {"version": "9.8"}}}

    there = run("version", "-o", "json")
    away = run("version", "--endpoint", "http://127.0.0.1:1")

    assert json.loads(there.out) == {"inn": version("innkeeper"), "controller": "9.8"}
    assert (away.code, away.err) == (0, "Nothing listens at http://127.0.0.1:1.\n")
