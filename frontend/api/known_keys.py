"""The keys that clients of other servers send, and what becomes of each here.

One that would change the answer and that nobody acts on is refused with 400 by its name, unless its
value asks for nothing. Harmless ones are skipped, whatever they hold, and so are keys that no row
names. docs/parameters.md shows these rows to people; a test holds it to them.

Read in November 2026: openai 3.57.0; vLLM's ``entrypoints/openai`` (002032ee); sglang 0.5.23
``entrypoints/openai/protocol.py``; llama.cpp b11549 and its ``tools/server/README.md``; Ollama's
``openai/openai.go`` (00988753); Cohere's, Jina's and Voyage's embeddings and rerank; speaches and
whisper.cpp's server.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

Values = tuple[Any, ...]
# What asks for nothing, of whatever kind a key's values are.
_NOTHING: Values = ([], {}, "", "none", "auto", False)
Verdict = Literal["done", "harmless", "refused"]


class Row(NamedTuple):
    """Keys of one verdict. ``neutral`` are values of refused ones that ask for nothing, beside
    null, which always does."""

    names: tuple[str, ...]
    verdict: Verdict
    note: str
    neutral: Values = ()


def done(keys: str, note: str) -> Row:
    return Row(tuple(keys.split()), "done", note)


def harmless(keys: str, note: str) -> Row:
    return Row(tuple(keys.split()), "harmless", note)


def refused(keys: str, note: str, *neutral: Any) -> Row:
    return Row(tuple(keys.split()), "refused", note, neutral)


def refused_keys(rows: tuple[Row, ...]) -> Mapping[str, Row]:
    """The row of each key of ``rows`` that is refused."""
    return {key: row for row in rows if row.verdict == "refused" for key in row.names}


def derived(
    base: tuple[Row, ...], own: tuple[Row, ...], shared: Collection[str], elsewhere: str
) -> tuple[Row, ...]:
    """The ``own`` rows of an API, and those of ``base`` for every other key. What is done there and
    is not ``shared`` is refused, with ``elsewhere`` as its note."""
    taken = {name for row in own for name in row.names}
    rows: list[Row] = [*own]
    missing: list[str] = []
    for row in base:
        names = [name for name in row.names if name not in taken]
        if row.verdict == "done":
            missing += [name for name in names if name not in shared]
            names = [name for name in names if name in shared]
        if names:
            rows.append(row._replace(names=tuple(names)))
    return (*rows, refused(" ".join(missing), elsewhere, *_NOTHING))
