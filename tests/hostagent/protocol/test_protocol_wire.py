"""Messages become bytes and messages again; anything else becomes one error."""

import math
import typing

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from innkeeper_hostagent.protocol import messages, wire
from innkeeper_hostagent.protocol.errors import BadMessageError
from innkeeper_plugins import steps
from innkeeper_plugins.vocabulary import (
    Advertisement,
    Capacity,
    DatastoreFacts,
    Digest,
    Observation,
    OperationId,
    Outcome,
    PowerState,
    Vm,
    VmId,
    VmState,
)

OPERATION = OperationId("op-1")
VM = Vm(
    vm_id=VmId(7),
    name="web",
    uuid="00000000-0000-0000-0000-000000000007",
    generation=1,
    cpu_cores=0.5,
    vcpus=1,
    memory_mib=128,
    hypervisor="simulated",
    context={"HOSTNAME": "wéb"},
)
OBSERVED = Observation(vm_id=VmId(7), generation=1, power=PowerState.RUNNING, cpu_time_s=1.5)
SAMPLES = [
    messages.Hello(major=1, minor=0, agent_version="0.1.0", host_name="a", operations=(OPERATION,)),
    messages.Join(major=1, minor=0, host_name="a", token="secret"),
    messages.Advertise(
        advertisement=Advertisement(
            capacity=Capacity(cpu_cores=4.0, memory_mib=4096),
            facts={"ARCH": "x86_64", "N": 3, "F": 0.5},
            images=(Digest("0" * 64),),
            guests=(OBSERVED,),
        )
    ),
    messages.Heartbeat(
        cpu_used_cores=1.5,
        memory_used_mib=10,
        datastores=(DatastoreFacts(name="default", total_mib=10, free_mib=5),),
        clock_s=1e9,
    ),
    messages.StepStarted(operation_id=OPERATION, leg=0, step_id=1),
    messages.Progress(operation_id=OPERATION, step_id=1, done_bytes=5, total_bytes=10),
    messages.LegEnded(
        operation_id=OPERATION,
        leg=0,
        undo=False,
        status=messages.LegStatus.UNDONE,
        outcomes={0: Outcome(ok=True), 1: Outcome(ok=False, code="no_space", argv=("cp",), exit_status=1, stderr="x")},
    ),
    messages.Observed(guests=(OBSERVED,), complete=True),
    messages.ImagesChanged(added=(Digest("1" * 64),)),
    messages.ConsoleOutput(stream_id=1, data=b"\x00\xff login:"),
    messages.Goodbye(reason="stopped"),
    messages.Welcome(host_id=1, host_name="a", heartbeat_interval_s=5.0, confirmed=(OPERATION,)),
    messages.Joined(host_id=1, host_name="a"),
    messages.Refused(code="version", message="speak 1"),
    messages.CarryOut(
        operation_id=OPERATION,
        request_id="r",
        leg=0,
        subject="vm:7",
        kind="deploy",
        steps=(
            steps.Clone(step_id=0, phase=VmState.PROLOG, driver="qcow2", disk_id=0),
            steps.Deploy(step_id=1, phase=VmState.BOOT, driver="simulated"),
        ),
        expires_in_s=60.0,
        vm=VM,
    ),
    messages.Cancel(operation_id=OPERATION),
    messages.Confirm(operations=(OPERATION,)),
    messages.Admit(public_key="k" * 40, digests=(Digest("2" * 64),), expires_in_s=60.0),
    messages.OpenConsole(stream_id=1, vm_id=VmId(7), generation=1),
    messages.ConsoleInput(stream_id=1, data=b"\n"),
    messages.CloseConsole(stream_id=1),
    messages.Disown(vm_id=VmId(7), generation=1),
]
AGENT_TYPES = typing.get_args(messages.AgentMessage)


def tag_of(message_type):
    return message_type.__struct_config__.tag


def decode(message, data):
    if isinstance(message, AGENT_TYPES):
        return wire.decode_agent_message(data)
    return wire.decode_controller_message(data)


