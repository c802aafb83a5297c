"""``inn vm why``: one screen that says what keeps a VM waiting, what would help, and which hosts are alike."""

import json

from samples import NOW_S

WHY = "GET /v1/vms/9/why"
WAITING = {
    "vm_id": 9,
    "name": "big",
    "state": "PENDING",
    "reason": "None of 3 hosts can take it: memory keeps 2 out, host state 1.",
    "advice": "It starts by itself as soon as one can.",
    "queue_position": 3,
    "queue": "place 3 of 17: priority 0, waited 2.1 h +2.1, fair share +7.3",
    "gives_up_at_s": NOW_S + 330,
    "hosts_total": 3,
    "hosts": [
        {
            "host": "h3",
            "fits": False,
            "obstacles": [["memory", "8 GiB of memory are needed, 6 GiB of 64 GiB are free"]],
        },
        {
            "host": "h11",
            "fits": False,
            "obstacles": [
                ["memory", "8 GiB of memory are needed, 4 GiB of 64 GiB are free"],
                ["requirements", " & ".join(f'RACK != "r{number}"' for number in range(12))],
            ],
        },
        {"host": "h2", "fits": False, "obstacles": [["host state", "the host is disabled"]]},
    ],
    "counts": {"memory": 2, "host state": 1},
    "alike": [{"clauses": ["memory"], "count": 2, "hosts": ["h3", "h11"]}],
    "nearest_miss": "h3 comes closest: 8 GiB of memory are needed, 6 GiB of 64 GiB are free.",
    "remedies": [
        "h3 would take it with 2 GiB more memory.",
        "MEMORY = 6144 instead of 8192 in its template would do on h3.",
        "It would fit on h3 if VM 6 ended.",
    ],
}


def alike(clauses, count, *hosts):
    return {"clauses": clauses, "count": count, "hosts": hosts}


def test_what_keeps_a_vm_waiting_and_what_would_help_is_on_one_screen(run, fake):
    fake.answers = {WHY: WAITING}

    assert run("vm", "why", "9").out == (
        "VM 9 big: PENDING. None of 3 hosts can take it: memory keeps 2 out, host state 1.\n"
        "It starts by itself as soon as one can.\n"
        "\n"
        "Would help  h3 would take it with 2 GiB more memory.\n"
        "            MEMORY = 6144 instead of 8192 in its template would do on h3.\n"
        "            It would fit on h3 if VM 6 ended.\n"
        "Queue       place 3 of 17: priority 0, waited 2.1 h +2.1, fair share +7.3\n"
        "Gives up    2026-11-22 12:05:30, in 5m 30s\n"
        "\n"
        "HOST  WHY NOT\n"
        "h3    memory: 8 GiB of memory are needed, 6 GiB of 64 GiB are free\n"
        "h11   memory: 8 GiB of memory are needed, 4 GiB of 64 GiB are free\n"
        '      requirements: RACK != "r0" & RACK != "r1" & RACK != "r2" & RACK != "r3" & RACK != "r4" & RACK\n'
        '        != "r5" & RACK != "r6" & RACK != "r7" & RACK != "r8" & RACK != "r9" & RACK != "r10" & RACK\n'
        '        != "r11"\n'
        "h2    host state: the host is disabled\n"
    )
    assert fake.asked[0].target == "/v1/vms/9/why?limit=20"


def test_hosts_that_fit_are_shown_with_their_scores_and_the_weights_of_the_policy(run, fake):
    fake.answers = {
        WHY: {
            **{key: WAITING[key] for key in ("vm_id", "name", "state", "queue", "queue_position")},
            "reason": "It fits and is about to be placed.",
            "hosts_total": 30,
            "fitting": 12,
            "weights": {"packing": 1.0, "image locality": 0.3},
            "hosts": [
                {
                    "host": "h1",
                    "fits": True,
                    "scores": {"rank": 800, "packing": 0.5, "image locality": 1, "total": 0.8},
                },
                {"host": "h10", "fits": True, "scores": {"rank": 7, "packing": 0, "image locality": 0, "total": 0}},
            ],
            "alike": [alike(["memory", "cpu"], 17, "h3", "h4", "h5"), alike(["bridge"], 1, "h7")],
        }
    }

    assert run("vm", "why", "9").out == (
        "VM 9 big: PENDING. It fits and is about to be placed.\n"
        "\n"
        "Queue  place 3 of 17: priority 0, waited 2.1 h +2.1, fair share +7.3\n"
        "\n"
        "HOST     RANK  PACKING x1  IMAGE LOCALITY x0.3  TOTAL\n"
        "h1    800.000       0.500                1.000  0.800\n"
        "h10     7.000       0.000                0.000  0.000\n"
        "and 10 more that fit\n"
        "\n"
        "HOSTS  FAIL         NEAREST OF THEM\n"
        "   17  memory, cpu  h3, h4, h5 ...\n"
        "    1  bridge       h7\n"
    )


def test_of_many_hosts_the_nearest_are_shown_and_the_others_by_what_they_fail(run, fake):
    hosts = [{"host": f"h{number}", "fits": False, "obstacles": [["memory", "too little"]]} for number in range(20)]
    groups = [alike(["memory"], 9_000, "h0", "h1", "h2"), *(alike([f"clause {each}"], 1, "h9") for each in range(9))]
    counts = {"memory": 9_000, "bridge": 3, "cpu": 2, "disk": 1}
    fake.answers = {WHY: {**WAITING, "hosts_total": 9_009, "hosts": hosts, "alike": groups, "counts": counts}}
    lines = run("vm", "why", "9").out.splitlines()
    table = lines.index("HOSTS  FAIL      NEAREST OF THEM")

    assert "Kept out by  memory 9,000, bridge 3, cpu 2, disk 1" in lines
    assert [line.partition(" ")[0] for line in lines[table - 6 : table - 1]] == ["h0", "h1", "h2", "h3", "h4"]
    assert lines[table + 1] == "9,000  memory    h0, h1, h2 ..."
    assert lines[-1] == "and 2 more that fail otherwise"
    assert max(map(len, lines)) <= 100


def test_all_hosts_are_asked_for_and_shown_where_that_is_wanted(run, fake):
    hosts = [{"host": f"h{number}", "fits": False, "obstacles": [["memory", "too little"]]} for number in range(40)]
    fake.answers = {WHY: {**WAITING, "hosts_total": 40, "hosts": hosts}}
    shown = run("vm", "why", "9", "--all").out

    assert shown.count("memory: too little") == 40
    assert [each.target for each in fake.asked] == ["/v1/vms/9/why?all=true"]


def test_programs_get_everything(run, fake):
    fake.answers = {WHY: WAITING}

    assert json.loads(run("vm", "why", "9", "-o", "json").out) == WAITING
    assert [each.target for each in fake.asked] == ["/v1/vms/9/why?all=true"]
