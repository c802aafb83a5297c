"""What a template of an image asks for."""

from collections.abc import Sequence

from innkeeper_controller.templates.attributes import Attribute
from innkeeper_controller.templates.errors import TemplateError
from innkeeper_controller.templates.kept import kept_as_text
from innkeeper_controller.templates.validation import check
from innkeeper_controller.templates.vocabulary import IMAGE_TABLE
from innkeeper_plugins.vocabulary import Digest, Value


class ImageTemplate(Value):
    """An image as its author wants it."""

    name: str = ""
    #: At most one of the two is given.
    path: str = ""
    url: str = ""
    #: Empty for the usual one.
    type: str = ""
    persistent: bool = False
    #: Empty to find it out.
    format: str = ""
    datastore: str = ""
    sha256: Digest = Digest("")
    #: Of an empty image; 0 for one with contents.
    size_mib: int = 0
    #: What is kept but not acted on, as it was written.
    attributes: dict[str, str] = {}


def image_template(attributes: Sequence[Attribute], *, has_content: bool = False) -> ImageTemplate:
    """Return what the attributes ask for.

    Args:
        attributes: As parsed.
        has_content: Somebody else says what the image's bytes are, so that neither PATH nor SIZE has to.

    Raises:
        TemplateError: with every mistake.
    """
    checked = check(attributes, IMAGE_TABLE, keeps_others=True)
    top = checked.top
    path, size_mib = top.text("PATH"), top.integer("SIZE")
    if not (path or size_mib or has_content):
        text = "An image needs a PATH to take it from, or a SIZE to be empty."
        checked.findings.mistake((0, 0), "PATH", text)
    if checked.findings.mistakes:
        raise TemplateError(checked.findings.mistakes)
    is_url = path.startswith(("http://", "https://"))
    return ImageTemplate(
        name=top.text("NAME"),
        path="" if is_url else path,
        url=path if is_url else "",
        type=top.text("TYPE"),
        persistent=top.flag("PERSISTENT"),
        format=top.text("FORMAT") or top.text("DRIVER"),
        datastore=top.text("DATASTORE"),
        sha256=Digest(top.text("SHA256").lower()),
        size_mib=size_mib,
        attributes=kept_as_text(checked.others),
    )
