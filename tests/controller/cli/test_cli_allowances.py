"""Deciding by the command line how much of hosts may be given away, and what is told of bans and nonsense."""

import json

import pytest
from samples import NOW_S, host

ADVERTISED = {"capacity": {"cpu_cores": 64.0, "memory_mib": 65536}}
RESOURCES = {
    "cpu": {
        "total": 64.0,
        "reserved": 2.0,
        "allocation_ratio": 4.0,
        "may_give": 248.0,
        "given": 12.0,
        "min_unit": 0.5,
        "max_unit": 16.0,
        "step_size": 0.5,
    },
    "memory": {"total": 65536, "reserved": 0, "allocation_ratio": 1.0, "may_give": 65536.0, "given": 4096},
    "disk.default": {"total": 1024, "reserved": 0, "allocation_ratio": 2.0, "may_give": 2048.0, "given": 512},
}


def asked(fake):
    (request,) = fake.asked
    return request.line, request.json


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (
            ("--cpu-ratio", "4", "--memory-reserved", "2G"),
            {"cpu": {"allocation_ratio": 4}, "memory": {"reserved": 2048}},
        ),
        (
            ("--cpu-min", "0.5", "--cpu-max", "16", "--cpu-step", "0.5", "--disk-ratio", "2"),
            {"cpu": {"min_unit": 0.5, "max_unit": 16, "step_size": 0.5}, "disk": {"allocation_ratio": 2}},
        ),
        (
            ("--memory-reserved", "-512M", "--disk-max", "1T"),
            {"memory": {"reserved": -512}, "disk": {"max_unit": 1 << 20}},
        ),
        (("--cpu-ratio", "none", "--memory-min", "NONE"), {"clear": ["cpu.allocation_ratio", "memory.min_unit"]}),
    ],
)
@pytest.mark.parametrize(("noun", "path"), [("host", "/v1/hosts/it/set"), ("cluster", "/v1/clusters/it/set")])
def test_options_become_what_is_decided(run, fake, noun, path, options, body):
    fake.answers[f"POST {path}"] = host(resources=RESOURCES) if noun == "host" else {"cluster_id": 1, "name": "it"}
    ran = run(noun, "set", "it", *options)

    assert (ran.code, asked(fake)) == (0, (f"POST {path}", body))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "Say what to decide"),
        (("--cpu-ratio", "much"), "'much' is neither a number nor none"),
        (("--memory-reserved", "512"), "512 has no unit; say 512M or 512G"),
        (("--disk-max", "big"), "'big' is not a size"),
    ],
)
def test_what_says_nothing_is_not_asked(run, fake, options, complaint):
    ran = run("host", "set", "it", *options)

    assert (ran.code, fake.asked) == (2, [])
    assert complaint in ran.err


def test_what_may_be_given_is_told_with_its_reasons(run, fake):
    fake.answers["POST /v1/hosts/host-a/set"] = host(resources=RESOURCES)
    ran = run("host", "set", "host-a", "--cpu-ratio", "4")

    assert ran.out.splitlines() == [
        "Host host-a:",
        (
            "  cpu: 64 cores, 2 reserved, ratio 4: 248 may be given, 12 are; a VM takes at least 0.5, at most 16, "
            "in steps of 0.5"
        ),
        "  memory: 64 GiB: 64 GiB may be given, 4 GiB are",
        "  disk.default: 1 GiB, ratio 2: 2 GiB may be given, 512 MiB are",
    ]


def test_a_host_shows_what_was_decided_and_nothing_where_nothing_was(run, fake):
    fake.answers["GET /v1/hosts/host-a"] = host(resources=RESOURCES, advertisement=ADVERTISED)
    decided = run("host", "show", "host-a").out
    plain = {name: {**each, "reserved": 0, "allocation_ratio": 1.0} for name, each in RESOURCES.items()}
    del plain["cpu"]
    fake.answers["GET /v1/hosts/host-a"] = host(resources=plain, advertisement=ADVERTISED)

    assert "cpu: 64 cores, 2 reserved, ratio 4: 248 may be given, 12 are" in decided
    assert "memory:" not in decided
    assert "May give" not in run("host", "show", "host-a").out


def test_a_cluster_shows_what_was_decided(run, fake):
    allowances = {"cpu": {"reserved": 2.0, "allocation_ratio": 4.0}, "memory": {"max_unit": 2048}}
    fake.answers["GET /v1/clusters/rack-2"] = {"cluster_id": 100, "name": "rack-2", "allowances": allowances}
    ran = run("cluster", "show", "rack-2")

    assert "cpu: reserved 2, ratio 4" in ran.out
    assert "memory: max 2 GiB" in ran.out


BANNED = {"failed_starts": 3, "banned_until_s": NOW_S + 200, "last_failure": "no space left"}


def test_a_list_tells_which_host_is_banned_until_when_and_why(run, fake):
    fake.answers["GET /v1/hosts"] = [host(**BANNED), host(2, "host-b", nonsense=["that it has -4 cores"])]
    ran = run("host", "list")

    assert "banned until 2026-11-22 12:03:20 after 3 failed starts: no space left" in ran.out
    assert "says that it has -4 cores, which cannot be" in ran.out
    assert [line.split()[2] for line in ran.out.splitlines()[1:]] == ["banned", "on"]


def test_a_list_without_anything_to_note_has_no_notes(run, fake):
    fake.answers["GET /v1/hosts"] = [host()]

    assert "NOTE" not in run("host", "list").out


def test_a_list_counts_what_may_be_given(run, fake):
    fake.answers["GET /v1/hosts"] = [host(may_give={"cpu_cores": 248.0, "memory_mib": 1024})]

    assert "of 248" in run("host", "list").out


def test_a_host_shows_its_ban_its_failures_and_its_nonsense(run, fake):
    fake.answers["GET /v1/hosts/host-a"] = host(
        **{**BANNED, "banned_until_s": None}, nonsense=["that it has nan cores"], advertisement=ADVERTISED
    )
    ran = run("host", "show", "host-a")

    assert "3 failed starts in a row: no space left" in ran.out
    assert "It says that it has nan cores, which cannot be." in ran.out


def test_programs_get_all_of_it(run, fake):
    fake.answers["GET /v1/hosts/host-a"] = host(**BANNED, resources=RESOURCES)
    shown = json.loads(run("host", "show", "host-a", "-o", "json").out)

    assert (shown["resources"]["cpu"]["may_give"], shown["banned_until_s"]) == (248.0, NOW_S + 200)
