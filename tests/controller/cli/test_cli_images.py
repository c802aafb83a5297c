"""Images and stored templates from the command line: what is asked of the controller, and what people see."""

import pytest
from samples import NOW_S, image, operation

TEMPLATE = {
    "template_id": 3,
    "name": "web",
    "owner": "ann",
    "group": "users",
    "mode": "640",
    "text": 'CPU = "1"\nMEMORY = "64"\n',
    "registered_at_s": NOW_S,
}
PERSISTENT = image(persistent=True)


@pytest.mark.parametrize(
    ("words", "line", "body", "answer", "out"),
    [
        (
            "image clone debian-12 mine",
            "POST /v1/images/debian-12/clone",
            {"name": "mine"},
            image(image_id=4, name="mine"),
            "Image 4 mine is ready.",
        ),
        (
            "image enable debian-12",
            "POST /v1/images/debian-12/enable",
            {"enabled": True},
            image(),
            "Image 0 debian-12 is ready, os, not persistent.",
        ),
        (
            "image disable 0",
            "POST /v1/images/0/enable",
            {"enabled": False},
            image("disabled"),
            "Image 0 debian-12 is disabled, os, not persistent.",
        ),
        (
            "image persistent 0",
            "POST /v1/images/0/persistent",
            {"persistent": True},
            PERSISTENT,
            "Image 0 debian-12 is ready, os, persistent.",
        ),
        (
            "image nonpersistent 0",
            "POST /v1/images/0/persistent",
            {"persistent": False},
            image(),
            "Image 0 debian-12 is ready, os, not persistent.",
        ),
        (
            "image chtype 0 cdrom",
            "POST /v1/images/0/type",
            {"type": "cdrom"},
            image(type="cdrom"),
            "Image 0 debian-12 is ready, cdrom, not persistent.",
        ),
        (
            "template clone web mine",
            "POST /v1/templates/web/clone",
            {"name": "mine"},
            TEMPLATE,
            "Template 3 web is kept.",
        ),
        ("template delete 3", "DELETE /v1/templates/3", None, TEMPLATE, "Template 3 web is deleted."),
        (
            "template instantiate web -n 2 --name w-%i --hold --persistent",
            "POST /v1/templates/web/instantiate",
            {"name": "w-%i", "count": 2, "persistent": True, "hold": True},
            {"vm_ids": [7, 8]},
            "7\n8",
        ),
    ],
)
def test_a_command_asks_once_and_says_what_it_came_to(run, fake, words, line, body, answer, out):
    fake.answers = {line: answer}

    ran = run(*words.split())

    assert (ran.code, ran.out, ran.err) == (0, out + "\n", "")
    assert [(asked.line, asked.json) for asked in fake.asked] == [(line, body)]


@pytest.mark.parametrize(
    ("words", "line", "body", "out"),
    [
        ("template add FILE", "POST /v1/templates", {"template": "MEMORY = 1\n"}, "Template 3 web is kept."),
        ("template update web FILE", "PUT /v1/templates/web", {"text": "MEMORY = 1\n"}, "Template 3 web is changed."),
        (
            "template update web FILE --append",
            "PUT /v1/templates/web",
            {"text": "MEMORY = 1\n", "append": True},
            "Template 3 web is changed.",
        ),
    ],
)
def test_a_file_is_sent_as_it_is(run, fake, tmp_path, words, line, body, out):
    file = tmp_path / "web.one"
    file.write_text("MEMORY = 1\n")
    fake.answers = {line: TEMPLATE}

    ran = run(*(str(file) if word == "FILE" else word for word in words.split()))

    assert (ran.code, ran.out) == (0, out + "\n")
    assert [(asked.line, asked.json) for asked in fake.asked] == [(line, body)]


def test_templates_are_listed_and_shown_with_their_text(run, fake):
    fake.answers = {"GET /v1/templates": [TEMPLATE], "GET /v1/templates/web": TEMPLATE}

    assert run("template", "list").out == (
        "ID  NAME  OWNER  GROUP  REGISTERED\n 3  web   ann    users  2026-11-22 12:00:00\n"
    )
    assert run("template", "show", "web").out == (
        "Template    3 web\nOwner       ann\nGroup       users\nRights      640\n"
        'Registered  2026-11-22 12:00:00\n\nCPU = "1"\nMEMORY = "64"\n'
    )


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ("image add data --empty 1.5G --persistent", {"name": "data", "size_mib": 1536, "persistent": True}),
        ("image add x --path /srv/x.img", {"name": "x", "path": "/srv/x.img"}),
    ],
)
def test_an_image_is_made_of_what_is_said(run, fake, words, body):
    fake.answers = {"POST /v1/images": image("locked", operation_id="o3")}

    ran = run(*words.split(), "--no-wait")

    assert (ran.code, [asked.json for asked in fake.asked]) == (0, [body])


def test_a_template_of_an_image_needs_nothing_beside_it(run, fake, tmp_path):
    file = tmp_path / "data.one"
    file.write_text("NAME = data SIZE = 64\n")
    fake.answers = {
        "POST /v1/images": image("locked", operation_id="o3"),
        "GET /v1/operations/o3?wait_s=30": operation(kind="import_image"),
    }

    assert run("image", "add", "--template", file, "--no-wait").code == 0
    assert fake.asked[0].json == {"template": "NAME = data SIZE = 64\n"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("image add", "Missing argument 'NAME'."),
        ("image add x", "Say where the image comes from with one of --file, --path, --url and --empty."),
        ("image add x --empty 1G --url http://x", "Say where the image comes from"),
        ("image add x --path x.img", "Say on which host the path is: --host NAME."),
    ],
)
def test_an_image_of_nothing_is_a_wrong_command(run, fake, words, says):
    ran = run(*words.split())

    assert (ran.code, says in ran.err, fake.asked) == (2, True, [])
