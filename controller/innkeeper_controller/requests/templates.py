"""Turns what the template parsers find into what requests need, and their mistakes into one refusal."""

from collections.abc import Iterable

from innkeeper_controller.templates import errors, network, parse
from innkeeper_controller.turn import Mistake, RefusalError


def refuse_mistakes(mistakes: Iterable[Mistake]) -> None:
    """Refuse if there is any mistake, naming all of them.

    Raises:
        RefusalError: ``bad_template``.
    """
    found = tuple(mistakes)
    if found:
        raise RefusalError("bad_template", _summary(found), mistakes=found)


def _summary(mistakes: tuple[Mistake, ...]) -> str:
    first = mistakes[0].message
    return first if len(mistakes) == 1 else f"{len(mistakes)} mistakes; the first: {first}"


def refusal(error: errors.TemplateError) -> RefusalError:
    """Return the refusal that names all mistakes of a template."""
    mistakes = tuple(
        Mistake(message=each.message, field=each.field, line=each.line, column=each.column, suggestion=each.suggestion)
        for each in error.mistakes
    )
    return RefusalError("bad_template", _summary(mistakes), mistakes=mistakes)


def network_from(text: str) -> dict[str, object]:
    """Return the fields of a ``records.Network`` that the template gives.

    Raises:
        RefusalError: ``bad_template``.
    """
    try:
        template = network.network_template(parse(text))
    except errors.TemplateError as error:
        raise refusal(error) from error
    return {name: value for name in template.__struct_fields__ if (value := getattr(template, name)) not in ("", None)}
