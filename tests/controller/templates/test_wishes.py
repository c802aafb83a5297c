"""What templates ask of the scheduler beside room, in every syntax, and every contradiction told where it stands."""

import jsonschema
import msgspec
import pytest
from ruamel import yaml

from innkeeper_controller.scheduling.wishes import Gang, Relation, Term, Wishes
from innkeeper_controller.templates import parse
from innkeeper_controller.templates.errors import TemplateError, sentence
from innkeeper_controller.templates.schema import vm_schema
from innkeeper_controller.templates.vm import read_vm_template
from innkeeper_controller.templates.wishes import MAX_TERMS, NamedVm, with_changes

NAMES = "names of up to 64 letters, digits and . _ -, with commas between them"
OWN = "like GROUP = web, or the VM a PLACEMENT_GROUP of its own."
READER = yaml.YAML(typ="safe", pure=True)
HEAD = "CPU = 1  MEMORY = 64\n"
TEXT = """CPU = 1  MEMORY = 64
SCHED_PRIORITY = -5
PLACEMENT_GROUP = "web, frontend"
AFFINITY = [ GROUP = "db", VM = "7, 8", SCOPE = HOST, SOFT = YES, WEIGHT = 2 ]
ANTI_AFFINITY = [ GROUP = "noisy,loud" ]
ANTI_AFFINITY = [ VM = 9, SCOPE = rack ]
SPREAD = [ SCOPE = rack, MAX_SKEW = 2 ]
GANG = [ NAME = mpi, SIZE = 4 ]
PENDING_TIMEOUT = 3600
CPU_MODEL = [ MODEL = host-passthrough, FEATURES = "AES, avx2" ]
"""
XML = """<VM><CPU>1</CPU><MEMORY>64</MEMORY><SCHED_PRIORITY>-5</SCHED_PRIORITY>
<PLACEMENT_GROUP>web, frontend</PLACEMENT_GROUP>
<AFFINITY><GROUP>db</GROUP><VM>7, 8</VM><SCOPE>host</SCOPE><SOFT>yes</SOFT><WEIGHT>2</WEIGHT></AFFINITY>
<ANTI_AFFINITY><GROUP>noisy,loud</GROUP></ANTI_AFFINITY><ANTI_AFFINITY><VM>9</VM><SCOPE>rack</SCOPE></ANTI_AFFINITY>
<SPREAD><SCOPE>rack</SCOPE><MAX_SKEW>2</MAX_SKEW></SPREAD><GANG><NAME>mpi</NAME><SIZE>4</SIZE></GANG>
<PENDING_TIMEOUT>3600</PENDING_TIMEOUT>
<CPU_MODEL><MODEL>host-passthrough</MODEL><FEATURES>AES, avx2</FEATURES></CPU_MODEL></VM>"""
YAML = """cpu: 1
memory: 64
sched_priority: -5
placement_group: web, frontend
affinity: {group: db, vm: "7, 8", scope: host, soft: yes, weight: 2}
anti_affinity: [{group: "noisy,loud"}, {vm: 9, scope: rack}]
spread: {scope: rack, max_skew: 2}
gang: {name: mpi, size: 4}
pending_timeout: 3600
cpu_model: {model: host-passthrough, features: "AES, avx2"}
"""
WISHES = Wishes(
    priority=-5,
    groups=("web", "frontend"),
    terms=(
        Term(relation=Relation.TOGETHER, groups=("db",), vm_ids=(7, 8), is_hard=False, weight=2.0),
        Term(relation=Relation.APART, groups=("noisy", "loud")),
        Term(relation=Relation.APART, vm_ids=(9,), scope="rack"),
        Term(relation=Relation.SPREAD, groups=("web", "frontend"), scope="rack", max_skew=2),
    ),
    gang=Gang(name="mpi", size=4),
    pending_timeout_s=3600.0,
    cpu_flags=("aes", "avx2"),
)


def wishes(text):
    return read_vm_template(HEAD + text).wishes


def mistakes(text):
    with pytest.raises(TemplateError) as caught:
        read_vm_template(HEAD + text)
    return [sentence(each) for each in caught.value.mistakes]


def remarks(text):
    return [sentence(each) for each in read_vm_template(HEAD + text).remarks]


@pytest.mark.parametrize("text", [TEXT, XML, YAML], ids=["text", "xml", "yaml"])
def test_every_syntax_says_the_same(text):
    assert read_vm_template(text).wishes == WISHES


