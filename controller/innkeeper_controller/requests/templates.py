"""Turns what the template parsers find into what requests need, and their mistakes into one refusal."""

from collections.abc import Iterable

from innkeeper_controller.templates import parse
from innkeeper_controller.templates.errors import TemplateError, sentence
from innkeeper_controller.templates.network import network_template
from innkeeper_controller.turn import Mistake, RefusalError


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


def network_from(text: str) -> dict[str, object]:
    """Return the fields of a ``records.Network`` that the template gives.

    Raises:
        RefusalError: ``bad_template``.
    """
    try:
        template = network_template(parse(text))
    except TemplateError as error:
        refuse_mistakes(error.mistakes)
        raise
    return {name: value for name in template.__struct_fields__ if (value := getattr(template, name)) not in ("", None)}
