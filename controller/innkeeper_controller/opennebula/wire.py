"""XML-RPC as bytes: calls in, behind limits on everything that a stranger may send, and answers out.

It knows no method and no user; what an argument means, ``arguments`` says.
"""

import gzip
import io
import zlib
from typing import Any, Final
from xml.parsers import expat
from xmlrpc.client import Error, Unmarshaller

from innkeeper_controller.opennebula.faults import MALFORMED, FaultError

#: Elements, and how deep they lie: a real call has a dozen, and a template comes as one text.
MAX_ELEMENTS: Final = 5_000
MAX_DEPTH: Final = 32
#: Of one element: a call has none, but for a name space.
_MAX_ATTRIBUTES: Final = 8
#: What the parser gets at once, and how much of that may be a tag or comment that has not ended.
_PIECE_BYTES: Final = 64 * 1024
#: Every element has two of them at most; text has none, it is escaped.
_MAX_ANGLES: Final = 2 * MAX_ELEMENTS + 16
_ALLOWED: Final = frozenset(
    {
        "methodCall",
        "methodName",
        "params",
        "param",
        "value",
        "i4",
        "int",
        "i8",
        "boolean",
        "string",
        "double",
        "array",
        "data",
        "struct",
        "member",
        "name",
    }
)
_GZIP_CHUNK_BYTES: Final = 64 * 1024

HEAD: Final = b'<?xml version="1.0" encoding="UTF-8"?>\r\n<methodResponse>'
_ANSWER: Final = HEAD + b"<params><param><value><array><data>"
_END: Final = b"</data></array></value></param></params></methodResponse>\r\n"
_TRUE: Final = _ANSWER + b"<value><boolean>1</boolean></value><value>"
_FALSE: Final = _ANSWER + b"<value><boolean>0</boolean></value><value>"
_NO_ERROR: Final = b"</value><value><i4>0</i4></value>" + _END
_INT_MAX: Final = 2**31 - 1


class _Target(Unmarshaller):
    """Builds the arguments while the parser goes along; refuses what no client of ours sends."""

    def __init__(self) -> None:
        super().__init__(use_builtin_types=True)
        # Expat gives text whatever encoding the body has; None says that nothing is left to decode.
        self.xml(None, None)  # type: ignore[arg-type]  # what the stdlib's own parser gives it
        self._depth = self._elements = 0

    def start(self, tag: str, attrs: Any) -> None:  # noqa: ANN401 - as in the base
        """Open an element, within the limits."""
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise FaultError(MALFORMED, f"A call may have {MAX_ELEMENTS} elements, {MAX_DEPTH} deep.")
        if len(attrs) > _MAX_ATTRIBUTES:
            raise FaultError(MALFORMED, f"An element of a call may have {_MAX_ATTRIBUTES} attributes.")
        if tag not in _ALLOWED:
            raise FaultError(MALFORMED, f"A call has no element <{tag[:40]}>.")
        super().start(tag, attrs)

    def end(self, tag: str) -> None:
        """Close an element."""
        self._depth -= 1
        super().end(tag)


def read_call(body: bytes | bytearray) -> tuple[str, tuple[Any, ...]]:
    """Return the method's name and its arguments.

    Raises:
        FaultError: the body is no call, or exceeds a limit; nothing was built of what exceeds it.
    """
    if body.count(b"<") > _MAX_ANGLES:
        raise FaultError(MALFORMED, f"A call may have {MAX_ELEMENTS} elements, {MAX_DEPTH} deep.")
    target = _Target()
    parser = expat.ParserCreate(None, None)
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = target.start
    parser.EndElementHandler = target.end
    parser.CharacterDataHandler = target.data
    try:
        _parse(parser, body)
        arguments = target.close()
    except FaultError:
        raise
    except (expat.ExpatError, Error, ValueError, LookupError, ArithmeticError, TypeError, AttributeError) as error:
        raise FaultError(MALFORMED, f"The body is no XML-RPC call: {str(error)[:200]}.") from error
    name = target.getmethodname()
    if not name or not isinstance(arguments, tuple):
        raise FaultError(MALFORMED, "The body has no methodName.")
    return name, arguments