def test_every_message_of_the_closed_set_has_a_sample_here():
    every_type = {*AGENT_TYPES, *typing.get_args(messages.ControllerMessage)}

    assert {type(sample) for sample in SAMPLES} == every_type


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: tag_of(type(message)))
def test_a_message_arrives_as_it_was_sent(message):
    assert decode(message, wire.encode(message)) == message


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: tag_of(type(message)))
def test_an_end_cannot_send_what_only_the_other_may(message):
    wrong_way = wire.decode_controller_message if isinstance(message, AGENT_TYPES) else wire.decode_agent_message

    with pytest.raises(BadMessageError):
        wrong_way(wire.encode(message))


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: tag_of(type(message)))
def test_the_bytes_say_to_msgpack_what_the_message_says(message):
    plain = msgpack.unpackb(msgpack.packb(msgspec.to_builtins(message, builtin_types=(bytes,))), strict_map_key=False)

    assert msgpack.unpackb(wire.encode(message), strict_map_key=False) == plain


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: tag_of(type(message)))
def test_a_message_cut_off_anywhere_is_refused(message):
    data = wire.encode(message)

    for length in range(len(data)):
        with pytest.raises(BadMessageError):
            decode(message, data[:length])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_the_one_error(data):
    for decode_bytes in (wire.decode_agent_message, wire.decode_controller_message):
        try:
            message = decode_bytes(data)
        except BadMessageError:
            continue
        assert decode_bytes(wire.encode(message)) == message


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(0, 9), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.sampled_from(SAMPLES), st.data())
def test_a_message_with_any_field_replaced_is_a_message_or_the_one_error(sample, data):
    plain = msgspec.to_builtins(sample, builtin_types=(bytes,))
    field = data.draw(st.sampled_from(sorted(plain)))
    plain[field] = data.draw(PLAIN)

    try:
        message = decode(sample, msgpack.packb(plain))
    except BadMessageError:
        return
    assert decode(message, wire.encode(message)) == message


@settings(max_examples=300)
@given(st.sampled_from(SAMPLES), st.data())
def test_a_message_with_any_byte_changed_is_a_message_or_the_one_error(sample, data):
    changed = bytearray(wire.encode(sample))
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))

    try:
        decode(sample, bytes(changed))
    except BadMessageError:
        return


BOMBS = {
    "a list of four thousand million": b"\xdd\xff\xff\xff\xff",
    "a map of four thousand million": b"\xdf\xff\xff\xff\xff",
    "a text of four gigabytes": b"\xdb\xff\xff\xff\xff",
    "a binary of four gigabytes": b"\xc6\xff\xff\xff\xff",
    "an extension": b"\xc7\x01\x01x",
    "a time stamp": b"\xd6\xff\x00\x00\x00\x00",
    "lists in lists": b"\x91" * 100_000 + b"\x00",
    "a map as key": b"\x81\x80\x00",
    "two messages": wire.encode(messages.Goodbye(reason="")) * 2,
    "nothing": b"",
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_before_it_takes_memory(data):
    for decode_bytes in (wire.decode_agent_message, wire.decode_controller_message):
        with pytest.raises(BadMessageError):
            decode_bytes(data)


def test_a_message_over_the_limit_is_refused():
    data = wire.encode(messages.Goodbye(reason="x" * messages.MAX_MESSAGE_BYTES))

    with pytest.raises(BadMessageError, match="bytes where"):
        wire.decode_agent_message(data)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_wherever_it_is(number):
    heartbeat = messages.Heartbeat(cpu_used_cores=number, memory_used_mib=1)
    advertise = messages.Advertise(advertisement=Advertisement(capacity=Capacity(), facts={"F": number}))

    for message in (heartbeat, advertise):
        with pytest.raises(BadMessageError, match="finite"):
            wire.decode_agent_message(wire.encode(message))
    with pytest.raises(BadMessageError, match="finite"):
        wire.decode_agent_message(
            msgpack.packb({"type": "heartbeat", "cpu_used_cores": number, "memory_used_mib": 1}, use_single_float=True)
        )


def test_bytes_that_look_like_an_endless_number_pass_in_a_binary():
    message = messages.ConsoleOutput(stream_id=1, data=b"\xcb\x7f\xff")

    assert wire.decode_agent_message(wire.encode(message)) == message


def test_the_version_of_an_opening_can_be_read_whatever_else_is_in_it():
    of_tomorrow = msgpack.packb({"type": "hello", "major": 2, "name": "a", "magic": [1, 2]})

    assert wire.peek_major(of_tomorrow) == 2
    assert wire.peek_major(wire.encode(SAMPLES[1])) == 1
    assert wire.peek_major(wire.encode(messages.Goodbye(reason=""))) is None
    assert wire.peek_major(b"\xc1") is None


def test_fields_that_a_later_minor_version_adds_are_passed_over():
    data = msgpack.packb({"type": "goodbye", "reason": "r", "mood": "good"})

    assert wire.decode_agent_message(data) == messages.Goodbye(reason="r")


def test_only_what_is_soon_out_of_date_may_get_lost():
    casual = {tag_of(type(sample)) for sample in SAMPLES if not wire.is_reliable(sample)}

    assert casual == {"heartbeat", "progress", "step_started", "console_output"}
    assert wire.is_reliable(messages.ConsoleOutput(stream_id=1, ended=True))
