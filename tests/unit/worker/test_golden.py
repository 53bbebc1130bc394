"""A model that does not answer its golden file as it should is not loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.facts.golden import GoldenError, read
from ipc.messages.jobs import EmbedInput
from ipc.messages.spec import Spec
from worker.engine import LoadError
from worker.engines.echo.engine import Echo
from worker.engines.echo.results import vectors
from worker.golden import prove

CHAT = Spec(name="m", task="chat", engine="echo", path="")
EMBED = Spec(name="m", task="embed", engine="echo", path="", options={"dimensions": 4})


def golden(folder: Path, *lines: dict[str, Any] | str) -> Path:
    file = folder / "golden.jsonl"
    file.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines))
    return file


def proved(spec: Spec, file: Path) -> None:
    engine = Echo()
    spec = msgspec.structs.replace(spec, golden=str(file))
    engine.load(spec, lambda _stage: None)
    prove(engine, spec)


def vector(text: str) -> list[float]:
    """What echo makes of a text."""
    found = vectors(EmbedInput(texts=[text]), 4)
    return list(memoryview(found.vectors.data).cast("f"))


def test_a_model_without_one_has_nothing_to_prove() -> None:
    prove(Echo(), CHAT)


def test_the_text_must_be_the_same(tmp_path: Path) -> None:
    proved(CHAT, golden(tmp_path, {"input": "say this", "answer": "say this"}, "", "  "))
    wrong = golden(tmp_path, {"input": "one", "answer": "one"}, {"input": "two", "answer": "three"})
    with pytest.raises(LoadError, match="golden: answer 2 of 2 is 'two' in place of 'three'"):
        proved(CHAT, wrong)


def test_a_vector_must_be_alike(tmp_path: Path) -> None:
    near = [value + 0.001 for value in vector("this")]
    proved(EMBED, golden(tmp_path, {"input": "this", "embedding": near}))
    other = {"input": "this", "embedding": [-value for value in vector("this")]}
    with pytest.raises(LoadError, match=r"has a cosine of -1.0000 to the one"):
        proved(EMBED, golden(tmp_path, other))
    with pytest.raises(LoadError, match="has 4 dimensions in place of 1"):
        proved(EMBED, golden(tmp_path, {"input": "this", "embedding": [1.0]}))


def test_an_answer_that_fails_is_none(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="golden"):
        proved(CHAT, tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 1: Input data was truncated"),
        ({"input": "a"}, "line 1: has no answer"),
        ({"input": "a", "answr": "b"}, "unknown field `answr`"),
        ("", "has 0 requests; write 1 to 100"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_line(
    line: dict[str, Any] | str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(GoldenError, match=told):
        read(golden(tmp_path, line), "chat")


def test_only_texts_and_vectors_are_compared(tmp_path: Path) -> None:
    with pytest.raises(GoldenError, match="answers of speech models are not compared"):
        read(golden(tmp_path, {"input": "a", "answer": "b"}), "speech")
