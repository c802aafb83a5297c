"""Turns what the template parsers find into what requests need, and their mistakes into one refusal."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from innkeeper_controller.records import AddressRange, Network
from innkeeper_controller.templates import attributes_of, parse
from innkeeper_controller.templates.attributes import Attribute, Pair
from innkeeper_controller.templates.errors import TemplateError, sentence
from innkeeper_controller.templates.kept import kept_as_text
from innkeeper_controller.templates.network import network_template
from innkeeper_controller.templates.restricted import restricted
from innkeeper_controller.templates.vm import with_overrides
from innkeeper_controller.turn import Mistake, RefusalError, Turn

#: What people note of a thing may have so many characters.
MAX_NOTES = 256 * 1024
#: Ranges of one network; each is compared with all others.
MAX_RANGES = 256


def refuse_mistakes(mistakes: Iterable[Mistake]) -> None:
    """Refuse if there is any mistake, naming all of them.

    Raises:
        RefusalError: ``bad_template``.
    """
    found = tuple(mistakes)
    if found:
        first = sentence(found[0])
        text = first if len(found) == 1 else f"{len(found)} mistakes in the template; the first: {first}"
        raise RefusalError("bad_template", text, mistakes=found)


@contextlib.contextmanager
def refused_mistakes() -> Iterator[None]:
    """Refuse what a template parser, called inside, finds wrong.

    Raises:
        RefusalError: ``bad_template``, naming all mistakes.
    """
    try:
        yield
    except TemplateError as error:
        refuse_mistakes(error.mistakes)
        raise


def refuse_restricted(mistakes: Sequence[Mistake]) -> None:
    """Refuse if there is any attribute that only administrators may give.

    Raises:
        RefusalError: ``forbidden``, naming all of them.
    """
    if mistakes:
        raise RefusalError("forbidden", sentence(mistakes[0]), mistakes=tuple(mistakes))


def keep_restricted(
    turn: Turn, before: Mapping[str, str], given: Mapping[str, str], table: Sequence[str], usual: Sequence[str]
) -> dict[str, str]:
    """Return new notes of a thing in which what only administrators may say is as it was before.

    Args:
        turn: Of who gives them.
        before: The notes that there were.
        given: The new ones.
        table: What only administrators may say.
        usual: What ``restricted.USUAL`` stands for in it.

    Raises:
        RefusalError: ``forbidden``: somebody else says something else.
    """
    if turn.user is None or turn.user.is_admin:
        return dict(given)

    def is_restricted(name: str, text: str) -> bool:
        return bool(restricted(attributes_of({name: text}), table, usual=usual))

    changed = {name: text for name, text in given.items() if before.get(name) != text}
    refuse_restricted(restricted(attributes_of(changed), table, usual=usual))
    missing = {name: text for name, text in before.items() if name not in given}
    return {**given, **{name: text for name, text in missing.items() if is_restricted(name, text)}}


def network_from(text: str, given: Mapping[str, str], ranges: Sequence[AddressRange]) -> dict[str, object]:
    """Return the fields of a ``records.Network`` that a template and parts given one by one ask for.

    Args:
        text: The template; empty for none.
        given: ``{BRIDGE: br0}``; these win over the template.
        ranges: In place of the template's, if any.

    Raises:
        RefusalError: ``bad_template``, or ``bad_request`` for too many ranges.
    """
    with refused_mistakes():
        attributes = with_overrides(parse(text) if text else (), given)
        if ranges:
            attributes = (*(each for each in attributes if each.name != "AR"), *map(_range_attribute, ranges))
        _check_count(attributes)
        template = network_template(attributes)
    return {name: value for name in template.__struct_fields__ if (value := getattr(template, name)) not in ("", None)}


def _check_count(attributes: Sequence[Attribute]) -> None:
    count = sum(each.name == "AR" for each in attributes)
    if count > MAX_RANGES:
        raise RefusalError("bad_request", f"A network has at most {MAX_RANGES} ranges, not {count}.")


def _range_attribute(wanted: AddressRange) -> Attribute:
    pairs = {
        **wanted.attributes,
        "TYPE": wanted.type,
        "IP": wanted.ip,
        "MAC": wanted.mac,
        "SIZE": str(wanted.size),
        "GLOBAL_PREFIX": wanted.global_prefix,
        "ULA_PREFIX": wanted.ula_prefix,
    }
    return Attribute(name="AR", value=tuple(Pair(key=key, value=value) for key, value in pairs.items() if value))


def ranges_from(text: str) -> tuple[AddressRange, ...]:
    """Return the ranges that a text has: ``AR = [ IP = 10.0.0.1, SIZE = 5 ]``.

    Raises:
        RefusalError: ``bad_template``, or ``bad_request`` for none or too many.
    """
    with refused_mistakes():
        attributes = tuple(each for each in parse(text) if each.name == "AR")
        _check_count(attributes)
        ranges = network_template(attributes).ranges
    if not ranges:
        raise RefusalError("bad_request", "The template has no range; one reads like AR = [ IP = 10.0.0.1, SIZE = 5 ].")
    return ranges


def keys_from(text: str, vector: str = "") -> tuple[dict[str, str], ...]:
    """Return the keys of all vectors of that name, as they are written; those of the text itself without a name.

    Raises:
        RefusalError: ``bad_template``.
    """
    with refused_mistakes():
        attributes = parse(text) if text else ()
    if not vector:
        return ({each.name: each.value for each in attributes if isinstance(each.value, str)},)
    found = (each.value for each in attributes if each.name == vector and isinstance(each.value, tuple))
    return tuple({pair.key: pair.value for pair in pairs} for pairs in found)


def kept_from(text: str) -> dict[str, str]:
    """Return all attributes of a text as records keep them, vectors as text.

    Raises:
        RefusalError: ``bad_template``.
    """
    with refused_mistakes():
        return kept_as_text(parse(text)) if text else {}


def check_wire(network: Network) -> None:
    """Refuse a VLAN or a device without a bridge: hosts make none, and guests would be on another wire unawares.

    Raises:
        RefusalError: ``bad_request``.
    """
    if not network.bridge and (network.vlan_id is not None or network.physical_device):
        raise RefusalError(
            "bad_request",
            "A network with VLAN_ID or PHYDEV needs a BRIDGE that is on the hosts: they make none themselves. "
            "Make one on each host over the VLAN's device, and name it.",
        )


def noted(old: dict[str, str], template: str, *, append: bool) -> dict[str, str]:
    """Return the attributes of a thing after people noted something.

    Raises:
        RefusalError: ``bad_template``, or ``too_large``.
    """
    attributes = (old if append else {}) | kept_from(template)
    if sum(len(name) + len(value) for name, value in attributes.items()) > MAX_NOTES:
        raise RefusalError("too_large", f"The attributes of a thing have at most {MAX_NOTES} characters.")
    return attributes