def test_the_schema_for_editors_takes_it():
    jsonschema.validate(READER.load(YAML), vm_schema())


def test_a_template_that_says_nothing_wishes_nothing():
    found = read_vm_template(HEAD)

    assert (found.wishes, found.vms_named, found.remarks) == (Wishes(), (), ())


def test_vms_are_named_with_their_places():
    assert read_vm_template(TEXT).vms_named == (
        NamedVm(vm_id=7, field="AFFINITY/VM", line=4, column=34),
        NamedVm(vm_id=8, field="AFFINITY/VM", line=4, column=34),
        NamedVm(vm_id=9, field="ANTI_AFFINITY/VM", line=6, column=24),
    )


def test_the_priority_has_opennebulas_name_too():
    assert wishes("USER_PRIORITY = 7").priority == 7
    assert wishes("USER_PRIORITY = 7 SCHED_PRIORITY = 3").priority == 3
    assert remarks("USER_PRIORITY = 7 SCHED_PRIORITY = 3") == [
        "line 2, column 17: SCHED_PRIORITY is given too and counts; delete USER_PRIORITY."
    ]


def test_who_says_nobody_means_the_own_groups():
    found = wishes("PLACEMENT_GROUP = web\nANTI_AFFINITY = [ SCOPE = rack ]\nSPREAD = [ SOFT = yes ]")

    assert found.terms == (
        Term(relation=Relation.APART, groups=("web",), scope="rack"),
        Term(relation=Relation.SPREAD, groups=("web",), is_hard=False),
    )


def test_a_weight_without_a_wish_is_remarked_on():
    assert remarks("AFFINITY = [ GROUP = db, WEIGHT = 2 ]") == [
        "line 2, column 35: WEIGHT has no effect without SOFT = yes: the VM is placed nowhere else."
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SCHED_PRIORITY = 1001", ["line 2, column 18: SCHED_PRIORITY has to be -1000 to 1000, not 1001."]),
        ("SCHED_PRIORITY = high", ["line 2, column 18: SCHED_PRIORITY has to be a whole number, not 'high'."]),
        ("SCHED_PRIO = 3", ["line 2, column 1: SCHED_PRIO is no attribute of a VM. Did you mean SCHED_PRIORITY?"]),
        ("PENDING_TIMEOUT = 0", ["line 2, column 19: PENDING_TIMEOUT has to be 1 to 999999999, not 0."]),
        (
            'PLACEMENT_GROUP = "a b"',
            [f"line 2, column 20: PLACEMENT_GROUP has to be {NAMES}, not 'a b'."],
        ),
        (
            'PLACEMENT_GROUP = "' + ",".join(f"g{number}" for number in range(17)) + '"',
            ["line 2, column 20: A VM is in at most 16 placement groups, not 17."],
        ),
        ("AFFINITY = [ ]", ["line 2, column 1: AFFINITY needs to know with whom, like GROUP = db or VM = 7."]),
        (
            "ANTI_AFFINITY = [ ]\nSPREAD = [ ]",
            [
                f"line 2, column 1: ANTI_AFFINITY needs to know from whom, {OWN}",
                f"line 3, column 1: SPREAD needs to know with whom, {OWN}",
            ],
        ),
        ("AFFINITY = [ GRUOP = a ]", ["line 2, column 14: AFFINITY has no GRUOP. Did you mean GROUP?"]),
        (
            "AFFINITY = db",
            ["line 2, column 12: AFFINITY has to be a vector, like AFFINITY = [ GROUP = db, SCOPE = rack ]."],
        ),
        ("SPREAD = [ GROUP = a, MAX_SKEW = 0 ]", ["line 2, column 34: MAX_SKEW has to be 1 to 1000, not 0."]),
        ("GANG = [ NAME = mpi ]", ["line 2, column 1: GANG needs SIZE, like SIZE = 4."]),
        (
            "GANG = [ NAME = a, SIZE = 2 ]\nGANG = [ NAME = b, SIZE = 2 ]",
            ["line 3, column 1: GANG was given on line 2 already; a VM has one."],
        ),
        (
            'CPU_MODEL = [ FEATURES = "a b" ]',
            ["line 2, column 27: FEATURES has to be flags, like aes,avx2, not 'a b'."],
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told_with_its_place(text, told):
    assert mistakes(text) == told


def test_relations_are_counted_together():
    half = MAX_TERMS // 2
    text = "AFFINITY = [ GROUP = a ]\n" * half + "SPREAD = [ GROUP = b ]\n" * (half + 1)

    assert mistakes(text) == [
        f"line {2 + MAX_TERMS}, column 1: A VM has at most 32 of AFFINITY, ANTI_AFFINITY, SPREAD together."
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "AFFINITY = [ GROUP = db ]\nANTI_AFFINITY = [ GROUP = db ]",
            "line 3, column 1: AFFINITY {} one host with {db}, ANTI_AFFINITY in another host than {db}; {}",
        ),
        (
            "ANTI_AFFINITY = [ VM = 7, SCOPE = rack ]\nAFFINITY = [ VM = 7, SCOPE = RACK ]",
            "line 3, column 1: AFFINITY {} one rack with VM 7, ANTI_AFFINITY in another rack than VM 7; {}",
        ),
        (
            'AFFINITY = [ GROUP = db ]\nANTI_AFFINITY = [ GROUP = "x,db", SCOPE = rack ]',
            "line 3, column 1: AFFINITY {} one host with {db}, ANTI_AFFINITY in another rack than {db}; {}",
        ),
        (
            "PLACEMENT_GROUP = db\nAFFINITY = [ GROUP = db ]\nSPREAD = [ SCOPE = rack ]",
            "line 4, column 1: AFFINITY {} one host with {db}, SPREAD in several racks with {db}; {}",
        ),
        (
            'PLACEMENT_GROUP = "db,b"\nGANG = [ NAME = g, SIZE = 2]\nAFFINITY = [ GROUP = db ]\nSPREAD = [ GROUP = b ]',
            "line 5, column 1: AFFINITY {} one host with {db}, SPREAD in several hosts with placement group b; {}",
        ),
    ],
)  # fmt: skip
def test_a_contradiction_is_told_at_the_later_of_the_two(text, told):
    whole = told.format("wants the VM in", "leave one out, or make it SOFT = yes.", db="placement group db")

    assert mistakes(text) == [whole]