def _parse(parser: expat.XMLParserType, body: bytes | bytearray) -> None:
    """Parse piece by piece: a tag of megabytes would be built as a whole before anybody could refuse it."""
    whole = memoryview(body)
    for begin in range(0, len(whole), _PIECE_BYTES):
        end = begin + _PIECE_BYTES
        parser.Parse(whole[begin:end])
        if end - parser.CurrentByteIndex > 2 * _PIECE_BYTES:
            raise FaultError(MALFORMED, f"A tag or comment of a call may have {_PIECE_BYTES} bytes.")
    parser.Parse(b"", True)  # noqa: FBT003 - expat takes no name here


def _refuse_doctype(*_: object) -> None:
    raise FaultError(MALFORMED, "A call has no document type and no entities.")


def inflated(body: bytes | bytearray, max_bytes: int) -> bytes:
    """Return what a gzip body holds.

    Raises:
        FaultError: it is none, or holds more than ``max_bytes``; no more than that was inflated.
    """
    whole = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            while chunk := file.read(_GZIP_CHUNK_BYTES):
                whole += chunk
                if len(whole) > max_bytes:
                    raise FaultError(MALFORMED, f"The body is longer than {max_bytes} bytes.")
    except (OSError, EOFError, zlib.error) as error:
        raise FaultError(MALFORMED, f"The body is no gzip: {error}.") from error
    return bytes(whole)


def escaped(text: str) -> bytes:
    """Return text as XML has it; characters that no XML may have become question marks."""
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    # A bare carriage return would arrive as a line feed.
    if "\r" in text:
        text = text.replace("\r", "&#13;")
    return text.translate(_FORBIDDEN).encode("utf-8", "replace") if _has_forbidden(text) else text.encode()


_FORBIDDEN: Final = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)], "?")


def _has_forbidden(text: str) -> bool:
    return not text.isprintable() and any(ord(each) in _FORBIDDEN for each in set(text))


def success(value: int | str | bytes | list[bytes]) -> list[bytes]:
    """Return the answer of a call that went well, in pieces; bytes are text that is escaped already."""
    if isinstance(value, int):
        tag = b"i4" if -_INT_MAX <= value <= _INT_MAX else b"i8"
        return [b"%b<%b>%d</%b>%b" % (_TRUE, tag, value, tag, _NO_ERROR)]
    return _around(value, _NO_ERROR)


def _around(value: str | bytes | list[bytes], end: bytes) -> list[bytes]:
    """Return a text between the beginning and the end of an answer; large ones are not copied."""
    if isinstance(value, list):
        return [_TRUE + b"<string>", *value, b"</string>" + end]
    text = value if isinstance(value, bytes) else escaped(value)
    return [b"".join((_TRUE, b"<string>", text, b"</string>", end))]


def failure(message: str, code: int, object_id: int = -1) -> bytes:
    """Return the answer of a call that was refused."""
    numbers = (code, max(-1, min(object_id, _INT_MAX)), -1)
    values = b"".join([b"<value><i4>%d</i4></value>" % number for number in numbers])
    return b"".join((_FALSE, b"<string>", escaped(message), b"</string></value>", values, _END))


def short_success(value: int | str | bytes | list[bytes]) -> list[bytes]:
    """Return the answer as 1.4 has it, of two elements, in pieces."""
    if isinstance(value, int):
        return [b"%b<i4>%d</i4></value>%b" % (_TRUE, value, _END)]
    return _around(value, b"</value>" + _END)


def short_failure(message: str) -> bytes:
    """Return the refusal as 1.4 has it, of two elements."""
    return b"%b<string>%b</string></value>%b" % (_FALSE, escaped(message), _END)


def plain(value: bytes) -> bytes:
    """Return the answer of a method that has no success element before its value; ``value`` is XML-RPC already."""
    return b"".join((HEAD, b"<params><param><value>", value, b"</value></param></params></methodResponse>\r\n"))


def text_list(values: list[str]) -> bytes:
    """Return a list of texts as the XML-RPC of an array."""
    items = b"".join(b"<value><string>%b</string></value>" % escaped(value) for value in values)
    return b"<array><data>%b</data></array>" % items


def fault(code: int, message: str) -> bytes:
    """Return a fault."""
    return (
        b"%b<fault><value><struct><member><name>faultCode</name><value><int>%d</int></value></member>"
        b"<member><name>faultString</name><value><string>%b</string></value></member></struct></value></fault>"
        b"</methodResponse>\r\n"
    ) % (HEAD, code, escaped(message))
