"""Parameters of a request from its path, query string and body; every name is known and every value typed.

What a value means is its handler's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from innkeeper_controller.api.refusals import bad_request, unknown_names, wrong_value
from innkeeper_controller.requests.table import Request
from innkeeper_plugins.vocabulary import Value

#: Parameters in one query string.
_MAX_QUERY_FIELDS = 64

#: No text has it, and not every database could keep it.
_NUL = b"\\u0000"


@dataclass(frozen=True, slots=True)
class Shape:
    """The names that a value may have, and the shapes below them."""

    #: ``{name: shape of its value}``; None where anything of the right type will do.
    names: Mapping[str, "Shape | None"] | None
    #: Shape of each element of a list, or each value of an object with free names.
    each: "Shape | None" = None


def shape_of(kind: msgspec.inspect.Type) -> Shape | None:
    """Return what has to be looked at below a type; None for nothing."""
    if isinstance(kind, msgspec.inspect.StructType):
        return Shape({field.encode_name: shape_of(field.type) for field in kind.fields})
    if isinstance(kind, msgspec.inspect.DictType):
        below = shape_of(kind.value_type)
    elif isinstance(kind, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
        below = shape_of(kind.item_type)
    elif isinstance(kind, msgspec.inspect.UnionType):
        return next((shape for each in kind.types if (shape := shape_of(each))), None)
    else:
        return None
    return Shape(None, below) if below else None


def unknown(value: object, shape: Shape, where: str = "") -> list[str]:
    """Return the names that the shape does not have, each with its place before it."""
    if shape.names is None:
        items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
        assert shape.each is not None, "as shape_of makes it"
        return [name for key, each in items for name in unknown(each, shape.each, f"{where}[{key}]")]
    if not isinstance(value, dict):
        return []
    prefix = f"{where}." if where else ""
    found = [f"{prefix}{name}" for name in value if name not in shape.names]
    for name, below in shape.names.items():
        if below is not None and name in value:
            found += unknown(value[name], below, f"{prefix}{name}")
    return found


class Parameters:
    """How the parameters of one request are read."""

    def __init__(self, request: Request) -> None:
        """Look at the types once."""
        info = msgspec.inspect.type_info(request.params)
        assert isinstance(info, msgspec.inspect.StructType), "parameters are structs"
        shape = shape_of(info)
        assert shape is not None
        assert shape.names is not None
        self._kind: type[Value] = request.params
        self._shape, self._names = shape, shape.names
        self._has_body = request.method not in {"GET", "DELETE"}
        self._types: dict[str, Any] = {field.encode_name: field.type for field in msgspec.structs.fields(self._kind)}
        sequences = (msgspec.inspect.VarTupleType, msgspec.inspect.ListType)
        self._lists = {field.encode_name for field in info.fields if isinstance(field.type, sequences)}

    @property
    def has_body(self) -> bool:
        """Whether parameters come in the body."""
        return self._has_body

    def read(self, in_path: Mapping[str, str], query: bytes, body: bytes) -> Value:
        """Return the parameters.

        Raises:
            RefusalError: ``bad_request``, with all unknown names or the first wrong value.
        """
        values: dict[str, Any] = _object_of(body) if body else {}
        if in_path or query:
            values = self._merged(values, in_path, query)
        names = unknown(values, self._shape)
        if names:
            raise unknown_names(names, self._names)
        try:
            return msgspec.convert(values, self._kind)
        except msgspec.ValidationError as error:
            raise wrong_value(error) from error

    def _merged(self, values: dict[str, Any], in_path: Mapping[str, str], query: bytes) -> dict[str, Any]:
        outside: dict[str, Any] = {}
        for name, text in _pairs(query):
            if name in self._lists:
                outside.setdefault(name, []).append(text)
            elif name in outside or name in in_path:
                raise bad_request(f"Parameter {name} is there twice", name)
            else:
                outside[name] = text
        outside.update(in_path)
        for name, text in outside.items():
            if name in values:
                raise bad_request(f"Parameter {name} is there twice", name)
            values[name] = self._typed(name, text)
        return values

    def _typed(self, name: str, text: str | list[str]) -> object:
        if name not in self._types:
            return text
        try:
            return msgspec.convert(text, self._types[name], strict=False)
        except msgspec.ValidationError as error:
            raise bad_request(f"Parameter {name}: {error}", name) from error


def _object_of(body: bytes) -> dict[str, Any]:
    try:
        values = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise bad_request(f"The body is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise bad_request("The body is no JSON object")
    if _NUL in body:
        raise bad_request("A text in the body has a NUL character")
    return values


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(query),
            max_num_fields=_MAX_QUERY_FIELDS,
            errors="strict",
        )
    except ValueError as error:
        raise bad_request(f"The query string is malformed: {error}") from error
    if any("\0" in text for pair in pairs for text in pair):
        raise bad_request("A text in the query string has a NUL character")
    return pairs
