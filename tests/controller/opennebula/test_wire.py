import gzip
import xmlrpc.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from innkeeper_controller.opennebula import wire
from innkeeper_controller.opennebula.faults import MALFORMED, FaultError

CALL = "<methodCall><methodName>one.x</methodName><params>{}</params></methodCall>"


def body_of(value: str) -> bytes:
    return CALL.format(f"<param><value>{value}</value></param>").encode()


def test_what_clients_send_is_read() -> None:
    sent = ("oneadmin:secret", 5, True, 2.5, ["a", 1], {"k": "<&>"}, "")

    assert wire.read_call(xmlrpc.client.dumps(sent, "one.vm.info").encode()) == ("one.vm.info", sent)


@pytest.mark.parametrize(
    ("value", "read"),
    [("bare", "bare"), ("<i8>9999999999</i8>", 9999999999), ("<string><![CDATA[<A>]]></string>", "<A>")],
)
def test_values_in_other_forms_are_read(value: str, read: object) -> None:
    assert wire.read_call(body_of(value)) == ("one.x", (read,))


HOSTILE = {
    "nothing": b"",
    "no XML": b"\xff\xfe\x00\x01",
    "another document": b"<a/>",
    "an empty call": b"<methodCall/>",
    "no name": b"<methodCall><params></params></methodCall>",
    "an answer": xmlrpc.client.dumps((1,), methodresponse=True).encode(),
    "a fault": xmlrpc.client.dumps(xmlrpc.client.Fault(1, "x")).encode(),
    "many attributes": b"<methodCall " + b" ".join(b"a%d='1'" % number for number in range(9)) + b"/>",
    "a tag without end": b"<methodCall " + b" ".join(b"a%d='1'" % number for number in range(50_000)) + b"/>",
    "a document type": b"<!DOCTYPE a><methodCall/>",
    "a document type in UTF-16": "<!DOCTYPE a><methodCall/>".encode("utf-16"),
    "entities": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><methodCall>&b;</methodCall>',
    "two declarations": b'<?xml version="1.0"?><?xml version="1.0"?><methodCall/>',
    "an unknown encoding": b'<?xml version="1.0" encoding="foo"?><methodCall/>',
    "a million elements": b"<a>" * 1_000_000,
    "depth": body_of("<array><data><value>" * 40),
    "a number that is none": body_of("<int>x</int>"),
    "a number of a million digits": body_of(f"<int>{'9' * 100_000}</int>"),
    "a truth that is none": body_of("<boolean>7</boolean>"),
    "a type that nobody sends": body_of("<base64>AAAA</base64>"),
    "a control character": body_of("<string>\0</string>"),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_call_is_malformed(body: bytes) -> None:
    with pytest.raises(FaultError) as caught:
        wire.read_call(body)

    assert caught.value.code == MALFORMED


@given(st.binary(max_size=300) | st.text(alphabet="<>/abmethodCNamepars&;![]\"' =?x", max_size=300).map(str.encode))
def test_any_bytes_are_a_call_or_a_fault(body: bytes) -> None:
    try:
        name, arguments = wire.read_call(body)
    except FaultError:
        return

    assert isinstance(name, str)
    assert isinstance(arguments, tuple)


@given(st.text())
def test_any_text_arrives_as_it_is_but_for_what_xml_cannot_carry(text: str) -> None:
    ((answer,), _) = xmlrpc.client.loads(b"".join(wire.success(text)))

    assert answer[0] is True
    assert len(answer[1]) == len(text)
    assert all(got in (wanted, "?") for got, wanted in zip(answer[1], text, strict=True))


def loaded(answer: bytes) -> list[object]:
    return xmlrpc.client.loads(answer)[0][0]


def test_answers_have_the_elements_that_clients_index() -> None:
    assert loaded(b"".join(wire.success(7))) == [True, 7, 0]
    assert loaded(b"".join(wire.success(2**40))) == [True, 2**40, 0]
    assert loaded(b"".join(wire.success([b"&lt;A>", b"x", b"&lt;/A>"]))) == [True, "<A>x</A>", 0]
    assert loaded(wire.failure("No & never", 0x800, 4)) == [False, "No & never", 0x800, 4, -1]
    assert loaded(b"".join(wire.short_success(7))) == [True, 7]
    assert loaded(wire.short_failure("No")) == [False, "No"]


def test_a_fault_has_its_number() -> None:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        xmlrpc.client.loads(wire.fault(-506, "Method not defined."))

    assert (caught.value.faultCode, caught.value.faultString) == (-506, "Method not defined.")


def test_a_long_text_is_read_in_pieces() -> None:
    text = "ä<&" * 200_000

    assert wire.read_call(xmlrpc.client.dumps((text,), "one.x").encode()) == ("one.x", (text,))
    assert wire.read_call(bytearray(body_of(f"<![CDATA[{'x' * 300_000}]]>"))) == ("one.x", ("x" * 300_000,))


def test_a_body_that_inflates_beyond_the_limit_is_refused() -> None:
    assert wire.inflated(gzip.compress(b"a" * 1000), 1000) == b"a" * 1000
    for body in (gzip.compress(bytes(10_000_000)), b"no gzip", gzip.compress(b"a" * 100)[:-9]):
        with pytest.raises(FaultError):
            wire.inflated(body, 1_000_000)
