"""YAML in which every value means what it says.

PyYAML reads YAML 1.1, where ``010`` is 8, ``1:30`` is 90 and ``no`` is false, and it takes the last
of two equal keys. YAML 1.2 reads most of that otherwise. What is read in two ways is refused, with
its line.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml
from yaml.constructor import ConstructorError

_INT, _FLOAT, _BOOL = (f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool"))
# Dates are text, as in YAML 1.2; no setting is one.
_UNUSED = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
# The forms that YAML 1.1 and the core schema of 1.2 have in common, and 1.2's floats
# (https://yaml.org/spec/1.2.2/#1032-tag-resolution).
_PLAIN = {
    _INT: re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    _FLOAT: re.compile(
        r"[-+]?((\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|\.(inf|Inf|INF|nan|NaN|NAN))"
    ),
    _BOOL: re.compile("true|True|TRUE|false|False|FALSE"),
}
_INSTEAD = {
    _INT: "is not a plain number; write decimal digits, or quotes around a text",
    _FLOAT: "is not a plain number; write decimal digits, or quotes around a text",
    _BOOL: "is true or false to some and a text to others; write true or false, or quotes",
}


class AmbiguousError(ConstructorError):
    """It is YAML, but not everybody reads the same in it."""


def load(text: str) -> Any:
    """What ``text`` holds. Raises `yaml.YAMLError`, which `AmbiguousError` is too."""
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
    """The safe loader without the readings that only YAML 1.1 has."""

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in forms if tag not in _UNUSED]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if before := lines.get((key.tag, key.value)):
                raise _error(key, f"the key {key.value!r} stands in line {before} too; remove one")
            lines[key.tag, key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


def _plain(loader: _Loader, node: yaml.ScalarNode) -> Any:
    if not _PLAIN[node.tag].fullmatch(node.value):
        raise _error(node, f"{node.value!r} {_INSTEAD[node.tag]}")
    return yaml.SafeLoader.yaml_constructors[node.tag](loader, node)


def _error(node: yaml.Node, problem: str) -> AmbiguousError:
    return AmbiguousError(None, None, problem, node.start_mark)


for _tag in _PLAIN:
    _Loader.add_constructor(_tag, _plain)
# What only YAML 1.2 takes for numbers.
_Loader.add_implicit_resolver(_INT, re.compile(r"([-+]?0[0-9]+|0o[0-7]+)$"), list("-+0"))
_EXPONENT = re.compile(r"[-+]?((\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+|\.[0-9]+)$")
_Loader.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))