@pytest.mark.parametrize(
    "text",
    [
        "AFFINITY = [ GROUP = db, SCOPE = rack ]\nANTI_AFFINITY = [ GROUP = db ]",
        "AFFINITY = [ GROUP = db, SOFT = yes ]\nANTI_AFFINITY = [ GROUP = db ]",
        "AFFINITY = [ GROUP = db ]\nSPREAD = [ GROUP = db, SOFT = yes ]",
        "AFFINITY = [ GROUP = db, SCOPE = zone ]\nSPREAD = [ GROUP = db, SCOPE = rack ]",
        "AFFINITY = [ GROUP = db ]\nANTI_AFFINITY = [ GROUP = web ]",
        "PLACEMENT_GROUP = web\nANTI_AFFINITY = [ ]\nSPREAD = [ SCOPE = rack ]\nGANG = [ NAME = g, SIZE = 3 ]",
        'PLACEMENT_GROUP = "a,b"\nAFFINITY = [ GROUP = a ]\nANTI_AFFINITY = [ GROUP = b ]',
    ],
)
def test_what_can_be_met_is_no_contradiction(text):
    assert len(wishes(text).terms) >= 1


# --- said later


def changed(old, text):
    return with_changes(old, parse(text))


def test_what_is_not_said_again_stays():
    assert changed(WISHES, "SCHED_PRIORITY = 2") == msgspec.structs.replace(WISHES, priority=2)
    assert changed(WISHES, "") == WISHES


def test_each_attribute_replaces_all_of_its_name():
    found = changed(WISHES, "ANTI_AFFINITY = [ GROUP = noisy, SOFT = yes, WEIGHT = 0.5 ]\nUSER_PRIORITY = 9")

    softened = Term(relation=Relation.APART, groups=("noisy",), is_hard=False, weight=0.5)
    assert found == msgspec.structs.replace(WISHES, priority=9, terms=(WISHES.terms[0], softened, WISHES.terms[3]))


def test_an_empty_text_takes_back_what_was_said():
    text = 'PLACEMENT_GROUP = "" AFFINITY = "" ANTI_AFFINITY = "" SPREAD = "" GANG = "" PENDING_TIMEOUT = ""'

    assert changed(WISHES, text) == Wishes(priority=-5, cpu_flags=("aes", "avx2"))


def test_a_contradiction_with_what_was_said_before_is_told():
    with pytest.raises(TemplateError, match="leave one out"):
        changed(WISHES, "AFFINITY = [ GROUP = loud ]")
