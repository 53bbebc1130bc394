"""What requests may be, as JSON Schema: made from the models that check them, and filled in with
this server's models and limits."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from frontend.api.fields import LIMITS, MODEL, NEEDS, Schema
from frontend.api.validate import Body
from ipc.messages.control import Serve
from ipc.messages.jobs import Task
from ipc.messages.spec import Spec
from ipc.tasks import VISION

# JSON numbers past these are read as floats.
_INT = {"minimum": -(1 << 63), "maximum": (1 << 64) - 1}
# What pydantic makes of names and docstrings, for whoever reads the code.
_FOR_US = frozenset({"$defs", "title", "description"})


def request_schema(kind: type[Body], task: Task | None, serve: Serve) -> Schema:
    """What a body that is checked by ``kind`` may be, for ``serve``'s models of ``task``."""
    specs = [spec for spec in serve.specs if spec.task == task]
    vision = any(spec.vision for spec in specs)
    filled: Schema = _Server(serve, names_of(specs, serve), vision).fill(_template(kind))
    return filled


def names_of(specs: Sequence[Spec], serve: Serve) -> list[str]:
    """What these models may be called, aliases included."""
    names = [spec.name for spec in specs]
    return names + [alias for alias, name in serve.aliases.items() if name in names]


def one_of(names: list[str]) -> Schema:
    """One of ``names``; where there is none any text, since a schema cannot say "nothing"."""
    return {"enum": names} if names else {"type": "string", "minLength": 1}


class _Generator(GenerateJsonSchema):
    def int_schema(self, schema: core_schema.IntSchema) -> Schema:
        return {**_INT, **super().int_schema(schema)}

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> Schema:
        """Kinds that are told apart by a function have no value in common to tell them by."""
        union = super().tagged_union_schema(schema)
        return {"anyOf": union["oneOf"]} if "oneOf" in union else union


@functools.cache
def _template(kind: type[Body]) -> Schema:
    """The same for every server."""
    schema = kind.model_json_schema(mode="validation", schema_generator=_Generator)
    definitions = schema.get("$defs", {})

    def inlined(value: Any) -> Any:
        if isinstance(value, list):
            return [inlined(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return inlined(definitions[value["$ref"].rpartition("/")[2]])
        return {key: under(key, each) for key, each in value.items() if key not in _FOR_US}

    def under(key: str, value: Any) -> Any:
        if key == "properties":  # by names that are the API's, which has a "description", too
            return {name: inlined(each) for name, each in value.items()}
        return inlined(value)

    template: Schema = inlined(schema)
    return template


@dataclass(frozen=True, slots=True)
class _Server:
    """What a description depends on beside its model."""

    serve: Serve
    names: list[str]
    vision: bool

    def fill(self, value: Any) -> Any:
        """``value`` without what is written as ``x-…``."""
        if isinstance(value, list):
            return [self.fill(each) for each in value if not self._useless(each)]
        if not isinstance(value, dict):
            return value
        if MODEL in value:
            return one_of(self.names)
        limits = {key: getattr(self.serve, name) for key, name in value.get(LIMITS, {}).items()}
        kept = {key: self.fill(each) for key, each in value.items() if key not in (LIMITS, NEEDS)}
        return kept | limits

    def _useless(self, value: Any) -> bool:
        return isinstance(value, dict) and value.get(NEEDS) == VISION and not self.vision
