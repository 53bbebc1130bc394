"""A model's golden file: requests, and what it must answer to be given any other.

JSON lines, each an object: ``input`` is what a user says to a chat model, or the text to embed.
With ``answer`` a chat model must write just that, greedily, in ``max_tokens`` at most; with
``embedding`` the cosine of the vector must be ``cosine`` at least.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

# The tasks whose answers can be compared.
TASKS = ("chat", "embed")
# Each load of the model answers all of it first.
MOST_LINES = 100


class GoldenError(ValueError):
    """The file cannot be used. The message says where it is wrong."""


class Golden(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line."""

    input: str
    answer: str | None = None
    embedding: list[float] | None = None
    cosine: float = 0.999
    max_tokens: int = 64


def read(path: Path, task: str) -> list[Golden]:
    """The lines of the file, all of them for ``task``. Raises `GoldenError`."""
    if task not in TASKS:
        raise GoldenError(f"answers of {task} models are not compared; leave it out")
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise GoldenError(f"{path} cannot be read: {reason}") from None
    numbered = [(number, text) for number, text in enumerate(lines, start=1) if text.strip()]
    if not 0 < len(numbered) <= MOST_LINES:
        raise GoldenError(f"{path} has {len(numbered)} requests; write 1 to {MOST_LINES}")
    return [_line(text, task, f"{path}, line {number}") for number, text in numbered]


def _line(text: str, task: str, where: str) -> Golden:
    try:
        found = msgspec.json.decode(text, type=Golden)
    except msgspec.DecodeError as error:
        raise GoldenError(f"{where}: {error}") from None
    if (found.embedding if task == "embed" else found.answer) is None:
        wanted = "embedding" if task == "embed" else "answer"
        raise GoldenError(f"{where}: has no {wanted}; add what the model must give")
    return found
