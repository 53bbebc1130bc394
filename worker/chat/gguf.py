"""Vocabulary and template of a GGUF file, from its metadata.

The keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; the ways of spelling tokens:
`llama_vocab` in llama.cpp.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from ipc.facts.gguf import read_facts
from worker.chat.fill import TEXTS as FILL_TEXTS
from worker.chat.template import Template
from worker.chat.vocabulary import (
    Control,
    Encode,
    Vocabulary,
    byte_level,
    looks_controlling,
    metaspace,
)
from worker.engine import LoadError

_TOKENS, _TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4
_NAMED = {
    "bos_token": "bos",
    "eos_token": "eos",
    "unk_token": "unknown",
    "pad_token": "padding",
}
# What a file of this kind means where it does not say.
_LLAMA_IDS = {"bos": 1, "eos": 2, "unknown": 0}
_RWKV_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_RWKV_NAMES = {b"t": b"\t", b"n": b"\n", b"r": b"\r"}


class GgufTokenizer(NamedTuple):
    """What the metadata says, all but how texts are cut into tokens: that is the engine's.

    ``begins_with`` is the token that every prompt begins with by llama.cpp's rules, if any.
    """

    pieces: list[bytes]
    control: dict[str, Control]
    drops_first_space: bool
    named: dict[str, str]
    template: str
    begins_with: int | None

    def vocabulary(self, encode: Encode) -> Vocabulary:
        return Vocabulary(
            self.pieces,
            self.control,
            encode,
            drops_first_space=self.drops_first_space,
            named=self.named,
            begins=() if self.begins_with is None else (self.begins_with,),
        )

    def chat_template(self) -> Template:
        return Template(self.template, self.named)


def read_tokenizer(path: Path) -> GgufTokenizer:
    """Raises `LoadError`."""
    try:
        facts = read_facts(path, {_TOKENS, _TYPES})
    except (OSError, ValueError) as error:
        raise LoadError(f"{path} cannot be read: {error}; pull the model again") from error
    template = facts.get("tokenizer.chat_template")
    if not isinstance(template, str):
        raise LoadError(f"{path} has no chat template; it cannot serve chats")
    texts, kind = facts.get(_TOKENS), facts.get("tokenizer.ggml.model")
    if not isinstance(texts, list) or kind not in _SPELLINGS:
        raise LoadError(
            f"{path} has a tokenizer of kind {kind!r}, which is not known here; "
            f"known are {', '.join(_SPELLINGS)}"
        )
    types = facts.get(_TYPES) or [1] * len(texts)
    spell = _SPELLINGS[kind]
    return GgufTokenizer(
        pieces=[
            text.encode("utf-8", "replace") if sort == _USER_DEFINED else spell(text)
            for text, sort in zip(texts, types, strict=True)
        ],
        control={
            text: Control(at, rstrip=_takes_space_after(facts, text))
            for at, (text, sort) in enumerate(zip(texts, types, strict=True))
            if sort in (_CONTROL, _UNKNOWN)
            or (sort == _USER_DEFINED and looks_controlling(text))
            or text in FILL_TEXTS
        },
        drops_first_space=bool(facts.get("tokenizer.ggml.add_space_prefix", kind == "llama")),
        named=_named(facts, texts, kind),
        template=template,
        begins_with=_first_token(facts, kind),
    )


def _named(facts: dict[str, Any], texts: list[str], kind: str) -> dict[str, str]:
    """The texts of the tokens that templates ask for. All but these are empty in a template."""
    defaults = _LLAMA_IDS if kind == "llama" else {}
    ids = {
        name: facts.get(f"tokenizer.ggml.{key}_token_id", defaults.get(key))
        for name, key in _NAMED.items()
    }
    return {name: texts[at] for name, at in ids.items() if at is not None and at < len(texts)}


def _first_token(facts: dict[str, Any], kind: str) -> int | None:
    """The token that llama.cpp puts before every prompt which does not begin with it."""
    if not facts.get("tokenizer.ggml.add_bos_token", kind == "llama"):
        return None
    found = facts.get("tokenizer.ggml.bos_token_id", _LLAMA_IDS["bos"] if kind == "llama" else None)
    return None if found is None else int(found)


def _takes_space_after(facts: dict[str, Any], text: str) -> bool:
    """As llama.cpp has it, by the model's name: no key tells of it."""
    name = str(facts.get("general.name", "")).lower()
    return ("phi-3" in name or "phi3" in name) and text not in ("<unk>", "<s>", "<|endoftext|>")


def _rwkv(text: str) -> bytes:
    def unescaped(found: re.Match[bytes]) -> bytes:
        digits, character = found.groups()
        return bytes([int(digits, 16)]) if digits else _RWKV_NAMES.get(character, character)

    return _RWKV_ESCAPE.sub(unescaped, text.encode("utf-8", "replace"))


_SPELLINGS = {
    "gpt2": byte_level,
    "llama": metaspace,
    "t5": metaspace,
    "gemma4": metaspace,
    "plamo2": metaspace,
    "rwkv": _rwkv,
}
