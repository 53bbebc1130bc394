"""Gaps: by which tokens a model is told of one, and what its answer ends with.

Which tokens those are is told by the vocabulary alone: a family of models is known by the texts of
its tokens, as llama.cpp knows it (`llama_vocab` in src/llama-vocab.cpp). That a model has them does
not mean that it has learned to use them: all of a family's sizes and tunings share a vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ipc.messages.jobs import Fill

# A control token, or a text that has none.
Part = int | str


class Family(NamedTuple):
    """The texts of the tokens before the text before the gap, before the text after it, and before
    what fills it. With ``suffix_first`` the text after the gap comes first and the answer goes on
    where the text before it ends."""

    prefix: str
    suffix: str
    middle: str
    suffix_first: bool = False


_FAMILIES = (
    Family("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen2.5-Coder, CodeGemma
    Family("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite, stable-code
    Family("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    Family("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek-Coder  # noqa: RUF001
    Family("▁<PRE>", "▁<SUF>", "▁<MID>"),  # CodeLlama
    Family("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),  # GLM
    Family("[PREFIX]", "[SUFFIX]", "[MIDDLE]", suffix_first=True),  # Codestral
)
# Before each file, and before the name of a repository.
_FILE = ("<|file_sep|>", "<file_sep>", "<filename>")
_REPOSITORY = ("<|repo_name|>", "<repo_name>", "<reponame>")
_OTHER = ("<|fim_pad|>", "<fim_pad>", "<fim-pad>", "▁<EOT>")
_END_OF_TEXT = ("<|endoftext|>", "<｜end▁of▁sentence｜>")  # noqa: RUF001
# What a text must not become by chance, whether its vocabulary calls it a control token or not.
TEXTS = frozenset(
    {*_FILE, *_REPOSITORY, *_OTHER, *(text for family in _FAMILIES for text in family[:3])}
)
# The name that a prompt has for the project whose files it shows.
_PROJECT = "project\n"


class Filler:
    """How a gap is put to a model with these ``ids`` of control tokens, by their texts."""

    def __init__(self, family: Family, ids: Mapping[str, int]) -> None:
        self._family = family
        self._ids = ids
        self._file = _first(_FILE, ids)
        self._repository = _first(_REPOSITORY, ids)
        self.texts = TEXTS & ids.keys()
        ends = {ids[text] for text in _END_OF_TEXT if text in ids}
        self.ends = frozenset(ends | {ids[text] for text in self.texts})

    def parts(self, gap: Fill) -> list[Part]:
        """The prompt: control tokens, and the texts between them."""
        prefix, suffix, middle = (self._ids[text] for text in self._family[:3])
        parts: list[Part] = self._files(gap.files)
        if self._family.suffix_first:
            return [*parts, suffix, gap.suffix, prefix, gap.prefix]
        return [*parts, prefix, gap.prefix, suffix, gap.suffix, middle]

    def is_template(self, text: str) -> bool:
        """Whether ``text`` is itself such a prompt, as editors write it that know the model."""
        family = self._family
        if family.suffix_first:
            return text.startswith(family.suffix) and family.prefix in text
        return text.endswith(family.middle) and family.prefix in text and family.suffix in text

    def _files(self, files: Sequence[tuple[str, str]]) -> list[Part]:
        """Files in the way that the model knows; as text where it knows none."""
        if not files:
            return []
        if self._file is None:
            return ["".join(f"--- {name} ---\n\n{text}\n\n" for name, text in files)]
        parts: list[Part] = []
        if self._repository is not None:
            parts += [self._repository, _PROJECT]
        for name, text in files:
            parts += [self._file, f"{name}\n{text}"]
        return [*parts, self._file]


def filler_of(ids: Mapping[str, int]) -> Filler | None:
    """For a vocabulary with control tokens of these ``ids``; None where it knows no gaps."""
    known = (family for family in _FAMILIES if all(text in ids for text in family[:3]))
    family = next(known, None)
    return None if family is None else Filler(family, ids)


def _first(texts: Sequence[str], ids: Mapping[str, int]) -> int | None:
    return next((ids[text] for text in texts if text in ids), None)
