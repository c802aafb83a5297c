"""The JSON Schema of VM templates in YAML, for editors; made from the vocabulary.

``python -m innkeeper_controller.templates.schema`` prints what ``docs/schema/vm-template.schema.json`` has to be.
"""

import json
from typing import TypeAlias

from innkeeper_controller.templates.vocabulary import VM, Field, Kind, Use

Schema: TypeAlias = dict[str, object]

_BOOLEANS = (True, False, "yes", "no", "YES", "NO", "true", "false")
_ADDRESS = {Kind.IP: r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$", Kind.MAC: r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$"}
_PLAIN: Schema = {"type": ["string", "number", "boolean", "null"]}


def vm_schema() -> Schema:
    """Return the schema; names are accepted in lower and in upper case, as in the YAML syntax."""
    required = [field.name for field in VM if field.required]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Innkeeper VM template",
        "description": "A VM in YAML. Attributes that are not listed are your own, and kept.",
        "type": "object",
        "properties": _in_both_cases({field.name: {"$ref": f"#/$defs/{field.name}"} for field in VM}),
        "allOf": [{"anyOf": [{"required": [name.lower()]}, {"required": [name]}]} for name in required],
        "$defs": {field.name: _described(field, _repeated(field, _of(field))) for field in VM},
    }


def text_of_schema() -> str:
    """Return the contents of the schema's file."""
    return json.dumps(vm_schema(), indent=1) + "\n"


def _in_both_cases(properties: dict[str, Schema]) -> dict[str, Schema]:
    return {name.lower(): schema for name, schema in properties.items()} | properties


def _described(field: Field, schema: Schema) -> Schema:
    effect = " No effect yet." if field.use is Use.NO_EFFECT else ""
    unit = f" In {field.unit}." if field.unit else ""
    default = f" Default: {field.default}." if field.default else ""
    return {"description": f"{field.says}{unit}{default}{effect}", **schema}


def _repeated(field: Field, schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "array", "items": schema}]} if field.repeats else schema


def _of(field: Field) -> Schema:  # noqa: PLR0911 - one line a kind
    match field.kind:
        case Kind.VECTOR:
            return _vector(field)
        case Kind.INTEGER:
            return _number(field, "integer", "^-?[0-9]+$" if (field.minimum or 0) < 0 else "^[0-9]+$")
        case Kind.NUMBER:
            return _number(field, "number", "^[0-9]*[.]?[0-9]*$")
        case Kind.BOOLEAN:
            return {"enum": list(_BOOLEANS)}
        case Kind.CHOICE:
            return {"enum": list(dict.fromkeys((*field.choices, *(choice.upper() for choice in field.choices))))}
        case Kind.IP | Kind.MAC:
            return {"type": "string", "pattern": _ADDRESS[field.kind]}
        case Kind.REQUIREMENTS | Kind.RANK:
            return {"type": ["string", "number"]}
        case Kind.TEXT:
            return {**_PLAIN, "pattern": f"^(?:{field.pattern})$"} if field.pattern else _PLAIN


def _number(field: Field, kind: str, pattern: str) -> Schema:
    return {"type": [kind, "string"], "minimum": field.minimum, "maximum": field.maximum, "pattern": pattern}


def _vector(field: Field) -> Schema:
    if field.keys is None:
        return {"type": ["object", "null"], "additionalProperties": _PLAIN}
    keys = {key.name: _described(key, _of(key)) for key in field.keys}
    schema: Schema = {"type": "object", "properties": _in_both_cases(keys), "additionalProperties": False}
    required = [key.name for key in field.keys if key.required]
    if required:
        schema["allOf"] = [{"anyOf": [{"required": [name.lower()]}, {"required": [name]}]} for name in required]
    return schema


if __name__ == "__main__":
    print(text_of_schema(), end="")  # noqa: T201 - the output is the point
