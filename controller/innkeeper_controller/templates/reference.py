"""The tables of attributes in ``docs/templates.md``; made from the vocabulary.

``python -m innkeeper_controller.templates.reference`` prints what has to stand between the marks of that page.
"""

from collections.abc import Iterable

from innkeeper_controller.templates.vocabulary import IMAGE, NETWORK, VM, Field, Kind, Use

BEGIN = "<!-- made from the vocabulary: begin -->"
END = "<!-- made from the vocabulary: end -->"
_CHAPTERS = (("VMs", VM), ("Virtual networks", NETWORK), ("Images", IMAGE))


def text_of_reference() -> str:
    """Return the tables of all kinds of template, the marks included."""
    return "\n".join((BEGIN, *(line for title, table in _CHAPTERS for line in _chapter(title, table)), END)) + "\n"


def _chapter(title: str, table: tuple[Field, ...]) -> Iterable[str]:
    yield from ("", f"### {title}", "")
    yield from _table(table)
    for field in table:
        if field.keys and field.use is Use.ACTS:
            again = "; repeat it for several" if field.repeats else ""
            sentence = f"{field.says.rstrip('.')}{again}: `{field.name} = {field.example}`"
            yield from ("", f"#### {field.name}", "", sentence, "")
            yield from _table(field.keys)


def _table(table: tuple[Field, ...]) -> Iterable[str]:
    yield from ("| attribute | value | |", "|---|---|---|")
    yield from (_row(field) for field in table if field.use is Use.ACTS)
    for use, words in ((Use.KEPT, "Kept for people and programs"), (Use.NO_EFFECT, "Known, but without effect yet")):
        names = [f"`{field.name}`" for field in table if field.use is use]
        if names:
            yield from ("", f"{words}: {', '.join(names)}.")


def _row(field: Field) -> str:
    name = f"**{field.name}**" if field.required else field.name
    default = f" Default: {field.default}." if field.default else ""
    example = f" `{_cell(field.example)}`" if field.example and field.kind not in {Kind.VECTOR, Kind.CHOICE} else ""
    return f"| {name} | {_cell(_value(field))} | {_cell(field.says)}{_cell(default)}{example} |"


def _value(field: Field) -> str:
    if field.kind is Kind.CHOICE:
        return ", ".join(f"`{choice}`" for choice in field.choices)
    if field.minimum is not None and field.maximum is not None:
        unit = f" {field.unit}" if field.unit else ""
        return f"{field.kind}, {field.minimum:.12g} to {field.maximum:.12g}{unit}"
    return field.pattern_says if field.pattern else str(field.kind)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(text_of_reference(), end="")  # noqa: T201 - the output is the point
